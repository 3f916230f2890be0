# SPDX-License-Identifier: MIT
"""What the checks of a real ComfyUI share: graphs, pictures, and what a participant does."""

import json, os, struct
import urllib.parse, urllib.request

RUN = os.urandom(3).hex()  # in names: what earlier runs left in ComfyUI's folders takes no number away


def node(kind, **inputs):
    return {'class_type': kind, 'inputs': inputs}


def png_texts(data):
    """The tEXt chunks of a PNG, those of an animated one (comf) included."""
    assert data.startswith(b'\x89PNG'), data[:40]
    texts, at = {}, 8
    while at < len(data):
        length, kind = struct.unpack('>I4s', data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind in (b'tEXt', b'comf') and b'\0' in body:
            key, text = body.split(b'\0', 1)
            texts[key.decode()] = text.decode('latin-1')
        at += 12 + length
    return texts


class Class:
    """The workshop with its one worker, and what a participant does."""

    def __init__(self, workshop):
        self.workshop = workshop
        self.serial = 0

    def has(self, *kinds):
        known = all(self.workshop.get(f'/user/1/api/object_info/{kind}') for kind in kinds)
        if not known:
            print('left out, not in this ComfyUI:', ', '.join(kinds))
        return known

    def submit(self, participant, graph, expect=200, client_id=None, **more):
        """`more` is for extra_data."""
        self.serial += 1
        prompt_id = f'real-{self.serial}'
        extra = {'extra_pnginfo': {'workflow': {'id': 'w'}}, **more}
        body = {'prompt': graph, 'prompt_id': prompt_id, 'extra_data': extra}
        if client_id is not None:
            body['client_id'] = client_id
        answer = self.workshop.post(f'/user/{participant}/api/prompt', body, expect)
        return prompt_id if expect == 200 else answer

    def ended(self, participant, prompt_id):
        return self.workshop.wait_history(participant, prompt_id, 300)

    def made(self, participant, graph):
        """The outputs of a job that must succeed: {node: ui}."""
        item = self.ended(participant, self.submit(participant, graph))
        assert item['status']['status_str'] == 'success', json.dumps(item['status'])[:3000]
        return item['outputs']

    def view(self, participant, entry):
        query = urllib.parse.urlencode({key: entry[key] for key in ('filename', 'subfolder', 'type')})
        url = f'{self.workshop.url}/user/{participant}/api/view?{query}'
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()


def saved(prefix, color=255, batch=1, size=64):
    return {
        '1': node('EmptyImage', width=size, height=size, batch_size=batch, color=color),
        '9': node('SaveImage', images=['1', 0], filename_prefix=prefix),
    }
