"""Look on while the service serves clients: each connection and datagram becomes a block of lines.

The service, its connections and its datagrams are the product's own; the classes here note what goes through them.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from time import monotonic

from tsudoi.ops.bounded import drop_oldest
from tsudoi.ops.host_port import HostPort
from tsudoi.ops.token_bucket import Bucket
from tsudoi.protocol.client.dialects import TSUDOI_2

from ..chat.collecting import Collecting
from ..chat.members import Member, Recipients
from ..chat.outbound import Fill, filled
from ..explain.datagram_hints import Known, find_member
from ..explain.opening import Opening, keep
from ..join.account import Account
from ..listeners import sockaddr
from ..listeners.connection import Connection, State
from ..listeners.options import Listener
from ..listeners.tcp import TCPServer
from ..process.outbound import GatewayOutbound
from ..process.service import Service
from ..sealed.keys import is_meant
from . import packets, words
from .blocks import Talk, datagram_block, datagram_outcomes, down_block, handshake_block, port_block, so_far_block
from .render import Renderer

SO_FAR_S = 1.0
"""After this time without the rest of a request, what has come is shown."""
BLOCKS_S, BLOCKS = 20.0, 200.0
"""Blocks a second, and at once: a terminal takes no more."""
TOKENS = 1_000
"""Tokens that are remembered in order to hide them, also after their members have left."""

Show = Callable[[list[str]], None]
"""Writes a block of lines."""


class Watch:
    """Makes the blocks, and counts requests and datagrams."""

    def __init__(self, draw: Callable[[], Renderer], show: Show, on_item: Callable[[], None]) -> None:
        """Begin; `draw` returns a renderer for the terminal as it is now.

        `on_item` is called after each request or datagram.
        """
        self.draw = draw
        self.on_item = on_item
        self._show = show
        self._tokens: dict[bytes, None] = {}
        self._bucket = Bucket(BLOCKS, monotonic())
        self._not_shown = 0

    @property
    def tokens(self) -> tuple[bytes, ...]:
        """All tokens that are to be hidden."""
        return tuple(self._tokens)

    def note_tokens(self, known: dict[bytes, Member]) -> None:
        """Remember the tokens of present members."""
        for token in known:
            self._tokens.setdefault(token, None)
        drop_oldest(self._tokens, TOKENS)

    def show(self, block: Callable[[Renderer], list[str]]) -> None:
        """Show a block, unless there are too many."""
        if not self._bucket.touch(monotonic(), BLOCKS_S, BLOCKS):
            self._not_shown += 1
            return
        draw = self.draw()
        if self._not_shown:
            self._show(draw.note(words.NOT_SHOWN, count=self._not_shown))
            self._not_shown = 0
        self._show([*block(draw), ""])


class WatchedConnection(Connection):
    """A connection whose bytes are noted, both ways."""

    def __init__(self, server: TCPServer, listener: Listener, watch: Watch) -> None:
        super().__init__(server, listener)
        self._watch = watch
        self._talk = Talk([])

    @property
    def _peer(self) -> str:
        peer = None if self.state is State.OPENING else self._transport.get_extra_info("peername")
        return str(HostPort(sockaddr.plain_text(peer[0]), peer[1])) if peer else self.ip

    @property
    def _place(self) -> str:
        return f"{self._listener}={self._listener.dialect}"

    def _receive(self, data: bytes) -> None:
        """Note received bytes, those of TLS as they were before it sealed them."""
        if self._conversation.awaits_port:
            self._watch.show(partial(port_block, peer=self._peer, data=data))
        else:
            self._talk.add(True, data)
            self._server.loop.call_later(SO_FAR_S, self._show_so_far, len(self._talk.opening))
        super()._receive(data)

    def _send(self, frames: list[bytes], pause_s: float) -> None:
        self._talk.add(False, frames[0])
        super()._send(frames, pause_s)

    def _report(self, account: Account) -> None:
        super()._report(account)
        talk, self._talk = self._talk, Talk([])
        if not talk.pieces:
            talk.add(True, account.opening.data)
        self._watch.note_tokens(self._server.rules.core.members.by_token)
        tokens = self._watch.tokens
        self._watch.show(lambda draw: handshake_block(draw, self._peer, self._place, account, talk, tokens))
        self._watch.on_item()

    def _show_so_far(self, size: int) -> None:
        opening = self._talk.opening
        if len(opening) == size and self._conversation.begun:
            data, is_cut = keep(opening)
            part = Opening(data, self._listener.dialect, is_cut=is_cut)
            self._watch.show(lambda draw: so_far_block(draw, self._peer, part, self._place, self._watch.tokens))


class WatchedOutbound(GatewayOutbound):
    """Shows each datagram to members before it is sent."""

    show_down: Callable[[list[bytes], bytes], None]
    """Gets the addresses and the payload."""

    def fan_out(self, listener: int, recipients: Recipients, payloads: Sequence[bytes], skips: Sequence[int]) -> None:
        slots = () if isinstance(recipients, Collecting) else range(len(recipients))
        for payload, skip in zip(payloads, skips, strict=True):
            if addresses := [recipients.address_in(slot) for slot in slots if slot != skip]:
                self.show_down(addresses, payload)
        super().fan_out(listener, recipients, payloads, skips)

    def send_many(self, listener: int, address: bytes, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            self.send(listener, address, payload)

    def send_filled(
        self, listener: int, recipients: Recipients, slots: range, sizes: Sequence[int], fill: Fill
    ) -> None:
        for slot in slots:
            self.send_many(listener, recipients.address_in(slot), filled(fill, 0, sizes, slot))

    def send(self, listener: int, address: bytes, payload: bytes) -> None:
        self.show_down([address], payload)
        super().send(listener, address, payload)


class WatchedService(Service):
    """A service whose clients are looked at."""

    outbound = WatchedOutbound
    watch: Watch
    """Set before `start`."""

    def look_on(self, watch: Watch) -> None:
        """Show what clients send from now on."""
        self.watch = watch
        self.tcp.connect = partial(WatchedConnection, watch=watch)
        assert isinstance(self.out, WatchedOutbound)
        self.out.show_down = self._show_down

    def _on_datagrams(self, listener: int, datagrams: list[tuple[bytes, bytes]], waited_s: float) -> None:
        for data, source in datagrams:
            self._take(listener, data, source, waited_s)

    def _take(self, listener: int, data: bytes, source: bytes, waited_s: float) -> None:
        """Handle one datagram as the service does, and show it with what came of it."""
        members = self.core.members.by_token
        known = {
            token: Known(member.room.raw_name, member.dialect, member.name.encode())
            for token, member in members.items()
        }
        is_known = find_member(data, known.get)[0] is not None
        before, leaving = deepcopy(self.counters), _leaving(members)
        super()._on_datagrams(listener, [(data, source)], waited_s)
        left = _leaving(self.core.members.by_token) != leaving or len(self.core.members.by_token) < len(known)
        body = None
        if is_meant(data):
            body = packets.open_packet(self.core.sealed_sender.keys, data, up=True)
            outcomes = packets.packet_outcomes(before, self.counters, body is not None)
        else:
            outcomes = datagram_outcomes(before, self.counters, is_known, left)
        tokens, peer = self.watch.tokens, _text(source)
        self.watch.show(lambda draw: datagram_block(draw, peer, data, known.get, outcomes, tokens, body))
        self.watch.on_item()

    def _show_down(self, addresses: list[bytes], payload: bytes) -> None:
        first = addresses[0]
        member = next((each for each in self.core.members.by_token.values() if each.address == first), None)
        dialect = member.dialect if member is not None else TSUDOI_2 if packets.is_packet(payload) else None
        tokens = self.watch.tokens
        body = packets.open_packet(self.core.sealed_sender.keys, payload, up=False)

        def block(draw: Renderer) -> list[str]:
            if member is None:
                heading = words.DOWN_TO_OTHER.text(draw.language, peer=_text(first))
            elif len(addresses) > 1:
                heading = words.DOWN_TO_MANY.text(draw.language, count=len(addresses), dialect=member.dialect.name)
            else:
                name = member.dialect.name
                heading = words.DOWN.text(draw.language, peer=_text(first), name=member.name, dialect=name)
            return down_block(draw, heading, payload, dialect, tokens, body)

        self.watch.show(block)


def _leaving(members: dict[bytes, Member]) -> int:
    return sum(member.leaving for member in members.values())


def _text(address: bytes) -> str:
    return str(HostPort(*sockaddr.unpack(address)))
