# SPDX-License-Identifier: MIT
"""As ComfyUI's own examples do it: plain_websocket.py HOST:PORT/PATH TOKEN -> waits on the socket, which has
its token in the address, and prints the saved file's name."""
import json, sys, urllib.request, uuid
import websocket

server, token = sys.argv[1:]
client_id = str(uuid.uuid4())


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f'http://{server}{path}', data=data)
    request.add_header('Authorization', f'Bearer {token}')
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


socket = websocket.WebSocket()
socket.connect(f'ws://{server}/ws?clientId={client_id}&token={token}')
graph = {
    '1': {'class_type': 'EmptyImage', 'inputs': {'width': 8, 'height': 8, 'batch_size': 1, 'color': 255}},
    '2': {'class_type': 'SaveImage', 'inputs': {'images': ['1', 0], 'filename_prefix': 'plain'}},
}
prompt_id = call('/prompt', {'prompt': graph, 'client_id': client_id})['prompt_id']
while True:
    message = socket.recv()
    if isinstance(message, bytes):
        continue
    event = json.loads(message)
    if event['type'] == 'executing' and event['data'] == {'node': None, 'prompt_id': prompt_id}:
        break
print(call(f'/history/{prompt_id}')[prompt_id]['outputs']['2']['images'][0]['filename'])
