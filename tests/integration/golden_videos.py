#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Videos of the rehearsal engine beside those of a real ComfyUI: frames, rate, the texts inside and what the
history says of them; and ComfyUI's own files, read by the engine. tests/golden/README.md tells how they were
recorded."""

import glob, json, os, struct
from golden_animations import EXTRA
from golden_pictures import GOLDEN, difference, pixels_of, run_cases

FOLDER = os.path.join(GOLDEN, 'videos')
# Of 255, for frames that another version of an encoder packed: the largest of one sample, and of the mean.
PACKED_TOLERANCE, PACKED_MEAN = 48, 4.0
# For frames of the same file.
READ_TOLERANCE = 1
BOXES_WITH_BOXES = {b'moov', b'trak', b'mdia', b'minf', b'stbl', b'udta'}


def boxes(data, path=()):
    """Every box of an MP4 with its path and its content."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack('>I4s', data[at : at + 8])
        body = data[at + 8 : at + length]
        yield (*path, kind), body
        if kind in BOXES_WITH_BOXES:
            yield from boxes(body, (*path, kind))
        at += max(length, 8)


def mp4_facts(data):
    found = {path[-1]: body for path, body in boxes(data)}
    scale = struct.unpack('>I', found[b'mdhd'][12:16])[0]
    _, _, delta = struct.unpack('>III', found[b'stts'][4:16])
    meta = dict(boxes_of_meta(found[b'meta']))
    keys, texts = key_names(meta[b'keys']), {}
    for path, item in boxes(meta[b'ilst']):
        value = dict((path[-1], body) for path, body in boxes(item))[b'data']
        texts[keys[int.from_bytes(path[-1], 'big') - 1]] = value[8:].decode()
    return {'rate': scale / delta, 'texts': texts}


def boxes_of_meta(body):
    """QuickTime's meta box holds boxes at once, MPEG's four bytes earlier."""
    begin = 0 if body[4:8] in (b'hdlr', b'keys') else 4
    for path, content in boxes(body[begin:]):
        yield path[-1], content


def key_names(body):
    names, at = [], 8
    while at < len(body):
        (length,) = struct.unpack('>I', body[at : at + 4])
        names.append(body[at + 8 : at + length].decode())
        at += length
    return names


def webm_facts(data):
    """Element ids: DefaultDuration 23E383, SimpleTag 67C8, TagName 45A3, TagString 4487 (RFC 9559)."""
    texts, at = {}, data.find(b'\x67\xc8')
    while at >= 0:
        name_at, text_at = data.find(b'\x45\xa3', at), data.find(b'\x44\x87', at)
        name, text = ebml_content(data, name_at + 2), ebml_content(data, text_at + 2)
        texts[name.decode()] = text.decode()
        at = data.find(b'\x67\xc8', at + 2)
    duration = ebml_content(data, data.index(b'\x23\xe3\x83') + 3)
    return {'rate': round(1e9 / int.from_bytes(duration, 'big'), 4), 'texts': texts}


def ebml_content(data, at):
    """What follows a length of one to eight bytes, whose leading zeros say how many."""
    size = 9 - data[at].bit_length()
    length = int.from_bytes(data[at : at + size], 'big') & ((1 << 7 * size) - 1)
    return data[at + size : at + size + length]


def facts_of(data):
    """Rate, and texts but the prompt's and what a program or a track says of itself."""
    facts = mp4_facts(data) if data[4:8] == b'ftyp' else webm_facts(data)
    wanted = {key.lower(): text for key, text in facts['texts'].items()}
    assert json.loads(wanted['prompt']), wanted
    facts['texts'] = {key: wanted.get(key) for key in ('workflow', 'more')}
    return facts


def frames_of(engine, name):
    """What the engine sees in a video file."""
    prompt = {
        'video': {'class_type': 'LoadVideo', 'inputs': {'file': name}},
        'parts': {'class_type': 'GetVideoComponents', 'inputs': {'video': ['video', 0]}},
        'save': {'class_type': 'SaveImage', 'inputs': {'images': ['parts', 0], 'filename_prefix': 'frame'}},
    }
    shown = engine.outputs(engine.start(prompt))
    return [pixels_of(engine.get(f'/view?filename={image["filename"]}&type=output')) for image in shown]


def golden_frames(name):
    paths = sorted(glob.glob(os.path.join(FOLDER, f'{name}_frame_*.png')))
    assert paths, name
    frames = []
    for path in paths:
        with open(path, 'rb') as file:
            frames.append(pixels_of(file.read()))
    return frames


def compare(what, ours, golden, largest, mean):
    assert len(ours) == len(golden), (what, len(ours), len(golden))
    for number, (own, real) in enumerate(zip(ours, golden)):
        found = difference(own, real)
        average = sum(abs(a - b) for a, b in zip(own[3], real[3])) / len(real[3])
        assert found is not None and found <= largest and average <= mean, (what, number, found, average)


def path_of(image):
    return os.path.join(image['subfolder'], image['filename'])


def saved(engine, prompt, node):
    """The ui of a node, and the file that it names."""
    prompt_id = engine.start(prompt, EXTRA)
    engine.outputs(prompt_id)
    ui = json.loads(engine.get(f'/history/{prompt_id}'))[prompt_id]['outputs'][node]
    image = ui['images'][0]
    return ui, engine.get(
        f'/view?filename={image["filename"]}&subfolder={image["subfolder"]}&type={image["type"]}'
    )


def check(engine, name, case):
    golden = golden_frames(name)
    ui, ours = saved(engine, case['prompt'], 'n')
    assert ui == case['ui'], (name, ui, case['ui'])
    file = ui['images'][0]['filename']
    with open(os.path.join(FOLDER, file), 'rb') as recorded:
        real = recorded.read()
    assert facts_of(ours) == facts_of(real), (name, facts_of(ours), facts_of(real))
    frames = frames_of(engine, path_of(ui['images'][0]) + ' [output]')
    compare(f'{name}, packed here', frames, golden, PACKED_TOLERANCE, PACKED_MEAN)
    engine.upload(os.path.join(FOLDER, file))
    compare(f'{name}, packed by ComfyUI', frames_of(engine, file), golden, READ_TOLERANCE, 1)
    if not file.endswith('.mp4'):
        return
    copy = {
        'video': {'class_type': 'LoadVideo', 'inputs': {'file': file}},
        'n': {
            'class_type': 'SaveVideo',
            'inputs': {'video': ['video', 0], 'filename_prefix': 'copy', 'format': 'auto', 'codec': 'auto'},
        },
    }
    ui, ours = saved(engine, copy, 'n')
    assert facts_of(ours) == facts_of(real), (name, facts_of(ours), facts_of(real))
    copied = frames_of(engine, path_of(ui['images'][0]) + ' [output]')
    compare(f'{name}, copied', copied, golden, READ_TOLERANCE, 1)


if __name__ == '__main__':
    run_cases(FOLDER, check)
