#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`atelier journal compact`: refused beside a running server; afterwards the same jobs, history and outputs
are there in a smaller file, `journal check` finds it whole, and a kill at any of its steps loses nothing."""

import os
from atelier_processes import Workshop, run, until
from link_worker import LinkWorker

POINTS = [
    'journal_before_checkpoint_flip:1',
    'journal_after_checkpoint_flip:1',
    'journal_before_file_write:30',
    'journal_before_sync:4',
    'journal_compact_entries:1',  # each with 500 rows less to remove
    'journal_compact_entries:2',
    'journal_compact_attachments:1',
    'journal_compact_vacuum:1',
]


def whole(workshop):
    done = workshop.journal_command('check')
    assert done.returncode == 0, done.stdout + done.stderr


def view(workshop):
    """What people see of it."""
    seen = {}
    for participant in (1, 2):
        for path in ('queue', 'history', 'api/jobs'):
            seen[participant, path] = workshop.get(f'/user/{participant}/{path}')
    return seen


def size(workshop):
    paths = [os.path.join(workshop.data, name) for name in ('atelier.db', 'atelier.db-wal')]
    return sum(os.path.getsize(path) for path in paths if os.path.exists(path))


def test(workshops):
    workshop = Workshop('compact', CHECKPOINT_ENTRIES='300', MAX_WAITING_PER_USER='0')
    workshops.append(workshop)
    workshop.serve()
    worker = LinkWorker(workshop)
    workshop.ready_for_jobs()
    for n in range(220):
        workshop.submit(1 + n % 2, f'job-{n}', color=n)
    until(lambda: not workshop.get('/api/queue/status')['pending'], 'the jobs')
    worker.close()
    for n in range(20):
        workshop.submit(1 + n % 2, f'waits-{n}', color=n)
    # History forgets these: their attachments may go, too.
    for n in range(0, 200, 2):
        workshop.request('POST', '/user/1/history', b'{"delete": ["job-%d"]}' % n)
    before, large = view(workshop), size(workshop)
    refused = workshop.journal_command('compact')
    assert refused.returncode == 2, refused
    assert 'another server is using' in refused.stderr and 'Stop the server first' in refused.stderr

    for point in POINTS:
        workshop.server.kill()
        died = workshop.journal_command('compact', env={'ATELIER_CRASH_AT': point})
        assert died.returncode == 137, (point, died)
        whole(workshop)
        workshop.serve()
        assert view(workshop) == before, point
        assert workshop.submit(1, f'at-{point}')['prompt_id']  # entries for the next one to remove
        workshop.post('/user/1/queue', {'delete': [f'at-{point}']})
        workshop.post('/user/1/history', {'delete': [f'at-{point}']})
        until(lambda: view(workshop) == before, 'the state of before')

    workshop.server.stop()
    done = workshop.journal_command('compact')
    assert done.returncode == 0, done
    assert size(workshop) < large / 4, (size(workshop), large)
    whole(workshop)
    assert len(workshop.journal()) == 1, 'only the newest entry is kept'
    again = workshop.journal_command('compact')
    assert again.returncode == 0 and again.stdout.startswith('0 entries and 0 attachments'), again
    workshop.serve()
    assert view(workshop) == before
    worker = LinkWorker(workshop)
    until(lambda: not workshop.get('/api/queue/status')['pending'], 'the jobs that waited')
    worker.close()


if __name__ == '__main__':
    run(test)
