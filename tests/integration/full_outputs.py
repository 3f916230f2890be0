#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""No space for what jobs have made, then no inodes: the worker keeps its job and its files and comes again,
for longer than a lease lasts, while the journal goes on; the log says what to do. When there is room the same
run of the job ends as succeeded, once, with its files whole. DATA_DIR is one file system (the server takes no
other, which is tried, too); what uploads leave free of it is the journal's."""

import contextlib, hashlib, os, subprocess, sys

from atelier_processes import BIN, WORK, Workshop, events_of, run, until
from broken_link import Site
from fake_comfyui import bad_graph

MIB = 1 << 20
TRIES = r'^(HEAD|PUT) /worker/output/'


@contextlib.contextmanager
def mounted(folder, options):
    os.makedirs(folder, exist_ok=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', f'{options},mode=0755', 'tmpfs', folder], check=True)
    try:
        yield
    finally:
        subprocess.run(['umount', '-l', folder], check=False)


class FullSite(Site):
    """A workshop on a small disk with one worker behind a proxy."""

    def __init__(self, workshops, name):
        super().__init__(workshops, name)
        self.accepted, self.cancelled = {1: [], 2: []}, 0
        self.filler = os.path.join(self.workshop.data, 'filler')
        self.engine.conducts['deep'] = self.deep

    async def deep(self, run_):
        """A file in folders that are not there yet."""
        run_.start()
        run_.executed('2', {'images': [run_.save('2')]})
        run_.success()
        run_.finish()

    # --- the disk
    def space(self):
        return os.statvfs(self.workshop.data)

    def leave_bytes(self, count):
        space = self.space()
        with open(self.filler, 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - count)

    def leave_inodes(self, count):
        os.mkdir(self.filler)
        for n in range(self.space().f_favail - count):
            open(os.path.join(self.filler, str(n)), 'w').close()

    def make_room(self):
        subprocess.run(['rm', '-rf', self.filler], check=True)

    # --- steps
    def take(self, participant, prompt_id, how, **more):
        """A prompt that is accepted."""
        graph = bad_graph(how, color=len(prompt_id), **more)
        self.workshop.submit_graph(participant, prompt_id, graph)
        self.accepted[participant].append(prompt_id)

    def refuse(self, prompt_id):
        answer = self.workshop.submit_graph(2, prompt_id, bad_graph('honest'), expect=507)
        assert 'the instructor frees space' in str(answer), answer

    def health(self):
        health = self.workshop.get('/health')
        assert health['journal']['accepting'], health
        return health

    def records(self):
        """The journal takes what needs hardly any room: a job of participant 2 is cancelled."""
        prompt_id = self.accepted[2].pop()
        self.cancelled += 1
        self.workshop.post('/user/2/queue', {'delete': [prompt_id]})
        until(lambda: not self.waiting(2), 'the cancelled job to be gone')

    def waiting(self, participant):
        return [job[1] for job in self.workshop.get(f'/user/{participant}/queue')['queue_pending']]

    def comes_again(self, prompt_id):
        """Three times, which takes longer than its lease lasts without a word."""
        begun = len(self.proxy.requests(TRIES))
        until(lambda: 'output_waits' in self.workshop.server.text(), 'the log to say it')
        assert 'make room in DATA_DIR' in self.workshop.server.text()
        until(lambda: len(self.proxy.requests(TRIES)) >= begun + 4, 'the worker to come again')
        running = [job[1] for job in self.workshop.get('/user/1/queue')['queue_running']]
        assert running == [prompt_id], running

    def all_is_well(self):
        """Every accepted prompt has succeeded in its first run, once."""
        for participant, prompt_ids in self.accepted.items():
            for prompt_id in prompt_ids:
                item = self.workshop.wait_history(participant, prompt_id)
                assert item['status']['status_str'] == 'success', (prompt_id, item['status'])
        assert not any('journal_refused' in p.text() for p in self.workshop.processes if p.name == 'serve')
        until(lambda: not self.staged(), 'no staging')
        self.workshop.server.stop()
        journal = self.workshop.journal()
        ended = [entry['event']['job'] for entry in events_of(journal, 'ended')]
        succeeded = sum(map(len, self.accepted.values()))
        assert len(ended) == len(set(ended)) == succeeded + self.cancelled, ended
        commits = [entry['event']['job'] for entry in events_of(journal, 'committed')]
        assert len(commits) == len(set(commits)) == succeeded, commits
        assert {entry['event']['epoch'] for entry in events_of(journal, 'leased')} == {1}
        self.workshop.journal_command('check').check_returncode()

    def staged(self):
        return [name for name in os.listdir(os.path.join(self.workshop.data, 'staging')) if name != 'tmp']

    def check_picture(self, prompt_id):
        image = self.workshop.wait_history(1, prompt_id)['outputs']['2']['images'][0]
        query = f'filename={image["filename"]}&subfolder={image["subfolder"]}&type=output'
        picture = self.workshop.get(f'/user/1/view?{query}')
        assert hashlib.sha256(picture).hexdigest() in self.pictures(), image

    def pictures(self):
        """The digests of all that the engine has made."""
        for at, _, names in os.walk(os.path.join(self.engine.folder, 'output')):
            for name in names:
                with open(os.path.join(at, name), 'rb') as file:
                    yield hashlib.file_digest(file, 'sha256').hexdigest()


def too_large_for_what_is_left(site):
    """Small ones fit: nobody else notices anything."""
    site.size = 12 * MIB
    site.leave_bytes(6 * MIB)
    site.take(1, 'large', 'big')
    site.comes_again('large')
    site.take(2, 'small', 'honest')
    assert site.workshop.wait_history(2, 'small')['status']['completed']
    assert not site.health()['disk']['low']
    free = site.space().f_bavail * site.space().f_frsize
    assert free > 5 * MIB, f'the upload has taken the room of others: {free} bytes are left'
    site.make_room()
    site.check_big('large')


def ends_without_room(site, leave, amount):
    """A job ends after leave(amount): its output waits, and what else comes is refused."""
    site.take(1, 'made', 'waits')
    until(lambda: site.go, 'the run to wait')
    site.take(2, 'not wanted', 'waits')
    leave(amount)
    site.records()
    site.let_go()
    site.comes_again('made')
    site.refuse('refused')
    assert site.health()['disk']['low']


def nothing_left(site):
    """The room that is the journal's is all that there is; the server is killed and started in it."""
    ends_without_room(site, site.leave_bytes, 1 * MIB)
    site.workshop.server.kill()
    site.workshop.serve()
    until(lambda: site.health()['workers'], 'the worker')
    site.comes_again('made')
    site.make_room()
    site.check_picture('made')


def no_inodes(site):
    ends_without_room(site, site.leave_inodes, 0)
    site.make_room()
    site.check_picture('made')


def inodes_end_at_the_names(site):
    """The file is stored, and there is no room for the folders of its name."""
    free, kept = site.space().f_favail, site.space().f_files // 20
    assert free > kept + 1
    site.leave_inodes(kept + 1)
    site.take(1, 'deep', 'deep', prefix='/'.join('abcdefghijkl') + '/deep')
    until(lambda: 'names_not_linked' in site.workshop.server.text(), 'the log to say it')
    assert site.health()['disk']['low']
    site.make_room()
    site.check_picture('deep')


def two_file_systems(workshops):
    """Refused at start, with the name of the key: a rename must do."""
    workshop = Workshop('full-outputs-two')
    workshops.append(workshop)
    outputs = os.path.join(WORK, 'outputs')
    with mounted(outputs, 'size=8m'):
        command = [os.path.join(BIN, 'atelier'), 'serve', '--data', workshop.data, '--port', '0']
        process = workshop.start('serve', command, {**workshop.env, 'OUTPUTS_PATH': outputs})
        assert process.child.wait(timeout=20) == 2
        assert 'OUTPUTS_PATH' in process.text() and 'one file system' in process.text(), process.text()


def test(workshops):
    two_file_systems(workshops)
    for name, options, cases in (
        ('space', 'size=48m', (too_large_for_what_is_left, nothing_left)),
        ('inodes', 'size=48m,nr_inodes=100', (no_inodes, inodes_end_at_the_names)),
    ):
        with mounted(os.path.join(WORK, f'broken-link-{name}'), options), FullSite(workshops, name) as site:
            for case in cases:
                case(site)
            site.all_is_well()
            site.workshop.close()


if __name__ == '__main__':
    if os.geteuid() != 0:
        print('a small tmpfs needs the right to mount')
        sys.exit(77)
    run(test)
