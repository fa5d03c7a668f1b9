"""Tell a seed client to exit that took the text of a refusal for its token; PROTOCOL.md, "classic".

This is the only answer to an address that has proven nothing. So it has no more bytes than the datagram, consists of
texts of this gateway alone, and is limited in rate.
"""

from dataclasses import dataclass, field

from tsudoi.ops.token_bucket import Buckets
from tsudoi.protocol.client.datagram import characters_end
from tsudoi.protocol.client.dialects import CLASSIC
from tsudoi.protocol.client.handshake import REASONS
from tsudoi.protocol.codes import Status

from ..join.rate_keys import ADDRESSES, RateKeys
from ..listeners import sockaddr
from .outbound import Component

REFUSAL = b"ERROR: "
"""How a refusal begins."""
REFUSALS = tuple(REFUSAL + reason.encode() for status, reason in REASONS.items() if status is not Status.OK)
EXIT_ADDRESSES = 10_000
"""Addresses with ports that are remembered; each is answered once a second at most."""
EXITS_S, EXITS = 1.0, 40.0
"""Clients behind one address that are answered a second, and at once: a class."""
_EXIT = CLASSIC.closed[-1].encode()


def holds_refusal(data: bytes) -> bool:
    """Say whether a refusal stands where the token should be, whether the room's size counts bytes or characters."""
    return data.startswith(REFUSAL, 2 + data[0]) or data.startswith(REFUSAL, characters_end(data))


@dataclass(slots=True, eq=False)
class ExitAnswers(Component):
    """Answers datagrams that hold a refusal."""

    rate_keys: RateKeys
    _by_port: Buckets[bytes] = field(default_factory=lambda: Buckets(EXIT_ADDRESSES))
    _by_address: Buckets[str] = field(default_factory=lambda: Buckets(ADDRESSES))

    def answer(self, listener: int, source: bytes, data: bytes, now: float) -> None:
        """Send the refusal and the word to exit, as far as they are no longer than the datagram."""
        if len(_EXIT) > len(data) or not self._by_port.touch(source, now, 1.0, 1.0):
            return
        rate_key = self.rate_keys.of(sockaddr.unpack(source)[0])
        if rate_key and not self._by_address.touch(rate_key, now, EXITS_S, EXITS):
            return
        self.counters.exit_answers += 1
        why = next((refusal for refusal in REFUSALS if refusal in data), b"")
        if why and len(why) + len(_EXIT) <= len(data):
            self.out.send(listener, source, why)
        self.out.send(listener, source, _EXIT)
