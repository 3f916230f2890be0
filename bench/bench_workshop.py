# SPDX-License-Identifier: MIT
"""What the measuring scripts share: a workshop of the release build in a folder of its own (below BENCH_DIR,
if that is set), and what a process has used."""

import os, sys, tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
sys.path.insert(0, os.path.join(ROOT, 'tests', 'integration'))
os.environ.setdefault('ATELIER_BIN_DIR', os.path.join(ROOT, 'build', 'release'))
os.environ.setdefault(
    'ATELIER_TEST_DIR', tempfile.mkdtemp(prefix='atelier-bench-', dir=os.environ.get('BENCH_DIR'))
)
from atelier_processes import BIN, WORK, Workshop, certificate, free_ports, save_graph  # noqa: E402, F401

NO_CAPS = {'MAX_QUEUE_DEPTH': '0', 'MAX_WAITING_PER_USER': '0', 'LEASE_TTL': '30s', 'LOG_LEVEL': 'warn'}


def with_catalog(name, comfy=None, **env):
    """A workshop whose catalog is known, without a worker: jobs wait. `comfy`: the address of a ComfyUI whose
    catalog it shall be; else the rehearsal engine's."""
    workshop = Workshop(name, **env)
    try:
        workshop.serve()
        if comfy:
            workshop.engine_url = comfy
        else:
            workshop.engine()
        worker = workshop.worker()
        workshop.ready_for_jobs()
        worker.stop()
    except BaseException:
        workshop.close()
        raise
    return workshop


def resident_kb(pid):
    with open(f'/proc/{pid}/status') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmRSS'))


def cpu_seconds(pid):
    """User and system time of all its threads."""
    with open(f'/proc/{pid}/stat') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
