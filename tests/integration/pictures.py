#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A picture that hurts its decoder hurts nothing else: the image process is limited and comes back."""

import os, signal, struct, urllib.error, urllib.request, zlib
from atelier_processes import Workshop, run, until


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png(width, height, rows):
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b'IHDR', head), chunk(b'IDAT', zlib.compress(rows)), chunk(b'IEND', b''))
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts)


def upload(workshop, name, data):
    mark = 'mark-of-the-test'
    body = (
        f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
        + data
        + f'\r\n--{mark}--\r\n'.encode()
    )
    headers = {'Content-Type': f'multipart/form-data; boundary={mark}'}
    request = urllib.request.Request(workshop.url + '/user/1/upload/image', data=body, headers=headers)
    assert urllib.request.urlopen(request, timeout=20).status == 200


def view(workshop, name):
    try:
        url = f'{workshop.url}/user/1/view?filename={name}&type=input&preview=webp'
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.headers['Content-Type']
    except urllib.error.HTTPError as error:
        return error.code, None


def image_process(workshop):
    """The one child of the server."""
    with open(f'/proc/{workshop.server.child.pid}/task/{workshop.server.child.pid}/children') as file:
        children = file.read().split()
    return int(children[0]) if children else None


def test(workshops):
    workshop = Workshop('pictures')
    workshops.append(workshop)
    workshop.serve()
    upload(workshop, 'good.png', png(2, 2, b'\0' + bytes(6) + b'\0' + bytes(6)))
    upload(workshop, 'bomb.png', png(60000, 60000, bytes(1 << 20)))
    upload(workshop, 'text.png', b'not a picture')
    assert image_process(workshop) is None, 'it is started before anybody needs it'
    assert view(workshop, 'good.png') == (200, 'image/webp')
    assert view(workshop, 'bomb.png')[0] == 500
    assert view(workshop, 'text.png')[0] == 500
    pid = image_process(workshop)
    with open(f'/proc/{pid}/environ', 'rb') as file:
        assert file.read() == b'', 'secrets of the server reach the image process'
    with open(f'/proc/{pid}/limits') as file:
        assert f'Max address space         {2 << 30}' in file.read()
    assert len(os.listdir(f'/proc/{pid}/fd')) == 4, os.listdir(f'/proc/{pid}/fd')
    os.kill(pid, signal.SIGKILL)
    until(lambda: view(workshop, 'good.png') == (200, 'image/webp'), 'a new image process')
    pid = image_process(workshop)
    workshop.server.kill()
    until(lambda: not os.path.exists(f'/proc/{pid}'), 'the end of the image process with its server')


if __name__ == '__main__':
    run(test)
