#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""HTTPS with a worker that joins over it, and each seat at a port of its own: the whole interface of ComfyUI
is there on both; tokens open one seat; what is wrong with certificates and ports is said."""

import base64, os, ssl, subprocess, sys, urllib.error, urllib.request
from atelier_processes import BIN, WORK, Workshop, certificate, free_ports, run
from bad_configuration import refused, serve

CONFORMANCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'conformance')
SEATS = 3


def status(url, trusted=None, **headers):
    context = ssl.create_default_context(cafile=trusted) if trusted else None
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def conforms(base):
    done = subprocess.run(
        [sys.executable, 'conform.py', 'check', base, 'comfyui-0.21.0.json', '--insecure'],
        cwd=CONFORMANCE, capture_output=True, text=True, timeout=200, check=False)  # fmt: skip
    assert done.returncode == 0, f'{base}:\n{done.stdout[-4000:]}'


def test(workshops):
    pem, key = certificate('server')
    other_pem, other_key = certificate('other')
    first = free_ports(SEATS + 1)
    https_port = first + SEATS
    workshop = Workshop('https')
    workshops.append(workshop)
    keys = {'SSL_CERT_PATH': pem, 'SSL_KEY_PATH': key, 'HTTPS_PORT': str(https_port)}
    workshop.env.update({**keys, 'SEAT_PORTS': str(first), 'NUM_USERS': str(SEATS)})
    server = workshop.serve()
    https = server.line('https ').rstrip('/')
    assert https == f'https://127.0.0.1:{https_port}', https
    workshop.engine()
    plain, workshop.url = workshop.url, https
    stranger = workshop.worker('stranger')  # trusts the system's authorities only
    assert stranger.child.wait(timeout=20) == 2 and 'certificate' in stranger.text(), stranger.text()
    worker = [os.path.join(BIN, 'atelier-worker'), '--name', 'w1', '--join', https, '--ca-file', pem]
    worker += ['--token-file', os.path.join(workshop.data, 'worker.token'), '--comfy', workshop.engine_url]
    workshop.start('worker', worker)
    workshop.url = plain
    workshop.ready_for_jobs()

    conforms(f'{https}/user/1')
    conforms(f'http://127.0.0.1:{first + 1}')  # seat 2
    assert status(f'https://127.0.0.1:{first + 1}/queue', pem) == 200
    assert status(f'http://127.0.0.1:{https_port}/') == 400  # plain words to a port that speaks TLS

    tokens = workshop.tokens()
    assert len(tokens) == SEATS, tokens
    address = f'http://127.0.0.1:{first + 1}/history'
    basic = base64.b64encode(f'anybody:{tokens[1]}'.encode()).decode()
    assert status(address, Authorization=f'Bearer {tokens[1]}') == 200
    assert status(address, Authorization=f'Basic {basic}') == 200
    assert status(address, Authorization=f'Bearer {tokens[0]}') == 403
    assert status(address, Authorization='Bearer x') == 401

    data = os.path.join(WORK, 'wrong')
    refused(serve(['--data', data, '--ssl-cert-path', pem]), 'SSL_CERT_PATH: needs SSL_KEY_PATH, too')
    refused(serve(['--data', data, '--https-port', '9443']), 'needs SSL_CERT_PATH and SSL_KEY_PATH')
    refused(serve(['--data', data, '--num-users', '10', '--seat-ports', '65530']), 'the highest is 65535')
    given = {'HTTP_PORT': '0', 'HTTPS_PORT': str(https_port), 'SSL_CERT_PATH': pem, 'SSL_KEY_PATH': other_key}
    wrong = serve(['--data', data], {**given, 'SEAT_PORTS': str(first), 'NUM_USERS': '1'})
    refused(wrong, 'is not that of the certificate', f'port {first} on 127.0.0.1 is in use')


if __name__ == '__main__':
    run(test)
