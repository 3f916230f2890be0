#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The instructor's own seat, /user/0/: only theirs, and its jobs go before everybody's in every mode."""

import base64, json, os, subprocess, urllib.error, urllib.request
from atelier_processes import BIN, Workshop, events_of, run, save_graph, until


class Caller:
    def __init__(self, workshop, **headers):
        self.workshop, self.headers = workshop, headers

    def call(self, path, body=None, expect=200, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.workshop.url + path, data=data, method=method)
        request.add_header('Content-Type', 'application/json')
        for name, value in self.headers.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, text, headers = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            status, text, headers = error.code, error.read(), error.headers
        assert status == expect, f'{path}: {status}, expected {expect}: {text[:300]!r}'
        return text, headers


def instructor_token(workshop):
    command = [os.path.join(BIN, 'atelier'), 'tokens', '--data', workshop.data, '--instructor']
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test(workshops):
    workshop = Workshop('instructor-seat', ACCESS='token')
    workshops.append(workshop)
    workshop.serve()
    token = instructor_token(workshop)
    instructor = Caller(workshop, Authorization=f'Bearer {token}')
    password = base64.b64encode(f'anything:{token}'.encode()).decode()
    browser = Caller(workshop, Authorization=f'Basic {password}')
    participant = Caller(workshop, Authorization=f'Bearer {workshop.tokens()[2]}')
    _, headers = Caller(workshop).call('/user/0/', expect=401)
    assert headers['WWW-Authenticate'].startswith('Basic '), headers
    for path in ('/user/0/', '/user/0/api/queue', '/user/0/ws', '/user/0/view?filename=a.png'):
        participant.call(path, expect=403)
        Caller(workshop, Authorization='Bearer instructor-0').call(path, expect=401)
    Caller(workshop).call('/user/00/', expect=404)
    page, _ = browser.call('/user/0/')
    assert b'<html' in page.lower(), page[:200]

    workshop.engine(step_ms=200)
    workshop.worker()
    until(lambda: instructor.call('/user/0/api/object_info')[0] != b'{}', 'the catalog to be known')
    for mode in ('fifo', 'round_robin', 'priority'):
        instructor.call('/api/v1/queue', {'mode': mode, 'paused': True}, method='PATCH')
        for n in range(2):
            graph = {'prompt': save_graph(color=n + 1), 'prompt_id': f'{mode}-{n}'}
            participant.call('/user/3/prompt', graph)
        own = {'prompt': save_graph(color=9), 'prompt_id': f'{mode}-example'}
        instructor.call('/user/0/prompt', own)
        instructor.call('/api/v1/queue', {'paused': False}, method='PATCH')
        until(lambda m=mode: f'{m}-1'.encode() in participant.call('/user/3/history')[0], 'both to be done')
    history = json.loads(instructor.call('/user/0/history')[0])
    assert len(history) == 3, history
    picture = history['fifo-example']['outputs']['2']['images'][0]['filename']
    assert instructor.call(f'/user/0/view?filename={picture}')[0].startswith(b'\x89PNG')
    workshop.close()
    numbers = [entry['event']['job'] for entry in events_of(workshop.journal(), 'leased')]
    assert numbers == [3, 1, 2, 6, 4, 5, 9, 7, 8], numbers


if __name__ == '__main__':
    run(test)
