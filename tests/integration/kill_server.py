#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill -9 of the server in the middle of a job: after the restart every accepted job ends exactly once, and
a page that comes back is told where its job is."""

from atelier_processes import Workshop, events_of, run, save_graph, until
from link_worker import Socket


def open_page(workshop):
    return Socket(workshop.port, '/user/3/ws?clientId=page', {})


def events_until(page, kind, **fields):
    """Types of what comes, to the first message of this kind with these fields."""
    kinds = []
    while True:
        message = page.receive()
        kinds.append(message['type'])
        data = message['data']
        if message['type'] == kind and all(data.get(key) == value for key, value in fields.items()):
            return kinds


def page_comes_back(workshop):
    page = open_page(workshop)
    body = {'prompt': save_graph(), 'prompt_id': 'long', 'client_id': 'page'}
    assert workshop.post('/user/3/prompt', body)['prompt_id'] == 'long'
    events_until(page, 'executing', node='1', prompt_id='long')
    workshop.server.kill()
    workshop.serve()
    page = open_page(workshop)
    seen = events_until(page, 'executing', prompt_id='long')
    assert 'execution_start' in seen and 'execution_cached' in seen, seen
    seen = events_until(page, 'execution_success', prompt_id='long')
    assert 'execution_start' not in seen, seen
    assert seen.count('executed') == 1, seen


def test(workshops):
    workshop = Workshop('kill-server')
    workshops.append(workshop)
    workshop.serve()
    workshop.engine(step_ms=1500)
    workshop.worker()
    workshop.ready_for_jobs()
    accepted = []
    for n in range(4):
        accepted.append((1 + n % 2, workshop.submit(1 + n % 2, f'job-{n}', color=n)['prompt_id']))
    until(lambda: workshop.get('/user/1/queue')['queue_running'], 'a running job')
    workshop.server.kill()
    workshop.serve()
    for participant, prompt_id in accepted:
        item = workshop.wait_history(participant, prompt_id)
        assert item['status']['status_str'] == 'success', item['status']
        assert len(item['outputs']['2']['images']) == 1, item['outputs']
    journal = workshop.journal()
    ended = [entry['event']['job'] for entry in events_of(journal, 'ended')]
    assert sorted(ended) == sorted(set(ended)) and len(ended) == 4, ended
    assert len(events_of(journal, 'submitted')) == 4
    assert workshop.outputs(1) == ['kept_00001_.png', 'kept_00002_.png'], workshop.outputs(1)
    assert workshop.outputs(2) == ['kept_00001_.png', 'kept_00002_.png'], workshop.outputs(2)
    page_comes_back(workshop)


if __name__ == '__main__':
    run(test)
