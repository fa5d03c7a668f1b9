"""Whether routers may fragment what a socket sends by IPv4."""

import socket

from tsudoi.ops.net import fragmenting


def may_be_fragmented(sock: socket.socket) -> bool:
    option = sock.getsockopt(socket.IPPROTO_IP, fragmenting._IP_MTU_DISCOVER)
    return option == fragmenting._IP_PMTUDISC_OMIT
