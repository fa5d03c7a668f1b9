"""A member in a dialect of version 1: what it sends and gets is one datagram each, which may be lost."""

import asyncio

from tsudoi.events import LAST, Renamed, ServerAway
from tsudoi.net.chat import ChatClient
from tsudoi.net.sockets import UdpChannel, reason, udp_to
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.server_address import Server
from tsudoi.session import Membership, Recent
from tsudoi.settings import Settings

_REGISTER_AGAIN_S = 1.0
"""Pause before the first keep-alive: the datagram before may be lost, and the server needs one to learn the address."""


class DatagramChat(ChatClient):
    """See `ChatClient`."""

    def __init__(self, dialect: Dialect, room: str, name: str, token: str, server: Server, settings: Settings) -> None:
        """Use `tsudoi.create` or `tsudoi.join` instead."""
        super().__init__(dialect, Membership(dialect, room, name, token), room, server, settings)
        self._channels: list[UdpChannel] = []
        self._recent = Recent()
        self._away = False
        self._keep_alive: asyncio.Task[None] | None = None

    async def say(self, text: str) -> None:
        self._check_text(text)
        async with self._turn:
            await self._wait_for_turn()
            await self._channel().send(self._membership.say(text))

    async def leave(self) -> None:
        """Leave the room and close. In a dialect without a leave word the server notices the silence."""
        if not self.closed:
            word = self._membership.leave()
            if word is not None:
                self._channels[-1].send_now(word)
        self._end()

    async def vanish(self) -> None:
        self._end()

    def stop_keep_alives(self) -> None:
        if self._keep_alive is not None:
            self._keep_alive.cancel()

    async def move(self, server: Server) -> None:
        self._channel()
        channel = await UdpChannel.open(await udp_to(server), self.received, self.failed)
        # Datagrams that are under way to the old socket are still received.
        self._channels = [*self._channels[-1:], channel]
        self.server = server
        channel.send_now(self._membership.register())

    async def open(self, channel: UdpChannel) -> None:
        """Receive from a channel, tell the server its address, and send keep-alives each `keep_alive_s` seconds."""
        self._channels.append(channel)
        if self._settings.register_at_once:
            channel.send_now(self._membership.register())
        if self._settings.keep_alive_s:
            self._keep_alive = asyncio.create_task(self._send_keep_alives(), name=f"keep-alive of {self.name}")

    async def _send_keep_alives(self) -> None:
        pause_s = min(_REGISTER_AGAIN_S, self._settings.keep_alive_s)
        while True:
            await asyncio.sleep(pause_s)
            self._channels[-1].send_now(self._membership.register())
            pause_s = self._settings.keep_alive_s

    def _channel(self) -> UdpChannel:
        self._check_inside()
        return self._channels[-1]

    def received(self, data: bytes) -> None:
        """Take a datagram."""
        self._away = False
        try:
            event = self._membership.receive(data)
        except MalformedMessage:
            self.malformed += 1
            return
        if self.closed:
            return
        if self._recent.has_seen(event):
            self.repeated += 1
            return
        self._keep(event)
        if isinstance(event, Renamed) and event.name == self.name:
            self.name = self._membership.user = event.to
        if isinstance(event, LAST):
            self._end()

    def failed(self, exc: OSError) -> None:
        """Note that the server's machine refuses datagrams."""
        self.unreachable += 1
        if not self._away and not self.closed:
            self._away = True
            self._keep(
                ServerAway(f"the server at {self.server} does not answer: {reason(exc)}; what you say may be lost")
            )

    def _end(self) -> None:
        if self.closed:
            return
        self.stop_keep_alives()
        for channel in self._channels:
            channel.close()
        self._end_events()
