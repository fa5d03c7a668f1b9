"""Handle datagrams with unknown tokens: resume the member from the directory.

Any gateway can serve any member, so this one asks the directory about anything that looks like a token, and holds the
datagrams until it answers. All tables that unknown senders can fill are bounded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from tsudoi.ops.bounded import put_newest
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Answer, Granted, Refused
from tsudoi.protocol.client.datagram import Datagram, parse_in_characters_untrusted, parse_untrusted
from tsudoi.protocol.codes import Status
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import hash_token, looks_like_token

from ..listeners import sockaddr
from .closed_rooms import ClosedRooms
from .dropped_log import Drop
from .enter import Enter
from .kept_address import KeptAddress
from .members import Member
from .outbound import Component
from .refusal_as_token import ExitAnswers, holds_refusal
from .token_guesses import TokenGuesses
from .unknown_members import UnknownMembers

HELD_TOKENS, HELD_DATAGRAMS, HELD_BYTES = 4_096, 128, 8 * 2**20
"""Unknown tokens that the directory is asked about at a time, datagrams held for each, and bytes held for all. Where a
gateway and a broker were started again together, the answer takes a second: a game says 100 lines meanwhile."""
HELD_OVERHEAD = 200
"""Bytes of memory that a datagram takes beside its own."""
REFUSED_TOKENS, REFUSED_S = 10_000, 5.0
"""Tokens that the directory did not know, and how long it is not asked again: clients of closed rooms still send."""

Held = list[tuple[int, bytes, bytes]]
"""Datagrams that are held: (listener, data, source)."""


@dataclass(slots=True, eq=False)
class UnknownTokens(Component):
    """Decides about datagrams with unknown tokens."""

    guesses: TokenGuesses
    enter: Enter
    closed_rooms: ClosedRooms
    exit_answers: ExitAnswers
    unknown_members: UnknownMembers
    _held: dict[tuple[int, bytes], Held] = field(default_factory=dict)
    """By the shard that is asked, and the hash of the token."""
    _held_bytes: int = 0
    _refused: dict[tuple[int, bytes], float] = field(default_factory=dict)
    """Shard and token → until when the shard is not asked for it."""
    receive: Callable[[Member, int, bytes, bytes, bytes, float, bytes], None] = field(init=False)
    handle_datagrams: Callable[[int, Sequence[tuple[bytes, bytes]], float], None] = field(init=False)
    """Both set by `Receiver`: datagrams go back to it when their member is known."""

    @property
    def held(self) -> int:
        """Tokens that the directory is being asked about."""
        return len(self._held)

    def handle(self, listener: int, data: bytes, token: bytes, source: bytes, now: float) -> None:
        """Handle a datagram whose token, by its sizes in bytes, is unknown; empty: the sizes do not fit.

        The sizes may count characters, another gateway may serve the member, or a seed client may have taken a refusal
        for its token.
        """
        if self.guesses.is_muted(source, now):
            return
        room_name, counted, text = _in_characters(data)
        if (member := self.members.by_token.get(counted)) is not None:
            self.receive(member, listener, room_name, text, source, now, data)
        elif looks_like_token(token) and not self._is_other(counted, token, data, now):
            self._resume(token, parse_untrusted(data)[0], listener, data, source, now)
        elif looks_like_token(counted):
            self._resume(counted, room_name, listener, data, source, now)
        elif holds_refusal(data):
            self.exit_answers.answer(listener, source, data, now)
        else:
            self.guesses.count(source, now)
            self.counters.unknown_tokens += 1
            self.out.log_datagram(source, Drop.NO_TOKEN, now, data)

    def _is_other(self, counted: bytes, token: bytes, data: bytes, now: float) -> bool:
        """Say whether the room's size counts characters, although what stands at its end in bytes has a token's form.

        In a room 部屋2024 the digits and the beginning of the token have it. The directory did not know that one.
        """
        if counted == token or not looks_like_token(counted):
            return False
        shard = self._shard(parse_untrusted(data)[0])
        return shard is None or self._refused.get((shard, token), 0.0) > now

    # --- resuming -------------------------------------------------------------------------------------------------

    def _resume(self, token: bytes, room: bytes, listener: int, data: bytes, source: bytes, now: float) -> None:
        """Ask the directory of a room for a token's member, and hold the datagram until it answers."""
        token_hash, shard = hash_token(token), self._shard(room)
        if self.members.claim_adopted(token_hash, token):
            self.handle_datagrams(listener, [(data, source)], now)
        elif shard is None:
            self.guesses.count(source, now)
            self.counters.unknown_tokens += 1
            self.out.log_datagram(source, Drop.NO_TOKEN, now, data)
        elif self._refused.get((shard, token), 0.0) > now:
            self.counters.unknown_tokens += 1
            self.unknown_members.notify_again(token_hash, source, now)
        elif not self._has_place(shard, token_hash, len(data) + HELD_OVERHEAD):
            self.counters.held_dropped += 1
        elif (held := self._held.get((shard, token_hash))) is not None:
            self._held_bytes += len(data) + HELD_OVERHEAD
            held.append((listener, data, source))
        elif (rate_key := self.guesses.count(source, now)) is not None:
            self._held_bytes += len(data) + HELD_OVERHEAD
            self._held[shard, token_hash] = [(listener, data, source)]
            self._ask(shard, token, token_hash, rate_key, source, now)

    def ask_for(self, member: Member, now: float) -> None:
        """Ask for a member that was dropped, as if its last datagram came now; on a grant, serve it at its address."""
        token_hash, shard = hash_token(member.token), member.room.shard
        if member.address is None or (shard, token_hash) in self._held or not self._has_place(shard, token_hash, 0):
            return
        self._held[shard, token_hash] = []
        self._ask(shard, member.token, token_hash, "", member.address, now, member.listener)

    def _shard(self, room: bytes) -> int | None:
        shards = len(self.members.by_shard)
        try:
            return 0 if shards == 1 else backbone.shard_named(room.decode(), shards)
        except UnicodeDecodeError:
            return None

    def _has_place(self, shard: int, token_hash: bytes, size: int) -> bool:
        held = self._held.get((shard, token_hash))
        is_full = len(self._held) >= HELD_TOKENS if held is None else len(held) >= HELD_DATAGRAMS
        return not is_full and self._held_bytes + size <= HELD_BYTES

    def _ask(
        self,
        shard: int,
        token: bytes,
        token_hash: bytes,
        rate_key: str,
        source: bytes,
        now: float,
        known_at: int | None = None,
    ) -> None:
        """Ask for a token's member; `known_at` is the listener if the member was heard from `source` before."""

        def answered(answer: Answer | None, now: float) -> None:
            held = self._release(shard, token_hash)
            if not isinstance(answer, Refused):
                self.guesses.refund(rate_key)
            match answer:
                case Granted() if self.closed_rooms.was_notified(shard, answer.room, answer.member):
                    self.counters.unknown_tokens += len(held)
                case Granted() if known_at is not None:
                    # What it has heard here is older than the grant; the other gateway may have heard it elsewhere.
                    since = offset = answer.offset
                    if (before := KeptAddress.parse(answer.address)) is not None and before.unproven_from is not None:
                        since = before.unproven_from
                        offset = since if before.is_displaced else offset
                    where = KeptAddress(source, known_at, since).serialize()
                    self.enter.enter(replace(answer, address=where.encode(), offset=offset), token, now)
                    self.counters.resumed += 1
                    self._receive_held(held, now)
                case Granted():
                    self._granted(answer, token, source, held, now)
                case Refused(Status.BAD_REQUEST):
                    self._shown_elsewhere(source, held, now)
                case Refused(Status.ROOM_NOT_FOUND):
                    put_newest(self._refused, (shard, token), now + REFUSED_S, REFUSED_TOKENS)
                    others = [each for each in held if self._is_other(_in_characters(each[1])[1], token, each[1], now)]
                    refused = [each for each in held if each not in others]
                    self.counters.unknown_tokens += len(refused)
                    for _, data, _ in refused[:1]:
                        self.out.log_datagram(source, Drop.NO_TOKEN, now, data)
                    if refused or not others:
                        self.unknown_members.notify_again(token_hash, source, now)
                    self._receive_held(others, now)
                case _:
                    self.counters.held_dropped += len(held)

        settings = self.settings
        move_after_ms = int(settings.move_after_s * 1000) if settings.check_ip == "strict" else 0
        question = backbone.Resume(token_hash, sockaddr.unpack(source)[0], move_after_ms)
        # If a gateway and a broker end together, what the members send here waits for the next broker.
        self.routes.ask_patiently(shard, question, now, answered)

    def _granted(self, granted: Granted, token: bytes, source: bytes, held: Held, now: float) -> None:
        self.counters.resumed += 1
        member = self.enter.enter(granted, token, now)
        if not sockaddr.same_host(sockaddr.ip_bytes(source), member.ip):
            # The directory has granted the member for this host, so it may move there at once.
            member.seen = now - self.settings.move_after_s - self.members.standstills.total_s(now)
        self._receive_held(held, now)

    def _shown_elsewhere(self, source: bytes, held: Held, now: float) -> None:
        """Drop datagrams from a host to which the member may not move (yet); receive those from other hosts."""
        ip = sockaddr.ip_bytes(source)
        from_there = [each for each in held if sockaddr.same_host(sockaddr.ip_bytes(each[2]), ip)]
        self.counters.wrong_addresses += len(from_there)
        self.out.log_datagram(source, Drop.OTHER_ADDRESS, now)
        self._receive_held([each for each in held if each not in from_there], now)

    def receive_held(self, shard: int, token_hash: bytes, now: float) -> None:
        """Receive the held datagrams of a member that has been adopted, before its next one overtakes them."""
        self._receive_held(self._release(shard, token_hash), now)

    def _receive_held(self, held: Held, now: float) -> None:
        for listener, data, source in held:
            self.handle_datagrams(listener, [(data, source)], now)

    def _release(self, shard: int, token_hash: bytes) -> Held:
        """Return the held datagrams of a token, and hold them no more."""
        held = self._held.pop((shard, token_hash), [])
        self._held_bytes -= sum(len(data) + HELD_OVERHEAD for _, data, _ in held)
        return held


def _in_characters(data: bytes) -> Datagram:
    """Return room, token and text with the room's size taken as characters; empty if there is no such split."""
    try:
        return parse_in_characters_untrusted(data)
    except MalformedMessage:
        return b"", b"", b""
