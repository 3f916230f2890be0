#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What another workshop's job of the same number left in ComfyUI's output folder goes to nobody, and
stays where it is."""

import os
from atelier_processes import Workshop, png, run


def test(workshops):
    workshop = Workshop('stale-outputs')
    workshops.append(workshop)
    workshop.serve()
    directory = os.path.join(workshop.data, 'comfy')
    secret = os.path.join(directory, 'output', 'atelier', '1-1', 'secret.png')
    os.makedirs(os.path.dirname(secret))
    with open(secret, 'wb') as file:
        file.write(png(8, 8, (9, 9, 9)))
    workshop.engine(directory=directory)
    workshop.worker(comfy_dir=directory)
    workshop.ready_for_jobs()
    workshop.submit(3, 'first')
    item = workshop.wait_history(3, 'first')
    assert item['status']['status_str'] == 'success', item['status']
    assert workshop.outputs(3) == ['kept_00001_.png'], workshop.outputs(3)
    assert os.path.exists(secret)


if __name__ == '__main__':
    run(test)
