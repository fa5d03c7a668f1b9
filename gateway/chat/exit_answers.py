"""Tell seed clients to exit that took a refusal's text for their token; PROTOCOL.md, "classic".

The only answer to an address that has proven nothing: never more bytes than came, only words that this gateway might
have sent, and only so often.
"""

from dataclasses import dataclass, field

from tsudoi.ops.bounded import drop_oldest
from tsudoi.ops.token_bucket import Buckets
from tsudoi.protocol.client.datagram import characters_end
from tsudoi.protocol.client.dialects import CLASSIC
from tsudoi.protocol.client.handshake import REASONS
from tsudoi.protocol.codes import Status

from ..counters import Counters
from ..join.rate_keys import ADDRESSES, RateKeys
from ..listeners import sockaddr
from .outbound import Outbound

REFUSAL = b"ERROR: "
"""How a refusal begins."""
REFUSALS = tuple(REFUSAL + reason.encode() for status, reason in REASONS.items() if status is not Status.OK)
EXIT_ADDRESSES = 10_000
EXIT_S = 1.0
"""An address with its port is told at most this often."""
EXITS_S, EXITS = 1.0, 40.0
"""Clients behind one address that are told in a second, and at once: a class."""
_EXIT = CLASSIC.closed[-1].encode()


def holds_refusal(data: bytes) -> bool:
    """Say whether a refusal stands where the token should be, whether the room's size counts bytes or characters."""
    return data.startswith(REFUSAL, 2 + data[0]) or data.startswith(REFUSAL, characters_end(data))


@dataclass(slots=True, eq=False)
class ExitAnswers:
    """Answers datagrams that hold a refusal; `now` is monotonic seconds."""

    out: Outbound
    counters: Counters
    rate_keys: RateKeys
    _answered: dict[bytes, float] = field(default_factory=dict)
    """Address with its port → when it was told last."""
    _exits: Buckets[str] = field(default_factory=lambda: Buckets(ADDRESSES))

    def answer(self, listener: int, source: bytes, data: bytes, now: float) -> None:
        """Send the refusal and the word to exit, as far as they are no longer than the datagram."""
        last = self._answered.get(source, float("-inf"))
        if now - last < EXIT_S or len(_EXIT) > len(data):
            return
        rate_key = self.rate_keys.of(sockaddr.unpack(source)[0])
        if rate_key and not self._exits.touch(rate_key, now, EXITS_S, EXITS):
            return
        self._answered.pop(source, None)
        self._answered[source] = now
        drop_oldest(self._answered, EXIT_ADDRESSES)
        self.counters.exit_answers += 1
        why = next((refusal for refusal in REFUSALS if refusal in data), b"")
        if why and len(why) + len(_EXIT) <= len(data):
            self.out.send(listener, source, why)
        self.out.send(listener, source, _EXIT)
