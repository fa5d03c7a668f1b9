"""An attacker on the way: it passes packets on between one client and the server, and keeps all that it has seen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.second_client.session import Address


class Relay:
    """`up` and `down` are the packets seen; `inject` sends to the server from the client's address, as it sees it."""

    def __init__(self) -> None:
        self.up: list[bytes] = []
        self.down: list[bytes] = []
        self.client: Address | None = None
        self.address: Address = ("", 0)
        self.below: asyncio.DatagramTransport
        self.above: asyncio.DatagramTransport

    async def rebind(self, server: Address) -> None:
        """Show the server another port from now on, as a NAT does; packets to the earlier one are lost."""
        self.above.close()
        make = asyncio.get_running_loop().create_datagram_endpoint
        self.above, _ = await make(lambda: _Above(self), remote_addr=server)

    def inject(self, packet: bytes) -> None:
        self.above.sendto(packet)

    def inject_down(self, packet: bytes) -> None:
        self.below.sendto(packet, self.client)


class _Below(asyncio.DatagramProtocol):
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._relay.client = addr
        self._relay.up.append(data)
        self._relay.above.sendto(data)


class _Above(asyncio.DatagramProtocol):
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._relay.down.append(data)
        self._relay.below.sendto(data, self._relay.client)


@asynccontextmanager
async def relay_to(server: Address) -> AsyncIterator[Relay]:
    relay, loop = Relay(), asyncio.get_running_loop()
    relay.below, _ = await loop.create_datagram_endpoint(lambda: _Below(relay), local_addr=("127.0.0.1", 0))
    relay.above, _ = await loop.create_datagram_endpoint(lambda: _Above(relay), remote_addr=server)
    relay.address = relay.below.get_extra_info("sockname")
    try:
        yield relay
    finally:
        relay.below.close()
        relay.above.close()
        await asyncio.sleep(0)
