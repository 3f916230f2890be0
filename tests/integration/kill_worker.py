#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill -9 of the worker in the middle of a job: its job goes back and ends exactly once on the next one."""

from atelier_processes import Workshop, events_of, run, until


def test(workshops):
    workshop = Workshop('kill-worker')
    workshops.append(workshop)
    workshop.serve()
    workshop.engine(step_ms=700)
    worker = workshop.worker('w1')
    workshop.ready_for_jobs()
    workshop.submit(3, 'poor-job')
    until(lambda: workshop.get('/user/3/queue')['queue_running'], 'the job to run')
    worker.kill()
    workshop.engine(step_ms=0)
    workshop.worker('w2')
    item = workshop.wait_history(3, 'poor-job')
    assert item['status']['status_str'] == 'success', item['status']
    journal = workshop.journal()
    assert [entry['event']['epoch'] for entry in events_of(journal, 'leased')] == [1, 2], events_of(
        journal, 'leased'
    )
    assert len(events_of(journal, 'ended')) == 1
    assert len(events_of(journal, 'committed')) == 1
    assert workshop.outputs(3) == ['kept_00001_.png'], workshop.outputs(3)


if __name__ == '__main__':
    run(test)
