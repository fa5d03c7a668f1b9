"""Datagrams whose token is no member's here: whose it is, who guesses, and who is told to end.

The directory is asked about what looks like a token, as any gateway can serve any member; the datagrams wait for its
answer. All that strangers can fill has a bound. `now` is monotonic seconds.
"""

from collections.abc import Iterable
from typing import Protocol

from gateway import addresses
from gateway.admission import ADDRESSES, RateKeys
from gateway.config import Settings
from gateway.counters import Counters
from gateway.delivery import Delivery
from gateway.link import Link
from gateway.members import Member, Members
from tsudoi.ops.bounded import drop_oldest
from tsudoi.ops.token_bucket import Buckets
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Answer, Granted, Refused
from tsudoi.protocol.client.datagram import characters_end, parse_in_characters_untrusted
from tsudoi.protocol.client.dialects import CLASSIC
from tsudoi.protocol.client.handshake import REASONS
from tsudoi.protocol.codes import Status
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import hash_token, looks_like_token

HELD_TOKENS = 4_096
HELD_DATAGRAMS = 16
"""Datagrams of one unknown token that wait for the directory's answer; and how many such tokens there may be."""
HELD_BYTES = 8 * 2**20
"""Of all of those together."""
REFUSED_TOKENS = 10_000
REFUSED_S = 5.0
"""For so long a token that the directory did not know is not asked for again."""
REFUSAL = b"ERROR: "
"""How a refusal begins that a seed client takes for its token."""
REFUSALS = tuple(REFUSAL + reason.encode() for status, reason in REASONS.items() if status is not Status.OK)
"""What it may be told of that; nothing that a stranger made up goes anywhere."""
EXIT_ADDRESSES = 10_000
EXITS_S, EXITS = 1.0, 40.0
"""Clients of one address that are told to end in a second, and at once: a class behind one."""
GUESS_S = 20.0
"""Unknown tokens of an address that are asked for at once: as many as in so long a time."""
STRANGER_MUTE_S = 0.5
EXIT_S = 1.0


class Hearing(Protocol):
    """What takes datagrams of members; `gateway.core.Core`."""

    def hear(self, member: Member, door: int, room_name: bytes, raw: bytes, source: bytes, now: float) -> None:
        """Take the room's name and the text of a datagram whose token is a member's."""

    def handle_datagrams(self, door: int, datagrams: Iterable[tuple[bytes, bytes]], now: float) -> None:
        """Take a batch of datagrams, (data, address) each, that came in at one door."""

    def enter(self, granted: Granted, token: bytes, now: float) -> Member:
        """Serve a member that the directory has granted."""


class Strangers:
    """Decides about datagrams of nobody who is served here; knows no socket and no clock."""

    def __init__(
        self,
        members: Members,
        settings: Settings,
        link: Link,
        delivery: Delivery,
        counters: Counters,
        rate_keys: RateKeys,
        core: Hearing,
    ) -> None:
        self._members = members
        self._settings = settings
        self._link = link
        self._delivery = delivery
        self._counters = counters
        self._households = rate_keys
        self._core = core
        self._held: dict[bytes, list[tuple[int, bytes, bytes]]] = {}
        """Hash of an unknown token → datagrams (door, data, source) that wait for the directory's answer."""
        self._held_bytes = 0
        self._guesses: Buckets[str] = Buckets(ADDRESSES)
        self._muted: dict[bytes, float] = {}
        """Address with its port → until when nothing that is no member's is read from there."""
        self._refused: dict[bytes, float] = {}
        self._exited: dict[bytes, float] = {}
        self._exits: Buckets[str] = Buckets(ADDRESSES)
        """Of addresses, whatever the port."""

    @property
    def held(self) -> int:
        """Unknown tokens whose datagrams wait for the directory's answer."""
        return len(self._held)

    def handle(self, door: int, data: bytes, source: bytes, now: float) -> None:
        """Take a datagram whose declared token is no member's here.

        Its sizes may be counted in characters, its token may be another gateway's, or a refusal's text.
        """
        if self._muted.get(source, 0.0) > now:
            self._counters.guesses_limited += 1
            return
        token_at = 2 + data[0]
        declared = data[token_at : token_at + data[1]]
        try:
            counted = parse_in_characters_untrusted(data)
        except MalformedMessage:
            counted = None
        if counted is not None and counted.token in self._members.by_token:
            self._core.hear(self._members.by_token[counted.token], door, counted.room, counted.text, source, now)
        elif looks_like_token(declared):
            self._ask_for(declared, door, data, source, now)
        elif counted is not None and looks_like_token(counted.token):
            self._ask_for(counted.token, door, data, source, now)
        elif declared.startswith(REFUSAL) or data.startswith(REFUSAL, characters_end(data)):
            self._answer_exit(door, source, data, now)
        else:
            self._guessed(source, now)
            self._counters.unknown_tokens += 1

    def _ask_for(self, token: bytes, door: int, data: bytes, source: bytes, now: float) -> None:
        """Ask the directory about a token; its datagrams wait for the answer."""
        token_hash = hash_token(token)
        if self._members.claim_adopted(token_hash, token):
            member = self._members.by_token[token]
            self._core.handle_datagrams(door, [(data, source)], now)
            if member.address == source:
                self._members.unproven.pop(member.id, None)
            return
        if self._refused.get(token, 0.0) > now:
            self._counters.unknown_tokens += 1
            return
        held = self._held.get(token_hash)
        is_full = len(held) >= HELD_DATAGRAMS if held is not None else len(self._held) >= HELD_TOKENS
        if is_full or self._held_bytes + len(data) > HELD_BYTES:
            self._counters.held_dropped += 1
            return
        if held is not None:
            self._held_bytes += len(data)
            held.append((door, data, source))
            return
        # Who comes with tokens of members has what it cost given back.
        guesser = self._guessed(source, now)
        if guesser is None:
            return
        self._held_bytes += len(data)
        self._held[token_hash] = [(door, data, source)]

        def answered(answer: Answer | None, now: float) -> None:
            waiting = self.let_go(token_hash)
            if guesser and not isinstance(answer, Refused):
                self._guesses.refund(guesser, self._guess_burst())
            if isinstance(answer, Granted) and self._delivery.told_end(answer.room, answer.member):
                self._counters.unknown_tokens += len(waiting)
            elif isinstance(answer, Granted):
                self._counters.resumed += 1
                member = self._core.enter(answer, token, now)
                if not addresses.same_host(addresses.ip_bytes(source), member.ip):
                    member.seen = now - self._settings.move_after_s  # it may be there, or it were not granted
                for held_door, held_data, held_source in waiting:
                    self._core.handle_datagrams(held_door, [(held_data, held_source)], now)
            elif isinstance(answer, Refused) and answer.status == Status.BAD_REQUEST:
                # That was not the member, or it may not be there yet. It may have come meanwhile from where it is.
                for held_door, held_data, held_source in waiting:
                    if addresses.same_host(addresses.ip_bytes(held_source), addresses.ip_bytes(source)):
                        self._counters.wrong_addresses += 1
                    else:
                        self._core.handle_datagrams(held_door, [(held_data, held_source)], now)
            elif isinstance(answer, Refused) and answer.status == Status.ROOM_NOT_FOUND:
                self._counters.unknown_tokens += len(waiting)
                self._refused[token] = now + REFUSED_S
                drop_oldest(self._refused, REFUSED_TOKENS)
            else:
                self._counters.held_dropped += len(waiting)

        settings = self._settings
        move_after_ms = int(settings.move_after_s * 1000) if settings.check_ip == "strict" else 0
        self._link.ask(backbone.Resume(token_hash, addresses.unpack(source)[0], move_after_ms), now, answered)

    def let_go(self, token_hash: bytes) -> list[tuple[int, bytes, bytes]]:
        """Return the datagrams that wait for the directory's answer about a token, and hold them no more."""
        held = self._held.pop(token_hash, [])
        self._held_bytes -= sum(len(data) for _, data, _ in held)
        return held

    def _guessed(self, source: bytes, now: float) -> str | None:
        """Something came that is no member's: return whose bucket paid for it, empty if nobody's; None if it is empty.

        What the source goes on with is then not even read for a moment.
        """
        guesser, rate = self._households.of(addresses.unpack(source)[0]), self._settings.guess_rate
        if guesser and not self._guesses.touch(guesser, now, rate, self._guess_burst()):
            self._counters.guesses_limited += 1
            self._muted.pop(source, None)
            self._muted[source] = now + STRANGER_MUTE_S
            drop_oldest(self._muted, ADDRESSES)
            return None
        return guesser

    def _guess_burst(self) -> float:
        return max(self._settings.guess_rate * GUESS_S, 1.0)

    def _answer_exit(self, door: int, source: bytes, data: bytes, now: float) -> None:
        """Tell a seed client that took a refusal's text for its token why, and to end; PROTOCOL.md, "classic"."""
        last = self._exited.get(source, float("-inf"))
        word = CLASSIC.closed[-1].encode()
        if now - last >= EXIT_S and len(word) <= len(data):
            rate_key = self._households.of(addresses.unpack(source)[0])
            if rate_key and not self._exits.touch(rate_key, now, EXITS_S, EXITS):
                return
            self._exited.pop(source, None)
            self._exited[source] = now
            drop_oldest(self._exited, EXIT_ADDRESSES)
            self._counters.exit_answers += 1
            why = next((refusal for refusal in REFUSALS if refusal in data), b"")
            if why and len(why) + len(word) <= len(data):
                self._delivery.send(door, source, why)
            self._delivery.send(door, source, word)
