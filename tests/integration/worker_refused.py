#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A worker with a wrong token or protocol version, or whose name another worker takes, is told so and ends
with exit code 2."""

import os, urllib.error, urllib.request
from atelier_processes import WORK, Workshop, run, until
from link_worker import Socket


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
    assert 'token' in worker.text()

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
