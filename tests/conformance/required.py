# SPDX-License-Identifier: MIT
"""The cases that must agree with ComfyUI by now: a selection of cases.py, for conform.py --cases."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases  # noqa: E402

GROUPS = ("front/", "files/", "run/", "invalid/", "ws/")
# Channels of a picture need an image library in the gateway's child process; not built yet.
NOT_YET = {"files/view-channel"}

CASES = {name: steps for name, steps in cases.CASES.items() if name.startswith(GROUPS) and name not in
NOT_YET}
