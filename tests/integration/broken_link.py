#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A worker behind a line that breaks in every way: what the server has acknowledged is not sent again, also
when the server is restarted; what was said into the void is said again; a line that is dead without a word
costs no job and no memory, and whoever wakes up behind it changes nothing."""

import asyncio, hashlib, os, re

from atelier_processes import WORK, Workshop, events_of, run, until
from chaos_proxy import ChaosProxy
from fake_comfyui import FakeComfyUI, bad_graph, honest

MIB = 1 << 20
PUT = r'^PUT /worker/output/(\d+)/(\d+)/\d+\?.*offset=(\d+)'


class Site:
    """A workshop with one worker behind a proxy."""

    def __init__(self, workshops, name, **env):
        self.workshop = Workshop(f'broken-link-{name}', **env)
        workshops.append(self.workshop)
        self.workshop.serve()
        self.proxy = ChaosProxy(self.workshop.port)
        self.engine = FakeComfyUI(os.path.join(WORK, f'comfy-{name}'), extra_nodes=['Misbehave'])
        self.engine.conducts.update(waits=self.waits, big=self.big, floods=self.floods)
        self.go = None
        self.digest = None
        self.size = 200 * MIB  # of what the conduct `big` makes

    def __enter__(self):
        self.start_worker()
        self.workshop.ready_for_jobs()
        return self

    def __exit__(self, *_):
        self.engine.close()
        self.proxy.close()

    def start_worker(self):
        comfy = {'comfy': self.engine.url, 'comfy_dir': self.engine.folder}
        self.worker = self.workshop.worker(join=self.proxy.url, **comfy)

    # --- conducts
    async def waits(self, run_):
        """Until the test lets it go on."""
        run_.start()
        self.go = asyncio.Event()
        await self.go.wait()
        await honest(run_)

    async def floods(self, run_):
        """More than a dead line can take."""
        self.go = asyncio.Event()
        run_.start()
        for tick in range(100_000):
            run_.progress('2', tick, 100_000)
            if tick % 500 == 0:
                run_.say('executed', node='1', display_node='1', output={'text': ['x' * 300_000]})
                await run_.spoken()
        await self.go.wait()
        await honest(run_)

    async def big(self, run_):
        run_.start()
        block = os.urandom(MIB)
        self.digest = hashlib.sha256(block * (self.size // MIB)).hexdigest()
        run_.executed('2', {'files': [run_.save('2', block * (self.size // MIB), '.bin')]})
        run_.success()
        run_.finish()

    # --- steps
    def submit(self, prompt_id, how, color=1):
        self.go = None
        self.workshop.submit_graph(1, prompt_id, bad_graph(how, color=color))

    def let_go(self):
        until(lambda: self.go, 'the run to wait')
        self.engine.loop.call_soon_threadsafe(self.go.set)

    def running(self):
        until(lambda: self.workshop.get('/user/1/queue')['queue_running'], 'the run')

    def succeeded(self, prompt_id):
        item = self.workshop.wait_history(1, prompt_id)
        assert item['status']['status_str'] == 'success', (prompt_id, item['status'])
        return item['outputs']['2']

    def offsets(self, job):
        """Where the bytes of its uploads began, by epoch."""
        found = {}
        for match in self.proxy.requests(PUT):
            if match[1] == str(job):
                found.setdefault(int(match[2]), []).append(int(match[3]))
        return found

    def last_job(self):
        return events_of(self.workshop.journal(), 'leased')[-1]['event']['job']

    def check_big(self, prompt_id):
        file = self.succeeded(prompt_id)['files'][0]
        path = os.path.join(self.workshop.data, 'participants', '1', 'output', file['filename'])
        with open(path, 'rb') as content:
            assert hashlib.file_digest(content, 'sha256').hexdigest() == self.digest


def resumes_after_resets(site):
    """Each connection is reset after 48 MB."""
    proxy = site.proxy
    proxy.up.cut_after = 48 * MIB
    before = proxy.up.bytes
    site.submit('resets', 'big')
    site.check_big('resets')
    proxy.up.cut_after = None
    acknowledged = [int(found[1]) for _, way, text in proxy.heads
                    if way == 'down' and (found := re.search(r'Upload-Offset: (\d+)', text))]  # fmt: skip
    begun = site.offsets(site.last_job())[1]
    assert proxy.cuts == len(begun) - 1 >= 3, (proxy.cuts, begun)
    assert begun == acknowledged[: len(begun)] == sorted(set(begun)), (begun, acknowledged)
    again = proxy.up.bytes - before - site.size
    assert again < proxy.cuts * 8 * MIB, f'{again} bytes went twice in {proxy.cuts} breaks'


def send_a_third(site, name):
    """Of the big output of a new job; gives the bytes that had gone up before."""
    before = site.proxy.up.bytes
    site.proxy.up.rate = 50 * MIB
    site.submit(name, 'big')
    until(lambda: site.proxy.up.bytes - before > site.size // 3, 'a third of it to be sent')
    return before


def server_killed_in_mid_upload(site):
    proxy, workshop = site.proxy, site.workshop
    before = send_a_third(site, 'server')
    workshop.server.kill()
    workshop.serve()
    proxy.up.rate = None
    site.check_big('server')
    begun = site.offsets(site.last_job())
    assert list(begun) == [1] and begun[1][-1] > site.size // 4, begun
    assert proxy.up.bytes - before - site.size < 8 * MIB, proxy.up.bytes - before


def worker_stopped_in_mid_upload(site):
    """It finishes what it has and leaves."""
    proxy = site.proxy
    before = proxy.up.bytes
    proxy.up.rate = 50 * MIB
    site.submit('stopped', 'big')
    until(lambda: proxy.up.bytes - before > site.size // 3, 'a third of it to be sent')
    stopped, proxy.up.rate = site.worker, None
    stopped.child.terminate()
    site.check_big('stopped')
    assert stopped.stop() == 0, stopped.text()
    assert list(site.offsets(site.last_job())) == [1]
    site.start_worker()


def answers_lost(site):
    """The line breaks where the server's word should come."""
    for word in (b'"lease"', b'"committed"', b'"ended_ok"'):
        cuts = site.proxy.cuts
        site.proxy.down.cut_on = word
        name = f'lost {word.decode()}'
        site.submit(name, 'honest', color=2)
        site.succeeded(name)
        until(lambda: site.proxy.cuts == cuts + 1, f'{word} to be lost')
        until(lambda: 'held=' in site.worker.text().rsplit('link_up', 1)[1], 'the next link')


def line_breaks_while_it_runs(site):
    proxy = site.proxy

    def resets():
        proxy.refusing = True
        proxy.reset()
        site.let_go()
        until(lambda: site.engine.history.get(site.engine.prompts[-1]['prompt_id']), 'its end')
        proxy.refusing = False

    def half_closes():
        proxy.half_close()
        site.let_go()

    def loses():
        proxy.up.lost = True
        site.let_go()
        until(lambda: site.engine.history.get(site.engine.prompts[-1]['prompt_id']), 'its end')
        proxy.up.lost = False
        proxy.reset()

    def crawls():
        proxy.up.delay = proxy.down.delay = 0.1
        proxy.up.rate = proxy.down.rate = 4_000
        site.let_go()

    for n, breaks in enumerate((resets, half_closes, loses, crawls)):
        links = site.worker.text().count('link_up')
        site.submit(f'break {n}', 'waits', color=10 + n)
        site.running()
        breaks()
        site.succeeded(f'break {n}')
        assert breaks is crawls or site.worker.text().count('link_up') > links, breaks
    proxy.up.delay = proxy.down.delay = 0
    proxy.up.rate = proxy.down.rate = None


def peak_mib(process):
    with open(f'/proc/{process.child.pid}/status') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmHWM')) // 1024


def dead_without_a_word(site):
    """The line takes nothing and says nothing. The job goes to another worker; the first wakes up later."""
    proxy, workshop = site.proxy, site.workshop
    site.submit('dead', 'floods', color=3)
    until(lambda: site.go, 'the run')
    proxy.up.held = proxy.down.held = True
    ghost_run = site.engine.prompts[-1]['prompt_id']
    other = FakeComfyUI(os.path.join(WORK, 'comfy-other'), extra_nodes=['Misbehave'])
    try:
        second = workshop.worker('w2', comfy=other.url, comfy_dir=other.folder)
        site.succeeded('dead')
        site.let_go()
        # It is not read on until two pings have found no answer, which takes a minute.
        until(lambda: site.engine.history.get(ghost_run), 'the end of the run that nobody waits for', 90)
        assert peak_mib(site.worker) < 200, peak_mib(site.worker)
        proxy.up.held = proxy.down.held = False
        until(lambda: 'link_up' in site.worker.text().split('link_down')[-1], 'the next link')
        second.stop()
    finally:
        other.close()
    site.submit('alive', 'honest', color=4)
    site.succeeded('alive')


def ended_once(workshop):
    journal = workshop.journal()
    submitted = events_of(journal, 'submitted')
    ended = [entry['event']['job'] for entry in events_of(journal, 'ended')]
    assert len(set(ended)) == len(ended) == len(submitted), (len(submitted), ended)
    commits = [(entry['event']['job'], entry['event']['node']) for entry in events_of(journal, 'committed')]
    assert len(commits) == len(set(commits)), commits
    assert len(workshop.outputs(1)) == len(submitted), workshop.outputs(1)
    return {entry['event']['job']: entry['event']['epoch'] for entry in events_of(journal, 'leased')}


def test(workshops):
    with Site(workshops, 'patient', LEASE_TTL='60s') as site:
        site.engine.conducts['honest'] = honest
        resumes_after_resets(site)
        site.size = 80 * MIB
        server_killed_in_mid_upload(site)
        worker_stopped_in_mid_upload(site)
        answers_lost(site)
        line_breaks_while_it_runs(site)
        epochs = ended_once(site.workshop)
        assert set(epochs.values()) == {1}, epochs
        site.workshop.close()
    with Site(workshops, 'strict', LEASE_TTL='5s') as site:
        site.engine.conducts['honest'] = honest
        dead_without_a_word(site)
        assert list(ended_once(site.workshop).values()) == [2, 1]


if __name__ == '__main__':
    run(test)
