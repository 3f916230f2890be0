# SPDX-License-Identifier: MIT
"""A TCP proxy on loopback that breaks connections as a test says, on a thread of its own. What it does may
change at any time and holds for all connections, present and future. Only the standard library."""

import asyncio, contextlib, re, socket, struct, threading

PIECE = 1 << 16


class Direction:
    """What happens to the bytes that go one way."""

    def __init__(self):
        self.delay = 0.0  # seconds that each piece waits
        self.rate = None  # bytes per second of each connection
        self.held = False  # nothing is read any more: a line that is dead
        self.lost = False  # read and thrown away
        self.cut_after = None  # bytes of one connection after which it is reset
        self.cut_on = None  # bytes that, seen at the beginning of a piece, reset the connection in its place
        self.bytes = 0  # passed on, of all connections


class Connection:
    def __init__(self, number, near, far):
        self.number, self.near, self.far = number, near, far
        self.half_closed = False

    def reset(self):
        for writer in (self.near, self.far):
            with contextlib.suppress(OSError):
                raw = writer.get_extra_info('socket')
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            writer.transport.abort()


class ChaosProxy:
    """`up` is what the client sends, `down` what the server at port `target` answers. `heads` are the HTTP
    heads seen so far: (connection, 'up' or 'down', text)."""

    def __init__(self, target):
        self.target = target
        self.up, self.down = Direction(), Direction()
        self.refusing = False  # who connects is reset at once
        self.heads, self.connections, self.cuts = [], {}, 0
        self.count = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.call(self._listen())

    @property
    def url(self):
        return f'http://127.0.0.1:{self.port}'

    def call(self, coroutine, seconds=20):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def reset(self):
        """All present connections, both ends."""
        self.call(self._reset())

    def half_close(self):
        """The server sees each present client end its stream; the other way stays open."""
        self.call(self._half_close())

    def close(self):
        self.call(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def requests(self, pattern):
        """The matches of the request lines seen so far."""
        lines = [text.split('\r\n', 1)[0] for _, way, text in list(self.heads) if way == 'up']
        return [found for line in lines if (found := re.search(pattern, line))]

    async def _listen(self):
        self.server = await asyncio.start_server(self._serve, '127.0.0.1', 0, limit=PIECE)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _reset(self):
        for connection in list(self.connections.values()):
            connection.reset()

    async def _end(self):
        self.server.close()
        self.up.held = self.down.held = False
        while self.connections:
            await self._reset()
            await asyncio.sleep(0.01)

    async def _half_close(self):
        for connection in list(self.connections.values()):
            connection.half_closed = True
            connection.far.write_eof()

    async def _serve(self, reader, writer):
        if self.refusing:
            Connection(0, writer, writer).reset()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection('127.0.0.1', self.target, limit=PIECE)
        except OSError:
            writer.transport.abort()
            return
        self.count += 1
        connection = Connection(self.count, writer, far_writer)
        self.connections[connection.number] = connection
        ways = [
            self._pass('up', self.up, connection, reader, far_writer),
            self._pass('down', self.down, connection, far_reader, writer),
        ]
        try:
            await asyncio.gather(*ways)
        finally:
            del self.connections[connection.number]
            connection.near.close()
            connection.far.close()

    async def _pass(self, way, direction, connection, reader, writer):
        carried = 0
        try:
            while True:
                while direction.held:
                    await asyncio.sleep(0.01)
                piece = await reader.read(PIECE if direction.rate is None else max(1, direction.rate // 20))
                if not piece:
                    writer.write_eof()
                    return
                while direction.held:
                    await asyncio.sleep(0.01)
                if re.match(rb'(GET|HEAD|PUT|POST) |HTTP/1', piece):
                    self.heads.append((connection.number, way, piece.split(b'\r\n\r\n')[0].decode('latin-1')))
                carried += len(piece)
                if direction.cut_on and direction.cut_on in piece[:400]:
                    direction.cut_on = None
                    self.cuts += 1
                    return connection.reset()
                if direction.cut_after is not None and carried > direction.cut_after:
                    self.cuts += 1
                    return connection.reset()
                if direction.delay or direction.rate:
                    await asyncio.sleep(direction.delay + len(piece) / (direction.rate or 1 << 40))
                if not direction.lost and not (way == 'up' and connection.half_closed):
                    direction.bytes += len(piece)
                    writer.write(piece)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            connection.reset()
