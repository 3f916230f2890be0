#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The conformance run: all cases against /user/1/ of a fresh server, twice on the same one.

conform.py, cases.py and the traces are copies of the tool with which real ComfyUI was recorded.
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
from server import Server  # noqa: E402


def main():
    failed = False
    with Server() as server:
        for turn in ("first", "second"):
            print(f"{turn} run", flush=True)
            command = [sys.executable, "conform.py", "check", server.url + "user/1", "comfyui-0.21.0.json"]
            failed |= subprocess.run(command, cwd=HERE, check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
