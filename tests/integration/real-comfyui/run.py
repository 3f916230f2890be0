#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Jobs of several participants through this checkout's server and worker to a real ComfyUI: README.md."""

import argparse, json, os, re, struct, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from atelier_processes import BIN, Workshop, png, run, until  # noqa: E402
from instructor_api import Api  # noqa: E402
from link_worker import Socket  # noqa: E402
import engine_pages, sampler  # noqa: E402
from people import RUN, Class, node, png_texts, saved  # noqa: E402

given = None


def its_metadata_is_its_own(people):
    graph = saved(f'class/kept-{RUN}')
    (picture,) = people.made(3, graph)['9']['images']
    assert (picture['filename'], picture['subfolder']) == (f'kept-{RUN}_00001_.png', 'class'), picture
    texts = png_texts(people.view(3, picture))
    assert json.loads(texts['prompt']) == graph, texts
    assert json.loads(texts['workflow']) == {'id': 'w'}, texts


def batches_and_counters(people):
    pictures = people.made(4, saved(f'many-{RUN}', batch=3))['9']['images']
    wanted = [f'many-{RUN}_0000{n}_.png' for n in (1, 2, 3)]
    assert [picture['filename'] for picture in pictures] == wanted, pictures
    (next_one,) = people.made(4, saved(f'many-{RUN}', color=7))['9']['images']
    assert next_one['filename'] == f'many-{RUN}_00004_.png', next_one


def uploads_masks_and_folders(people):
    picture = png(20, 10, (1, 2, 3))
    people.workshop.upload(5, 'cup.png', picture, subfolder='shelf')
    graph = {
        '1': node('LoadImage', image='shelf/cup.png'),
        '2': node('ImageInvert', image=['1', 0]),
        '3': node('SaveImage', images=['2', 0], filename_prefix='inverted'),
        '4': node('MaskToImage', mask=['1', 1]),
        '5': node('PreviewImage', images=['4', 0]),
    }
    made = people.made(5, graph)
    data = people.view(5, made['3']['images'][0])
    assert struct.unpack('>II', data[16:24]) == (20, 10), data[:32]
    texts = png_texts(data)
    assert json.loads(texts['prompt'])['1']['inputs']['image'] == 'shelf/cup.png', texts
    assert made['5']['images'][0]['type'] == 'temp', made['5']
    if people.has('LoadImageMask'):
        graph = {
            '1': node('LoadImageMask', image='shelf/cup.png', channel='red'),
            '2': node('MaskToImage', mask=['1', 0]),
            '3': node('SaveImage', images=['2', 0], filename_prefix='mask'),
        }
        people.made(5, graph)
    refused = people.submit(6, graph, expect=400)
    assert 'shelf/cup.png' in json.dumps(refused), refused  # another participant has no such file


def a_folder_is_a_dataset(people):
    kind, folder = 'LoadImageTextDataSetFromFolder', f'faces-{RUN}'
    if not people.has(kind, 'PreviewAny'):
        return
    graph = {
        '1': node(kind, folder=folder),
        '2': node('SaveImage', images=['1', 0], filename_prefix='face'),
        '3': node('PreviewAny', source=['1', 1]),
    }
    people.submit(16, graph, expect=400)
    for name, data in (('cat.png', png(20, 10)), ('cat.txt', b'a cat'), ('none.png', png(20, 10, (5, 5, 5)))):
        people.workshop.upload(16, name, data, subfolder=folder)
    for name, data in (('dog.png', png(20, 10, (7, 7, 7))), ('dog.txt', b'a dog')):
        people.workshop.upload(16, name, data, subfolder=f'{folder}/2_dog')  # twice, by its name

    def shown():
        made = people.made(16, graph)
        assert len(made['2']['images']) == 4, made
        assert people.view(16, made['2']['images'][0])[16:24] == struct.pack('>II', 20, 10)
        return sorted(made['3']['text'])

    assert shown() == ['', 'a cat', 'a dog', 'a dog']
    people.workshop.upload(16, 'cat.txt', b'another cat', subfolder=folder, overwrite='true')
    assert shown() == ['', 'a dog', 'a dog', 'another cat']  # and not what ComfyUI has cached
    assert folder not in json.dumps(people.workshop.get(f'/user/17/api/object_info/{kind}'))
    refused = people.submit(17, graph, expect=400)
    assert refused['node_errors']['1']['errors'][0]['type'] == 'value_not_in_list', refused


def a_saved_dataset_is_its_owners(people):
    kind, folder = 'SaveImageDataSetToFolder', f'mine-{RUN}'
    # It names no file in its ui: by its address alone a ComfyUI does not say what it has written.
    if not given.comfy_dir or not people.has(kind, 'EmptyImage'):
        return
    graph = {
        '1': node('EmptyImage', width=16, height=16, batch_size=1, color=255),
        '2': node(kind, images=['1', 0], folder_name=f'../../{folder}', filename_prefix='face'),
    }
    if 'mode' in people.workshop.get(f'/user/18/api/object_info/{kind}')[kind]['input']['required']:
        graph['2']['inputs']['mode'] = 'increment'  # newer ones ask
    people.made(18, graph)
    saved = os.path.join(people.workshop.data, 'participants', '18', 'output', folder)
    assert os.path.isdir(saved), people.workshop.outputs(18)
    assert len([name for name in os.listdir(saved) if name.startswith('face')]) == 1, os.listdir(saved)
    assert not os.path.exists(os.path.join(given.comfy_dir, '..', folder))


def a_latent_comes_back(people):
    if not people.has('EmptyLatentImage', 'SaveLatent', 'LoadLatent'):
        return
    graph = {
        '1': node('EmptyLatentImage', width=64, height=64, batch_size=1),
        '2': node('SaveLatent', samples=['1', 0], filename_prefix='latent'),
    }
    (latent,) = people.made(18, graph)['2']['latents']
    people.workshop.upload(18, f'{RUN}.latent', people.view(18, latent))
    listed = people.workshop.get('/user/18/api/object_info/LoadLatent')['LoadLatent']['input']['required']
    assert listed['latent'][0] == [f'{RUN}.latent'], listed
    graph['1'] = node('LoadLatent', latent=f'{RUN}.latent')
    people.made(18, graph)
    people.submit(19, graph, expect=400)


def a_cached_preview_is_everybodys_own(people):
    graph = {
        '1': node('EmptyImage', width=32, height=32, batch_size=1, color=int(RUN, 16)),
        '2': node('PreviewImage', images=['1', 0]),
    }
    for participant, wanted in ((7, []), (7, ['1', '2']), (8, ['1']), (8, ['1', '2'])):
        item = people.ended(participant, people.submit(participant, graph))
        (picture,) = item['outputs']['2']['images']
        assert people.view(participant, picture)[16:24] == struct.pack('>II', 32, 32)
        (cached,) = [data['nodes'] for kind, data in item['status']['messages'] if kind == 'execution_cached']
        assert sorted(cached) == wanted, (participant, cached)


def animations_and_video(people):
    frames = node('EmptyImage', width=32, height=32, batch_size=4, color=int(RUN, 16))
    if people.has('SaveAnimatedWEBP'):
        graph = {
            '1': frames,
            '2': node('SaveAnimatedWEBP', images=['1', 0], filename_prefix='moves', fps=6.0, lossless=True,
                      quality=80, method='default'),
        }  # fmt: skip
        made = people.made(9, graph)['2']
        assert made['animated'] == [True], made
        data = people.view(9, made['images'][0])
        assert data[:4] == b'RIFF' and data[8:12] == b'WEBP', data[:16]
        assert b'moves' in data and b'atelier/' not in data, 'the metadata is not the participant\'s own'
    if people.has('SaveAnimatedPNG'):
        graph = {
            '1': frames,
            '2': node('SaveAnimatedPNG', images=['1', 0], filename_prefix='steps', fps=6.0, compress_level=4),
        }
        data = people.view(9, people.made(9, graph)['2']['images'][0])
        assert b'steps' in data and b'atelier/' not in data, 'the metadata is not the participant\'s own'
    if people.has('CreateVideo', 'SaveVideo'):
        graph = {
            '1': frames,
            '2': node('CreateVideo', images=['1', 0], fps=8.0),
            '3': node('SaveVideo', video=['2', 0], filename_prefix=f'video/clip-{RUN}', format='mp4',
                      codec='h264'),
        }  # fmt: skip
        made = people.made(9, graph)['3']
        (clip,) = [entry for entries in made.values() for entry in entries if isinstance(entry, dict)]
        assert (clip['filename'], clip['subfolder']) == (f'clip-{RUN}_00001_.mp4', 'video'), made
        data = people.view(9, clip)
        assert data[4:8] == b'ftyp', data[:16]
        assert b'video/clip' in data and b'atelier/' not in data, 'the metadata is not the participant\'s own'


def text_is_shown(people):
    if not people.has('PreviewAny', 'PrimitiveInt'):
        return
    graph = {'1': node('PrimitiveInt', value=42), '2': node('PreviewAny', source=['1', 0])}
    assert '42' in json.dumps(people.made(10, graph)['2'])


def an_error_has_its_traceback(people):
    people.workshop.upload(11, 'no-picture.png', b'this is not a picture')
    graph = {
        '1': node('LoadImage', image='no-picture.png'),
        '2': node('PreviewImage', images=['1', 0]),
    }
    item = people.ended(11, people.submit(11, graph))
    assert item['status']['status_str'] == 'error', item['status']
    (error,) = [data for kind, data in item['status']['messages'] if kind == 'execution_error']
    assert error['node_type'] == 'LoadImage' and error['traceback'] and error['exception_message'], error
    assert 'atelier-' not in json.dumps(error['current_inputs']), error['current_inputs']


def slow_graph(seed):
    graph = {'1': node('EmptyImage', width=1024, height=1024, batch_size=8, color=seed)}
    for step in range(2, 40):
        graph[str(step)] = node('ImageBlur', image=[str(step - 1), 0], blur_radius=31, sigma=10.0)
    graph['99'] = node('SaveImage', images=['39', 0], filename_prefix='slow')
    return graph


def only_the_job_meant_is_interrupted(people):
    if not people.has('ImageBlur'):
        return
    workshop = people.workshop
    slow = people.submit(12, slow_graph(1))
    until(lambda: workshop.get('/user/12/queue')['queue_running'], 'the slow job to run')
    neighbour = people.submit(13, saved('neighbour', color=5))
    workshop.post('/user/13/api/interrupt', {'prompt_id': slow})  # it is not theirs
    workshop.post('/user/12/api/interrupt', {'prompt_id': slow})
    item = people.ended(12, slow)
    assert 'execution_interrupted' in [kind for kind, _ in item['status']['messages']], item['status']
    assert people.ended(13, neighbour)['status']['status_str'] == 'success'


def no_prefix_leaves_the_folder(people):
    outside = set(os.listdir('/tmp'))
    for prefix in ('../../escaped', '/tmp/escaped', 'a/../../escaped', 'C:\\escaped'):
        answer = people.workshop.post('/user/14/api/prompt', {'prompt': saved(prefix)}, expect=None)
        if 'prompt_id' not in answer:
            continue  # refused at once
        item = people.ended(14, answer['prompt_id'])
        if item['status']['status_str'] == 'error':
            continue
        for picture in item['outputs']['9']['images']:
            people.view(14, picture)
            assert '..' not in picture['subfolder'] and not picture['subfolder'].startswith('/'), picture
    assert not {name for name in set(os.listdir('/tmp')) - outside if 'escaped' in name}


def events_come_in_their_order(people):
    port = people.workshop.port
    socket = Socket(port, '/user/15/ws?clientId=seen', {})
    graph = saved('seen', color=77)
    body = {'prompt': graph, 'client_id': 'seen', 'prompt_id': 'seen-1'}
    answer = people.workshop.post('/user/15/api/prompt', body)
    assert answer['prompt_id'] == 'seen-1', answer
    kinds = []
    while 'execution_success' not in kinds:
        message = socket.receive()
        if message['data'].get('prompt_id') not in (None, 'seen-1'):
            raise AssertionError(message)
        kinds.append(message['type'])
    wanted = ['execution_start', 'execution_cached', 'executing', 'executed', 'execution_success']
    seen = [kind for kind in kinds if kind in wanted]
    assert [kind for n, kind in enumerate(seen) if kind not in seen[:n]] == wanted, kinds


def its_own_page_opens(people):
    """For the instructor, through the gateway, with its front end and its socket."""
    page = engine_pages.Page(engine_pages.ticket(Api(people.workshop, ''), worker='real')['url'])
    page.open()
    assert b'<html' in page.call('GET', '/').lower(), 'its front end'
    assert page.json('GET', '/api/system_stats')['system']['comfyui_version']
    assert 'SaveImage' in page.json('GET', '/object_info')
    engine_pages.prompt_with_events(page)


CHECKS = (
    its_metadata_is_its_own, batches_and_counters, uploads_masks_and_folders, a_folder_is_a_dataset,
    a_saved_dataset_is_its_owners, a_latent_comes_back,
    a_cached_preview_is_everybodys_own, animations_and_video, text_is_shown, an_error_has_its_traceback,
    only_the_job_meant_is_interrupted, no_prefix_leaves_the_folder, events_come_in_their_order,
    its_own_page_opens,
)  # fmt: skip


def checks_of_a_sampler(people):
    if sampler.is_listed(people):
        return sampler.CHECKS
    print(f'left out, not in this ComfyUI: {sampler.CHECKPOINT}, and so the sampler. Give --comfy-dir, or')
    print('  make it in its models/checkpoints with tests/integration/real-comfyui/tiny_checkpoint.py')
    if given.comfy_dir:
        print(f'  (it lies in models/checkpoints of {given.comfy_dir}, and is not looked for there)')
    return ()


def test(workshops):
    workshop = Workshop('real-comfyui', NUM_USERS='20', ENGINE_PAGES_LISTEN='127.0.0.1:0')
    workshops.append(workshop)
    workshop.serve()
    arguments = [os.path.join(BIN, 'atelier-worker'), '--name', 'real', '--join', workshop.url]
    arguments += ['--look-again', '1']
    arguments += ['--token-file', os.path.join(workshop.data, 'worker.token')]
    for option in ('comfy', 'comfy_dir', 'launch', 'slots'):
        value = getattr(given, option)
        if value:
            arguments += ['--' + option.replace('_', '-'), value]
    if given.launch:
        arguments += ['--log-dir', os.path.join(workshop.data, 'engine-logs')]
    workshop.start('worker-real', arguments)
    until(lambda: 'SaveImage' in (workshop.get('/user/1/api/object_info/SaveImage') or {}), 'ComfyUI', 180)
    def ready():
        slots = workshop.get('/api/v1/workers/real')['worker']['slots']
        return slots if slots and all(slot['engine_version'] for slot in slots) else None

    slots = until(ready, 'all slots')
    nodes = workshop.get('/user/1/api/object_info')
    assert not [name for name, facts in nodes.items() if facts.get('api_node')], 'partner nodes are shown'
    versions = sorted({slot['engine_version'] for slot in slots})
    print(f'ComfyUI {", ".join(versions)}, {len(nodes)} nodes, {len(slots)} slots')
    version = tuple(map(int, re.findall(r'\d+', versions[0])))
    people = Class(workshop, given.comfy or 'http://127.0.0.1:8188', version, given.comfy_dir)
    for check in (*CHECKS, *checks_of_a_sampler(people)):
        check(people)
        print('fine:', check.__name__.replace('_', ' '))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--comfy', help='address of the ComfyUI')
    parser.add_argument('--comfy-dir', help='its folder with input, output and temp')
    parser.add_argument('--launch', help='a command that starts it')
    parser.add_argument('--slots', help='how many')
    given = parser.parse_args()
    if not given.comfy and not given.launch:
        parser.error('give --comfy URL, or --launch COMMAND')
    with sampler.checkpoint_in(given.comfy_dir):
        run(test)
