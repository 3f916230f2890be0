#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Animated PNG and WebP of the rehearsal engine beside those of a real ComfyUI: frames, durations, the texts
inside and what the history says of them. tests/golden/README.md tells how they were recorded."""

import json, os, struct, zlib
from golden_pictures import GOLDEN, difference, pixels_of, run_cases

FOLDER = os.path.join(GOLDEN, 'animations')
EXTRA = {'extra_pnginfo': {'workflow': {'nodes': [], 'title': 'ü'}, 'more': 3}}
TIFF_ASCII = 2
# EXIF's Model; the keys of extra_pnginfo have the tags below it.
PROMPT_TAG = 0x0110
# How far a sample of a lossy file may be from ComfyUI's: another version of libwebp may round otherwise.
LOSSY_TOLERANCE = 8


def png_chunks(data):
    at = 8
    while at < len(data):
        length, kind = struct.unpack('>I4s', data[at : at + 8])
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def still(head, packed, size):
    """A PNG file of one frame."""
    width, height = size
    head = struct.pack('>II', width, height) + head[8:]
    parts = ((b'IHDR', head), (b'IDAT', packed), (b'IEND', b''))
    body = b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b'\x89PNG\r\n\x1a\n' + body


def png_facts(data):
    """Frames on the whole canvas with their seconds, loops, and texts but the prompt's."""
    head, frames, texts, loops, sequence = None, [], [], None, []
    for kind, body in png_chunks(data):
        if kind == b'IHDR':
            head = body
        elif kind == b'acTL':
            loops = struct.unpack('>II', body)
        elif kind == b'fcTL':
            number, width, height, x, y, top, bottom, dispose, blend = struct.unpack('>IIIIIHHBB', body)
            assert dispose == blend == 0, (dispose, blend)
            sequence.append(number)
            frames.append([(x, y, width, height), top / bottom, b''])
        elif kind in (b'IDAT', b'fdAT'):
            if not frames:
                frames.append([(0, 0, *struct.unpack('>II', head[:8])), None, b''])
            if kind == b'fdAT':
                sequence.append(struct.unpack('>I', body[:4])[0])
            frames[-1][2] += body if kind == b'IDAT' else body[4:]
        elif kind == b'comf':
            texts.append(body.split(b'\0', 1))
    assert sequence == list(range(len(sequence))), sequence
    assert [key for key, _ in texts][0] == b'prompt' and json.loads(texts[0][1])
    canvas, shown = None, []
    for (x, y, width, height), seconds, packed in frames:
        part = pixels_of(still(head, packed, (width, height)))
        if canvas is None:
            canvas = [part[0], part[1], part[2], bytearray(part[3])]
        # Pillow writes of a later frame only the rectangle that changes.
        step, length = width * part[2], canvas[0] * part[2]
        for row in range(height):
            begin = (y + row) * length + x * part[2]
            canvas[3][begin : begin + step] = part[3][row * step : (row + 1) * step]
        shown.append(((*canvas[:3], bytes(canvas[3])), seconds))
    return {'loops': loops, 'texts': texts[1:], 'seconds': [s for _, s in shown]}, [p for p, _ in shown]


def riff_chunks(data):
    at = 12
    while at < len(data):
        kind, length = struct.unpack('<4sI', data[at : at + 8])
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def exif_texts(data):
    """Tag -> text, of a big-endian TIFF."""
    data = data[6:] if data.startswith(b'Exif\0\0') else data
    assert data[:8] == b'MM\0*\0\0\0\x08', data[:8]
    (count,) = struct.unpack('>H', data[8:10])
    texts = {}
    for entry in range(10, 10 + 12 * count, 12):
        tag, kind, length, offset = struct.unpack('>HHII', data[entry : entry + 12])
        assert kind == TIFF_ASCII, kind
        at = offset if length > 4 else entry + 8
        texts[tag] = data[at : at + length].decode()
    return texts


def webp_facts(data):
    assert data[:4] == b'RIFF' and data[8:12] == b'WEBP'
    assert struct.unpack('<I', data[4:8])[0] == len(data) - 8
    found = {'durations': [], 'codecs': set(), 'order': []}
    for kind, body in riff_chunks(data):
        found['order'].append(kind)
        if kind == b'ANMF':
            found['durations'].append(int.from_bytes(body[12:15], 'little'))
            found['codecs'].add(body[16:20])
        elif kind == b'EXIF':
            texts = exif_texts(body)
            assert texts.pop(PROMPT_TAG).startswith('prompt:{')
            found['texts'], found['prefixed'] = texts, body.startswith(b'Exif')
        elif kind in (b'VP8X', b'ANIM'):
            found[kind] = body
    return found


def without_hidden_colours(picture):
    """An encoder is free in what it writes below full transparency."""
    width, height, channels, samples = picture
    for at in range(0, len(samples), 4):
        if samples[at + 3] == 0:
            samples[at : at + 3] = b'\0\0\0'
    return width, height, channels, samples


def frames_by_engine(engine, name):
    """What the engine's LoadImage sees in a file: its frames with their alpha."""
    prompt = {
        'load': {'class_type': 'LoadImage', 'inputs': {'image': name}},
        'join': {'class_type': 'JoinImageWithAlpha', 'inputs': {'image': ['load', 0], 'alpha': ['load', 1]}},
        'save': {'class_type': 'SaveImage', 'inputs': {'images': ['join', 0], 'filename_prefix': 'frame'}},
    }
    shown = engine.outputs(engine.start(prompt))
    files = [engine.get(f'/view?filename={image["filename"]}&type=output') for image in shown]
    return [without_hidden_colours(pixels_of(file)) for file in files]


def compare_frames(name, ours, golden, tolerance):
    assert len(ours) == len(golden), (name, len(ours), len(golden))
    for number, (own, real) in enumerate(zip(ours, golden)):
        found = difference(own, real)
        assert found is not None and found <= tolerance, (name, number, found)


def check(engine, name, case):
    prompt_id = engine.start(case['prompt'], EXTRA)
    engine.outputs(prompt_id)
    output = json.loads(engine.get(f'/history/{prompt_id}'))[prompt_id]['outputs']['n']
    assert output == case['ui'], (name, output, case['ui'])
    file = output['images'][0]['filename']
    with open(os.path.join(FOLDER, file), 'rb') as golden_file:
        golden = golden_file.read()
    ours = engine.get(f'/view?filename={file}&type=output')
    if file.endswith('.png'):
        own, own_frames = png_facts(ours)
        real, real_frames = png_facts(golden)
        compare_frames(name, own_frames, real_frames, 0)
    else:
        own, real = webp_facts(ours), webp_facts(golden)
        engine.upload(os.path.join(FOLDER, file))
        lossless = case['prompt']['n']['inputs']['lossless']
        compare_frames(
            name,
            frames_by_engine(engine, file + ' [output]'),
            frames_by_engine(engine, file),
            0 if lossless else LOSSY_TOLERANCE,
        )
    assert own == real, (name, own, real)


if __name__ == '__main__':
    run_cases(FOLDER, check)
