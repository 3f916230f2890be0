#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""atelier-worker runs where nothing but glibc 2.35 is (Ubuntu 22.04): it needs no other library, and no
symbol of a newer glibc."""

import os, re, subprocess
from atelier_processes import BIN, run

OF_GLIBC = {'libc.so.6', 'libm.so.6', 'ld-linux-x86-64.so.2', 'ld-linux-aarch64.so.1'}
NEWEST = (2, 35)


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test(_):
    worker = os.path.join(BIN, 'atelier-worker')
    needed = set(re.findall(r'\(NEEDED\).*\[(.+?)\]', output_of('readelf', '--dynamic', '--wide', worker)))
    assert needed and needed <= OF_GLIBC, f'libraries beside glibc: {sorted(needed - OF_GLIBC)}'
    symbols = output_of('readelf', '--dyn-syms', '--wide', worker)
    versions = set(re.findall(r'\S+@(GLIBC\w*|\w+)_([0-9.]+)', symbols))
    assert any(kind == 'GLIBC' for kind, _ in versions), versions
    assert {kind for kind, _ in versions} == {'GLIBC'}, f'symbols of other libraries: {versions}'
    newer = [line for line in symbols.splitlines() if (found := re.search(r'@GLIBC_(\d+)\.(\d+)', line))
             and tuple(map(int, found.groups())) > NEWEST]  # fmt: skip
    assert not newer, 'symbols newer than glibc 2.35:\n' + '\n'.join(newer)
    assert 'atelier-worker' in output_of(worker, '--version')


if __name__ == '__main__':
    run(test)
