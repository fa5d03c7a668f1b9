"""Learn to which of its host's addresses a datagram came, and answer from there: IP_PKTINFO and IPV6_PKTINFO of Linux.

A client with a connected UDP socket receives only what comes from the address that it sends to. A server socket that is
bound to one address always answers from it. For one that is bound to all addresses the kernel would choose: the first
address of the interface, whatever the client sent to.

Control messages (cmsg(3), ip(7), ipv6(7); RFC 3542), on 64-bit Linux:

    IPv4: | length: 8 | SOL_IP: 4   | IP_PKTINFO: 4   | interface: 4 | local: 4 | destination: 4 |     = 28
    IPv6: | length: 8 | SOL_IPV6: 4 | IPV6_PKTINFO: 4 | local: 16 | interface: 4 |                     = 36
"""

import ipaddress
import socket
import struct
from functools import lru_cache

# Not in the socket module of Python 3.11: linux/in.h.
_IP_PKTINFO = 8
_SOL_IP = 0

_HEADER = struct.Struct("=QII")
_IPV4_INFO = struct.Struct("=I4s4s")
# No padding at the end: Linux allocates memory for a control message of more than 36 bytes, and for less it does not.
IPV4_SIZE, IPV6_SIZE = _HEADER.size + 12, _HEADER.size + 20
SPACE = 40
"""Bytes that hold any of the two as the kernel writes them."""
IPV4_LOCAL, IPV6_LOCAL = _HEADER.size + 4, _HEADER.size
"""Where the local address begins."""


def enable(sock: socket.socket) -> bool:
    """Let a socket's datagrams come with their local addresses; return False if it is bound to one."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    if not ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_unspecified:
        return False
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(_SOL_IP, _IP_PKTINFO, 1)
    except OSError:
        return False
    return True


@lru_cache(256)
def control(local: bytes) -> bytes:
    """Return the control message that makes a datagram leave from a local address (`sockaddr.local`), or nothing."""
    if not local:
        return b""
    if len(local) == 4:
        return _HEADER.pack(IPV4_SIZE, _SOL_IP, _IP_PKTINFO) + _IPV4_INFO.pack(0, local, bytes(4))
    return _HEADER.pack(IPV6_SIZE, socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) + local


def local_in(message: bytes) -> bytes:
    """Return the local address in a control message that `control` made."""
    return message[IPV4_LOCAL : IPV4_LOCAL + 4] if len(message) == IPV4_SIZE else message[IPV6_LOCAL:]
