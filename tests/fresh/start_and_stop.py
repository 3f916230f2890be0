#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Starts `./run --port P --data D`, waits for its ready line, asks /health/ping, and stops it with Ctrl-C.

Fails if it takes more than 30 s, if it answers something else than 200, or if a process is left behind.
--loopback-up first brings the loopback interface up (a fresh network namespace has it down).
"""
import fcntl
import os
import socket
import struct
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from server import ROOT, Server  # noqa: E402

START_SECONDS_MAX = 30
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING))


def main():
    if "--loopback-up" in sys.argv:
        loopback_up()
    server = Server(command=[os.path.join(ROOT, "run")])
    started = time.monotonic()
    with server:
        seconds = time.monotonic() - started
        print(f"{server.ready_line} after {seconds:.1f} s", flush=True)
        with urllib.request.urlopen(server.url + "health/ping", timeout=10) as answer:
            assert answer.status == 200, answer.status
        code = server.stop()
        assert code == 0, f"Ctrl-C ended it with {code}"
    assert seconds < START_SECONDS_MAX, f"{seconds:.1f} s until it was ready"


if __name__ == "__main__":
    main()
