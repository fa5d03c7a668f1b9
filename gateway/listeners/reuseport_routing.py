"""Route datagrams to workers by their tokens: a program in the kernel chooses the worker.

The kernel gives each datagram at a port that several sockets share to one of them; without a program it uses the
sender's address, so that the members of a room are spread over all workers and each worker handles every message. This
program uses the first two characters of the token instead, which lead to the worker of the token's room
(`join/session_tokens.py`), or a byte of the session (`sealed/keys.py`). Any worker still serves any member, as any
gateway does.
"""

import socket

from tsudoi.protocol.sealed.packets import MARK, SESSION_AT

from ..join.session_tokens import WORKER_FACTOR
from ..sealed.keys import PLAIN_NUMBER, ROUTING
from . import bpf, ping_lane

ROUTING_AT = SESSION_AT + ROUTING
"""Where the routing byte of a packet of version 2 stands."""
_NO_SOCKET = 0xFFFF
"""No socket's number: the kernel then uses the sender's address."""


def route_by_token(group: list[socket.socket]) -> bool:
    """Route datagrams by their tokens to the sockets of a group; return False if the kernel can not do this.

    The group has a socket for each worker, and then one for the pings of each (`ping_lane.py`).
    """
    is_routed = bpf.attach_reuseport(group[0], program(len(group) // 2))
    for sock in group:
        bpf.attach_filter(sock, ())
    return is_routed


def program(workers: int) -> list[bytes]:
    """Return a BPF program that computes `session_tokens.worker_of` the token in a datagram, plus `workers` for a ping.

    | room size: 1 | token size: 1 | room | token | text |      PROTOCOL.md, "Datagrams"
    | 0: 1 | kind: 1 | session: 16 | … |                        "Version 2": a byte of the session says it
    """
    return [
        bpf.step(bpf.LOAD_LENGTH),
        bpf.step(bpf.JUMP_IF_AT_LEAST, 0, 28, 4),
        bpf.step(bpf.LOAD_BYTE, number=0),
        bpf.step(bpf.JUMP_IF_EQUAL, 0, 11, MARK),
        bpf.step(bpf.LOAD_LENGTH),
        bpf.step(bpf.JUMP_IF_AT_LEAST, 6, 0, ping_lane.SHORTER),
        bpf.step(bpf.LOAD_BYTE, number=SESSION_AT),
        bpf.step(bpf.JUMP_IF_EQUAL, 4, 0, PLAIN_NUMBER),
        bpf.step(bpf.LOAD_BYTE, number=ROUTING_AT),
        bpf.step(bpf.MODULO, number=workers),
        bpf.step(bpf.ADD, number=workers),
        bpf.step(bpf.RETURN_A),
        bpf.step(bpf.LOAD_BYTE, number=ROUTING_AT),
        bpf.step(bpf.MODULO, number=workers),
        bpf.step(bpf.RETURN_A),
        bpf.step(bpf.ADD, number=4),
        bpf.step(bpf.STORE, number=0),
        bpf.step(bpf.LOAD_LENGTH),
        bpf.step(bpf.LOAD_X, number=0),
        bpf.step(bpf.JUMP_IF_AT_LEAST_X, 0, 10),
        bpf.step(bpf.LOAD_BYTE, number=0),
        bpf.step(bpf.COPY_TO_X),
        bpf.step(bpf.LOAD_BYTE_AT_X, number=2),
        bpf.step(bpf.MULTIPLY, number=WORKER_FACTOR),
        bpf.step(bpf.STORE, number=1),
        bpf.step(bpf.LOAD_BYTE_AT_X, number=3),
        bpf.step(bpf.LOAD_X, number=1),
        bpf.step(bpf.ADD_X),
        bpf.step(bpf.MODULO, number=workers),
        bpf.step(bpf.RETURN_A),
        bpf.step(bpf.RETURN, number=_NO_SOCKET),
    ]
