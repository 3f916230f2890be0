#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The server dies as by kill -9 at each named point (ATELIER_CRASH_AT, base/crash_point.hpp), 20 times each
(200 with ATELIER_TEST_MODE=long), while four participants post prompts and a worker brings outputs. After
every death the next server finds each prompt that was answered with 200 exactly once, and of the others none
or one; the same body again gets the same answer. In the end every job has ended once, with one output.

The real server, not the journal alone: half of the points lie between journal, workshop, gateway and files.
It starts in 20 ms. crash_points.py [POINT [RUNS]] runs one."""

import concurrent.futures, http.client, json, os, random, shutil, sys, threading, time
from atelier_processes import BIN, WORK, Workshop, events_of, free_ports, run, save_graph, until
from link_worker import LinkWorker

# Name -> the highest passing at which it dies. "" is no point: a kill from outside at any moment.
POINTS = {
    'journal_before_write': 20,
    'journal_before_file_write': 60,  # a part of the transaction lies in the log
    'journal_before_commit': 20,
    'journal_before_sync': 20,
    'journal_after_commit': 20,
    'workshop_before_apply': 20,
    'workshop_after_apply': 20,
    'prompt_before_answer': 20,
    'journal_checkpoint_slice': 2,
    'journal_before_checkpoint_flip': 1,
    'journal_after_checkpoint_flip': 1,
    'lease_before_send': 10,
    'output_before_blob': 10,
    'output_after_blob': 10,
    'commit_before_record': 10,
    'commit_after_record': 10,
    'commit_after_link': 10,
    'end_before_answer': 10,
    '': 30,
}
PARTICIPANTS = 4
PROMPTS_AT_ONCE = 4  # of each participant
LIVES_PER_FOLDER = 20  # history has room for 1,000 jobs of each
RUNS = 200 if os.environ.get('ATELIER_TEST_MODE') == 'long' else 20
DEAD = (OSError, http.client.HTTPException)


class Participant:
    """What one participant has posted, by prompt_id; `answers` are those that came."""

    def __init__(self, trial, number):
        self.trial, self.number = trial, number
        self.bodies, self.answers = {}, {}

    def fresh(self):
        prompt_id = f'p{self.number}-{len(self.bodies)}'
        body = {'prompt': save_graph(len(self.bodies)), 'prompt_id': prompt_id, 'client_id': 'c'}
        self.bodies[prompt_id] = json.dumps(body)
        return prompt_id

    def post(self, connection, prompt_id):
        path = f'/user/{self.number}/prompt'
        connection.request('POST', path, self.bodies[prompt_id], {'Content-Type': 'application/json'})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (answer.status, body)
        before = self.answers.setdefault(prompt_id, body)
        assert before == body, f'{prompt_id} was answered with {before}, then with {body}'

    def unanswered(self):
        return [prompt_id for prompt_id in self.bodies if prompt_id not in self.answers]

    def live(self, until_death=True):
        """Repeats one answered prompt and every unanswered one, then posts new ones: some at once, the rest
        slowly."""
        connection = http.client.HTTPConnection('127.0.0.1', self.trial.workshop.port, timeout=20)
        again, count = self.unanswered(), 0
        if self.answers:
            again.append(self.trial.random.choice(list(self.answers)))
        try:
            for prompt_id in again:
                self.post(connection, prompt_id)
            while until_death:
                self.post(connection, self.fresh())
                count += 1
                assert count < 500 and not self.trial.worker.failure, self.trial.worker.failure
                if count >= PROMPTS_AT_ONCE:
                    time.sleep(0.02)
        except DEAD:
            pass
        finally:
            connection.close()

    def look(self):
        """Each answered prompt is there once, of the others none or one, and nothing else."""
        listed = self.trial.workshop.get(f'/user/{self.number}/api/jobs')['jobs']
        ids = [job['id'] for job in listed]
        assert len(ids) == len(set(ids)), f'twice: {sorted(i for i in ids if ids.count(i) > 1)}'
        lost = set(self.answers) - set(ids)
        assert not lost, f'answered with 200 and lost: {sorted(lost)}'
        assert set(ids) <= set(self.bodies), sorted(set(ids) - set(self.bodies))
        return [job['status'] for job in listed]


class Trial:
    """Lives and deaths of one server on one data folder."""

    def __init__(self, point, folder, port, workshops):
        self.point, self.random = point, random.Random(f'{point} {folder}')
        name = f'{point or "any_moment"}-{folder}'
        caps = {'MAX_QUEUE_DEPTH': '0', 'MAX_WAITING_PER_USER': '0', 'LEASE_TTL': '30s'}
        self.workshop = Workshop(name, **caps, CHECKPOINT_ENTRIES='100', LOG_LEVEL='warn')
        self.workshop.port = port
        shutil.copytree(os.path.join(WORK, 'template'), self.workshop.data)
        workshops.append(self.workshop)
        self.participants = [Participant(self, 1 + n) for n in range(PARTICIPANTS)]

    def start(self, crash_at):
        """Gives False if it dies before it is ready."""
        try:
            self.workshop.serve({'ATELIER_CRASH_AT': crash_at})
        except AssertionError:
            if self.workshop.server.child.poll() != 137:
                raise
            return False
        return True

    def life(self):
        passing = self.random.randint(1, POINTS[self.point])
        if not self.start(f'{self.point}:{passing}' if self.point else ''):
            return
        try:
            for participant in self.participants:
                participant.look()
        except DEAD:
            return self.expect_death()
        self.worker.gate.set()
        with concurrent.futures.ThreadPoolExecutor(PARTICIPANTS) as pool:
            posting = [pool.submit(p.live) for p in self.participants]
            if not self.point:
                answered = sum(len(p.answers) for p in self.participants)
                until(lambda: sum(len(p.answers) for p in self.participants) >= answered + passing, 'answers')
                self.workshop.server.kill()
            for done in posting:
                done.result()
        self.expect_death()

    def expect_death(self):
        code = self.workshop.server.child.wait(timeout=30)
        assert code == (137 if self.point else -9), f'exit {code}'
        self.worker.gate.clear()

    def run(self, lives):
        self.worker = LinkWorker(self.workshop, gate=threading.Event())
        try:
            for _ in range(lives):
                self.life()
            assert self.start('')
            for participant in self.participants:
                participant.look()
            self.worker.gate.set()
            for participant in self.participants:
                participant.live(until_death=False)
                assert not participant.unanswered()
            self.finish()
        except BaseException:
            print(f'failed at {self.point}', file=sys.stderr)
            raise
        finally:
            self.worker.close()

    def finish(self):
        def all_ended():
            assert self.worker.failure is None, self.worker.failure
            return all(status == 'completed' for p in self.participants for status in p.look())

        until(all_ended, 'the end of every job')
        self.worker.close()
        self.workshop.server.stop()
        self.workshop.processes.clear()
        journal = self.workshop.journal()
        submitted = [
            (entry['event']['participant'], entry['event']['prompt_id'])
            for entry in events_of(journal, 'submitted')
        ]
        accepted = [(p.number, prompt_id) for p in self.participants for prompt_id in p.answers]
        assert sorted(submitted) == sorted(accepted)
        ended = [entry['event']['job'] for entry in events_of(journal, 'ended')]
        assert len(set(ended)) == len(accepted)
        for p in self.participants:
            folder = os.path.join(self.workshop.data, 'participants', str(p.number), 'output')
            contents = [open(os.path.join(folder, name)).read() for name in os.listdir(folder)]
            assert len(contents) == len(set(contents)) == len(p.answers), (len(contents), len(p.answers))
        done = self.workshop.journal_command('check')
        assert done.returncode == 0, done.stdout
        shutil.rmtree(self.workshop.data)


def make_template(workshops):
    """A data folder whose catalog is known."""
    workshop = Workshop('template')
    workshops.append(workshop)
    workshop.serve()
    worker = LinkWorker(workshop)
    workshop.ready_for_jobs()
    worker.close()
    workshop.close()


def test(workshops):
    points = [sys.argv[1]] if len(sys.argv) > 1 else list(POINTS)
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else RUNS
    make_template(workshops)
    first = free_ports(len(points))

    def all_of(point, port):
        begun = time.monotonic()
        for folder in range(0, runs, LIVES_PER_FOLDER):
            Trial(point, folder, port, workshops).run(min(LIVES_PER_FOLDER, runs - folder))
        print(f'{runs} deaths at {point or "any moment"}: {time.monotonic() - begun:.1f} s', flush=True)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(all_of, point, first + n) for n, point in enumerate(points)]:
            done.result()


if __name__ == '__main__':
    run(test)
