#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`atelier simulate --what-if`: a journal's last day and queue, with other workers or in another mode."""

import json, os, subprocess

from atelier_processes import BIN, Workshop, run, until

ATELIER = os.path.join(BIN, 'atelier')


def ask(workshop, *what, code=0):
    options = [option for each in what for option in ('--what-if', each)]
    command = [ATELIER, 'simulate', *options, '--data', workshop.data]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, (done.returncode, done.stderr)
    return json.loads(done.stdout) if code == 0 else done.stderr


def test(workshops):
    workshop = Workshop('what-if')
    workshops.append(workshop)
    workshop.serve()
    assert 'no job was submitted' in ask(workshop, 'workers=2', code=1)
    for refused, sentence in (('workers=0', 'from 1 to'), ('workers=x', 'from 1 to'), ('speed=2', 'neither'),
                              ('mode=fair', 'neither')):  # fmt: skip
        assert sentence in ask(workshop, refused, code=2), refused
    workshop.engine(step_ms=300)
    worker = workshop.worker()
    workshop.ready_for_jobs()
    for n in range(4):
        workshop.submit(1, f'ended-{n}', color=n)
    for n in range(4):
        workshop.wait_history(1, f'ended-{n}')
    worker.kill()
    until(lambda: not workshop.get('/api/queue/status')['workers'], 'the worker to be gone')
    for n in range(4):
        workshop.submit(1, f'waits-{n}', color=10 + n)
    workshop.submit(2, 'other', color=99)
    # The server runs on: only the journal is read.
    answer = ask(workshop, 'workers=3', 'mode=round_robin')
    day, queue = answer['day'], answer['queue']
    assert (day['jobs'], day['jobs_ended']) == (9, 4), day
    assert day['as_it_is']['workers'] == 1 and day['as_it_is']['mode'] == 'fifo', day
    assert day['what_if']['workers'] == 3 and day['what_if']['mode'] == 'round_robin', day
    assert day['what_if']['turnaround_mean_ms'] < day['as_it_is']['turnaround_mean_ms'], day
    assert queue['waiting'] == 5 and queue['all_ready_then_ms'] < queue['all_ready_ms'], queue
    other = next(job for job in queue['jobs'] if job['participant'] == 2)
    assert other['place'] == 5 and other['place_then'] < 5, queue
    assert workshop.get('/api/queue/status')['mode'] == 'fifo'
    # Of a journal whose entries are gone the queue is foretold all the same.
    workshop.server.stop()
    subprocess.run([ATELIER, 'journal', 'compact', '--data', workshop.data], check=True, capture_output=True)
    compacted = ask(workshop, 'workers=3', 'mode=round_robin')
    assert compacted['day'] is None, compacted
    moves = lambda jobs: [(job['job'], job['place'], job['place_then']) for job in jobs]  # noqa: E731
    assert moves(compacted['queue']['jobs']) == moves(queue['jobs']), (compacted, queue)
    bad_traces(workshop)


def bad_traces(workshop):
    """Each is refused with a sentence, and nothing is printed as a result."""
    path = os.path.join(workshop.data, 'trace.json')
    job = {'job': 0, 't_ms': 0, 'participant': 1, 'signature': 's', 'model_set': 'm', 'work_ms': 1000}
    sound = {'format': 'atelier-trace/1', 'name': 'n', 'lease_ms': 1000, 'jain_window_ms': 1000,
             'participants': 1, 'workers': [{'worker': 'w', 'gpu': 'g', 'speed': 1000}],
             'model_sets': {'m': {'load_ms': 1}}, 'signatures': {'s': {'model_set': 'm', 'kind': 'image'}},
             'submissions': [job], 'faults': []}  # fmt: skip
    changes = (({}, ''), ({'workers': []}, 'workers'), ({'submissions': []}, 'submissions'),
               ({'format': 'x'}, 'atelier-trace/1'), ({'lease_ms': 0}, 'lease_ms'))  # fmt: skip
    for change, sentence in changes:
        with open(path, 'w') as file:
            json.dump(sound | change, file)
        done = subprocess.run([ATELIER, 'simulate', '--trace', path], capture_output=True, text=True)
        assert done.returncode == (2 if change else 0), (change, done.returncode, done.stdout, done.stderr)
        assert sentence in done.stderr and bool(done.stdout) != bool(change), (change, done.stderr)


if __name__ == '__main__':
    run(test)
