#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The journal's disk fails under the running server: an fdatasync gives EIO, a write finds the file system
read-only, or the database is moved away. No prompt is answered with 200 any more, the failed call is not
tried again, the server ends with 74 and a sentence, and the next one has every prompt that was answered with
200."""

import os, subprocess, sys, urllib.error
from atelier_processes import BIN, WORK, Workshop, run
from link_worker import LinkWorker


def with_catalog(workshops, name):
    workshop = Workshop(name)
    workshops.append(workshop)
    workshop.serve()
    worker = LinkWorker(workshop)
    workshop.ready_for_jobs()
    worker.close()
    workshop.server.stop()
    return workshop


def serve_traced(workshop, name, injection):
    """Gives the file that has the failed calls, one per line."""
    calls = os.path.join(WORK, f'{name}.calls')
    call = injection.split(':')[0]
    command = ['strace', '-f', '-qq', '-Z', '-o', calls, '-e', f'trace={call}', '-e', f'inject={injection}']
    command += [os.path.join(BIN, 'atelier'), 'serve', '--data', workshop.data, '--port', '0']
    workshop.server = workshop.start('serve', command, workshop.env)
    workshop.url = workshop.server.line('ready ').rstrip('/')
    return calls


def post_until_refused(workshop):
    answered = []
    for n in range(200):
        prompt_id = f'p{n}'
        try:
            answer = workshop.submit(1, prompt_id, color=n, expect=None)
        except (OSError, urllib.error.URLError):
            return answered  # it has ended already
        if 'prompt_id' not in answer:
            assert 'journal' in str(answer) or 'restart' in str(answer), answer
            break
        answered.append(prompt_id)
    else:
        raise AssertionError('200 prompts were answered on a disk that fails')
    for n in range(3):  # none after the first refusal either, while it stops
        try:
            assert 'prompt_id' not in workshop.submit(1, f'late{n}', color=n, expect=None)
        except (OSError, urllib.error.URLError):
            pass
    return answered


def ends_and_keeps(workshop, answered):
    assert workshop.server.child.wait(timeout=20) == 74, workshop.server.child.returncode
    assert 'can take nothing more' in workshop.server.text(), workshop.server.text()
    workshop.serve()
    queue = workshop.get('/user/1/queue')['queue_pending']
    kept = [job[1] for job in queue]
    assert kept[: len(answered)] == answered, (kept, answered)
    assert len(kept) <= len(answered) + 1, 'one may have been recorded without an answer'
    workshop.server.stop()


def test(workshops):
    for name, injection in (
        ('sync', 'fdatasync:error=EIO:when=12+'),
        ('read-only', 'pwrite64:error=EROFS:when=60+'),
    ):
        workshop = with_catalog(workshops, name)
        calls = serve_traced(workshop, name, injection)
        answered = post_until_refused(workshop)
        assert answered, 'it failed before the first prompt'
        ends_and_keeps(workshop, answered)
        with open(calls) as file:
            failed = [line for line in file if 'INJECTED' in line]
        assert len(failed) == 1, failed

    workshop = with_catalog(workshops, 'moved')
    workshop.serve()
    workshop.submit(1, 'before')
    database = os.path.join(workshop.data, 'atelier.db')
    os.rename(database, database + '.away')
    assert post_until_refused(workshop) == []
    assert workshop.server.child.wait(timeout=20) == 74
    assert 'was moved, deleted or replaced' in workshop.server.text()
    for suffix in ('-wal', '-shm'):
        assert os.path.exists(database + suffix), 'the log is not folded into a database that is not there'
    os.rename(database + '.away', database)
    workshop.serve()
    assert [job[1] for job in workshop.get('/user/1/queue')['queue_pending']] == ['before']


if __name__ == '__main__':
    try:
        subprocess.run(['strace', '-qq', '-o', '/dev/null', 'true'], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        print('strace is not there or may not trace')
        sys.exit(77)
    run(test)
