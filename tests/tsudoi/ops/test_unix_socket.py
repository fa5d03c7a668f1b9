"""tsudoi/ops/net/unix_socket.py"""

import socket
from pathlib import Path

from tsudoi.ops.net.unix_socket import is_served


def test_a_socket_is_served_as_long_as_a_program_listens(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert not is_served(path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert not is_served(path)
        listening.listen()
        assert is_served(path)
    assert not is_served(path)


def test_a_program_that_accepts_nothing_listens_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as waiting:
        listening.bind(str(path))
        listening.listen(0)
        waiting.connect(str(path))
        assert is_served(path)
