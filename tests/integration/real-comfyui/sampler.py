# SPDX-License-Identifier: MIT
"""The sampler of a real ComfyUI as participants see it through the workshop: progress, previews in both
forms, the picture, the model that stays loaded, an interrupt. Needs what tiny_checkpoint.py makes."""

import contextlib, json, os, socket, struct, threading, time, zlib

from atelier_processes import until
from link_worker import Socket
from people import RUN, node, png_texts, saved
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


def is_listed(people):
    facts = people.workshop.get('/user/1/api/object_info/CheckpointLoaderSimple')
    choices, *more = facts['CheckpointLoaderSimple']['input']['required']['ckpt_name']
    return CHECKPOINT in (choices if isinstance(choices, list) else more[0]['options'])


class Window(threading.Thread):
    """A participant's socket; `seen` has everything that came, values of texts and bytes of frames."""

    def __init__(self, people, participant, client_id, previews):
        super().__init__(daemon=True)
        self.socket = Socket(people.workshop.port, f'/user/{participant}/ws?clientId={client_id}', {})
        self.seen, self.ended_by = [], None
        if previews:
            flags = {'type': 'feature_flags', 'data': {'supports_preview_metadata': True}}
            self.socket.send(flags)
        self.start()
        if previews:
            until(lambda: self.events('feature_flags'), 'the answer to the feature flags')

    def run(self):
        try:
            while True:
                self.seen.append(self.socket.frame())
        except OSError as error:
            self.ended_by = error

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.raw.shutdown(socket.SHUT_RDWR)
        self.join()
        self.socket.raw.close()

    def events(self, *kinds):
        """The data of the texts of these kinds so far."""
        return [data for kind, data in self.texts() if kind in kinds]

    def texts(self):
        seen = [message for message in list(self.seen) if not isinstance(message, bytes)]
        return [(message['type'], message['data']) for message in seen]

    def frames(self):
        return [message for message in list(self.seen) if isinstance(message, bytes)]

    def wait(self, kind, prompt_id, seconds=60):
        """The data of the first such text of this job."""

        def look():
            if self.ended_by is not None:
                raise AssertionError(f'the socket ended: {self.ended_by!r}, after {self.seen[-20:]}')
            return next((data for data in self.events(kind) if data.get('prompt_id') == prompt_id), None)

        return until(look, f'{kind} of {prompt_id}', seconds)


@contextlib.contextmanager
def windows(people, *arguments):
    """A window for each (participant, client id, previews)."""
    opened = []
    try:
        for each in arguments:
            opened.append(Window(people, *each))
        yield opened
    finally:
        for window in opened:
            window.close()


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
    assert not [kind for kind in kinds[kinds.index('execution_success') + 1 :] if kind != 'executing'], kinds


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
            window.wait('execution_success', prompt_id)
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
        assert not stranger.frames() and not stranger.events('progress', 'executing'), stranger.seen

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


def a_long_run_is_interrupted(people):
    workshop = people.workshop
    with windows(people, (18, 'long', True), (19, 'next', True)) as (long, neighbour):
        more = {'client_id': 'long', 'preview_method': 'latent2rgb'}
        prompt_id = people.submit(18, graph('long', SEED, LONG), **more)
        until(lambda: [data for data in long.events('progress') if data['value'] >= 20], 'twenty steps', 60)
        next_id = people.submit(19, saved('next', color=SEED), client_id='next')
        workshop.post('/user/19/api/interrupt', {'prompt_id': prompt_id})  # it is not theirs
        value = long.events('progress')[-1]['value']
        until(lambda: long.events('progress')[-1]['value'] > value + 5, 'the long run to go on')
        begun = time.monotonic()
        workshop.post('/user/18/api/interrupt', {'prompt_id': prompt_id})
        data = long.wait('execution_interrupted', prompt_id, 20)
        assert (data['node_id'], data['node_type']) == (SAMPLER, 'KSampler'), data
        seconds = time.monotonic() - begun
        neighbour.wait('execution_success', next_id, 20)
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


CHECKS = (a_sampler_shows_its_steps, a_model_stays_loaded, a_long_run_is_interrupted)
