"""Let clients of the exercise's first stage into a room: python3 examples/first_stage.py ROOM [HOST[:TCP[:UDP]] [PORT]]

They send to UDP port 9001, or another PORT, of this machine: | size of the name: 1 byte | name | text |.
Each address is a member of the room, and gets what the others say in the same form. A member that has sent nothing for
100 s is out until it sends again.

It listens at 127.0.0.1 alone: nothing in this form proves an address, so a forged datagram would have a room's
lines sent to a stranger. Start it where the clients are.
"""

import asyncio
import sys
from typing import cast

import tsudoi

IDLE_S, MOST_LINES = 100.0, 100
Address = tuple[str, int]


class Guest:
    """One client: its name, the lines that it has sent, and what serves it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: asyncio.Queue[str] = asyncio.Queue(MOST_LINES)
        self.task: asyncio.Task[None]


class FirstStage(asyncio.DatagramProtocol):
    """The clients, by their addresses."""

    def __init__(self, room: str, server: tsudoi.Server) -> None:
        self.room, self.server = room, server
        self.guests: dict[Address, Guest] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: Address) -> None:
        size = 1 + data[0] if data else 0
        if not 1 < size <= len(data):
            return
        name, text = data[1:size].decode(errors="replace"), data[size:].decode(errors="replace")
        guest = self.guests.get(address)
        if guest is None or guest.name != name:
            if guest is not None:
                guest.task.cancel()
            guest = self.guests[address] = Guest(name)
            guest.task = asyncio.create_task(self.serve(guest, address))
        if text and not guest.lines.full():  # some clients send an empty one first, to be known
            guest.lines.put_nowait(text)

    def send(self, name: str, text: str, address: Address) -> None:
        self.transport.sendto(bytes([len(name.encode())]) + f"{name}{text}".encode(), address)

    async def serve(self, guest: Guest, address: Address) -> None:
        """Be a member, and send the client what members say and the last words of its room."""
        try:
            async with await tsudoi.join(self.room, name=guest.name, server=self.server) as chat:
                speaking = asyncio.create_task(self.speak(chat, guest, address))
                try:
                    async for event in chat:
                        if isinstance(event, tsudoi.Message):
                            self.send(event.sender, event.text, address)
                        elif isinstance(event, tsudoi.RoomClosed | tsudoi.Kicked | tsudoi.TimedOut):
                            self.send("server", event.text, address)
                finally:
                    speaking.cancel()
        except tsudoi.ClientError as exc:
            self.send("server", str(exc), address)
        finally:
            if self.guests.get(address) is guest:
                del self.guests[address]

    async def speak(self, chat: tsudoi.ChatClient, guest: Guest, address: Address) -> None:
        """Say what the client sends; leave when nothing comes any more."""
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    text = await guest.lines.get()
            except TimeoutError:
                return await chat.leave()
            try:
                for piece in chat.pieces(text):
                    await chat.say(piece)  # waits until it is kept
            except tsudoi.ClientError as exc:
                self.send("server", str(exc), address)


async def main(room: str, server: str = "127.0.0.1", port: str = "9001") -> None:
    """Serve until the room ends; make it if there is none."""
    where = tsudoi.Server.parse(server)
    try:
        host = await tsudoi.create(room, name="first-stage", server=where)
    except tsudoi.RoomExists:
        host = await tsudoi.join(room, name="first-stage", server=where)
    async with host:
        listening = asyncio.get_running_loop().create_datagram_endpoint(
            lambda: FirstStage(room, where), ("127.0.0.1", int(port))
        )
        transport, clients = await listening
        print("first stage: udp {}:{}".format(*transport.get_extra_info("sockname")), flush=True)
        async for _ in host:
            pass  # until the room ends
        if tasks := [guest.task for guest in clients.guests.values()]:
            await asyncio.wait(tasks, timeout=5.0)  # each tells its client


if len(sys.argv) not in (2, 3, 4):
    sys.exit(__doc__)
try:
    asyncio.run(main(*sys.argv[1:]))
except (tsudoi.ClientError, OSError, ValueError) as exc:
    sys.exit(f"first_stage: {exc}")
except KeyboardInterrupt:
    pass
