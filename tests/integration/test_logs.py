"""What services write while they live: one line a step, and nothing of what people say or are called by strangers."""

import json
import os
import signal
import socket
from pathlib import Path

from tests.support.services import Broker, Gateway

PATIENCE_S = 60.0


def test_lines_are_objects_and_the_level_changes_at_run_time(tmp_path: Path) -> None:
    with (
        Broker(tmp_path / "rooms.sqlite", "--log-format", "json") as broker,
        Gateway("--log-format", "json", "--name", "edge", broker=broker, doors=["auto"]) as gateway,
    ):
        assert broker.stderr.wait_for(lambda line: '"event": "no keys are used: everybody on this mach' in line, 0)
        assert gateway.stderr.wait_for(lambda line: '"event": "ready"' in line, PATIENCE_S)
        assert broker.stderr.wait_for(lambda line: '"event": "gateway came"' in line, PATIENCE_S)
        os.kill(gateway.pid, signal.SIGUSR1)
        line = gateway.stderr.wait_for(lambda line: "log level" in line, PATIENCE_S)
        assert line is not None
        assert '"to": "debug"' in line
        with socket.create_connection(gateway.door("auto").tcp) as stranger:
            stranger.sendall(b"\x1b[2J\n")
        line = gateway.stderr.wait_for(lambda line: '"event": "handshake"' in line, PATIENCE_S)
        assert line is not None
        assert "no whole request" in line
        broker.freeze()
        assert gateway.stderr.wait_for(lambda line: '"event": "unhealthy"' in line, PATIENCE_S)
        broker.resume()
        assert gateway.stderr.wait_for(lambda line: '"event": "healthy again"' in line, PATIENCE_S)
        gateway.stop()
        assert broker.stderr.wait_for(lambda line: '"event": "gateway stopped"' in line, PATIENCE_S)
    for service in (broker, gateway):
        for line in service.stderr.text.splitlines():
            assert {"event", "level", "logger", "timestamp"} <= set(json.loads(line)), line
