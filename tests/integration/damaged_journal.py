#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A damaged database: the server starts, says so, shows what stands before the damage, and records nothing;
one that cannot be read at all is refused with a sentence. The file is not written, whatever is done."""

import contextlib, hashlib, os, re, shutil, sqlite3, subprocess
from atelier_processes import BIN, Workshop, events_of, run, until
from link_worker import LinkWorker


def read_only(workshop, entries):
    """The promises of a server that runs on a damaged journal."""
    answer = workshop.post('/user/1/prompt', {'prompt': {}}, 503)
    found = re.search(r'after entry (\d+)\.', answer['error']['message'])
    assert found and entries[0] <= int(found[1]) <= entries[1], (found, entries)
    health = workshop.get('/health', expect=503)
    assert health['verdict'] == 'failed' and not health['journal']['accepting'], health
    assert 'atelier journal check' in health['journal']['reason'], health
    assert b'The journal is damaged' in workshop.get('/')
    # Editors work: files are no part of the journal.
    assert b'<script' in workshop.get('/user/1/')
    workshop.request('POST', '/user/1/userdata/workflows%2Fkept.json', b'{}')
    assert workshop.get('/user/1/userdata/workflows%2Fkept.json') == {}
    workshop.request('POST', '/user/1/history', b'{"clear": true}', expect=None)
    workshop.request('POST', '/user/1/interrupt', b'', expect=None)


def content(workshop):
    with open(os.path.join(workshop.data, 'atelier.db'), 'rb') as file:
        return file.read()


def put_content(workshop, data):
    for name in ('atelier.db-wal', 'atelier.db-shm'):
        if os.path.exists(os.path.join(workshop.data, name)):
            os.remove(os.path.join(workshop.data, name))
    with open(os.path.join(workshop.data, 'atelier.db'), 'wb') as file:
        file.write(data)


def refused(workshop, data, code, sentence):
    put_content(workshop, data)
    done = subprocess.run(
        [os.path.join(BIN, 'atelier'), 'serve', '--data', workshop.data, '--port', '0'],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == code and sentence in done.stderr, (done.returncode, done.stderr)
    assert content(workshop) == data


def lost(workshop, good):
    """What was emptied or removed is no new workshop, and a log that was cut is missed."""
    refused(workshop, b'', 2, 'has been there. Put a backup in its place')
    os.remove(os.path.join(workshop.data, 'atelier.db'))
    done = workshop.journal_command('check')
    assert done.returncode == 1 and 'has been there' in done.stderr, done
    assert not os.path.exists(os.path.join(workshop.data, 'atelier.db'))
    put_content(workshop, good)
    workshop.serve()
    last = workshop.journal()[-1]['sequence']
    for n in range(3):
        workshop.submit(1, f'late-{n}')
    workshop.server.kill()
    log = os.path.join(workshop.data, 'atelier.db-wal')
    os.truncate(log, os.path.getsize(log) // 8216 // 2 * 8216 + 32)  # whole frames
    done = workshop.journal_command('check')
    assert done.returncode == 1 and 'it is missing, though entries up to' in done.stdout, done
    workshop.serve()
    read_only(workshop, (last - 1, last + 2))
    assert workshop.server.stop() == 0
    os.remove(os.path.join(workshop.data, 'atelier.db-begun'))
    workshop.serve()
    assert workshop.get('/health', expect=None)['journal']['accepting']
    workshop.submit(1, 'goes-on')
    workshop.server.stop()
    assert workshop.journal_command('check').returncode == 0


def damaged_prompt(workshop):
    """A job whose prompt is damaged stays in the queue, and ends at its turn; the next one runs."""
    workshop.serve()
    for name in ('bad', 'good'):
        workshop.submit(1, name)
    workshop.server.stop()
    prompt = events_of(workshop.journal(), 'submitted')[-2]['event']['prompt']['id']
    with contextlib.closing(sqlite3.connect(os.path.join(workshop.data, 'atelier.db'))) as database:
        done = database.execute('SELECT bytes FROM attachments WHERE id = ?', (bytes.fromhex(prompt),))
        kept = done.fetchone()[0]
        at = kept.index(b'EmptyImage')  # a literal also where it lies packed: nothing but the digest tells
        kept = kept[:at] + b'X' + kept[at + 1 :]
        database.execute('UPDATE attachments SET bytes = ? WHERE id = ?', (kept, bytes.fromhex(prompt)))
        database.commit()
    done = workshop.journal_command('check')
    assert done.returncode == 1 and f'attachment {prompt} is not what entry' in done.stdout, done.stdout
    workshop.serve()
    queue = workshop.get('/user/1/queue')['queue_pending']
    assert [(job[1], bool(job[2])) for job in queue] == [('bad', False), ('good', True)], queue
    workshop.engine()
    workshop.worker()
    item = workshop.wait_history(1, 'bad')
    assert item['status']['status_str'] == 'error', item
    assert 'could not read this prompt back' in str(item['status']), item
    assert workshop.wait_history(1, 'good')['status']['status_str'] == 'success'
    workshop.server.stop()


def test(workshops):
    workshop = Workshop('damaged', CHECKPOINT_ENTRIES='0')
    workshops.append(workshop)
    workshop.serve()
    worker = LinkWorker(workshop)
    workshop.ready_for_jobs()
    for n in range(40):
        workshop.submit(1, f'job-{n}', color=n)
        workshop.wait_history(1, f'job-{n}')
    worker.close()
    workshop.server.stop()
    good = content(workshop)
    submitted = {
        entry['event']['prompt_id']: entry['sequence'] for entry in events_of(workshop.journal(), 'submitted')
    }

    # A bit in the payload of an entry.
    at = good.index(b'job-30')
    put_content(workshop, good[:at] + b'X' + good[at + 1 :])
    before = hashlib.sha256(content(workshop)).digest()
    done = workshop.journal_command('check')
    assert done.returncode == 1 and f'entry {submitted["job-30"]} ' in done.stdout, done.stdout
    workshop.serve()
    read_only(workshop, (submitted['job-30'] - 1, submitted['job-30'] - 1))
    assert workshop.history(1, 'job-29')['outputs']['2']['images'], 'history'
    assert workshop.history(1, 'job-30') is None
    assert len(workshop.outputs(1)) == 40
    name = workshop.history(1, 'job-29')['outputs']['2']['images'][0]['filename']
    assert workshop.get(f'/user/1/view?filename={name}&type=output') == b'a picture of job 30'
    worker = LinkWorker(workshop)
    until(lambda: 'is damaged' in str(worker.refused), 'the refusal of a worker')
    worker.close()
    assert workshop.server.stop() == 0
    assert hashlib.sha256(content(workshop)).digest() == before, 'a damaged database was written'

    # A time that goes back, and one that is none: no core would take the entry.
    for time in ('time - 3600000', '1 << 60'):
        put_content(workshop, good)
        with contextlib.closing(sqlite3.connect(os.path.join(workshop.data, 'atelier.db'))) as database:
            database.execute(f'UPDATE entries SET time = {time} WHERE sequence = ?', (submitted['job-30'],))
            database.commit()
        before = content(workshop)
        done = workshop.journal_command('check')
        assert done.returncode == 1 and f'entry {submitted["job-30"]} ' in done.stdout, done.stdout
        workshop.serve()
        read_only(workshop, (submitted['job-30'] - 1, submitted['job-30'] - 1))
        assert workshop.server.stop() == 0
        assert content(workshop) == before, 'a damaged database was written'

    # A page of garbage in the middle, and one that holds the newest entries.
    page = 8192
    for place in (good.index(b'job-20'), good.rindex(b'job-39')):
        at = place // page * page
        put_content(workshop, good[:at] + os.urandom(page) + good[at + page :])
        workshop.serve()
        read_only(workshop, (3, submitted['job-39'] + 10))
        assert workshop.history(1, 'job-2')['outputs']['2']['images']
        workshop.server.stop()

    # What cannot be read at all.
    refused(workshop, os.urandom(page) + good[page:], 2, 'is not a journal of Atelier')
    refused(workshop, good[:100] + os.urandom(page - 100) + good[page:], 74, 'put a backup in its place')
    put_content(workshop, good)
    assert workshop.journal_command('check').returncode == 0
    workshop.serve()
    assert workshop.get('/health', expect=None)['journal']['accepting']
    workshop.server.stop()
    good = content(workshop)
    lost(workshop, good)
    put_content(workshop, good)
    os.remove(os.path.join(workshop.data, 'atelier.db-begun'))
    damaged_prompt(workshop)
    shutil.rmtree(workshop.data, ignore_errors=True)


if __name__ == '__main__':
    run(test)
