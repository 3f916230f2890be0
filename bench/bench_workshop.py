# SPDX-License-Identifier: MIT
"""What the measuring scripts share: a workshop of the release build in a folder of its own (below BENCH_DIR,
if that is set), and what a process has used."""

import contextlib, json, os, shutil, subprocess, sys, tempfile, time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
sys.path.insert(0, os.path.join(ROOT, 'tests', 'integration'))
os.environ.setdefault('ATELIER_BIN_DIR', os.path.join(ROOT, 'build', 'release'))
os.environ.setdefault(
    'ATELIER_TEST_DIR', tempfile.mkdtemp(prefix='atelier-bench-', dir=os.environ.get('BENCH_DIR'))
)
from atelier_processes import BIN, WORK, Workshop  # noqa: E402, F401
from atelier_processes import certificate, free_ports, save_graph, until  # noqa: E402, F401

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


def load(program, *arguments):
    """What a load program of this folder measured."""
    command = [os.path.join(BIN, 'bench', program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    sys.stderr.write(done.stderr)
    return json.loads(done.stdout)


def find_nginx():
    found = shutil.which('nginx') or ('/usr/sbin/nginx' if os.path.exists('/usr/sbin/nginx') else None)
    return found or sys.exit('nginx is not installed: apt-get install nginx-light')


@contextlib.contextmanager
def running_nginx(program, configuration):
    """nginx with one worker and this text as its configuration; gives the worker's process id."""
    path = os.path.join(WORK, 'nginx.conf')
    with open(path, 'w') as file:
        file.write(configuration)
    nginx = subprocess.Popen([program, '-c', path, '-p', WORK], stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        children = subprocess.run(
            ['pgrep', '-P', str(nginx.pid)], capture_output=True, text=True, check=True
        )
        yield int(children.stdout.split()[0])
    finally:
        nginx.terminate()
        nginx.wait()


def resident_kb(pid):
    with open(f'/proc/{pid}/status') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmRSS'))


def cpu_seconds(pid):
    """User and system time of all its threads."""
    with open(f'/proc/{pid}/stat') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
