#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Clients that people use already run a real workflow against a participant: ComfyScript below the path
prefix, comfy-api-simplified (which takes no prefix) at the seat's own port with its token as password, and a
script like ComfyUI's own examples with its token in the socket's address; open, and with ACCESS=token."""

import os, subprocess, sys
import python_packages
from atelier_processes import WORK, Workshop, free_ports, png, run

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = os.path.join(HERE, 'clients')
VENV = os.path.join(HERE, '..', '..', 'build', 'venv-clients')
SEAT = 7


def client(name, *arguments):
    """The last line that the client printed."""
    done = subprocess.run(
        [os.path.join(VENV, 'bin', 'python'), os.path.join(CLIENTS, name), *arguments],
        cwd=WORK, capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, f'{name}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}'
    return done.stdout.strip().splitlines()[-1]


def test(workshops):
    picture = os.path.join(WORK, 'red.png')
    with open(picture, 'wb') as file:
        file.write(png(8, 8, (255, 0, 0)))
    first = free_ports(9)
    for access in ('open', 'token'):
        workshop = Workshop(f'clients-{access}', NUM_USERS='9', SEAT_PORTS=str(first), ACCESS=access)
        workshops.append(workshop)
        workshop.serve()
        workshop.engine()
        workshop.worker()
        workshop.server.line('worker_ready ')
        token = workshop.tokens()[SEAT - 1]
        seat = f'http://127.0.0.1:{first + SEAT - 1}/'
        assert client('simplified.py', seat, token, picture) == '(0, 255, 255)'
        prefix = f'127.0.0.1:{workshop.port}/user/{SEAT}'
        assert client('plain_websocket.py', prefix, token) == 'plain_00001_.png'
        if access == 'open':  # ComfyScript has no way to bring a token
            assert client('comfyscript.py', f'http://{prefix}/') == 'comfyscript_00001_.png'
        saved = workshop.outputs(SEAT)
        assert 'simplified_00001_.png' in saved and 'plain_00001_.png' in saved, saved
        workshop.close()


if __name__ == '__main__':
    if not python_packages.install(VENV, os.path.join(CLIENTS, 'requirements.txt')):
        print('the Python package index cannot be reached (needed once, for the clients)')
        sys.exit(77)
    run(test)
