# SPDX-License-Identifier: MIT
"""A worker of the link protocol (docs/protocol/worker-link.md) that makes one small file per job, without an
engine: it joins at once again when the server is back, and tells what was not answered. Only the standard
library."""

import base64, contextlib, hashlib, http.client, json, os, socket, struct, threading, time


def node(inputs, output_node=False):
    return {
        'input': {'required': inputs},
        'input_order': {'required': list(inputs)},
        'output': [] if output_node else ['IMAGE'],
        'output_is_list': [] if output_node else [False],
        'output_name': [] if output_node else ['IMAGE'],
        'name': 'node',
        'display_name': 'node',
        'description': '',
        'python_module': 'nodes',
        'category': 'image',
        'output_node': output_node,
    }


def catalog():
    """The object_info of the two nodes of atelier_processes.save_graph."""
    number = ['INT', {'default': 1, 'min': 0, 'max': 16777215}]
    nodes = {
        'EmptyImage': node({name: number for name in ('width', 'height', 'batch_size', 'color')}),
        'SaveImage': node({'images': ['IMAGE'], 'filename_prefix': ['STRING', {'default': 'x'}]}, True),
    }
    return json.dumps(nodes).encode()


class Socket:
    """The client's side of one WebSocket."""

    def __init__(self, port, path, headers, host='127.0.0.1'):
        self.raw = socket.create_connection((host, port), timeout=20)
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b''
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f'GET {path} HTTP/1.1', f'Host: {host}:{port}', 'Upgrade: websocket']
        lines += ['Connection: Upgrade']
        lines += ['Sec-WebSocket-Version: 13', f'Sec-WebSocket-Key: {key}']
        lines += [f'{name}: {value}' for name, value in headers.items()]
        self.raw.sendall('\r\n'.join([*lines, '', '']).encode())
        while b'\r\n\r\n' not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b'\r\n\r\n', 1)
        if b' 101 ' not in head.split(b'\r\n', 1)[0]:
            while b'\n' not in self.buffer:
                self.fill()
            raise ConnectionError((head + self.buffer).decode(errors='replace'))

    def fill(self):
        data = self.raw.recv(65536)
        if not data:
            raise ConnectionError('closed')
        self.buffer += data

    def take(self, count):
        while len(self.buffer) < count:
            self.fill()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def send(self, message, opcode=1):
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        head = bytes([0x80 | opcode])
        head += bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack('>BH', 0x80 | 126, len(data))
        self.raw.sendall(head + b'\0\0\0\0' + data)  # a mask of zeros leaves the bytes as they are

    def frame(self):
        """The next message: bytes of a binary one, a value of a text. Pings are answered."""
        while True:
            first, length = self.take(2)
            if length == 126:
                (length,) = struct.unpack('>H', self.take(2))
            elif length == 127:
                (length,) = struct.unpack('>Q', self.take(8))
            data = self.take(length)
            if first & 15 == 1:
                return json.loads(data)
            if first & 15 == 2:
                return data
            if first & 15 == 9:
                self.send(data, 10)
            if first & 15 == 8:
                raise ConnectionError('closed by the server')

    def receive(self):
        """The next text message."""
        message = self.frame()
        while isinstance(message, bytes):
            message = self.frame()
        return message


class LinkWorker(threading.Thread):
    """Works until close(). `held` is what it has not been told to forget, by (job, epoch). With a `gate` (an
    Event) it dials only while that is set."""

    def __init__(self, workshop, name='scripted', slots=2, gate=None):
        super().__init__(daemon=True)
        self.gate = gate
        self.workshop, self.name_, self.slots = workshop, name, slots
        self.boot = os.urandom(16).hex()
        self.catalog = catalog()
        self.hash = hashlib.sha256(self.catalog).hexdigest()
        self.held, self.closing, self.link, self.http = {}, False, None, None
        self.refused = self.failure = None
        self.start()

    def close(self):
        self.closing = True
        if self.link:
            with contextlib.suppress(OSError):
                self.link.raw.shutdown(socket.SHUT_RDWR)
        self.join()
        if self.http:
            self.http.close()

    def run(self):
        try:
            while not self.closing:
                try:
                    if self.gate is None or self.gate.wait(0.1):
                        self.work()
                except (OSError, http.client.HTTPException) as error:
                    self.refused = error
                    time.sleep(0.005)  # the server is dead or not there yet
        except Exception as error:  # noqa: BLE001
            self.failure = error
            raise

    def headers(self):
        with open(os.path.join(self.workshop.data, 'worker.token')) as file:
            return {'Authorization': f'Bearer {file.read().strip()}'}

    def work(self):
        port, headers = self.workshop.port, self.headers()
        link = {'Atelier-Protocol': '1', 'Atelier-Worker': self.name_}
        self.link = Socket(port, '/worker/link', {**headers, **link})
        self.http = http.client.HTTPConnection('127.0.0.1', port, timeout=20)
        slot = {
            'comfy_version': '0.21.0',
            'object_info_hash': self.hash,
            'engine': 'ready',
            'engine_start': 1,
            'device': 'script',
            'vram_total': 0,
            'holds': [],
        }
        hello = {'type': 'hello', 'protocol': 1, 'agent': 'script', 'name': self.name_, 'boot': self.boot}
        hello['slots'] = [{'slot': n, **slot} for n in range(self.slots)]
        hello['jobs'] = [job['line'] for job in self.held.values()]
        self.link.send({**hello, 'disk_free': 1 << 40, 'clock': int(time.time() * 1000)})
        welcome = self.link.receive()
        while welcome['type'] != 'welcome':
            welcome = self.link.receive()
        self.http_headers = {**headers, 'Atelier-Link': str(welcome['link'])}
        for answer in welcome['answers']:
            if answer['verdict'] == 'drop':
                self.held.pop((answer['job'], answer['epoch']), None)
        if welcome['want']:
            self.ask('PUT', f'object_info/{self.hash}', self.catalog)
        for key in list(self.held):
            self.ran(key)
            self.go_on(key)
        while True:
            self.on(self.link.receive())

    def ask(self, method, path, body=None):
        self.http.request(method, '/worker/' + path, body, self.http_headers)
        answer = self.http.getresponse()
        answer.read()
        if answer.status == 409:
            raise ConnectionError('the link is another by now')
        return answer

    def say(self, kind, key, **fields):
        self.link.send({'type': kind, 'job': key[0], 'epoch': key[1], **fields})

    def ran(self, key):
        self.say('started', key)
        self.say('computed', key, gpu_ms=1)

    def on(self, message):
        key = (message.get('job'), message.get('epoch'))
        if message['type'] == 'lease' and key not in self.held:
            line = {'job': key[0], 'epoch': key[1], 'slot': message['slot'], 'state': 'computed'}
            self.held[key] = {'line': {**line, 'committed': [], 'staged': []}}
            self.ran(key)
            self.go_on(key)
        elif message['type'] == 'committed' and key in self.held:
            self.held[key]['line']['committed'] = ['2']
            self.go_on(key)
        elif message['type'] == 'refused':
            raise AssertionError(message)
        elif message['type'] == 'ended_ok':
            self.held.pop(key, None)

    def go_on(self, key):
        """Says what comes next for a job: everything may be said twice."""
        job, epoch = key
        if self.held[key]['line']['committed']:
            return self.say(
                'ended', key, outcome='succeeded', cause='engine', reason='', event='', report=''
            )
        content = b'a picture of job %d' % job
        digest = hashlib.sha256(content).hexdigest()
        target = f'output/{job}/{epoch}/0?digest={digest}&size={len(content)}'
        offset = int(self.ask('HEAD', target).headers['Upload-Offset'])
        if offset < len(content):
            # In two parts: a server may die between them.
            for part in (content[offset:10], content[max(offset, 10) :]):
                taken = self.ask('PUT', f'{target}&offset={offset}', part).status
                offset += len(part)
                assert taken == (204 if offset == len(content) else 416), taken
        name = {'folder': '', 'stem': 'kept', 'number': 1, 'rest': '_.png', 'type': 'output'}
        file = {'place': 'images/0', **name, 'in_job_folder': True, 'size': len(content), 'digest': digest}
        ui = {'filename': 'kept_00001_.png', 'subfolder': f'atelier/{job}-{epoch}', 'type': 'output'}
        self.say('commit', key, node='2', display_node='2', ui=json.dumps({'images': [ui]}),
                 files=[{**file, 'file': 0}])  # fmt: skip
