# SPDX-License-Identifier: MIT
"""Python packages for a test, in an environment of their own that is kept from run to run."""

import hashlib, os, subprocess, sys


def install(folder, requirements):
    """What the requirements file names; False if PyPI cannot be reached."""
    stamp = hashlib.sha256(open(requirements, 'rb').read()).hexdigest()
    mark = os.path.join(folder, 'stamp')
    if os.path.exists(mark) and open(mark).read() == stamp:
        return True
    subprocess.run([sys.executable, '-m', 'venv', '--clear', folder], check=True)
    pip = [os.path.join(folder, 'bin', 'python'), '-m', 'pip', 'install', '--quiet', '--retries', '2']
    if subprocess.run([*pip, '--requirement', requirements], check=False).returncode != 0:
        return False
    with open(mark, 'w') as file:
        file.write(stamp)
    return True
