#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A full disk answers 507 and loses nothing; when there is space again, work goes on without a restart."""

import json, os, subprocess, sys
from atelier_processes import WORK, Workshop, run, until


def pause(workshop, paused):
    body = json.dumps({'paused': paused}).encode()
    return workshop.request('PATCH', '/api/v1/queue', body, expect=None)


def commands_are_refused(workshop):
    """And not carried out later, when nobody waits for it any more."""
    answer = None
    for count in range(10_000):  # the log may have room for a few more entries
        answer = pause(workshop, count % 2 == 0)
        if answer.get('status') == 507:
            break
    assert answer.get('status') == 507 and 'nothing was changed' in answer['detail'], answer
    health = workshop.get('/health', expect=503)
    assert health['journal']['accepting'] is False and 'full' in health['journal']['reason'], health


def test(workshops):
    workshop = Workshop('small-disk')
    workshops.append(workshop)
    os.makedirs(workshop.data, exist_ok=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=24m,mode=0755', 'tmpfs', workshop.data], check=True)
    try:
        workshop.serve()
        workshop.engine()
        workshop.worker()
        workshop.ready_for_jobs()
        workshop.submit(1, 'before')
        workshop.wait_history(1, 'before')
        filler = os.path.join(workshop.data, 'filler')
        with open(filler, 'wb') as file:
            try:
                while True:
                    file.write(b'\0' * 65536)
                    file.flush()
            except OSError:
                pass
        answer = workshop.submit(1, 'during', color=5, expect=507)
        assert 'disk' in str(answer).lower() or 'space' in str(answer).lower(), answer
        assert workshop.history(1, 'before') is not None
        commands_are_refused(workshop)
        os.remove(filler)
        until(lambda: pause(workshop, False).get('status') != 507, 'room for a command')
        until(
            lambda: 'prompt_id' in workshop.submit(1, 'after', color=6, expect=None)
            and workshop.history(1, 'after'),
            'the job after the full disk',
        )
        assert workshop.history(1, 'during') is None
        assert workshop.server.child.poll() is None
    finally:
        workshop.close()
        subprocess.run(['umount', '-l', workshop.data], check=False)


if __name__ == '__main__':
    if os.geteuid() != 0:
        sys.exit(77)  # a small tmpfs needs the right to mount
    run(test)
