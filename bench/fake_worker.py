# SPDX-License-Identifier: MIT
"""A worker of the link protocol (docs/protocol/worker-link.md) that computes nothing: what stands behind
measurements that need leases and previews without an engine. Needs Debian's python3-aiohttp."""

import hashlib, json, os, struct, time


def known_catalog(data):
    """The hash of the object_info that the workshop in `data` keeps."""
    folder = os.path.join(data, 'catalog')
    return next(name[:-5] for name in os.listdir(folder) if name.endswith('.json'))


class FakeWorker:
    def __init__(self, link):
        self.link = link

    @classmethod
    async def join(cls, http, workshop, slots=1):
        token = open(os.path.join(workshop.data, 'worker.token')).read().strip()
        headers = {'Authorization': f'Bearer {token}', 'Atelier-Protocol': '1', 'Atelier-Worker': 'bench'}
        worker = cls(await http.ws_connect(workshop.url + '/worker/link', headers=headers))
        slot = {
            'comfy_version': '0.21.0',
            'object_info_hash': known_catalog(workshop.data),
            'engine': 'ready',
            'engine_start': 1,
            'device': 'bench',
            'vram_total': 0,
            'holds': [],
        }
        await worker.send(
            'hello',
            protocol=1,
            agent='bench',
            name='bench',
            boot=hashlib.md5(os.urandom(16)).hexdigest(),
            slots=[{'slot': n, **slot} for n in range(slots)],
            jobs=[],
            disk_free=1 << 40,
            clock=int(time.time() * 1000),
        )
        await worker.wait_for('welcome')
        return worker

    async def send(self, kind, **fields):
        await self.link.send_str(json.dumps({'type': kind, **fields}))

    async def receive(self):
        return json.loads((await self.link.receive()).data)

    async def wait_for(self, kind):
        """The next message of this kind; others are dropped."""
        while True:
            message = await self.receive()
            if message['type'] == kind:
                return message

    async def end(self, key):
        """Ends the job of a lease, {job, epoch}, as succeeded."""
        await self.send('computed', **key, gpu_ms=0)
        await self.send(
            'ended', **key, outcome='succeeded', cause='engine', reason='', event='', report=''
        )

    async def preview(self, key, node, image):
        """One frame of ComfyUI's kind 4: a picture with the node that makes it."""
        facts = {
            'node_id': node,
            'prompt_id': 'run',
            'display_node_id': node,
            'parent_node_id': None,
            'real_node_id': node,
            'image_type': 'image/jpeg',
        }
        text = json.dumps(facts).encode()
        head = struct.pack('>IQQII', 1, key['job'], key['epoch'], 4, len(text))
        await self.link.send_bytes(head + text + image)
