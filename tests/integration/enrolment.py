#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A worker enrols with a token that is good once, and from then on with a key of its own: it needs no token
after a restart of its own or of the server, the token is of no use to anybody else, whose try is an alarm,
and a revoked key ends its link and opens no other."""

import glob, json, os, re, stat, subprocess, urllib.request
from atelier_processes import BIN, WORK, Workshop, events_of, run, until
from join_script import command_lines, fetch, pid, stop as stop_joined, FOLDER

PREFIX = 'atelier-enrol-'


def api(workshop, method, path, expect=200, **body):
    return workshop.request(method, '/api/v1' + path, json.dumps(body).encode(), expect)


def make(workshop, **wanted):
    made = api(workshop, 'POST', '/enrolments', 201, **wanted)
    assert re.fullmatch(PREFIX + '[0-9a-f]{64}', made['token']), made
    return made


def token_file(name, token):
    path = os.path.join(WORK, name)
    with open(path, 'w') as file:
        file.write(token + '\n')
    os.chmod(path, 0o600)
    return path


def enrolment(workshop, number):
    listed = api(workshop, 'GET', '/enrolments')['enrolments']
    return next(one for one in listed if one['enrolment'] == number)


def connected(workshop, name):
    workers = api(workshop, 'GET', '/workers')['workers']
    return any(worker['worker'] == name and worker['connected'] for worker in workers)


def start(workshop, name, file, state):
    arguments = [os.path.join(BIN, 'atelier-worker'), '--name', name, '--join', workshop.url]
    arguments += ['--comfy', workshop.engine_url] + (['--token-file', file] if file else [])
    return workshop.start(f'worker-{name}', arguments, {'XDG_STATE_HOME': os.path.join(WORK, state)})


def refused(worker, *words):
    assert worker.child.wait(timeout=20) == 2, worker.text()
    for word in words:
        assert word in worker.text(), (word, worker.text())


def job(workshop, name):
    workshop.submit(1, name)
    assert workshop.wait_history(1, name)['status']['status_str'] == 'success'


def enrols_once(workshop):
    made = make(workshop, worker='gpu-1', minutes=5)
    number = made['enrolment']['enrolment']
    assert enrolment(workshop, number)['state'] == 'open'
    file = token_file('gpu-1.token', made['token'])
    worker = start(workshop, 'gpu-1', file, 'one')
    workshop.ready_for_jobs()
    job(workshop, 'by-gpu-1')
    used = enrolment(workshop, number)
    assert used['state'] == 'used' and used['used_by'] == 'gpu-1' and used['alarms'] == [], used
    key = os.path.join(WORK, 'one', 'atelier-worker', 'gpu-1', 'worker.key')
    mode = os.stat(key).st_mode
    assert stat.S_IMODE(mode) == 0o600, oct(mode)
    assert worker.stop() == 0
    os.remove(file)
    again = start(workshop, 'gpu-1', file, 'one')
    until(lambda: connected(workshop, 'gpu-1'), 'the worker without its token')
    assert ' enrolled ' not in again.text(), again.text()
    workshop.server.kill()
    workshop.serve()
    until(lambda: connected(workshop, 'gpu-1'), 'the worker after a restart of the server')
    workshop.ready_for_jobs()
    job(workshop, 'after-the-restart')
    return again, made, key


def stolen(workshop, made, key):
    """The token and the name are of no use to another machine."""
    number = made['enrolment']['enrolment']
    file = token_file('stolen.token', made['token'])
    refused(start(workshop, 'gpu-1', file, 'two'), 'has been used')
    refused(start(workshop, 'gpu-2', file, 'two'), 'has been used')
    alarms = enrolment(workshop, number)['alarms']
    assert [alarm['reason'] for alarm in alarms] == ['used'] and alarms[0]['worker'] == 'gpu-1', alarms
    assert 'enrolment_refused' in workshop.server.text()
    health = workshop.get('/health')
    assert health['alarms'] == 1 and health['verdict'] == 'degraded', health
    request = urllib.request.Request(workshop.url + '/health', headers={'Accept': 'text/html'})
    assert b'enrolment token' in urllib.request.urlopen(request, timeout=20).read()
    other = make(workshop)
    file = token_file('other.token', other['token'])
    refused(start(workshop, 'gpu-1', file, 'three'), 'belongs to another machine')
    # Not by the workers' common token either.
    common = os.path.join(workshop.data, 'worker.token')
    refused(start(workshop, 'gpu-1', common, 'three-common'), 'key of its own')
    # The stolen key file opens its own name only.
    folder = os.path.join(WORK, 'four', 'atelier-worker', 'gpu-9')
    os.makedirs(folder)
    with open(key) as source, open(os.path.join(folder, 'worker.key'), 'w') as target:
        target.write(source.read())
    refused(start(workshop, 'gpu-9', None, 'four'), 'does not belong to the name gpu-9')
    assert connected(workshop, 'gpu-1')
    bound = make(workshop, worker='gpu-7')
    bound_file = token_file('bound.token', bound['token'])
    refused(start(workshop, 'gpu-8', bound_file, 'five'), 'not for a worker called')
    assert api(workshop, 'DELETE', f"/enrolments/{bound['enrolment']['enrolment']}")['changed']
    refused(start(workshop, 'gpu-7', bound_file, 'five'), 'was revoked')
    reasons = [alarm['reason'] for alarm in enrolment(workshop, bound['enrolment']['enrolment'])['alarms']]
    assert reasons == ['other_worker', 'revoked'], reasons
    api(workshop, 'DELETE', f'/enrolments/{number}', 409)
    api(workshop, 'POST', '/enrolments', 409, worker='gpu-1')
    refused(start(workshop, 'gpu-6', token_file('no.token', PREFIX + '0' * 64), 'six'), '401', 'not known')
    refused(start(workshop, 'gpu-6', None, 'seven'), '--token-file')


def revoked(workshop, worker):
    asked = api(workshop, 'POST', '/workers/gpu-1/actions', action='revoke_key')
    assert asked['asked'] is True
    until(lambda: not connected(workshop, 'gpu-1'), 'the end of the link')
    until(lambda: 'The key of gpu-1 was revoked' in worker.text(), 'the worker to hear why')
    assert worker.stop() == 0
    refused(start(workshop, 'gpu-1', None, 'one'), 'was revoked')
    made = make(workshop, worker='gpu-1')
    key = os.path.join(WORK, 'one', 'atelier-worker', 'gpu-1', 'worker.key')
    with open(key) as file:
        before = file.read()
    worker = start(workshop, 'gpu-1', token_file('new.token', made['token']), 'one')
    until(lambda: connected(workshop, 'gpu-1'), 'the worker with a new key')
    with open(key) as file:
        assert file.read() != before, 'a revoked key came again'
    worker.stop()


def by_script(workshop):
    """The line that the API gives; run again with the used token it works, on another machine it does not."""
    made = make(workshop, worker='joined')
    assert made['token'] in made['command'] and made['command'].startswith('curl '), made
    options = ['--name', 'joined', '--comfy', workshop.engine_url]

    def join(folder, state):
        environment = {name: value for name, value in os.environ.items() if not name.startswith('ATELIER_')}
        environment |= {'ATELIER_DIR': folder, 'ATELIER_START': 'nohup', 'HOME': WORK,
                        'XDG_STATE_HOME': os.path.join(WORK, state),
                        'ATELIER_ENROL': made['token']}  # fmt: skip
        done = subprocess.run(
            ['sh', '-s', '--', *options], input=fetch(workshop.url + '/worker/join.sh'), capture_output=True,
            timeout=60, check=False, env=environment, start_new_session=True)  # fmt: skip
        return done.returncode, done.stderr.decode()

    try:
        code, said = join(FOLDER, 'eight')
        assert code == 0, said
        until(lambda: connected(workshop, 'joined'), 'the worker that joined by the script')
        assert not [line for line in command_lines() if made['token'].encode() in line]
        first = pid()
        code, said = join(FOLDER, 'eight')
        assert code == 0 and pid() != first, said
        code, said = join(os.path.join(WORK, 'elsewhere'), 'nine')
        assert code == 1 and 'has been used' in said, said
        assert not os.path.exists(os.path.join(WORK, 'elsewhere', 'atelier-worker'))
        assert connected(workshop, 'joined')
    finally:
        stop_joined()


def no_secret_is_told(workshop, tokens, keys):
    texts = [process.text() for process in workshop.processes]
    texts.append(json.dumps(workshop.journal()))
    for path in glob.glob(os.path.join(workshop.data, 'atelier.db*')):
        with open(path, 'rb') as file:
            texts.append(file.read().decode('latin-1'))
    for secret in tokens + keys:
        assert not [text for text in texts if secret in text], 'a secret was told'


def test(workshops):
    workshop = Workshop('enrolment')
    workshops.append(workshop)
    workshop.serve()
    workshop.engine()
    worker, made, key = enrols_once(workshop)
    with open(key) as file:
        secret = file.read().strip()
    stolen(workshop, made, key)
    revoked(workshop, worker)
    by_script(workshop)
    workshop.server.stop()
    no_secret_is_told(workshop, [made['token']], [secret])
    journal = workshop.journal()
    assert len(events_of(journal, 'enrolment_used')) == 3, events_of(journal, 'enrolment_used')
    assert len(events_of(journal, 'worker_key_revoked')) == 1


if __name__ == '__main__':
    run(test)
