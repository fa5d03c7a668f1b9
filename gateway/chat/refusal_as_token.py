"""Make seed clients exit that took the text of a refusal for their token; PROTOCOL.md, "classic".

This is the only answer to an unverified address. So it is no longer than the datagram, contains only this gateway's
own texts, and is rate-limited.
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
"""Remembered (address, port) pairs; each is answered at most once a second."""
EXITS_S, EXITS = 1.0, 40.0
"""Answers to one IP address: rate per second, and burst (a school class)."""
_EXIT = CLASSIC.closed[-1].encode()


def holds_refusal(data: bytes) -> bool:
    """Return whether the token is a refusal's text, with the room's size in bytes or in characters."""
    return data.startswith(REFUSAL, 2 + data[0]) or data.startswith(REFUSAL, characters_end(data))


@dataclass(slots=True, eq=False)
class ExitAnswers(Component):
    """Answers datagrams whose token is a refusal's text."""

    rate_keys: RateKeys
    _by_port: Buckets[bytes] = field(default_factory=lambda: Buckets(EXIT_ADDRESSES))
    _by_address: Buckets[str] = field(default_factory=lambda: Buckets(ADDRESSES))

    def answer(self, listener: int, source: bytes, data: bytes, now: float) -> None:
        """Send the refusal and the word to exit, as far as they are no longer than the datagram."""
        if len(_EXIT) > len(data) or not self._by_port.touch(sockaddr.peer(source), now, 1.0, 1.0):
            return
        rate_key = self.rate_keys.of_packed(sockaddr.ip_bytes(source))
        if rate_key and not self._by_address.touch(rate_key, now, EXITS_S, EXITS):
            return
        self.counters.exit_answers += 1
        why = next((refusal for refusal in REFUSALS if refusal in data), b"")
        if why and len(why) + len(_EXIT) <= len(data):
            self.out.send(listener, source, why)
        self.out.send(listener, source, _EXIT)
