#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The journal in Redis (faults 43, 44): what was acknowledged is there after kill -9 of the server and of
Redis. While Redis is gone prompts get 503, and a job that runs goes on to its one end. A second server is
refused, and so is a Redis that came back as an older copy."""

import json, os, shutil, threading, urllib.request
from atelier_processes import BIN, WORK, Process, Workshop, events_of, free_ports, run, until
from link_worker import LinkWorker


class Redis:
    """A redis-server that keeps what it is given."""

    def __init__(self, name):
        self.folder, self.port = os.path.join(WORK, name), free_ports(1)
        self.process = None
        os.makedirs(self.folder)

    def start(self):
        words = ['redis-server', '--port', str(self.port), '--bind', '127.0.0.1', '--dir', self.folder]
        words += ['--save', '', '--appendonly', 'yes', '--appendfsync', 'always']
        self.process = Process('redis', words)
        until(lambda: 'eady to accept connections' in self.process.text(), 'Redis')

    def kill(self):
        self.process.kill()

    def copy(self, to):
        shutil.copytree(os.path.join(self.folder, 'appendonlydir'), to)

    def put_back(self, copy):
        shutil.rmtree(os.path.join(self.folder, 'appendonlydir'))
        shutil.copytree(copy, os.path.join(self.folder, 'appendonlydir'))


class RedisWorkshop(Workshop):
    def __init__(self, name, port, **env):
        super().__init__(name, JOURNAL='redis', REDIS_PORT=str(port), MAX_WAITING_PER_USER='0', **env)

    def journal_command(self, command, *arguments, env=None):
        return super().journal_command(command, *arguments, env={**self.env, **(env or {})})

    def ends_with(self, code):
        """A start that is refused; what it says."""
        arguments = [os.path.join(BIN, 'atelier'), 'serve', '--data', self.data, '--port', '0']
        process = self.start('serve', arguments, self.env)
        assert process.child.wait(timeout=30) == code, process.text()
        return process.text()


def serve_on_redis(workshops, name):
    """A Redis of its own, and a server that keeps its journal there."""
    redis = Redis(f'redis-{name}')
    redis.start()
    workshop = RedisWorkshop(name, redis.port)
    workshops.append(workshop)
    workshop.serve()
    return redis, workshop


def prompts(workshop):
    return {entry['event']['prompt_id'] for entry in events_of(workshop.journal(), 'submitted')}


def within_reach(workshop):
    until(lambda: workshop.get('/health', expect=None)['journal']['reason'] == '', 'the journal')


class Crowd:
    """Submits as fast as it is answered, and keeps what was acknowledged."""

    def __init__(self, workshop, name):
        self.workshop, self.name, self.acknowledged = workshop, name, []
        self.thread = threading.Thread(target=self.submit)
        self.thread.start()

    def submit(self):
        try:
            while True:
                name = f'{self.name}-{len(self.acknowledged)}'
                self.workshop.submit(1 + len(self.acknowledged) % 5, name)
                self.acknowledged.append(name)
        except (OSError, AssertionError):
            pass  # the server or Redis is gone

    def until_gone(self):
        self.thread.join()
        return set(self.acknowledged)


def test_kills(workshops):
    redis, workshop = serve_on_redis(workshops, 'kills')
    worker = LinkWorker(workshop)
    workshop.ready_for_jobs()
    acknowledged = set()
    for n, victim in enumerate(['server', 'redis', 'server']):
        crowd = Crowd(workshop, f'crowd{n}')
        until(lambda: len(crowd.acknowledged) >= 60, 'a crowd')
        if victim == 'server':
            workshop.server.kill()
            acknowledged |= crowd.until_gone()
            workshop.serve()
        else:
            redis.kill()
            acknowledged |= crowd.until_gone()
            redis.start()
            within_reach(workshop)
        found = until(lambda: prompts(workshop), 'the journal')
        assert acknowledged <= found, acknowledged - found
    until(lambda: not workshop.get('/api/queue/status')['pending'], 'the jobs', 60)
    until(lambda: not worker.held, 'the ends')
    journal = workshop.journal()
    ends = [entry['event']['job'] for entry in events_of(journal, 'ended')]
    assert len(ends) == len(set(ends)) == len(events_of(journal, 'submitted')), len(ends)
    check = workshop.journal_command('check')
    assert check.returncode == 0 and 'the journal is whole' in check.stdout, check
    for command, arguments in (('compact', ()), ('backup', ('x',)), ('restore', ('x',))):
        done = workshop.journal_command(command, *arguments)
        assert done.returncode == 2 and 'kept in Redis' in done.stderr, done

    second = RedisWorkshop('second', redis.port)
    workshops.append(second)
    assert 'another server writes the journal' in second.ends_with(2)
    workshop.submit(1, 'still-served')
    worker.close()
    assert workshop.server.stop() == 0
    redis.kill()


def test_out_of_reach(workshops):
    redis, workshop = serve_on_redis(workshops, 'gone')
    workshop.engine(step_ms=1500)
    workshop.worker()
    workshop.ready_for_jobs()
    workshop.submit(1, 'long')
    until(lambda: events_of(workshop.journal(), 'started'), 'the job')
    redis.kill()
    refused = workshop.submit(2, 'lost', expect=503)
    assert 'look before you press Run again' in json.dumps(refused), refused
    refused = workshop.submit(2, 'lost', expect=503)
    assert 'nothing was taken' in json.dumps(refused), refused
    health = workshop.get('/health', expect=503)
    assert 'cannot be reached' in health['journal']['reason'], health

    def over():
        with urllib.request.urlopen(workshop.engine_url.rstrip('/') + '/history') as answer:
            return json.loads(answer.read())

    until(over, 'the end of the job in its ComfyUI')
    redis.start()
    item = workshop.wait_history(1, 'long')
    assert item['status']['status_str'] == 'success', item
    until(lambda: workshop.outputs(1), 'its picture')
    within_reach(workshop)
    workshop.submit(2, 'after')
    workshop.wait_history(2, 'after')
    journal = workshop.journal()
    assert len(events_of(journal, 'leased')) == len(events_of(journal, 'ended')) == 2, journal
    assert prompts(workshop) == {'long', 'after'}, prompts(workshop)
    redis.kill()


def test_older_copy(workshops):
    redis, workshop = serve_on_redis(workshops, 'older')
    worker = LinkWorker(workshop)
    workshop.ready_for_jobs()
    workshop.submit(1, 'kept')
    workshop.wait_history(1, 'kept')
    redis.kill()
    copy = os.path.join(WORK, 'copy')
    redis.copy(copy)
    redis.start()
    within_reach(workshop)
    until(lambda: submits(workshop), 'a prompt')
    workshop.wait_history(1, 'lost')
    redis.kill()
    redis.put_back(copy)
    redis.start()
    assert workshop.server.child.wait(timeout=30) == 74, workshop.server.text()
    assert 'restored from an older copy' in workshop.server.text()
    worker.close()
    for _ in range(2):
        said = workshop.ends_with(2)
        assert 'redis.seen' in said and 'Bring back the newer copy' in said, said
    os.remove(os.path.join(workshop.data, 'redis.seen'))
    workshop.serve()
    assert workshop.history(1, 'kept') and not workshop.history(1, 'lost')
    assert workshop.server.stop() == 0
    redis.kill()


def submits(workshop):
    answer = workshop.submit(1, 'lost', expect=None)
    return 'number' in answer


def test_settings(workshops):
    port = free_ports(1)
    redis = Process('redis', ['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--dir', WORK])
    until(lambda: 'eady to accept connections' in redis.text(), 'Redis')
    workshop = RedisWorkshop('settings', port)
    workshops.append(workshop)
    said = workshop.ends_with(2)
    assert 'appendonly yes' in said and 'appendfsync always' in said, said
    redis.kill()
    assert f'Redis at 127.0.0.1:{port} cannot be reached' in workshop.ends_with(1)


def test(workshops):
    test_settings(workshops)
    test_kills(workshops)
    test_out_of_reach(workshops)
    test_older_copy(workshops)


run(test)
