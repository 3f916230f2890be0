#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A ComfyUI that lies, floods, refuses and dies under a worker: every accepted job ends exactly once with a
clear sentence, nothing leaves the folders, memory stays bounded, and other participants' jobs go on."""

import json, os, struct, uuid

from atelier_processes import WORK, Workshop, events_of, png, run, until
from fake_comfyui import FakeComfyUI, bad_graph, honest
from link_worker import Socket

SECRET = b'a secret of the machine beside the folders of ComfyUI'


def begun(run_):
    """As far as every run gets. -> the id of the node that misbehaves."""
    run_.start()
    number, _ = run_.how()
    run_.executing(number)
    return number


def done(run_):
    run_.success()
    run_.finish()


def shows(make):
    """A conduct that shows what make(run, number) gives as a file of its ui, and says that all went well."""

    async def conduct(run_):
        number = begun(run_)
        run_.executed(number, {'images': [make(run_, number)]})
        done(run_)

    return conduct


def named(filename, subfolder='', kind='output'):
    return lambda run_, number: {'filename': filename, 'subfolder': subfolder, 'type': kind}


def linked(run_, number):
    """A link in the job's own folder to a file outside."""
    folder, name = run_.place(number)
    os.symlink(os.path.join(WORK, 'secret.png'), os.path.join(run_.engine.folder, 'output', folder, name))
    return {'filename': name, 'subfolder': folder, 'type': 'output'}


def below_link(run_, number):
    folder, _ = run_.place(number)
    os.symlink(WORK, os.path.join(run_.engine.folder, 'output', folder, 'sub'))
    return {'filename': 'secret.png', 'subfolder': f'{folder}/sub', 'type': 'output'}


def pipe(run_, number):
    """Whoever opens it waits for a writer that never comes."""
    folder, name = run_.place(number)
    os.mkfifo(os.path.join(run_.engine.folder, 'output', folder, name))
    return {'filename': name, 'subfolder': folder, 'type': 'output'}


# What the owner reads: a part of the sentence.
LIES = {
    'names a file that is not there': (shows(named('never_00001_.png')), 'cannot be read'),
    'names an empty file': (shows(lambda r, n: r.save(n, b'')), 'is empty'),
    'names half a picture': (shows(lambda r, n: r.save(n, png()[:-20])), 'is broken'),
    'leads out of the folder': (shows(named('secret.png', '../..')), 'cannot be taken'),
    'leads out by the name': (shows(named('../../secret.png')), 'cannot be taken'),
    'names an absolute folder': (shows(named('secret.png', WORK)), 'cannot be taken'),
    'names an absolute file': (shows(named(os.path.join(WORK, 'secret.png'))), 'cannot be taken'),
    'names a link': (shows(linked), 'cannot be read'),
    'names a file below a link': (shows(below_link), 'cannot be read'),
    'names a pipe': (shows(pipe), 'cannot be read'),
    'names a folder': (shows(named('atelier')), 'cannot be read'),
    'names an unknown place': (shows(named('secret.png', '', 'models')), 'unknown type'),
}  # fmt: skip


async def foreign(run_):
    """Events of runs that nobody asked for, between its own."""
    number = begun(run_)
    other = str(uuid.uuid4())
    run_.executed(number, {'images': [named('secret.png', '../..')(run_, number)]}, other)
    run_.preview(number, b'not yours', other)
    for kind in ('execution_error', 'execution_success', 'execution_interrupted'):
        run_.say(kind, prompt_id=other, node_id=number, exception_message='not yours')
    run_.say('executing', prompt_id=other, node=None)
    run_.executed(number, {'images': [run_.save(number)]})
    done(run_)


async def twice(run_):
    """One node shows two results, and all endings come."""
    number = begun(run_)
    for _ in range(2):
        run_.executed(number, {'images': [run_.save(number)]})
    run_.error(number, 'and then it failed')
    done(run_)
    run_.say('execution_error', node_id=number, exception_message='too late')
    run_.say('executing', node=None)


async def in_history_only(run_):
    """No `executed`: only its history tells what it made."""
    number = begun(run_)
    run_.outputs[number] = {'images': [run_.save(number)]}
    done(run_)


async def garbage(run_):
    """What no ComfyUI says, between what it says."""
    number = begun(run_)
    engine, client = run_.engine, run_.client
    texts = ['', '{', '[]', 'null', '{"type":5}', '{"type":"executing"}', '{"type":"executed","data":[1]}']
    texts += ['[' * 5000, json.dumps({'type': 'executed', 'data': {'prompt_id': run_.id, 'node': [1]}})]
    texts += [json.dumps({'type': 'x' * 70_000, 'data': {'prompt_id': run_.id, 'node': {}, 'output': 7}})]
    texts += [json.dumps({'type': 'executed', 'data': {'prompt_id': run_.id, 'node': 'no', 'output': 'no'}})]
    for text in texts:
        engine.say_text(client, text.encode())
    frames = [b'', b'\0', struct.pack('>I', 1), struct.pack('>I', 77) + b'x', struct.pack('>II', 4, 1 << 31)]
    for data in frames:
        engine.say(client, data)
    run_.frame(4, struct.pack('>I', 9) + b'{"a":nope' + b'picture')
    for body in ({'images': 5}, {'images': [{'filename': 7}, None, 'text', []]}, {'a': {'b': 1}}, {}):
        run_.say('executed', node='1', display_node='1', output=body)
    shown = {'text': ['\udcff', '\0'], 'value': [float('nan'), float('inf'), 1e308]}  # as Python writes them
    run_.executed(number, {'images': [run_.save(number)], **shown})
    done(run_)


async def bad_utf8(run_):
    """A text that is no UTF-8 ends its socket, and not the run."""
    number = begun(run_)
    run_.engine.say_text(run_.client, b'{"type":"\xff\xfe"}')
    await run_.engine.next_socket()
    run_.executed(number, {'images': [run_.save(number)]})
    done(run_)


async def flood(run_):
    """20,000 ticks, 3,000 previews, messages larger than anybody takes."""
    number = begun(run_)
    for tick in range(20_000):
        run_.progress(number, tick, 20_000)
        if tick % 10 == 0:
            run_.preview(number, b'\xff\xd8' + bytes(20_000))
            await run_.spoken()
    for _ in range(300):
        run_.say('execution_cached', nodes=['x' * 1_000_000])
        await run_.spoken()
    for _ in range(3):
        run_.preview(number, bytes(20_000_000))
        run_.say('executed', node='1', display_node='1', output={'text': ['y' * 10_000_000]})
        await run_.spoken()
    run_.executed(number, {'images': [run_.save(number)]})
    done(run_)


async def never_ends(run_):
    begun(run_)
    await run_.pause(600)


async def deaf(run_):
    """Its first interrupts hit nothing."""
    begun(run_)
    for _ in range(2):
        await run_.stopped.wait()
        run_.stopped.clear()
    await run_.pause(600)


async def stone_deaf(run_):
    """Nothing stops it but its engine's end."""
    begun(run_)
    await run_.engine.loop.create_future()


async def dies_once(run_):
    if run_.engine.tried('dies_once') == 1:
        begun(run_)
        await run_.engine.die_and_revive()
    await honest(run_)


async def dies_always(run_):
    begun(run_)
    await run_.engine.die_and_revive()


ENDS_WELL = {
    'tells of foreign runs': foreign,
    'shows in history only': in_history_only,
    'talks garbage': garbage,
    'is no UTF-8': bad_utf8,
    'floods': flood,
    'dies once': dies_once,
}


def sentence(item):
    """What the owner is told of a failed job."""
    errors = [data for kind, data in item['status']['messages'] if kind == 'execution_error']
    return errors[-1]['exception_message'] if errors else ''


def peak_mib(process):
    with open(f'/proc/{process.child.pid}/status') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmHWM')) // 1024


def holds_secret(folder):
    for at, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(at, name), 'rb') as file:
                if SECRET in file.read():
                    return os.path.join(at, name)
    return None


def test(workshops):
    workshop = Workshop('misbehaving-engine')
    workshops.append(workshop)
    server = workshop.serve()
    with open(os.path.join(WORK, 'secret.png'), 'wb') as file:
        file.write(png() + SECRET)
    engine = FakeComfyUI(os.path.join(WORK, 'bad'), extra_nodes=['Misbehave'])
    sound = FakeComfyUI(os.path.join(WORK, 'sound'))
    try:
        body(workshop, server, engine, sound)
    finally:
        engine.close()
        sound.close()


def body(workshop, server, engine, sound):
    for how, (conduct, _) in LIES.items():
        engine.conducts[how] = conduct
    engine.conducts.update(ENDS_WELL)
    engine.conducts.update({'twice': twice, 'never': never_ends, 'deaf': deaf, 'dies always': dies_always})
    engine.conducts['stone deaf'] = stone_deaf
    bad = workshop.worker('bad', comfy=engine.url, comfy_dir=engine.folder)
    workshop.worker('sound', comfy=sound.url, comfy_dir=sound.folder)
    until(lambda: 'Misbehave' in workshop.get('/user/1/api/object_info'), 'the bad engine')
    until(lambda: workshop.get('/api/queue/status')['workers'][1:], 'both workers')
    accepted = []
    # A browser that has gone to sleep with its socket open: what it is sent waits.
    asleep = Socket(workshop.port, '/user/2/ws?clientId=test', {})

    def submit(participant, how):
        workshop.submit_graph(participant, how, bad_graph(how))
        accepted.append((participant, how))

    for participant, hows in ((1, LIES), (2, [*ENDS_WELL, 'twice'])):
        for how in hows:
            submit(participant, how)
    for n in range(8):  # these may run anywhere
        workshop.submit(9, f'ordinary {n}', color=n)
        accepted.append((9, f'ordinary {n}'))
    for how, (_, expected) in LIES.items():
        item = workshop.wait_history(1, how)
        assert item['status']['status_str'] == 'error', (how, item['status'])
        assert expected in sentence(item), (how, sentence(item))
    for how in ENDS_WELL:
        item = workshop.wait_history(2, how)
        assert item['status']['status_str'] == 'success', (how, item['status'])
        assert len(item['outputs']['2']['images']) == 1, (how, item['outputs'])
    assert workshop.wait_history(2, 'twice')['outputs']['2']['images'][1:] == []
    for n in range(8):
        item = workshop.wait_history(9, f'ordinary {n}')
        assert item['status']['status_str'] == 'success', item['status']
    assert workshop.outputs(1) == [], workshop.outputs(1)
    assert peak_mib(bad) < 250 and peak_mib(server) < 100, (peak_mib(bad), peak_mib(server))

    asleep.raw.close()

    refusals(workshop, engine, submit)
    stops(workshop, engine, submit)
    submit(5, 'stone deaf')
    until(lambda: workshop.get('/user/5/queue')['queue_running'], 'the deaf run')
    workshop.post('/user/5/interrupt', {})
    item = workshop.wait_history(5, 'stone deaf')  # the owner does not wait for it
    assert 'execution_interrupted' in [kind for kind, _ in item['status']['messages']], item['status']
    submit(6, 'dies always')
    workshop.submit(7, 'meanwhile')
    accepted.append((7, 'meanwhile'))
    assert workshop.wait_history(7, 'meanwhile')['status']['status_str'] == 'success'
    assert workshop.get('/user/6/queue')['queue_pending'], 'nothing is sent to an engine that is stuck'
    engine.die()
    engine.revive()
    item = workshop.wait_history(6, 'dies always')
    assert '3 workers went down' in sentence(item), item['status']
    workshop.submit(6, 'afterwards')
    accepted.append((6, 'afterwards'))
    assert workshop.wait_history(6, 'afterwards')['status']['status_str'] == 'success'

    journal = workshop.journal()
    assert len(events_of(journal, 'submitted')) == len(accepted)
    ended = [entry['event']['job'] for entry in events_of(journal, 'ended')]
    assert len(ended) == len(set(ended)) == len(accepted), (sorted(ended), len(accepted))
    commits = [(entry['event']['job'], entry['event']['node']) for entry in events_of(journal, 'committed')]
    assert len(commits) == len(set(commits)), commits
    assert holds_secret(workshop.data) is None, holds_secret(workshop.data)


def refusals(workshop, engine, submit):
    """POST /prompt answered in ways that ComfyUI knows, and in others."""
    errors = {'type': 'value_not_in_list', 'message': 'Value not in list', 'details': 'how: no such thing'}
    node = {'errors': [{**errors, 'extra_info': {}}], 'dependent_outputs': ['2'], 'class_type': 'Misbehave'}
    error = {'type': 'prompt_outputs_failed_validation', 'message': 'Prompt outputs failed validation'}
    whole = {'error': {**error, 'details': '', 'extra_info': {}}, 'node_errors': {'2': node}}
    answers = {
        'refused': (400, json.dumps(whole).encode(), 'no such thing'),
        'refused with garbage': (400, b'\xff<html>', 'ComfyUI'),
        'refused with a list': (400, b'[1, {"error": 5}]', 'ComfyUI'),
        'always 500': (500, b'Internal Server Error', 'given back 10 times'),
    }

    def door(request):
        how = next((one['inputs'].get('how') for one in json.loads(request.body)['prompt'].values()
                    if one['class_type'] == 'Misbehave'), None)  # fmt: skip
        if how == 'honest' and engine.tried('busy') == 1:
            return 429, b'<html>Too Many Requests'
        return answers[how][:2] if how in answers else None

    engine.doors['POST', '/prompt'] = door
    for how in answers:
        submit(3, how)
    for how, (_, _, expected) in answers.items():
        item = workshop.wait_history(3, how)
        assert item['status']['status_str'] == 'error', (how, item['status'])
        assert expected in sentence(item), (how, sentence(item))
    submit(3, 'honest')
    assert workshop.wait_history(3, 'honest')['status']['status_str'] == 'success'
    del engine.doors['POST', '/prompt']


def stops(workshop, engine, submit):
    """A run that does not end by itself is stopped, also when interrupts hit nothing at first."""
    for how in ('never', 'deaf'):
        submit(4, how)
        until(lambda: workshop.get('/user/4/queue')['queue_running'], f'"{how}" to run')
        before = len(engine.interrupts)
        workshop.post('/user/4/interrupt', {})
        item = workshop.wait_history(4, how)
        kinds = [kind for kind, _ in item['status']['messages']]
        assert 'execution_interrupted' in kinds, (how, item['status'])
        run_id = engine.prompts[-1]['prompt_id']
        assert set(engine.interrupts[before:]) == {run_id}, (run_id, engine.interrupts[before:])
    assert len(engine.interrupts) - before >= 3, engine.interrupts


if __name__ == '__main__':
    run(test)
