#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Wrong configuration ends before binding: a sentence per mistake on standard error, exit code 2."""

import os, socket, subprocess
from atelier_processes import BIN, WORK, Workshop, run


def serve(arguments, env=None, cwd=WORK, command='serve'):
    return subprocess.run(
        [os.path.join(BIN, 'atelier'), command, *arguments],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=20,
        stdin=subprocess.DEVNULL,
    )


def refused(done, *sentences):
    assert done.returncode == 2, (done.returncode, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == len(sentences), lines
    for sentence in sentences:
        assert any(sentence in line for line in lines), (sentence, lines)
    assert 'ready' not in done.stdout


def test(workshops):
    data = os.path.join(WORK, 'bad-config')
    refused(serve(['--data', data, '--num-user', '3']), 'did you mean --num-users?')
    refused(
        serve(['--data', data, '--num-users', 'many', '--lease-ttl', '1s']),
        '"many" is not a whole number',
        'LEASE_TTL: "1s" is below the minimum "5s"',
    )
    folder = os.path.join(WORK, 'with-env')
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, '.env'), 'w') as file:
        file.write('NUM_USERS=20\nHTTP_PROT=80\n')
    refused(serve(['--data', data], cwd=folder), '.env:2: HTTP_PROT is not a key; did you mean HTTP_PORT?')

    wrong = {
        'ENGINE_PAGES_LISTEN': 'localhost',
        'ENGINE_PAGES_URL': 'gpu.example.org',
        'SSL_CERT_PATH': os.path.join(WORK, 'none.pem'),
        'SSL_KEY_PATH': os.path.join(WORK, 'none.key'),
    }
    for command in ('serve', 'check-config'):
        refused(
            serve(['--data', data, '--port', '0'], wrong, command=command),
            'ENGINE_PAGES_LISTEN: "localhost" is not an address and a port',
            'ENGINE_PAGES_URL: "gpu.example.org" is not a scheme',
            'none.pem',
        )

    taken = socket.socket()
    taken.bind(('127.0.0.1', 0))
    taken.listen()
    refused(serve(['--data', data, '--port', str(taken.getsockname()[1])]), 'port')
    taken.close()

    blocked = os.path.join(WORK, 'a-file')
    open(blocked, 'w').close()
    refused(serve(['--data', os.path.join(blocked, 'data'), '--port', '0']), 'a-file')

    workshop = Workshop('second-server')
    workshops.append(workshop)
    workshop.serve()
    refused(serve(['--data', workshop.data, '--port', '0']), 'second-server')


if __name__ == '__main__':
    run(test)
