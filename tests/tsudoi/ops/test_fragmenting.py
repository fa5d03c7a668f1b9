"""tsudoi/ops/net/fragmenting.py: what is no more than asked of the kernel."""

import socket

from tsudoi.ops.net.fragmenting import let_routers_fragment


def test_a_kernel_that_does_not_know_the_option_is_no_obstacle() -> None:
    # A socket of another family refuses it, as all sockets do where the kernel does not know it.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        let_routers_fragment(sock)
