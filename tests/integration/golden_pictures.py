#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rehearsal engine beside a real ComfyUI: the same prompts give the same pictures, and its nodes say the
same of themselves in /object_info. tests/golden/README.md tells how both were recorded."""

import glob, json, os, struct, urllib.request, zlib
from atelier_processes import BIN, Process, until

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'golden')
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
# What explains a node in words, and the list of somebody's files.
WORDS = ('description', 'tooltip')


def unfilter(kind, row, above, step):
    """One row as PNG filtered it (PNG specification, 9.2), in place."""
    for i in range(len(row)):
        left = row[i - step] if i >= step else 0
        up, corner = above[i], above[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        else:
            distances = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
            guess = (left, up, corner)[distances.index(min(distances))]
        row[i] = (row[i] + guess) & 255


def pixels_of(data):
    """Width, height, channels and samples of an 8-bit PNG that is not interlaced."""
    assert data[:8] == b'\x89PNG\r\n\x1a\n', data[:40]
    at, packed, head = 8, b'', None
    while at < len(data):
        length, kind = struct.unpack('>I4s', data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        head = struct.unpack('>IIBBBBB', body) if kind == b'IHDR' else head
        packed += body if kind == b'IDAT' else b''
        at += 12 + length
    width, height, bits, colours, _, _, interlaced = head
    assert bits == 8 and colours in CHANNELS and not interlaced, head
    channels = CHANNELS[colours]
    raw, length = zlib.decompress(packed), width * channels
    above, samples = bytearray(length), bytearray()
    for start in range(0, (length + 1) * height, length + 1):
        row = bytearray(raw[start + 1 : start + 1 + length])
        if raw[start]:
            unfilter(raw[start], row, above, channels)
        samples += row
        above = row
    return width, height, channels, samples


class Engine:
    def __init__(self):
        arguments = [os.path.join(BIN, 'atelier-rehearsal'), '--port', '0', '--step-ms', '0']
        self.process = Process('rehearsal', arguments)
        self.url = self.process.line('ready ').rstrip('/')

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read()

    def upload(self, path):
        mark = 'mark-of-the-test'
        with open(path, 'rb') as file:
            data = file.read()
        name = os.path.basename(path)
        head = f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
        request = urllib.request.Request(
            self.url + '/upload/image',
            data=head.encode() + data + f'\r\n--{mark}--\r\n'.encode(),
            headers={'Content-Type': f'multipart/form-data; boundary={mark}'},
        )
        urllib.request.urlopen(request, timeout=30).close()

    def start(self, prompt, extra_data=None):
        request = urllib.request.Request(
            self.url + '/prompt',
            data=json.dumps({'prompt': prompt, 'extra_data': extra_data or {}}).encode(),
            headers={'Content-Type': 'application/json'},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)['prompt_id']

    def shown(self, prompt_id):
        """What the history says of each node."""
        entry = until(
            lambda: json.loads(self.get(f'/history/{prompt_id}')).get(prompt_id), f'the end of {prompt_id}'
        )
        assert entry['status']['status_str'] == 'success', entry['status']
        assert entry['outputs'].keys() == entry['meta'].keys(), entry
        return entry['outputs']

    def outputs(self, prompt_id):
        return [image for output in self.shown(prompt_id).values() for image in output['images']]


def difference(ours, golden):
    """The largest difference of two samples; None if the pictures are not of one shape."""
    if ours[:3] != golden[:3]:
        return None
    return max((abs(a - b) for a, b in zip(ours[3], golden[3])), default=0)


def picture_mistakes(engine):
    cases = {}
    for path in sorted(glob.glob(os.path.join(GOLDEN, 'cases', '*.json'))):
        with open(path) as file:
            cases.update(json.load(file))
    assert cases, 'there are no cases'
    for path in glob.glob(os.path.join(GOLDEN, 'input', '*.png')):
        engine.upload(path)
    started = [(name, case, engine.start(case['prompt'])) for name, case in cases.items()]
    seen, mistakes = set(), []
    for name, case, prompt_id in started:
        outputs = engine.shown(prompt_id)
        shows = {node: {**ui, 'images': len(ui['images'])} for node, ui in outputs.items()}
        if shows != case['shows']:
            mistakes.append(f'{name}: shows {shows}, ComfyUI {case["shows"]}')
        for image in (image for ui in outputs.values() for image in ui['images']):
            file = image['filename']
            if image['type'] != 'output':
                continue  # a preview with a name by chance, whose picture is saved as well
            seen.add(file)
            with open(os.path.join(GOLDEN, 'pictures', file), 'rb') as golden:
                expected = pixels_of(golden.read())
            ours = pixels_of(engine.get(f'/view?filename={file}&type=output'))
            found = difference(ours, expected)
            if found is None:
                mistakes.append(f'{file}: {ours[:3]}, ComfyUI makes {expected[:3]}')
            elif found > case['tolerance']:
                mistakes.append(f'{file}: differs by up to {found} of 255, allowed are {case["tolerance"]}')
    left = sorted(set(os.listdir(os.path.join(GOLDEN, 'pictures'))) - seen)
    return mistakes + [f'{file}: no case made it' for file in left]


def facts(value):
    """The same without explanations."""
    if isinstance(value, dict):
        return {key: facts(item) for key, item in value.items() if key not in WORDS}
    return [facts(item) for item in value] if isinstance(value, list) else value


def info_mistakes(engine):
    with open(os.path.join(GOLDEN, 'object_info.json')) as file:
        golden = json.load(file)
    ours = json.loads(engine.get('/object_info'))
    mistakes = [f'object_info: {name} is recorded, but not there' for name in golden.keys() - ours.keys()]
    for name, entry in ours.items():
        own, real = facts(entry), golden.get(name, {})
        for part in sorted(own.keys() | real.keys()):
            # Order counts in inputs: the front end draws them in it.
            if json.dumps(own.get(part)) != json.dumps(real.get(part)):
                mistakes.append(f'object_info: {name}.{part} is {own.get(part)}, in ComfyUI {real.get(part)}')
    return mistakes


def run_with_engine(test):
    """Runs `test` with an engine of its own; a failure shows what that printed."""
    engine = Engine()
    try:
        test(engine)
    except BaseException:
        print(engine.process.text()[-3000:])
        raise
    finally:
        engine.process.stop()
    print('passed')


def run_cases(folder, check):
    """`check`(engine, name, case) for each of the folder's cases.json, with the golden inputs uploaded."""

    def test(engine):
        for path in glob.glob(os.path.join(GOLDEN, 'input', '*.png')):
            engine.upload(path)
        with open(os.path.join(folder, 'cases.json')) as file:
            cases = json.load(file)
        assert cases, 'there are no cases'
        for name, case in cases.items():
            check(engine, name, case)

    run_with_engine(test)


def test(engine):
    mistakes = info_mistakes(engine) + picture_mistakes(engine)
    assert not mistakes, '\n'.join(['differences:', *mistakes])


if __name__ == '__main__':
    run_with_engine(test)
