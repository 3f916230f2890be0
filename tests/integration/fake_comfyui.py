# SPDX-License-Identifier: MIT
"""A ComfyUI whose conduct a test writes: HTTP and WebSocket as ComfyUI 0.3.60 to 0.38 speak them, on a
thread of its own. What a run does is a coroutine; the test names it in the input `how` of the node Misbehave.
Only the standard library."""

import asyncio, base64, contextlib, hashlib, heapq, json, os, re, shutil, struct, threading, time, traceback
import urllib.parse, uuid, zlib

from atelier_processes import png
from link_worker import node

MESHES = ('.gltf', '.glb', '.obj', '.fbx', '.stl', '.ply')


class Interrupted(Exception):
    """The run was told to stop."""


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.headers, self.body = method, headers, body
        path, _, query = target.partition('?')
        self.path = urllib.parse.unquote(path)
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))


class Run:
    """One prompt, and what its conduct can say and do. Everything that is said comes with its own prompt_id
    unless another is given."""

    def __init__(self, engine, number, prompt_id, body):
        self.engine, self.number, self.id = engine, number, prompt_id
        self.prompt, self.extra = body['prompt'], dict(body.get('extra_data') or {})
        self.client = body.get('client_id', '')
        self.extra['client_id'] = self.client
        self.outputs, self.messages, self.over = {}, [], False
        self.stopped = asyncio.Event()

    def how(self):
        """(node id, conduct) of the first Misbehave."""
        for number, one in self.prompt.items():
            if one['class_type'].startswith('Misbehave'):
                return number, one['inputs']['how']
        return None, None

    def of_class(self, class_type):
        return [number for number, one in self.prompt.items() if one['class_type'] == class_type]

    # --- what it says
    def say(self, kind, **data):
        self.engine.say(self.client, {'type': kind, 'data': {'prompt_id': self.id, **data}})

    def note(self, kind, **data):
        """Said, and kept for history."""
        data = {'prompt_id': self.id, **data, 'timestamp': int(time.time() * 1000)}
        self.messages.append([kind, data])
        self.engine.say(self.client, {'type': kind, 'data': data})

    def start(self, cached=()):
        self.note('execution_start')
        self.note('execution_cached', nodes=list(cached))

    def executing(self, number):
        self.say('executing', node=number, display_node=number)
        self.progress(number, 0, 1)

    def progress(self, number, value, most):
        state = {'value': value, 'max': most, 'state': 'running', 'node_id': number, 'prompt_id': self.id}
        state.update(display_node_id=number, parent_node_id=None, real_node_id=number)
        self.say('progress_state', nodes={number: state})
        self.say('progress', value=value, max=most, node=number)

    def executed(self, number, ui, prompt_id=None):
        self.say('executed', node=number, display_node=number, output=ui, prompt_id=prompt_id or self.id)
        if prompt_id is None and ui is not None:
            self.outputs[number] = ui

    def frame(self, kind, data):
        self.engine.say(self.client, struct.pack('>I', kind) + data)

    def preview(self, number, picture, prompt_id=None, kind='jpeg'):
        facts = {'node_id': number, 'prompt_id': prompt_id or self.id, 'display_node_id': number}
        text = json.dumps({**facts, 'real_node_id': number, 'image_type': f'image/{kind}'}).encode()
        self.frame(4, struct.pack('>I', len(text)) + text + picture)

    def result(self, number, picture):
        """As SaveImageWebsocket sends a picture to a client that takes metadata."""
        self.preview(number, picture, kind='png')

    def success(self):
        self.note('execution_success')

    def error(self, number, sentence):
        kind = self.prompt.get(number, {}).get('class_type', '')
        facts = {'node_id': number, 'node_type': kind, 'executed': [], 'exception_message': sentence}
        facts.update(exception_type='Exception', traceback=[], current_inputs={}, current_outputs=[])
        self.note('execution_error', **facts)

    def finish(self):
        """Into history, then the last word. A run that does not come here is in no list at all."""
        if not self.over:
            self.over = True
            self.engine.remember(self)
            self.say('executing', node=None)

    # --- what it does
    async def pause(self, seconds):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.stopped.wait(), seconds)
        if self.stopped.is_set():
            raise Interrupted

    async def spoken(self):
        """What was said has left."""
        await self.engine.spoken(self.client)

    def place(self, number, suffix='.png'):
        """(subfolder, name) as ComfyUI forms them of the node's prefix. ValueError outside its folder."""
        prefix = os.path.normpath(self.prompt[number]['inputs']['filename_prefix'])
        folder, stem = os.path.split(prefix)
        root = os.path.join(self.engine.folder, 'output')
        whole = os.path.abspath(os.path.join(root, folder))
        if os.path.commonpath((root, whole)) != root:
            raise ValueError('Saving outside the output folder is not allowed.')
        os.makedirs(whole, exist_ok=True)
        taken = [re.fullmatch(re.escape(stem) + r'_(\d+)_\..*', name) for name in os.listdir(whole)]
        counter = max([int(match[1]) for match in taken if match], default=0) + 1
        return folder, f'{stem}_{counter:05}_{suffix}'

    def save(self, number, content=None, suffix='.png'):
        """A file in the output folder, as a member of a ui."""
        folder, name = self.place(number, suffix)
        self.engine.write('output', folder, name, self.picture(number) if content is None else content)
        return {'filename': name, 'subfolder': folder, 'type': 'output'}

    def picture(self, number):
        """What an honest node shows: the color of its EmptyImage, and the texts that ComfyUI adds."""
        value = next((self.prompt[n]['inputs']['color'] for n in self.of_class('EmptyImage')), 0)
        texts = self.extra.get('extra_pnginfo')
        texts = {'prompt': self.prompt, **texts} if texts else {}
        return png_with_texts(png(color=value.to_bytes(3, 'big')), texts)


async def honest(run):
    """ComfyUI's own conduct; its cache knows nodes by their inputs and replays what they showed."""
    engine = run.engine
    marks = {number: engine.mark(run.prompt, number) for number in run.prompt}
    cached = [number for number, mark in marks.items() if mark in engine.cache]
    run.start(cached)
    for number, one in run.prompt.items():
        ui, kind = engine.cache.get(marks[number]), one['class_type']
        if number not in cached:
            run.executing(number)
            if kind == 'SaveImage' or kind.startswith('Misbehave'):
                ui = {'images': [run.save(number)]}
            elif kind == 'PreviewImage':
                name = f'ComfyUI_temp_{uuid.uuid4().hex[:5]}_00001_.png'
                engine.write('temp', '', name, run.picture(number))
                ui = {'images': [{'filename': name, 'subfolder': '', 'type': 'temp'}]}
            elif kind == 'ShowPrompt':
                ui = {'text': [json.dumps({'prompt': run.prompt, **run.extra.get('extra_pnginfo', {})})]}
            elif kind == 'SaveImageWebsocket':
                run.result(number, run.picture(number))
            run.progress(number, 1, 1)
            if kind != 'SaveImageWebsocket':
                engine.cache[marks[number]] = ui
        if ui is not None:
            run.executed(number, ui)
    run.success()
    run.finish()


class FakeComfyUI:
    """Up until close(). `conducts` has a coroutine for each value of `how`; `doors` has a function for a
    (method, path) that answers (status, bytes) itself, or None for the usual answer. Both may change at any
    time. `models` has the sizes of model files by folder and name."""

    def __init__(self, folder, version='0.21.0', extra_nodes=(), port=0):
        self.folder, self.version, self.port = os.path.abspath(folder), version, port
        self.conducts, self.doors = {}, {}
        self.prompts, self.interrupts, self.uploads, self.requests = [], [], [], []
        self.viewed = []  # names of files, but those by which an agent finds out whose a folder is
        self.nodes = standard_nodes()
        self.models = {name: {} for name in ('checkpoints', 'configs', 'loras', 'embeddings', 'custom_nodes')}
        for name in extra_nodes:
            self.nodes[name] = misbehave()
        for name in ('input/3d', 'output', 'temp'):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        self.counts = {}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.call(self._up())

    @property
    def url(self):
        return f'http://127.0.0.1:{self.port}'

    def call(self, coroutine, seconds=20):
        """Runs it on the engine's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def die(self):
        """All sockets are reset and the port is closed; its memory and its temp folder are gone."""
        self.call(self._down())

    async def cut_sockets(self, say=lambda: None):
        """For a conduct: WebSockets are reset, all else goes on. Until one is open again; first, `say`."""
        while self.sockets:
            self.sockets.popitem()[1].transport.abort()
        say()
        await self.next_socket()

    async def next_socket(self):
        self.socket_came.clear()
        await asyncio.wait_for(self.socket_came.wait(), 20)

    def revive(self):
        self.call(self._up())

    def close(self):
        self.call(self._down())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def tried(self, what):
        """How often this was asked, this time included."""
        self.counts[what] = self.counts.get(what, 0) + 1
        return self.counts[what]

    async def die_and_revive(self):
        """For a conduct: what follows its await does not happen."""
        asyncio.get_running_loop().create_task(self._again())
        await asyncio.Event().wait()

    async def _again(self):
        await self._down()
        await self._up()

    async def _up(self):
        self.cache, self.history, self.waiting, self.running = {}, {}, [], None
        self.sockets, self.writers, self.counter = {}, set(), 0
        shutil.rmtree(os.path.join(self.folder, 'temp'), ignore_errors=True)
        os.makedirs(os.path.join(self.folder, 'temp'))
        self.more, self.socket_came = asyncio.Event(), asyncio.Event()
        self.server = await asyncio.start_server(self._serve, '127.0.0.1', self.port, limit=1 << 20)
        self.port = self.server.sockets[0].getsockname()[1]
        self.worker = self.loop.create_task(self._work())

    async def _down(self):
        self.server.close()
        self.worker.cancel()
        for writer in list(self.writers):
            writer.transport.abort()
        with contextlib.suppress(asyncio.CancelledError):
            await self.worker

    # --- the queue
    async def _work(self):
        while True:
            while not self.waiting:
                self.more.clear()
                await self.more.wait()
            run = heapq.heappop(self.waiting)[2]
            self.running = run
            self.status()
            number, how = run.how()
            try:
                await self.conducts.get(how, honest)(run)
            except Interrupted:
                facts = {'node_id': number or '', 'node_type': '', 'executed': []}
                run.note('execution_interrupted', **facts)
                run.finish()
            except ValueError as error:
                run.error(number or next(iter(run.prompt)), str(error))
                run.finish()
            except Exception:
                traceback.print_exc()  # a mistake of the test: the run is lost
            self.running = None
            self.status()

    def mark(self, prompt, number):
        """What ComfyUI's cache knows a node by."""
        one = prompt[number]
        parts = [one['class_type']]
        for name, value in sorted(one['inputs'].items()):
            linked = isinstance(value, list) and len(value) == 2 and value[0] in prompt
            parts.append((name, self.mark(prompt, value[0]) if linked else repr(value)))
        return repr(parts)

    def remember(self, run):
        good = bool(run.messages) and run.messages[-1][0] == 'execution_success'
        status = {'status_str': 'success' if good else 'error', 'completed': good, 'messages': run.messages}
        item = [run.number, run.id, run.prompt, run.extra, list(run.outputs)]
        self.history[run.id] = {'prompt': item, 'outputs': run.outputs, 'status': status, 'meta': {}}

    def say(self, client, message):
        binary = isinstance(message, bytes)
        data = message if binary else json.dumps(message).encode()
        for name, writer in list(self.sockets.items()):
            if client in ('', name):
                writer.write(frame(2 if binary else 1, data))

    def say_text(self, client, data):
        """Bytes that need be no JSON."""
        self.sockets[client].write(frame(1, data))

    async def spoken(self, client):
        if client in self.sockets:
            await self.sockets[client].drain()

    def status(self):
        left = len(self.waiting) + (self.running is not None)
        self.say('', {'type': 'status', 'data': {'status': {'exec_info': {'queue_remaining': left}}}})

    def write(self, kind, folder, name, content):
        path = os.path.join(self.folder, kind, folder)
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, name), 'wb') as file:
            file.write(content)

    # --- HTTP
    async def _serve(self, reader, writer):
        self.writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1').split('\r\n')
                method, target, _ = head[0].split(' ')
                headers = {}
                for line in head[1:-2]:
                    name, _, value = line.partition(':')
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get('content-length', 0)))
                request = Request(method, target, headers, body)
                self.requests.append((method, request.path))
                if request.path == '/ws':
                    return await self._socket(request, reader, writer)
                answer = None
                if door := self.doors.get((method, request.path)):
                    answer = door(request)
                status, data = answer or self.answer(request)
                kind = 'application/json' if data[:1] in b'{[' else 'application/octet-stream'
                lines = f'HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n'
                writer.write(lines.encode() + (b'' if method == 'HEAD' else data))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    def answer(self, request):
        """(status, bytes), as ComfyUI answers."""
        method, path = request.method, request.path.removeprefix('/api')
        is_new = tuple(int(part) for part in self.version.split('.')) >= (0, 38)
        body = json.loads(request.body) if method == 'POST' and request.body[:1] == b'{' else {}
        if path == '/system_stats':
            device = {'name': 'fake', 'type': 'cpu', 'index': 0, 'vram_total': 1 << 34, 'vram_free': 1 << 33}
            return encoded({'system': {'comfyui_version': self.version}, 'devices': [device]})
        if path == '/object_info':
            return encoded(self.object_info())
        if path in ('/models', '/experiment/models'):
            names, no_models = list(self.models), ('configs', 'custom_nodes')
            listed = [{'name': name, 'folders': ['/x']} for name in names if name not in no_models]
            return encoded(names if path == '/models' else listed)
        if found := re.fullmatch('(/experiment)?/models/([^/]+)', path):
            if found[2] not in self.models:
                return 404, b''
            facts = {'pathIndex': 0, 'modified': 1764512345.5, 'created': 1764512346.25}
            files = sorted(self.models[found[2]].items())
            return encoded([{'name': n, **facts, 'size': s} if found[1] else n for n, s in files])
        if path == '/queue' and method == 'GET':
            running = [self.tuple_of(self.running)] if self.running else []
            pending = [self.tuple_of(entry[2]) for entry in self.waiting]
            return encoded({'queue_running': running, 'queue_pending': pending})
        if path == '/queue':
            self.waiting = [entry for entry in self.waiting if entry[1] not in body.get('delete', [])]
            heapq.heapify(self.waiting)
            return 200, b''
        if path == '/interrupt':
            self.interrupts.append(body.get('prompt_id'))
            if self.running and body.get('prompt_id') in (None, self.running.id):
                self.running.stopped.set()
            return 200, b''
        if is_new and (found := re.fullmatch(r'/jobs/([^/]+)/cancel', path)):
            self.interrupts.append(found[1])
            hit = bool(self.running) and self.running.id == found[1]
            if hit:
                self.running.stopped.set()
            return encoded({'cancelled': hit})
        if path.startswith('/history/'):
            return encoded({k: v for k, v in self.history.items() if k == path[9:]})
        if path == '/view':
            return self.view(request.query)
        if path == '/upload/image':
            return self.upload(request)
        if path == '/prompt' and method == 'POST':
            return self.take(body, is_new)
        return (200, b'') if path == '/free' else (404, b'404: Not Found')

    def tuple_of(self, run):
        return [run.number, run.id, run.prompt, run.extra, []]

    def take(self, body, is_new):
        self.prompts.append(body)
        prompt_id = str(body.get('prompt_id') or uuid.uuid4())
        if is_new and not re.fullmatch(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', prompt_id):
            return refusal('invalid_prompt_id', 'prompt_id must be a canonical UUID')
        errors = {}
        for number, one in body['prompt'].items():
            if one['class_type'] not in self.nodes:
                return refusal('missing_node_type', f"Node '{one['class_type']}' not found.")
            for name, spec in self.object_info()[one['class_type']]['input']['required'].items():
                value = one['inputs'].get(name)
                there = one['class_type'] == 'LoadImage' and os.path.isfile(f'{self.folder}/input/{value}')
                if isinstance(spec[0], list) and value not in spec[0] and not there:
                    error = {'type': 'value_not_in_list', 'message': 'Value not in list', 'extra_info': {}}
                    error['details'] = f'{name}: {value!r} not in {spec[0]}'
                    errors[number] = {'errors': [error], 'dependent_outputs': [], 'class_type': ''}
        if errors:
            return refusal('prompt_outputs_failed_validation', 'Prompt outputs failed validation', errors)
        self.counter += 1
        run = Run(self, self.counter, prompt_id, body)
        heapq.heappush(self.waiting, (run.number, run.id, run))
        self.more.set()
        self.status()
        return encoded({'prompt_id': prompt_id, 'number': run.number, 'node_errors': {}})

    def view(self, query):
        path = os.path.join(self.folder, query.get('type', 'output'), query.get('subfolder', ''))
        path = os.path.join(path, os.path.basename(query['filename']))
        if not os.path.isfile(path):
            return 404, b''
        if not query['filename'].startswith('.atelier-look-'):
            self.viewed.append(query['filename'])
        with open(path, 'rb') as file:
            return 200, file.read()

    def upload(self, request):
        boundary = re.search('boundary=(.+)', request.headers['content-type'])[1].encode()
        fields, name, content = {}, None, b''
        for part in request.body.split(b'--' + boundary)[1:-1]:
            head, content_of = part[2:-2].split(b'\r\n\r\n', 1)
            key = re.search(rb' name="([^"]*)"', head)[1].decode()
            if found := re.search(rb'filename="([^"]*)"', head):
                name, content = found[1].decode(), content_of
            else:
                fields[key] = content_of.decode()
        self.uploads.append((fields.get('subfolder', ''), name))
        self.write('input', fields.get('subfolder', ''), name, content)
        return encoded({'name': name, 'subfolder': fields.get('subfolder', ''), 'type': 'input'})

    def object_info(self):
        """With the lists of files as they are now."""
        nodes = json.loads(json.dumps(self.nodes))
        root = os.path.join(self.folder, 'input')
        files, folders = [], []
        for at, names, found in os.walk(root):
            folders += [os.path.relpath(os.path.join(at, name), root) for name in names]
            files += [os.path.relpath(os.path.join(at, name), root) for name in found]
        lists = {'LoadImage': [name for name in files if '/' not in name]}
        lists['Load3D'] = [name for name in files if name.startswith('3d/') and name.endswith(MESHES)]
        lists['LoadImageDataSetFromFolder'] = folders
        for kind, names in lists.items():
            if kind in nodes:
                next(iter(nodes[kind]['input']['required'].values()))[0] = sorted(names)
        return nodes

    # --- WebSocket
    async def _socket(self, request, reader, writer):
        client = request.query.get('clientId') or uuid.uuid4().hex
        key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        head = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
        writer.write(f'{head}Sec-WebSocket-Accept: {accept}\r\n\r\n'.encode())
        self.sockets[client] = writer
        self.socket_came.set()
        data = {'status': {'exec_info': {'queue_remaining': len(self.waiting)}}, 'sid': client}
        writer.write(frame(1, json.dumps({'type': 'status', 'data': data}).encode()))
        try:
            while True:
                first, length = await reader.readexactly(2)
                length &= 127
                if length == 126:
                    (length,) = struct.unpack('>H', await reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack('>Q', await reader.readexactly(8))
                mask = await reader.readexactly(4)
                data = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(length)))
                if first & 15 == 8:
                    writer.write(frame(8, data))
                    return
                if first & 15 == 9:
                    writer.write(frame(10, data))
                if first & 15 == 1 and json.loads(data)['type'] == 'feature_flags':
                    flags = {'supports_preview_metadata': True, 'max_upload_size': 100 << 20}
                    writer.write(frame(1, json.dumps({'type': 'feature_flags', 'data': flags}).encode()))
        finally:
            if self.sockets.get(client) is writer:
                del self.sockets[client]


def png_with_texts(picture, texts):
    """With each of the values as JSON under its keyword."""
    chunks = b''
    for keyword, value in texts.items():
        data = b'tEXt' + keyword.encode() + b'\0' + json.dumps(value).encode()
        chunks += struct.pack('>I', len(data) - 4) + data + struct.pack('>I', zlib.crc32(data))
    return picture[:33] + chunks + picture[33:]  # after IHDR


def png_texts(picture):
    """What png_with_texts has put there."""
    texts, at = {}, 8
    while at < len(picture):
        (length,) = struct.unpack('>I', picture[at : at + 4])
        if picture[at + 4 : at + 8] == b'tEXt':
            keyword, value = picture[at + 8 : at + 8 + length].split(b'\0')
            texts[keyword.decode()] = json.loads(value)
        at += length + 12
    return texts


def frame(opcode, data):
    head = bytes([0x80 | opcode])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    if len(data) < 1 << 16:
        return head + struct.pack('>BH', 126, len(data)) + data
    return head + struct.pack('>BQ', 127, len(data)) + data


def encoded(value):
    return 200, json.dumps(value).encode()


def refusal(kind, message, node_errors=None):
    error = {'type': kind, 'message': message, 'details': '', 'extra_info': {}}
    return 400, json.dumps({'error': error, 'node_errors': node_errors or {}}).encode()


def misbehave():
    text = ['STRING', {'default': ''}]
    return node({'images': ['IMAGE'], 'how': text, 'filename_prefix': text}, True)


def shows_prompt():
    shows = node({'images': ['IMAGE']}, True)
    shows['input']['hidden'] = {'prompt': 'PROMPT', 'extra_pnginfo': 'EXTRA_PNGINFO'}
    return shows


def standard_nodes():
    """The object_info of a few of ComfyUI's nodes; lists of files are filled in when it is asked for."""
    number = ['INT', {'default': 1, 'min': 0, 'max': 16777215}]
    upload = {'upload_subfolder': '3d', 'file_upload': True}
    return {
        'EmptyImage': node({name: number for name in ('width', 'height', 'batch_size', 'color')}),
        'LoadImage': node({'image': [[], {'image_upload': True}]}),
        'Load3D': node({'model_file': [[], upload]}),
        'LoadImageDataSetFromFolder': node({'folder': [[], {}]}),
        'SaveImage': node({'images': ['IMAGE'], 'filename_prefix': ['STRING', {'default': 'x'}]}, True),
        'PreviewImage': node({'images': ['IMAGE']}, True),
        'SaveImageWebsocket': node({'images': ['IMAGE']}, True),
        'ShowPrompt': shows_prompt(),
    }


def bad_graph(how, prefix='bad', color=1, kind='Misbehave'):
    """EmptyImage into a Misbehave that goes about it in this way."""
    size = {'width': 4, 'height': 4, 'batch_size': 1}
    return {
        '1': {'class_type': 'EmptyImage', 'inputs': {**size, 'color': color}},
        '2': {'class_type': kind, 'inputs': {'images': ['1', 0], 'how': how, 'filename_prefix': prefix}},
    }
