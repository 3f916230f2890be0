#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill -9 of the server in the middle of a job: after the restart every accepted job ends exactly once."""

from atelier_processes import Workshop, events_of, run, until


def test(workshops):
    workshop = Workshop('kill-server')
    workshops.append(workshop)
    workshop.serve()
    workshop.engine(step_ms=700)
    workshop.worker()
    workshop.ready_for_jobs()
    accepted = []
    for n in range(4):
        accepted.append((1 + n % 2, workshop.submit(1 + n % 2, f'job-{n}', color=n)['prompt_id']))
    until(lambda: workshop.get('/user/1/queue')['queue_running'], 'a running job')
    workshop.server.kill()
    workshop.serve()
    for participant, prompt_id in accepted:
        item = workshop.wait_history(participant, prompt_id)
        assert item['status']['status_str'] == 'success', item['status']
        assert len(item['outputs']['2']['images']) == 1, item['outputs']
    journal = workshop.journal()
    ended = [entry['event']['job'] for entry in events_of(journal, 'ended')]
    assert sorted(ended) == sorted(set(ended)) and len(ended) == 4, ended
    assert len(events_of(journal, 'submitted')) == 4
    assert workshop.outputs(1) == ['kept_00001_.png', 'kept_00002_.png'], workshop.outputs(1)
    assert workshop.outputs(2) == ['kept_00001_.png', 'kept_00002_.png'], workshop.outputs(2)


if __name__ == '__main__':
    run(test)
