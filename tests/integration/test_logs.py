"""What services write while they live: one line a step, and nothing of what people say or are called by strangers."""

import asyncio
import json
import os
import signal
import socket
import time
from pathlib import Path

import tsudoi
from tests.support.services import Broker, Gateway, at

PATIENCE_S = 60.0


async def reach_the_broker(gateway: Gateway) -> None:
    """Wait until a question of the gateway is answered: its connection for questions and for its Bye is there.

    Its health does not show that: its last canaries before the freeze may come back although that connection has ended.
    """
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            await tsudoi.join("nowhere", name="probe", server=at(gateway))
        except tsudoi.RoomNotFound:
            return
        except (tsudoi.Busy, tsudoi.NoAnswer):
            continue
    raise AssertionError("the gateway does not reach the broker")


def test_lines_are_objects_and_the_level_changes_at_run_time(tmp_path: Path) -> None:
    with (
        Broker(tmp_path / "rooms.sqlite", "--log-format", "json") as broker,
        Gateway("--log-format", "json", "--name", "edge", broker=broker) as gateway,
    ):
        assert broker.stderr.wait_for(lambda line: '"event": "no keys are used: everybody on this mach' in line, 0)
        assert gateway.stderr.wait_for(lambda line: '"event": "ready"' in line, PATIENCE_S)
        assert broker.stderr.wait_for(lambda line: '"event": "gateway came"' in line, PATIENCE_S)
        os.kill(gateway.pid, signal.SIGUSR1)
        line = gateway.stderr.wait_for(lambda line: "log level" in line, PATIENCE_S)
        assert line is not None
        assert '"to": "debug"' in line
        with socket.create_connection(gateway.listener("auto").tcp) as stranger:
            stranger.sendall(b"\x1b[2J\n")
        line = gateway.stderr.wait_for(lambda line: '"event": "handshake"' in line, PATIENCE_S)
        assert line is not None
        assert "no whole request" in line
        broker.freeze()
        assert gateway.stderr.wait_for(lambda line: '"event": "unhealthy"' in line, PATIENCE_S)
        broker.resume()
        assert gateway.stderr.wait_for(lambda line: '"event": "healthy again"' in line, PATIENCE_S)
        asyncio.run(reach_the_broker(gateway))
        gateway.stop()
        assert broker.stderr.wait_for(lambda line: '"event": "gateway stopped"' in line, PATIENCE_S)
    for service in (broker, gateway):
        for line in service.stderr.text.splitlines():
            assert {"event", "level", "logger", "timestamp"} <= set(json.loads(line)), line
