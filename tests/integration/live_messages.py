#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a ComfyUI says while a job runs, at the participant's socket: every picture that a node sends as its
result, however large and fast they come and however slow the line and the browser are; custom nodes' own
events; long texts whole; errors with the participant's own names."""

import json, os, struct

from atelier_processes import WORK, Workshop, png, run, until
from chaos_proxy import ChaosProxy
from fake_comfyui import FakeComfyUI, bad_graph
from link_worker import Socket

MIB = 1 << 20
FLAGS = {'type': 'feature_flags', 'data': {'supports_preview_metadata': True}}
SIZES = [3 * MIB] * 8 + [20 * MIB, 100, 3 * MIB]


class Browser(Socket):
    def __init__(self, workshop, participant, flags=None):
        super().__init__(workshop.port, f'/user/{participant}/ws?clientId=test', {})
        if flags:
            self.send(flags)

    def fill(self):
        data = self.raw.recv(MIB)
        if not data:
            raise ConnectionError('closed')
        self.buffer += data

    def until_end(self):
        """All messages up to the last one of a job."""
        seen = []
        while not seen or not is_last(seen[-1]):
            seen.append(self.frame())
        return seen


def is_last(message):
    return isinstance(message, dict) and message['type'] == 'executing' and message['data']['node'] is None


def picture(index):
    return b'\x89PNG' + bytes([index]) * SIZES[index]


def image_of(message):
    """(kind, bytes) of a binary message; None for what is no PNG."""
    (kind,) = struct.unpack('>I', message[:4])
    if kind == 1:
        return kind, message[8:] if message[4:8] == struct.pack('>I', 2) else None
    (length,) = struct.unpack('>I', message[4:8])
    facts = json.loads(message[8 : 8 + length])
    return kind, message[8 + length :] if facts['image_type'] == 'image/png' else None


async def burst(run_):
    """All at once, with previews, and with an event of its own before each."""
    run_.start()
    run_.executing('2')
    for index in range(len(SIZES)):
        run_.engine.say('', {'type': 'my_pack.saved', 'data': [index, None]})
        run_.preview('2', b'\xff\xd8 a latent')
        run_.result('2', picture(index))
    run_.success()
    run_.finish()


def writes(text):
    async def conduct(run_):
        run_.start()
        run_.executing('2')
        run_.executed('2', {'text': [text]})
        run_.success()
        run_.finish()

    return conduct


async def fails(run_):
    run_.start()
    run_.executing('2')
    name = run_.prompt['3']['inputs']['image']
    prefix = run_.prompt['2']['inputs']['filename_prefix']
    run_.error('2', f'cannot put {run_.engine.folder}/input/{name} into {prefix}')
    run_.finish()


def check_burst(seen, kind):
    """Every result once, in order, each after its own event, and the end after all of them."""
    marks = []
    for message in seen:
        if isinstance(message, bytes):
            got, image = image_of(message)
            assert got == kind, (got, kind)
            if image is not None:
                marks.append(image)
        elif message['type'] == 'my_pack.saved':
            assert message['data'] == [len(marks), None], (message, len(marks))
    assert [len(image) for image in marks] == [4 + size for size in SIZES], [len(image) for image in marks]
    assert marks == [picture(index) for index in range(len(SIZES))]
    own = [message for message in seen if isinstance(message, dict) and message['type'] == 'my_pack.saved']
    assert len(own) == len(SIZES), own
    assert 'execution_success' in [message['type'] for message in seen if isinstance(message, dict)]


def results(workshop, proxy):
    browsers = {4: Browser(workshop, 1, FLAGS), 1: Browser(workshop, 1)}
    asleep, stranger = Browser(workshop, 1, FLAGS), Browser(workshop, 2)
    proxy.up.rate = 40 * MIB  # the line takes less than the engine says
    workshop.submit_graph(1, 'burst', bad_graph('burst'))
    for kind, browser in browsers.items():
        check_burst(browser.until_end(), kind)
    assert workshop.wait_history(1, 'burst')['status']['status_str'] == 'success'
    check_burst(asleep.until_end(), 4)  # it reads only now
    proxy.up.rate = None
    stranger.raw.settimeout(0.2)
    try:
        while True:
            message = stranger.frame()
            assert isinstance(message, dict) and message['type'] in ('status', 'atelier.queue'), message
    except TimeoutError:
        pass
    for browser in (*browsers.values(), asleep, stranger):
        browser.raw.close()


def texts(workshop):
    shown = {}
    for how in ('long', 'too long'):
        workshop.submit_graph(3, how, bad_graph(how))
        (shown[how],) = workshop.wait_history(3, how)['outputs']['2']['text']
    assert shown['long'] == 'x' * 1_500_000, len(shown['long'])
    assert shown['too long'].startswith('y' * 1_000_000), len(shown['too long'])
    assert shown['too long'].endswith(' bytes left out)'), shown['too long'][-40:]


def names(workshop):
    workshop.upload(4, 'cat.png', png())
    graph = bad_graph('fails', prefix='trip/mine')
    graph['3'] = {'class_type': 'LoadImage', 'inputs': {'image': 'cat.png'}}
    graph['2']['inputs']['images'] = ['3', 0]
    workshop.submit_graph(4, 'fails', graph)
    item = workshop.wait_history(4, 'fails')
    (error,) = [data for kind, data in item['status']['messages'] if kind == 'execution_error']
    assert error['exception_message'].endswith('/input/cat.png into trip/mine'), error


def test(workshops):
    workshop = Workshop('live-messages')
    workshops.append(workshop)
    workshop.serve()
    proxy = ChaosProxy(workshop.port)
    engine = FakeComfyUI(os.path.join(WORK, 'comfy'), extra_nodes=['Misbehave'])
    engine.conducts.update(burst=burst, fails=fails, long=writes('x' * 1_500_000))
    engine.conducts['too long'] = writes('y' * 3_000_000)
    try:
        worker = workshop.worker(comfy=engine.url, comfy_dir=engine.folder, join=proxy.url)
        workshop.ready_for_jobs()
        results(workshop, proxy)
        texts(workshop)
        names(workshop)
        until(lambda: worker.text().count('link_up') == 1, 'one link, from the first to the last')
    finally:
        engine.close()
        proxy.close()


if __name__ == '__main__':
    run(test)
