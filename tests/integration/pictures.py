#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A picture that hurts its decoder hurts nothing else: the image process is limited and comes back."""

import json, os, signal, struct, urllib.error, urllib.request, zlib
from atelier_processes import Workshop, run, until


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png(width, height, rows, colour_type=2, text=None):
    head = struct.pack('>IIBBBBB', width, height, 8, colour_type, 0, 0, 0)
    words = b'' if text is None else chunk(b'tEXt', b'prompt\0' + text)
    parts = (chunk(b'IHDR', head), words, chunk(b'IDAT', zlib.compress(rows)), chunk(b'IEND', b''))
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts)


def upload(workshop, name, data, route='/upload/image', **fields):
    """Gives the status and the answer's text."""
    mark = 'mark-of-the-test'
    head = f'--{mark}\r\nContent-Disposition: form-data; name='
    body = ''.join(f'{head}"{field}"\r\n\r\n{value}\r\n' for field, value in fields.items()).encode()
    body += f'{head}"image"; filename="{name}"\r\n\r\n'.encode() + data + f'\r\n--{mark}--\r\n'.encode()
    headers = {'Content-Type': f'multipart/form-data; boundary={mark}'}
    request = urllib.request.Request(workshop.url + '/user/1' + route, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def masks(workshop):
    """A mask becomes the alpha of the picture that it is for, whose text stays."""
    original = png(2, 1, b'\0' + bytes((1, 2, 3, 4, 5, 6)), text=b'{"1": {}}')
    mask = png(2, 1, b'\0' + bytes((0, 0, 0, 17, 0, 0, 0, 200)), colour_type=6)
    assert upload(workshop, 'face.png', original, subfolder='sub')[0] == 200
    reference = json.dumps({'filename': 'face.png', 'subfolder': 'sub', 'type': 'input'})
    annotated = json.dumps({'filename': 'sub/face.png [input]', 'type': 'nonsense'})
    for number, (route, ref) in enumerate((('/upload/mask', reference), ('/api/upload/mask', annotated))):
        name = f'masked-{number}.png'
        status, told = upload(workshop, name, mask, route, original_ref=ref, subfolder='clipspace')
        assert (status, json.loads(told)) == (200, {'name': name, 'subfolder': 'clipspace', 'type': 'input'})
        url = f'{workshop.url}/user/1/view?filename={name}&type=input&subfolder=clipspace'
        with urllib.request.urlopen(url, timeout=30) as answer:
            made = answer.read()
        assert made[25] == 6 and b'tEXtprompt\0{"1": {}}' in made, made
        rows = zlib.decompress(made[made.index(b'IDAT') + 4 : -16])
        assert rows[0] in (0, 1), rows  # of one row a filter that is easily undone
        pixels = list(rows[1:])
        if rows[0] == 1:
            pixels[4:] = [(pixels[i] + pixels[i - 4]) % 256 for i in range(4, 8)]
        assert pixels == [1, 2, 3, 17, 4, 5, 6, 200], pixels
    wide = png(3, 1, bytes(13), colour_type=6)
    bomb = png(60000, 60000, bytes(1 << 20), colour_type=6)
    status, said = upload(workshop, 'wide.png', wide, '/upload/mask', original_ref=reference)
    assert status == 400 and '3 x 1' in said, (status, said)
    assert upload(workshop, 'bomb.png', bomb, '/upload/mask', original_ref=reference)[0] == 413
    assert upload(workshop, 'text.png', b'no picture', '/upload/mask', original_ref=reference)[0] == 400
    with urllib.request.urlopen(f'{workshop.url}/user/1/internal/files/input', timeout=30) as answer:
        assert 'wide.png [input]' not in json.load(answer)


def view(workshop, name):
    try:
        url = f'{workshop.url}/user/1/view?filename={name}&type=input&preview=webp'
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.headers['Content-Type']
    except urllib.error.HTTPError as error:
        return error.code, None


def previews(workshop):
    """The picture beside a model, as WebP; also where the page that asks is known by its address only."""
    folder = os.path.join(workshop.data, 'library/loras/sub')
    os.makedirs(folder)
    with open(os.path.join(folder, 'cat.preview.png'), 'wb') as file:
        file.write(png(2, 1, bytes(7)))
    with open(os.path.join(folder, 'dog.png'), 'wb') as file:
        file.write(b'no picture')

    def get(path, **headers):
        request = urllib.request.Request(workshop.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    path = '/api/experiment/models/preview/loras/0/sub%2Fcat.safetensors'
    status, headers, picture = get('/user/1' + path)
    assert (status, headers['Content-Type'], picture[8:12]) == (200, 'image/webp', b'WEBP'), (status, picture)
    assert get('/user/1' + path, **{'If-None-Match': headers['ETag']})[0] == 304
    assert get(path, Referer=workshop.url + '/user/1/')[2] == picture
    assert get(path)[0] == 404
    assert get('/user/1' + path.replace('cat', 'dog'))[::2] == (404, b'')


def image_process(workshop):
    """The one child of the server."""
    with open(f'/proc/{workshop.server.child.pid}/task/{workshop.server.child.pid}/children') as file:
        children = file.read().split()
    return int(children[0]) if children else None


def test(workshops):
    workshop = Workshop('pictures')
    workshops.append(workshop)
    workshop.serve()
    assert upload(workshop, 'good.png', png(2, 2, b'\0' + bytes(6) + b'\0' + bytes(6)))[0] == 200
    upload(workshop, 'bomb.png', png(60000, 60000, bytes(1 << 20)))
    upload(workshop, 'text.png', b'not a picture')
    assert image_process(workshop) is None, 'it is started before anybody needs it'
    assert view(workshop, 'good.png') == (200, 'image/webp')
    assert view(workshop, 'bomb.png')[0] == 500
    assert view(workshop, 'text.png')[0] == 500
    masks(workshop)
    previews(workshop)
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
