"""tsudoi/ops/net/http.py"""

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic

import pytest

from tests.support.sockets import needs_ipv6
from tsudoi.ops.host_port import HostPort
from tsudoi.ops.net import http as http_module
from tsudoi.ops.net.http import AT_ONCE, MonitoringServer
from tsudoi.protocol.errors import SettingError

HOSTS = ("127.0.0.1", pytest.param("::1", marks=needs_ipv6))
PATIENCE_S = 60.0


class Patient(MonitoringServer):
    """A server whose unhealthy_reason the test names."""

    def __init__(self, host: str) -> None:
        self.unhealthy_reason = ""
        super().__init__(HostPort(host, 0), lambda: self.unhealthy_reason, lambda: b"tsudoi_numbers 1\n")


@pytest.fixture(scope="module", params=HOSTS)
def server(request: pytest.FixtureRequest) -> Iterator[Patient]:
    server = Patient(request.param)
    yield server
    server.close()


def ask(server: MonitoringServer, path: str = "/healthz", method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.place.host, server.place.port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_green_is_200(server: Patient) -> None:
    server.unhealthy_reason = ""
    assert ask(server) == (200, "ok\n")


def test_red_is_503_and_why(server: Patient) -> None:
    server.unhealthy_reason = "nothing came back from the broker for 2.5 s"
    assert ask(server) == (503, f"{server.unhealthy_reason}\n")


def test_metrics_are_told_whether_green_or_red(server: Patient) -> None:
    for server.unhealthy_reason in ("", "ill"):
        assert ask(server, "/metrics") == (200, "tsudoi_numbers 1\n")


def test_a_page_that_points_its_name_here_is_told_no_metrics(server: Patient) -> None:
    assert ask(server, "/metrics", Host="evil.example:9004")[0] == 403
    assert ask(server, "/metrics", Host="localhost:9004")[0] == 200


def test_a_listener_for_other_machines_is_asked_by_any_name() -> None:
    server = Patient("0.0.0.0")
    assert ask(server, "/metrics", Host="gateway:9004")[0] == 200
    server.close()


def test_a_head_has_no_body(server: Patient) -> None:
    server.unhealthy_reason = "ill"
    assert ask(server, method="HEAD") == (503, "")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/healthz/"])
def test_there_is_nothing_else(server: Patient, path: str) -> None:
    assert ask(server, path)[0] == 404


def test_a_connection_too_many_is_closed_and_the_others_are_served() -> None:
    server = Patient("127.0.0.1")
    with ExitStack() as stack:
        address = (server.place.host, server.place.port)
        silent = [stack.enter_context(socket.create_connection(address, 5)) for _ in range(AT_ONCE)]
        over = stack.enter_context(socket.create_connection(address, 5))
        assert over.recv(1) == b""
        silent[0].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert silent[0].recv(100).startswith(b"HTTP/1.0 200 ")
    server.close()


def test_who_sends_a_byte_now_and_then_is_closed_and_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "REQUEST_S", 0.2)
    server = Patient("127.0.0.1")
    with ExitStack() as stack:
        address = (server.place.host, server.place.port)
        slow = [stack.enter_context(socket.create_connection(address, 5)) for _ in range(AT_ONCE)]
        for sock in slow:
            sock.sendall(b"GET /healthz HTTP/1.0\r\nX: ")
            sock.settimeout(0.01)
        until = monotonic() + PATIENCE_S
        while slow and monotonic() < until:
            slow = [sock for sock in slow if drips(sock)]
        assert not slow
        assert ask(server) == (200, "ok\n")
    server.close()


def drips(sock: socket.socket) -> bool:
    """Send a byte, and say whether the other side listens still."""
    try:
        sock.sendall(b"x")
        return sock.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def test_a_taken_address_is_a_setting_error_of_one_line(server: Patient) -> None:
    with pytest.raises(SettingError, match=r"^can not listen on HTTP .+: Address already in use$"):
        MonitoringServer(server.place, lambda: "", lambda: b"")


def test_a_closed_server_answers_nobody() -> None:
    server = MonitoringServer(HostPort("127.0.0.1", 0), lambda: "", lambda: b"")
    server.close()
    with pytest.raises(OSError, match="refused"), socket.create_connection((server.place.host, server.place.port), 5):
        pass
