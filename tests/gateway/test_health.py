"""gateway/net/health.py"""

import http.client
import socket
from collections.abc import Iterator
from time import monotonic

import pytest

from gateway.config import Door
from gateway.net.health import HealthServer
from protocol.errors import SettingError

HOSTS = ("127.0.0.1", "::1")


class Patient(HealthServer):
    """A server whose illness the test names."""

    def __init__(self, host: str) -> None:
        self.illness = ""
        super().__init__(Door(host, 0), lambda: self.illness)


@pytest.fixture(scope="module", params=HOSTS)
def server(request: pytest.FixtureRequest) -> Iterator[Patient]:
    server = Patient(request.param)
    yield server
    server.close()


def ask(server: HealthServer, path: str = "/healthz", method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.door.host, server.door.port, timeout=5)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_green_is_200(server: Patient) -> None:
    server.illness = ""
    assert ask(server) == (200, "ok\n")


def test_red_is_503_and_why(server: Patient) -> None:
    server.illness = "nothing came back from the broker for 2.5 s"
    assert ask(server) == (503, f"{server.illness}\n")


def test_a_head_has_no_body(server: Patient) -> None:
    server.illness = "ill"
    assert ask(server, method="HEAD") == (503, "")


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz/"])
def test_there_is_nothing_else(server: Patient, path: str) -> None:
    assert ask(server, path)[0] == 404


def test_a_taken_address_is_a_setting_error_of_one_line(server: Patient) -> None:
    with pytest.raises(SettingError, match=r"^can not listen on HTTP .+: Address already in use$"):
        HealthServer(server.door, lambda: "")


def test_a_closed_server_answers_nobody() -> None:
    server = HealthServer(Door("127.0.0.1", 0), lambda: "")
    began = monotonic()
    server.close()
    # The event loop closes it, and has others to see to.
    assert monotonic() - began < 0.1
    with pytest.raises(OSError, match="refused"), socket.create_connection((server.door.host, server.door.port), 5):
        pass
