# SPDX-License-Identifier: MIT
"""What tools/tidy and tools/check_layers share: the files of the project, and how findings are printed."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED_FOLDERS = {".git", "build", "vendor", "data", "node_modules", "__pycache__", ".cache"}


def project_files():
    """Paths (from the root, sorted) of all files that are tracked or could be: what git does not ignore."""
    listing = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"],
                             capture_output=True, check=False)
    if listing.returncode == 0:
        paths = set(listing.stdout.decode().split("\0"))
    else:
        paths = {os.path.relpath(os.path.join(folder, name), ROOT)
                 for folder, folders, names in os.walk(ROOT, topdown=True)
                 if not folders.__setitem__(slice(None), [f for f in folders if f not in SKIPPED_FOLDERS])
                 for name in names}
    return sorted(path for path in paths if path and os.path.isfile(os.path.join(ROOT, path)))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="surrogateescape") as source:
        return source.read()


def finish(findings, what):
    """Prints the findings as `file:line: reason` and ends the program: 1 if there are any."""
    for path, line, reason in sorted(findings):
        print(f"{path}:{line}: {reason}")
    if findings:
        print(f"{what}: {len(findings)} findings", file=sys.stderr)
    sys.exit(1 if findings else 0)
