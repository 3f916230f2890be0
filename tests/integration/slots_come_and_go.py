#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A worker while it runs: a slot is added and works, one is removed and finishes its job first, models that
are put there are seen, and a participant chooses a worker. Started ComfyUIs and joined ones."""

import json, os, socket, urllib.request

from atelier_processes import BIN, WORK, Workshop, events_of, free_ports, run, until
from fake_comfyui import FakeComfyUI, standard_nodes
from launch_engines import launching, pids_at
from link_worker import node


def act(workshop, name, expect=200, **body):
    return workshop.post(f'/api/v1/workers/{name}/actions', body, expect)


def slots(workshop, name='w1'):
    worker = workshop.get(f'/api/v1/workers/{name}')['worker']
    return {slot['slot']: slot['state'] for slot in worker['slots']}


def running(workshop):
    return workshop.get('/api/queue/status')['running']


def ends_well(workshop, seat, prompt_id):
    item = workshop.wait_history(seat, prompt_id)
    assert item['status']['status_str'] == 'success', (prompt_id, item['status'])


def started_ones(workshop):
    port = free_ports(4)
    comfy, logs = os.path.join(WORK, 'comfy'), os.path.join(WORK, 'logs')
    os.makedirs(comfy)
    engine = os.path.join(BIN, 'atelier-rehearsal')
    worker = launching(
        workshop, 'w1', f'{engine} --dir "{comfy}" --step-ms 1500', '--comfy-dir', comfy,
        '--comfy', f'http://127.0.0.1:{port}', '--log-dir', logs,
    )  # fmt: skip
    workshop.ready_for_jobs()
    until(lambda: slots(workshop) == {0: 'idle'}, 'the first slot')
    act(workshop, 'w1', expect=409, action='remove_slot', slot=0)
    stranger = socket.create_server(('127.0.0.1', port + 1))  # it would be taken for the one that is started
    act(workshop, 'w1', action='add_slot', port=port + 1)
    until(lambda: f'port {port + 1} is in use' in worker.text(), 'the refusal of a port in use')
    act(workshop, 'w1', action='add_slot')
    until(lambda: slots(workshop) == {0: 'idle', 1: 'idle'}, 'the second slot')
    assert len(pids_at(port + 2)) == 1, 'its ComfyUI runs, at the next free port'

    for seat in (1, 2, 3, 4):
        workshop.submit(seat, f'job-{seat}', color=seat)
    until(lambda: running(workshop) == 2, 'two jobs side by side')
    second = pids_at(port + 2)
    act(workshop, 'w1', action='remove_slot', slot=1)
    until(lambda: slots(workshop).keys() == {0}, 'the slot to be gone')
    until(lambda: pids_at(port + 2) == [], 'its ComfyUI to end')
    for seat in (1, 2, 3, 4):
        ends_well(workshop, seat, f'job-{seat}')
        assert workshop.outputs(seat) == ['kept_00001_.png'], workshop.outputs(seat)
    assert 'engine_ended slot=1 ' not in worker.text(), 'its ComfyUI ended as asked, and nobody wondered'
    assert len(events_of(workshop.journal(), 'started')) == 4, 'nothing ran twice'

    act(workshop, 'w1', action='add_slot', port=port + 3)
    until(lambda: slots(workshop) == {0: 'idle', 1: 'idle'}, 'another second slot')
    assert len(pids_at(port + 3)) == 1 and pids_at(port + 3) != second
    act(workshop, 'w1', action='add_slot', port=port)
    until(lambda: f'port {port} is that of slot 0' in worker.text(), 'the refusal')
    assert worker.stop() == 0
    assert pids_at(port) == pids_at(port + 3) == [], 'both ended with the worker'
    stranger.close()


def lists_of(engine, models):
    nodes = standard_nodes()
    nodes['CheckpointLoaderSimple'] = node({'ckpt_name': [models, {}]})
    engine.nodes = nodes


def joined_ones(workshop):
    first, second = (FakeComfyUI(os.path.join(WORK, name)) for name in ('first', 'second'))
    lists_of(first, ['a.safetensors'])
    lists_of(second, ['a.safetensors'])
    arguments = [os.path.join(BIN, 'atelier-worker'), '--name', 'w2', '--join', workshop.url]
    arguments += ['--token-file', os.path.join(workshop.data, 'worker.token'), '--look-again', '1']
    workshop.start('worker-w2', [*arguments, '--comfy', first.url])
    until(lambda: 'w2' in str(workshop.get('/api/v1/workers')), 'the joined worker')
    until(lambda: slots(workshop, 'w2') == {0: 'idle'}, 'its slot')
    act(workshop, 'w2', expect=409, action='add_slot')
    act(workshop, 'w2', action='add_slot', port=second.port)
    until(lambda: slots(workshop, 'w2') == {0: 'idle', 1: 'idle'}, 'the second ComfyUI')

    def choices():
        info = workshop.get('/user/1/api/object_info/CheckpointLoaderSimple')
        return info['CheckpointLoaderSimple']['input']['required']['ckpt_name'][0]

    def capabilities():
        return len(events_of(workshop.journal(), 'capability'))

    assert choices() == ['a.safetensors'], choices()
    before = capabilities()
    lists_of(first, ['a.safetensors', 'new.safetensors'])
    until(lambda: choices() == ['a.safetensors', 'new.safetensors'], 'the new model in the editor')
    assert capabilities() == before + 1, 'told once'
    second.write('input', '', 'foreign.png', b'another list of files')
    asked = looks(second)
    until(lambda: looks(second) >= asked + 2, 'two more looks')
    assert capabilities() == before + 1, "files that jobs bring are nobody's models"

    choose(workshop, 3, 'w2')
    workshop.submit(3, 'chosen', color=3)
    ends_well(workshop, 3, 'chosen')
    assert len(first.prompts) + len(second.prompts) == 1, 'it ran where the participant wanted it'
    first.close()
    second.close()


def looks(engine):
    return engine.requests.count(('GET', '/object_info'))


def choose(workshop, seat, worker):
    """As that participant, by their token."""
    headers = {'Authorization': 'Bearer ' + workshop.tokens()[seat - 1], 'Content-Type': 'application/json'}
    body = json.dumps({'pinned_worker': worker}).encode()
    address = f'{workshop.url}/api/v1/participants/{seat}/worker'
    request = urllib.request.Request(address, body, headers, method='PATCH')
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert json.loads(answer.read())['participant']['pinned_worker'] == worker


def test(workshops):
    workshop = Workshop('slots', WORKER_CHOICE='participants')
    workshops.append(workshop)
    workshop.serve()
    started_ones(workshop)
    joined_ones(workshop)


if __name__ == '__main__':
    run(test)
