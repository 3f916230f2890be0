#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The next job's inputs lie on the worker before the job before it has ended: with the worker's folders, and
by ComfyUI's own upload where only its address is known. A large input comes over a line that breaks again and
again, or to an agent that is killed meanwhile, and its content comes once, whatever its name."""

import hashlib, os, re

from atelier_processes import Workshop, png, run, until
from chaos_proxy import ChaosProxy

COLOR = (200, 100, 50)
MIB = 1 << 20


def invert_graph(name):
    return {
        '1': {'class_type': 'LoadImage', 'inputs': {'image': name}},
        '2': {'class_type': 'ImageInvert', 'inputs': {'image': ['1', 0]}},
        '3': {'class_type': 'SaveImage', 'inputs': {'images': ['2', 0], 'filename_prefix': 'inverted'}},
    }


def files_below(folder):
    # Not those on their way, whose names change while one looks.
    found = [os.path.join(path, name) for path, _, names in os.walk(folder) for name in names]
    return [path for path in found if '.atelier-incoming' not in path]


def files_of(folder):
    return [os.path.join(folder, name) for name in os.listdir(folder)]


def size_of(path):
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def begun(proxy):
    """Where the answers to the requests for inputs were to begin."""
    asked = [text for _, way, text in list(proxy.heads) if way == 'up' and 'GET /worker/input/' in text]
    ranges = [re.search(r'Range: bytes=(\d+)-', text) for text in asked]
    return [int(found[1]) if found else 0 for found in ranges]


def next_inputs_come_early(workshops, name, with_folder):
    workshop = Workshop(name)
    workshops.append(workshop)
    workshop.serve()
    directory = os.path.join(workshop.data, 'comfy')
    os.makedirs(directory)
    engine = workshop.engine(step_ms=800, directory=directory)
    workshop.worker(comfy_dir=directory if with_folder else None)
    workshop.ready_for_jobs()
    picture = png(64, 64, COLOR)
    named = workshop.upload(2, 'cup.png', picture)['name']
    workshop.submit(1, 'first')
    until(lambda: workshop.get('/user/1/queue')['queue_running'], 'the first job to run')
    workshop.post('/user/2/api/prompt', {'prompt': invert_graph(named), 'prompt_id': 'second'})

    def lies_there():
        for path in files_below(os.path.join(directory, 'input')):
            with open(path, 'rb') as file:
                if hashlib.sha256(file.read()).digest() == hashlib.sha256(picture).digest():
                    return path
        return None

    until(lies_there, 'the input of the next job on the worker')
    assert not workshop.history(1, 'first'), 'the first job had ended before the input came'
    assert workshop.get('/user/1/queue')['queue_running'], 'the first job does not run any more'
    assert engine.child.poll() is None
    item = workshop.wait_history(2, 'second')
    assert item['status']['status_str'] == 'success', item['status']


def engine_behind_a_proxy(workshops, name):
    workshop = Workshop(name)
    workshops.append(workshop)
    workshop.serve()
    directory = os.path.join(workshop.data, 'comfy')
    os.makedirs(directory)
    workshop.engine(step_ms=1, directory=directory)
    return workshop, ChaosProxy(workshop.port), directory


def large_input_over_a_line_that_breaks(workshops, name, with_folder):
    workshop, proxy, directory = engine_behind_a_proxy(workshops, name)
    workshop.worker(join=proxy.url, comfy_dir=directory if with_folder else None)
    workshop.ready_for_jobs()
    picture = png(64, 64, COLOR) + os.urandom(64 * MIB)
    proxy.down.cut_after = 16 * MIB

    def run_with(file):
        named = workshop.upload(1, file, picture)['name']
        workshop.post('/user/1/api/prompt', {'prompt': invert_graph(named), 'prompt_id': file})
        item = workshop.wait_history(1, file)
        assert item['status']['status_str'] == 'success', item['status']

    run_with('cup.png')
    offsets = begun(proxy)
    assert len(offsets) > 3 and offsets == sorted(offsets) and offsets.count(0) == 1, offsets
    run_with('mug.png')
    assert begun(proxy) == offsets, begun(proxy)
    proxy.close()


def agents_that_end_meanwhile(workshops, name):
    """Killed, and stopped: the next process has what came before."""
    workshop, proxy, directory = engine_behind_a_proxy(workshops, name)
    incoming = os.path.join(directory, 'input', '.atelier-incoming')
    worker = workshop.worker(join=proxy.url, comfy_dir=directory)
    workshop.ready_for_jobs()
    left = os.path.join(incoming, 't-1-0')
    with open(left, 'wb') as file:
        file.write(b'of an agent that was killed long ago')
    os.utime(left, (1, 1))
    picture = png(64, 64, COLOR) + os.urandom(64 * MIB)
    named = workshop.upload(1, 'cup.png', picture)['name']
    proxy.down.rate = 4 * MIB
    workshop.post('/user/1/api/prompt', {'prompt': invert_graph(named), 'prompt_id': 'cup'})

    def has_come(count):
        until(lambda: sum(map(size_of, files_of(incoming))) > count, 'a good part of the input')

    has_come(16 * MIB)
    worker.kill()
    worker = workshop.worker(join=proxy.url, comfy_dir=directory)
    until(lambda: not os.path.exists(left), 'what is old to be removed')
    has_come(32 * MIB)
    worker.stop()
    proxy.down.rate = None
    workshop.worker(join=proxy.url, comfy_dir=directory)
    item = workshop.wait_history(1, 'cup')
    assert item['status']['status_str'] == 'success', item['status']
    offsets = begun(proxy)
    assert len(offsets) == 3 and offsets[0] == 0 and offsets[1] > 16 * MIB and offsets[2] > 32 * MIB, offsets
    assert not files_of(incoming), files_of(incoming)
    proxy.close()


def test(workshops):
    large_input_over_a_line_that_breaks(workshops, 'input-over-a-bad-line', True)
    large_input_over_a_line_that_breaks(workshops, 'input-over-a-bad-line-by-address', False)
    agents_that_end_meanwhile(workshops, 'input-of-two-agents')
    next_inputs_come_early(workshops, 'next-inputs', True)
    next_inputs_come_early(workshops, 'next-inputs-by-address', False)


if __name__ == '__main__':
    run(test)
