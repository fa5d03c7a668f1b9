"""Real processes under attack, while people chat: they lose nothing, and hear no later than they would notice.

Slow, and best alone on the machine: `make attack`. Attackers run beside what they attack, so it is compared
with a time beside a program that only keeps a core busy.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from broker.keys import key_folder
from scenarios.ports import steady_port
from scenarios.process import Process
from tests.attacks.attackers import ATTACKS, STOPPED_READERS, WEB_CLASS, web_member
from tests.attacks.sealed_watch import SealedPair
from tests.attacks.watch import PATIENCE_S, Measured, Watch
from tests.support.services import ROOT, Broker, Gateway, at
from tsudoi.ops.keyfiles import Owner, Role

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CALM_S, ATTACK_S = 4.0, 8.0
LATER_MS = 50.0
"""So much later than beside a busy program one in a hundred may hear: nobody who reads sees that."""


@dataclass
class Cluster:
    """A broker with keys, two gateways, and people who chat at both."""

    broker: Broker
    gateways: list[Gateway]
    metrics: list[str]
    """Where each gateway tells its own."""
    watch: Watch
    calm: Measured
    busy: Measured = field(default_factory=Measured)

    def targets(self) -> str:
        listeners = [gateway.listener("auto") for gateway in self.gateways]
        places = {"tcp": [listener.tcp for listener in listeners], "udp": [listener.udp for listener in listeners]}
        places["tls"] = [next(iter(gateway.addresses("tls"))) for gateway in self.gateways]
        places["web"] = [next(iter(gateway.addresses("web"))) for gateway in self.gateways]
        return json.dumps(places | {"broker": self.broker.endpoint})


@contextmanager
def attacked(cluster: Cluster, name: str) -> Iterator[None]:
    """Attack as long as this lasts; fails if the attacker gave up, or was told anything."""
    command = [sys.executable, "-m", "tests.attacks.attackers", name, cluster.targets()]
    attacker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    os.setpriority(os.PRIO_PROCESS, attacker.pid, 10)
    try:
        cluster.watch.measure(1.0)
        yield
        assert attacker.poll() is None, "the attacker gave up"
    finally:
        attacker.kill()
        heard, _ = attacker.communicate()
    assert heard == ""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    for name in ("east", "west"):
        key_folder.add(folder / "keys", Owner(Role.GATEWAY, name), folder / f"{name}.key")
    # Addresses of this machine count like any others here.
    flags = ("--unlimited", "192.0.2.0/24", "--connections", "500", "--log-level", "info", *tls_flags(folder))
    flags += ("--web", "127.0.0.1:0", "--session-secret", str(folder / "sessions"))
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "rooms.sqlite", "--keys", str(folder / "keys")))
        metrics = [f"127.0.0.1:{steady_port()}" for _ in range(2)]
        gateways = [
            stack.enter_context(Gateway("--key", str(folder / f"{name}.key"), "--http", http, *flags, broker=broker))
            for name, http in zip(("east", "west"), metrics, strict=True)
        ]
        watch = Watch([gateway.listener("auto") for gateway in gateways])
        stack.callback(watch.close)
        watch.measure(1.0)
        cluster = Cluster(broker, gateways, metrics, watch, watch.measure(CALM_S))
        with attacked(cluster, "busy_neighbour"):
            cluster.busy = watch.measure(CALM_S)
        yield cluster


def tls_flags(folder: Path) -> tuple[str, ...]:
    """A TLS listener with the kind of key that costs most."""
    certificate, key = folder / "server.pem", folder / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:4096", "-nodes", "-subj", "/CN=here"]
    subprocess.run([*command, "-out", str(certificate), "-keyout", str(key)], capture_output=True, check=True)
    key.chmod(0o600)
    return "--tls", "127.0.0.1:0", "--tls-cert", str(certificate), "--tls-key", str(key)


def slow_readers(metrics: str) -> int:
    """Return how many WebSockets a gateway has closed because their clients did not read."""
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=PATIENCE_S) as answer:
        lines = answer.read().decode().splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("tsudoi_gateway_web_slow_total "))


def enters_beside_eve(place: tuple[str, int]) -> bool:
    """Return whether a classmate of `web_classmate` gets into a room, by as many attempts as it takes."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with closing(web_member(place, "mate", "class", WEB_CLASS)) as tcp, suppress(OSError):
            tcp.settimeout(2.0)
            heard = b""
            while b'"subscribe"' not in heard and (more := tcp.recv(2**16)):
                heard += more
            if b'"subscribe"' in heard:
                return True
        time.sleep(0.2)
    return False


def memory_mb(service: Process) -> float:
    status = Path(f"/proc/{service.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def dropped_by_the_kernel(ports: set[int]) -> int:
    """Datagrams that found the receive buffer of these UDP ports full, since they were bound."""
    lines = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(line[-1]) for line in lines if int(line[1].rpartition(":")[2], 16) in ports)


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "busy_neighbour"])
def test_people_chat_on_under(cluster: Cluster, name: str) -> None:
    services = [cluster.broker, *cluster.gateways]
    before = [memory_mb(service) for service in services]
    ports = {gateway.udp[1] for gateway in cluster.gateways}
    dropped = dropped_by_the_kernel(ports)
    servers = [at(gateway) for gateway in cluster.gateways]
    with attacked(cluster, name), SealedPair(servers, f"sealed {name}") as pair:
        under = cluster.watch.measure(ATTACK_S)
        if name == "web_stopped_readers":
            assert [slow_readers(each) for each in cluster.metrics] == [STOPPED_READERS, STOPPED_READERS]
        if name == "web_classmate":
            assert all(enters_beside_eve(next(iter(gateway.addresses("web")))) for gateway in cluster.gateways)
    grown = [round(memory_mb(service) - mb, 1) for service, mb in zip(services, before, strict=True)]
    print(
        f"\n{name}\n  calm   {cluster.calm}\n  busy   {cluster.busy}\n  under  {under}"
        f"\n  memory grown (broker, gateways): {grown} MB"
    )
    talk = pair.talk
    print(f"  version 2: {talk.said} said, {len(talk.heard)} heard, the latest after {talk.worst_ms:.0f} ms {talk.bad}")
    print(f"  dropped by the kernel before the gateways: {dropped_by_the_kernel(ports) - dropped}")
    after = cluster.watch.measure(1.0)
    assert under.lost == 0
    assert under.percentile(0.99) <= cluster.busy.percentile(0.99) + LATER_MS
    assert under.joins_failed == 0
    assert after.lost == 0
    # In version 2 nothing is lost at all, in whatever time; a packet that the kernel drops comes again.
    assert talk.heard == [str(number) for number in range(1, talk.said + 1)]
    assert talk.bad == []
    assert talk.said > ATTACK_S
    assert max(grown) < 150
    assert all(service.running for service in services)
