# SPDX-License-Identifier: MIT
"""Starts and kills the real processes for the integration tests, and speaks to them over loopback.
Only the standard library."""

import json, os, signal, socket, struct, subprocess, sys, tempfile, time, urllib.error, urllib.parse
import urllib.request, zlib

BIN = os.environ.get('ATELIER_BIN_DIR') or os.path.join(
    os.path.dirname(__file__), '..', '..', 'build', 'release'
)
WORK = os.environ.get('ATELIER_TEST_DIR') or tempfile.mkdtemp(prefix='atelier-test-')


def until(condition, what, seconds=30.0):
    """Polls until condition() gives something true, and gives that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f'gave up after {seconds:g} s waiting for {what}')


class Process:
    """One program with its output in a file."""

    def __init__(self, name, arguments, env=None):
        self.name = name
        self.path = os.path.join(WORK, f'{name}-{time.monotonic_ns()}.log')
        self.log = open(self.path, 'wb')
        self.child = subprocess.Popen(
            arguments,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, 'XDG_STATE_HOME': os.path.join(WORK, 'state'), **(env or {})},
            cwd=WORK,
            start_new_session=True,
        )

    def text(self):
        with open(self.path, errors='replace') as file:
            return file.read()

    def line(self, prefix, seconds=30.0):
        """The rest of the first line that begins with `prefix`."""

        def look():
            for line in self.text().splitlines():
                if line.startswith(prefix):
                    return line[len(prefix) :].strip() or ' '
            if self.child.poll() is not None:
                raise AssertionError(f'{self.name} ended with {self.child.returncode}:\n{self.text()}')
            return None

        return until(look, f'"{prefix}" from {self.name}', seconds)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self, seconds=20.0):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=seconds)


class Workshop:
    """serve, an engine and workers on one data folder."""

    def __init__(self, name, **env):
        self.data = os.path.join(WORK, name)
        self.env = {'NUM_USERS': '20', 'LEASE_TTL': '5s', **env}
        self.processes = []
        self.port = 0
        self.url = None

    def start(self, name, arguments, env=None):
        process = Process(name, arguments, env)
        self.processes.append(process)
        return process

    def serve(self, env=None):
        arguments = [os.path.join(BIN, 'atelier'), 'serve', '--data', self.data, '--port', str(self.port)]
        self.server = self.start('serve', arguments, {**self.env, **(env or {})})
        self.url = self.server.line('ready ').rstrip('/')
        self.port = int(self.url.rsplit(':', 1)[1])
        return self.server

    def engine(self, step_ms=0, directory=None):
        arguments = [os.path.join(BIN, 'atelier-rehearsal'), '--port', '0', '--step-ms', str(step_ms)]
        arguments += ['--dir', directory] if directory else []
        process = self.start('rehearsal', arguments)
        self.engine_url = process.line('ready ')
        return process

    def worker(self, name='w1', token_file=None, comfy=None, comfy_dir=None, join=None):
        arguments = [os.path.join(BIN, 'atelier-worker'), '--name', name, '--join', join or self.url]
        arguments += ['--token-file', token_file or os.path.join(self.data, 'worker.token')]
        arguments += ['--comfy', comfy or self.engine_url]
        if comfy_dir:
            arguments += ['--comfy-dir', comfy_dir]
        return self.start(f'worker-{name}', arguments)

    def get(self, path, expect=200):
        return self.request('GET', path, expect=expect)

    def post(self, path, body, expect=200):
        return self.request('POST', path, json.dumps(body).encode(), expect)

    def request(self, method, path, body=None, expect=200, kind='application/json'):
        request = urllib.request.Request(
            self.url + path, data=body, method=method, headers={'Content-Type': kind}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, data = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, data = error.code, error.read()
        if expect is not None and status != expect:
            raise AssertionError(f'{method} {path}: {status}, expected {expect}: {data[:400]!r}')
        try:
            return json.loads(data)
        except ValueError:
            return data

    def upload(self, participant, name, data, **fields):
        """ComfyUI's /upload/image; gives its answer."""
        form = b''
        for key, value in fields.items():
            form += f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        form += f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
        kind = 'multipart/form-data; boundary=x'
        path = f'/user/{participant}/upload/image'
        return self.request('POST', path, form + data + b'\r\n--x--\r\n', kind=kind)

    def ready_for_jobs(self):
        return until(
            lambda: 'SaveImage' in (self.get('/user/1/api/object_info/SaveImage') or {}),
            'object_info of a worker',
        )

    def submit(self, participant, prompt_id, color=1, prefix='kept', size=16, expect=200):
        return self.submit_graph(participant, prompt_id, save_graph(color, prefix, size), expect)

    def submit_graph(self, participant, prompt_id, graph, expect=200):
        body = {'prompt': graph, 'prompt_id': prompt_id, 'client_id': 'test'}
        return self.post(f'/user/{participant}/prompt', body, expect)

    def history(self, participant, prompt_id):
        try:
            return self.get(f'/user/{participant}/history/{urllib.parse.quote(prompt_id)}').get(prompt_id)
        except (OSError, urllib.error.URLError):
            return None

    def wait_history(self, participant, prompt_id, seconds=60.0):
        return until(lambda: self.history(participant, prompt_id), f'the end of {prompt_id}', seconds)

    def journal_command(self, command, *arguments, env=None):
        """`atelier journal COMMAND` on this data folder; the process that has ended."""
        return subprocess.run(
            [os.path.join(BIN, 'atelier'), 'journal', command, *arguments, '--data', self.data],
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
        )

    def journal(self):
        """Every entry of the journal, as `atelier journal dump` prints it."""
        done = self.journal_command('dump')
        done.check_returncode()
        return [json.loads(line) for line in done.stdout.splitlines() if line]

    def tokens(self):
        """The token of each seat, seat 1 first."""
        command = [os.path.join(BIN, 'atelier'), 'tokens', '--data', self.data]
        command += ['--num-users', self.env['NUM_USERS']]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.split()

    def outputs(self, participant):
        folder = os.path.join(self.data, 'participants', str(participant), 'output')
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def close(self):
        for process in reversed(self.processes):
            if process.child.poll() is None:
                process.child.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.child.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


def save_graph(color=1, prefix='kept', size=16):
    return {
        '1': {
            'class_type': 'EmptyImage',
            'inputs': {'width': size, 'height': size, 'batch_size': 1, 'color': color},
        },
        '2': {'class_type': 'SaveImage', 'inputs': {'images': ['1', 0], 'filename_prefix': prefix}},
    }


def png(width=4, height=4, color=(10, 20, 30)):
    rows = b''.join(b'\0' + bytes(color) * width for _ in range(height))

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    body = chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + body


def certificate(name):
    """PEM files of a certificate for loopback and of its key."""
    pem, key = os.path.join(WORK, name + '.pem'), os.path.join(WORK, name + '.key')
    subprocess.run(
        ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
         '-keyout', key, '-out', pem, '-days', '2', '-subj', '/CN=a test',
         '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
        check=True, capture_output=True)  # fmt: skip
    return pem, key


def free_ports(count):
    """The first of `count` ports in a row that nobody uses."""
    for first in range(20_000 + os.getpid() % 10_000, 60_000, count):
        sockets = []
        try:
            for port in range(first, first + count):
                taken = socket.socket()
                sockets.append(taken)
                taken.bind(('127.0.0.1', port))
            return first
        except OSError:
            continue
        finally:
            for taken in sockets:
                taken.close()
    raise AssertionError('no free ports')


def events_of(journal, kind):
    return [entry for entry in journal if entry.get('kind') == kind]


def run(test):
    """Runs a test with its workshop closed whatever happens; shows the logs of a failure."""
    workshops = []
    try:
        test(workshops)
    except BaseException:
        for workshop in workshops:
            for process in workshop.processes:
                sys.stderr.write(f'---- {process.name}\n{process.text()[-6000:]}\n')
        raise
    finally:
        for workshop in workshops:
            workshop.close()
    print('passed')
