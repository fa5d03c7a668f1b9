"""The programs as the tests start them: on free ports, without notices.

As context managers they stop at the end, and it is checked that they stop well and have logged no traceback.
"""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import tsudoi
from scenarios import cluster
from scenarios.cluster import HOST, Broker
from scenarios.ports import steady_port
from tests.support import forked
from tests.support.legacy.wire import Listener
from tsudoi.protocol.client.dialects import DIALECTS

__all__ = ["ALL_LISTENERS", "ROOT", "Broker", "Gateway", "steady_endpoint"]

ROOT = Path(__file__).resolve().parents[2]

ALL_LISTENERS = ("auto", *DIALECTS)


class Gateway(cluster.Gateway):
    """A gateway whose stand-ins for clients receive messages and no notices, unless a test wants them."""

    def __init__(
        self,
        *options: str,
        broker: Broker | None = None,
        data: Path | None = None,
        dialects: Sequence[str] = ("auto",),
        host: str = "127.0.0.1",
        steady: bool = False,
    ) -> None:
        notices = () if "--notices" in options else ("--notices", "off")
        endpoint = None if broker is None else broker.endpoint
        super().__init__(*options, *notices, broker=endpoint, data=data, dialects=dialects, host=host, steady=steady)

    def listener(self, dialect: str, host: str = "") -> Listener:
        """Return where clients of a dialect go; `host` when the gateway listens on more than one address."""
        tcp, udp = self.tcp[dialect], self.udp
        return Listener((host or tcp[0], tcp[1]), (host or udp[0], udp[1]))


def steady_endpoint() -> str:
    """Return where a broker can be started again: no other program gets its two ports meanwhile."""
    return f"tcp://{HOST}:{steady_port(2)}"


HEAR_S = 30.0


def at(gateway: Gateway) -> tsudoi.Server:
    """Return a gateway's first `auto` listener, as the SDK names it."""
    listener = gateway.listener("auto")
    return tsudoi.Server(listener.tcp[0], listener.tcp[1], listener.udp[1])


async def hear(chat: tsudoi.ChatClient, text: str) -> list[str]:
    """Return the texts that a client receives, up to `text`; those from before its join, too."""
    heard: list[str] = []
    async with asyncio.timeout(HEAR_S):
        async for event in chat:
            if isinstance(event, tsudoi.Earlier):
                heard += [row.text for row in event.rows]
                if text in heard:
                    return heard
            elif isinstance(event, tsudoi.Message):
                heard.append(event.text)
                if event.text == text:
                    return heard
    raise AssertionError(f"{text} never came, only {heard}")


async def hear_next(chat: tsudoi.ChatClient, count: int, *but: type[tsudoi.Event]) -> list[str]:
    """Return the texts of the next messages; no other event may come, `but` those of some kinds."""
    heard: list[str] = []
    async with asyncio.timeout(HEAR_S):
        while len(heard) < count:
            event = await anext(chat)
            if not isinstance(event, but):
                assert isinstance(event, tsudoi.Message), event
                heard.append(event.text)
    return heard


@contextlib.contextmanager
def operators_page(broker: Path | str, *options: str) -> Iterator[str]:
    """Serve the operator's page for a service with its data there, or for a broker at an endpoint for operators.

    Yield the address that it prints.
    """
    where = ["--admin", broker] if isinstance(broker, str) else ["--store", f"sqlite:{broker / 'tsudoi.sqlite'}"]
    command = [sys.executable, "-m", "broker", *where, "admin", "page", "--listen", "127.0.0.1:0", *options]
    with forked.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            word, _, url = process.stdout.readline().strip().partition(" ")
            assert word == "open"
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            _, problems = process.communicate(timeout=HEAR_S)
        assert (process.returncode, problems) == (0, "")
