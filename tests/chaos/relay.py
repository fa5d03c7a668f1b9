"""A relay in this process that cuts and stalls the TCP connections between a gateway and its broker."""

import asyncio
import contextlib
import socket
from functools import partial

from scenarios.ports import steady_port

COMMANDS, NEWS = 1, 2
READ_SIZE = 65_536


class BackboneRelay:
    """Stands between one gateway and the broker: two ports in a row, for commands and for news."""

    def __init__(self, *, holds_little: bool = False) -> None:
        """Args:
        holds_little: the kernel takes a MiB or two from the broker while a connection is stalled, not up to 20.
        """
        self._holds_little = holds_little
        port = steady_port(2)
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self._listeners = {COMMANDS: _listening(port), NEWS: _listening(port + 1)}
        self._broker_port = 0
        self._servers: list[asyncio.Server] = []
        self._writers: dict[int, set[asyncio.StreamWriter]] = {kind: set() for kind in self._listeners}
        self.connections = dict.fromkeys(self._listeners, 0)
        """Connections carried to the broker since the start."""
        self._cut = 0
        self._gates = {COMMANDS: asyncio.Event(), NEWS: asyncio.Event()}
        self._tasks: set[asyncio.Task[None]] = set()
        for gate in self._gates.values():
            gate.set()

    async def start(self, broker: str) -> None:
        """Carry connections on to the broker at that endpoint."""
        self._broker_port = int(broker.rpartition(":")[2])
        for which, listener in self._listeners.items():
            self._servers.append(await asyncio.start_server(partial(self._serve, which), sock=listener))

    def cut(self, which: int) -> None:
        """End connections of these kinds, and refuse new ones; `which` is COMMANDS, NEWS or both."""
        self._cut |= which
        for kind, writers in self._writers.items():
            if kind & which:
                for writer in list(writers):
                    writer.transport.abort()

    def stall(self, which: int) -> None:
        """Stop carrying data over connections of these kinds; they stay open."""
        for kind, gate in self._gates.items():
            if kind & which:
                gate.clear()

    def heal(self) -> None:
        self._cut = 0
        for gate in self._gates.values():
            gate.set()

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, which: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writers = [writer]
        try:
            await self._gates[which].wait()
            if self._cut & which:
                return
            onward, back = await self._connect(self._broker_port + (which == NEWS))
            writers.append(back)
            self.connections[which] += 1
            self._writers[which].update(writers)
            ends = [
                asyncio.ensure_future(self._pump(reader, back, which)),
                asyncio.ensure_future(self._pump(onward, writer, which)),
            ]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
        except OSError:
            pass  # the broker is away
        finally:
            self._tasks.discard(task)
            self._writers[which].difference_update(writers)
            for one in writers:
                one.transport.abort()

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self._holds_little:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 2**10)
            # The broker's side sizes its own buffer by the segments.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return await asyncio.open_connection(sock=sock)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, which: int) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_SIZE):
                await self._gates[which].wait()
                writer.write(data)
                await writer.drain()


def _listening(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock
