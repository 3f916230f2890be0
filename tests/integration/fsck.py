#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`atelier fsck`: what is deleted, cut or added at random is named, all of it and nothing else; a repair
loses nothing and leaves only what is missing; an older journal beside newer files and the other way round;
the server starts on all of it and shows its pages; a job whose input is gone says so."""

import hashlib, os, random, shutil, subprocess
from atelier_processes import BIN, Workshop, events_of, png, run, save_graph, until

SEED = int(os.environ.get('ATELIER_SEED', '2111'))


def fsck(workshop, *arguments, expect=0):
    """The findings, and what else was printed."""
    command = [os.path.join(BIN, 'atelier'), 'fsck', '--data', workshop.data, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == expect, done
    lines = done.stdout.splitlines()
    last = next((n for n, line in enumerate(lines) if ' blobs (' in line), len(lines))
    return sorted(lines[:last]), '\n'.join(lines[last:]) + done.stderr


def kinds(findings):
    return sorted(line.split(':', 1)[0] for line in findings)


def stored(workshop):
    """Every file of the store by its path, as bytes."""
    files = {}
    for part in ('blobs', 'participants', 'staging', 'quarantine'):
        for folder, _, names in os.walk(os.path.join(workshop.data, part)):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, 'rb') as file:
                    files[os.path.relpath(path, workshop.data)] = file.read()
    return files


class Made:
    """The file that one job has made."""

    def __init__(self, workshop, participant, prompt_id):
        item = workshop.wait_history(participant, prompt_id)
        assert item['status']['status_str'] == 'success', item
        (image,) = item['outputs']['2']['images']
        self.workshop, self.participant, self.prompt_id = workshop, participant, prompt_id
        self.name = image['filename']
        self.path = f'participants/{participant}/output/{self.name}'
        with open(os.path.join(workshop.data, self.path), 'rb') as file:
            self.content = file.read()
        digest = hashlib.sha256(self.content).hexdigest()
        self.blob = f'blobs/{digest[:2]}/{digest[2:]}'
        submitted = [e['event'] for e in workshop.journal() if e['kind'] == 'submitted']
        self.job = 1 + [event['prompt_id'] for event in submitted].index(prompt_id)
        self.row = f'job {self.job} of participant {participant} made output/{self.name}'
        self.row += f' ({len(self.content)} bytes, digest {digest})'

    def remove(self, *paths):
        for path in paths:
            os.remove(os.path.join(self.workshop.data, path))

    def view(self, expect=200):
        return self.workshop.get(f'/user/{self.participant}/api/view?filename={self.name}', expect)


def make(workshop, names, first=0):
    for n, name in enumerate(names):
        workshop.submit(1 + n % 2, name, color=first + n, prefix='made')
    return [Made(workshop, 1 + n % 2, name) for n, name in enumerate(names)]


def start(workshop):
    workshop.serve()
    workshop.engine()
    workshop.worker()
    workshop.ready_for_jobs()


def stop(workshop):
    workshop.close()
    workshop.processes.clear()


def pages(workshop):
    for participant in (1, 2):
        for path in ('queue', 'history', 'api/jobs', 'internal/files/output'):
            workshop.get(f'/user/{participant}/{path}')


def add(workshop, path, content):
    path = os.path.join(workshop.data, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(content)


def nothing_lost(before, after, quarantine):
    """What was there is there, or under the same path in the quarantine."""
    for path, content in before.items():
        places = (after.get(path), after.get(f'{quarantine}/{path}'))
        assert content in places, path
    total = sum(len(content) for content in before.values())
    assert sum(len(content) for content in after.values()) >= total


def at_random(workshops):
    """Deletes, cuts and adds by a seed."""
    workshop = Workshop('random')
    workshops.append(workshop)
    start(workshop)
    made = make(workshop, [f'job-{n}' for n in range(14)])
    findings, said = fsck(workshop, expect=2)
    assert not findings and 'another server is using' in said and 'Stop the server first' in said, said
    stop(workshop)
    findings, said = fsck(workshop, '--digests')
    assert not findings and '14 outputs' in said and 'all is as the journal says' in said, said

    chance = random.Random(SEED)
    chance.shuffle(made)
    lost, bare, cut, flipped, removed = made[:3], made[3:5], made[5:7], made[7:8], made[8:10]
    expected = []
    for one in lost:
        one.remove(one.path, one.blob)
        expected.append(f'missing: {one.row}')
    for one in bare:
        one.remove(one.blob)
        expected.append(f'blob lost: {one.row}')
    for one in cut + flipped:
        content = bytearray(one.content)
        if one in cut:
            del content[chance.randrange(len(content)) :]
        else:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        one.remove(one.blob)  # a file of its own: the name keeps what was made
        add(workshop, one.blob, bytes(content))
        line = f'{one.blob} ({len(content)} bytes) has not the bytes that its name promises'
        expected += [f'damaged: {line}', f'blob lost: {one.row}']
    for one in removed:
        one.remove(one.path)
    for n in range(3):
        content = chance.randbytes(chance.randrange(1, 5000))
        digest = hashlib.sha256(content).hexdigest()
        blob = f'blobs/{digest[:2]}/{digest[2:]}'
        add(workshop, blob, content)
        expected.append(f'without a row: {blob} ({len(content)} bytes) is named by nothing in the journal')
        foreign = f'{chance.choice(("blobs", "blobs/ab", "staging"))}/foreign-{n}'
        add(workshop, foreign, content)
        expected.append(f'foreign: {foreign} ({len(content)} bytes) is nothing that Atelier puts there')
    add(workshop, 'staging/3-1/0-ab', b'half an upload')
    expected.append('left over: staging/3-1 (14 bytes) job 3 does not wait or run')

    before = stored(workshop)
    findings, said = fsck(workshop, '--digests', expect=1)
    assert findings == sorted(expected), (findings, expected)
    assert '2 outputs are not in their owners' in said and 'nothing was changed' in said, said
    assert stored(workshop) == before
    findings, said = fsck(workshop, '--digests', '--repair', expect=1)
    assert len(findings) == len(expected), findings
    mended = {line.removesuffix(' - mended') for line in findings if line.endswith(' - mended')}
    assert mended == {line for line in expected if not line.startswith('missing')}, findings
    (date,) = os.listdir(os.path.join(workshop.data, 'quarantine'))
    after = stored(workshop)
    nothing_lost(before, after, f'quarantine/{date}')
    listed = after[f'quarantine/{date}/list.txt'].decode()
    moved = {line for line in expected if line.split(':')[0] not in ('missing', 'blob lost')}
    assert moved == {line for line in listed.splitlines() if not line.startswith('#')}, listed
    for one in bare + cut + flipped:
        assert after[one.blob] == one.content, one.row
    findings, _ = fsck(workshop, '--digests', expect=1)
    assert findings == sorted(f'missing: {one.row}' for one in lost), findings

    start(workshop)
    pages(workshop)
    for one in made:
        gone = one in lost or one in removed
        one.view(404 if gone else 200)
        detail = workshop.get(f'/user/{one.participant}/api/jobs/{one.prompt_id}')
        assert detail['outputs']['2']['images'][0].get('missing', False) == gone, detail
    for one in lost:
        workshop.post(f'/user/{one.participant}/history', {'delete': [one.prompt_id]})
    make(workshop, ['one-more'], first=500)
    stop(workshop)
    findings, said = fsck(workshop, '--digests')
    assert not findings and 'all is as the journal says' in said, (findings, said)


def older_journal(workshops):
    """The journal of noon, the files of the evening."""
    workshop = Workshop('older-journal')
    workshops.append(workshop)
    start(workshop)
    early = make(workshop, ['early-0', 'early-1'])
    noon = os.path.join(workshop.data, 'noon.db')
    assert workshop.journal_command('backup', noon).returncode == 0
    late = make(workshop, ['late-0', 'late-1', 'late-2'], first=100)
    late[2].remove(late[2].path)
    stop(workshop)
    assert workshop.journal_command('restore', noon).returncode == 0
    before = stored(workshop)
    findings, _ = fsck(workshop, expect=1)
    line = 'without a row: {} ({} bytes) is named by nothing in the journal'
    assert findings == sorted(line.format(one.blob, len(one.content)) for one in late), findings
    fsck(workshop, '--repair')
    (date,) = os.listdir(os.path.join(workshop.data, 'quarantine'))
    nothing_lost(before, stored(workshop), f'quarantine/{date}')
    findings, _ = fsck(workshop, '--digests')
    assert not findings, findings
    start(workshop)
    pages(workshop)
    again = make(workshop, ['again-0', 'again-1'], first=200)
    for one in early + late[:2] + again:  # what people have in their folders is theirs, with or without rows
        assert one.view() == one.content, one.path
    assert len({one.path for one in early + late[:2] + again}) == 6
    stop(workshop)
    fsck(workshop, '--digests')
    # After a compaction names are all that tells which content is whose.
    assert workshop.journal_command('compact').returncode == 0
    findings, _ = fsck(workshop, '--digests')
    assert not findings, findings


def older_files(workshops):
    """The files of noon, the journal of the evening."""
    workshop = Workshop('older-files')
    workshops.append(workshop)
    start(workshop)
    early = make(workshop, ['early-0', 'early-1'])
    noon = os.path.join(workshop.data, 'noon')
    for part in ('blobs', 'participants'):
        shutil.copytree(os.path.join(workshop.data, part), os.path.join(noon, part))
    late = make(workshop, ['late-0', 'late-1', 'late-2'], first=100)
    stop(workshop)
    for part in ('blobs', 'participants'):
        shutil.rmtree(os.path.join(workshop.data, part))
        shutil.move(os.path.join(noon, part), workshop.data)
    expected = sorted(f'missing: {one.row}' for one in late)
    for arguments in ([], ['--repair'], ['--digests']):
        findings, _ = fsck(workshop, *arguments, expect=1)
        assert findings == expected, (findings, expected)
    assert not os.path.exists(os.path.join(workshop.data, 'quarantine'))
    start(workshop)
    pages(workshop)
    for one in early + late:
        assert one.participant and workshop.history(one.participant, one.prompt_id), one.prompt_id
        one.view(404 if one in late else 200)
    make(workshop, ['again-0'], first=200)


def load_graph():
    graph = save_graph()
    graph['1'] = {'class_type': 'LoadImage', 'inputs': {'image': 'cat.png'}}
    return graph


def without_input(workshops):
    """A job waits, and its input goes."""
    workshop = Workshop('without-input')
    workshops.append(workshop)
    start(workshop)
    stop_worker = workshop.processes[-1]
    content = png(8, 8)
    workshop.upload(1, 'cat.png', content)
    stop_worker.stop()
    workshop.submit_graph(1, 'waits', load_graph())
    stop(workshop)
    fsck(workshop)
    digest = hashlib.sha256(content).hexdigest()
    os.remove(os.path.join(workshop.data, f'blobs/{digest[:2]}/{digest[2:]}'))
    lost = f'job 1 of participant 1 needs input/cat.png ({len(content)} bytes, digest {digest})'
    assert fsck(workshop, expect=1)[0] == [f'blob lost: {lost}']
    os.remove(os.path.join(workshop.data, 'participants/1/input/cat.png'))
    assert fsck(workshop, '--repair', expect=1)[0] == [f'missing: {lost}']
    start(workshop)
    item = workshop.wait_history(1, 'waits')
    assert item['status']['status_str'] == 'error', item
    said = str(item['status']['messages'])
    assert 'The file "cat.png" that this job reads is not on the server any more' in said, said
    assert len(events_of(workshop.journal(), 'leased')) == 1, 'it was given to one worker after the other'
    make(workshop, ['next'])
    stop(workshop)
    fsck(workshop)


def unlinked(workshops):
    """The server dies before it has recorded that a commit has its name; a crash sooner leaves no name."""
    workshop = Workshop('unlinked')
    workshops.append(workshop)
    workshop.serve({'ATELIER_CRASH_AT': 'commit_after_link:1'})
    workshop.engine()
    workshop.worker()
    workshop.ready_for_jobs()
    workshop.submit(1, 'unlinked')
    until(lambda: workshop.server.child.poll() is not None, 'the crash')
    stop(workshop)
    assert workshop.outputs(1) == ['kept_00001_.png']
    assert not fsck(workshop)[0]
    os.remove(os.path.join(workshop.data, 'participants/1/output/kept_00001_.png'))
    findings, _ = fsck(workshop, expect=1)
    assert kinds(findings) == ['not linked'] and 'output/kept_00001_.png' in findings[0], findings
    fsck(workshop, '--repair')
    assert workshop.outputs(1) == ['kept_00001_.png']
    assert not fsck(workshop)[0]
    start(workshop)
    until(lambda: events_of(workshop.journal(), 'linked'), 'the name to be recorded')
    assert workshop.outputs(1)[:1] == ['kept_00001_.png']


def test(workshops):
    print(f'seed {SEED}')
    at_random(workshops)
    older_journal(workshops)
    older_files(workshops)
    without_input(workshops)
    unlinked(workshops)


if __name__ == '__main__':
    run(test)
