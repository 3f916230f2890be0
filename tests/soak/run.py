#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Twenty participants, three workers, something breaks every half a minute: README.md."""

import argparse, json, os, random, signal, struct, subprocess, sys, threading, time, zlib
import urllib.error, urllib.parse, urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'integration'))
from atelier_processes import BIN, Workshop, events_of, png, run, until  # noqa: E402
from chaos_proxy import ChaosProxy  # noqa: E402

PARTICIPANTS, WORKERS, WAITING = 20, 3, 4
SERVER_MB_MAX = 600
given = None


def graph_of(color, uploaded):
    size = {'width': 24, 'height': 16, 'batch_size': 2}
    source = {'class_type': 'EmptyImage', 'inputs': {**size, 'color': color}}
    if uploaded:
        source = {'class_type': 'LoadImage', 'inputs': {'image': uploaded}}
    return {
        '1': source,
        '2': {'class_type': 'ImageInvert', 'inputs': {'image': ['1', 0]}},
        '3': {'class_type': 'ImageInvert', 'inputs': {'image': ['2', 0]}},
        '4': {'class_type': 'SaveImage', 'inputs': {'images': ['3', 0], 'filename_prefix': 'work/p'}},
        '5': {'class_type': 'PreviewImage', 'inputs': {'images': ['2', 0]}},
    }


def color_of(picture):
    """Of the first pixel of an 8-bit PNG: its first row's filter does nothing to it."""
    assert picture.startswith(b'\x89PNG') and picture.endswith(b'IEND\xaeB`\x82'), picture[:60]
    data, at = b'', 8
    while at < len(picture):
        length, kind = struct.unpack('>I4s', picture[at : at + 8])
        if kind == b'IDAT':
            data += picture[at + 8 : at + 8 + length]
        at += 12 + length
    return int.from_bytes(zlib.decompress(data)[1:4], 'big')


def same_color(a, b):
    """But for what two inversions lose."""
    return all(abs(x - y) <= 1 for x, y in zip(a.to_bytes(3, 'big'), b.to_bytes(3, 'big')))


class Participant(threading.Thread):
    """Submits, uploads and cancels until it is told to end."""

    def __init__(self, soak, number):
        super().__init__(daemon=True)
        self.soak, self.number = soak, number
        self.random = random.Random(f'{given.seed}/{number}')
        self.accepted, self.unsure, self.cancelled = {}, {}, set()  # prompt id -> color
        self.failure = None
        self.start()

    def call(self, method, path, body=None, kind='application/json'):
        """(status, answer), or nothing if the server did not answer."""
        request = urllib.request.Request(
            f'{self.soak.workshop.url}/user/{self.number}{path}', data=body, method=method,
            headers={'Content-Type': kind})  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (OSError, ValueError):
            return None

    def upload(self, name, color):
        body = f'--b\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
        body += png(24, 16, tuple(color.to_bytes(3, 'big'))) + b'\r\n--b--\r\n'
        done = self.call('POST', '/api/upload/image', body, 'multipart/form-data; boundary=b')
        return name if done and done[0] == 200 else None

    def submit(self, count):
        prompt_id = f'p{self.number}-{count}'
        color = self.number * 8 << 16 | count % 64 * 4 << 8 | count // 64 * 4
        uploaded = self.upload(f'{prompt_id}.png', color) if self.random.random() < 0.3 else None
        self.unsure[prompt_id] = color
        body = json.dumps({'prompt': graph_of(color, uploaded), 'prompt_id': prompt_id, 'client_id': 'soak'})
        done = self.call('POST', '/api/prompt', body.encode())
        if not done:
            return  # it may have come or not
        del self.unsure[prompt_id]
        if done[0] == 200:
            assert json.loads(done[1])['prompt_id'] == prompt_id, done
            self.accepted[prompt_id] = color
        elif done[0] not in (429, 503):
            raise AssertionError(f'{prompt_id}: {done}')

    def work(self):
        count = 0
        while not self.soak.over.wait(self.random.uniform(0.2, 2.0)):
            queue = self.call('GET', '/api/queue')
            if not queue or queue[0] != 200:
                continue
            lists = json.loads(queue[1])
            waiting = lists['queue_pending'] + lists['queue_running']
            if len(waiting) < WAITING:
                self.submit(count)
                count += 1
            elif self.random.random() < 0.1:
                prompt_id = self.random.choice(waiting)[1]
                self.cancelled.add(prompt_id)
                if self.random.random() < 0.5:
                    self.call('POST', '/api/queue', json.dumps({'delete': [prompt_id]}).encode())
                else:
                    self.call('POST', '/api/interrupt', json.dumps({'prompt_id': prompt_id}).encode())

    def run(self):
        try:
            self.work()
        except BaseException as failure:
            self.failure = failure


class Place:
    """One GPU's machine: an engine, a worker, and the line between it and the server."""

    def __init__(self, soak, number):
        self.soak, self.name = soak, f'gpu-{number}'
        self.folder = os.path.join(soak.workshop.data, self.name)
        os.makedirs(self.folder, exist_ok=True)
        self.proxy = ChaosProxy(soak.workshop.port)
        self.engine = soak.workshop.engine(step_ms=120, directory=self.folder)
        self.engine_url = soak.workshop.engine_url
        self.worker = None
        self.start_worker()

    def start_worker(self):
        self.worker = self.soak.workshop.worker(
            self.name, comfy=self.engine_url, comfy_dir=self.folder, join=self.proxy.url
        )

    def start_engine(self):
        port = self.engine_url.rstrip('/').rsplit(':', 1)[1]
        arguments = [os.path.join(BIN, 'atelier-rehearsal'), '--port', port]
        arguments += ['--step-ms', '120', '--dir', self.folder]
        self.engine = self.soak.workshop.start('rehearsal', arguments)
        self.engine.line('ready ')

    def keep_up(self):
        if self.engine.child.poll() is not None:
            self.start_engine()
        if self.worker.child.poll() is not None:
            self.start_worker()

    def mend(self):
        for way in (self.proxy.up, self.proxy.down):
            way.held, way.lost, way.rate, way.delay = False, False, None, 0.0
        self.proxy.refusing = False


class Soak:
    def __init__(self, workshop):
        self.workshop = workshop
        self.over = threading.Event()
        self.random = random.Random(given.seed)
        self.happened = {}
        self.server_mb = 0
        workshop.serve()
        self.places = [Place(self, number) for number in range(1, WORKERS + 1)]
        workshop.ready_for_jobs()
        self.people = [Participant(self, number) for number in range(1, PARTICIPANTS + 1)]

    # ---- what breaks; each gives the seconds until it is mended ----
    def worker_is_killed(self, place):
        place.worker.kill()
        return self.random.uniform(0, 10)

    def engine_is_killed(self, place):
        place.engine.kill()
        return self.random.uniform(0, 10)

    def machine_is_killed(self, place):
        place.engine.kill()
        place.worker.kill()
        return self.random.uniform(0, 10)

    def worker_is_asked_to_leave(self, place):
        place.worker.stop(60)
        return 1

    def worker_stands_still(self, place):
        place.worker.child.send_signal(signal.SIGSTOP)
        return self.random.uniform(2, 20)  # the lease lives 5 s

    def line_is_reset(self, place):
        place.proxy.reset()
        return 0

    def line_is_dead(self, place):
        way = self.random.choice((place.proxy.up, place.proxy.down))
        way.held = True
        return self.random.uniform(2, 20)

    def line_trickles(self, place):
        place.proxy.up.rate = 4_000
        place.proxy.down.delay = 0.2
        return self.random.uniform(5, 15)

    def server_is_killed(self, _):
        self.workshop.server.kill()
        return self.random.uniform(0, 5)

    FAULTS = (
        worker_is_killed, engine_is_killed, machine_is_killed, worker_is_asked_to_leave, worker_stands_still,
        line_is_reset, line_is_dead, line_trickles, server_is_killed,
    )  # fmt: skip

    def mend(self):
        if self.workshop.server.child.poll() is not None:
            self.workshop.serve()
        for place in self.places:
            place.worker.child.send_signal(signal.SIGCONT)
            place.mend()
            place.keep_up()

    def measure(self):
        try:
            with open(f'/proc/{self.workshop.server.child.pid}/status') as file:
                lines = dict(line.split(':', 1) for line in file)
            self.server_mb = max(self.server_mb, int(lines['VmHWM'].split()[0]) // 1024)
        except (OSError, KeyError):
            pass  # it is being killed

    def break_things(self):
        end = time.monotonic() + given.minutes * 60
        while time.monotonic() < end:
            fault = self.random.choice(self.FAULTS)
            place = self.random.choice(self.places)
            self.happened[fault.__name__] = self.happened.get(fault.__name__, 0) + 1
            lasts = fault(self, place)
            print(f'{time.strftime("%H:%M:%S")} {fault.__name__} {place.name} {lasts:.1f} s', flush=True)
            self.over.wait(lasts)
            self.mend()
            self.measure()
            self.over.wait(max(0.0, given.every - lasts))
            for person in self.people:
                if person.failure:
                    raise person.failure

    # ---- afterwards ----
    def settle(self):
        self.over.set()
        for person in self.people:
            person.join()
        self.mend()
        last = time.monotonic() + 300
        while time.monotonic() < last:
            status = self.workshop.get('/api/queue/status')
            if status['pending'] + status['running'] == 0:
                return
            threading.Event().wait(1)
            for place in self.places:
                place.keep_up()
        raise AssertionError(f'jobs are left: {self.workshop.get("/api/queue/status")}')

    def view(self, participant, entry):
        query = urllib.parse.urlencode({key: entry[key] for key in ('filename', 'subfolder', 'type')})
        return participant.call('GET', f'/api/view?{query}')

    def check_history(self, person, counts):
        status, body = person.call('GET', '/api/history?max_items=100000')
        assert status == 200
        history = json.loads(body)
        missing = set(person.accepted) - set(history)
        # As in ComfyUI, what is cancelled while it waits leaves no history.
        counts['cancelled waiting'] += len(missing & person.cancelled)
        missing -= person.cancelled
        assert not missing, f'{person.number}: accepted, and not in the history: {sorted(missing)[:5]}'
        foreign = set(history) - set(person.accepted) - set(person.unsure)
        assert not foreign, f'{person.number}: nobody submitted {sorted(foreign)[:5]}'
        for prompt_id, item in history.items():
            color = person.accepted.get(prompt_id, person.unsure.get(prompt_id))
            outcome = item['status']['status_str']
            text = json.dumps(item['status'])
            if outcome != 'success':
                cancelled = 'execution_interrupted' in text
                if cancelled:
                    assert prompt_id in person.cancelled, f'{prompt_id} was not cancelled: {text}'
                else:
                    assert 'workers went down' in text or 'given back' in text, f'{prompt_id}: {text}'
                counts['cancelled' if cancelled else 'set aside'] += 1
                continue
            counts['succeeded'] += 1
            outputs = item['outputs']
            assert set(outputs) == {'4', '5'}, f'{prompt_id}: {outputs}'
            for entry in outputs['4']['images']:
                assert entry['subfolder'] == 'work', entry
                status, picture = self.view(person, entry)
                assert status == 200, (prompt_id, entry, status)
                seen = color_of(picture)
                assert same_color(seen, color), f'{prompt_id}: {seen:06x}, not {color:06x}'
                counts['pictures'] += 1

    def check(self):
        counts = {'succeeded': 0, 'cancelled waiting': 0, 'cancelled': 0, 'set aside': 0, 'pictures': 0}
        for person in self.people:
            self.check_history(person, counts)
            folder = os.path.join(self.workshop.data, 'participants', str(person.number), 'output', 'work')
            names = os.listdir(folder) if os.path.isdir(folder) else []
            assert not [name for name in names if not name.startswith('p_')], names[:5]
        self.workshop.server.stop()
        entries = self.workshop.journal()
        ended = [entry['event']['job'] for entry in events_of(entries, 'ended')]
        assert len(ended) == len(set(ended)), 'a job ended twice'
        # (A commit that came too late stands in the journal, too: it was refused, and named nothing.)
        named = [(entry['event']['job'], entry['event']['node']) for entry in events_of(entries, 'linked')]
        assert len(named) == len(set(named)), 'the outputs of a node got names twice'
        done = subprocess.run(
            [os.path.join(BIN, 'atelier'), 'journal', 'check', '--data', self.workshop.data],
            capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert self.server_mb < SERVER_MB_MAX, f'the server took {self.server_mb} MB'
        leases = len(events_of(entries, 'leased'))
        print(f'{counts}, {leases} leases, {sum(len(p.unsure) for p in self.people)} unanswered, '
              f'server at most {self.server_mb} MB')  # fmt: skip
        print('what broke:', self.happened)


def test(workshops):
    workshop = Workshop('soak', NUM_USERS=str(PARTICIPANTS), MAX_CONNECTIONS_PER_ADDRESS='0')
    workshops.append(workshop)
    soak = Soak(workshop)
    try:
        soak.break_things()
        soak.settle()
        soak.check()
    finally:
        soak.over.set()
        for place in soak.places:
            if place.worker.child.poll() is None:
                place.worker.child.send_signal(signal.SIGCONT)
            place.proxy.close()


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=20)
    parser.add_argument('--every', type=float, default=30, help='seconds from one fault to the next')
    parser.add_argument('--seed', type=int, default=1)
    given = parser.parse_args()
    run(test)
