"""Write a member's address for the directory, and read it again: another gateway may serve the member next.

The local address goes with it: a client that only listens must go on to hear the address that it knows. A gateway at
another machine does not have it; then its kernel chooses one.

    IP PORT LISTENER [LOCAL]            the number of the listener; LOCAL is an IP address, `%` and a scope, or both
    IP PORT LISTENER ?OFFSET [LOCAL]    not proven: what went there after this offset is sent again if it is wrong
    IP PORT LISTENER !OFFSET [LOCAL]    another member was heard there: nothing after this offset was meant for this one
    IP PORT LISTENER =SESSION [LOCAL]   of version 2: with the session, as `sealed/keys.py` covers it, in hexadecimal

`parse` refuses the last form, also that of gateways that do not know it: they are to send no datagrams there.
"""

import re

from ..listeners import sockaddr

_UNPROVEN = re.compile(r"[?!]([0-9]{1,19})")


def write(
    address: bytes,
    listener: int,
    session: bytes = b"",
    unproven_from: int | None = None,
    is_displaced: bool = False,
) -> str:
    """Return an address and the listener that it belongs to as text, with the covered session of version 2.

    `unproven_from` is the offset of a member that has not been heard at the address since; None: it has been.
    `is_displaced`: another member has been, and since that offset this one is sent nothing.
    """
    ip, port = sockaddr.unpack(address)
    mark = f"{'!' if is_displaced else '?'}{unproven_from}"
    marks = [f"={session.hex()}"] if session else [] if unproven_from is None else [mark]
    local = sockaddr.local_text(address)
    return " ".join([ip, str(port), str(listener), *marks, *([local] if local else ())])


def unproven_from(text: str) -> int | None:
    """Return the offset of an address that is not proven; None: it is proven, or the text is none of `write`."""
    _, _, _, mark, *_ = *text.split(" "), "", "", "", ""
    found = _UNPROVEN.fullmatch(mark)
    return None if found is None else int(found[1])


def displaced_from(text: str) -> int | None:
    """Return the offset of an address at which another member has been heard; None: none has."""
    return unproven_from(text) if " !" in text else None


def parse_with_session(text: str) -> tuple[bytes, int, bytes]:
    """Return (address, listener, covered session) of a text that `write` made; raise as `parse` does."""
    ip, port, listener, session, *local = text.split(" ")
    if not session.startswith("="):
        raise ValueError("there is no session")
    return *parse(" ".join((ip, port, listener, *local))), bytes.fromhex(session[1:])


def parse(text: str) -> tuple[bytes, int]:
    """Return (address, listener) of a text that `write` made; raise ValueError or OverflowError for others."""
    ip, port, listener, *more = text.split(" ")
    if more and _UNPROVEN.fullmatch(more[0]):
        del more[0]
    local, _, link = more[0].partition("%") if more else ("", "", "")
    scope = int(link or 0)
    if not 0 <= scope < 2**32:
        raise ValueError(f"{scope} is no scope")
    peer, here = sockaddr.parse_ip(ip), sockaddr.parse_ip(local) if local else b""
    address = sockaddr.pack_bytes(peer, int(port), scope if sockaddr.is_link_local(peer) else 0)
    return address + (sockaddr.local_bytes(here, scope) if len(here) == len(peer) else b""), int(listener)
