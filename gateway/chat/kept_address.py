"""Write a member's address for the directory, and read it again: another gateway may serve the member next.

The local address goes with it: a client that only listens must go on to hear the address that it knows. A gateway at
another machine does not have it; then its kernel chooses one.

    IP PORT LISTENER [LOCAL]            the number of the listener; LOCAL is an IP address, `%` and a scope, or both
    IP PORT LISTENER =SESSION [LOCAL]   of version 2: with the session, as `sealed/keys.py` covers it, in hexadecimal

`parse` refuses the second form, also that of gateways that do not know it: they are to send no datagrams there.
"""

from ..listeners import sockaddr


def write(address: bytes, listener: int, session: bytes = b"") -> str:
    """Return an address, the listener that it belongs to, and a covered session if there is one, as text."""
    ip, port = sockaddr.unpack(address)
    local = sockaddr.local_text(address)
    return " ".join(
        [ip, str(port), str(listener), *([f"={session.hex()}"] if session else ()), *([local] if local else ())]
    )


def parse_with_session(text: str) -> tuple[bytes, int, bytes]:
    """Return (address, listener, covered session) of a text that `write` made; raise as `parse` does."""
    ip, port, listener, session, *local = text.split(" ")
    if not session.startswith("="):
        raise ValueError("there is no session")
    return *parse(" ".join((ip, port, listener, *local))), bytes.fromhex(session[1:])


def parse(text: str) -> tuple[bytes, int]:
    """Return (address, listener) of a text that `write` made; raise ValueError or OverflowError for others."""
    ip, port, listener, *more = text.split(" ")
    local, _, link = more[0].partition("%") if more else ("", "", "")
    scope = int(link or 0)
    if not 0 <= scope < 2**32:
        raise ValueError(f"{scope} is no scope")
    peer, here = sockaddr.parse_ip(ip), sockaddr.parse_ip(local) if local else b""
    address = sockaddr.pack_bytes(peer, int(port), scope if sockaddr.is_link_local(peer) else 0)
    return address + (sockaddr.local_bytes(here, scope) if len(here) == len(peer) else b""), int(listener)
