# SPDX-License-Identifier: MIT
"""Starts and stops the built server for a test.

  with Server() as server:                 # `atelier up` on a free port with an empty data folder
      get(server.url + "health/ping")
      server.stop(); server.start()        # the same data again

Environment: ATELIER_BIN_DIR (where atelier lies; default build/release), ATELIER_TEST_DIR (an empty folder
for this test; default a new temporary one). Everything the server prints is kept in server.log (a path).
"""
import os
import signal
import socket
import subprocess
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30


def bin_dir():
    return os.environ.get("ATELIER_BIN_DIR") or os.path.join(ROOT, "build", "release")


def test_dir():
    return os.environ.get("ATELIER_TEST_DIR") or tempfile.mkdtemp(prefix="atelier-test-")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, *options, data=None, command=None):
        self.folder = test_dir()
        self.data = data or os.path.join(self.folder, "data")
        self.log = os.path.join(self.folder, "server.log")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.options = options
        self.command = command or [os.path.join(bin_dir(), "atelier"), "up"]
        self.process = None

    def start(self):
        """Starts it and returns when `ready ...` has come; RuntimeError with the log's tail if not."""
        command = [*self.command, "--port", str(self.port), "--data", self.data, *self.options]
        self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        errors="replace", start_new_session=True)
        ready, ended = threading.Event(), threading.Event()
        output = self.process.stdout

        def keep_output():
            with open(self.log, "a", encoding="utf-8") as log:
                for line in output:
                    log.write(line)
                    log.flush()
                    if line.startswith("ready "):
                        self.ready_line = line.strip()
                        ready.set()
            ended.set()
            ready.set()

        threading.Thread(target=keep_output, daemon=True).start()
        in_time = ready.wait(READY_SECONDS_MAX)
        if not in_time or ended.is_set():
            self.kill()
            raise RuntimeError(f"the server did not become ready; its last lines:\n{self.tail()}")

    def stop(self):
        """Ctrl-C; returns the exit code. Fails if a process of it is left."""
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"it did not stop in {STOP_SECONDS_MAX} s; its last lines:\n{self.tail()}")
        left = self._left()
        self.kill()
        self.process = None
        if left:
            raise RuntimeError(f"processes were left behind: {left}")
        return code

    def kill(self):
        """kill -9 to the whole session; fine if nothing is left of it."""
        if self.process is None:
            return
        for pid in self._left() or [self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def _left(self):
        """Living processes of the server's session (zombies do not count)."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                found.append(int(name))
        return found

    def tail(self, lines=40):
        try:
            with open(self.log, encoding="utf-8") as log:
                return "".join(log.readlines()[-lines:])
        except FileNotFoundError:
            return "(nothing)"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(f"the server's last lines:\n{self.tail()}", flush=True)
            self.kill()
        elif self.process is not None:
            self.stop()
