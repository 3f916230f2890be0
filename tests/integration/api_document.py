#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""/api/openapi.json is a valid OpenAPI 3.1 document, and every answer of every route is as it says: the
members that it names and no others. (The parts that check it come from PyPI.)"""

import json, os, subprocess, sys
import python_packages
from atelier_processes import WORK, Workshop, run, until
from instructor_api import Api, Events, rows_in, submit

HERE = os.path.dirname(os.path.abspath(__file__))
REQUIREMENTS = os.path.join(HERE, 'api', 'requirements.txt')
VENV = os.path.join(HERE, '..', '..', 'build', 'venv-api')
CHECK = """
import json, sys
from openapi_spec_validator import validate
from jsonschema import Draft202012Validator
document, seen = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
validate(document)
for name, answer in seen:
    schema = {'$ref': '#/components/schemas/' + name, 'components': document['components']}
    for error in Draft202012Validator(schema).iter_errors(answer):
        sys.exit(f'{name} {list(error.absolute_path)}: {error.message}')
print(len(seen), 'answers are as the document says')
"""


def schema_of(document, method, path, status):
    answer = document['paths'][path][method.lower()]['responses'][str(status)]
    if '$ref' in answer:
        answer = document['components']['responses'][answer['$ref'].rsplit('/', 1)[1]]
    (content,) = answer['content'].values()
    return content['schema']['$ref'].rsplit('/', 1)[1]


class Recorder(Api):
    """Keeps every answer with the name of the schema that it must have."""

    def __init__(self, workshop, token, document):
        super().__init__(workshop, token)
        self.document, self.seen, self.called = document, [], set()

    def at(self, method, path, body=None, expect=200, **filled):
        target = path.format(**filled)
        bare = '/api/v1' + path.split('?')[0]
        answer = self.call(method, target, body, expect)
        self.seen.append((schema_of(self.document, method, bare, expect), answer))
        if expect < 300:
            self.called.add((method, bare))
        return answer


def submit_held(workshop, api):
    api.at('PATCH', '/participants/{participant}', {'held': True}, participant=8)
    return submit(workshop, api, 8, 'document-waits')


def exercise(workshop, api):
    api.at('PATCH', '/queue', {'paused': True, 'mode': 'priority'})
    job, other = (submit(workshop, api, 7, f'document-{n}') for n in range(2))
    api.at('GET', '/queue?limit=10')
    api.at('GET', '/jobs?state=queued&participant=7&limit=1')
    api.at('GET', '/jobs/{job}', job=job)
    api.at('PATCH', '/jobs/{job}', {'held': True, 'priority': 'low', 'tags': ['a']}, job=job)
    api.at('PATCH', '/jobs/{job}', {'nonsense': 1}, 422, job=job)
    api.at('POST', '/jobs/{job}/move', {'place': 'after', 'anchor': other}, job=job)
    api.at('DELETE', '/jobs/{job}/move', job=job)
    api.at('POST', '/jobs/{job}/cancel', {'undo_ms': 60_000}, job=job)
    api.at('GET', '/jobs/{job}', job=job)
    api.at('DELETE', '/jobs/{job}/cancel', job=job)
    api.at('POST', '/jobs/{job}/cancel', {}, 404, job=99_999)
    moved = api.at('POST', '/jobs/actions', {'action': 'move', 'jobs': [other, job], 'place': 'first'})
    api.at('POST', '/jobs/actions', moved['undo']['body'])
    api.at('POST', '/jobs/actions', {'action': 'cancel', 'jobs': [job, 99_999], 'undo_ms': 0})
    api.at('GET', '/jobs/{job}', job=job)
    api.at('GET', '/participants')
    api.at('GET', '/participants/{participant}', participant=7)
    api.at('PATCH', '/participants/{participant}', {'held': False, 'weight_milli': 2000}, participant=7)
    api.at('GET', '/participants/{participant}/worker', participant=7)
    api.at('PATCH', '/participants/{participant}/worker', {'pinned_worker': ''}, participant=7)
    api.at('GET', '/workers')
    api.at('GET', '/workers/{worker}', worker='w1')
    api.at('PATCH', '/workers/{worker}', {'tags': ['a'], 'draining': False}, worker='w1')
    api.at('GET', '/workers/{worker}', expect=404, worker='nobody')
    api.at('GET', '/workers/{worker}/telemetry', worker='nobody', expect=404)
    api.at('GET', '/workers/{worker}/log', worker='w1')
    api.at('POST', '/workers/{worker}/actions', {'action': 'free_memory', 'slot': 0}, worker='w1')
    made = api.at('POST', '/enrolments', {'worker': 'w2', 'minutes': 1}, 201)['enrolment']['enrolment']
    api.at('DELETE', '/enrolments/{enrolment}', enrolment=made)
    api.at('GET', '/enrolments')
    api.at('POST', '/enrolments', {'minutes': 0}, 422)
    api.at('POST', '/workers/{worker}/actions', {'action': 'revoke_key'}, 409, worker='w1')
    api.at('POST', '/workers/{worker}/actions', {'action': 'restart_engine', 'slot': 0}, 409, worker='w1')
    api.at('POST', '/workers/{worker}/actions', {'action': 'free_memory', 'slot': 9}, 404, worker='w1')
    api.at('POST', '/workers/{worker}/actions', {'action': 'add_slot'}, 409, worker='w1')
    api.at('POST', '/workers/{worker}/actions', {'action': 'remove_slot', 'slot': 0}, 409, worker='w1')
    telemetry = until(
        lambda: api.at('GET', '/workers/{worker}/telemetry', worker='w1')['telemetry'], 'telemetry'
    )
    assert telemetry['disk_free'] > 0 and abs(telemetry['clock_ahead_ms']) < 5_000, telemetry
    assert telemetry['slots'][0]['slot'] == 0, telemetry
    api.at('POST', '/tickets', {'use': 'events'}, 201)
    api.at('POST', '/tickets', {'use': 'engine', 'worker': 'w1', 'slot': 0}, 201)
    api.at('POST', '/tickets', {'use': 'engine', 'worker': 'w1', 'slot': 9}, 404)
    api.at('POST', '/tickets', {'use': 'engine', 'worker': 'w1'}, 422)
    events = Events(api)
    api.at('POST', '/enrolments', {}, 201)
    api.at('PATCH', '/queue', {'paused': False})
    api.until_state(other, 'succeeded')
    kinds = set()
    waiting = submit_held(workshop, api)
    while kinds != {'snapshot', 'delta', 'tick', 'waiting'}:
        message = events.message()
        kinds.add(message['type'])
        if any(row['job'] == waiting for row in rows_in(message)):
            kinds.add('waiting')
        api.seen.append(('EventMessage', message))
    api.at('GET', '/jobs')
    events.close()


def test(workshops):
    workshop = Workshop('document', ENGINE_PAGES_LISTEN='127.0.0.1:0')
    workshops.append(workshop)
    workshop.serve()
    workshop.engine()
    workshop.worker('w1')
    workshop.ready_for_jobs()
    document = workshop.get('/api/openapi.json')
    api = Recorder(workshop, '', document)  # this machine is the instructor
    exercise(workshop, api)
    for path, operations in document['paths'].items():
        for method in operations:
            if path != '/api/v1/events':
                assert (method.upper(), path) in api.called, f'{method} {path} was not tried'
    files = [os.path.join(WORK, name) for name in ('openapi.json', 'seen.json')]
    for name, content in zip(files, (document, api.seen)):
        with open(name, 'w') as file:
            json.dump(content, file)
    done = subprocess.run(
        [os.path.join(VENV, 'bin', 'python'), '-c', CHECK, *files],
        capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    print(done.stdout.strip())


if __name__ == '__main__':
    if not python_packages.install(VENV, REQUIREMENTS):
        print('the Python package index cannot be reached (needed once, for what checks the document)')
        sys.exit(77)
    run(test)
