"""SIGHUP: limits change while members stay, also at the broker of a gateway's own; a mistake changes nothing."""

import os
import signal
from pathlib import Path

from tests.integration.conftest import Enter
from tests.support.legacy.company import Company
from tests.support.services import Gateway

PATIENCE_S = 20.0

BEFORE = """
[gateway]
rate = 1000
log-level = "info"

[broker]
log-entries = 1000
"""
AFTER = BEFORE.replace("rate = 1000", 'rate = 2\nburst = 2\nname = "other"').replace(
    "log-entries = 1000", "log-entries = 7"
)


def test_limits_change_while_members_stay(tmp_path: Path, client: Enter) -> None:
    file = tmp_path / "tsudoi.toml"
    file.write_text(BEFORE)
    with Gateway("--config", str(file), data=tmp_path / "data", doors=["tcrp"]) as gateway:
        den = Company("den")
        alice = client("tcrp", "alice", gateway)
        den.create(alice)
        bob = client("tcrp", "bob", gateway)
        den.join(bob)
        den.chat()

        file.write_text('[gateway]\nrate = "fast"\n')
        os.kill(gateway.pid, signal.SIGHUP)
        line = gateway.stderr.wait_for(lambda line: "not reloaded" in line, PATIENCE_S)
        assert line is not None
        assert f"{file}:2: rate" in line

        file.write_text(AFTER)
        os.kill(gateway.pid, signal.SIGHUP)
        line = gateway.stderr.wait_for(lambda line: "changed=" in line, PATIENCE_S)
        assert line is not None
        assert "rate, burst" in line
        assert "name" in line.partition("needs_restart=")[2]
        # Two at once and two a second from now on. Who is in stays in.
        for number in range(10):
            alice.say(f"after {number}")
        heard: list[str | None] = []
        while bob.line("alice", "end") not in heard:
            alice.say("end")
            if (one := bob.listen(0.3)) is not None:
                heard.append(one.shown)
        assert heard[:2] == [bob.line("alice", "after 0"), bob.line("alice", "after 1")]
        assert bob.line("alice", "after 9") not in heard
