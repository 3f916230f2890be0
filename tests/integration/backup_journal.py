#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`atelier journal backup` beside a server that takes prompts: a whole journal of one moment, with every
prompt that was acknowledged before it began. `restore`: refused beside a running server and for what is no
whole backup; otherwise the state of the backup, twice as once, and what was there is kept."""

import contextlib, os, shutil, sqlite3, threading
from atelier_processes import WORK, Workshop, run, until
from link_worker import LinkWorker

# What SQLite's own check does not see, and the words that say where it is.
SMALL_DAMAGES = (
    ('UPDATE entries SET payload = zeroblob(9) WHERE sequence = 9', 'entry 9 '),
    ('UPDATE entries SET time = 0 WHERE sequence = 50', 'entry 50 '),
    ('DELETE FROM entries WHERE sequence = 20', 'entry 20 '),
    ('UPDATE attachments SET bytes = zeroblob(length(bytes)) WHERE rowid = 5', 'attachment '),
)

FOLDER = os.path.join(WORK, 'backups')


def backup(name):
    return os.path.join(FOLDER, name)


def refused(done, code, *words):
    assert done.returncode == code, done
    for word in words:
        assert word in done.stderr, (word, done.stderr)


def prompts(workshop):
    return {entry['event']['prompt_id'] for entry in workshop.journal() if entry['kind'] == 'submitted'}


def view(workshop):
    paths = ('queue', 'history', 'api/jobs')
    return {(n, path): workshop.get(f'/user/{n}/{path}') for n in (1, 2) for path in paths}


class Crowd:
    """Submits as fast as it is answered, and keeps what was acknowledged."""

    def __init__(self, workshop):
        self.acknowledged, self.going = [], True
        self.thread = threading.Thread(target=self.submit, args=(workshop,))
        self.thread.start()

    def submit(self, workshop):
        while self.going:
            name = f'crowd-{len(self.acknowledged)}'
            workshop.submit(1 + len(self.acknowledged) % 2, name)
            self.acknowledged.append(name)

    def stop(self):
        self.going = False
        self.thread.join()


def damaged(source, name):
    with open(source, 'rb') as file:
        bytes_ = bytearray(file.read())
    middle = len(bytes_) // 2
    bytes_[middle : middle + 8192] = b'\xa5' * 8192
    with open(backup(name), 'wb') as file:
        file.write(bytes_)
    return backup(name)


def test(workshops):
    os.makedirs(FOLDER)
    workshop = Workshop('backup', MAX_WAITING_PER_USER='0')
    workshops.append(workshop)
    workshop.serve()
    worker = LinkWorker(workshop)
    workshop.ready_for_jobs()
    for n in range(20):
        workshop.submit(1 + n % 2, f'done-{n}', color=n)
    until(lambda: not workshop.get('/api/queue/status')['pending'], 'the jobs')
    worker.close()

    crowd = Crowd(workshop)
    for n in range(4):
        until(lambda: len(crowd.acknowledged) >= 50 * (n + 1), 'a crowd')
        before = set(crowd.acknowledged)
        done = workshop.journal_command('backup', backup(f'{n}.db'))
        assert done.returncode == 0, done
        assert os.stat(backup(f'{n}.db')).st_mode & 0o777 == 0o600
        copy = Workshop(f'copy-{n}')
        workshops.append(copy)
        os.makedirs(copy.data)
        restored = copy.journal_command('restore', backup(f'{n}.db'))
        assert restored.returncode == 0, restored
        whole = copy.journal_command('check')
        assert whole.returncode == 0, whole
        there = prompts(copy)
        assert before <= there, before - there
        assert {f'done-{n}' for n in range(20)} <= there
    crowd.stop()
    assert prompts(workshop) >= set(crowd.acknowledged)

    refused(workshop.journal_command('backup', backup('0.db')), 1, 'exists')
    running = workshop.journal_command('restore', backup('3.db'))
    refused(running, 2, 'another server is using', 'Stop the server first')
    workshop.submit(1, 'before-the-last')
    assert workshop.journal_command('backup', backup('last.db')).returncode == 0
    then = view(workshop)
    workshop.submit(1, 'after-the-last')
    workshop.server.kill()

    refused(workshop.journal_command('restore', backup('none.db')), 1, 'none.db')
    torn = damaged(backup('last.db'), 'torn.db')
    refused(workshop.journal_command('restore', torn), 2, 'torn.db is damaged', 'Nothing was changed')
    for change, words in SMALL_DAMAGES:
        shutil.copy(backup('last.db'), backup('small.db'))
        with contextlib.closing(sqlite3.connect(backup('small.db'))) as database:
            assert database.execute(change).rowcount == 1, change
            database.commit()
        done = workshop.journal_command('restore', backup('small.db'))
        refused(done, 2, 'small.db is damaged', words, 'Nothing was changed')
        assert not os.path.exists(os.path.join(workshop.data, 'atelier.db.restore'))
    assert 'after-the-last' in prompts(workshop)
    with open(backup('letter.db'), 'w') as file:
        file.write('Dear journal, ' * 500)
    done = workshop.journal_command('restore', backup('letter.db'))
    refused(done, 2, 'letter.db is not a journal of Atelier')
    for point in ('journal_restore_copied:1', 'journal_restore_kept:1'):
        died = workshop.journal_command('restore', backup('last.db'), env={'ATELIER_CRASH_AT': point})
        assert died.returncode == 137, (point, died)
        assert 'after-the-last' in prompts(workshop), point  # what was there before
    for _ in range(2):
        done = workshop.journal_command('restore', backup('last.db'))
        assert done.returncode == 0, done
        kept = done.stdout.splitlines()[-1].removeprefix('What was there is kept as ')
        workshop.serve()
        assert view(workshop) == then
        workshop.server.stop()
    assert os.path.exists(kept), done.stdout
    # A journal that is gone is no new one; a backup takes its place all the same.
    os.remove(os.path.join(workshop.data, 'atelier.db'))
    refused(workshop.journal_command('check'), 1, 'has been there')
    assert workshop.journal_command('restore', backup('last.db')).returncode == 0
    workshop.serve()
    assert view(workshop) == then
    workshop.server.stop()
    # The first one that was kept has all that was lost by going back.
    first = Workshop('first')
    os.makedirs(first.data)
    kept = os.path.join(workshop.data, 'atelier.db.before-restore-1')
    assert first.journal_command('restore', kept).returncode == 0
    assert 'after-the-last' in prompts(first)


if __name__ == '__main__':
    run(test)
