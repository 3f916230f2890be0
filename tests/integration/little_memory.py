#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A server that may have little memory, and a workshop of 500 who all ask for much at once: each has a socket
that reads nothing, or slowly, and posts a prompt of nearly the largest size; some upload pictures and save
large files of userdata, and nobody sends the last byte. The server stays under its bound and answers small
prompts at once; when the last bytes come, large ones are accepted, too. Then it is killed: every prompt that
was answered with 200 is there after the restart.

The limit is RLIMIT_DATA, which needs no rights; a cgroup would. What is asserted is the peak (VmHWM)."""

import http.client, json, os, resource, selectors, socket, time

from atelier_processes import Workshop, png, run, save_graph, until
from link_worker import LinkWorker, Socket

MIB = 1 << 20
PARTICIPANTS = 500
UPLOADS, FILES = 40, 20
LARGE_DONE = 16  # large prompts whose answer is waited for
# Of the server, in MiB: 20 for 500 who do nothing; for the 64 of large bodies at once (LargeBodies) sixteen
# times as much, where seven to ten were measured: a prompt of nothing but short numbers is parsed into eight
# times its size, and there are its text, its accepted form and the parser's stack. Without that limit it is
# 8 MiB for each participant, before anything is parsed.
PEAK_MAX = 20 + 16 * 64
DATA_MAX = 2 * PEAK_MAX * MIB  # private memory that may be written, used or not


class Sender:
    """One request that is sent as far as the server takes it, but for the last byte."""

    def __init__(self, port, name, path, kind, parts):
        self.name = name
        size = sum(map(len, parts))
        head = f'POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: {kind}\r\n'
        head += f'Content-Length: {size}\r\nConnection: close\r\n\r\n'
        self.parts = [memoryview(part) for part in (head.encode(), *parts[:-1], parts[-1][:-1])]
        self.last, self.answer = parts[-1][-1:], b''
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        self.socket.connect(('127.0.0.1', port))
        self.socket.setblocking(False)

    def send(self):
        """False when nothing is left to send."""
        while self.parts:
            try:
                self.parts[0] = self.parts[0][self.socket.send(self.parts[0][: 1 << 18]) :]
            except BlockingIOError:
                return True
            except OSError:  # refused in the middle
                self.parts = []
            if self.parts and not self.parts[0]:
                self.parts.pop(0)
        return False

    def receive(self):
        """False at the end of the answer."""
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b''
        self.answer += data
        return bool(data)

    @property
    def status(self):
        return int(self.answer[9:12] or 0)


class Crowd:
    def __init__(self, workshop):
        self.workshop, self.port = workshop, workshop.port
        self.selector = selectors.DefaultSelector()
        self.sockets = []
        self.senders = []
        self.released = False
        # As an editor's workflow looks.
        nodes = [{'id': n, 'type': 'KSampler', 'pos': [n, 2 * n], 'widgets_values': [n, 'fixed', 20, 8.5]}
                 for n in range(80_000)]  # fmt: skip
        self.workflow = json.dumps({'extra_pnginfo': {'workflow': {'nodes': nodes}}}).encode() + b'}'
        self.numbers = b'{"x": [' + b'1,' * 4_100_000 + b'1]}}'  # the most memory for its size
        self.file = os.urandom(MIB) * 40

    def come_in(self):
        for n in range(1, PARTICIPANTS + 1):
            self.sockets.append(Socket(self.port, f'/user/{n}/ws?clientId=c', {}))
            self.sockets[-1].raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def ask_for_much(self):
        for n in range(1, PARTICIPANTS + 1):
            start = json.dumps({'prompt': save_graph(n), 'prompt_id': f'large{n}', 'client_id': 'c'})
            parts = [start[:-1].encode() + b', "extra_data": ']
            parts.append(self.workflow if n % 4 else self.numbers)
            self.add(f'large{n}', f'/user/{n}/prompt', 'application/json', parts)
        form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        for n in range(1, UPLOADS + 1):
            parts = [form + png(), self.file[: 4 * MIB], b'\r\n--x--\r\n']
            self.add(f'upload{n}', f'/user/{n}/upload/image', 'multipart/form-data; boundary=x', parts)
        for n in range(1, FILES + 1):
            self.add(f'file{n}', f'/user/{n}/userdata/large{n}.bin', 'application/octet-stream', [self.file])

    def add(self, name, path, kind, parts):
        sender = Sender(self.port, name, path, kind, parts)
        self.senders.append(sender)
        self.selector.register(sender.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, sender)

    def go_on(self, wanted=None):
        """Sends and receives until wanted() or until nothing has moved for a second."""
        looked = 0.0
        while not (wanted and wanted()):
            moved = self.selector.select(1.0 if wanted is None else 20.0)
            if not moved:
                assert wanted is None, 'nothing moves any more'
                return
            for key, mask in moved:
                self.move(key.data, mask)
            if time.monotonic() - looked > 0.25:
                looked = time.monotonic()
                self.check_peak()

    def move(self, sender, mask):
        if mask & selectors.EVENT_WRITE and not sender.send():
            if self.released and sender.last:
                sender.parts, sender.last = [memoryview(sender.last)], b''
                return
            self.selector.modify(sender.socket, selectors.EVENT_READ, sender)
        if mask & selectors.EVENT_READ and not sender.receive():
            self.selector.unregister(sender.socket)
            sender.socket.close()

    def release(self):
        """The last bytes may go."""
        self.released = True
        for key in list(self.selector.get_map().values()):
            self.selector.modify(key.fileobj, selectors.EVENT_READ | selectors.EVENT_WRITE, key.data)

    def check_peak(self):
        with open(f'/proc/{self.workshop.server.child.pid}/status') as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith('VmHWM')) // 1024
        assert peak <= PEAK_MAX, f'the server has taken {peak} MiB, more than {PEAK_MAX}'
        return peak

    def sent(self, kind):
        """How many have come to their last byte."""
        return sum(not sender.parts for sender in self.senders if sender.name.startswith(kind))

    def accepted(self, kind):
        good = [sender.name for sender in self.senders if sender.status == 200]
        return [name for name in good if name.startswith(kind)]

    def post_small(self):
        """One prompt of each participant; gives the slowest answer's seconds."""
        slowest = 0.0
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
        for n in range(1, PARTICIPANTS + 1):
            body = json.dumps({'prompt': save_graph(n), 'prompt_id': f'small{n}', 'client_id': 'c'})
            begun = time.monotonic()
            connection.request('POST', f'/user/{n}/prompt', body, {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
            slowest = max(slowest, time.monotonic() - begun)
        connection.close()
        return slowest

    def read_slowly(self):
        """One message of every second socket."""
        for one in self.sockets[::2]:
            one.frame()

    def look(self):
        """Everything that was answered with 200 is there."""
        for n in range(1, PARTICIPANTS + 1):
            wanted = {f'small{n}', *(name for name in self.accepted('large') if name == f'large{n}')}
            jobs = self.workshop.get(f'/user/{n}/api/jobs')['jobs']
            ids = [job['id'] for job in jobs]
            assert len(ids) == len(set(ids)), ids
            lost = wanted - set(ids)
            assert not lost, f'answered with 200 and lost: {sorted(lost)}'


def serve(workshop):
    workshop.serve()
    resource.prlimit(workshop.server.child.pid, resource.RLIMIT_DATA, (DATA_MAX, DATA_MAX))


def test(workshops):
    workshop = Workshop('little-memory', NUM_USERS=str(PARTICIPANTS), LOG_LEVEL='warn')
    workshops.append(workshop)
    serve(workshop)
    worker = LinkWorker(workshop)
    workshop.ready_for_jobs()
    begun = time.monotonic()

    def tell(what):
        print(f'{time.monotonic() - begun:5.1f} s: {what}; peak {crowd.check_peak()} MiB', flush=True)

    crowd = Crowd(workshop)
    crowd.come_in()
    tell(f'{PARTICIPANTS} are in')
    crowd.ask_for_much()
    crowd.go_on()
    assert crowd.sent('upload') == UPLOADS and crowd.sent('large') > 0
    tell(f'{crowd.sent("large")} large prompts and {crowd.sent("file")} files have come but for a byte')
    slowest = crowd.post_small()
    crowd.read_slowly()
    tell(f'{PARTICIPANTS} small prompts were answered, the slowest in {slowest * 1000:.0f} ms')
    assert slowest < 5, slowest
    crowd.release()
    crowd.go_on(lambda: len(crowd.accepted('large')) >= LARGE_DONE)
    crowd.go_on(lambda: len(crowd.accepted('upload')) == UPLOADS)
    tell(f'{len(crowd.accepted("large"))} large prompts and {UPLOADS} uploads were accepted')
    assert worker.failure is None
    worker.close()
    assert workshop.server.child.poll() is None
    workshop.server.kill()
    serve(workshop)
    crowd.look()
    tell('killed, and all of it is there')


if __name__ == '__main__':
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    run(test)
