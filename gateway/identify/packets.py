"""Open packets of version 2 for a look at their lines, and tell what came of them; PROTOCOL.md, "Packets"; no I/O."""

from tsudoi.protocol.client.words import Words
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.sealed.packets import Kind, parse_untrusted
from tsudoi.protocol.sealed.suites import open_untrusted

from ..counters import Counters
from ..sealed.keys import SessionKeys
from . import words


def is_packet(data: bytes) -> bool:
    """Return whether a datagram is a packet of version 2, of a server or a client."""
    try:
        parse_untrusted(data)
    except MalformedMessage:
        return False
    return True


def open_packet(keys: SessionKeys, data: bytes, *, up: bool) -> bytes | None:
    """Return the body, or the part of one, in a packet to the server (`up`) or from it; None: it does not open."""
    try:
        packet = parse_untrusted(data)
        if packet.kind not in (Kind.BODY, Kind.PART) or keys.suite_of(packet.session) is None:
            return None
        ciphers = keys.borrow(packet.session)
        cipher = ciphers.up if up else ciphers.down
        return open_untrusted(cipher.decrypt, packet.nonce, packet.rest, packet.header)
    except MalformedMessage:
        return None


def counted(counters: Counters) -> dict[str, int]:
    """Return the counters that tell what came of a packet."""
    return {"opened": counters.sealed_opened, "retry": counters.sealed_retries, **counters.sealed_dropped}


def packet_outcomes(before: Counters, after: Counters, is_opened: bool) -> list[Words]:
    """Return what came of a packet, by the counters that it moved; `is_opened`: `open_packet` had a body."""
    counts = counted(before)
    found = [words.PACKET_OUTCOMES[name] for name, count in counted(after).items() if count != counts[name]]
    if words.PACKET_OUTCOMES["forged"] in found and is_opened:
        return [words.NO_LINES]
    return found or [words.DIRECTORY_ASKED]
