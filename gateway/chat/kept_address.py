"""Write a member's address for the directory, and read it again: another gateway may serve the member next.

The local address goes with it: a client that only listens must go on to hear the address that it knows. A gateway at
another machine does not have it; then its kernel chooses one.

    IP PORT LISTENER [LOCAL]      the number of the listener; LOCAL is an IP address, `%` and a scope, or both
"""

from ..listeners import sockaddr


def write(address: bytes, listener: int) -> str:
    """Return an address and the listener that it belongs to as text."""
    ip, port = sockaddr.unpack(address)
    local = sockaddr.local_text(address)
    return f"{ip} {port} {listener} {local}" if local else f"{ip} {port} {listener}"


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
