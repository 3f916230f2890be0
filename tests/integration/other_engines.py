#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ComfyUIs of several versions under a worker, joined with their folder and by their address alone: jobs run
and are stopped, inputs and outputs travel, cached results are shown again, lists of files follow the folders,
what a participant writes leads nowhere else, and editors list the models that the workers have."""

import glob, json, os, struct, urllib.request

from atelier_processes import BIN, WORK, Workshop, png, run, until
from fake_comfyui import FakeComfyUI, bad_graph, honest, png_texts
from link_worker import Socket

VERSIONS = ('0.3.60', '0.8.0', '0.21.0', '0.38.1')


class Browser(Socket):
    """A participant's socket that takes the frames, too."""

    def __init__(self, workshop, participant):
        super().__init__(workshop.port, f'/user/{participant}/ws?clientId=test', {})

    def next(self):
        first, length = self.take(2)
        if length == 126:
            (length,) = struct.unpack('>H', self.take(2))
        elif length == 127:
            (length,) = struct.unpack('>Q', self.take(8))
        data = self.take(length)
        return json.loads(data) if first & 15 == 1 else data


def image(color):
    return {'class_type': 'EmptyImage', 'inputs': {'width': 4, 'height': 4, 'batch_size': 1, 'color': color}}


def output(kind, **inputs):
    """A graph of an image and what shows it."""
    return {'1': image(7), '2': {'class_type': kind, 'inputs': {'images': ['1', 0], **inputs}}}


def content(workshop, participant, file):
    """The bytes that a participant gets for a member of a ui."""
    query = '&'.join(f'{key}={file[key]}' for key in ('filename', 'subfolder', 'type'))
    with urllib.request.urlopen(f'{workshop.url}/user/{participant}/view?{query}', timeout=20) as answer:
        return answer.read()


def succeeds(workshop, participant, prompt_id, graph):
    workshop.submit_graph(participant, prompt_id, graph)
    item = workshop.wait_history(participant, prompt_id)
    assert item['status']['status_str'] == 'success', (prompt_id, item['status'])
    return item['outputs']


def sentence(item):
    return [data for kind, data in item['status']['messages'] if kind == 'execution_error'][-1][
        'exception_message'
    ]


async def waits(run_):
    run_.start()
    run_.executing('2')
    await run_.pause(600)


async def loses_its_sockets(run_):
    """Twice; meanwhile a node ends, and nobody hears it."""
    run_.start()
    run_.executing('2')
    ui = {'images': [run_.save('2', png(color=(0, 0, 3)))]}
    await run_.engine.cut_sockets(lambda: run_.executed('2', ui))
    await run_.engine.cut_sockets()
    run_.success()
    run_.finish()


def sockets_break(workshop, engine, name):
    """An engine that lives on has not lost its run: nothing runs twice."""
    before = len(engine.prompts)
    outputs = succeeds(workshop, 1, f'{name} broken socket', bad_graph('breaks', prefix='good'))
    assert content(workshop, 1, outputs['2']['images'][0]) == png(color=(0, 0, 3))
    assert len(engine.prompts) == before + 1, engine.prompts[before:]


def works_and_stops(workshop, engine, name):
    """One job is done, the next is stopped while it runs."""
    outputs = succeeds(workshop, 1, f'{name} done', bad_graph('honest', prefix='good'))
    assert content(workshop, 1, outputs['2']['images'][0]) == png(color=(0, 0, 1))
    workshop.submit_graph(1, f'{name} stopped', bad_graph('waits'))
    until(lambda: workshop.get('/user/1/queue')['queue_running'], 'the run')
    workshop.post('/user/1/interrupt', {})
    item = workshop.wait_history(1, f'{name} stopped')
    assert 'execution_interrupted' in [kind for kind, _ in item['status']['messages']], item['status']
    assert set(engine.interrupts) == {engine.prompts[-1]['prompt_id']}, engine.interrupts


def previews(workshop, engine):
    """ComfyUI replays the name of a cached preview without a new file. In it are its maker's texts."""
    graph = output('PreviewImage')
    for seat in (2, 3):
        texts = {'workflow': {'note': f'of seat {seat}'}}
        body = {'prompt': graph, 'prompt_id': 'preview', 'extra_data': {'extra_pnginfo': texts}}
        workshop.post(f'/user/{seat}/prompt', body)
        (file,) = workshop.wait_history(seat, 'preview')['outputs']['2']['images']
        assert file['type'] == 'temp', file
        assert png_texts(content(workshop, seat, file)) == {'prompt': graph, **texts}, (seat, file)
    files = succeeds(workshop, 4, 'preview', graph)['2']['images']
    texts = png_texts(content(workshop, 4, files[0]))
    assert texts == {'prompt': graph, 'workflow': {}}, texts  # they sent none, and see nobody's
    assert len(os.listdir(os.path.join(engine.folder, 'temp'))) == 1, 'the engine has made one file'
    engine.die()
    engine.revive()  # its temp folder is a new one
    files = succeeds(workshop, 2, 'preview again', output('PreviewImage'))['2']['images']
    assert content(workshop, 2, files[0]) == png(color=(0, 0, 7))


def texts_of_the_prompt(workshop):
    """What a node says of prompt and workflow is of who sees it, and still cached for the same person."""
    graph = output('ShowPrompt')
    for turn, seat in enumerate((2, 2, 3, 3)):
        name, workflow = f'text {turn}', {'note': f'of seat {seat}'}
        body = {'prompt': graph, 'prompt_id': name, 'extra_data': {'extra_pnginfo': {'workflow': workflow}}}
        workshop.post(f'/user/{seat}/prompt', body)
        item = workshop.wait_history(seat, name)
        (text,) = item['outputs']['2']['text']
        assert json.loads(text) == {'prompt': graph, 'workflow': workflow}, (seat, text)
        (cached,) = [data['nodes'] for kind, data in item['status']['messages'] if kind == 'execution_cached']
        assert turn == 0 or set(cached) == ({'1', '2'} if turn % 2 else {'1'}), (turn, cached)


def pictures_of_the_socket(workshop):
    browser = Browser(workshop, 4)
    workshop.submit_graph(4, 'socket', output('SaveImageWebsocket'))
    seen = []
    while not seen or not (isinstance(seen[-1], dict) and seen[-1]['type'] == 'execution_success'):
        seen.append(browser.next())
    frames = [message for message in seen if isinstance(message, bytes)]
    assert frames == [struct.pack('>II', 1, 2) + png(color=(0, 0, 7))], frames
    browser.raw.close()


def inputs(workshop, engine):
    """What a participant uploads arrives under a name that the engine's own lists hold."""
    assert workshop.upload(5, 'cat.png', png())['name'] == 'cat.png'
    workshop.upload(5, 'cup.glb', b'glTF cup', subfolder='3d')
    workshop.upload(5, 'elsewhere.glb', b'glTF elsewhere', subfolder='shelf')
    info = workshop.get('/user/5/object_info')
    assert info['LoadImage']['input']['required']['image'][0] == ['cat.png']
    assert info['Load3D']['input']['required']['model_file'][0] == ['3d/cup.glb']
    nobody = workshop.get('/user/6/object_info')
    assert nobody['LoadImage']['input']['required']['image'][0] == []
    assert nobody['Load3D']['input']['required']['model_file'][0] == []
    for kind, name, value in (('LoadImage', 'image', 'cat.png'), ('Load3D', 'model_file', '3d/cup.glb')):
        graph = output('SaveImage', filename_prefix='kept')
        graph['3'] = {'class_type': kind, 'inputs': {name: value}}
        graph['2']['inputs']['images'] = ['3', 0]
        succeeds(workshop, 5, kind, graph)
        sent = engine.prompts[-1]['prompt']['3']['inputs'][name]
        assert sent in engine.object_info()[kind]['input']['required'][name][0], sent
    # A folder of pictures lies with the engine now; whose it is, is nobody else's business.
    workshop.upload(5, 'one.png', png(), subfolder='faces')
    graph['3'] = {'class_type': 'LoadImage', 'inputs': {'image': 'faces/one.png'}}
    succeeds(workshop, 5, 'face', graph)
    assert 'faces' in engine.object_info()['LoadImageDataSetFromFolder']['input']['required']['folder'][0]
    engine.die()
    engine.revive()
    succeeds(workshop, 5, 'face again', graph)  # by now the engine's lists have been read anew
    graph['3'] = {'class_type': 'LoadImageDataSetFromFolder', 'inputs': {'folder': 'faces'}}
    assert 'faces' not in json.dumps(workshop.get('/user/6/object_info'))
    workshop.submit_graph(6, 'faces', graph, expect=400)
    graph['3'] = {'class_type': 'Load3D', 'inputs': {}}
    for value in ('3d/../../etc/passwd.glb', 'shelf/elsewhere.glb', '/etc/cup.glb', '3d/other.glb'):
        graph['3']['inputs']['model_file'] = value
        workshop.submit_graph(5, value, graph, expect=400)


def lost_input(workshop, engine):
    """Somebody cleans the engine's input folder: the participant's file is there as before."""
    graph = output('SaveImage', filename_prefix='kept')
    graph['2']['inputs']['images'] = ['3', 0]
    graph['3'] = {'class_type': 'LoadImage', 'inputs': {'image': 'kept.png'}}
    workshop.upload(11, 'kept.png', png(color=(1, 1, 1)))
    succeeds(workshop, 11, 'placed', graph)
    (place,) = (path for path in glob.glob(f'{engine.folder}/input/*') if path.endswith('-kept.png'))
    os.remove(place)
    succeeds(workshop, 11, 'placed again', graph)
    assert os.path.isfile(place)


def upload_that_fails(workshop, engine):
    """Its disk is full, say: that is not the picture's fault."""
    engine.doors['POST', '/upload/image'] = lambda request: (
        (500, b'no space') if engine.tried('upload') <= 3 else None
    )
    graph = output('SaveImage', filename_prefix='kept')
    graph['2']['inputs']['images'] = ['3', 0]
    graph['3'] = {'class_type': 'LoadImage', 'inputs': {'image': 'late.png'}}
    workshop.upload(12, 'late.png', png(color=(2, 2, 2)))
    succeeds(workshop, 12, 'late', graph)
    assert engine.tried('upload') > 3


def datasets(workshop, engine):
    """A folder that a participant names comes whole, under its own names, and only its owner can name it."""
    kind = 'LoadImageDataSetFromFolder'
    files = {'1.png': png(), '1.txt': b'a cat', '3_dog/2.png': png(color=(9, 9, 9))}

    def upload(participant, path, data, **fields):
        folder, name = os.path.split(os.path.join('own/faces', path))
        workshop.upload(participant, name, data, subfolder=folder, **fields)

    def lists(participant):
        return workshop.get(f'/user/{participant}/object_info')[kind]['input']['required']['folder'][0]

    def graph(folder):
        one = output('SaveImage', filename_prefix='face')
        one['3'] = {'class_type': kind, 'inputs': {'folder': folder}}
        one['2']['inputs']['images'] = ['3', 0]
        return one

    def placed(participant, prompt_id):
        """The folder's name at the engine after a run, and what is in it."""
        succeeds(workshop, participant, prompt_id, graph('own/faces'))
        sent = engine.prompts[-1]['prompt']['3']['inputs']['folder']
        assert sent in engine.object_info()[kind]['input']['required']['folder'][0], sent
        root, found = os.path.join(engine.folder, 'input', sent), {}
        for at, _, names in os.walk(root):
            for path in (os.path.join(at, name) for name in names):
                with open(path, 'rb') as file:
                    found[os.path.relpath(path, root)] = file.read()
        return sent, found

    for path, data in files.items():
        upload(9, path, data)
    assert lists(9) == ['own', 'own/faces', 'own/faces/3_dog'], lists(9)
    first = placed(9, 'dataset')
    assert first[1] == files, first
    assert placed(9, 'dataset again') == first
    upload(9, '1.txt', b'a dog', overwrite='true')
    changed = placed(9, 'dataset changed')
    assert changed[1] == {**files, '1.txt': b'a dog'} and changed[0] != first[0], changed
    assert lists(10) == [], lists(10)
    strange = ((10, 'own/faces'), (10, first[0]), (9, first[0]), (9, 'own/nothing'), (9, '..'))
    for participant, folder in strange:
        refused = workshop.submit_graph(participant, folder, graph(folder), expect=400)
        (error,) = refused['node_errors']['3']['errors']
        assert error['type'] == 'value_not_in_list', refused
        assert error['details'] == f'folder: {folder!r} not in {lists(participant)}', error
    upload(10, '1.png', png())
    assert placed(10, 'of another')[1] == {'1.png': png()}


def prefixes(workshop, engine):
    """A prefix that leads out of the output folder is the engine's to refuse; nothing comes of it."""
    for n, prefix in enumerate(('/abroad/x', '../../abroad/x', 'a/../../abroad/x')):
        workshop.submit_graph(6, f'out {n}', output('SaveImage', filename_prefix=prefix))
        item = workshop.wait_history(6, f'out {n}')
        assert item['status']['status_str'] == 'error', (prefix, item['status'])
        assert 'outside the output folder' in sentence(item), (prefix, sentence(item))
    assert workshop.outputs(6) == [], workshop.outputs(6)
    # These stay inside, whatever they look like: below the folder of their own job, and their owner's.
    for n, prefix in enumerate(('atelier/1-1/x', 'a/../b/x', './x')):
        succeeds(workshop, 6, f'inside {n}', output('SaveImage', filename_prefix=prefix))
        sent = engine.prompts[-1]['prompt']['2']['inputs']['filename_prefix']
        assert os.path.normpath(sent).startswith('atelier/'), sent
    assert not os.path.exists('/abroad') and not os.path.exists(os.path.join(WORK, 'abroad'))


def runs_too_long(workshop):
    workshop.submit_graph(1, 'too long', bad_graph('waits'))
    item = workshop.wait_history(1, 'too long')
    assert item['status']['status_str'] == 'error', item['status']
    assert 'Stopped after 10 s, the longest time a job may run here.' in sentence(item), sentence(item)


def other_nodes(workshop, engine):
    """An engine that comes back with other nodes: what it lost is refused, what is new is run."""
    workshop.submit_graph(7, 'before', bad_graph('honest', kind='Newcomer'), expect=400)
    engine.die()
    engine.nodes['Newcomer'] = engine.nodes.pop('Misbehave')
    engine.revive()
    until(lambda: 'Newcomer' in workshop.get('/user/7/object_info'), 'the new node')
    succeeds(workshop, 7, 'new', bad_graph('honest', kind='Newcomer'))
    assert 'Misbehave' not in workshop.get('/user/7/object_info')
    workshop.submit_graph(7, 'lost', bad_graph('honest'), expect=400)


def garbage_at_the_door(workshop, engine, worker):
    """What answers the worker's first questions with nonsense is no engine, until it answers well."""
    answers = {
        '/system_stats': (b'{"system":', 'not valid JSON'),
        '/object_info': (b'[]', 'object_info is not a JSON object'),
        '/queue': (b'{"queue_running":5}', "ComfyUI's /queue has no lists"),
    }
    for path, (data, _) in answers.items():
        engine.doors['GET', path] = lambda request, data=data: (200, data)
    engine.die()
    engine.revive()
    for path, (_, said) in answers.items():
        until(lambda: said in worker.text(), f'what is wrong with {path}')
        del engine.doors['GET', path]
    succeeds(workshop, 8, 'after garbage', output('SaveImage', filename_prefix='kept'))


def folder_of_another(workshops):
    """A --comfy-dir that is not the folder of the ComfyUI at --comfy: files go by its upload and view."""
    workshop = Workshop('other-engines-wrong-folder')
    workshops.append(workshop)
    workshop.serve()
    engine = FakeComfyUI(os.path.join(WORK, 'comfy-right-folder'), '0.21.0')
    try:
        elsewhere = os.path.join(WORK, 'comfy-wrong-folder')
        os.makedirs(elsewhere)
        worker = workshop.worker(comfy=engine.url, comfy_dir=elsewhere)
        workshop.ready_for_jobs()
        lost_input(workshop, engine)
        upload_that_fails(workshop, engine)
        found = [name for _, _, names in os.walk(elsewhere) for name in names]
        assert not found, found
        said = f'does not see what lies in the input folder of {elsewhere}'
        assert said in worker.text()
        log = '/api/v1/workers/w1/log'
        until(lambda: said in json.dumps(workshop.get(log)), 'the log that the instructor sees')
        workshop.close()
    finally:
        engine.close()


def models_of_two_workers(workshop, first, second):
    """Editors list what each worker has, also when it has gone and the server was restarted meanwhile."""

    def list_of(path):
        return workshop.get(f'/user/1/{path}')

    def worker(name, engine):
        arguments = ['--name', name, '--join', workshop.url, '--comfy', engine.url, '--look-again', '1']
        arguments += ['--token-file', os.path.join(workshop.data, 'worker.token')]
        return workshop.start(name, [os.path.join(BIN, 'atelier-worker'), *arguments])

    first.models['checkpoints'] |= {'sd/a.safetensors': 5, 'both.safetensors': 7, '../../up.ckpt': 1}
    first.models['ipadapter'] = {'plus.bin': 9}
    first.models['..'] = {'x': 1}
    second.models['checkpoints'] |= {'b.safetensors': 6, 'both.safetensors': 7}
    second.models['embeddings'] = {'sub/easy.neg.pt': 4}
    for route in ('/experiment/models', '/experiment/models/checkpoints'):
        second.doors['GET', route] = lambda request: (404, b'404: Not Found')  # it tells no sizes
    workers = [worker('w1', first), worker('w2', second)]

    def ready():
        here = [one for one in workshop.get('/api/v1/workers')['workers'] if one['connected']]
        return len([one for one in here if one['slots'][0]['state'] == 'idle']) == 2

    until(ready, 'both workers')  # before the first one is, all lists that have come are shown
    every = ['b.safetensors', 'both.safetensors', 'sd/a.safetensors']
    until(lambda: list_of('models/checkpoints') == every and list_of('embeddings'), 'the models of both')
    assert list_of('embeddings') == ['sub/easy.neg'], list_of('embeddings')
    assert list_of('models')[-1] == 'ipadapter', list_of('models')
    assert list_of('experiment/models')[-1]['name'] == 'ipadapter', list_of('experiment/models')
    facts = {'pathIndex': 0, 'modified': 1764512345.5, 'created': 1764512346.25}
    (listed,) = list_of('experiment/models/ipadapter')
    assert listed == {'name': 'plus.bin', **facts, 'size': 9}, listed
    details = {file['name']: file['size'] for file in list_of('experiment/models/checkpoints')}
    assert details == {'b.safetensors': 0, 'both.safetensors': 7, 'sd/a.safetensors': 5}, details
    # object_info does not name embeddings: the lists change without it.
    second.models['embeddings']['later.pt'] = 4
    until(lambda: list_of('embeddings') == ['later', 'sub/easy.neg'], 'the embedding that came later')
    del second.models['embeddings']['later.pt']
    until(lambda: list_of('embeddings') == ['sub/easy.neg'], 'the end of the embedding')
    workers[0].stop()
    assert list_of('models/checkpoints') == every, list_of('models/checkpoints')
    workers[1].stop()
    workshop.server.stop()
    workshop.serve()  # no worker is there
    assert list_of('models/checkpoints') == every, list_of('models/checkpoints')
    assert list_of('embeddings') == ['sub/easy.neg'], list_of('embeddings')
    worker('w2', second)
    without_first = ['b.safetensors', 'both.safetensors']
    until(lambda: list_of('models/checkpoints') == without_first, 'the models of the one that came back')
    workshop.get('/user/1/models/ipadapter', expect=404)


def models_of_workers(workshops):
    workshop = Workshop('other-engines-models')
    workshops.append(workshop)
    workshop.serve()
    engines = [FakeComfyUI(os.path.join(WORK, f'comfy-models-{n}')) for n in (1, 2)]
    try:
        models_of_two_workers(workshop, *engines)
        workshop.close()
    finally:
        for engine in engines:
            engine.close()


def two_versions(workshops):
    """One class, other choices: each prompt goes where it is taken, and editors are offered all."""
    workshop = Workshop('other-engines-two-versions')
    workshops.append(workshop)
    workshop.serve()
    engines = []
    try:
        for name, choices in (('old', ['old', 'both']), ('new', ['both', 'new'])):
            engine = FakeComfyUI(os.path.join(WORK, f'comfy-{name}'), extra_nodes=['Misbehave'])
            engine.nodes['Misbehave']['input']['required']['version'] = [choices]
            engines.append(engine)
            workshop.worker(name, comfy=engine.url)
            until(lambda: 'Misbehave' in workshop.get('/user/1/object_info'), 'the class')
        of_both = ['old', 'both', 'new']
        inputs = lambda: workshop.get('/user/1/object_info')['Misbehave']['input']['required']  # noqa: E731
        until(lambda: sorted(inputs()['version'][0]) == sorted(of_both), 'the choices of both')
        for round_ in range(3):
            for version in of_both:
                graph = bad_graph('honest', color=round_ + 1)
                graph['2']['inputs']['version'] = version
                workshop.submit_graph(1, f'{version} {round_}', graph)
        for round_ in range(3):
            for version in of_both:
                item = workshop.wait_history(1, f'{version} {round_}')
                assert item['status']['status_str'] == 'success', (version, item['status'])
        for engine, foreign in zip(engines, ('new', 'old'), strict=True):
            sent = [one['prompt']['2']['inputs']['version'] for one in engine.prompts]
            assert sent and foreign not in sent, sent
        graph['2']['inputs']['version'] = 'none'
        workshop.submit_graph(1, 'nobody', graph, expect=400)
        workshop.close()
    finally:
        for engine in engines:
            engine.close()


def test(workshops):
    two_versions(workshops)
    folder_of_another(workshops)
    models_of_workers(workshops)
    for version in VERSIONS:
        for with_folder in (True, False) if version in ('0.21.0', '0.38.1') else (False,):
            name = f'{version}-{"folder" if with_folder else "address"}'
            workshop = Workshop(f'other-engines-{name}', JOB_TIMEOUT='10s')
            workshops.append(workshop)
            workshop.serve()
            engine = FakeComfyUI(os.path.join(WORK, f'comfy-{name}'), version, extra_nodes=['Misbehave'])
            try:
                engine.conducts.update(honest=honest, waits=waits, breaks=loses_its_sockets)
                folder = engine.folder if with_folder else None
                worker = workshop.worker(comfy=engine.url, comfy_dir=folder)
                workshop.ready_for_jobs()
                assert f'version={version}' in worker.text()
                works_and_stops(workshop, engine, name)
                sockets_break(workshop, engine, name)
                if version == '0.21.0':
                    previews(workshop, engine)
                    texts_of_the_prompt(workshop)
                    pictures_of_the_socket(workshop)
                    inputs(workshop, engine)
                    datasets(workshop, engine)
                    lost_input(workshop, engine)
                    prefixes(workshop, engine)
                    assert bool(engine.uploads) != with_folder, engine.uploads
                    assert bool(engine.viewed) != with_folder, engine.viewed
                    other_nodes(workshop, engine)
                    if with_folder:
                        garbage_at_the_door(workshop, engine, worker)
                if version == VERSIONS[0]:
                    runs_too_long(workshop)
                workshop.close()
            finally:
                engine.close()


if __name__ == '__main__':
    run(test)
