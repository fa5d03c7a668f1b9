"""A member's address as the directory keeps it, as text: another gateway may serve the member next.

    IP PORT LISTENER [LOCAL]            the number of the listener; LOCAL is an IP address, `%` and a scope, or both
    IP PORT LISTENER ?OFFSET [LOCAL]    not proven: what went there after this offset is sent again if it is wrong
    IP PORT LISTENER !OFFSET [LOCAL]    another member was heard there: nothing after this offset was meant for this one
    IP PORT LISTENER =SESSION [LOCAL]   of version 2: with the session, as `sealed/keys.py` covers it, in hexadecimal

The local address goes with it: a client that only listens must go on to hear the address that it knows. A gateway at
another machine does not have it; then its kernel chooses one.
"""

import re
import struct
from dataclasses import dataclass
from typing import Self

from ..listeners import sockaddr

_FORM = re.compile(
    r"([^ ]+) ([0-9]+) (-?[0-9]+)(?: ([?!])([0-9]{1,19})| =([0-9a-f]+))?(?: ([^ %]*)(?:%([0-9]{1,10}))?)?"
)


@dataclass(frozen=True, slots=True)
class KeptAddress:
    """Where a member is, and how sure that is."""

    address: bytes
    """As `listeners/sockaddr.py` has it, the local address included."""
    listener: int
    unproven_from: int | None = None
    """The offset of a member that has not been heard at the address since; None: it has been."""
    is_displaced: bool = False
    """Another member has been heard there: since `unproven_from`, which then is an offset, this one is sent nothing."""
    session: bytes = b""
    """The covered session of version 2; empty: another version."""

    @property
    def displaced_from(self) -> int | None:
        """The offset since which this member is sent nothing; None: no other member has been heard there."""
        return self.unproven_from if self.is_displaced else None

    @classmethod
    def parse(cls, raw: bytes) -> Self | None:
        """Return the address in a text that `serialize` made; None for all other bytes, also none at all."""
        if (found := _FORM.fullmatch(raw.decode(errors="replace"))) is None:
            return None
        ip, port, listener, mark, offset, session, local, link = found.groups()
        try:
            scope = int(link or 0)
            peer, here = sockaddr.parse_ip(ip), sockaddr.parse_ip(local) if local else b""
            address = sockaddr.pack_bytes(peer, int(port), scope if sockaddr.is_link_local(peer) else 0)
            address += sockaddr.local_bytes(here, scope) if len(here) == len(peer) else b""
            unproven_from = None if mark is None else int(offset)
            return cls(address, int(listener), unproven_from, mark == "!", bytes.fromhex(session or ""))
        except (ValueError, OverflowError, struct.error):
            return None

    def serialize(self) -> str:
        """Return the text that `parse` reads."""
        ip, port = sockaddr.unpack(self.address)
        words = [ip, str(port), str(self.listener)]
        if self.session:
            words.append(f"={self.session.hex()}")
        elif self.unproven_from is not None:
            words.append(f"{'!' if self.is_displaced else '?'}{self.unproven_from}")
        if local := sockaddr.local_text(self.address):
            words.append(local)
        return " ".join(words)
