#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""500 workers, each with a running job, and a server that is killed: all of them dial in again over TLS at
the same instant, without the jitter of the real agent; and once more, for it dies in the midst of that.
Everyone is linked soon, keeps its job and ends it; a lease whose message went down with the server is sent
again as it was; the jobs that waited are leased once, too. Meanwhile the server answers others at once."""

import asyncio, collections, hashlib, http.client, json, os, resource, signal, ssl, threading, time
import aiohttp
from atelier_processes import Workshop, certificate, events_of, free_ports, run, save_graph, until
from link_worker import catalog

WORKERS, WAITING = 500, 60
UNREAD = 7  # every so many workers have not read their lease when the server dies
MIDST = 20  # so many leases are sent again before it dies once more
LINKED_S, ANSWER_S = 10, 1
CATALOG = catalog()
HASH = hashlib.sha256(CATALOG).hexdigest()


class LinkClosed(Exception):
    pass


class Worker:
    """One worker with one slot. `lease` is what it holds, (job, epoch)."""

    def __init__(self, crowd, number):
        self.crowd, self.name = crowd, f'worker-{number}'
        self.reads_lease = number % UNREAD != 0
        self.boot = os.urandom(16).hex()
        self.lease, self.socket = None, None

    async def dial(self):
        """To the welcome."""
        link = {'Atelier-Protocol': '1', 'Atelier-Worker': self.name}
        self.socket = await self.crowd.http.ws_connect(
            self.crowd.url + '/worker/link', headers={**self.crowd.headers, **link}
        )
        slot = {'slot': 0, 'comfy_version': '0.21.0', 'object_info_hash': HASH, 'engine': 'ready'}
        slot |= {'engine_start': 1, 'device': 'script', 'vram_total': 0, 'holds': []}
        lines = []
        if self.lease:
            line = {'job': self.lease[0], 'epoch': self.lease[1], 'slot': 0, 'state': 'running'}
            lines.append({**line, 'committed': [], 'staged': []})
        hello = {'protocol': 1, 'agent': 'script', 'name': self.name, 'boot': self.boot, 'slots': [slot]}
        await self.say('hello', **hello, jobs=lines, disk_free=1 << 40, clock=int(time.time() * 1000))
        welcome = await self.receive('welcome')
        verdicts = [(line['job'], line['epoch'], line['verdict']) for line in welcome['answers']]
        assert verdicts == ([(*self.lease, 'keep')] if self.lease else []), (self.name, verdicts)
        self.crowd.linked += 1
        return welcome

    async def dial_in_vain(self):
        """To wherever it comes until the server is killed."""
        try:
            await self.dial()
        except (OSError, aiohttp.ClientError, LinkClosed):
            return

    async def say(self, kind, **fields):
        await self.socket.send_str(json.dumps({'type': kind, **fields}))

    async def receive(self, *kinds):
        """The next message, which must be of one of these kinds; hints are dropped."""
        while True:
            message = await self.socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise LinkClosed(f'{self.name}: {message}')
            message = json.loads(message.data)
            if message['type'] != 'hint':
                assert message['type'] in kinds, (self.name, message)
                return message

    async def take_lease(self):
        lease = await self.receive('lease')
        self.lease = lease['job'], lease['epoch']
        await self.say('started', job=lease['job'], epoch=lease['epoch'])

    async def work(self):
        """Ends its job, and what it is given then, until the crowd has ended all."""
        while len(self.crowd.ended) < WORKERS + WAITING:
            if not self.lease:
                await self.take_lease()
            job, epoch = self.lease
            await self.say('computed', job=job, epoch=epoch, gpu_ms=1)
            rest = {'cause': 'engine', 'reason': '', 'event': '', 'report': ''}
            await self.say('ended', job=job, epoch=epoch, outcome='succeeded', **rest)
            message = await self.receive('ended_ok', 'lease')
            self.lease = None
            if message['type'] == 'lease':  # the slot is free from computed on
                self.lease = message['job'], message['epoch']
                message = await self.receive('ended_ok')
            assert (message['job'], message['epoch']) == (job, epoch), (self.name, message)
            self.crowd.note_end(job)


class Onlookers(threading.Thread):
    """Others, who ask the server meanwhile, each on a new connection."""

    def __init__(self, workshop):
        super().__init__(daemon=True)
        self.workshop, self.slowest, self.asked = workshop, collections.Counter(), 0
        self.closing = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.closing.wait(0.01):
                for path in ('/health', '/user/1/', '/user/2/queue', '/api/queue/status'):
                    self.ask(path)
                self.asked += 1
        except Exception as error:  # noqa: BLE001
            self.failure = error

    def ask(self, path):
        begun = time.monotonic()
        connection = http.client.HTTPConnection('127.0.0.1', self.workshop.port, timeout=20)
        connection.request('GET', path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.status == 200, (path, answer.status)
        self.slowest[path] = max(self.slowest[path], time.monotonic() - begun)

    def end(self):
        self.closing.set()
        self.join()
        assert self.failure is None, self.failure
        assert self.asked > 1 and max(self.slowest.values()) < ANSWER_S, self.slowest
        return ', '.join(f'{path} {took * 1000:.0f} ms' for path, took in self.slowest.items())


def waiting_to_be_accepted(port):
    """Connections in the listener's queue."""
    with open('/proc/net/tcp') as file:
        rows = [line.split() for line in file]
    return next(int(row[4][-8:], 16) for row in rows if row[1].endswith(f':{port:04X}') and row[3] == '0A')


class Crowd:
    def __init__(self, workshop, http):
        self.workshop, self.http = workshop, http
        self.url = workshop.server.line('https ').rstrip('/')
        with open(os.path.join(workshop.data, 'worker.token')) as file:
            self.headers = {'Authorization': f'Bearer {file.read().strip()}'}
        self.workers = [Worker(self, n) for n in range(WORKERS)]
        self.linked, self.ended, self.all_ended = 0, set(), asyncio.Event()

    def note_end(self, job):
        self.ended.add(job)
        if len(self.ended) == WORKERS + WAITING:
            self.all_ended.set()

    async def come_in(self):
        first = self.workers[0]
        welcome = await first.dial()
        assert welcome['want'] == [HASH], welcome
        headers = {**self.headers, 'Atelier-Link': str(welcome['link'])}
        url = f'{self.url}/worker/object_info/{HASH}'
        async with self.http.put(url, data=CATALOG, headers=headers) as put:
            assert put.status == 204, put.status
        await first.say('engine_ready', slot=0, comfy_version='0.21.0', object_info_hash=HASH, engine_start=1,
                        device='script', vram_total=0)  # fmt: skip
        await asyncio.gather(*(worker.dial() for worker in self.workers[1:]))

    async def submit(self, number):
        body = {'prompt': save_graph(number), 'prompt_id': f'job-{number}', 'client_id': 'c'}
        url = f'{self.workshop.url}/user/{1 + number % WORKERS}/prompt'
        async with self.http.post(url, json=body) as answer:
            assert answer.status == 200, await answer.text()

    async def status(self):
        async with self.http.get(self.workshop.url + '/api/queue/status') as answer:
            found = await answer.json()
            return found['running'], found['pending']

    async def all_running(self):
        """Until every worker that reads its lease has said so, and the rest are leased, too."""
        await asyncio.gather(*(worker.take_lease() for worker in self.workers if worker.reads_lease))
        while await self.status() != (WORKERS, WAITING):
            await asyncio.sleep(0.02)

    async def kill_server(self):
        self.workshop.server.kill()
        for worker in self.workers:  # what came and was not read is lost with the link
            if worker.socket:
                await worker.socket.close()
        self.linked = 0

    async def storm(self, dial, **env):
        """A new server, and everyone at its door before it does anything. Gives their tasks."""
        await asyncio.to_thread(self.workshop.serve, env)
        server = self.workshop.server.child
        port = int(self.url.rsplit(':', 1)[1])
        server.send_signal(signal.SIGSTOP)
        dials = asyncio.gather(*map(dial, self.workers))
        try:
            await asyncio.to_thread(
                until, lambda: waiting_to_be_accepted(port) == WORKERS, 'everyone in the accept queue', 10
            )
        finally:
            server.send_signal(signal.SIGCONT)
        return dials

    async def work(self):
        working = asyncio.gather(*(worker.work() for worker in self.workers))
        ended = asyncio.ensure_future(self.all_ended.wait())
        await asyncio.wait({working, ended}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
        assert ended.done(), f'{len(self.ended)} jobs have ended'
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def check_journal(journal):
    """Everything once."""
    leases = [entry['event'] for entry in events_of(journal, 'leased')]
    leased = collections.Counter((lease['job'], lease['epoch']) for lease in leases)
    assert set(leased.values()) == {1} and len(leased) == WORKERS + WAITING, leased.most_common(5)
    assert {epoch for _, epoch in leased} == {1}
    ended = collections.Counter(entry['event']['job'] for entry in events_of(journal, 'ended'))
    assert set(ended.values()) == {1} and set(ended) == {job for job, _ in leased}
    assert {entry['event']['outcome'] for entry in events_of(journal, 'ended')} == {'succeeded'}
    lost = [entry for entry in journal if entry['kind'] in ('lease_expired', 'returned')]
    assert not lost, lost[:3]
    # One link before the first kill and one after the second, and perhaps one between them.
    joined = collections.Counter(entry['event']['name'] for entry in events_of(journal, 'worker_joined'))
    assert set(joined.values()) <= {2, 3} and len(joined) == WORKERS, joined.most_common(3)


async def drive(workshop, trusted):
    timeout = aiohttp.ClientTimeout(total=30)
    connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=trusted))
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        crowd = Crowd(workshop, http)
        await crowd.come_in()
        await asyncio.gather(*(crowd.submit(n) for n in range(WORKERS + WAITING)))
        await crowd.all_running()

        await crowd.kill_server()
        await (await crowd.storm(Worker.dial_in_vain, ATELIER_CRASH_AT=f'lease_before_send:{MIDST}'))
        between = crowd.linked
        assert workshop.server.child.wait(10) == 137, workshop.server.child.returncode
        await crowd.kill_server()

        dials = await crowd.storm(Worker.dial)
        begun = time.monotonic()
        onlookers = Onlookers(workshop)
        onlookers.start()
        await dials
        took = time.monotonic() - begun
        print(f'{between} were linked when it died again, {WORKERS} then in {took:.1f} s', flush=True)
        assert took < LINKED_S, took
        await crowd.work()
        print('slowest answers meanwhile:', await asyncio.to_thread(onlookers.end))
        assert await crowd.status() == (0, 0)


def test(workshops):
    pem, key = certificate('server')
    keys = {'SSL_CERT_PATH': pem, 'SSL_KEY_PATH': key, 'HTTPS_PORT': str(free_ports(1))}
    workshop = Workshop('many-workers', NUM_USERS=str(WORKERS), LOG_LEVEL='warn', **keys)
    workshops.append(workshop)
    workshop.serve()
    asyncio.run(drive(workshop, pem))
    for participant in (1, 1 + WORKERS // 2, WORKERS):
        history = workshop.get(f'/user/{participant}/history')
        assert history and all(item['status']['completed'] for item in history.values()), history
    workshop.server.kill()
    check_journal(workshop.journal())


if __name__ == '__main__':
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    run(test)
