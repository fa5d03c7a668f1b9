"""Health is a canary over the whole way: red while the broker does nothing, green again when it does."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from scenarios.ports import steady_port
from tests.support import forked
from tests.support.services import ROOT, Broker, Gateway
from tests.support.waiting import wait_until


def ask(port: int, path: str = "/healthz") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read().decode()


def test_health_is_red_while_the_broker_is_frozen(tmp_path: Path) -> None:
    port = steady_port()
    http = f"127.0.0.1:{port}"
    with (
        Broker(tmp_path / "rooms.sqlite") as broker,
        Gateway("--http", http, broker=broker),
    ):
        wait_until(lambda: ask(port) == (200, "ok\n"))
        broker.freeze()
        wait_until(lambda: ask(port)[0] == 503)
        assert "broker" in ask(port)[1]
        ping = [sys.executable, "-m", "gateway", "ping", "--http", http]
        assert forked.run(ping, cwd=ROOT, capture_output=True, check=False).returncode == 1
        broker.resume()
        wait_until(lambda: ask(port)[0] == 200)
        assert forked.run(ping, cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_the_log_tells_the_port_that_the_system_has_chosen(tmp_path: Path) -> None:
    with (
        Broker(tmp_path / "rooms.sqlite", "--http", "127.0.0.1:0") as broker,
        Gateway("--http", "127.0.0.1:0", broker=broker) as gateway,
    ):
        for service in (broker, gateway):
            wait_until(lambda log=service.stderr: "http=" in log.text)  # type: ignore[misc]
            found = re.search(r" http=127\.0\.0\.1:(\d+)", service.stderr.text)
            assert found is not None
            wait_until(lambda port=int(found[1]): ask(port)[0] == 200)  # type: ignore[misc]
            assert ask(int(found[1]), "/other")[0] == 404


def test_the_containers_check_asks_brokers_too_for_their_health(tmp_path: Path) -> None:
    """`broker ping` does not tell that a broker can not serve; busy machines find it red, since it starts slowly."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    (check,) = {tuple(services[each]["healthcheck"]["test"]) for each in ("broker", "broker1", "broker2", "gateway1")}
    port = steady_port()
    command = [sys.executable, *check[2:]]
    env = {**os.environ, "TSUDOI_HTTP": f"127.0.0.1:{port}"}
    with Broker(tmp_path / "rooms.sqlite", "--http", f"127.0.0.1:{port}") as broker:
        wait_until(lambda: ask(port)[0] == 200)
        assert subprocess.run(command, cwd=ROOT, env=env, check=False).returncode == 0
        broker.freeze()
        assert subprocess.run(command, cwd=ROOT, env=env, check=False).returncode == 1
        broker.resume()


def test_a_broker_answers_a_ping(tmp_path: Path) -> None:
    with Broker(tmp_path / "rooms.sqlite") as broker:
        ping = [sys.executable, "-m", "broker", "ping", "--bind", broker.endpoint, "--timeout", "1"]
        assert forked.run(ping, cwd=ROOT, capture_output=True, check=False).returncode == 0
        broker.freeze()
        frozen = forked.run(ping, cwd=ROOT, capture_output=True, text=True, check=False)
        assert frozen.returncode == 1
        assert frozen.stderr.count("\n") == 1
        broker.resume()


def test_a_ping_finds_the_broker_of_the_service_of_one_command(tmp_path: Path) -> None:
    def ping(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "broker", "--store", store, *arguments, "ping", "--timeout", "1"]
        return forked.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    store = f"sqlite:{tmp_path}/tsudoi.sqlite"
    with Gateway(data=tmp_path) as gateway:
        answered = ping()
        assert (answered.returncode, answered.stdout) == (0, f"ipc://{tmp_path}/tsudoi.sqlite.admin answers\n")
        # An endpoint that is named is the one that is asked.
        assert ping("--bind", f"ipc://{tmp_path}/none").returncode == 1
        gateway.freeze()
        assert ping().returncode == 1
        gateway.resume()
