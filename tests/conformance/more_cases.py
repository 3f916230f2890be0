# SPDX-License-Identifier: MIT
# More than 600 lines: one table of cases, which is read by looking up a name in it.
"""More cases, in the form of cases.py: every route with good and bad input, and the answers that the
interface has rather than those that one client needs. Recorded and checked like the others, with --cases.

engine/* tell of the engine behind the server: they need one that keeps results from run to run. Everything is
meant for a fresh data folder: numbers in file names and the history count from the beginning."""
import json

from cases import GRADIENT, RGBA, DONE, HISTORY, OPEN, empty, png, prompt, upload

GREEN = png(48, 32, lambda x, y: (0, 200, y * 4))
RGBA48 = png(48, 32, lambda x, y: (255, 255, 255, x * 5), 4)
SMALL = png(8, 8, lambda x, y: (255, 255, 255, x * 30), 4)
GREY = png(6, 4, lambda x, y: (x * 40, ), 1)
HTML = b'<html><script>1</script></html>'
TEXT = bytes(range(32, 127)) * 10
UNKNOWN = '11111111-2222-3333-4444-555555555555'
EMPTY400 = {'compare': 'status', 'also': [400]}  # ComfyUI says 500 where a clear 400 is better


def multipart(path, *parts, **kw):
    """A form whose bytes are exactly these: part = (name, filename or None, type or None, bytes)."""
    body = b''
    for name, filename, kind, data in parts:
        body += b'--CoNfOrM\r\nContent-Disposition: form-data; name="' + name.encode() + b'"'
        if filename is not None:
            body += b'; filename="' + (filename if isinstance(filename, bytes) else filename.encode()) + b'"'
        if kind: body += b'\r\nContent-Type: ' + kind.encode()
        body += b'\r\n\r\n' + (data if isinstance(data, bytes) else data.encode()) + b'\r\n'
    return {
        'method': 'POST', 'path': path, 'raw': body + b'--CoNfOrM--\r\n',
        'request_headers': {'Content-Type': 'multipart/form-data; boundary=CoNfOrM'}, **kw
    }


def image(name, data=GRADIENT, *more, path='/upload/image', kind='image/png', **kw):
    return multipart(path, ('image', name, kind, data), *[(k, None, None, v) for k, v in more], **kw)


def put(name, data=GRADIENT, *more, **kw):
    return image(name, data, ('overwrite', 'true'), *more, compare='free', **kw)


def mask(name, ref, data=RGBA48, *more, **kw):
    text = ref if isinstance(ref, str) else json.dumps(ref)
    return image(name, data, ('original_ref', text), ('overwrite', 'true'), *more, path='/upload/mask', **kw)


def view(query, **kw):
    return {'path': '/view?' + query, **kw}


def post(path, body=None, **kw):
    return {'method': 'POST', 'path': path, **({'json': body} if 'raw' not in kw else {}), **kw}


def get(path, how='exact', **kw):
    return {'path': path, 'compare': how, **kw}


def node(kind, **inputs):
    return {'class_type': kind, 'inputs': inputs}


def empty_image(color=255, w=16, h=16, n=1):
    return node('EmptyImage', width=w, height=h, batch_size=n, color=color)


def save(link, prefix='more'):
    return node('SaveImage', images=link, filename_prefix=prefix)


def scaled(**inputs):
    """An image of one colour, scaled, saved: `inputs` change what ImageScale gets."""
    base = {'image': ['1', 0], 'upscale_method': 'nearest-exact', 'width': 8, 'height': 8, 'crop': 'disabled'}
    base.update(inputs)
    return {
        '1': empty_image(), '2': node('ImageScale', **{k: v
                                                       for k, v in base.items()
                                                       if v is not None}), '3': save(['2', 0])
    }


def bad(graph, **kw):
    """A prompt that is refused; the same comparison whatever it is."""
    return [OPEN, {**prompt(graph), **kw}]


def stored(graph, pick, **extra):
    """Runs a prompt and looks at the prompt as it is kept."""
    return [
        OPEN, {**prompt(graph, **extra), 'compare': 'shape'}, {**DONE, 'types_only': True, 'compare': 'free'},
        {**HISTORY, 'compare': 'exact', 'pick': '${prompt_id}/' + pick}
    ]


def sends(body, **kw):
    return [{'method': 'POST', 'path': '/prompt', 'json': body, **kw}]


IDLE = {'do': 'poll', 'path': '/prompt', 'at': 'exec_info/queue_remaining', 'equals': 0, 'compare': 'status'}


def slow(colour, saves=24):
    """Seconds of work for a server without a GPU: many large pictures."""
    graph = {}
    for i in range(saves):
        graph[f'{i}e'] = empty_image((colour * 1000 + i) % 16777215, 2048, 2048)
        graph[f'{i}s'] = save([f'{i}e', 0], 'more_slow')
    return graph


def busy(colour):
    """A prompt that keeps the server busy while the others of the case wait."""
    return {**prompt(slow(colour)), 'save': {'busy': 'prompt_id'}, 'compare': 'free'}


def waits(colour, name, **extra):
    return {**prompt(empty(colour), **extra), 'save': {name: 'prompt_id'}, 'compare': 'shape'}


RUNNING = {'do': 'poll', 'path': '/queue', 'at': 'queue_running', 'compare': 'status'}
STOP = [post('/queue', {'clear': True}, compare='free'), post('/interrupt', {}, compare='free'), IDLE]

FAILING = {'1': empty_image(9), '2': save(['1', 0], '../../outside')}
ERROR = {'do': 'ws_until', 'until': 'execution_error', 'types_only': True, 'compare': 'free'}
EVENTS = [
    'execution_start', 'execution_cached', 'executing', 'executed', 'execution_success', 'execution_error',
    'execution_interrupted'
]

CASES = {}

# --- routes and methods ---
for path in [
        '/prompt', '/queue', '/history', '/history/' + UNKNOWN, '/object_info', '/object_info/SaveImage',
        '/embeddings', '/models', '/models/loras', '/extensions', '/system_stats', '/features', '/settings',
        '/settings/x', '/users', '/i18n', '/workflow_templates', '/global_subgraphs', '/node_replacements',
        '/experiment/models', '/userdata?dir=workflows', '/v2/userdata', '/api/jobs', '/internal/logs',
        '/internal/logs/raw', '/internal/folder_paths', '/internal/files/input', '/'
]:
    name = path.split('?')[0].strip('/').replace('/', '-') or 'root'
    CASES['head/' + name] = [{
        'method': 'HEAD', 'path': path, 'compare': 'status',
        'headers': ['Content-Type'] if path != '/' else []
    }]
for path in ['/prompt', '/upload/image', '/api/jobs', '/nothing/here', '/', '/userdata/x', '/ws']:
    CASES['options' + path.replace('/', '-')] = [{'method': 'OPTIONS', 'path': path, 'compare': 'bytes'}]
for method, path in [('PUT', '/prompt'), ('DELETE', '/prompt'), ('GET', '/upload/image'),
                     ('GET', '/upload/mask'), ('GET', '/interrupt'), ('GET', '/free'), ('POST', '/view'),
                     ('DELETE', '/history'), ('PUT', '/queue'), ('PATCH', '/settings'),
                     ('DELETE', '/settings/x'), ('PUT', '/userdata/x'), ('POST', '/v2/userdata'),
                     ('POST', '/system_stats'), ('POST', '/object_info'), ('POST', '/api/jobs'),
                     ('DELETE', '/api/jobs/x'), ('POST', '/internal/logs'),
                     ('GET', '/internal/logs/subscribe'), ('POST', '/nothing/here'), ('PUT', '/nothing'),
                     ('GET', '/userdata/a/move/b'), ('POST', '/')]:
    # in ComfyUI the tree of static files has the last word: 405 for POST to nowhere, 404 for GET of what is
    # only posted
    CASES[f'method/{method}{path.replace("/", "-")}'] = [{
        'method': method, 'path': path, 'compare': 'status', 'also': [404, 405]
    }]
CASES['method/allow-header'] = [{
    'method': 'PUT', 'path': '/system_stats', 'compare': 'status', 'headers': ['Allow']
}]
for path in [
        '/nothing', '/nothing/here', '/api/nothing', '/prompt/', '/api/', '/api', '//prompt', '/queue/',
        '/internal', '/internal/nothing', '/api/internal/logs', '/jobs', '/jobs/' + UNKNOWN,
        '/assets/none.js', '/extensions/none/x.js', '/templates/none.json', '/docs/None/en.md', '/user.css',
        '/api/userdata/user.css', '/api/user.css', '/models/', '/view/', '/history/', '/scripts/none.js',
        '/api/workflow_templates/none/x.json', '/view_metadata/loras',
        '/view_metadata/loras?filename=x.safetensors', '/view_metadata/loras?filename=x.ckpt',
        '/view_metadata/none?filename=x.safetensors', '/experiment/models/nonsense',
        '/experiment/models/loras', '/experiment/models/configs',
        '/experiment/models/preview/loras/0/x.safetensors', '/experiment/models/preview/none/0/x',
        '/models/unet', '/models/clip', '/models/configs', '/models/custom_nodes', '/models/diffusion_models',
        '/experiment/models/custom_nodes', '/global_subgraphs/none', '/ws', '/api/ws'
]:
    CASES['status' + path.replace('/', '-')] = [get(path, 'status')]
CASES['status-api-'][0]['also'] = [404]  # ComfyUI's index page under /api/ is an accident
CASES['status-user.css'][0]['also'] = [200]  # hides the button that logs in to another host
CASES['route/api-api-jobs'] = [get('/api/api/jobs', 'keys', also=[404])]  # an accident as well
CASES['route/jobs-cancel-unknown'] = [  # the cancel routes are newer than 0.21.0: answered as 0.38 does
    post(f'/api/jobs/{UNKNOWN}/cancel', compare='status', also=[200]),
    post('/api/jobs/cancel', {'job_ids': []}, compare='status', also=[200]),
    post('/api/jobs/cancel', {'job_ids': 'x'}, compare='status', also=[400])
]
CASES['route/users-post'] = [  # there is one user per prefix: no other can be made
    post('/users', {'username': 'x'}, compare='status', also=[400, 404, 405]),
    post('/users', {'username': ''}, compare='status', also=[404, 405])
]
for path in [
        '/prompt', '/queue', '/history', '/embeddings', '/models', '/extensions', '/settings', '/users',
        '/i18n', '/workflow_templates', '/global_subgraphs', '/global_subgraphs/none', '/node_replacements',
        '/features', '/system_stats', '/internal/logs', '/internal/logs/raw', '/internal/folder_paths',
        '/internal/files/output', '/internal/files/temp', '/internal/files/nonsense', '/experiment/models',
        '/object_info/EmptyImage', '/object_info/None', '/settings/none', '/history/none', '/api/jobs',
        '/api/jobs/none', '/view', '/userdata'
]:
    CASES['type' + path.replace('/', '-')] = [get(path, 'status', headers=['Content-Type'])]
CASES['type-internal-files-output'][0]['also'] = [200]  # ComfyUI has not made that folder yet
CASES['route/models'] = [get('/models')]
CASES['route/experiment-models-names'] = [
    get('/experiment/models', 'shape'),
    get('/experiment/models', pick='0/name')
]
CASES['route/features'] = [
    get('/features', 'keys'),
    get('/features', pick='extension'),
    get('/features', pick='supports_preview_metadata'),
    get('/features', pick='node_replacements')
]
CASES['route/system-stats'] = [
    get('/system_stats', 'keys', pick='system'),
    get('/system_stats', 'keys', pick='devices/0')
]
CASES['route/subgraph-unknown'] = [get('/global_subgraphs/none'),
                                   get('/global_subgraphs', 'status')]  # none is offered here
CASES['route/logs'] = [
    get('/internal/logs', 'shape'),
    get('/internal/logs/raw', 'keys'), {
        'method': 'PATCH', 'path': '/internal/logs/subscribe', 'json': {'clientId': 'x', 'enabled': False},
        'compare': 'bytes'
    }, {
        'method': 'PATCH', 'path': '/internal/logs/subscribe', 'json': {'clientId': 'x'},
        **EMPTY400, 'also': [200, 400]
    }
]
for kind in [
        'EmptyImage', 'SaveImage', 'PreviewImage', 'LoadImage', 'ImageScale', 'ImageInvert', 'ImageCrop',
        'ImageBatch', 'SolidMask', 'MaskToImage', 'InvertMask'
]:
    CASES['object_info/' +
          kind] = [get('/object_info/' + kind, 'keys'),
                   get('/object_info/' + kind, 'keys', pick=kind)]
    for part in [
            'input_order', 'output', 'output_name', 'output_is_list', 'output_node', 'is_input_list', 'name',
            'python_module', 'category', 'has_intermediate_output', 'deprecated', 'experimental', 'api_node'
    ]:
        CASES['object_info/' + kind].append(get('/object_info/' + kind, pick=f'{kind}/{part}'))
    if kind != 'LoadImage':
        CASES['object_info/' + kind].append(get('/object_info/' + kind, pick=f'{kind}/input'))
CASES['object_info/LoadImage-lists-uploads'] = [
    put('more_listed.png'),
    get('/object_info/LoadImage', 'shape', pick='LoadImage/input'),
    get('/object_info/LoadImage', pick='LoadImage/input/required/image/1')
]
CASES['object_info/odd-names'] = [
    get('/object_info/%20'),
    get('/object_info/a%2Fb'),
    get('/object_info/emptyimage'),
    get('/object_info/', 'status')
]

# --- upload ---
CASES['upload/dedup'] = [
    image('more_dup.png', GRADIENT, ('overwrite', 'true')),
    image('more_dup.png', GRADIENT),
    image('more_dup.png', GREEN),
    image('more_dup.png', GREEN),
    image('more_dup.png', RGBA),
    image('more_dup.png', GRADIENT),
    view('filename=more_dup.png&type=input', compare='bytes'),
    view('filename=more_dup%20(1).png&type=input', compare='bytes'),
    view('filename=more_dup%20(2).png&type=input', compare='bytes'),
    view('filename=more_dup%20(3).png&type=input', compare='status')
]
CASES['upload/overwrite-forms'] = [
    put('more_ow.png', GRADIENT),
    image('more_ow.png', GREEN, ('overwrite', '1')),
    view('filename=more_ow.png&type=input', compare='bytes'),
    image('more_ow.png', GRADIENT, ('overwrite', 'true')),
    view('filename=more_ow.png&type=input', compare='bytes'),
    image('more_ow.png', GREEN, ('overwrite', 'True')),
    image('more_ow.png', GREEN, ('overwrite', 'yes')),
    image('more_ow.png', GREEN, ('overwrite', '')),
    image('more_ow.png', GREEN, ('overwrite', 'false')),
    view('filename=more_ow.png&type=input', compare='bytes')
]
CASES['upload/no-extension'] = [
    put('more_bare', TEXT),
    image('more_bare', GREEN),
    image('.more_dot', TEXT, ('overwrite', '1')),
    image('.more_dot', GREEN),
    image('more.tar.gz', TEXT, ('overwrite', '1')),
    image('more.tar.gz', GREEN),
    image('more_end.', TEXT, ('overwrite', '1'), also=[400]),
    image('more_end.', GREEN, also=[400])
]  # no dot at the end
CASES['upload/types'] = [
    image('more_t.png', GRADIENT, ('type', t), ('overwrite', '1')) for t in ('input', 'output', 'temp')
] + [view(f'filename=more_t.png&type={t}', compare='bytes')
     for t in ('input', 'output', 'temp')] + [view('filename=more_t.png', compare='bytes')]
CASES['upload/type-odd'] = [
    image('more_x.png', GRADIENT, ('type', t), **EMPTY400)
    for t in ('', 'Input', 'models', '../input', 'nonsense')
]
# a folder that has to be tidied first ("a//b", "./a", "a/..", a space at an end) is refused here
CASES['upload/subfolders'] = [
    image('more_s.png',
          GRADIENT, ('subfolder', s), ('overwrite', '1'),
          also=[] if s in ('', 'more', 'more/deep', 'more/deep/') else [400])
    for s in ('', 'more', 'more/deep', 'more/deep/', './more', 'more//deep', 'more/./deep', 'more/deep/..',
              'with space', 'été/日本', 'more%2Fdeep', '.hidden', ' ')
] + [
    view('filename=more_s.png&type=input&subfolder=more%2Fdeep', compare='bytes'),
    view('filename=more_s.png&type=input&subfolder=more', compare='bytes'),
    view('filename=more_s.png&type=input&subfolder=%C3%A9t%C3%A9%2F%E6%97%A5%E6%9C%AC', compare='bytes'),
    view('filename=more_s.png&type=input&subfolder=with%20space', compare='bytes'),
    view('filename=more_s.png&type=input&subfolder=more%252Fdeep', compare='bytes')
]
CASES['upload/subfolder-dedup'] = [
    put('more_sd.png', GRADIENT, ('subfolder', 'more')),
    image('more_sd.png', GREEN, ('subfolder', 'more')),
    image('more_sd.png', GRADIENT, ('subfolder', 'more'))
]
CASES['upload/subfolder-escape'] = [
    image('more_e.png', GRADIENT, ('subfolder', s), compare='bytes')
    for s in ('..', '../..', '/tmp', 'a/../../..', '../input2', '/')
]
CASES['upload/name-escape'] = [
    image(n, GRADIENT, compare='bytes', also=[400])
    for n in ('../more_e.png', '../../more_e.png', '/tmp/more_e.png', 'a/../../more_e.png')
]
CASES['upload/name-with-folder'] = [
    put('more_f.png', GRADIENT, ('subfolder', 'more')),
    image('more/more_f.png', GRADIENT, ('overwrite', '1'), compare='status', also=[400]),
    image('./more_f2.png', GRADIENT, ('overwrite', '1'), compare='status', also=[400])
]
CASES['upload/name-dots'] = [
    image(n, GRADIENT, compare='status', also=[400]) for n in ('.', '..', '...', 'a..b.png')
] + [
    image('more_a..b.png', GRADIENT, ('overwrite', '1')),
    view('filename=more_a..b.png&type=input', compare='status')
]
CASES['upload/names'] = [
    image(n, GRADIENT, ('overwrite', '1'))
    for n in ('more space.png', 'more_été.png', 'more_日本語.png', 'more_\U0001f600.png', "more_'quote'.png",
              'more_[1].png', 'more_{x}.png', 'more_a&b=c.png', 'more_100%.png', 'more_%41.png',
              'more_#hash.png', 'more_;semi.png', 'more_,comma.png', 'more_$d.png', 'more_~t.png',
              'more_+p.png', 'more_UPPER.PNG', 'more (1).png', '-more.png', 'more_@.png', 'more_!.png',
              'more_=.png', 'more_^.png', '~more.png')
] + [
    view('filename=more%20space.png&type=input', compare='bytes'),
    view('filename=more+space.png&type=input', compare='bytes'),
    view('filename=more_%C3%A9t%C3%A9.png&type=input', compare='bytes'),
    view('filename=more_%E6%97%A5%E6%9C%AC%E8%AA%9E.png&type=input', compare='bytes'),
    view('filename=more_%F0%9F%98%80.png&type=input', compare='bytes'),
    view('filename=more_%27quote%27.png&type=input', compare='bytes'),
    view('filename=more_%5B1%5D.png&type=input', compare='bytes'),
    view('filename=more_a%26b%3Dc.png&type=input', compare='bytes'),
    view('filename=more_100%25.png&type=input', compare='bytes'),
    view('filename=more_%2541.png&type=input', compare='bytes'),
    view('filename=more_%23hash.png&type=input', compare='bytes'),
    view('filename=more_%2Bp.png&type=input', compare='bytes')
]
CASES['upload/names-awkward'] = [
    image(n, GRADIENT, ('overwrite', '1'), compare='status', also=[400])
    for n in ('more_a:b.png', 'more_a*b.png', 'more_a?b.png', 'more_a<b>.png', 'more_a|b.png',
              'more\\back.png', 'more_tab\tx.png', ' more_lead.png', 'more_trail ', 'more_trail.png ')
]
CASES['upload/name-decomposed'] = [
    image('more_e\u0301.png', GRADIENT, ('overwrite', '1'), compare='status'),
    view('filename=more_e%CC%81.png&type=input', compare='bytes')
]
CASES['upload/name-long'] = [
    image('m' * n + '.png', GRADIENT, ('overwrite', '1'), compare='status', also=[400])
    for n in (200, 251, 252, 300)
]
CASES['upload/name-odd-bytes'] = [
    image(b'more_\xff\xfe.png', GRADIENT, ('overwrite', '1'), compare='status', also=[400]),
    image(b'more_%22q%22.png', GRADIENT, ('overwrite', '1')),
    image('more_a\\"b.png', GRADIENT, ('overwrite', '1'), compare='status', also=[400])
]
CASES['upload/content-kinds'] = [
    image(n, d, ('overwrite', '1'), kind=k)
    for n, d, k in (('more.txt', TEXT, 'text/plain'), ('more.json', b'{"a":1}', 'application/json'),
                    ('more.mp4', TEXT, 'video/mp4'), ('more.glb', TEXT, None),
                    ('more.html', HTML, 'text/html'), ('more_empty.png', b'', 'image/png'))
]
CASES['upload/parts-missing'] = [
    multipart('/upload/image', ('other', 'x.png', 'image/png', GRADIENT), compare='bytes'),
    multipart('/upload/image', ('image', None, None, 'text'), **EMPTY400),
    multipart('/upload/image', ('image', '', 'image/png', GRADIENT), compare='status', also=[400]),
    multipart('/upload/image', compare='status'),
    multipart('/upload/image', ('type', None, None, 'input'), compare='status')
]
CASES['upload/parts-order'] = [
    multipart('/upload/image', ('overwrite', None, None, '1'), ('subfolder', None, None, 'more'),
              ('type', None, None, 'input'), ('image', 'more_o.png', 'image/png', GREEN)),
    multipart('/upload/image', ('image', 'more_o1.png', 'image/png', GREEN),
              ('image', 'more_o2.png', 'image/png', GRADIENT), ('overwrite', None, None, '1')),
    multipart('/upload/image', ('image', 'more_o3.png', None, GREEN), ('overwrite', None, None, 'false'),
              ('overwrite', None, None, 'true')),
    multipart('/upload/image', ('extra', None, None, 'x'), ('image', 'more_o4.png', 'image/png', GREEN),
              ('overwrite', None, None, 'true'), ('rand', 'r.bin', None, TEXT))
]
CASES['upload/not-a-form'] = [
    post('/upload/image', {'image': 'x'}, **EMPTY400),
    post('/upload/image', raw='', **EMPTY400),
    post('/upload/image',
         raw='image=x',
         request_headers={'Content-Type': 'application/x-www-form-urlencoded'},
         **EMPTY400),
    post('/upload/image', raw='xx', request_headers={'Content-Type': 'multipart/form-data'}, **EMPTY400),
    post('/upload/image',
         raw='--b\r\nbroken',
         request_headers={'Content-Type': 'multipart/form-data; boundary=b'},
         **EMPTY400)
]
CASES['upload/api-prefix'] = [image('more_api.png', GRADIENT, ('overwrite', '1'), path='/api/upload/image')]
CASES['upload/answer-type'] = [image('more_ct.png', GRADIENT, ('overwrite', '1'), headers=['Content-Type'])]

# --- masks ---
ORIGINAL = png(48, 32, lambda x, y: (x * 5, y * 7, 9))
CASES['mask/input'] = [
    put('more_mo.png', ORIGINAL),
    mask('more_m1.png', {'filename': 'more_mo.png', 'type': 'input'}),
    view('filename=more_m1.png&type=input', compare='pixels')
]
CASES['mask/annotated'] = [
    put('more_mo.png', ORIGINAL),
    mask('more_m2.png', {'filename': 'more_mo.png [input]'}),
    view('filename=more_m2.png&type=input', compare='pixels'),
    mask('more_m3.png', {'filename': 'more_mo.png [input]', 'type': 'output'}),
    view('filename=more_m3.png&type=input', compare='pixels')
]
CASES['mask/default-type-is-output'] = [
    put('more_mo_out.png', ORIGINAL, ('type', 'output')),
    mask('more_m4.png', {'filename': 'more_mo_out.png'}),
    view('filename=more_m4.png&type=input', compare='pixels')
]
CASES['mask/subfolder'] = [
    put('more_mo.png', ORIGINAL, ('subfolder', 'clip')),
    mask('more_m5.png', {'filename': 'more_mo.png', 'type': 'input', 'subfolder': 'clip'}, RGBA48,
         ('subfolder', 'clipspace'), ('type', 'input')),
    view('filename=more_m5.png&type=input&subfolder=clipspace', compare='pixels')
]
CASES['mask/original-with-alpha'] = [
    put('more_mo_rgba.png', RGBA48),
    mask('more_m6.png', {'filename': 'more_mo_rgba.png', 'type': 'input'},
         png(48, 32, lambda x, y: (1, 2, 3, y * 7), 4)),
    view('filename=more_m6.png&type=input', compare='pixels')
]
CASES['mask/without-alpha'] = [
    put('more_mo.png', ORIGINAL),
    mask('more_m7.png', {'filename': 'more_mo.png', 'type': 'input'}, GREEN),
    view('filename=more_m7.png&type=input', compare='pixels')
]
CASES['mask/grey-original'] = [
    put('more_mo_grey.png', GREY),
    mask('more_m8.png', {'filename': 'more_mo_grey.png', 'type': 'input'},
         png(6, 4, lambda x, y: (0, 0, 0, x * 40), 4)),
    view('filename=more_m8.png&type=input', compare='pixels')
]
CASES['mask/other-size'] = [
    put('more_mo.png', ORIGINAL),
    mask('more_m9.png', {'filename': 'more_mo.png', 'type': 'input'}, SMALL, **EMPTY400)
]
CASES['mask/missing-original'] = [
    mask('more_m10.png', {'filename': 'more_never.png', 'type': 'input'}),
    view('filename=more_m10.png&type=input', compare='status')
]
CASES['mask/keeps-text'] = [
    OPEN,
    prompt(empty(77, 48, 32, 'more_masked')), {**DONE, 'types_only': True, 'compare': 'free'}, {
        **HISTORY, 'save': {'made': '${prompt_id}'}, 'pick': '${prompt_id}/outputs/2/images/0/type',
        'compare': 'exact'
    },
    mask('more_m11.png', {'filename': 'more_masked_00001_.png', 'type': 'output'}),
    view('filename=more_m11.png&type=input', compare='pixels')
]
CASES['mask/bad-names'] = [
    mask('more_mb.png', {'filename': n, 'type': 'input'}, compare='status',
         also=[400])  # ComfyUI's 400 is lost: 200 with the name
    for n in ('../x.png', '/etc/passwd', '', 'a..b.png')
]
CASES['mask/bad-refs'] = [
    mask('more_mc.png', r, **EMPTY400)
    for r in ('', '{', '[]', '"x"', '{}', 'null', '{"filename":7}', '{"filename":null}')
]
CASES['mask/bad-type'] = [
    mask('more_md.png', {'filename': 'more_mo.png', 'type': 'nonsense'}, compare='status', also=[400])
]
CASES['mask/subfolder-escape'] = [
    mask('more_me.png', {'filename': 'more_mo.png', 'type': 'input', 'subfolder': s},
         compare='status',
         also=[400, 403]) for s in ('..', '../..', '/tmp')
]
CASES['mask/no-ref'] = [image('more_mf.png', RGBA48, path='/upload/mask', **EMPTY400)]
CASES['mask/no-image'] = [
    multipart('/upload/mask', ('original_ref', None, None, '{"filename":"more_mo.png","type":"input"}'),
              compare='bytes')
]
CASES['mask/name-escape'] = [
    mask('../more_mg.png', {'filename': 'more_mo.png', 'type': 'input'}, compare='bytes'),
    mask('more_mg.png', {'filename': 'more_mo.png', 'type': 'input'},
         RGBA48, ('subfolder', '../..'),
         compare='bytes')
]
CASES['mask/not-a-picture'] = [
    put('more_mo.png', ORIGINAL),
    mask('more_mh.png', {'filename': 'more_mo.png', 'type': 'input'}, TEXT, **EMPTY400),
    put('more_mo.txt', TEXT),
    mask('more_mi.png', {'filename': 'more_mo.txt', 'type': 'input'}, **EMPTY400)
]
CASES['mask/dedup'] = [
    put('more_mo.png', ORIGINAL),
    image('more_mj.png',
          RGBA48, ('original_ref', '{"filename":"more_mo.png","type":"input"}'), ('overwrite', 'true'),
          path='/upload/mask'),
    image('more_mj.png',
          RGBA48, ('original_ref', '{"filename":"more_mo.png","type":"input"}'),
          path='/upload/mask',
          compare='shape')
]
CASES['mask/answer-forms'] = [
    put('more_mo.png', ORIGINAL),
    mask('more_mk.png', {'filename': 'more_mo.png', 'type': 'input'}, RGBA48, ('type', 'temp')),
    mask('more_mk.png', {'filename': 'more_mo.png', 'type': 'input'}, RGBA48, ('type', 'output')),
    mask('more_mk.png', {'filename': 'more_mo.png', 'type': 'input'}, RGBA48, ('type', 'nonsense'),
         **EMPTY400)
]
CASES['mask/used-by-load'] = [
    put('more_mo.png', ORIGINAL),
    mask('more_ml.png', {'filename': 'more_mo.png', 'type': 'input'}), OPEN,
    prompt({
        '1': node('LoadImage', image='more_ml.png'), '2': node('MaskToImage', mask=['1', 1]),
        '3': save(['2', 0], 'more_mask_out')
    }), {**DONE, 'types_only': True},
    view('filename=more_mask_out_00001_.png', compare='pixels')
]

# --- view ---
CASES['view/ranges'] = [put('more_v.txt', TEXT)] + [
    view('filename=more_v.txt&type=input', request_headers={'Range': r}, compare=how, headers=h)
    for r, how, h in (('bytes=0-9', 'bytes', ['Content-Range', 'Content-Length']),
                      ('bytes=10-', 'bytes', ['Content-Range']), ('bytes=-5', 'bytes', ['Content-Range']),
                      ('bytes=0-0', 'bytes', ['Content-Range']),
                      ('bytes=900-99999', 'bytes', ['Content-Range']),
                      ('bytes=99999-', 'status', ['Content-Range']))
]
# A range that cannot be read may be ignored (RFC 9110 14.2): ComfyUI says 416, the whole file is as good.
CASES['view/ranges-odd'] = [put('more_v.txt', TEXT)] + [
    view('filename=more_v.txt&type=input', request_headers={'Range': r}, compare='status', also=[200, 416])
    for r in ('bytes=5-2', 'bytes=x-y', 'items=0-1', 'bytes=0-1,3-4', 'bytes=-0', 'bytes=')
]
CASES['view/etag'] = [
    put('more_v.txt', TEXT),
    view('filename=more_v.txt&type=input',
         save_header={'etag': 'ETag', 'modified': 'Last-Modified'},
         compare='bytes'),
    view('filename=more_v.txt&type=input', request_headers={'If-None-Match': '${etag}'}, compare='bytes'),
    view('filename=more_v.txt&type=input', request_headers={'If-None-Match': '"other"'}, compare='bytes'),
    view('filename=more_v.txt&type=input', request_headers={'If-None-Match': '*'}, compare='status'),
    view('filename=more_v.txt&type=input', request_headers={'If-None-Match': 'W/${etag}'}, compare='status'),
    view('filename=more_v.txt&type=input',
         request_headers={'If-Modified-Since': '${modified}'},
         compare='status'),
    view('filename=more_v.txt&type=input',
         request_headers={'If-Modified-Since': 'Mon, 01 Jan 2001 00:00:00 GMT'},
         compare='status'),
    view('filename=more_v.txt&type=input', request_headers={'If-Match': '"other"'}, compare='status'),
    view('filename=more_v.txt&type=input', request_headers={'If-Match': '${etag}'}, compare='status'),
    view('filename=more_v.txt&type=input',
         request_headers={'If-Unmodified-Since': 'Mon, 01 Jan 2001 00:00:00 GMT'},
         compare='status'),
    view('filename=more_v.txt&type=input',
         request_headers={'Range': 'bytes=0-3', 'If-Range': '"other"'},
         compare='status',
         also=[200]),
    view('filename=more_v.txt&type=input',
         request_headers={'Range': 'bytes=0-3', 'If-Range': '${modified}'},
         compare='status')
]
CASES['view/head'] = [
    put('more_v.txt', TEXT),
    view('filename=more_v.txt&type=input',
         method='HEAD',
         compare='status',
         headers=['Content-Length', 'Content-Type', 'Accept-Ranges']),
    view('filename=none.png', method='HEAD', compare='status'),
    view('filename=more_v.txt&type=input',
         method='HEAD',
         request_headers={'Range': 'bytes=0-9'},
         compare='status')
]
CASES['view/annotated'] = [put(
    'more_an.png', GRADIENT), put('more_an.png', GREEN, ('type', 'output'))] + [
        view('filename=' + q, compare='bytes')
        for q in ('more_an.png%20[input]', 'more_an.png%20[output]', 'more_an.png%20[output]&type=input',
                  'more_an.png%20[input]&type=output', 'more_an.png%20[input]&type=nonsense',
                  'more_an.pngX[input]')
    ] + [
        view('filename=' + q, compare='status', also=[400])
        for q in ('more_an.png[input]', 'more_an.png%20[temp]', '[input]', '%20[input]',
                  'more_an.png%20[models]', 'x[input]', 'more_an.png%20%20[input]')
    ]
CASES['view/types'] = [put('more_vt.png', GRADIENT)] + [
    view('filename=more_vt.png&type=' + t, compare='bytes')
    for t in ('input', 'output', 'temp', '', 'Input', 'models', '..', 'input%20')
]
CASES['view/subfolders'] = [put('more_vs.png', GRADIENT, ('subfolder', 'more/v'))] + [
    view('filename=more_vs.png&type=input&subfolder=' + s,
         compare='status',
         also=[] if s in ('more/v', 'more/v/', 'more', '') else [400, 403])
    for s in ('more/v', 'more/v/', './more/v', 'more//v', 'more/../more/v', 'more/v/../v', 'more', '', 'none',
              '/more/v', 'more%5Cv', 'more/v/.', 'MORE/V', '%00')
]
CASES['view/subfolder-escape'] = [
    view('filename=x.png&type=input&subfolder=' + s, compare='bytes', also=[400])
    for s in ('..', '../..', '/etc', '/', 'a/../..', '..%2F..', '../output', '.../..')
]
CASES['view/names'] = [put('more_vs.png', GRADIENT, ('subfolder', 'more/v'))] + [
    view('type=input&' + q, compare='status', also=[404] if 'blake3' in q else [400])
    for q in ('filename=more/v/more_vs.png', 'filename=more%2Fv%2Fmore_vs.png&subfolder=more/v', 'filename=',
              'filename=.', 'filename=..', 'filename=a..b.png', 'filename=/more_vs.png',
              'filename=more_vs.png/', 'filename=more', 'filename=more%00.png', 'filename=%5Cx.png',
              'filename=x.png&filename=more_vs.png', 'filename=' + 'a' * 300 + '.png',
              'filename=blake3:' + '0' * 64, 'filename=blake3:x', 'Filename=x.png')
]
CASES['view/active-types'] = [
    put('more_act.' + e, HTML, kind=k)
    for e, k in (('html', 'text/html'), ('js', 'text/javascript'), ('css', 'text/css'))
] + [
    view(f'filename=more_act.{e}&type=input', compare='bytes', headers=['Content-Type'])
    for e in ('html', 'css')
] + [view('filename=more_act.js&type=input', compare='bytes')
     ]  # as a script in 0.21.0, because its name for the type is not in the list
# Also active are types that ComfyUI 0.21.0 sends as they are, and newer versions do not.
CASES['view/active-types-newer'] = [
    put('more_act.svg', b'<svg/>'),
    put('more_act.xml', b'<a/>'),
    put('more_act.xhtml', b'<a/>')
] + [view(f'filename=more_act.{e}&type=input', compare='bytes') for e in ('svg', 'xml', 'xhtml')]
CASES['view/content-types'] = [
    put('more_ct.' + e, TEXT)
    for e in ('png', 'PNG', 'jpg', 'jpeg', 'webp', 'gif', 'mp4', 'webm', 'mp3', 'wav', 'flac', 'json', 'txt',
              'glb', 'obj', 'safetensors', 'bin', 'pdf', 'zip', 'csv', 'mkv', 'mov', 'avi', 'ogg', 'opus',
              'm4a', 'tiff', 'bmp', 'avif', 'md', 'exr', 'stl', 'gltf', 'usdz', 'ply', 'fbx', 'yaml', 'log',
              'latent', 'npy', 'tar.gz', 'none')
] + [
    view(f'filename=more_ct.{e}&type=input', compare='bytes', headers=['Content-Type'])
    for e in (  # others depend on the machine's own table
        'png', 'PNG', 'jpg', 'jpeg', 'webp', 'gif', 'mp4', 'webm', 'mp3', 'wav', 'flac', 'json', 'txt', 'glb',
        'obj', 'bin', 'pdf', 'zip', 'csv', 'mkv', 'mov', 'avi', 'ogg', 'm4a', 'tiff', 'bmp', 'avif', 'md',
        'stl', 'gltf', 'usdz', 'log', 'latent', 'npy', 'none')
]
CASES['view/disposition'] = [
    put('more_d 1.png'), put('more_été.png'),
    put("more_'q'.png"), put('more_;.png')
] + [
    view(f'filename={n}&type=input', compare='status', headers=['Content-Disposition'])
    for n in ('more_d%201.png', "more_'q'.png", 'more_;.png')
] + [view('filename=more_%C3%A9t%C3%A9.png&type=input', compare='bytes')
     ]  # not ASCII: a second parameter says the name
CASES['view/channels'] = [put('more_c.png', RGBA),
                          put('more_c3.png', GRADIENT),
                          put('more_c1.png', GREY)] + [
                              view(f'filename={n}&type=input&channel={c}',
                                   compare='pixels',
                                   headers=['Content-Type', 'Content-Disposition'])
                              for n in ('more_c.png', 'more_c3.png', 'more_c1.png')
                              for c in ('rgb', 'a', 'rgba', '')
                          ] + [
                              view('filename=more_c.png&type=input&channel=nonsense', compare='bytes'),
                              view('filename=more_c.png&type=input&channel=A', compare='bytes')
                          ]
CASES['view/previews'] = [put('more_c.png', RGBA), put('more_c3.png', GRADIENT)] + [
    view(f'filename={n}&type=input&preview={p}',
         compare='status',
         headers=['Content-Type', 'Content-Disposition']) for n in ('more_c.png', 'more_c3.png')
    for p in ('webp', 'jpeg', 'webp;90', 'jpeg;75', 'png', '', 'webp;', 'webp;abc', ';50', 'jpeg;0',
              'jpeg;100', 'JPEG', '75', 'webp;80;60')
] + [
    view(f'filename=more_c.png&type=input&preview=jpeg;75&channel={c}',
         compare='status',
         headers=['Content-Type']) for c in ('a', 'rgb', 'rgba', '')
]
CASES['view/previews-quality'] = [put('more_c3.png', GRADIENT)] + [
    view(f'filename=more_c3.png&type=input&preview={p}', compare='status', also=[200])
    for p in ('webp;101', 'jpeg;1000', 'webp;-5', 'webp;99999999999')
]
CASES['view/preview-of-no-picture'] = [
    put('more_np.txt', TEXT),
    view('filename=more_np.txt&type=input&preview=webp', compare='status'),
    view('filename=more_np.txt&type=input&channel=rgb', compare='status'),
    view('filename=more_np.txt&type=input&channel=a', compare='status'),
    view('filename=none.png&type=input&preview=webp', compare='status')
]
CASES['view/ignored-parameters'] = [
    put('more_c3.png', GRADIENT),
    view('filename=more_c3.png&type=input&rand=0.1&t=5&format=x&res=9', compare='bytes')
]
CASES['view/cache-header'] = [
    put('more_c3.png', GRADIENT),
    view('filename=more_c3.png&type=input', compare='status', headers=['Accept-Ranges'])
]
CASES['files/newest-first'] = [
    put('more_n1.png'), {'do': 'sleep', 'seconds': 0.05},
    put('more_n2.png'),
    get('/internal/files/input', pick='0'),
    get('/internal/files/input', pick='1'),
    put('.more_hidden'),
    get('/internal/files/input', pick='0'),
    put('more_n3.png', GRADIENT, ('subfolder', 'more')),
    get('/internal/files/input', pick='0')
]
CASES['files/kinds'] = [
    get('/internal/files/output', 'status'),
    get('/internal/files/temp', 'status'),
    get('/internal/files/models'),
    get('/internal/files/', 'status')
]

# --- userdata ---


def ud(name, method='GET', body=None, query='', **kw):
    step = {'method': method, 'path': f'/userdata/{name}{query}', **kw}
    if method == 'POST' and 'raw' not in kw: step['json'] = body
    return step


CASES['userdata/write-read'] = [
    ud('more%2Fa.txt', 'POST', raw='hello'),
    ud('more%2Fa.txt', compare='bytes', headers=['Content-Type']),
    ud('more%2Fa.txt', 'POST', raw=''),
    ud('more%2Fa.txt', compare='bytes'),
    ud('more%2Fb.bin', 'POST', raw='\xff\x00\x01'),
    ud('more%2Fb.bin', compare='bytes', headers=['Content-Type'])
]
CASES['userdata/overwrite'] = [
    ud('more_ow.json', 'POST', {'v': 1}),
    ud('more_ow.json', 'POST', {'v': 2}, '?overwrite=false', compare='bytes'),
    ud('more_ow.json'),
    ud('more_ow.json', 'POST', {'v': 3}, '?overwrite=False'),
    ud('more_ow.json'),
    ud('more_ow.json', 'POST', {'v': 4}, '?overwrite=0'),
    ud('more_ow.json'),
    ud('more_ow.json', 'POST', {'v': 5}, '?overwrite='),
    ud('more_ow.json'),
    ud('more_ow.json', 'POST', {'v': 6}, '?overwrite=true'),
    ud('more_ow.json')
]
CASES['userdata/overwrite-conflict-text'] = [
    ud('more_ow.json', 'POST', {'v': 1}),
    ud('more_ow.json', 'POST', {'v': 2}, '?overwrite=false', compare='exact', headers=['Content-Type'])
]
CASES['userdata/full-info'] = [
    ud('more_fi.json', 'POST', {'v': 1}, '?full_info=true'),
    ud('more_fi.json', 'POST', {'v': 1}, '?full_info=TRUE', compare='shape'),
    ud('more_fi.json', 'POST', {'v': 1}, '?full_info=1'),
    ud('more%2Fd1%2Ffi.json', 'POST', {'v': 1}, '?full_info=true')
]
CASES['userdata/list'] = [
    ud('mlist%2Fa.json', 'POST', 1),
    ud('mlist%2Fsub%2Fb.json', 'POST', 2),
    ud('mlist%2F.index.json', 'POST', 3),
    ud('mlist%2F.dot%2Fc.json', 'POST', 4)
] + [
    get('/userdata?' + q, how, also=[400] if '.' in q else [])
    for q, how in (('dir=mlist', 'exact'), ('dir=mlist&recurse=true', 'shape'),
                   ('dir=mlist&recurse=TRUE', 'shape'), ('dir=mlist&recurse=1', 'exact'),
                   ('dir=mlist&split=true', 'exact'), ('dir=mlist&recurse=true&split=true', 'shape'),
                   ('dir=mlist&full_info=true', 'exact'), ('dir=mlist&full_info=true&split=true', 'exact'),
                   ('dir=mlist%2Fsub', 'exact'), ('dir=mlist/sub/', 'exact'), ('dir=./mlist', 'exact'),
                   ('dir=mlist/.', 'exact'), ('dir=mlist%252Fsub', 'exact'), ('dir=mlist/.dot', 'exact'))
]
CASES['userdata/list-one-file-in-depth'] = [
    ud('mdeep%2Fx%2Fy%2Fz.json', 'POST', 1),
    get('/userdata?dir=mdeep&recurse=true'),
    get('/userdata?dir=mdeep&recurse=true&split=true'),
    get('/userdata?dir=mdeep'),
    get('/userdata?dir=mdeep&recurse=true&full_info=true'),
    get('/userdata?dir=mdeep/x&recurse=true&split=true')
]
CASES['userdata/list-bad'] = [
    get('/userdata?' + q, 'bytes')
    for q in ('', 'dir=', 'dir=..', 'dir=../..', 'dir=/etc', 'dir=none_such', 'dir=a/../..')
]
CASES['userdata/list-of-a-file'] = [
    ud('more_file.json', 'POST', 1),
    get('/userdata?dir=more_file.json', also=[404])
]
CASES['userdata/list-root'] = [
    ud('more_root.json', 'POST', 1),
    get('/userdata?dir=.', 'status'),
    get('/userdata?dir=/', 'status')
]
CASES['userdata/v2'] = [
    ud('mv2%2Fa.json', 'POST', 1),
    ud('mv2%2Fsub%2Fb.json', 'POST', 22),
    ud('mv2%2F.hid', 'POST', 3),
    ud('mv2%2FZ.json', 'POST', 3),
    get('/v2/userdata?path=mv2'),
    get('/v2/userdata?path=mv2/sub'),
    get('/v2/userdata?path=mv2%2Fsub%2F'),
    get('/v2/userdata?path=mv2%252Fsub'),
    get('/v2/userdata', 'shape'),
    get('/v2/userdata?path=', 'shape'),
    get('/api/v2/userdata?path=mv2')
]
CASES['userdata/v2-bad'] = [
    get('/v2/userdata?path=' + p, 'bytes') for p in ('..', '../..', '/etc', 'none_such', 'a/../..', '%2e%2e')
]
CASES['userdata/v2-of-a-file'] = [
    ud('more_v2f.json', 'POST', 1),
    get('/v2/userdata?path=more_v2f.json', 'exact')
]
CASES['userdata/dotfiles'] = [
    ud('workflows%2F.index.json', 'POST', {'a': 1}),
    ud('workflows%2F.index.json'),
    ud('.dot', 'POST', raw='x'),
    ud('.dot', compare='bytes')
]
CASES['userdata/double-encoded'] = [
    ud('mde%252Fx.json', 'POST', {'a': 1}),
    ud('mde%2Fx.json'),
    ud('mde%252Fx.json'),
    ud('mde%25252Fx.json', compare='status'),
    ud('mde%2Fa%2520b.json', 'POST', {'b': 1}),
    ud('mde%2Fa%20b.json'),
    get('/userdata?dir=mde', 'shape'),
    ud('mde%2F100%25.json', 'POST', {'c': 1}),
    ud('mde%2F100%25.json'),
    ud('mde%2F100%2525.json'),
    ud('mde%2Fq%253F.json', 'POST', 5),
    ud('mde%2Fq%3F.json')
]
CASES['userdata/names'] = [
    ud(f'mn%2F{n}', 'POST', {'n': n}, compare='exact')
    for n in ('sp%20ace.json', '%C3%A9t%C3%A9.json', '%E6%97%A5.json', 'a+b.json', "q'uote.json",
              'a%26b.json', 'a%23b.json', 'a=b.json', 'x.JSON', 'no_ext', 'a;b.json', '%F0%9F%98%80.json',
              'a%2Cb.json', '%5B1%5D.json', '~t.json', 'dots...json')
] + [
    ud(f'mn%2F{n}') for n in ('sp%20ace.json', '%C3%A9t%C3%A9.json', 'a+b.json', 'a%26b.json', 'dots...json')
]
CASES['userdata/names-awkward'] = [
    ud(f'mn%2F{n}', 'POST', {'n': n}, compare='status', also=[400])
    for n in ('a%3Ab.json', 'a%2Ab.json', 'a%3Fb.json', 'a%3Cb.json', 'a%7Cb.json', 'a%5Cb.json',
              'a%22b.json', '%20lead.json', 'trail%20', 'a%0Ab.json', 'trail.', 'm' * 256 + '.json',
              'm' * 250 + '.json')
]
CASES['userdata/nul'] = [ud('a%00b', 'POST', 1, **EMPTY400), ud('a%00b', **EMPTY400)]
CASES['userdata/untidy-paths'] = [
    ud(n, 'POST', 1, also=[400, 403]) for n in ('mu%2F.%2Fx.json', 'mu%2F%2Fx2.json', 'mu%2Fs%2F..%2Fx3.json')
]  # refused here
CASES['userdata/odd-paths'] = [
    ud('mo%2Fx.json', 'POST', 1),
    ud('.', compare='status', also=[400, 403, 404]),
    ud('mo', compare='status', also=[400, 403, 404]),
    ud('mo', 'POST', 1, compare='status', also=[409]),
    ud('mo%2F', 'POST', 1, compare='status', also=[400]),
    ud('mo%2Fx.json%2Fy.json', 'POST', 1, compare='status', also=[400, 409]),
    ud('mo%2Fx.json%2Fy.json', compare='status', also=[400, 404])
]
CASES['userdata/escape'] = [
    ud(n, m, 1, compare='status', also=[400])
    for n in ('..%2Fx', '..%2F..%2Fx', '%2Fetc%2Fpasswd', 'a%2F..%2F..%2Fx', '%252e%252e%252fx', '..',
              '%2e%2e%2fx') for m in ('GET', 'POST', 'DELETE')
]
CASES['userdata/delete'] = [
    ud('mdel%2Fa.json', 'POST', 1),
    ud('mdel%2Fa.json', 'DELETE', compare='bytes'),
    ud('mdel%2Fa.json', 'DELETE', compare='bytes'),
    ud('mdel%2Fa.json', compare='bytes'),
    get('/userdata?dir=mdel'),
    ud('mdel', 'DELETE', compare='status', also=[400, 404]),
    ud('none_such', 'DELETE', compare='bytes')
]


def move(a, b, query='', **kw):
    return {'method': 'POST', 'path': f'/userdata/{a}/move/{b}{query}', **kw}


CASES['userdata/move'] = [
    ud('mm%2Fa.json', 'POST', {'a': 1}),
    ud('mm%2Fb.json', 'POST', {'b': 1}),
    move('mm%2Fa.json', 'mm%2Fb.json', '?overwrite=false', compare='bytes'),
    ud('mm%2Fa.json'),
    ud('mm%2Fb.json'),
    move('mm%2Fa.json', 'mm%2Fb.json'),
    ud('mm%2Fa.json', compare='status'),
    ud('mm%2Fb.json'),
    move('mm%2Fb.json', 'mm%2Fnew%2Fdeep%2Fc.json', '?full_info=true'),
    ud('mm%2Fnew%2Fdeep%2Fc.json'),
    move('mm%2Fb.json', 'mm%2Fx.json', compare='bytes'),
    ud('mm%2Fd.json', 'POST', {'d': 1}),
    move('mm%2Fd.json', 'mm%2Fd.json'),
    ud('mm%2Fd.json'),
    move('mm%2Fd.json', 'mm%2Fd.json', '?overwrite=false', compare='status'),
    move('mm%252Fd.json', 'mm%252Fe.json'),
    ud('mm%2Fe.json')
]
CASES['userdata/move-escape'] = [
    ud('mme.json', 'POST', 1),
    move('mme.json', '..%2Fx', compare='status', also=[400]),
    move('..%2Fx', 'mme2.json', compare='status', also=[400]),
    move('mme.json', '%2Ftmp%2Fx', compare='status', also=[400])
]
CASES['userdata/move-folder'] = [
    ud('mmf%2Fx.json', 'POST', {'x': 1}),
    move('mmf', 'mmf_new', compare='status', also=[400, 404]),
    ud('mmf_new%2Fx.json', compare='status', also=[404])
]
CASES['userdata/move-onto-folder'] = [
    ud('mmo%2Fx.json', 'POST', 1),
    ud('mmo_a.json', 'POST', 2),
    move('mmo_a.json', 'mmo', compare='status', also=[400, 409])
]
CASES['userdata/parents-are-made'] = [
    ud('mparent%2Fa%2Fb.json', compare='status'),
    get('/userdata?dir=mparent/a', also=[404]),
    get('/userdata?dir=mparent&recurse=true', also=[404])
]  # reading makes nothing here
CASES['userdata/read-head-range'] = [
    ud('mhr.txt', 'POST', raw='0123456789'),
    ud('mhr.txt', 'HEAD', compare='status', headers=['Content-Length']),
    ud('mhr.txt', request_headers={'Range': 'bytes=2-4'}, compare='bytes', headers=['Content-Range']),
    ud('mhr.txt', save_header={'etag': 'ETag'}, compare='bytes'),
    ud('mhr.txt', request_headers={'If-None-Match': '${etag}'}, compare='bytes')
]
CASES['userdata/content-types'] = [
    ud('mct.' + e, 'POST', raw='x', compare='free') for e in ('json', 'txt', 'png', 'bin', 'none')
] + [
    ud('mct.' + e, compare='bytes', headers=['Content-Type']) for e in ('json', 'txt', 'png', 'bin', 'none')
]
CASES['userdata/user-css'] = [
    ud('user.css', 'POST', raw='a{}'),
    ud('user.css', compare='bytes'),
    ud('user.css', 'DELETE', compare='status')
]
CASES['userdata/settings-file'] = [
    post('/settings/More.File', 5, compare='free'),
    ud('comfy.settings.json', compare='status', headers=['Content-Type'])
]
CASES['userdata/templates'] = [
    ud('comfy.templates.json', compare='status'),
    ud('comfy.templates.json', 'POST', [{'name': 'x'}]),
    ud('comfy.templates.json'),
    ud('comfy.templates.json', 'DELETE', compare='status')
]
CASES['userdata/empty-name'] = [
    {'method': 'POST', 'path': '/userdata/', 'json': 1, 'compare': 'status', 'also': [404]},
    get('/userdata/', 'status'),
    get('/userdata/a/b',
        'status'), {'method': 'POST', 'path': '/userdata/a/move/', 'compare': 'status', 'also': [404]}
]

# --- settings ---
VALUES = [
    0, -1.5, True, False, None, '', 'text', 'é\U0001f600', [], [1, [2]], {}, {'a': {'b': None}},
    12345678901234567890, 1e308, 0.1
]
CASES['settings/values'] = [
    s for i, v in enumerate(VALUES)
    for s in (post(f'/settings/More.V{i}', raw=json.dumps(v), compare='bytes'), get(f'/settings/More.V{i}'))
]
CASES['settings/names'] = [
    s for n in ('a%20b', 'a%2Fb', '%C3%A9', 'a.b.c', 'a+b', '0', 'a%25b', '__proto__')
    for s in (post(f'/settings/{n}', n, compare='status'), get(f'/settings/{n}'))
] + [post('/settings/', 1, compare='status', also=[404]),
     get('/settings/', 'status')]
CASES['settings/merge'] = [
    post('/settings', {'More.M1': {'a': 1, 'b': 2}, 'More.M2': 1}, compare='bytes'),
    post('/settings', {'More.M1': {'a': 3}}, compare='bytes'),
    get('/settings/More.M1'),
    get('/settings/More.M2'),
    post('/settings', {}, compare='bytes'),
    post('/settings', {'More.M2': None}, compare='bytes'),
    get('/settings/More.M2'),
    get('/settings', pick='More.M1'),
    get('/settings', pick='More.M2')
]
CASES['settings/bad'] = [
    post('/settings', raw='{', **EMPTY400),
    post('/settings', raw='', **EMPTY400),
    post('/settings', [1], **EMPTY400),
    post('/settings', 'x', **EMPTY400),
    post('/settings', raw='null', **EMPTY400),
    post('/settings/More.B', raw='{', **EMPTY400),
    post('/settings/More.B', raw='', **EMPTY400),
    get('/settings/More.B'),
    post('/settings', [], **EMPTY400)
]
CASES['settings/plain-content-type'] = [
    post('/settings', raw='{"More.P":1}', request_headers={'Content-Type': 'text/plain'}, compare='bytes'),
    get('/settings/More.P'),
    post('/settings/More.P', raw='[2]', compare='bytes'),
    get('/settings/More.P')
]
CASES['settings/nan'] = [
    post('/settings/More.N', raw='NaN', compare='status', also=[400]),
    post('/settings/More.N', 1, compare='status'),
    post('/settings/More.N', raw=' {"a":1, "a":2} ', compare='status'),
    get('/settings/More.N')
]
CASES['settings/comfy-user-ignored'] = [
    post('/settings/More.U', 1, compare='free'),
    get('/settings/More.U', request_headers={'Comfy-User': 'somebody'}),
    get('/settings', 'status', request_headers={'Comfy-User': '__system'}),
    get('/userdata?dir=workflows', 'status', request_headers={'Comfy-User': 'x'})
]

# --- history, queue, interrupt, free ---
CASES['history/paging'] = [post('/history', {'clear':
    True}, compare='bytes'), get('/history')] + [
        x for i in range(4) for x in
        (OPEN,
         {**prompt(empty(100 + i), prompt_id=f'0c0ffee0-0000-4000-8000-00000000010{i}'), 'compare': 'exact'},
         {**DONE, 'types_only': True, 'compare': 'free'}, {**HISTORY, 'compare': 'status'})
    ] + [
        get('/history?' + q, 'keys', also=[400] if '%' in q or '_' in q[10:] else [])
        for q in (  # Python reads " 2 ", "+2" and "1_0", too
            'max_items=0', 'max_items=1', 'max_items=2', 'max_items=99', 'max_items=2&offset=0',
            'max_items=2&offset=1', 'max_items=2&offset=3', 'max_items=2&offset=9', 'offset=0', 'offset=2',
            'offset=9', 'offset=-1', 'max_items=1&offset=-5', 'max_items=-1', 'max_items=%202%20',
            'max_items=1_0', 'max_items=%2B2', 'max_items=-99', 'max_items=2&max_items=1')
    ]
CASES['history/bad-numbers'] = [{'path': '/history?' + q, **EMPTY400}
                                for q in ('max_items=x', 'max_items=', 'max_items=1.5', 'offset=x', 'offset=',
                                          'max_items=1&offset=1e3')]
CASES['history/unknown'] = [
    get('/history/none'),
    get('/history/' + UNKNOWN),
    get('/history/a%2Fb'),
    get('/history/%20')
]
CASES['history/post-forms'] = [
    post('/history', {}, compare='bytes'),
    post('/history', {'clear': False}, compare='bytes'),
    post('/history', {'delete': []}, compare='bytes'),
    post('/history', {'delete': ['none']}, compare='bytes'),
    post('/history', {'unknown': 1}, compare='bytes'),
    post('/history', raw='', **EMPTY400),
    post('/history', raw='{', **EMPTY400),
    post('/history', [], compare='status', also=[400]),
    post('/history', {'delete': 5}, compare='status', also=[200, 400]),
    post('/history', {'delete': 'abc'}, compare='status', also=[400]),
    post('/history', 5, **EMPTY400)
]
CASES['history/clear'] = [
    OPEN,
    prompt(empty(120)), {**DONE, 'types_only': True, 'compare': 'free'}, {**HISTORY, 'compare': 'status'},
    post('/history', {'clear': True}, compare='bytes'),
    get('/history'),
    get('/history/${prompt_id}'),
    get('/api/jobs/${prompt_id}'),
    get('/api/jobs')
]
CASES['history/delete-one'] = [
    OPEN, {**prompt(empty(121)), 'save': {'first': 'prompt_id', 'prompt_id': 'prompt_id'}},
    {**DONE, 'types_only': True, 'compare': 'free'}, {**HISTORY, 'compare': 'status'}, {**prompt(empty(122))},
    {**DONE, 'types_only': True, 'compare': 'free'}, {**HISTORY, 'compare': 'status'},
    post('/history', {'delete': ['${first}', 'none', '${first}']}, compare='bytes'),
    get('/history/${first}'),
    get('/history/${prompt_id}', 'shape')
]
CASES['history/item-whole'] = [
    OPEN,
    prompt(empty(123),
           extra_data={
               'extra_pnginfo': {'workflow': {'id': 'wf-more', 'nodes': []}}, 'preview_method': 'auto'
           }), {**DONE, 'types_only': True}, {**HISTORY, 'compare': 'status'}
] + [
    get('/history/${prompt_id}', pick='${prompt_id}/' + p)
    for p in ('outputs', 'status', 'meta', 'prompt/1', 'prompt/2', 'prompt/3', 'prompt/4')
] + [get('/history/${prompt_id}', 'shape', pick='${prompt_id}/prompt')]
CASES['history/failed-item'] = [OPEN, prompt(FAILING), ERROR, {**HISTORY, 'compare': 'status'}] + [
    get('/history/${prompt_id}', how, pick='${prompt_id}/' + p)
    for p, how in (('outputs', 'exact'), ('status/status_str', 'exact'), ('status/completed', 'exact'),
                   ('meta', 'exact'), ('status', 'shape'), ('status/messages/0', 'exact'),
                   ('status/messages/1', 'exact'), ('status/messages/2/0', 'exact'))
] + [get('/history/${prompt_id}', 'keys', pick='${prompt_id}/status/messages/2/1')] + [
    get('/history/${prompt_id}', pick='${prompt_id}/status/messages/2/1/' + p)
    for p in ('node_id', 'node_type', 'exception_type', 'executed', 'prompt_id')
] + [
    get('/api/jobs/${prompt_id}', pick='status'),
    get('/api/jobs/${prompt_id}', 'keys'),
    get('/api/jobs/${prompt_id}', pick='execution_error/exception_type')
]

CASES['queue/post-forms'] = [
    post('/queue', {}, compare='bytes'),
    post('/queue', {'clear': False}, compare='bytes'),
    post('/queue', {'delete': []}, compare='bytes'),
    post('/queue', {'delete': ['none', 5, None]}, compare='bytes'),
    post('/queue', {'unknown': 1}, compare='bytes'),
    post('/queue', raw='', **EMPTY400),
    post('/queue', raw='{', **EMPTY400),
    post('/queue', [], compare='status', also=[400]),
    post('/queue', {'delete': 5}, compare='status', also=[200, 400]),
    post('/queue', {'delete': 'abc'}, compare='status', also=[400]),
    post('/queue', {'delete': None}, compare='status', also=[200, 400]),
    post('/queue', {'clear': True, 'delete': ['x']}, compare='bytes')
]
CASES['queue/empty'] = [IDLE, get('/queue'), get('/prompt'), get('/api/jobs?status=pending,in_progress')]
CASES['queue/waiting'] = [
    OPEN,
    busy(1), RUNNING,
    waits(130, 'w1'),
    waits(131, 'w2', extra_data={'extra_pnginfo': {'workflow': {'id': 'more-wait'}}}),
    waits(132, 'w3', front=True),
    waits(133, 'w4', number=-5),
    get('/prompt'),
    get('/queue', 'keys'),
    get('/queue', pick='queue_running/0/1'),
    get('/queue', pick='queue_pending/0/1'),
    get('/queue', 'shape', pick='queue_pending/0'),
    get('/queue', pick='queue_pending/0/2'),
    get('/queue', 'shape', pick='queue_pending/0/3'),
    get('/queue', pick='queue_pending/0/4'),
    get('/history/${w1}'),
    get('/history/${busy}'),
    get('/api/jobs/${w1}', 'exact', pick='status'),
    get('/api/jobs/${busy}', pick='status'),
    get('/api/jobs/${w1}', 'keys'),
    get('/api/jobs?status=pending', pick='pagination'),
    get('/api/jobs?status=in_progress', pick='pagination'),
    get('/api/jobs?status=in_progress&limit=1', 'keys', pick='jobs/0'),
    get('/api/jobs?status=pending&sort_order=asc', pick='jobs/0/id'),
    get('/api/jobs?status=pending&sort_order=desc', pick='jobs/0/id'),
    get('/api/jobs?status=pending&limit=2&offset=1', pick='pagination'),
    get('/api/jobs?status=pending&limit=2', 'shape', pick='jobs'),
    post('/queue', {'delete': ['${w2}', '${busy}', 'none']}, compare='bytes'),
    get('/prompt'),
    get('/history/${w2}'),
    get('/api/jobs/${w2}'),
    get('/api/jobs?workflow_id=more-wait', pick='pagination'),
    post('/queue', {'clear': True}, compare='bytes'),
    get('/prompt'),
    get('/queue', pick='queue_pending'),
    get('/queue', pick='queue_running/0/1'),
    get('/history/${w1}'),
    get('/api/jobs/${w1}'), *STOP
]
CASES['interrupt/running'] = [
    OPEN,
    busy(2), RUNNING,
    post('/interrupt', {'prompt_id': '${busy}'}, compare='bytes'),
    {'do': 'poll', 'path': '/history/${busy}', 'at': '${busy}', 'compare': 'keys'},
    get('/history/${busy}', pick='${busy}/status/status_str'),
    get('/history/${busy}', pick='${busy}/status/completed'),
    get('/api/jobs/${busy}', pick='status'),
    get('/api/jobs/${busy}', 'keys'),
    get('/api/jobs/${busy}', pick='execution_error'), {
        'do': 'ws_events', 'events': [
            'execution_start', 'execution_cached', 'execution_interrupted', 'execution_error',
            'execution_success'
        ], 'types_only': True, 'compare': 'exact'
    }, IDLE
]
CASES['interrupt/events'] = [
    OPEN,
    busy(3), RUNNING,
    post('/interrupt', {'prompt_id': '${busy}'}, compare='bytes'), {
        'do': 'ws_until', 'until': 'executing', 'prompt': 'busy', 'events': ['execution_interrupted'],
        'compare': 'shape'
    }, IDLE
]
CASES['interrupt/without-body'] = [
    OPEN,
    busy(4), RUNNING,
    post('/interrupt', raw='', compare='bytes'),
    {'do': 'poll', 'path': '/history/${busy}', 'at': '${busy}', 'compare': 'keys'},
    get('/api/jobs/${busy}', pick='status'), IDLE
]
CASES['interrupt/other-id'] = [
    OPEN,
    busy(5), RUNNING,
    waits(140, 'w1'),
    post('/interrupt', {'prompt_id': UNKNOWN}, compare='bytes'),
    post('/interrupt', {'prompt_id': '${w1}'}, compare='bytes'), {'do': 'sleep', 'seconds': 0.3},
    get('/prompt'),
    get('/queue', pick='queue_running/0/1'),
    get('/queue', pick='queue_pending/0/1'), *STOP
]
CASES['interrupt/forms'] = [
    IDLE,
    post('/interrupt', {}, compare='bytes'),
    post('/interrupt', raw='{nope', compare='bytes'),
    post('/interrupt', {'prompt_id': None}, compare='bytes'),
    post('/interrupt', {'prompt_id': ''}, compare='bytes'),
    post('/interrupt', {'prompt_id': 5}, compare='bytes'),
    post('/interrupt', {'prompt_id': 'none'}, compare='bytes'),
    post('/interrupt', [], **EMPTY400),
    post('/interrupt', 'x', **EMPTY400),
    post('/interrupt', None, **EMPTY400)
]
CASES['interrupt/idle-does-not-stop-the-next'] = [
    IDLE,
    post('/interrupt', {}, compare='bytes'), OPEN,
    prompt(empty(141)), {**DONE, 'types_only': True}
]
CASES['free/forms'] = [
    post('/free', b, compare='bytes')
    for b in ({}, {'unload_models': True}, {'free_memory': True},
              {'unload_models': False, 'free_memory': False}, {'unload_models': 'x'}, {'more': 1})
] + [post(
    '/free',
    raw='',
    **EMPTY400,
), post('/free', raw='{', **EMPTY400),
     post('/free', [], **EMPTY400)]  # /free is a no-op: 200 is as good
for step in CASES['free/forms'][-3:]:
    step['also'] = [200, 400]

# --- jobs ---
CASES['jobs/bad'] = [
    get('/api/jobs?' + q)
    for q in ('limit=x', 'limit=0', 'limit=-1', 'limit=', 'limit=1.5', 'offset=x', 'offset=', 'sort_by=none',
              'sort_by=', 'sort_order=up', 'sort_order=', 'status=nonsense', 'status=pending,nope,no',
              'limit=x&sort_by=none', 'limit=x&status=nope')
]
CASES['jobs/empty-forms'] = [post('/history', {'clear': True}, compare='free'), IDLE] + [
    get('/api/jobs?' + q)
    for q in ('', 'limit=5', 'offset=3', 'offset=-3', 'limit=5&offset=2', 'status=', 'status=%20',
              'status=completed,', 'status=,',
              'status=PENDING', 'status=%20pending%20,%20completed', 'status=cancelled', 'status=failed',
              'sort_by=CREATED_AT', 'sort_by=execution_duration', 'sort_order=ASC', 'workflow_id=x',
              'workflow_id=', 'limit=%205%20', 'limit=%2B5', 'limit=1_0', 'unknown=1',
              'status=pending&status=nonsense')
]
CASES['jobs/life'] = [post('/history', {'clear': True}, compare='free'), OPEN] + [
    x for i in range(3)
    for x in (prompt(empty(150 + i),
                     prompt_id=f'0c0ffee0-0000-4000-8000-00000000020{i}',
                     extra_data={'extra_pnginfo': {'workflow': {'id': f'wf{i % 2}'}}}),
              {**DONE, 'types_only': True, 'compare': 'free'}, {**HISTORY, 'compare': 'status'})
] + [
    prompt(FAILING, prompt_id='0c0ffee0-0000-4000-8000-000000000209'), ERROR,
    {**HISTORY, 'compare': 'status'}
] + [
    get('/api/jobs?' + q, pick=p)
    for q in ('', 'status=completed', 'status=failed', 'status=completed,failed', 'status=pending',
              'workflow_id=wf0', 'workflow_id=wf1', 'workflow_id=none', 'limit=2', 'limit=2&offset=1',
              'limit=2&offset=3', 'offset=9', 'sort_order=asc', 'sort_by=created_at&sort_order=asc&limit=1',
              'limit=2&offset=2') for p in ('pagination', 'jobs/0/id', 'jobs/1/id', 'jobs/2/id')
] + [
    get('/api/jobs?status=completed', 'shape', pick='jobs/0'),
    get('/api/jobs?status=completed', pick='jobs/0/preview_output'),
    get('/api/jobs?status=completed', pick='jobs/0/outputs_count'),
    get('/api/jobs?status=failed', 'keys', pick='jobs/0'),
    get('/api/jobs?status=failed', pick='jobs/0/outputs_count'),
    get('/api/jobs?status=failed', 'keys', pick='jobs/0/execution_error'),
    get('/api/jobs?sort_by=execution_duration', pick='pagination')
]
CASES['jobs/detail'] = [
    OPEN,
    prompt(empty(160), extra_data={'extra_pnginfo': {'workflow': {'id': 'wd', 'nodes': []}}}),
    {**DONE, 'types_only': True, 'compare': 'free'}, {**HISTORY, 'compare': 'status'},
    get('/api/jobs/${prompt_id}', 'shape')
] + [
    get('/api/jobs/${prompt_id}', pick=p)
    for p in ('status', 'outputs', 'outputs_count', 'preview_output', 'workflow_id', 'workflow/prompt',
              'workflow/extra_data', 'execution_status', 'id')
]
CASES['jobs/preview-of-two-nodes'] = [
    OPEN,
    prompt(
        {'1': empty_image(161), '2': node('PreviewImage', images=['1', 0]), '3': save(['1', 0], 'more_two')}),
    {**DONE, 'types_only': True, 'compare': 'free'}, {**HISTORY, 'compare': 'status'},
    get('/api/jobs/${prompt_id}', pick='outputs_count'),
    get('/api/jobs/${prompt_id}', pick='preview_output'),
    get('/api/jobs/${prompt_id}', pick='outputs')
]
CASES['jobs/preview-only'] = [
    OPEN,
    prompt({'1': empty_image(162), '2': node('PreviewImage', images=['1', 0])}),
    {**DONE, 'types_only': True, 'compare': 'free'}, {**HISTORY, 'compare': 'status'},
    get('/api/jobs/${prompt_id}', pick='outputs_count'),
    get('/api/jobs/${prompt_id}', pick='preview_output')
]
CASES['jobs/unknown'] = [
    get('/api/jobs/none'),
    get('/api/jobs/' + UNKNOWN),
    get('/api/jobs/a%2Fb'),
    get('/api/jobs/', 'status'), {'method': 'HEAD', 'path': '/api/jobs/none', 'compare': 'status'}
]

# --- what is wrong with a prompt ---
CASES['bad/body'] = [
    post('/prompt', raw=b, compare='status', also=[400])
    for b in ('', '{', '[]', '5', 'null', '"x"', '[1,2]', 'x', '{}{}', '\xff')
] + [
    post('/prompt', raw='{"prompt":{}}', request_headers={'Content-Type': 'text/plain'}),
    post('/prompt', raw='{"prompt":{}}'),
    post('/prompt', raw=' {"prompt":{} } \n')
]
CASES['bad/no-prompt'] = [
    post('/prompt', {}),
    post('/prompt', {'client_id': 'x'}),
    post('/prompt', {'number': 1, 'extra_data': 5}),
    post('/prompt', {'Prompt': {}})
]
CASES['bad/prompt-kinds'] = [
    post('/prompt', {'prompt': p}, **EMPTY400) for p in (None, 5, 'x', [], [1], True, '')
]
CASES['bad/nodes-kinds'] = [
    post('/prompt', {'prompt': {'1': n}}, **EMPTY400)
    for n in (None, 5, 'x', [], True, '', ['class_type'], 'class_type')
]
CASES['bad/no-class'] = [
    s for n in ({}, {'inputs': {}}, {'_meta': {'title': 'My node'}}, {'_meta': {'title': ''}, 'inputs': {}},
                {'_meta': {}, 'inputs': {}}, {'inputs': {}, '_meta': {'title': 'é "q"'}})
    for s in bad({'7': n})
]
CASES['bad/no-class-meta'] = [
    s for n in ({'_meta': None}, {'_meta': 5}, {'_meta': []}) for s in bad({'7': n}, **EMPTY400)
]
CASES['bad/unknown-class'] = [
    s for n in (node('NoSuchNode'), {'class_type': 'NoSuchNode', '_meta': {'title': 'My node'}},
                {'class_type': 'NoSuchNode', '_meta': {}, 'inputs': {}},
                {'class_type': 'No "q" é', 'inputs': {}}, {'class_type': ''}, {'class_type': None},
                {'class_type': 5}, {'class_type': True}, {'class_type': 'saveimage', 'inputs': {}},
                {'class_type': ' SaveImage', 'inputs': {}},
                {'class_type': 'NoSuchNode', '_meta': {'title': None}},
                {'class_type': 'NoSuchNode', '_meta': {'title': ''}}, {'class_type': 1.5})
    for s in bad({'7': n})
]
CASES['bad/unknown-class-unhashable'] = [
    s for n in ({'class_type': []}, {'class_type': {}}) for s in bad({'7': n}, **EMPTY400)
]
CASES['bad/first-bad-node-wins'] = [
    s for g in ({'1': node('A'), '2': node('B')}, {'2': node('A'), '1': node('B')},
                {'1': empty_image(), '2': node('B'), '3': {}}, {'1': save(['x', 0]), '9': node('Z')})
    for s in bad(g)
]
CASES['bad/no-outputs'] = [
    s for g in ({}, {'1': empty_image()}, {'1': empty_image('x')}, {'1': node('ImageInvert', image=['9', 0])})
    for s in bad(g)
]
CASES['bad/no-inputs'] = [
    s for n in ({'class_type': 'SaveImage'}, {'class_type': 'SaveImage', 'inputs': None},
                {'class_type': 'SaveImage', 'inputs': 5}, {'class_type': 'SaveImage', 'inputs': []},
                {'class_type': 'SaveImage', 'inputs': 'images'})
    for s in bad({'1': n}, **({} if n.keys() == {'class_type'} else EMPTY400))
]
CASES['bad/no-inputs-inner'] = [
    s for n in ({'class_type': 'EmptyImage'}, {'class_type': 'EmptyImage', 'inputs': None})
    for s in bad({'1': n, '2': save(['1', 0])}, **({} if len(n) == 1 else EMPTY400))
]
CASES['bad/missing'] = [
    s for n in (node('SaveImage'), node('SaveImage', images=['1', 0]), node('SaveImage', filename_prefix='x'),
                node('PreviewImage'), node('SaveImage', Images=['1', 0], filename_prefix='x'))
    for s in bad({'1': empty_image(), '2': n})
]
CASES['bad/missing-inner'] = bad({'1': node('EmptyImage'), '2': save(['1', 0])})
CASES['bad/missing-v3'] = bad(
    {'1': node('SolidMask', width=8), '2': node('MaskToImage', mask=['1', 0]), '3': save(['2', 0])})
CASES['bad/link-forms'] = [
    s for v in ([], ['1'], ['1', 0, 1], [['1', 0]], [None, None, None], [1, 2, 3, 4])
    for s in bad({'1': empty_image(), '2': save(v)})
]
CASES['bad/link-to-nowhere'] = [
    s for v in (['9', 0], [1, 0], [None, 0], [1.5, 0], [True, 0], [['1'], 0], [{}, 0], ['', 0])
    for s in bad({'1': empty_image(), '2': save(v)})
]
CASES['bad/link-slots'] = [
    s
    for v in (['1', 1], ['1', -2], ['1', '0'], ['1', None], ['1', 1.0], ['1', 99], ['1', []], ['1', 'IMAGE'])
    for s in bad({'1': empty_image(), '2': save(v)})
]
CASES['bad/link-slots-v3'] = [
    s for v in (['1', 1], ['1', '0'], ['1', -2]) for s in bad({
        '1': node('SolidMask', value=1, width=8, height=8), '2': node('MaskToImage', mask=v), '3': save(
            ['2', 0])
    })
]
CASES['bad/link-types'] = [
    s
    for g in ({'1': node('SolidMask', value=1, width=8, height=8), '2': save(['1', 0])},
              {'1': empty_image(), '2': node('MaskToImage', mask=['1', 0]), '3': save(['2', 0])},
              {'1': empty_image(), '2': save(['1', 0], ['1', 0])}, {
                  '1': empty_image(), '2': node('EmptyImage', width=['1', 0], height=8, batch_size=1, color=0
                                                ), '3': save(['2', 0])
              },
              {'1': empty_image(), **{k: v
                                      for k, v in scaled(upscale_method=['1', 0]).items() if k != '1'}})
    for s in bad(g)
]
CASES['bad/int-values'] = [
    s for v in ('wide', '', '1.5', None, {}, {'a': 1}, '0x10', '1e3', '--1', '1 2', '१x', 'é')
    for s in bad({'1': empty_image(w=v), '2': save(['1', 0])})
]
CASES['bad/float-values'] = [
    s for v in ('x', '', None, {}, '1,5', '1e', '0x1p3') for s in bad({
        '1': node('SolidMask', value=v, width=8, height=8), '2': node('MaskToImage', mask=['1', 0]),
        '3': save(['2', 0])
    })
]
CASES['bad/range'] = [
    s for v in (0, -1, 999999, '0', '99999', -0.5, 16385, False)
    for s in bad({'1': empty_image(w=v), '2': save(['1', 0])})
]
CASES['bad/range-float'] = [
    s for v in (-0.1, 1.1, '1.5', '-1e-9', 2, -1) for s in bad({
        '1': node('SolidMask', value=v, width=8, height=8), '2': node('MaskToImage', mask=['1', 0]),
        '3': save(['2', 0])
    })
]
CASES['bad/range-several'] = bad(
    {'1': node('EmptyImage', width=0, height=-3, batch_size=99999, color=-1), '2': save(['1', 0])})
CASES['bad/choices'] = [
    s for v in ('magic', '', None, 5, 'Lanczos', 'lanczos ', True, {}, {'a': 1}, 1.5, "it's", 'say "q"', 'é',
                'a\nb', {'__value__': ['x']}, {'__value__': 'magic'}) for s in bad(scaled(upscale_method=v))
]
CASES['bad/choices-two'] = bad(scaled(upscale_method='magic', crop='none'))
CASES['bad/file'] = [
    s for v in ('none.png', '', 'none.png [input]', 'none.png [output]', 'sub/none.png', '../x.png',
                '/etc/passwd', 'none.png [nonsense]', 'é.png')
    for s in bad({'1': node('LoadImage', image=v), '2': save(['1', 0])},
                 also=[400] if v in ('', '/etc/passwd') else [])
]  # ComfyUI takes any path of its disk
CASES['bad/file-kinds'] = [
    s for v in (5, None, True, {}, 1.5) for s in bad({'1': node('LoadImage', image=v), '2': save(['1', 0])})
]
CASES['bad/file-link'] = [
    *bad({'1': empty_image(), '3': node('LoadImage', image=['1', 0]), '2': save(['3', 0])}),
    *bad({'3': node('LoadImage'), '2': save(['3', 0])})
]
CASES['bad/mask-file-slot'] = [
    put('more_slot.png'), *bad({'1': node('LoadImage', image='more_slot.png'), '2': save(['1', 1])})
]
CASES['bad/cycle-self'] = bad({'1': node('ImageInvert', image=['1', 0]), '2': save(['1', 0])})
CASES['bad/cycle-two'] = bad(
    {'1': node('ImageInvert', image=['2', 0]), '2': node('ImageInvert', image=['1', 0]), '3': save(['1', 0])})
CASES['bad/cycle-three'] = bad({
    '1': node('ImageInvert', image=['2', 0]), '2': node('ImageInvert', image=['3', 0]),
    '3': node('ImageInvert', image=['1', 0]), '4': node('ImageInvert', image=['1', 0]), '5': save(['4', 0])
})
CASES['bad/chain'] = bad({
    '1': empty_image(w=0), '2': node('ImageInvert', image=['1', 0]), '3': node('ImageInvert', image=['2', 0]),
    '4': save(['3', 0])
})
CASES['bad/two-nodes-one-output'] = bad({
    '1': empty_image(w=0), '2': empty_image(h=0), '3': node('ImageBatch', image1=['1', 0], image2=['2', 0]),
    '4': save(['3', 0])
})
CASES['bad/own-and-inner'] = bad({'1': empty_image(w=0), '2': node('SaveImage', images=['1', 0])})
CASES['bad/unknown-in-the-middle'] = bad({'1': node('ImageInvert', image=['9', 0]), '2': save(['1', 0])})
CASES['bad/extra-inputs-are-ignored'] = bad({
    '1': {
        'class_type': 'EmptyImage', 'inputs': {
            'width': 0, 'height': 8, 'batch_size': 1, 'color': 1, 'unknown': ['x', 'y', 'z'],
            'other': {'a': 1}
        }
    }, '2': save(['1', 0])
})
CASES['bad/targets'] = [
    s for t in (['9'], [], ['1'], [2], [None], ['x', 'y'])
    for s in [OPEN, prompt(empty(170), partial_execution_targets=t)]
]
CASES['bad/targets-kinds'] = [
    s for t in (5, True) for s in [OPEN, {**prompt(empty(171), partial_execution_targets=t), **EMPTY400}]
]
CASES['bad/numbers'] = [{**prompt(empty(172), number=n), **EMPTY400} for n in ('x', None, [], {}, '')]
CASES['bad/number-without-prompt'] = [post('/prompt', {'number': 5})]
for steps in (CASES['bad/numbers'], ):
    steps.insert(0, OPEN)
CASES['bad/extra-data-kinds'] = [OPEN] + [{**prompt(empty(173), extra_data=e), **EMPTY400}
                                          for e in (5, 'x', [], [1], True)]
CASES['bad/extra-data-null'] = [
    OPEN, {**prompt(empty(173), extra_data=None), 'compare': 'status', 'also': [200, 400]}
]
CASES['bad/answer-type'] = [
    OPEN, {**prompt({}), 'headers': ['Content-Type']},
    {**prompt(empty(174)), 'headers': ['Content-Type'], 'compare': 'shape'}
]

# --- partly right ---
PART = {**empty(180), '4': node('SaveImage', filename_prefix='x')}
CASES['partly/one-of-two'] = [
    OPEN,
    prompt(PART), {**DONE, 'types_only': True},
    {**HISTORY, 'compare': 'exact', 'pick': '${prompt_id}/prompt/4'},
    get('/history/${prompt_id}', pick='${prompt_id}/prompt/2')
]
CASES['partly/shared-bad-node'] = [
    OPEN,
    prompt({'1': empty_image(181), '2': save(['1', 0]), '3': empty_image(w=0), '4': save(['3', 0])}),
    {**DONE, 'types_only': True}
]
CASES['partly/targets'] = [
    OPEN,
    prompt({'1': empty_image(182), '2': save(['1', 0]), '3': save(['1', 0], 'more_other')},
           partial_execution_targets=['3']), {**DONE, 'types_only': True},
    {**HISTORY, 'compare': 'exact', 'pick': '${prompt_id}/prompt/4'},
    get('/history/${prompt_id}', pick='${prompt_id}/outputs')
]
CASES['partly/targets-hide-the-bad'] = [
    OPEN,
    prompt({'1': empty_image(183), '2': save(['1', 0]), '3': node('SaveImage')},
           partial_execution_targets=['2']), {**DONE, 'types_only': True}
]
CASES['partly/targets-null'] = [
    OPEN, prompt(empty(184), partial_execution_targets=None), {**DONE, 'types_only': True}
]
CASES['partly/targets-text'] = [
    OPEN, {**prompt(empty(185), partial_execution_targets='2'), 'compare': 'status', 'also': [400]}, IDLE
]
CASES['partly/unknown-target-among-known'] = [
    OPEN, prompt(empty(186), partial_execution_targets=['2', '9', '1']), {**DONE, 'types_only': True}
]

# --- coercion and the stored prompt ---
INTS = {
    'text': '16', 'float': 16.9, 'space': ' 16 ', 'plus': '+16', 'under': '1_6', 'true': True,
    'small-float': 1.0, 'wrapped': {'__value__': 16}, 'wrapped-text': {'__value__': '16', 'more': 1}
}
for name, v in INTS.items():
    CASES['stored/int-' + name] = stored({'1': empty_image(190, w=v), '2': save(['1', 0])},
                                         'prompt/2/1/inputs')
FLOATS = {
    'text': '0.5', 'int': 1, 'bool': True, 'sci': '5e-1', 'point': '.5', 'space': ' 0.5\n',
    'wrapped': {'__value__': 0.25}, 'nan': 'nan', 'underscore': '0.2_5'
}
for name, v in FLOATS.items():
    CASES['stored/float-' + name] = stored(
        {
            '1': node('SolidMask', value=v, width=8, height=8), '2': node('MaskToImage', mask=['1', 0]),
            '3': save(['2', 0])
        }, 'prompt/2/1/inputs')
CASES['stored/float-nan'][1].update(compare='status', also=[400])  # NaN is no JSON: not taken
CASES['stored/float-nan'] = CASES['stored/float-nan'][:2] + [IDLE]
STRINGS = {
    'int': 5, 'float': 1.5, 'bool': True, 'null': None, 'dict': {'a': 1}, 'wrapped': {'__value__': 'more_w'},
    'big-float': 1e22, 'int-float': 5.0, 'wrapped-number': {'__value__': 7}
}
for name, v in STRINGS.items():
    CASES['stored/string-' + name] = stored({'1': empty_image(191), '2': save(['1', 0], v)},
                                            'prompt/2/2/inputs')
CASES['stored/string-wrapped-list'] = [
    OPEN,
    {**prompt({'1': empty_image(192), '2': save(['1', 0], {'__value__': ['a', 'b']})}), 'compare': 'shape'},
    {**DONE, 'types_only': True,
     'compare': 'free'}, {**HISTORY, 'compare': 'exact', 'pick': '${prompt_id}/prompt/2/2/inputs'}
]
CASES['stored/whole-prompt'] = stored(
    {
        '1': {**empty_image(193), '_meta': {'title': 'An image'}, 'more': [1, {'x': None}]}, '2': save(
                  ['1', 0])
    }, 'prompt/2')
CASES['stored/key-order'] = stored({'b': save(['a', 0]), 'a': empty_image(194)}, 'prompt/2')
CASES['stored/unused-nodes-stay'] = stored(
    {
        '1': empty_image(195), '2': save(['1', 0]), '3': empty_image(w=-5), '4': node('ImageInvert',
                                                                                      image=['nowhere', 0])
    }, 'prompt/2')
CASES['stored/extra-inputs-stay'] = stored(
    {
        '1': {
            'class_type': 'EmptyImage',
            'inputs': {'width': 8, 'height': 8, 'batch_size': 1, 'color': 1, 'unknown': [1, 2, 3]}
        }, '2': save(['1', 0])
    }, 'prompt/2/1/inputs')
CASES['stored/widget-of-optional'] = stored(scaled(crop='center', upscale_method='lanczos', width=0),
                                            'prompt/2/2/inputs')
CASES['stored/odd-ids'] = stored({'a b': empty_image(196), 'é"<>': save(['a b', 0]), '-1': empty_image(1)},
                                 'prompt/2')
CASES['stored/subgraph-ids'] = stored({'5:1': empty_image(197), '5:2': save(['5:1', 0])}, 'outputs')
CASES['stored/unicode-escapes'] = stored(
    {'1': {**empty_image(198), '_meta': {'title': 'é \U0001f600 \u2028 \t "q" \\ /'}}, '2': save(['1', 0])},
    'prompt/2/1/_meta')
CASES['stored/numbers-of-extra-data'] = stored(empty(199),
                                               'prompt/3',
                                               extra_data={
                                                   'a': 1.0, 'b': 1e2, 'c': 0.1, 'd': -0.0,
                                                   'e': 12345678901234567890, 'f': 1e-7,
                                                   'g': 123456789.123456789, 'h': 1e16, 'i': 5e-324
                                               })
CASES['stored/precise-numbers'] = [
    x for i, v in enumerate((0.1234567890123456, 0.30000000000000004, 0.7071067811865476, 1 / 3,
                             0.9999999999999999, 0.001234567890123456))
    for x in stored(
        {
            '1': node('SolidMask', value=v, width=8, height=8 +
                      i), '2': node('MaskToImage', mask=['1', 0]), '3': save(['2', 0])
        }, 'prompt/2/1/inputs/value')
]
CASES['stored/extra-data-secrets'] = stored(
    empty(200),
    'prompt/3',
    extra_data={'auth_token_comfy_org': 'secret', 'api_key_comfy_org': 'secret', 'kept': True})
CASES['stored/extra-data-client'] = stored(empty(201),
                                           'prompt/3',
                                           extra_data={'client_id': 'other', 'create_time': 5})
CASES['stored/usage-source'] = stored(empty(202), 'prompt/3')
CASES['stored/workflow'] = stored(
    empty(203),
    'prompt/3/extra_pnginfo',
    extra_data={
        'extra_pnginfo': {'workflow': {'id': 'x', 'nodes': [{'id': 1, 'pos': [1.5, 2]}], 'version': 0.4}}
    })
CASES['stored/outputs-list'] = stored({'1': empty_image(204), '2': save(['1', 0])}, 'prompt/4')
CASES['stored/texts-in-picture'] = [
    OPEN,
    prompt(
        empty(205, 8, 8, 'more_texts'),
        extra_data={'extra_pnginfo': {'workflow': {'id': 'é', 'nodes': [1.0, '"']}, 'other': {'a': [1, 2]}}}),
    {**DONE, 'types_only': True},
    view('filename=more_texts_00001_.png', compare='pixels')
]

# --- number, front, prompt_id, client_id ---
for name, extra in {
        'int': {'number': 5}, 'float': {'number': 1.5}, 'text': {'number': '7'}, 'negative': {'number': -3},
        'zero': {'number': 0}, 'bool': {'number': True}, 'big': {'number': 1e18},
        'with-front': {'number': 4, 'front': True}
}.items():
    CASES['submit/number-' + name] = [
        OPEN, {**prompt(empty(210), **extra), 'pick': 'number', 'save': {'prompt_id': 'prompt_id'}}, IDLE
    ]
CASES['submit/counter'] = [OPEN, {**prompt(empty(211)), 'compare': 'shape'}, IDLE]
CASES['submit/front-forms'] = [OPEN] + [{**prompt(empty(212 + i), front=f), 'compare': 'shape'}
                                        for i, f in enumerate((True, False, None, 1, 0, 'x', []))] + [IDLE]
for name, pid in {
        'text': 'my id', 'number': 7, 'null': None, 'list': [1], 'bool': True, 'empty': '', 'unicode': 'é',
        'upper': '0C0FFEE0-0000-4000-8000-0000000003AA', 'braces': '{x}', 'slash': 'a/b', 'float': 1.5
}.items():
    # 0.21.0 takes anything; null becomes "None" there and a fresh id in newer versions
    CASES['submit/prompt-id-' + name] = [
        OPEN, {
            **prompt(empty(220), prompt_id=pid), 'pick': 'prompt_id',
            'compare': 'status' if name in ('null', 'empty') else 'exact',
            'also': [400] if name == 'empty' else []
        }, IDLE
    ]
CASES['submit/prompt-id-in-history'] = [
    OPEN,
    prompt(empty(221), prompt_id='more id 1'), {**DONE, 'types_only': True},
    get('/history/more%20id%201', 'shape'),
    get('/api/jobs/more%20id%201', pick='status')
]
CASES['submit/prompt-id-twice'] = [
    OPEN,
    prompt(empty(222), prompt_id='0c0ffee0-0000-4000-8000-000000000301'),
    {**DONE, 'types_only': True, 'drain': True}, {**HISTORY, 'compare': 'status'}, {
        **prompt(empty(223), prompt_id='0c0ffee0-0000-4000-8000-000000000301'), 'compare': 'status',
        'also': [409]
    }, IDLE
]
for i, (name, cid) in enumerate({'empty': '', 'null': None, 'number': 5, 'unknown': 'nobody',
                                 'unicode': 'é'}.items()):  # a list ends ComfyUI
    CASES['submit/client-id-' + name] = [
        OPEN,
        {**prompt(empty(2300 + i), client_id=cid), 'compare': 'shape'},
        IDLE,
        {**HISTORY, 'compare': 'exact', 'pick': '${prompt_id}/prompt/3/client_id'},
        get('/history/${prompt_id}', pick='${prompt_id}/status/status_str'),
        get('/history/${prompt_id}', pick='${prompt_id}/status/messages/0/0'),
        get('/history/${prompt_id}', pick='${prompt_id}/outputs'),
        # without a client's id every socket of the participant hears it here, none in ComfyUI
        {
            'do': 'ws_events', 'events': EVENTS, 'types_only': True,
            'compare': 'exact' if isinstance(cid, str) and cid else 'free'
        }
    ]
CASES['submit/no-client-id'] = [
    OPEN, {
        'method': 'POST', 'path': '/prompt', 'json': {'prompt': empty(231)},
        'save': {'prompt_id': 'prompt_id'}, 'compare': 'shape'
    }, IDLE, {**HISTORY, 'compare': 'exact', 'pick': '${prompt_id}/status'},
    get('/history/${prompt_id}', pick='${prompt_id}/outputs'),
    {'do': 'ws_events', 'events': EVENTS, 'types_only': True, 'compare': 'free'},
    {'do': 'ws_events', 'events': ['progress_state'], 'types_only': True, 'once': True, 'compare': 'exact'},
    {'do': 'ws_events', 'events': ['status'], 'types_only': True, 'once': True, 'compare': 'exact'}
]
CASES['engine/same-again-is-cached'] = [
    OPEN,
    prompt(empty(232)), {**DONE, 'types_only': True, 'drain': True},
    prompt(empty(232)), DONE, HISTORY,
    get('/history/${prompt_id}', pick='${prompt_id}/outputs'),
    get('/history/${prompt_id}', pick='${prompt_id}/meta'),
    get('/history/${prompt_id}', pick='${prompt_id}/status/messages/1')
]
CASES['submit/usage-source-header'] = [
    OPEN, {**prompt(empty(233)), 'request_headers': {'Comfy-Usage-Source': 'more'}, 'compare': 'shape'},
    {**DONE, 'types_only': True, 'compare': 'free'}, {**HISTORY, 'compare': 'status'}
]

# --- running ---
CASES['run/order-of-events'] = [
    OPEN,
    prompt({
        '1': empty_image(240, 32, 16), '2': node('ImageInvert', image=['1', 0]), '3': save(['2', 0],
                                                                                           'more_chain')
    }), DONE
]
CASES['run/order-with-progress'] = [
    OPEN,
    prompt({
        '1': empty_image(241, 32, 16), '2': node('ImageInvert', image=['1', 0]), '3': save(['2', 0],
                                                                                           'more_chain')
    }),
    # `executed` comes a little later here: when its files are kept
    {
        **DONE, 'events': [*(e for e in EVENTS if e != 'executed'), 'progress_state', 'progress'],
        'types_only': True
    }
]
CASES['run/progress-state'] = [
    OPEN,
    prompt({'1': empty_image(242), '2': save(['1', 0], 'more_ps')}),
    {**DONE, 'events': ['progress_state'], 'compare': 'shape'}
]
CASES['engine/partly-cached'] = [
    OPEN,
    prompt({'1': empty_image(243), '2': save(['1', 0], 'more_pc1')}),
    {**DONE, 'drain': True, 'types_only': True},
    prompt({'1': empty_image(243), '2': save(['1', 0], 'more_pc2')}), DONE
]
CASES['engine/cached-preview'] = [
    OPEN,
    prompt({'1': empty_image(244), '2': node('PreviewImage', images=['1', 0])}),
    {**DONE, 'drain': True, 'types_only': True},
    prompt({'1': empty_image(244), '2': node('PreviewImage', images=['1', 0])}), DONE
]
CASES['run/error-event'] = [
    OPEN,
    prompt(FAILING),
    {'do': 'ws_until', 'until': 'execution_error', 'events': ['execution_error'],
     'compare': 'keys'}, {'do': 'ws_until', 'until': 'executing', 'types_only': True, 'compare': 'exact'}
]
FAILING2 = {'1': empty_image(2461), '2': save(['1', 0], '../../outside')}
CASES['run/error-fields'] = [OPEN, prompt(FAILING2), ERROR, {**HISTORY, 'compare': 'status'}] + [
    get('/history/${prompt_id}', pick='${prompt_id}/status/messages/2/1/' + p)
    for p in ('node_id', 'node_type', 'executed', 'exception_type')
] + [
    get('/history/${prompt_id}', how, pick='${prompt_id}/status/messages/2/1/' + p)
    for p, how in (('current_inputs', 'status'), ('current_outputs', 'shape'), ('traceback', 'status'))
]
CASES['engine/error-inputs'] = [
    OPEN,
    prompt(FAILING2), ERROR,
    {**HISTORY, 'compare': 'shape', 'pick': '${prompt_id}/status/messages/2/1/current_inputs'}
]
CASES['run/error-after-output'] = [
    OPEN,
    prompt({
        '1': empty_image(245), '2': save(['1', 0], 'more_before'), '3': empty_image(246), '4': save(['3', 0],
                                                                                                    '../../x')
    }), ERROR, {**HISTORY, 'compare': 'status'},
    get('/api/jobs/${prompt_id}', pick='status')
]
CASES['run/crop-outside'] = [
    OPEN,
    prompt({
        '1': empty_image(247, 16, 16), '2': node('ImageCrop', image=['1', 0], width=64, height=64, x=8, y=8),
        '3': save(['2', 0], 'more_crop')
    }), {**DONE, 'types_only': True},
    view('filename=more_crop_00001_.png', compare='pixels')
]
CASES['run/scale-methods'] = [
    x for i, m in enumerate(('nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos'))
    for x in ((OPEN, ) if i == 0 else ()) +
    (put(f'more_g{i}.png', GRADIENT),
     prompt({
         '1': node('LoadImage', image=f'more_g{i}.png'), **{
             k: v
             for k, v in scaled(upscale_method=m, width=20, height=30).items() if k == '2'
         }, '3': save(['2', 0], 'more_scale_' + m)
     }), {**DONE, 'types_only': True, 'drain': True})
] + [view('filename=more_scale_nearest-exact_00001_.png', compare='pixels')]
CASES['run/scale-zero'] = [
    OPEN,
    put('more_gz.png', GRADIENT),
    prompt({
        '1':
            node('LoadImage', image='more_gz.png'), '2':
                node('ImageScale',
                     image=['1', 0],
                     upscale_method='nearest-exact',
                     width=0,
                     height=16,
                     crop='disabled'), '3':
                         save(['2', 0], 'more_zero')
    }), {**DONE, 'types_only': True},
    view('filename=more_zero_00001_.png', compare='pixels')
]
CASES['run/batch-of-sizes'] = [
    OPEN,
    prompt({
        '1': empty_image(255, 16, 16), '2': empty_image(65280, 32, 8), '3': node('ImageBatch',
                                                                                 image1=['1', 0],
                                                                                 image2=['2', 0]),
        '4': save(['3', 0], 'more_b2')
    }), {**DONE, 'types_only': True}, {**HISTORY, 'pick': '${prompt_id}/outputs', 'compare': 'exact'},
    view('filename=more_b2_00001_.png', compare='pixels')
]
CASES['run/load-annotated'] = [
    put('more_out_in.png', GREEN, ('type', 'output')), OPEN,
    prompt({'1': node('LoadImage', image='more_out_in.png [output]'), '2': save(['1', 0], 'more_ann')}),
    {**DONE, 'types_only': True},
    view('filename=more_ann_00001_.png', compare='pixels')
]
CASES['run/load-subfolder'] = [
    put('more_sub.png', GREEN, ('subfolder', 'deep/er')), OPEN,
    prompt({'1': node('LoadImage', image='deep/er/more_sub.png'), '2': save(['1', 0], 'more_lsub')}),
    {**DONE, 'types_only': True},
    view('filename=more_lsub_00001_.png', compare='pixels')
]
CASES['run/load-broken'] = [
    put('more_broken.png', TEXT), OPEN,
    prompt({'1': node('LoadImage', image='more_broken.png'), '2': save(['1', 0])}),
    {**ERROR, 'compare': 'exact'}, {**HISTORY, 'pick': '${prompt_id}/status/status_str', 'compare': 'exact'}
]
CASES['run/save-names'] = [
    x for i, p in enumerate(('more_pre/fix', 'more_%width%x%height%', 'more_%year%', 'more sp', 'more_été',
                             'more.dot', 'more_a/b/c', 'more_%batch_num%', '', '/', 'more_x/',
                             'more_%unknown%')) for x in ((OPEN, ) if i == 0 else ()) +
    ({**prompt({'1': empty_image(300 + i), '2': save(['1', 0], p)}), 'compare': 'shape'},
     {**DONE, 'types_only': True, 'drain': True}, {
         **HISTORY, 'pick': '${prompt_id}/outputs/2', 'compare': 'exact' if p not in
                                                                 ('more_%year%', ) else 'shape'
     })
]
CASES['run/temp-view'] = [
    OPEN,
    prompt({'1': empty_image(320), '2': node('PreviewImage', images=['1', 0])}), {**DONE, 'types_only': True},
    {**HISTORY, 'pick': '${prompt_id}/outputs/2/images/0/type', 'compare': 'exact'}
]
CASES['run/view-output'] = [
    OPEN,
    prompt(empty(321, 12, 10, 'more_vo')), {**DONE, 'types_only': True},
    view('filename=more_vo_00001_.png&type=output&subfolder=',
         compare='pixels',
         headers=['Content-Type', 'Content-Disposition']),
    view('filename=more_vo_00001_.png', compare='pixels'),
    view('filename=more_vo_00001_.png&type=input', compare='status'),
    get('/internal/files/output', 'status')
]
CASES['run/counter'] = [
    OPEN,
    prompt(empty(322, prefix='more_cnt')), {**DONE, 'types_only': True, 'drain': True},
    prompt(empty(323, prefix='more_cnt')), {**DONE, 'types_only': True},
    view('filename=more_cnt_00001_.png', compare='pixels'),
    view('filename=more_cnt_00002_.png', compare='pixels'),
    view('filename=more_cnt_00003_.png', compare='status')
]
CASES['run/mask-chain'] = [
    OPEN,
    prompt({
        '1': node('SolidMask', value=0.25, width=16, height=8), '2': node('InvertMask', mask=['1', 0]),
        '3': node('MaskToImage', mask=['2', 0]), '4': save(['3', 0], 'more_mc')
    }), {**DONE, 'types_only': True},
    view('filename=more_mc_00001_.png', compare='pixels')
]
CASES['run/two-outputs'] = [
    OPEN,
    prompt({'1': empty_image(324), '2': save(['1', 0], 'more_to1'), '3': save(['1', 0], 'more_to2')}),
    {**DONE, 'types_only': True}, {**HISTORY, 'pick': '${prompt_id}/outputs', 'compare': 'exact'},
    get('/history/${prompt_id}', pick='${prompt_id}/meta')
]
CASES['run/link-to-alpha'] = [
    put('more_al.png', RGBA), OPEN,
    prompt({
        '1': node('LoadImage', image='more_al.png'), '2': node('MaskToImage', mask=['1', 1]),
        '3': save(['2', 0], 'more_al_out'), '4': save(['1', 0], 'more_al_rgb')
    }), {**DONE, 'types_only': True},
    view('filename=more_al_out_00001_.png', compare='pixels'),
    view('filename=more_al_rgb_00001_.png', compare='pixels')
]

# --- the socket ---
SHOWN = ['status', 'feature_flags', *EVENTS]
FLAGS = {'do': 'ws_send', 'json': {'type': 'feature_flags', 'data': {'supports_preview_metadata': True}}}


def seen(**kw):
    return {'do': 'ws_events', 'events': SHOWN, 'types_only': True, 'once': True, 'compare': 'exact', **kw}


CASES['ws/greeting'] = [IDLE, OPEN, {'do': 'ws_events', 'events': ['status'], 'compare': 'exact'}]
CASES['ws/anonymous'] = [
    IDLE, {'do': 'ws_open', 'anonymous': True}, {'do': 'ws_events', 'events': ['status'], 'compare': 'exact'}
]
CASES['ws/empty-client-id'] = [
    IDLE, {'do': 'ws_open', 'anonymous': True, 'path': '/ws?clientId='},
    {'do': 'ws_events', 'events': ['status'], 'compare': 'exact'}
]
CASES['ws/odd-client-ids'] = [IDLE] + [
    x for c in ('a%20b', '%C3%A9', 'x' * 200, '%22', 'a%2Fb', '0')
    for x in ({'do': 'ws_open', 'anonymous': True, 'path': '/ws?clientId=' + c},
              {'do': 'ws_events', 'events': ['status'], 'compare': 'exact'})
]
CASES['ws/api-path'] = [
    IDLE, {'do': 'ws_open', 'path': '/api/ws'}, {'do': 'ws_events', 'events': ['status'], 'compare': 'exact'}
]
CASES['ws/flags-first'] = [IDLE, OPEN, FLAGS, seen()]
CASES['ws/flags-twice'] = [
    IDLE, OPEN, FLAGS, FLAGS,
    {'do': 'ws_events', 'events': ['feature_flags'], 'types_only': True, 'compare': 'exact'}
]
CASES['ws/flags-second'] = [IDLE, OPEN, {'do': 'ws_send', 'json': {'type': 'hello'}}, FLAGS, seen()]
CASES['ws/flags-after-bad-json'] = [IDLE, OPEN, {'do': 'ws_send', 'raw': '{nope'}, FLAGS, seen()]
CASES['ws/flags-after-list'] = [IDLE, OPEN, {'do': 'ws_send', 'raw': '[1]'}, FLAGS, seen()]
CASES['ws/flags-after-number'] = [IDLE, OPEN, {'do': 'ws_send', 'raw': '5'}, FLAGS, seen()]
CASES['ws/flags-after-empty'] = [IDLE, OPEN, {'do': 'ws_send', 'raw': ''}, FLAGS, seen()]
CASES['ws/flags-after-empty-object'] = [IDLE, OPEN, {'do': 'ws_send', 'raw': '{}'}, FLAGS, seen()]
CASES['ws/flags-after-binary'] = [IDLE, OPEN, {'do': 'ws_send', 'bytes': b'\x00\x01'}, FLAGS, seen()]
CASES['ws/flags-forms'] = [
    x for d in ({'type': 'feature_flags'}, {'type': 'feature_flags', 'data': None},
                {'type': 'feature_flags', 'data': []}, {'type': 'feature_flags', 'data': 5})
    for x in (IDLE, OPEN, {'do': 'ws_send', 'json': d}, seen())
]
CASES['ws/flags-answer'] = [OPEN, FLAGS, {'do': 'ws_events', 'events': ['feature_flags'], 'compare': 'keys'}]
CASES['ws/kept-open'] = [
    IDLE, OPEN, *[{'do': 'ws_send', 'raw': t} for t in ('x', '{"type":"y"}', '[]', 'null')],
    prompt(empty(330)), {**DONE, 'types_only': True}
]
CASES['ws/two-with-one-id'] = [
    OPEN, {'do': 'ws_open', 'as': 'second'},
    prompt(empty(331)),
    {'do': 'ws_until', 'as': 'second', 'until': 'executing', 'types_only': True, 'compare': 'exact'}
]
# The older socket goes deaf in ComfyUI; both hearing is better (and was decided so).
CASES['ws/older-of-two'] = [
    OPEN, {'do': 'ws_open', 'as': 'second'},
    prompt(empty(332)),
    {'do': 'ws_until', 'as': 'second', 'until': 'executing', 'types_only': True, 'compare': 'exact'}, IDLE
]
CASES['ws/other-client-hears-status-only'] = [
    OPEN, {'do': 'ws_open', 'as': 'second', 'client': 'other'},
    prompt(empty(333)), {**DONE, 'types_only': True},
    seen(**{'as': 'second'})
]
CASES['ws/status-counts'] = [
    IDLE, OPEN,
    prompt(empty(334)), {**DONE, 'types_only': True},
    {'do': 'ws_events', 'events': ['status'], 'compare': 'exact'}
]
CASES['ws/reconnect-while-running'] = [
    OPEN,
    busy(6), RUNNING, {'do': 'sleep', 'seconds': 0.3}, {'do': 'ws_close'},
    {'do': 'ws_open', 'as': 'again', 'settle': 1.0}, {
        'do': 'ws_events', 'as': 'again', 'events': ['executing'], 'types_only': True, 'once': True,
        'compare': 'exact'
    }, *STOP
]
CASES['ws/clear-sends-status'] = [
    OPEN,
    busy(7), RUNNING,
    waits(335, 'w1'), {'do': 'ws_events', 'events': ['none'], 'drain': True, 'compare': 'free'},
    post('/queue', {'delete': ['${w1}']}, compare='bytes'),
    {'do': 'ws_events', 'events': ['status'], 'once': True, 'compare': 'exact'}, *STOP
]
CASES['ws/previews-legacy'] = [
    OPEN,
    prompt(empty(336)), {**DONE, 'types_only': True},
    {'do': 'ws_events', 'events': ['binary'], 'compare': 'exact'}
]
CASES['ws/plain-get'] = [
    get('/ws', 'status'),
    get('/ws?clientId=x', 'status'),
    post('/ws', {}, compare='status')
]

# --- who may ask ---
for name, headers in {
        'cross-site': {'Sec-Fetch-Site': 'cross-site'}, 'same-origin': {'Sec-Fetch-Site': 'same-origin'},
        'none': {'Sec-Fetch-Site': 'none'}, 'other-origin': {'Origin': 'http://evil.example'},
        'other-port': {'Origin': 'http://127.0.0.1:1'}, 'null-origin': {'Origin': 'null'},
        'look-alike': {'Origin': 'http://127.0.0.1.evil.example'}, 'empty-origin': {'Origin': ''},
        'same-site': {'Sec-Fetch-Site': 'same-site'}
}.items():
    # "same-site" and the origin "null" are another origin's: refused here, taken by ComfyUI
    steps = [
        get('/queue', 'status', request_headers=headers),
        post('/queue', {'clear': False}, compare='status', request_headers=headers),
        post('/prompt', {}, compare='status', request_headers=headers),
        {'method': 'OPTIONS', 'path': '/prompt', 'compare': 'status',
         'request_headers': headers}, {'path': '/', 'compare': 'status', 'request_headers': headers}
    ]
    if name in ('same-site', 'null-origin', 'empty-origin'):
        for s in steps:
            s['also'] = [403]
    CASES['guard/' + name] = steps
CASES['guard/no-origin'] = [post('/queue', {'clear': False}, compare='status')]

# --- the last ones ---


def raw_part(disposition, body=b'abc', last=b'--b--\r\n', **kw):
    """One part with this Content-Disposition, as it is."""
    return {
        'method': 'POST', 'path': '/upload/image', 'request_headers': {
            'Content-Type': 'multipart/form-data; boundary=b'
        }, 'raw': b'--b\r\nContent-Disposition: ' + disposition + b'\r\n\r\n' + body + b'\r\n' + last, **kw
    }


AGAIN = b'--b\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\n1\r\n--b--\r\n'
CASES['upload/filename-extended'] = [
    raw_part(b"form-data; name=\"image\"; filename*=UTF-8''more_st%C3%A9r.png", last=AGAIN),
    raw_part(b"form-data; name=\"image\"; filename=\"more_p.png\"; filename*=UTF-8''more_s.png", last=AGAIN)
]
CASES['upload/head-forms'] = [
    raw_part(b'form-data; name=image; filename=more_unquoted.png', last=AGAIN),
    raw_part(b'form-data;name="image";filename="more_tight.png"', last=AGAIN),
    raw_part(b'form-data; filename="more_turned.png"; name="image"', last=AGAIN),
    raw_part(b'Form-Data; Name="image"; Filename="more_case.png"', last=AGAIN)
]
CASES['upload/no-last-boundary'] = [
    raw_part(b'form-data; name="image"; filename="more_cut.png"', last=b'', **EMPTY400)
]
CASES['route/encoded-letters'] = [get('/%71ueue', 'status'), get('/api/%71ueue', 'status')]
CASES['ws/twelve-sockets'] = [IDLE] + [
    x for i in range(12) for x in ({
        'do': 'ws_open', 'as': f's{i}', 'settle': 0.1
    }, {
        'do': 'ws_events', 'as': f's{i}', 'events': ['status'], 'types_only': True, 'compare': 'exact',
        'seconds': 0.1
    })
]
CASES['submit/surrogate'] = [
    OPEN, {
        'method': 'POST', 'path': '/prompt', 'raw': json.dumps({
            'prompt': {**empty(340), '1': {**empty_image(340), '_meta': {'title': 'half \ud83d'}}}
        }), **EMPTY400
    }, IDLE
]
CASES['submit/nan'] = [
    OPEN, {
        'method': 'POST', 'path': '/prompt', 'raw': json.dumps({
            'prompt': empty(341), 'extra_data': {'x': float('nan')}
        }), **EMPTY400
    }, IDLE
]

CASES = {k: v for k, v in CASES.items() if v}
