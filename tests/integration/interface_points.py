#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The easily missed points of ComfyUI's interface, G1 to G45 of its reference, one function each, against the
built server with a worker.

Points that need an engine's special events are unit tests whose names begin with their number: G20 (a long
list of choices), G22 (cached nodes), G24 (previews for old clients), G27 (a blocked node).

  interface_points.py [WORD]   only the points whose name contains WORD
"""

import asyncio, inspect, itertools, json, os, sys
import aiohttp
from atelier_processes import Workshop, png

STEP_MS = 15
counter = itertools.count(1)


def save(color=None, prefix='point', width=16, **more):
    color = next(counter) if color is None else color
    inputs = {'width': width, 'height': 16, 'batch_size': 1, 'color': color, **more}
    return {
        '1': {'class_type': 'EmptyImage', 'inputs': inputs},
        '2': {'class_type': 'SaveImage', 'inputs': {'images': ['1', 0], 'filename_prefix': prefix}},
    }


def slow(nodes=150):
    """A chain that runs for some seconds."""
    graph = save()
    for n in range(10, 10 + nodes):
        before = '1' if n == 10 else str(n - 1)
        graph[str(n)] = {'class_type': 'ImageInvert', 'inputs': {'image': [before, 0]}}
    graph['2']['inputs']['images'] = [str(9 + nodes), 0]
    return graph


class Seat:
    """One participant, spoken to as a client would."""

    def __init__(self, http, url, number):
        self.http, self.base = http, f'{url}/user/{number}'

    async def ask(self, method, path, expect=200, **arguments):
        async with self.http.request(method, self.base + path, **arguments) as answer:
            body = await answer.read()
            assert answer.status == expect, f'{method} {path}: {answer.status} {body[:300]!r}'
            self.headers = answer.headers
            try:
                return json.loads(body)
            except ValueError:
                return body.decode(errors='replace')

    async def get(self, path, expect=200, **arguments):
        return await self.ask('GET', path, expect, **arguments)

    async def post(self, path, body=None, expect=200, **arguments):
        if body is not None:
            arguments['json'] = body
        return await self.ask('POST', path, expect, **arguments)

    async def prompt(self, graph, expect=200, **more):
        return await self.post('/prompt', {'prompt': graph, **more}, expect)

    async def ended(self, prompt_id):
        for _ in range(1500):
            found = (await self.get(f'/history/{prompt_id}')).get(prompt_id)
            if found:
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(f'{prompt_id} does not end')

    async def run(self, graph, **more):
        prompt_id = (await self.prompt(graph, **more))['prompt_id']
        return prompt_id, await self.ended(prompt_id)

    async def upload(self, name, data, expect=200, **fields):
        form = aiohttp.FormData()
        form.add_field('image', data, filename=name, content_type='image/png')
        for key, value in fields.items():
            form.add_field(key, value)
        return await self.ask('POST', '/upload/image', expect, data=form)

    def socket(self, client_id='me', first=None):
        return Socket(self, client_id, first)


class Socket:
    def __init__(self, seat, client_id, first):
        self.seat, self.client_id, self.first = seat, client_id, first

    async def __aenter__(self):
        query = '' if self.client_id is None else f'?clientId={self.client_id}'
        self.ws = await self.seat.http.ws_connect(self.seat.base + '/ws' + query)
        if self.first is not None:
            await self.ws.send_json(self.first)
        return self

    async def __aexit__(self, *_):
        await self.ws.close()

    async def next(self, seconds=20):
        while True:
            message = await asyncio.wait_for(self.ws.receive(), seconds)
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
            if message.type == aiohttp.WSMsgType.TEXT:
                return json.loads(message.data)

    async def until(self, kind, seconds=20, **data):
        """All messages up to the first of this type with these members in its data."""
        seen = []
        while True:
            message = await self.next(seconds)
            seen.append(message)
            if message['type'] == kind and all(message['data'].get(k) == v for k, v in data.items()):
                return seen

    async def quiet(self, seconds=0.4):
        """What comes until nothing has come for a while."""
        seen = []
        try:
            while True:
                seen.append(await self.next(seconds))
        except asyncio.TimeoutError:
            return seen


def types(messages):
    return [message['type'] for message in messages]


def remaining(message):
    return message['data']['status']['exec_info']['queue_remaining']


# --- the points -----------------------------------------------------------------------------------------------
async def g01_routes_are_doubled_but_jobs_and_internal(me, other):
    for path in ('/queue', '/api/queue', '/api/jobs', '/internal/files/input', '/history', '/api/history'):
        await me.get(path)
    for path in ('/jobs', '/api/internal/files/input', '/api/internal/logs'):
        await me.get(path, 404)


async def g02_what_is_missing_is_200_and_empty(me, other):
    assert await me.get('/history/nobody') == {}
    assert await me.get('/object_info/Nobody') == {}
    assert await me.get('/global_subgraphs/nobody') is None
    assert await me.get('/settings/nobody') is None


async def g03_the_first_frame_is_status_with_sid(me, other):
    async with me.socket('my-id') as socket:
        first = await socket.next()
        assert first['type'] == 'status' and first['data']['sid'] == 'my-id', first
    async with me.socket(None) as socket:
        assert len((await socket.next())['data']['sid']) == 32


async def g04_feature_flags_count_as_the_first_message_only(me, other):
    flags = {'type': 'feature_flags', 'data': {'supports_preview_metadata': True}}
    async with me.socket(first=flags) as socket:
        assert (await socket.until('feature_flags'))[-1]['data'] == await me.get('/features')
        await socket.ws.send_json(flags)
        assert 'feature_flags' not in types(await socket.quiet())
    async with me.socket(first={'type': 'hello'}) as socket:
        await socket.ws.send_json(flags)
        assert 'feature_flags' not in types(await socket.quiet())


async def g05_the_end_of_an_old_socket_leaves_the_new_one_its_events(me, other):
    async with me.socket('twice') as old, me.socket('twice') as new:
        await old.ws.close()
        await me.prompt(save(), client_id='twice')
        assert 'executed' in types(await new.until('executing', node=None))


async def g06_events_without_a_client_stay_with_their_participant(me, other):
    async with me.socket('a') as mine, other.socket('a') as theirs:
        await theirs.quiet(0.2)
        prompt_id = (await me.prompt(save()))['prompt_id']
        seen = await mine.until('progress_state', prompt_id=prompt_id)
        await me.ended(prompt_id)
        seen += await mine.quiet()
        assert not {'executing', 'executed', 'execution_success'} & set(types(seen)), types(seen)
        assert types(await theirs.quiet()) == []


async def g07_an_empty_client_id_is_nobody(me, other):
    async with me.socket('a') as mine:
        await me.run(save(), client_id='')
        seen = set(types(await mine.quiet()))
        assert seen <= {'status', 'atelier.queue', 'progress', 'progress_state'}, seen


async def g08_history_is_there_when_a_run_is_said_to_be_over(me, other):
    async with me.socket('a') as mine:
        prompt_id = (await me.prompt(save(), client_id='a'))['prompt_id']
        seen = await mine.until('executing', node=None, prompt_id=prompt_id)
        assert 'execution_success' in types(seen)
        assert prompt_id in await me.get(f'/history/{prompt_id}')


async def g09_a_failure_ends_with_executing_null_too(me, other):
    await me.upload('broken.png', b'this is no picture', overwrite='true')
    graph = save()
    graph['1'] = {'class_type': 'LoadImage', 'inputs': {'image': 'broken.png'}}
    async with me.socket('a') as mine:
        prompt_id = (await me.prompt(graph, client_id='a'))['prompt_id']
        seen = await mine.until('executing', node=None, prompt_id=prompt_id)
        error = next(message['data'] for message in seen if message['type'] == 'execution_error')
        assert error['node_id'] == '1' and error['node_type'] == 'LoadImage', error
        assert types(seen).index('execution_error') < len(seen) - 1


async def g10_the_count_is_not_zero_while_a_job_is_anywhere(me, other):
    prompt_id = (await me.prompt(slow()))['prompt_id']
    async with me.socket('late') as late:
        while not await me.get(f'/history/{prompt_id}'):
            assert (await me.get('/prompt'))['exec_info']['queue_remaining'] >= 1 or await me.get(
                f'/history/{prompt_id}')  # fmt: skip
            await asyncio.sleep(0.05)
        counts = [remaining(message) for message in await late.quiet(0.2) if message['type'] == 'status']
        assert counts[0] == 1 and counts[-1] == 0, counts


async def g11_a_status_follows_each_submit_and_counts_ones_own_only(me, other):
    async with me.socket('a') as mine, other.socket('a') as theirs:
        await mine.quiet(0.2), await theirs.quiet(0.2)
        running = (await me.prompt(slow(60)))['prompt_id']
        status = (await mine.until('status'))[-1]
        assert remaining(status) == 1
        assert 'status' not in types(await theirs.quiet())
        await me.ended(running)


async def g12_pending_jobs_stand_in_the_order_in_which_they_run(me, other):
    first = (await me.prompt(slow(60)))['prompt_id']
    numbers = [7, 3, 5]
    for number in numbers:
        await me.prompt(save(), number=1000 + number)
    pending = (await me.get('/queue'))['queue_pending']
    assert [entry[0] for entry in pending][-3:] == [1003, 1005, 1007], [entry[0] for entry in pending]
    await me.post('/queue', {'clear': True})
    await me.ended(first)


async def g13_front_is_a_negative_counter_that_failures_advance_too(me, other):
    running = (await me.prompt(slow(60)))['prompt_id']
    a = await me.prompt(save(), front=True)
    b = await me.prompt(save(), front=True)
    assert a['number'] < 0 and b['number'] == a['number'] - 1, (a, b)
    await me.prompt({'1': {'class_type': 'Nobody', 'inputs': {}}}, 400)
    c = await me.prompt(save())
    assert c['number'] >= -b['number'] + 1, (b, c)
    pending = [entry[1] for entry in (await me.get('/queue'))['queue_pending']]
    assert pending[:2] == [b['prompt_id'], a['prompt_id']], pending
    await me.post('/queue', {'clear': True})
    await me.ended(running)


async def g14_numbers_of_clients_are_floats_and_ties_are_no_error(me, other):
    running = (await me.prompt(slow(60)))['prompt_id']
    before = await me.prompt(save())
    body = {'prompt': save(), 'number': 500}
    async with me.http.post(me.base + '/prompt', json=body) as answer:
        assert '"number": 500.0' in (await answer.text()).replace('":5', '": 5')
    await me.prompt(save(), number=500)
    await me.get('/queue')
    after = await me.prompt(save())
    assert after['number'] > before['number']
    await me.post('/queue', {'clear': True})
    await me.ended(running)


async def g15_a_prompt_id_is_any_text(me, other):
    assert (await me.prompt(save(), prompt_id='my own id / 1'))['prompt_id'] == 'my own id / 1'
    assert len((await me.prompt(save(), prompt_id=None))['prompt_id']) == 36


async def g16_a_reused_prompt_id_takes_its_old_place_in_history(me, other):
    await me.post('/history', {'clear': True})
    await me.run(save(1), prompt_id='again')
    await me.run(save(2), prompt_id='later')
    await me.prompt(save(3), prompt_id='again')
    for _ in range(500):
        history = await me.get('/history')
        if history['again']['prompt'][2]['1']['inputs']['color'] == 3:
            break
        await asyncio.sleep(0.02)
    assert list(history) == ['again', 'later'], list(history)


async def g17_a_partly_valid_graph_runs_and_tells_its_errors(me, other):
    graph = save()
    graph['3'] = {'class_type': 'SaveImage', 'inputs': {'filename_prefix': 'x'}}
    answer = await me.prompt(graph)
    assert answer['node_errors']['3']['errors'][0]['type'] == 'required_input_missing'
    assert list((await me.ended(answer['prompt_id']))['outputs']) == ['2']


async def g18_only_nodes_with_reasons_of_their_own_have_errors(me, other):
    graph = save(width=-1)
    graph['3'] = {'class_type': 'SaveImage', 'inputs': {'images': ['1', 0], 'filename_prefix': 'y'}}
    errors = (await me.prompt(graph, 400))['node_errors']
    assert list(errors) == ['1'] and sorted(errors['1']['dependent_outputs']) == ['2', '3'], errors


async def g19_values_are_coerced_in_the_stored_prompt(me, other):
    graph = save(width='32')
    graph['2']['inputs']['filename_prefix'] = {'__value__': 'wrapped'}
    prompt_id, item = await me.run(graph)
    stored = item['prompt'][2]
    assert stored['1']['inputs']['width'] == 32 and stored['2']['inputs']['filename_prefix'] == 'wrapped'
    graph['2']['inputs']['filename_prefix'] = ['a', 'b', 'c']
    errors = (await me.prompt(graph, 400))['node_errors']
    assert errors['2']['errors'][0]['type'] == 'bad_linked_input'


async def g21_a_missing_image_fails_its_own_validator(me, other):
    graph = save()
    graph['1'] = {'class_type': 'LoadImage', 'inputs': {'image': 'nowhere.png'}}
    error = (await me.prompt(graph, 400))['node_errors']['1']['errors'][0]
    assert error['type'] == 'custom_validation_failed', error


async def g23_progress_state_is_a_whole_snapshot_by_node(me, other):
    async with me.socket('a') as mine:
        prompt_id = (await me.prompt(save(), client_id='a'))['prompt_id']
        seen = await mine.until('executing', node=None, prompt_id=prompt_id)
        states = [message['data'] for message in seen if message['type'] == 'progress_state']
        assert states and all(state['prompt_id'] == prompt_id for state in states)
        node = states[-1]['nodes']['2']
        assert node['node_id'] == node['display_node_id'] == '2' and node['prompt_id'] == prompt_id, node


async def g25_text_frames_of_the_new_form_are_not_promised(me, other):
    assert 'supports_progress_text_metadata' not in await me.get('/features')


async def g26_an_interruption_is_told_to_its_client_only(me, other):
    async with me.socket('a') as mine, me.socket('b') as second:
        prompt_id = (await me.prompt(slow(), client_id='a'))['prompt_id']
        await mine.until('execution_start', prompt_id=prompt_id)
        await me.post('/interrupt')
        await mine.until('execution_interrupted', prompt_id=prompt_id)
        assert 'execution_interrupted' not in types(await second.quiet())
        await me.ended(prompt_id)


async def g28_an_interrupted_run_is_an_error_whose_messages_tell(me, other):
    async with me.socket('a') as mine:
        prompt_id = (await me.prompt(slow(), client_id='a'))['prompt_id']
        await mine.until('execution_start', prompt_id=prompt_id)
        await me.post('/interrupt', {'prompt_id': prompt_id})
        status = (await me.ended(prompt_id))['status']
        assert status['status_str'] == 'error' and status['completed'] is False
        assert 'execution_interrupted' in [name for name, _ in status['messages']]
        jobs = (await me.get('/api/jobs', params={'status': 'cancelled'}))['jobs']
        assert prompt_id in [job['id'] for job in jobs]


async def g29_deleting_the_only_waiting_job_is_told_by_status(me, other):
    async with me.socket('a') as mine:
        running = (await me.prompt(slow(60)))['prompt_id']
        waiting = (await me.prompt(save()))['prompt_id']
        await me.post('/queue', {'delete': [waiting, 'nobody']})
        seen = await mine.quiet(0.3)
        assert 2 in map(remaining, (m for m in seen if m['type'] == 'status'))
        assert [remaining(m) for m in seen if m['type'] == 'status'][-1] <= 1
        await me.ended(running)


async def g30_an_interrupt_without_a_body_stops_ones_own_only(me, other):
    theirs = (await other.prompt(slow(60)))['prompt_id']
    await me.post('/interrupt')
    await me.ask('POST', '/interrupt', 200, data=b'no json')
    assert (await other.ended(theirs))['status']['completed'] is True


async def g31_uploads_are_the_same_only_by_name_and_bytes(me, other):
    one, two = png(color=(1, 1, 1)), png(color=(2, 2, 2))
    name = f'point-{next(counter)}.png'
    assert (await me.upload(name, one))['name'] == name
    assert (await me.upload(name, one))['name'] == name
    assert (await me.upload(name, two))['name'] == name.replace('.png', ' (1).png')
    assert (await me.upload('other-' + name, one))['name'] == 'other-' + name
    await me.upload(name, one, 400, type='nonsense')


async def g32_a_mask_for_a_missing_picture_is_answered_with_its_name(me, other):
    form = aiohttp.FormData()
    form.add_field('image', png(), filename='mask-of-nothing.png', content_type='image/png')
    form.add_field('original_ref', json.dumps({'filename': 'nowhere.png', 'type': 'input'}))
    answer = await me.ask('POST', '/upload/mask', 200, data=form)
    assert answer['name'] == 'mask-of-nothing.png', answer
    assert 'mask-of-nothing.png [input]' not in await me.get('/internal/files/input')


async def g33_view_refuses_two_dots_anywhere_and_cuts_annotations_blindly(me, other):
    await me.upload('seen.png', png(), overwrite='true')
    view = lambda expect, **query: me.get('/view', expect, params=query)  # noqa: E731
    await view(400, filename='a..b.png')
    await view(400, filename='/seen.png', type='input')
    await view(200, filename='any/folder/seen.png', type='input')
    await view(200, filename='seen.png [input]', type='output')
    await view(200, filename='seen.png#[input]')
    await view(404, filename='seen.png[input]')
    await view(404)
    await view(400, filename='')
    await view(400, filename='seen.png', type='nonsense')
    await view(403, filename='seen.png', type='input', subfolder='../..')


async def g34_model_routes_know_registered_folders_only(me, other):
    assert await me.get('/models/diffusion_models') == []
    for legacy in ('unet', 'clip'):
        await me.get(f'/models/{legacy}', 404)
        await me.get(f'/view_metadata/{legacy}', 404, params={'filename': 'x.safetensors'})


async def g35_a_user_file_is_one_segment_decoded_twice(me, other):
    from yarl import URL

    async def raw(method, path, expect, **arguments):
        url = URL(me.base + path, encoded=True)
        async with me.http.request(method, url, **arguments) as answer:
            assert answer.status == expect, (path, answer.status, await answer.text())
            return await answer.text()

    await raw('POST', '/userdata/workflows%2Ftwice.json', 200, data=b'{"n":1}')
    assert await raw('GET', '/userdata/workflows%252Ftwice.json', 200) == '{"n":1}'
    await raw('GET', '/userdata/workflows/twice.json', 404)
    await raw('GET', '/userdata/made%2Fhere%2Fnothing.json', 404)


async def g36_times_are_ms_in_one_listing_and_seconds_in_the_other(me, other):
    await me.ask('POST', '/userdata/workflows%2F.index.json', 200, data=b'{}')
    await me.ask('POST', '/userdata/workflows%2Fa.json', 200, data=b'{}')
    listed = await me.get('/userdata', params={'dir': 'workflows', 'full_info': 'true'})
    entry = next(entry for entry in listed if entry['path'] == 'a.json')
    assert isinstance(entry['modified'], int) and entry['modified'] > 1e12, entry
    second = await me.get('/v2/userdata', params={'path': 'workflows'})
    entry = next(entry for entry in second if entry['name'] == 'a.json')
    assert isinstance(entry['modified'], float) and entry['modified'] < 1e11, entry
    assert '.index.json' not in [entry['path'] for entry in listed]
    assert await me.get('/userdata/workflows%2F.index.json') == {}


async def g37_delete_is_204_move_and_save_are_200_conflicts_are_text(me, other):
    from yarl import URL

    async def raw(method, path, expect):
        async with me.http.request(method, URL(me.base + path, encoded=True), data=b'{}') as answer:
            assert answer.status == expect, (path, answer.status)
            return answer

    await raw('POST', '/userdata/workflows%2Fone.json?overwrite=true', 200)
    await raw('POST', '/userdata/workflows%2Ftwo.json?overwrite=true', 200)
    conflict = await raw('POST', '/userdata/workflows%2Fone.json?overwrite=false', 409)
    assert conflict.content_type == 'text/plain'
    await raw('POST', '/userdata/workflows%2Fone.json/move/workflows%2Ftwo.json?overwrite=false', 409)
    await raw('POST', '/userdata/workflows%2Fone.json/move/workflows%2Fthree.json', 200)
    await raw('DELETE', '/userdata/workflows%2Fthree.json', 204)
    await raw('DELETE', '/userdata/workflows%2Fthree.json', 404)


async def g38_settings_are_read_whatever_the_content_type_says(me, other):
    headers = {'Content-Type': 'text/plain;charset=UTF-8'}
    await me.ask('POST', '/settings/Point.A', 200, data=b'[1,2]', headers=headers)
    await me.ask('POST', '/settings', 200, data=b'{"Point.B":true}', headers=headers)
    assert await me.get('/settings/Point.A') == [1, 2] and await me.get('/settings/Point.B') is True


async def g39_the_list_of_jobs_is_strict_in_its_types(me, other):
    await me.run(save())
    listed = await me.get('/api/jobs', params={'limit': 5, 'offset': 0})
    for job in listed['jobs']:
        assert isinstance(job['create_time'], int) and isinstance(job['outputs_count'], int), job
        assert isinstance(job['previewable_outputs_count'], int) and None not in job.values(), job
    pages = listed['pagination']
    assert (pages['limit'], pages['offset']) == (5, 0) and isinstance(pages['total'], int), pages
    assert isinstance(pages['has_more'], bool)
    assert (await me.get('/api/jobs'))['pagination']['limit'] is None


async def g40_features_need_no_user_and_no_time(me, other):
    begun = asyncio.get_running_loop().time()
    await me.get('/api/features')
    assert asyncio.get_running_loop().time() - begun < 1


async def g41_scripts_may_be_kept_where_their_name_has_a_hash(me, other):
    page = await me.get('/')
    script = next(part.split('"')[0] for part in page.split('src="./') if 'assets/' in part[:8])
    await me.get('/' + script)
    assert 'immutable' in me.headers['Cache-Control'], script  # stock: no-store, so every boot costs 23 MB
    await me.get('/extensions/atelier/boot.js')
    assert me.headers['Cache-Control'] == 'no-cache'


async def g42_a_new_model_file_is_listed_at_once(me, other):
    assert await me.get('/experiment/models/loras') == []
    folder = os.path.join(me.data, 'library', 'loras')
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'new.safetensors'), 'wb') as file:
        file.write(b'x' * 10)
    listed = await me.get('/experiment/models/loras')
    assert [entry['name'] for entry in listed] == ['new.safetensors'] and listed[0]['size'] == 10, listed


async def g43_the_time_of_creation_is_that_of_acceptance(me, other):
    running = (await me.prompt(slow(30)))['prompt_id']
    waiting = (await me.prompt(save()))['prompt_id']
    entry = next(e for e in (await me.get('/queue'))['queue_pending'] if e[1] == waiting)
    created = entry[3]['create_time']
    assert isinstance(created, int) and created > 1e12
    await me.ended(running)
    await me.ended(waiting)
    job = await me.get(f'/api/jobs/{waiting}')
    assert abs(job['create_time'] - created) < 5000
    assert job['execution_start_time'] >= created


async def g44_extension_paths_are_relative_to_the_root_and_there(me, other):
    paths = await me.get('/extensions')
    assert paths
    for path in paths:
        assert path.startswith('/extensions/'), path
        await me.get(path)


async def g45_a_socket_that_comes_back_in_mid_run_is_told_the_node(me, other):
    async with me.socket('a') as mine:
        prompt_id = (await me.prompt(slow(), client_id='a'))['prompt_id']
        await mine.until('executing', prompt_id=prompt_id)
    async with me.socket('a') as again:
        seen = await again.until('executing')
        assert seen[0]['type'] == 'status' and seen[-1]['data']['node'] is not None, seen
        await again.until('executing', node=None)
    await me.ended(prompt_id)


async def main(word):
    workshop = Workshop('points', NUM_USERS='100')
    points = [(name, point) for name, point in globals().items() if name[:1] == 'g' and name[1:3].isdigit()]
    failed = 0
    try:
        workshop.serve()
        workshop.engine(step_ms=STEP_MS)
        workshop.worker()
        workshop.ready_for_jobs()
        async with aiohttp.ClientSession() as http:
            for number, (name, point) in enumerate(points):
                if word not in name:
                    continue
                # Seats of its own for each point; the worker is everybody's.
                me, other = (Seat(http, workshop.url, 2 * number + n) for n in (1, 2))
                me.data = workshop.data
                try:
                    await asyncio.wait_for(point(me, other), 60)
                    print(f'ok    {name}', flush=True)
                except Exception as error:  # each point is told, whatever came of the others
                    failed += 1
                    line = inspect.trace()[-1].lineno if inspect.trace() else 0
                    print(f'FAIL  {name} (line {line}): {type(error).__name__} {error}'[:600], flush=True)
    finally:
        workshop.close()
    print(f'{len(points)} points, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else '')))
