#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One line makes a machine a worker: the script that the server offers fetches the worker, checks it, starts
it and says whether it joined. Run again, it takes the place of the former one. No secret stands in the
script or on a command line."""

import glob, os, signal, stat, subprocess, urllib.request
from atelier_processes import BIN, WORK, Workshop, run, until

FOLDER = os.path.join(WORK, "installed 'here'")


def fetch(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


def join(workshop, token, *options, script=None, **env):
    environment = {name: value for name, value in os.environ.items() if not name.startswith('ATELIER_')}
    environment |= {'ATELIER_DIR': FOLDER, 'ATELIER_START': 'nohup', 'HOME': WORK, **env}
    if token:
        environment['ATELIER_ENROL'] = token
    done = subprocess.run(
        ['sh', '-s', '--', *options], input=script or fetch(workshop.url + '/worker/join.sh'),
        capture_output=True, timeout=60, check=False, env=environment, start_new_session=True)  # fmt: skip
    return done.returncode, done.stderr.decode()


def command_lines():
    lines = []
    for path in glob.glob('/proc/[0-9]*/cmdline'):
        try:
            with open(path, 'rb') as file:
                lines.append(file.read())
        except OSError:
            pass  # it has ended
    return lines


def pid():
    with open(os.path.join(FOLDER, 'worker.pid')) as file:
        return int(file.read())


def connected(workshop):
    return [worker['worker'] for worker in workshop.get('/api/v1/workers')['workers'] if worker['connected']]


def stop():
    """The installed worker, which is nobody's child."""
    try:
        os.kill(pid(), signal.SIGKILL)
    except (OSError, ValueError):
        pass


def test(workshops):
    workshop = Workshop('join-script')
    workshops.append(workshop)
    workshop.serve()
    workshop.engine()
    with open(os.path.join(workshop.data, 'worker.token')) as file:
        token = file.read().strip()
    script = fetch(workshop.url + '/worker/join.sh')
    assert token.encode() not in script
    assert workshop.request('POST', '/worker/join.sh', b'', 405)
    try:
        options = ('--name', 'joined', '--comfy', workshop.engine_url)
        code, said = join(workshop, token, *options)
        assert code == 0 and f'joined {workshop.url}' in said, said
        until(lambda: connected(workshop) == ['joined'], 'the worker')
        workshop.ready_for_jobs()
        workshop.submit(3, 'by-joined')
        assert workshop.wait_history(3, 'by-joined')['status']['status_str'] == 'success'
        assert not [line for line in command_lines() if token.encode() in line]
        mode = os.stat(os.path.join(FOLDER, 'worker.token')).st_mode
        assert stat.S_IMODE(mode) == 0o600, oct(mode)

        first = pid()
        code, said = join(workshop, token, '--name', 'renamed', '--comfy', workshop.engine_url)
        assert code == 0 and pid() != first, said
        until(lambda: connected(workshop) == ['renamed'], 'the second worker alone')

        code, said = join(workshop, 'wrong-token', *options)
        assert code == 1 and '401' in said and 'worker.token' in said, said
        assert connected(workshop) == ['renamed'], 'a wrong token must not stop the worker that runs'
        runs = pid()
        for wrong in ('--bogus', '--help'):
            code, said = join(workshop, token, *options, wrong)
            assert code == 1 and wrong in said and pid() == runs, said
        code, said = join(workshop, '', *options)
        assert code == 1 and 'ATELIER_ENROL' in said, said
        digest = next(line for line in script.splitlines() if line.startswith(b'digest='))
        changed = script.replace(digest, b"digest='" + b'0' * 64 + b"'")
        code, said = join(workshop, token, *options, script=changed)
        assert code == 1 and 'is not the worker that it offers' in said, said
        for length in (len(script) // 2, *range(len(script) - 20, len(script) - 1)):
            code, said = join(workshop, token, *options, script=script[:length])
            assert 'atelier:' not in said and pid() == runs, (script[:length][-40:], said)
        code, said = join(workshop, token, *options, script=script.replace(b"machine='", b"machine='un"))
        assert code == 1 and 'is for un' in said, said
        if answers('http://127.0.0.1:8188/system_stats'):
            print('left out: a ComfyUI runs at port 8188 of this machine')
        else:
            found_comfyui(workshop, token)
    finally:
        stop()


def found_comfyui(workshop, token):
    """The ComfyUI that the worker has found and started is no other one when the script runs again."""
    home = os.path.join(WORK, 'home')
    os.makedirs(os.path.join(home, 'ComfyUI'))
    with open(os.path.join(home, 'ComfyUI', 'main.py'), 'w') as file:
        program = os.path.join(BIN, 'atelier-rehearsal')
        file.write(f'import os, sys\nos.execv({program!r}, [{program!r}, *sys.argv[1:]])\n')
    place = os.path.join(home, 'ComfyUI')
    for _ in range(2):
        options = ('--name', 'finds', '--comfy-dir', place, '--log-dir', home)
        code, said = join(workshop, token, *options, HOME=home)
        assert code == 0, said
        with open(os.path.join(FOLDER, 'start.sh')) as file:
            assert '--launch' in file.read(), said
        # Its own ComfyUI, so that the next run of the script finds it.
        until(lambda: answers('http://127.0.0.1:8188/system_stats'), 'the ComfyUI')


def answers(url):
    try:
        return bool(fetch(url))
    except OSError:
        return False


if __name__ == '__main__':
    run(test)
