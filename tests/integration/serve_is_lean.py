#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""serve links no image library, is ready soon and small (bench/run has the figures; this catches a slip)."""

import os, subprocess, time
from atelier_processes import BIN, Workshop, run

FORBIDDEN = ('libvips', 'libjpeg', 'libpng', 'libwebp', 'libtiff', 'libgif', 'libav')


def test(workshops):
    for program in ('atelier', 'atelier-worker'):
        linked = subprocess.run(
            ['ldd', os.path.join(BIN, program)], capture_output=True, text=True, check=True
        ).stdout
        found = [name for name in FORBIDDEN if name in linked]
        assert not found, f'{program} links {found}'
    workshop = Workshop('lean')
    workshops.append(workshop)
    begun = time.monotonic()
    server = workshop.serve()
    assert time.monotonic() - begun < 5.0
    with open(f'/proc/{server.child.pid}/status') as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith('VmRSS'))
    assert resident < 64 * 1024, f'{resident} kB resident'


if __name__ == '__main__':
    run(test)
