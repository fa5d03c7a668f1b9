"""gateway/process/service.py: a whole gateway, with a broker on the same loop."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

import tsudoi
from broker.config import Limits
from broker.core import Core
from broker.net.server import Server as BrokerServer
from broker.shards.cores import Cores
from broker.store.memory import MemoryStore
from gateway.config import Config
from gateway.listeners.options import Listener
from gateway.process.service import DRAIN_S, Service
from tests.support.fakes import own_sessions
from tests.support.waiting import until
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.backbone.endpoint import INPROC, IPC
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.errors import SettingError

PATIENCE_S = 60.0
ANY = Listener("127.0.0.1", 0)


def a_config(tcp: Listener = ANY, udp: Listener = ANY) -> Config:
    return Config(tcp=(tcp,), udp=(udp,), data=Path("unused"))


class Both:
    """A broker and a gateway."""

    def __init__(self, endpoint: str) -> None:
        self.store = MemoryStore()
        core = Core(self.store.load(), "broker", Limits(), 0.0)
        self.context: zmq.Context[zmq.Socket[bytes]] | None = zmq.Context() if endpoint.startswith(INPROC) else None
        self.broker = BrokerServer(Cores([core]), self.store, Limits(), endpoint, lambda: None, context=self.context)
        self.broker.start()
        self.service = Service(a_config(), [endpoint], own_sessions(), self.context)
        self.server = tsudoi.Server()
        self.is_stopped = False

    async def start(self) -> None:
        (listener,) = await self.service.start()
        self.server = tsudoi.Server("127.0.0.1", listener.port, self.service.udp[0].listener.port)

    async def stop(self) -> None:
        """Stop the gateway, once."""
        if not self.is_stopped:
            self.is_stopped = True
            await self.service.stop()

    def log(self) -> list[Entry]:
        return [
            entry
            for room in self.broker.core.directory.rooms
            for chunk in self.store.read(room, 0, 2**31)
            for entry in backbone.parse_news_untrusted(chunk.news).entries
        ]

    def said(self) -> list[str]:
        return [entry.text for entry in self.log() if entry.kind == EntryKind.SAID]


@asynccontextmanager
async def running(where: str) -> AsyncIterator[Both]:
    both = Both(where)
    try:
        await both.start()
        yield both
    finally:
        await both.stop()
        both.broker.stop()
        if both.context is not None:
            both.context.term()


@pytest.fixture(params=[IPC, INPROC])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}{tmp_path}/b"


async def test_it_listens_when_a_probe_has_come_back(where: str) -> None:
    async with running(where) as both:
        assert both.service.routes.links[0].canary.unhealthy_reason(asyncio.get_running_loop().time()) == ""
        with socket.create_connection((both.server.host, both.server.tcp), timeout=5):
            pass


async def test_what_one_says_the_other_hears_and_both_are_counted(where: str) -> None:
    async with (
        running(where) as both,
        await tsudoi.create("den", name="alice", server=both.server, dialect="tsudoi") as alice,
        await tsudoi.join("den", name="bob", server=both.server, dialect="tsudoi") as bob,
    ):
        await alice.say("hello")
        async with asyncio.timeout(PATIENCE_S):
            async for event in bob:
                if isinstance(event, tsudoi.Message) and event.text == "hello":
                    break
        counters = both.service.counters
        assert (counters.handshakes_admitted, sum(counters.refusals.values())) == (2, 0)
        assert counters.accepted_messages == 1
        # And alice has been told that bob is here.
        await until(lambda: counters.deliveries == 2)
        await until(lambda: not len(both.service.routes.links[0].publisher))
        (known,) = both.broker.core.gateways.known.values()
        await until(lambda: known.measured is not None and known.measured.deliveries == 2)
        assert known.measured is not None
        assert sum(known.measured.accepted) >= 1
        assert sum(known.measured.canaries) >= 1


async def test_what_was_taken_before_it_stops_is_in_the_log_and_the_broker_knows_that_it_has_gone(where: str) -> None:
    async with (
        running(where) as both,
        await tsudoi.create("den", name="alice", server=both.server, dialect="tsudoi") as alice,
    ):
        counters = both.service.counters
        texts = [f"text {number}" for number in range(200)]
        for text in texts:
            await alice.say(text)
        await until(lambda: counters.accepted_messages == len(texts))
        await both.stop()
        await until(lambda: both.said() == texts)
        (instance,) = both.broker.core.gateways.known
        await until(lambda: both.broker.core.gateways.known[instance].stopped)
        assert len(both.broker.core.directory.members) == 1


async def test_a_broker_that_is_gone_does_not_hold_the_end_up(tmp_path: Path) -> None:
    both = Both(f"{IPC}{tmp_path}/b")
    await both.start()
    async with await tsudoi.create("den", name="alice", server=both.server, dialect="tsudoi") as alice:
        both.broker.stop()
        for _ in range(10):
            await alice.say("to nobody")
        await until(lambda: len(both.service.routes.links[0].publisher) >= 10)
        async with asyncio.timeout(2 * DRAIN_S + 3):
            await both.service.stop()
        assert len(both.service.routes.links[0].publisher) >= 10


async def test_without_a_broker_it_does_not_get_ready_and_soon_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, object] = {}

    def note(event: str, **values: object) -> None:
        said[event] = values.get("why")

    service = Service(a_config(), [f"{IPC}{tmp_path}/b"], own_sessions())
    monkeypatch.setattr("gateway.process.health_log.logger.warning", note)
    monkeypatch.setattr("gateway.process.service.HEALTHY_S", 0.1)
    starting = asyncio.create_task(service.start())
    await until(lambda: len(said) == 2)
    assert said["unhealthy"] == "the broker has not been reached yet"
    assert str(said["the broker can not be reached"]).startswith("nobody listens at ")
    assert not starting.done()
    starting.cancel()
    reason = service.unhealthy_reason(asyncio.get_running_loop().time())
    assert "has not been reached yet: nobody listens at" in reason
    await service.stop()


def test_no_socket_is_left_open_by_a_setting_that_can_not_work(tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            second = Listener("127.0.0.1", taken.getsockname()[1])
            with pytest.raises(SettingError, match="can not listen on UDP"):
                Service(replace(a_config(), udp=(ANY, second)), [f"{IPC}{tmp_path}/b"], own_sessions())
        with pytest.raises(SettingError, match="can not read the key file"):
            Service(replace(a_config(), auth_key=tmp_path / "none"), [f"{IPC}{tmp_path}/b"], own_sessions())

    asyncio.run(scenario())
    gc.collect()  # it would complain of the sockets


async def test_a_taken_address_is_a_setting_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SettingError, match="can not listen on UDP"):
            Service(a_config(udp=Listener("127.0.0.1", taken.getsockname()[1])), [f"{IPC}{tmp_path}/b"], own_sessions())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = Service(
            a_config(tcp=Listener("127.0.0.1", listener.getsockname()[1])), [f"{IPC}{tmp_path}/b"], own_sessions()
        )
        with pytest.raises(SettingError, match="can not listen on TCP"):
            await service.start()
        await service.stop()


async def test_a_fault_of_ours_while_datagrams_wait_does_not_end_the_reading(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
    async with (
        running(where) as both,
        await tsudoi.create("den", name="alice", server=both.server, dialect="tsudoi") as alice,
    ):
        core, service = both.service.core, both.service
        take = core.handle_datagrams

        def fail_once(index: int, datagrams: list[tuple[bytes, bytes]], now: float, waited_s: float) -> None:
            if service._resting and not faults:
                raise ZeroDivisionError
            take(index, datagrams, now, waited_s)

        monkeypatch.setattr(core, "handle_datagrams", fail_once)
        while not faults:
            await alice.say("many")
            await asyncio.sleep(0)
        await alice.say("after it")
        await until(lambda: "after it" in both.said())
        assert [type(fault) for fault in faults] == [ZeroDivisionError]
