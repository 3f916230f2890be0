#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Outputs of more than a hundred MB whose upload is cut in the middle: by the line, by a kill of the server,
of the agent, or of both. What the server has is not sent again, the job is not run again, and the file
arrives as it was made."""

import glob, hashlib, json, os

from atelier_processes import WORK, events_of, run, until
from broken_link import MIB, Site

SIZE = 120 * MIB


class Cut(Site):
    """Its conduct `big` makes the same bytes in each run of one job."""

    with_folder = True  # the agent is told of --comfy-dir
    kind = 'output'  # of the file

    def start_worker(self):
        comfy = {'comfy': self.engine.url, 'comfy_dir': self.engine.folder if self.with_folder else None}
        self.worker = self.workshop.worker(join=self.proxy.url, **comfy)

    async def big(self, run_):
        run_.start()
        content = self.block * (SIZE // MIB)
        if self.kind == 'output':
            file = run_.save('2', content, '.bin')
        else:
            file = {'filename': 'big_00001_.bin', 'subfolder': '', 'type': 'temp'}
            self.engine.write('temp', '', file['filename'], content)
        run_.executed('2', {'files': [file]})
        run_.success()
        run_.finish()

    def check_big(self, prompt_id):
        file = self.succeeded(prompt_id)['files'][0]
        assert file['type'] == self.kind
        path = os.path.join(self.workshop.data, 'participants', '1', self.kind, file['filename'])
        with open(path, 'rb') as content:
            assert hashlib.file_digest(content, 'sha256').hexdigest() == self.digest

    def kept(self):
        """What the agent has written down for its next process."""
        return glob.glob(os.path.join(WORK, 'state', 'atelier-worker', 'w1', 'spool-*', 'run-*.json'))

    def cut(self, name, by, runs=1):
        proxy = self.proxy
        self.block = os.urandom(MIB)
        self.digest = hashlib.sha256(self.block * (SIZE // MIB)).hexdigest()
        prompts, before = len(self.engine.prompts), proxy.up.bytes
        proxy.up.rate = 40 * MIB
        self.submit(name, 'big')
        until(lambda: proxy.up.bytes - before > SIZE // 3, 'a third of it to be sent')
        until(self.kept, 'the run to be written down')
        by()
        proxy.up.rate = None
        self.check_big(name)
        sent = proxy.up.bytes - before
        assert SIZE < sent < 1.3 * SIZE, f'{name}: {sent / SIZE:.2f} times its bytes'
        assert len(self.engine.prompts) - prompts == runs, (name, len(self.engine.prompts) - prompts)
        begun = [offset for offsets in self.offsets(self.last_job()).values() for offset in offsets]
        assert begun[0] == 0 and begun[-1] > SIZE // 4, (name, begun)
        assert list(self.offsets(self.last_job())) == list(range(1, runs + 1)), name
        until(lambda: not self.kept(), 'nothing to be kept any more')
        staging, prefix = os.path.join(self.workshop.data, 'staging'), f'{self.last_job()}-'
        until(lambda: not [one for one in os.listdir(staging) if one.startswith(prefix)], 'no staging')

    # --- ways to cut
    def agent(self):
        self.worker.kill()
        self.start_worker()

    def server(self):
        self.workshop.server.kill()
        self.workshop.serve()

    def both(self):
        self.worker.kill()
        self.server()
        self.start_worker()

    def agent_and_engine(self):
        """Which comes back when all is handed over."""
        self.engine.die()
        self.worker.kill()
        self.start_worker()

    def agent_and_temp_folder(self):
        """ComfyUI empties it at its start."""
        self.engine.die()
        self.worker.kill()
        self.engine.revive()
        assert not os.listdir(os.path.join(self.engine.folder, 'temp'))
        self.start_worker()

    def agent_for_long(self):
        """Its lease runs out, and the job is run again: what it makes is the same."""
        self.worker.kill()
        expired = lambda: events_of(self.workshop.journal(), 'lease_expired')  # noqa: E731
        count = len(expired())
        until(lambda: len(expired()) > count, 'the lease to run out')
        self.start_worker()

    def damaged(self):
        """A machine that lost its power may leave anything there."""
        self.worker.kill()
        [path] = self.kept()
        with open(path, 'r+b') as file:
            file.truncate(100)
        self.start_worker()
        until(lambda: 'kept_run_damaged' in self.worker.text(), 'a word about it')

    def of_another_workshop(self):
        """As if the data folder had been replaced meanwhile: the numbers are the same, the job is not."""
        self.worker.kill()
        [path] = self.kept()
        with open(path) as file:
            kept = json.load(file)
        kept['workshop'] = '0' * 32
        with open(path, 'w') as file:
            json.dump(kept, file)
        self.start_worker()


def ended_once(workshop):
    journal = workshop.journal()
    ended = [entry['event']['job'] for entry in events_of(journal, 'ended')]
    assert len(set(ended)) == len(ended) == len(events_of(journal, 'submitted')), ended
    assert len(events_of(journal, 'committed')) == len(ended)


def test(workshops):
    with Cut(workshops, 'resumes', LEASE_TTL='60s') as site:
        site.cut('line', site.proxy.reset)
        site.cut('server', site.server)
        site.cut('agent', site.agent)
        site.cut('both', site.both)
        site.cut('engine', site.agent_and_engine)
        site.engine.revive()
        site.kind = 'temp'
        site.cut('temp', site.agent_and_temp_folder)
        site.kind = 'output'
        site.cut('damaged', site.damaged, runs=2)
        site.cut('another workshop', site.of_another_workshop, runs=2)
        ended_once(site.workshop)
        site.worker.stop()
        site.with_folder = False  # now the agent has copies of its own
        site.start_worker()
        site.cut('copy', site.agent)
        site.workshop.close()
    with Cut(workshops, 'expires', LEASE_TTL='5s') as site:
        site.cut('late', site.agent_for_long, runs=2)
        ended_once(site.workshop)


if __name__ == '__main__':
    run(test)
