# SPDX-License-Identifier: MIT
"""What the checks of a real ComfyUI share: graphs, pictures, and what a participant does."""

import contextlib, json, os, socket, struct, threading, uuid
import urllib.parse, urllib.request

from atelier_processes import until
from link_worker import Socket

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
    """The workshop with its one worker, whose first ComfyUI is at `engine` and of this `version` (numbers),
    and what a participant does."""

    def __init__(self, workshop, engine, version, comfy_dir=None):
        self.workshop, self.engine, self.comfy_dir = workshop, engine, comfy_dir
        self.version = version

    def has(self, *kinds):
        known = all(self.workshop.get(f'/user/1/api/object_info/{kind}') for kind in kinds)
        if not known:
            print('left out, not in this ComfyUI:', ', '.join(kinds))
        return known

    def submit(self, participant, graph, expect=200, client_id=None, **more):
        """`more` is for extra_data."""
        prompt_id = str(uuid.uuid4())  # as newer ones demand
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


class Window(threading.Thread):
    """A socket as a browser has it; `seen` has all that came, values of texts and bytes of frames."""

    def __init__(self, port, path, previews, host='127.0.0.1'):
        super().__init__(daemon=True)
        self.socket = Socket(port, path, {}, host)
        self.seen, self.ended_by = [], None
        if previews:
            flags = {'type': 'feature_flags', 'data': {'supports_preview_metadata': True}}
            self.socket.send(flags)
        self.start()
        if previews:
            until(lambda: self.events('feature_flags'), 'the answer to the feature flags')

    def run(self):
        try:
            while True:
                self.seen.append(self.socket.frame())
        except OSError as error:
            self.ended_by = error

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.raw.shutdown(socket.SHUT_RDWR)
        self.join()
        self.socket.raw.close()

    def texts(self):
        seen = [message for message in list(self.seen) if not isinstance(message, bytes)]
        return [(message['type'], message['data']) for message in seen]

    def events(self, kind):
        """The data of the texts of this kind so far."""
        return [data for each, data in self.texts() if each == kind]

    def frames(self):
        return [message for message in list(self.seen) if isinstance(message, bytes)]

    def until(self, condition, what, seconds=60):
        """Waits for a condition on what has come."""

        def look():
            met = condition()
            if not met and self.ended_by is not None:
                raise AssertionError(f'no {what}: {self.ended_by!r}, after {self.seen[-20:]}')
            return met

        return until(look, what, seconds)

    def ends(self, prompt_id, seconds=60):
        """Waits for the last event of a job."""
        wanted = {'node': None, 'prompt_id': prompt_id}
        self.until(lambda: wanted in self.events('executing'), f'end of {prompt_id}', seconds)


@contextlib.contextmanager
def windows(people, *arguments):
    """A window for each (participant, client id, previews)."""
    opened = []
    try:
        for participant, client_id, previews in arguments:
            path = f'/user/{participant}/ws?clientId={client_id}'
            opened.append(Window(people.workshop.port, path, previews))
        yield opened
    finally:
        for window in opened:
            window.close()


def saved(prefix, color=255, batch=1, size=64):
    return {
        '1': node('EmptyImage', width=size, height=size, batch_size=batch, color=color),
        '9': node('SaveImage', images=['1', 0], filename_prefix=prefix),
    }
