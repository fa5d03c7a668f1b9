"""Know which clients a UDP listener can send to, and write addresses as its socket needs them."""

from dataclasses import dataclass

from . import sockaddr


@dataclass(frozen=True, slots=True)
class Bound:
    """What the address that a UDP listener is bound to means for its clients."""

    is_ipv6: bool = False
    takes_both: bool = False
    """IPv6 only: it takes IPv4 too, with addresses mapped into IPv6."""
    is_wildcard: bool = False
    """It is bound to all addresses of its host, and told which of them a client sends to."""

    def serves(self, address: bytes) -> bool:
        """Return whether datagrams can go to an address from here."""
        is_ipv4 = len(sockaddr.ip_bytes(address)) == 4
        return (self.takes_both or not self.is_ipv6) if is_ipv4 else self.is_ipv6

    def fit(self, address: bytes) -> bytes:
        """Return an address that it serves as its socket writes it: mapped into IPv6, without a local address, or as it
        is."""
        peer, local = sockaddr.peer(address), sockaddr.local(address)
        if self.is_ipv6 and not sockaddr.is_ipv6(peer):
            peer = sockaddr.pack_bytes(sockaddr.mapped(peer[4:8]), sockaddr.port(peer))
            local = sockaddr.local_bytes(sockaddr.mapped(local), 0) if local else b""
        return peer + local if self.is_wildcard else peer
