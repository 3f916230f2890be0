# SPDX-License-Identifier: MIT
"""The sampler of a real ComfyUI as participants see it through the workshop: progress, previews in both
forms, the picture, the model that stays loaded, an interrupt. Needs what tiny_checkpoint.py makes."""

import contextlib, json, os, struct, time, urllib.parse, urllib.request, uuid, zlib

from atelier_processes import until
from people import RUN, Window, node, png_texts, saved, windows
from tiny_checkpoint import write

CHECKPOINT = 'atelier-tiny.safetensors'
STEPS = 8
LONG = 10_000
SIDE = 256  # of the picture
SEED = int(RUN, 16)  # of no earlier run: ComfyUI keeps what it made
SAMPLER = '5'  # the node
DIFFERENT = 16  # a picture of one colour has fewer different bytes in its filtered rows


def graph(prefix, seed, steps=STEPS):
    return {
        '1': node('CheckpointLoaderSimple', ckpt_name=CHECKPOINT),
        '2': node('CLIPTextEncode', text='a cup on a table', clip=['1', 1]),
        '3': node('CLIPTextEncode', text='', clip=['1', 1]),
        '4': node('EmptySD3LatentImage', width=SIDE, height=SIDE, batch_size=1),
        SAMPLER: node('KSampler', model=['1', 0], positive=['2', 0], negative=['3', 0], latent_image=['4', 0],
                      seed=seed, steps=steps, cfg=4.0, sampler_name='euler', scheduler='normal', denoise=1.0),
        '6': node('VAEDecode', samples=[SAMPLER, 0], vae=['1', 2]),
        '9': node('SaveImage', images=['6', 0], filename_prefix=prefix),
    }  # fmt: skip


NODES = set(graph('', 0))


@contextlib.contextmanager
def checkpoint_in(comfy_dir):
    """The checkpoint in the models of a ComfyUI whose folder is known; gone again at the end if it was not
    there before."""
    path = os.path.join(comfy_dir, 'models', 'checkpoints', CHECKPOINT) if comfy_dir else None
    if path is None or os.path.exists(path):
        yield
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write(path)
    try:
        yield
    finally:
        os.remove(path)


def is_listed(people, name=CHECKPOINT):
    facts = people.workshop.get('/user/1/api/object_info/CheckpointLoaderSimple')
    choices, *more = facts['CheckpointLoaderSimple']['input']['required']['ckpt_name']
    return name in (choices if isinstance(choices, list) else more[0]['options'])


def a_new_model_is_seen(people):
    """One that is put there while ComfyUI runs, and one that is taken away."""
    if not people.comfy_dir:
        print('left out: a new model, which needs --comfy-dir')
        return
    name = f'atelier-new-{RUN}.safetensors'
    path = os.path.join(people.comfy_dir, 'models', 'checkpoints', name)
    write(path)
    try:
        until(lambda: is_listed(people, name), 'the new model in the editor')
    finally:
        os.remove(path)
    until(lambda: not is_listed(people, name), 'it to be gone')


def with_metadata(frame):
    """The metadata and the picture of a frame of kind 4."""
    kind, length = struct.unpack('>II', frame[:8])
    assert kind == 4, frame[:40]
    return json.loads(frame[8 : 8 + length]), frame[8 + length :]


def without_metadata(frame):
    """The picture of a frame of kind 1; ComfyUI's number for JPEG is 1."""
    assert struct.unpack('>II', frame[:8]) == (1, 1), frame[:40]
    return frame[8:]


def png_size_and_bytes(data):
    """Width, height, and how many different bytes the filtered rows have."""
    width, height = struct.unpack('>II', data[16:24])
    rows, at = b'', 8
    while at < len(data):
        length, kind = struct.unpack('>I4s', data[at : at + 8])
        rows += data[at + 8 : at + 8 + length] if kind == b'IDAT' else b''
        at += 12 + length
    return width, height, len(set(zlib.decompress(rows)))


def progress_is_as_comfyui_sends_it(window, prompt_id):
    progress = window.events('progress')
    values = [data['value'] for data in progress]
    assert values == list(range(1, STEPS + 1)), values
    wanted = {'max': STEPS, 'prompt_id': prompt_id, 'node': SAMPLER}
    assert all(wanted.items() <= data.items() for data in progress), progress
    states = []
    for data in window.events('progress_state'):
        assert data['prompt_id'] == prompt_id, data
        for name, state in data['nodes'].items():
            assert name in NODES and state['state'] in ('running', 'finished', 'error'), data
            assert state['prompt_id'] == prompt_id, data
            names = {state[key] for key in ('node_id', 'display_node_id', 'real_node_id')}
            assert names == {name} and state['parent_node_id'] is None, data
        if SAMPLER in data['nodes']:
            states.append(data['nodes'][SAMPLER])
    assert [state['value'] for state in states] == sorted(state['value'] for state in states), states
    assert (states[-1]['state'], states[-1]['value'], states[-1]['max']) == ('finished', STEPS, STEPS), states
    assert set(window.events('progress_state')[-1]['nodes']) == NODES, window.events('progress_state')[-1]


def order_holds(window, prompt_id):
    """Start, what is cached, each node in an order that the graph allows, the picture, the end."""
    own = [(kind, data) for kind, data in window.texts() if 'prompt_id' in data]
    assert {data['prompt_id'] for _, data in own} == {prompt_id}, own
    kinds = [kind for kind, _ in own]
    assert kinds[:2] == ['execution_start', 'execution_cached'], kinds
    nodes = [data['node'] for kind, data in own if kind == 'executing' and data['node'] is not None]
    assert sorted(nodes) == sorted(NODES), nodes
    for name, facts in graph('', 0).items():
        for source in (value[0] for value in facts['inputs'].values() if isinstance(value, list)):
            assert nodes.index(source) < nodes.index(name), nodes
    assert kinds.index('executed') < kinds.index('execution_success'), kinds
    assert kinds[-2:] == ['execution_success', 'executing'], kinds


def previews_lie_between(window):
    """All binary frames came while the job ran: after its sampler had begun and before its end."""
    places = [n for n, message in enumerate(window.seen) if isinstance(message, bytes)]
    texts = [(n, message) for n, message in enumerate(window.seen) if not isinstance(message, bytes)]
    executing = [(n, message['data']['node']) for n, message in texts if message['type'] == 'executing']
    (begun,) = [n for n, name in executing if name == SAMPLER]
    (ended,) = [n for n, message in texts if message['type'] == 'execution_success']
    assert places and begun < places[0] and places[-1] < ended, (begun, places, ended)


def a_preview_is_a_picture(people, participant, jpeg):
    """ComfyUI itself decodes what it sent: as wide as high, as the picture is, and not of one colour."""
    assert jpeg.startswith(b'\xff\xd8\xff') and jpeg.endswith(b'\xff\xd9'), (jpeg[:8], jpeg[-8:])
    people.workshop.upload(participant, 'preview.jpg', jpeg, overwrite='true')
    made = people.made(participant, {
        '1': node('LoadImage', image='preview.jpg'),
        '2': node('SaveImage', images=['1', 0], filename_prefix='decoded'),
    })  # fmt: skip
    width, height, different = png_size_and_bytes(people.view(participant, made['2']['images'][0]))
    assert width == height and different > DIFFERENT, (width, height, different)


def preview_facts(prompt_id):
    names = dict.fromkeys(('node_id', 'display_node_id', 'real_node_id'), SAMPLER)
    return {'prompt_id': prompt_id, **names, 'parent_node_id': None, 'image_type': 'image/jpeg'}


def a_sampler_shows_its_steps(people):
    arguments = [(16, 'steps', True), (16, 'steps', False), (17, 'steps', True)]
    with windows(people, *arguments) as (new, old, stranger):
        run = graph(f'steps-{RUN}', SEED)
        prompt_id = people.submit(16, run, client_id='steps', preview_method='latent2rgb')
        for window in (new, old):
            window.ends(prompt_id)
            progress_is_as_comfyui_sends_it(window, prompt_id)
            order_holds(window, prompt_id)
            previews_lie_between(window)
        for frame in new.frames():
            metadata, _ = with_metadata(frame)
            assert metadata == preview_facts(prompt_id), metadata
        pictures = [with_metadata(frame)[1] for frame in new.frames()]
        legacy = [without_metadata(frame) for frame in old.frames()]
        assert len(set(pictures)) > 1 and legacy[-1] == pictures[-1], (len(pictures), len(legacy))
        # The same client id of another participant is somebody else's.
        assert not stranger.frames() and not stranger.events('progress'), stranger.seen

        item = people.ended(16, prompt_id)
        (picture,) = item['outputs']['9']['images']
        assert picture['filename'] == f'steps-{RUN}_00001_.png', picture
        data = people.view(16, picture)
        width, height, different = png_size_and_bytes(data)
        assert (width, height) == (SIDE, SIDE) and different > DIFFERENT, (width, height, different)
        assert json.loads(png_texts(data)['prompt']) == run
        print(f'  {len(pictures)} previews with metadata, {len(legacy)} without, of {STEPS} steps')
    for jpeg in (pictures[-1], legacy[0]):
        a_preview_is_a_picture(people, 16, jpeg)


def without_numbers(event):
    """ComfyUI 0.38 gives each file `id` and `preview_id`, which the workshop does not pass on."""
    lists = [each for each in (event.get('output') or {}).values() if isinstance(each, list)]
    for file in [entry for each in lists for entry in each if isinstance(entry, dict)]:
        file.pop('id', None)
        file.pop('preview_id', None)
    return event


def as_told(window, prompt_id):
    """What a window was told of a job, without times: its progress, and all else. Through the workshop an
    `executed` waits for the node's files, and progress does not wait for that."""
    told = [[], []]
    for kind, data in window.texts():
        if data.get('prompt_id') == prompt_id:
            told[kind not in ('progress', 'progress_state')].append(
                (kind, {**without_numbers(data), 'timestamp': None})
            )
    return told


def at_comfyui_itself(people, window, prompt_id, run, **more):
    """The same without a workshop."""
    body = {'prompt': run, 'prompt_id': prompt_id, 'client_id': 'told', 'extra_data': more}
    kind = {'Content-Type': 'application/json'}
    request = urllib.request.Request(f'{people.engine}/prompt', json.dumps(body).encode(), kind)
    urllib.request.urlopen(request, timeout=60).close()
    window.ends(prompt_id)


def it_is_told_as_comfyui_tells_it(people):
    """Each runs twice, so that the model is there, and the second is looked at."""
    prefix, more = f'told-{RUN}', {'preview_method': 'latent2rgb'}
    with windows(people, (15, 'told', True)) as (window,):
        for seed in (SEED + 10, SEED + 11):
            prompt_id = people.submit(15, graph(prefix, seed), client_id='told', **more)
            window.ends(prompt_id)
    address = urllib.parse.urlsplit(people.engine)
    itself = Window(address.port, '/ws?clientId=told', True, address.hostname)
    try:
        for seed, name in ((SEED + 12, str(uuid.uuid4())), (SEED + 13, prompt_id)):
            at_comfyui_itself(people, itself, name, graph(prefix, seed), **more)
    finally:
        itself.close()
    for through, direct in zip(as_told(window, prompt_id), as_told(itself, prompt_id), strict=True):
        assert through == direct, '\n'.join(map(str, [*through, 'and ComfyUI itself', *direct]))
    facts = [with_metadata(each.frames()[-1])[0] for each in (window, itself)]
    assert facts[0] == facts[1], facts


def previews_are_as_asked_for(people):
    if people.version < (0, 5):  # which show what they were started with
        return
    with windows(people, (16, 'asked', True)) as (window,):
        for n, (method, wanted) in enumerate((('none', False), ('auto', True), ('none', False))):
            before = len(window.frames())
            run = graph('asked', SEED + 20 + n)
            window.ends(people.submit(16, run, client_id='asked', preview_method=method))
            assert (len(window.frames()) > before) == wanted, (method, before, len(window.frames()))


def cached_nodes(item):
    (data,) = [data for kind, data in item['status']['messages'] if kind == 'execution_cached']
    return set(data['nodes'])


def a_model_stays_loaded(people):
    """ComfyUI forgets a graph at the next other one: these runs, of two participants, follow each other."""
    people.made(16, graph('twice', SEED + 1))
    for participant, seed in ((16, SEED + 2), (17, SEED + 3)):
        item = people.ended(participant, people.submit(participant, graph('twice', seed)))
        assert item['status']['status_str'] == 'success', item['status']
        assert cached_nodes(item) == {'1', '2', '3', '4'}, item['status']
    slots = people.workshop.get('/api/v1/workers/real')['worker']['slots']
    assert CHECKPOINT in [model for slot in slots for model in slot['holds']], slots


def what_is_unloaded_is_loaded_again(people):
    """Nobody takes a slot for warm whose ComfyUI was asked to unload."""

    def slots():
        return people.workshop.get('/api/v1/workers/real')['worker']['slots']

    for slot in slots():
        people.workshop.post('/api/v1/workers/real/actions', {'action': 'free_memory', 'slot': slot['slot']})
    until(lambda: not any(slot['holds'] for slot in slots()), 'the slots to hold nothing')
    for seed in (SEED + 4, SEED + 5):
        item = people.ended(16, people.submit(16, graph('again', seed)))
        assert item['status']['status_str'] == 'success', item['status']
    assert any(CHECKPOINT in slot['holds'] for slot in slots()), slots()


def a_late_window_catches_up(people, prompt_id):
    """A page that was opened while its sampler runs learns where it is, and sees it go on."""
    with windows(people, (18, 'long', False)) as (late,):
        late.until(lambda: len(late.events('progress')) > 3 and len(late.frames()) > 2, 'progress')
        own = [(kind, data) for kind, data in late.texts() if kind != 'status']
        kinds = [kind for kind, _ in own[:4]]
        assert kinds == ['execution_start', 'execution_cached', 'progress_state', 'executing'], kinds
        assert {data['prompt_id'] for _, data in own} == {prompt_id}, own
        assert own[2][1]['nodes'][SAMPLER]['state'] == 'running' and own[3][1]['node'] == SAMPLER, own[:4]
        values = [data['value'] for data in late.events('progress')]
        assert values == sorted(set(values)) and values[0] > 1, values
        for frame in late.frames():
            without_metadata(frame)


def a_long_run_is_interrupted(people):
    workshop = people.workshop
    with windows(people, (18, 'long', True), (19, 'next', True)) as (long, neighbour):
        more = {'client_id': 'long', 'preview_method': 'latent2rgb'}
        prompt_id = people.submit(18, graph('long', SEED, LONG), **more)
        long.until(lambda: len(long.events('progress')) > 20, 'twenty steps')
        a_late_window_catches_up(people, prompt_id)
        next_id = people.submit(19, saved('next', color=SEED), client_id='next')
        for body in ({'prompt_id': prompt_id}, {}):  # not theirs; to ComfyUI {} means whatever runs
            workshop.post('/user/19/api/interrupt', body)
        done = len(long.events('progress'))
        long.until(lambda: len(long.events('progress')) > done + 5, 'progress of the long run')
        begun = time.monotonic()
        workshop.post('/user/18/api/interrupt', {'prompt_id': prompt_id})
        long.ends(prompt_id, 20)
        seconds = time.monotonic() - begun
        (data,) = long.events('execution_interrupted')
        assert (data['node_id'], data['node_type']) == (SAMPLER, 'KSampler'), data
        neighbour.ends(next_id, 20)
        item = people.ended(18, prompt_id)
        kinds = [kind for kind, _ in item['status']['messages']]
        assert kinds[-1] == 'execution_interrupted', item['status']
        assert item['status']['status_str'] == 'error', item['status']
        assert people.ended(19, next_id)['status']['status_str'] == 'success'
        assert not neighbour.frames() and not neighbour.events('progress'), neighbour.seen
        assert {data['prompt_id'] for _, data in neighbour.texts() if 'prompt_id' in data} == {next_id}
        steps = long.events('progress')[-1]['value']
        assert 20 <= steps < LONG, steps
        print(f'  interrupted at step {steps} of {LONG} after {seconds:.1f} s, {len(long.frames())} previews')


CHECKS = (
    a_new_model_is_seen, a_sampler_shows_its_steps, it_is_told_as_comfyui_tells_it, previews_are_as_asked_for,
    a_model_stays_loaded, what_is_unloaded_is_loaded_again, a_long_run_is_interrupted,
)  # fmt: skip
