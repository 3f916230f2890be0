# SPDX-License-Identifier: MIT
"""ComfyScript: comfyscript.py ADDRESS -> builds a workflow from the server's nodes, runs it, prints what it
saved."""
import sys
from comfy_script.runtime import Workflow, load

load(sys.argv[1])
from comfy_script.runtime.nodes import EmptyImage, ImageInvert, SaveImage  # noqa: E402

with Workflow(wait=True):
    saved = SaveImage(ImageInvert(EmptyImage(16, 16, 1, 0x00FF00)), 'comfyscript')
print(saved.wait()._output['images'][0]['filename'])
