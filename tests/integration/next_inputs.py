#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The next job's inputs lie on the worker before the job before it has ended: with the worker's folders, and
by ComfyUI's own upload where only its address is known."""

import hashlib, os

from atelier_processes import Workshop, png, run, until

COLOR = (200, 100, 50)


def invert_graph(name):
    return {
        '1': {'class_type': 'LoadImage', 'inputs': {'image': name}},
        '2': {'class_type': 'ImageInvert', 'inputs': {'image': ['1', 0]}},
        '3': {'class_type': 'SaveImage', 'inputs': {'images': ['2', 0], 'filename_prefix': 'inverted'}},
    }


def files_below(folder):
    return [os.path.join(path, name) for path, _, names in os.walk(folder) for name in names]


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


def test(workshops):
    next_inputs_come_early(workshops, 'next-inputs', True)
    next_inputs_come_early(workshops, 'next-inputs-by-address', False)


if __name__ == '__main__':
    run(test)
