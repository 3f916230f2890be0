#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A worker's own ComfyUI, opened by the instructor on a listener of its own: by a ticket for one use, with
uploads, pictures and the socket of events through it; nobody else comes in, and the participants' address has
none of it."""

import http.client, json, os, ssl, subprocess, urllib.parse
from atelier_processes import BIN, Workshop, certificate, free_ports, run, save_graph, until
from instructor_api import Api
from link_worker import Socket

UPLOAD_BYTES = 20_000_000


class Page:
    """A browser at the second origin: keeps its cookie and says where its requests come from."""

    def __init__(self, url, trusted=None):
        self.url = urllib.parse.urlsplit(url)
        self.origin = f'{self.url.scheme}://{self.url.netloc}'
        self.trusted, self.cookie, self.set_cookie = trusted, None, None

    def call(self, method, target, body=None, expect=200, **headers):
        if self.trusted:
            context = ssl.create_default_context(cafile=self.trusted)
            connection = http.client.HTTPSConnection(self.url.netloc, timeout=60, context=context)
        else:
            connection = http.client.HTTPConnection(self.url.netloc, timeout=60)
        sent = {'Origin': self.origin} if method != 'GET' else {}
        sent |= {'Cookie': self.cookie} if self.cookie else {}
        sent |= {name.replace('_', '-'): value for name, value in headers.items()}
        connection.request(method, target, body, sent)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        assert answer.status == expect, f'{method} {target}: {answer.status} is not {expect}: {data[:300]!r}'
        if answer.headers['Set-Cookie'] and target.startswith('/open'):
            self.set_cookie = answer.headers['Set-Cookie']
            self.cookie = self.set_cookie.split(';')[0]
        return data

    def open(self, expect=200):
        return self.call('GET', f'{self.url.path}?{self.url.query}', expect=expect)

    def json(self, method, target, body=None):
        data = None if body is None else json.dumps(body).encode()
        return json.loads(self.call(method, target, data, Content_Type='application/json'))


def ticket(api, expect=201, worker='w1', slot=0):
    return api.call('POST', '/tickets', {'use': 'engine', 'worker': worker, 'slot': slot}, expect)


def ways_in(workshop, api):
    assert 'no slot 1' in ticket(api, 404, slot=1)['detail']
    ticket(api, 404, worker='nobody')
    ticket(Api(workshop, workshop.tokens()[6]), 403)  # a participant's token
    made = ticket(api)
    page = Page(made['url'])
    assert page.url.netloc != urllib.parse.urlsplit(workshop.url).netloc, made
    assert b'ticket' in page.call('GET', '/', expect=403)  # says how to get in
    page.open()
    assert 'HttpOnly' in page.set_cookie and 'SameSite=Strict' in page.set_cookie, page.set_cookie
    again = Page(made['url'])
    again.open(403)
    again.call('GET', '/system_stats', expect=403)
    made = ticket(api)
    workshop.get(made['path'], expect=404)  # not on the participants' address
    with_cookie = Page(f'{workshop.url}/open')
    with_cookie.cookie = page.cookie
    with_cookie.call('GET', '/system_stats', expect=404)
    workshop.get('/worker/tunnel/' + '0' * 32, expect=401)
    said = workshop.server.text()
    assert said.count('engine_page_opened worker=w1 slot=0 by=instructor') == 1, said
    assert page.cookie.split('=')[1] not in said and page.url.query not in said, said
    return page


def whole_interface(page):
    assert page.json('GET', '/system_stats')['system']['comfyui_version']
    assert 'SaveImage' in page.json('GET', '/object_info')
    page.call('HEAD', '/system_stats')
    page.call('GET', '/there-is-nothing', expect=404)
    data = os.urandom(UPLOAD_BYTES)
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="big.bin"\r\n\r\n' + data
    kind = 'multipart/form-data; boundary=x'
    stored = json.loads(page.call('POST', '/upload/image', form + b'\r\n--x--\r\n', Content_Type=kind))
    assert stored['name'] == 'big.bin', stored
    back = page.call('GET', '/view?filename=big.bin&type=input')
    assert back == data, f'{len(back)} bytes came back'


def prompt_with_events(page):
    port = page.url.port
    path = '/ws?clientId=the-instructor'
    socket = Socket(port, path, {'Cookie': page.cookie, 'Origin': page.origin})
    assert socket.receive()['type'] == 'status'
    body = {'prompt': save_graph(3), 'client_id': 'the-instructor'}
    prompt_id = page.json('POST', '/prompt', body)['prompt_id']
    seen = []
    while 'execution_success' not in seen:
        message = socket.receive()
        if message['data'].get('prompt_id') == prompt_id:
            seen.append(message['type'])
    assert seen[0] == 'execution_start' and 'executed' in seen, seen
    socket.raw.close()
    for headers in ({'Origin': page.origin}, {'Cookie': page.cookie, 'Origin': 'http://evil.example'}):
        try:
            Socket(port, path, headers)
        except ConnectionError as refused:
            assert ' 403 ' in str(refused), refused
        else:
            raise AssertionError(f'a socket with {list(headers)} was opened')


def other_sites(workshop, page):
    before = page.json('GET', '/history')
    body = json.dumps({'prompt': save_graph(4)}).encode()
    for origin in ('http://evil.example', workshop.url, 'null'):
        page.call('POST', '/prompt', body, 403, Origin=origin)
    page.call('POST', '/prompt', body, 403, Sec_Fetch_Site='same-site')
    page.call('GET', '/free', expect=403, Sec_Fetch_Site='cross-site', Sec_Fetch_Mode='navigate')
    assert page.json('GET', '/history').keys() == before.keys()


def over_https(workshops):
    pem, key = certificate('engine-pages')
    port = str(free_ports(1))
    workshop = Workshop('engine-pages-https', SSL_CERT_PATH=pem, SSL_KEY_PATH=key, HTTPS_PORT=port)
    workshops.append(workshop)
    workshop.serve({'ENGINE_PAGES_LISTEN': '127.0.0.1:0'})
    workshop.engine()
    workshop.worker('w1')
    workshop.ready_for_jobs()
    made = ticket(Api(workshop, ''))
    assert made['url'].startswith('https://127.0.0.1:'), made
    page = Page(made['url'], pem)
    page.open()
    assert page.cookie.startswith('__Host-') and page.set_cookie.endswith('; Secure'), page.set_cookie
    assert 'SaveImage' in page.json('GET', '/object_info')
    workshop.server.stop()
    off = workshop.serve()
    assert off.child.poll() is None
    detail = ticket(Api(workshop, ''), 409)['detail']
    assert 'ENGINE_PAGES_LISTEN' in detail, detail


def mistakes(workshop):
    done = subprocess.run(
        [os.path.join(BIN, 'atelier'), 'serve', '--data', workshop.data + '-wrong', '--port', '0'],
        env={**os.environ, 'ENGINE_PAGES_LISTEN': '8190', 'ENGINE_PAGES_URL': 'gpu.example'},
        capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 2, done
    assert 'ENGINE_PAGES_LISTEN: "8190"' in done.stderr, done.stderr
    assert 'ENGINE_PAGES_URL: "gpu.example"' in done.stderr, done.stderr


def test(workshops):
    workshop = Workshop('engine-pages', ENGINE_PAGES_LISTEN='127.0.0.1:0')
    workshops.append(workshop)
    workshop.serve()
    workshop.engine()
    worker = workshop.worker('w1')
    workshop.ready_for_jobs()
    tokens = [os.path.join(BIN, 'atelier'), 'tokens', '--instructor', '--data', workshop.data]
    token = subprocess.run(tokens, capture_output=True, text=True, check=True).stdout.strip()
    api = Api(workshop, token)
    page = ways_in(workshop, api)
    whole_interface(page)
    prompt_with_events(page)
    other_sites(workshop, page)
    workshop.submit(1, 'as-ever')
    assert workshop.wait_history(1, 'as-ever')['status']['status_str'] == 'success'
    worker.kill()
    until(lambda: api.call('GET', '/workers')['workers'][0]['connected'] is False, 'the end of the link')
    assert b'not connected' in page.call('GET', '/system_stats', expect=502)
    ticket(api, 409)
    workshop.worker('w1')
    until(lambda: api.call('GET', '/workers')['workers'][0]['connected'], 'the next link')
    page.json('GET', '/system_stats')  # the session goes on
    mistakes(workshop)
    over_https(workshops)


if __name__ == '__main__':
    run(test)
