#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What nodes leave behind besides a picture under its own prefix: meshes that a text names, a video with its
picture, names that only Linux takes, prefixes that lead elsewhere; and an input that an engine's upload limit
keeps out. With the engine's folder and by its address alone."""

import json, os, urllib.request

from atelier_processes import WORK, Workshop, events_of, png, run
from fake_comfyui import FakeComfyUI, bad_graph
from link_worker import node

RANDOM = '0123456789abcdef' * 2
SEAT = 2
MANY = 1_100


def shown(workshop, file):
    """The bytes that the participant gets for a member of a ui."""
    query = '&'.join(f'{key}={file[key]}' for key in ('filename', 'subfolder', 'type'))
    with urllib.request.urlopen(f'{workshop.url}/user/{SEAT}/view?{query}', timeout=20) as answer:
        return answer.read()


def ends(workshop, prompt_id, graph):
    workshop.submit_graph(SEAT, prompt_id, graph)
    return workshop.wait_history(SEAT, prompt_id)


def succeeds(workshop, prompt_id, how, prefix='kept'):
    item = ends(workshop, prompt_id, bad_graph(how, prefix=prefix))
    assert item['status']['status_str'] == 'success', (prompt_id, item['status'])
    assert 'atelier/' not in json.dumps(item['outputs']), item['outputs']
    return item['outputs']['2']


def sentence(item):
    assert item['status']['status_str'] == 'error', item['status']
    errors = [data for kind, data in item['status']['messages'] if kind == 'execution_error']
    return errors[-1]['exception_message']


def finish(run_, ui):
    run_.executed('2', ui)
    run_.success()
    run_.finish()


async def saves_mesh(run_):
    """Save3DAdvanced: an object and a text of one file."""
    run_.start()
    file = run_.save('2', b'a cup', suffix='.glb')
    path = os.path.join(file['subfolder'], file['filename'])
    finish(run_, {'3d': [file], 'result': [path, {'zoom': 1}, []]})


async def shows_mesh(run_):
    """Preview3D: texts only, and files beside all folders."""
    run_.start()
    run_.engine.write('output', '', f'preview3d_{RANDOM}.glb', b'a mesh')
    run_.engine.write('temp', '', 'ComfyUI_temp_abcde_00001_.png', png(color=(1, 2, 3)))
    finish(run_, {'result': [f'preview3d_{RANDOM}.glb', None, 'temp/ComfyUI_temp_abcde_00001_.png']})


async def saves_video(run_):
    """VideoHelperSuite: a picture with the workflow beside the video, and the whole path."""
    run_.start()
    file = run_.save('2', b'a film', suffix='.mp4')
    name = file['filename'].replace('.mp4', '.png')
    run_.engine.write('output', file['subfolder'], name, run_.picture('2'))
    whole = os.path.join(run_.engine.folder, 'output', file['subfolder'], file['filename'])
    finish(run_, {'gifs': [{**file, 'format': 'video/mp4', 'workflow': name, 'fullpath': whole}]})


async def saves(run_):
    run_.start()
    finish(run_, {'images': [run_.save('2')]})


async def saves_strange_name(run_):
    """A prefix that came by a link: the agent did not see it."""
    run_.start()
    run_.engine.write('output', 'trip \\ 1', 'a\\b\n_00001_.png', png(color=(4, 4, 4)))
    file = {'filename': 'a\\b\n_00001_.png', 'subfolder': 'trip \\ 1', 'type': 'output'}
    finish(run_, {'images': [file]})


async def saves_elsewhere(run_):
    """The same, into the folder of another job."""
    run_.start()
    run_.engine.write('output', 'atelier/999-1', 'x_00001_.png', png(color=(5, 5, 5)))
    file = {'filename': 'x_00001_.png', 'subfolder': 'atelier/999-1', 'type': 'output'}
    finish(run_, {'images': [file]})


async def saves_many(run_):
    """1,100 pictures that its `ui` names, and as many texts that nothing names."""
    run_.start()
    subfolder, first = run_.place('2')
    stem = first.removesuffix('_00001_.png')
    names = [f'{stem}_{number:05}_.png' for number in range(1, MANY + 1)]
    for name in names:
        run_.engine.write('output', subfolder, name, png(color=(6, 6, 6)))
        run_.engine.write('output', subfolder, f'caption {name}.txt', b'a caption')
    finish(run_, {'images': [{'filename': name, 'subfolder': subfolder, 'type': 'output'} for name in names]})


def many_files(workshop, with_folder):
    """The frames of a film; without the folder a ComfyUI does not say what else it has written."""
    pictures = succeeds(workshop, 'many', 'saves_many', 'frames/f')['images']
    named = [file['filename'] for file in pictures]
    assert named == [f'f_{n:05}_.png' for n in range(1, MANY + 1)], (len(named), named[:2], named[-2:])
    folder = os.path.join(workshop.data, 'participants', str(SEAT), 'output', 'frames')
    assert len(os.listdir(folder)) == (2 * MANY if with_folder else MANY), len(os.listdir(folder))
    graph = bad_graph('saves', kind='SaveLoRA')
    said = sentence(ends(workshop, 'silent', graph)) if not with_folder else succeeds_with(workshop, graph)
    assert with_folder or 'SaveLoRA does not say which files it saves' in said, said


def succeeds_with(workshop, graph):
    assert ends(workshop, 'silent', graph)['status']['status_str'] == 'success'


def meshes(workshop):
    ui = succeeds(workshop, 'mesh', 'saves_mesh', '3d/cup')
    (file,) = ui['3d']
    assert file == {'filename': 'cup_00001_.glb', 'subfolder': '3d', 'type': 'output'}, file
    assert ui['result'] == ['3d/cup_00001_.glb', {'zoom': 1}, []], ui
    assert shown(workshop, file) == b'a cup'
    mesh, _, background = succeeds(workshop, 'shown', 'shows_mesh')['result']
    assert mesh == f'preview3d_{RANDOM}.glb', mesh
    assert shown(workshop, {'filename': mesh, 'subfolder': '', 'type': 'output'}) == b'a mesh'
    kind, name = os.path.split(background)
    assert shown(workshop, {'filename': name, 'subfolder': '', 'type': kind}) == png(color=(1, 2, 3))
    assert kind == 'temp', background


def videos(workshop):
    for number in ('00001', '00002'):
        (file,) = succeeds(workshop, f'video {number}', 'saves_video', 'films/cat')['gifs']
        assert file['filename'] == f'cat_{number}_.mp4' and file['subfolder'] == 'films', file
        assert file['fullpath'] == f'films/cat_{number}_.mp4', file
        assert file['workflow'] == f'cat_{number}_.png', file
        assert shown(workshop, file) == b'a film'
        assert shown(workshop, {**file, 'filename': file['workflow']}) == png(color=(0, 0, 1))
    folder = os.path.join(workshop.data, 'participants', str(SEAT), 'output', 'films')
    assert len(os.listdir(folder)) == 4, os.listdir(folder)


def names(workshop):
    long = 'x' * 230  # with what ComfyUI puts behind it a name may have 255 bytes
    (file,) = succeeds(workshop, 'long', 'saves', long)['images']
    assert file['filename'] == f'{long}_00001_.png', file
    (file,) = succeeds(workshop, 'strange', 'saves', 'c\\d /a\\b\ne')['images']
    assert file == {'filename': 'a_b_e_00001_.png', 'subfolder': 'c_d_', 'type': 'output'}, file
    assert shown(workshop, file) == png(color=(0, 0, 1))
    (file,) = succeeds(workshop, 'stranger', 'saves_strange_name')['images']
    assert file == {'filename': 'a_b__00001_.png', 'subfolder': 'trip _ 1', 'type': 'output'}, file


def prefixes(workshop, engine):
    """One that text nodes join leads into the job's folder; another job's folder is no place for a result."""
    graph = bad_graph('saves', prefix=['3', 0])
    graph['3'] = {'class_type': 'StringConcatenate', 'inputs': {'string_a': 'atelier', 'delimiter': '/'}}
    graph['3']['inputs']['string_b'] = '999-1/x'
    item = ends(workshop, 'joined', graph)
    assert item['status']['status_str'] == 'success', item['status']
    (file,) = item['outputs']['2']['images']
    sent = engine.prompts[-1]['prompt']['2']['inputs']['filename_prefix']
    assert sent.endswith('/atelier/999-1/x') and sent.startswith('atelier/'), sent
    assert file == {'filename': 'x_00001_.png', 'subfolder': 'atelier/999-1', 'type': 'output'}, file
    said = sentence(ends(workshop, 'elsewhere', bad_graph('saves_elsewhere')))
    assert 'in the folder of another job' in said, said


def large_inputs(workshop, engine):
    """Too large for an upload: said at once, whether the engine tells its limit before or only then."""
    runs = len(engine.prompts)
    for name, size, limit in (('large.png', 12 << 20, '10 MB'), ('small.png', 2 << 20, '1 MB')):
        workshop.upload(SEAT, name, os.urandom(size))
        engine.doors['GET', '/features'] = lambda request, n=limit: (
            200,
            json.dumps({'max_upload_size': int(n.split()[0]) << 20}).encode(),
        )
        engine.doors['POST', '/upload/image'] = lambda request: (413, b'Maximum request body size exceeded')
        graph = bad_graph('saves')
        graph['3'] = {'class_type': 'LoadImage', 'inputs': {'image': name}}
        graph['2']['inputs']['images'] = ['3', 0]
        said = sentence(ends(workshop, name, graph))
        expected = f'{name} has {size >> 20} MB; the limit of this worker is {limit}.'
        assert said == expected, said
    assert len(engine.prompts) == runs
    leases = [one['event']['job'] for one in events_of(workshop.journal(), 'leased')]
    assert len(leases) == len(set(leases)), leases
    engine.doors.clear()


def test(workshops):
    for with_folder in (True, False):
        name = 'folder' if with_folder else 'address'
        workshop = Workshop(f'odd-outputs-{name}')
        workshops.append(workshop)
        workshop.serve()
        engine = FakeComfyUI(os.path.join(WORK, f'comfy-odd-{name}'), extra_nodes=['Misbehave', 'SaveLoRA'])
        text = ['STRING', {}]
        engine.nodes['StringConcatenate'] = {
            **node({name: text for name in ('string_a', 'string_b', 'delimiter')}),
            'output': ['STRING'],
            'python_module': 'comfy_extras.nodes_string',
        }
        try:
            conducts = (saves_mesh, shows_mesh, saves_video, saves, saves_strange_name, saves_elsewhere)
            for conduct in (*conducts, saves_many):
                engine.conducts[conduct.__name__] = conduct
            workshop.worker(comfy=engine.url, comfy_dir=engine.folder if with_folder else None)
            workshop.ready_for_jobs()
            meshes(workshop)
            videos(workshop)
            names(workshop)
            prefixes(workshop, engine)
            many_files(workshop, with_folder)
            if not with_folder:
                large_inputs(workshop, engine)
            workshop.close()
        finally:
            engine.close()


if __name__ == '__main__':
    run(test)
