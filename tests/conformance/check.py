#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The conformance run: all cases against a participant of a fresh server, those of cases.py twice on the same
one.

conform.py and cases.py come from the tool with which real ComfyUI was recorded; more_cases.py is ours,
recorded with the same tool from ComfyUI 0.21.0.
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
from server import Server  # noqa: E402

# Cases of more_cases.py in which we differ on purpose, or which are about the engine behind the server.
DIFFERENT = {
    "engine/same-again": "the rehearsal engine keeps no results from run to run",
    "engine/partly-cached": "the same",
    "engine/cached-preview": "the same",
    "engine/error-inputs": "the rehearsal engine has no hidden inputs to show",
    "upload/filename-extended": "filename*= is refused in form data (RFC 7578 4.2)",
    "route/encoded-letters": "a route is matched as it is written",
    "ws/twelve-sockets": "a participant may have eight sockets",
}


def check(base, traces, *more):
    command = [sys.executable, "conform.py", "check", base, traces, *more]
    return subprocess.run(command, cwd=HERE, check=False).returncode != 0


def main():
    failed = False
    with Server() as server:
        for turn in ("first", "second"):
            print(f"{turn} run", flush=True)
            failed |= check(server.url + "user/1", "comfyui-0.21.0.json")
    with Server(data=os.path.join(server.folder, "more")) as fresh:
        print("more cases", flush=True)
        skipped = [word for name in DIFFERENT for word in ("--skip", name)]
        cases = ("more-comfyui-0.21.0.json", "--cases", "more_cases.py")
        failed |= check(fresh.url + "user/1", *cases, *skipped)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
