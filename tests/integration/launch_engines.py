#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A worker that starts its ComfyUIs itself: two of them work side by side, one that is killed comes up again
and loses no job, so does one that stands still, one that cannot start says why and is started when somebody
asks for it, and none of them outlives the worker, even by kill -9."""

import os, signal, subprocess, urllib.request

from instructor_api import Api
from atelier_processes import BIN, WORK, Workshop, free_ports, run, until


def pids_at(port):
    """The processes that were started for this port."""
    pattern = f'atelier-rehearsal .*--port {port}'
    done = subprocess.run(['pgrep', '-f', pattern], capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def launching(workshop, name, command, *options):
    arguments = [os.path.join(BIN, 'atelier-worker'), '--name', name, '--join', workshop.url]
    arguments += ['--token-file', os.path.join(workshop.data, 'worker.token'), '--launch', command, *options]
    return workshop.start(f'worker-{name}', arguments)


def test(workshops):
    workshop = Workshop('launch-engines')
    workshops.append(workshop)
    workshop.serve()
    port = free_ports(2)
    comfy, logs = os.path.join(WORK, "comfy's folder"), os.path.join(WORK, "log's folder")
    os.makedirs(comfy)
    engine = os.path.join(BIN, 'atelier-rehearsal')
    worker = launching(
        workshop, 'w1', f'{engine} --dir "{comfy}" --step-ms 400', '--slots', '2', '--comfy-dir', comfy,
        '--comfy', f'http://127.0.0.1:{port}', '--log-dir', logs,
    )  # fmt: skip
    workshop.ready_for_jobs()
    until(lambda: worker.text().count('engine_up') == 2, 'both engines')
    for seat in (1, 2, 3, 4):
        workshop.submit(seat, f'job-{seat}', color=seat)
    until(lambda: workshop.get('/api/queue/status')['running'] == 2, 'two jobs side by side')

    first, second = pids_at(port), pids_at(port + 1)
    assert len(first) == len(second) == 1, (first, second)
    os.kill(first[0], signal.SIGKILL)
    until(lambda: 'how="signal 9"' in worker.text(), 'the worker to see its end')
    until(lambda: pids_at(port) not in ([], first), 'another engine at the first port')
    for seat in (1, 2, 3, 4):
        item = workshop.wait_history(seat, f'job-{seat}')
        assert item['status']['status_str'] == 'success', item['status']
        assert workshop.outputs(seat) == ['kept_00001_.png'], workshop.outputs(seat)
    until(lambda: worker.text().count('engine_up') == 3, 'the engine to come up again')
    with open(os.path.join(logs, 'engine-0.log')) as log:
        assert log.read().count(f'ready http://127.0.0.1:{port}/') == 2
    assert os.path.isdir(os.path.join(logs, 'slot-1', 'temp')), 'each has a temp folder of its own'

    assert worker.stop() == 0
    assert pids_at(port) == pids_at(port + 1) == [], 'stopped with the worker'

    where = ('--comfy', f'http://127.0.0.1:{port}', '--log-dir', logs)
    # Below a shell that stays, so that the engine is not the worker's own child.
    script = os.path.join(WORK, 'start-engine.sh')
    with open(script, 'w') as file:
        file.write(f'#!/bin/sh\n{engine} --dir "{comfy}" "$@"\necho ended\n')
    again = launching(workshop, 'w1', f'sh {script}', *where)
    until(lambda: 'engine_up' in again.text(), 'the next engine')
    again.kill()
    until(lambda: pids_at(port) == [], 'the engine to end after kill -9 of its worker')

    broken = launching(workshop, 'w2', "sh -c 'echo it has no GPU; false'", *where)
    until(lambda: 'last_line="it has no GPU"' in broken.text(), 'what it said last')
    assert 'how="exit code 1"' in broken.text(), broken.text()
    until(lambda: 'again_in_s=16' in broken.text(), 'its fifth end')
    starts = broken.text().count('engine_started')
    Api(workshop, '').post('/workers/w2/actions', action='restart_engine', slot=0)
    until(lambda: broken.text().count('engine_started') > starts, 'a start that was asked for', seconds=10)
    broken.stop()

    # The port that it is to have is another program's, which looks like a ComfyUI.
    foreign = subprocess.Popen([engine, '--dir', os.path.join(WORK, 'foreign'), '--port', str(port)])
    until(lambda: answers(f'http://127.0.0.1:{port}/system_stats'), 'the other program')
    waits = launching(workshop, 'w4', f'{engine} --dir "{comfy}"', *where)
    until(lambda: f'another program listens at port {port}' in waits.text(), 'the worker to see it')
    foreign.kill()
    foreign.wait()
    until(lambda: 'engine_up' in waits.text(), 'an engine of its own')
    assert waits.text().index('engine_started') < waits.text().index('engine_up'), waits.text()
    waits.stop()

    still = launching(workshop, 'w3', f'{engine} --dir "{comfy}" --step-ms 400', *where, '--hang-limit', '6')
    until(lambda: 'engine_up' in still.text(), 'an engine')
    workshop.submit(5, 'stands still', color=5)
    until(lambda: workshop.get('/user/5/queue')['queue_running'], 'its job')
    (hanging,) = pids_at(port)
    os.kill(hanging, signal.SIGSTOP)
    until(lambda: 'engine_hangs' in still.text(), 'the worker to see that it hangs', seconds=120)
    until(lambda: pids_at(port) not in ([], [hanging]), 'another engine in its place')
    item = workshop.wait_history(5, 'stands still')
    assert item['status']['status_str'] == 'success', item['status']


if __name__ == '__main__':
    run(test)
