#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""An instructor steers a running workshop through /api/v1: modes, holds, pause, moves, cancels with undo,
caps, allowance, a pinned worker; what was set survives kill -9; a command that is repeated is done once; the
socket goes on where it was; it is told why jobs wait; odd methods and empty bodies are refused."""

import base64, http.client, json, os, re, socket, struct, subprocess, time, urllib.error, urllib.request
from atelier_processes import BIN, Workshop, events_of, run, until


class Api:
    def __init__(self, workshop, token):
        self.workshop, self.token = workshop, token

    def call(self, method, path, body=None, expect=200, **headers):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.workshop.url + '/api/v1' + path, data=data, method=method)
        if self.token:
            request.add_header('Authorization', f'Bearer {self.token}')
        if data is not None:
            request.add_header('Content-Type', 'application/json')
        for name, value in headers.items():
            request.add_header(name.replace('_', '-'), value)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        assert status == expect, f'{method} {path}: {status}, expected {expect}: {text[:400]!r}'
        return json.loads(text)

    def get(self, path, expect=200):
        return self.call('GET', path, expect=expect)

    def patch(self, path, expect=200, **members):
        return self.call('PATCH', path, members, expect)

    def post(self, path, expect=200, **members):
        return self.call('POST', path, members, expect)

    def undo(self, answer):
        undo = answer['undo']
        return self.call(undo['method'], undo['path'].removeprefix('/api/v1'), undo['body'])

    def state(self, job):
        return self.get(f'/jobs/{job}')['job']['state']

    def until_state(self, job, *states):
        return until(lambda: self.state(job) in states, f'job {job} to be {" or ".join(states)}')

    def order(self):
        return [job['job'] for job in self.get('/queue')['jobs'] if job['worker'] is None]


class Events:
    """The socket of /api/v1/events, by hand: text frames of the server only."""

    def __init__(self, api, query=''):
        host, port = api.workshop.url.removeprefix('http://').split(':')
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        head = [f'GET /api/v1/events{query} HTTP/1.1', f'Host: {host}:{port}', 'Upgrade: websocket']
        head += ['Connection: Upgrade', f'Sec-WebSocket-Key: {key}', 'Sec-WebSocket-Version: 13']
        head += [f'Authorization: Bearer {api.token}'] if api.token else []
        self.socket.sendall(('\r\n'.join(head) + '\r\n\r\n').encode())
        self.bytes = b''
        while b'\r\n\r\n' not in self.bytes:
            self.more()
        answer, self.bytes = self.bytes.split(b'\r\n\r\n', 1)
        assert b' 101 ' in answer.splitlines()[0], answer
        self.sequence = 0

    def more(self):
        got = self.socket.recv(65536)
        assert got, 'the socket has ended'
        self.bytes += got

    def take(self, count):
        while len(self.bytes) < count:
            self.more()
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken

    def message(self):
        while True:
            first, second = self.take(2)
            size = second & 127
            if size >= 126:
                size = struct.unpack('>H' if size == 126 else '>Q', self.take(2 if size == 126 else 8))[0]
            payload = self.take(size)
            if first & 15 == 1:
                message = json.loads(payload)
                assert message['sequence'] >= self.sequence, (message['sequence'], self.sequence)
                self.sequence = message['sequence']
                return message

    def until(self, wanted, seconds=20):
        """The first message that is wanted."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = self.message()
            if wanted(message):
                return message
        raise AssertionError('the awaited message did not come')

    def close(self):
        self.socket.close()


def jobs_in(message):
    return [change['job'] for change in message.get('changes', []) if 'job' in change]


def rows_in(message):
    return [row for change in message.get('changes', []) for row in change.get('waiting', [])]


def number_of(api, participant, prompt_id):
    jobs = api.get(f'/jobs?participant={participant}&limit=1000')['jobs']
    return next(job['job'] for job in jobs if job['prompt_id'] == prompt_id)


def submit(workshop, api, participant, name):
    return number_of(api, participant, workshop.submit(participant, name)['prompt_id'])


def moves_and_modes(workshop, api):
    """With everything paused: the order is what was asked for, in every mode."""
    api.patch('/queue', paused=True)
    jobs = [submit(workshop, api, n, f'move-{n}') for n in range(1, 6)]
    first, second, third, fourth, fifth = jobs
    api.post(f'/jobs/{fifth}/move', place='before', anchor=second)
    down = api.post(f'/jobs/{first}/move', place='after', anchor=third)
    assert api.order() == [fifth, second, third, first, fourth], api.order()
    api.undo(down)
    api.post(f'/jobs/{fourth}/move', place='first')
    for mode in ('round_robin', 'priority', 'fifo'):
        assert api.patch('/queue', mode=mode)['queue']['mode'] == mode
        assert workshop.get('/api/queue/status')['mode'] == mode
        assert api.order()[:2] == [fourth, first], (mode, api.order())
    assert api.patch('/queue', mode='fifo')['changed'] is False
    api.patch('/queue', mode='round_robin')
    return jobs


def why_they_wait(api, jobs):
    """With everything paused: the queue, the snapshot and what is new say why; one undo for several."""
    events = Events(api)
    rows = {row['job']: row for row in events.message()['waiting']}
    assert set(rows) == set(jobs), (rows, jobs)

    def reasons():
        return {row['waits_because']['code'] for row in api.get('/queue')['jobs']}

    until(lambda: reasons() == {'paused'}, 'reasons')
    before = api.order()
    moved = api.post('/jobs/actions', action='move', jobs=[jobs[2], jobs[4]], place='first')
    assert api.order() != before
    api.patch(f'/jobs/{jobs[1]}', held=True)

    def is_held(message):
        return any(r['job'] == jobs[1] and r['waits_because']['code'] == 'held' for r in rows_in(message))

    events.until(is_held)
    assert api.undo(moved)['done'] == 2
    api.patch(f'/jobs/{jobs[1]}', held=False)
    assert api.order() == before, (before, api.order())
    events.close()


def odd_requests(workshop, api):
    """On one connection: each method that an address does not have is answered as any other mistake."""
    connection = http.client.HTTPConnection(workshop.url.removeprefix('http://'), timeout=20)
    head = {'Authorization': f'Bearer {api.token}'}
    for method in ('TRACE', 'PROPFIND', 'BREW', 'CONNECT', 'PUT'):
        for path, status, allow in (
            ('/api/v1/queue', 405, 'GET, HEAD, PATCH'),
            ('/api/v1/nothing', 404, None),
            ('/user/7/prompt', 405, 'GET,HEAD,POST'),
        ):
            connection.request(method, path, headers=head if path.startswith('/api') else {})
            answer = connection.getresponse()
            text = answer.read()
            got = (answer.status, answer.getheader('Allow'))
            assert got == (status, allow), (method, path, got)
            if path.startswith('/api'):
                assert answer.getheader('Content-Type') == 'application/problem+json', (method, path)
                assert json.loads(text)['status'] == status
            else:
                assert text == b'405: Method Not Allowed', text
    connection.close()
    assert 'body is empty' in api.call('PATCH', '/queue', None, 400)['detail']
    assert 'body is empty' in api.call('POST', '/jobs/actions', None, 400)['detail']


def survives(workshop, api, jobs):
    held = api.patch(f'/jobs/{jobs[1]}', held=True)
    api.patch('/participants/3', held=True, waiting_max=9)
    api.patch('/workers/w1', draining=True)
    before = api.get('/queue')
    people = api.get('/participants')['participants']
    workshop.server.kill()
    workshop.serve({'QUEUE_MODE': 'priority'})  # that of a new workshop: this one keeps its own
    assert 'queue_mode_kept' in workshop.server.text()
    after = api.get('/queue')
    assert after['queue'] == before['queue'], (before['queue'], after['queue'])
    assert [job['job'] for job in after['jobs']] == [job['job'] for job in before['jobs']]
    assert api.get('/participants')['participants'] == people
    worker = until(lambda: [w for w in api.get('/workers')['workers'] if w['connected']], 'the worker')[0]
    assert worker['draining'], worker  # its agent has not ended
    api.patch('/queue', paused=False)
    assert api.state(jobs[3]) == 'queued'
    api.patch('/workers/w1', draining=False)
    for job in (jobs[0], jobs[3], jobs[4]):
        api.until_state(job, 'succeeded')
    assert api.state(jobs[1]) == api.state(jobs[2]) == 'held'  # the job, the participant
    started = [entry['event']['job'] for entry in events_of(workshop.journal(), 'leased')]
    assert started[-3:] == [jobs[3], jobs[0], jobs[4]], started
    api.undo(held)
    api.patch('/participants/3', held=False)
    api.until_state(jobs[1], 'succeeded')
    api.until_state(jobs[2], 'succeeded')


def holds_and_cancels(workshop, api):
    api.patch('/queue', held=True)
    early = submit(workshop, api, 4, 'cancel-1')
    late = submit(workshop, api, 11, 'cancel-2')  # who comes after everybody was held
    kept = submit(workshop, api, 4, 'cancel-3')
    cancelled = api.post('/jobs/actions', action='cancel', jobs=[early, late, kept, 99_999])
    assert (cancelled['done'], cancelled['not_done']) == (3, 1), cancelled
    started = time.monotonic()
    assert api.state(early) == 'held'
    assert api.call('DELETE', f'/jobs/{kept}/cancel')['job']['cancel_at'] is None
    api.until_state(early, 'cancelled')
    waited = time.monotonic() - started
    assert 8 < waited < 15, waited
    api.until_state(late, 'cancelled')
    api.call('DELETE', f'/jobs/{early}/cancel', expect=409)
    assert api.state(kept) == 'held'  # as everybody
    api.patch('/queue', held=False)
    api.until_state(kept, 'succeeded')


def caps_and_allowance(workshop, api):
    api.patch('/queue', paused=True)
    api.patch('/participants/5', waiting_max=2)
    first = submit(workshop, api, 5, 'cap-1')
    submit(workshop, api, 5, 'cap-2')
    workshop.submit(5, 'cap-3', expect=429)
    api.patch('/queue', paused=False)
    api.until_state(first, 'succeeded')
    until(lambda: api.get('/participants/5')['participant']['waiting'] == 0, 'the second one')
    used = api.get('/participants/5')['participant']['used_ms']
    assert used > 0
    api.patch('/participants/5', allowance_ms=used)
    waits = submit(workshop, api, 5, 'allowance')
    other = submit(workshop, api, 6, 'no-allowance')
    api.until_state(other, 'succeeded')  # a GPU is free, and it still waits
    assert api.state(waits) == 'queued'
    api.patch('/participants/5', allowance_ms=used + 3_600_000)
    api.until_state(waits, 'succeeded')


def pinned(workshop, api):
    workshop.worker('w2')
    until(lambda: len([w for w in api.get('/workers')['workers'] if w['connected']]) == 2, 'two workers')
    api.patch('/workers/w1', paused=True)
    api.patch('/queue', paused=True)
    job = submit(workshop, api, 7, 'pinned')
    api.patch(f'/jobs/{job}', pinned_worker='w1')
    other = submit(workshop, api, 8, 'anywhere')
    api.patch('/queue', paused=False)
    api.until_state(other, 'succeeded')
    assert api.state(job) == 'queued'
    api.patch('/workers/w1', paused=False)
    api.until_state(job, 'succeeded')
    granted = [entry['event'] for entry in events_of(workshop.journal(), 'leased')]
    leased = {event['job']: event['slot'] for event in granted}
    assert leased[job].split('/')[0] != leased[other].split('/')[0], leased
    one_at_a_time(workshop, api)
    api.patch('/jobs/99999', held=True, expect=404)
    api.patch(f'/jobs/{job}', held=True, expect=409)


def one_at_a_time(workshop, api):
    """MAX_RUNNING_PER_USER: two jobs of one person never run together, though two workers are free."""
    api.patch('/queue', paused=True)
    jobs = [submit(workshop, api, 12, f'one-{n}') for n in range(2)]
    api.patch('/queue', paused=False)
    for job in jobs:
        api.until_state(job, 'succeeded')
    journal = workshop.journal()
    computed = [e['sequence'] for e in events_of(journal, 'computed') if e['event']['job'] == jobs[0]]
    leased = [e['sequence'] for e in events_of(journal, 'leased') if e['event']['job'] == jobs[1]]
    assert computed[0] < leased[0], (computed, leased)


def repeated(workshop, api):
    api.patch('/queue', paused=True)
    job = submit(workshop, api, 9, 'repeated')
    change = {'held': True}
    first = api.call('PATCH', f'/jobs/{job}', change, Idempotency_Key='one')
    assert api.call('PATCH', f'/jobs/{job}', change, Idempotency_Key='one') == first
    api.call('PATCH', f'/jobs/{job}', {'held': False}, 422, Idempotency_Key='one')
    held = [e for e in events_of(workshop.journal(), 'job_held') if e['event']['job'] == job]
    assert len(held) == 1, held
    api.patch(f'/jobs/{job}', held=False)
    api.patch('/queue', paused=False)
    api.until_state(job, 'succeeded')


def live(workshop, api):
    stays = Events(api)
    events = Events(api)
    snapshot = events.message()
    assert snapshot['type'] == 'snapshot' and len(snapshot['participants']) == 20, snapshot
    job = submit(workshop, api, 10, 'live-1')
    events.until(lambda m: any(j['job'] == job and j['state'] == 'succeeded' for j in jobs_in(m)))
    last = events.sequence
    events.close()
    missed = submit(workshop, api, 10, 'live-2')
    api.until_state(missed, 'succeeded')
    stays.until(lambda m: any(j['job'] == missed and j['state'] == 'succeeded' for j in jobs_in(m)))
    again = Events(api, f'?since={last}')
    message = again.message()
    assert message['type'] == 'delta' and message['sequence'] > last, message
    if not any(j['job'] == missed and j['state'] == 'succeeded' for j in jobs_in(message)):
        again.until(lambda m: any(j['job'] == missed and j['state'] == 'succeeded' for j in jobs_in(m)))
    ticket = api.call('POST', '/tickets', {'use': 'events'}, 201)['ticket']
    by_ticket = Events(Api(workshop, ''), f'?ticket={ticket}')
    assert by_ticket.message()['type'] == 'snapshot'
    by_ticket.close()
    again.close()
    stays.close()


def who_may(workshop, api):
    assert re.fullmatch(r'instructor-[0-9a-f]{32}', api.token), 'the token'
    seat = Api(workshop, workshop.tokens()[6])
    assert [p['participant'] for p in seat.get('/participants')['participants']] == [7]
    seat.patch('/queue', paused=True, expect=403)
    Api(workshop, 'nonsense').get('/queue', expect=401)
    assert Api(workshop, '').get('/queue')['queue']['paused'] is False  # this machine, and no password is set
    logs = ''.join(process.text() for process in workshop.processes)
    assert api.token not in logs and seat.token not in logs


def test(workshops):
    workshop = Workshop('instructor', QUEUE_MODE='round-robin', MAX_RUNNING_PER_USER='1')
    workshops.append(workshop)
    workshop.serve()
    workshop.engine(step_ms=50)
    workshop.worker('w1')
    workshop.ready_for_jobs()
    command = [os.path.join(BIN, 'atelier'), 'tokens', '--instructor', '--data', workshop.data]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    api = Api(workshop, token)
    assert api.get('/queue')['queue']['mode'] == 'round_robin'
    who_may(workshop, api)
    odd_requests(workshop, api)
    jobs = moves_and_modes(workshop, api)
    why_they_wait(api, jobs)
    survives(workshop, api, jobs)
    holds_and_cancels(workshop, api)
    caps_and_allowance(workshop, api)
    pinned(workshop, api)
    repeated(workshop, api)
    live(workshop, api)


if __name__ == '__main__':
    run(test)
