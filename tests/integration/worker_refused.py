#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A worker with a wrong token or protocol version, or whose name another worker takes, is told so and ends
with exit code 2."""

import os, subprocess, urllib.error, urllib.request
from atelier_processes import BIN, WORK, Workshop, run, until
from link_worker import Socket


def said_of(*options):
    """What the worker says of these options, and its exit code."""
    arguments = [os.path.join(BIN, 'atelier-worker'), '--check-only', *options]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout + done.stderr


def wrong_options_are_said(token_file):
    right = ('--join', 'http://127.0.0.1:1', '--token-file', token_file, '--name', 'w1')
    substituted = '$(which python) "$(cat a; echo b)/main.py"'
    for launch in ("python 'a;b/main.py' 2>&1", substituted, '`which python` a'):
        assert said_of(*right, '--slots', '3', '--launch', launch) == (0, ''), launch
    for wrong, word in (
        (('--slots', '0'), '--slots: 1 to '),
        (('--slots', '65'), '--slots: 1 to '),
        (('--launch', 'cd /tmp && python main.py'), 'one command'),
        (('--launch', 'python main.py; true'), 'one command'),
        (('--launch', "python 'main.py"), "the quote ' is not closed"),
        (('--launch', '$(which python main.py'), 'is not closed'),
        (('--comfy-dir', '/nowhere'), '/nowhere is no folder'),
    ):
        code, said = said_of(*right, *wrong)
        assert code == 2 and word in said, (wrong, code, said)
    for wrong, word in (
        (('--join', 'http://127.0.0.1:1/user/1/'), 'address alone'),
        (('--name', ''), '--name: 1 to 64'),
    ):
        changed = list(right)
        changed[changed.index(wrong[0]) + 1] = wrong[1]
        code, said = said_of(*changed)
        assert code == 2 and word in said, (wrong, code, said)


def test(workshops):
    workshop = Workshop('worker-refused')
    workshops.append(workshop)
    workshop.serve()
    workshop.engine()
    token = open(os.path.join(workshop.data, 'worker.token')).read().strip()
    assert oct(os.stat(os.path.join(workshop.data, 'worker.token')).st_mode & 0o777) == '0o600'
    wrong = os.path.join(WORK, 'wrong.token')
    with open(wrong, 'w') as file:
        file.write('0' * 64 + '\n')
    os.chmod(wrong, 0o600)
    worker = workshop.worker(token_file=wrong)
    assert worker.child.wait(timeout=20) == 2, worker.text()
    assert 'worker.token' in worker.text() and '\\x0a' not in worker.text(), worker.text()
    wrong_options_are_said(wrong)

    request = urllib.request.Request(
        workshop.url + '/worker/link',
        headers={'Authorization': f'Bearer {token}', 'Atelier-Protocol': '99', 'Atelier-Worker': 'w1'},
    )
    try:
        urllib.request.urlopen(request, timeout=10)
        raise AssertionError('a foreign protocol version was accepted')
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        assert error.code == 426 and '99' in text and 'version 1' in text, (error.code, text)

    headers = {'Authorization': f'Bearer {token}', 'Atelier-Protocol': '1', 'Atelier-Worker': 'w1'}
    link = Socket(workshop.port, '/worker/link', headers)
    hello = {'type': 'hello', 'protocol': 2, 'agent': 'script', 'name': 'w1', 'boot': '0' * 32}
    link.send({**hello, 'slots': [], 'jobs': [], 'disk_free': 1, 'clock': 1})
    try:
        raise AssertionError(f'a hello of another version was answered: {link.receive()}')
    except ConnectionError:
        link.raw.close()

    workshop.engine(step_ms=700)
    first = workshop.worker('twin')
    workshop.ready_for_jobs()
    workshop.submit(1, 'job')
    until(lambda: workshop.get('/user/1/queue')['queue_running'], 'the job to run')
    workshop.engine()
    second = workshop.worker('twin')
    assert first.child.wait(timeout=20) == 2, first.text()
    assert 'another worker called "twin" has joined' in first.text().replace('\\', ''), first.text()
    item = workshop.wait_history(1, 'job')
    assert item['status']['status_str'] == 'success', item['status']
    assert second.text().count('link_up') == 1, second.text()


if __name__ == '__main__':
    run(test)
