"""Play the stranger of a story: send any bytes, from addresses that no member has."""

import asyncio
import random
from collections.abc import Iterator

from tsudoi import Server
from tsudoi.net.sockets import UdpChannel, udp_to
from tsudoi.protocol.client.datagram import MAX_UP, serialize

_BATCH = 32
_PAUSE_S = 0.005
"""Between two batches: stories test how a server treats bytes, not how many it can take."""


class RawSender:
    """Keeps its sockets open until it is closed."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []
        self._last: asyncio.StreamReader | None = None
        self._channels: list[UdpChannel] = []
        self.answers = 0
        """Datagrams that came back."""

    async def send_tcp(self, server: Server, data: bytes) -> None:
        """Send on a new connection, and leave it open."""
        self._last, writer = await asyncio.open_connection(server.host, server.tcp)
        self._writers.append(writer)
        writer.write(data)

    async def send_udp(self, server: Server, datagrams: Iterator[bytes]) -> None:
        """Send all datagrams from one address."""
        channel = await UdpChannel.open(await udp_to(server), self._answered, lambda exc: None)
        self._channels.append(channel)
        for number, data in enumerate(datagrams, 1):
            await channel.send(data)
            if number % _BATCH == 0:
                await asyncio.sleep(_PAUSE_S)

    async def hung_up(self, within_s: float) -> bool:
        """Return whether the server ends the last connection in time; answers on it do not count."""
        if self._last is None:
            return False
        try:
            async with asyncio.timeout(within_s):
                while await self._last.read(65536):
                    pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        for channel in self._channels:
            channel.close()
        for writer in self._writers:
            writer.transport.abort()

    def _answered(self, data: bytes) -> None:
        self.answers += 1


def random_datagrams(count: int, seed: int) -> Iterator[bytes]:
    """Yield the datagrams of a seed: noise, huge ones, well-formed ones with a wrong token, damaged ones."""
    chance = random.Random(seed)
    for _ in range(count):
        match chance.randrange(4):
            case 0:
                yield chance.randbytes(chance.randrange(1, 200))
            case 1:
                yield chance.randbytes(chance.randrange(MAX_UP, 9000))
            case 2:
                yield serialize("den", chance.randbytes(16).hex(), "boo")
            case _:
                damaged = bytearray(serialize("部屋", chance.randbytes(16).hex(), "boo"))
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
                yield bytes(damaged[: chance.randrange(1, len(damaged))])
