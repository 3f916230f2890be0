# SPDX-License-Identifier: MIT
"""comfy-api-simplified: simplified.py ADDRESS TOKEN PICTURE -> uploads, runs, prints the result's pixel."""
import io, json, sys, tempfile
from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
from PIL import Image

address, token, picture = sys.argv[1:]
graph = {
    '1': {'class_type': 'LoadImage', 'inputs': {'image': ''}, '_meta': {'title': 'Load'}},
    '2': {'class_type': 'ImageInvert', 'inputs': {'image': ['1', 0]}, '_meta': {'title': 'Invert'}},
    '3': {
        'class_type': 'SaveImage',
        'inputs': {'images': ['2', 0], 'filename_prefix': 'simplified'},
        '_meta': {'title': 'Save'},
    },
}
with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
    json.dump(graph, file)
    file.flush()
    workflow = ComfyWorkflowWrapper(file.name)
api = ComfyApiWrapper(address, user='anybody', password=token)
uploaded = api.upload_image(picture)
workflow.set_node_param('Load', 'image', f'{uploaded["subfolder"]}/{uploaded["name"]}')
results = api.queue_and_wait_images(workflow, 'Save')
(data,) = results.values()
print(Image.open(io.BytesIO(data)).convert('RGB').getpixel((0, 0)))
