"""SIGHUP: limits change while members stay, also at the broker of a gateway's own; a mistake changes nothing."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tests.integration.conftest import Enter
from tests.support import forked
from tests.support.legacy.company import Company
from tests.support.services import Gateway

PATIENCE_S = 60.0
ROOT = Path(__file__).resolve().parents[2]

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
    with Gateway("--config", str(file), data=tmp_path / "data", dialects=["tcrp"]) as gateway:
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


def test_a_shorter_idle_time_out_holds_for_members_who_are_there(tmp_path: Path, client: Enter) -> None:
    file = tmp_path / "tsudoi.toml"
    file.write_text("[gateway]\nidle-timeout = 100\nrate = 50\n")
    with Gateway("--config", str(file), "--rate", "60", data=tmp_path / "data", dialects=["tcrp"]) as gateway:
        den = Company("den")
        alice, bob = (client("tcrp", name, gateway) for name in ("alice", "bob"))
        den.create(alice)
        den.join(bob)
        den.chat()
        file.write_text("[gateway]\nidle-timeout = 1\nrate = 70\n")
        os.kill(gateway.pid, signal.SIGHUP)
        line = gateway.stderr.wait_for(lambda line: "settings reloaded" in line, PATIENCE_S)
        assert line is not None
        assert "changed=idle-timeout" in line
        assert "overridden=rate" in line
        deadline = time.monotonic() + PATIENCE_S
        while "bob" in members(tmp_path / "data"):
            assert time.monotonic() < deadline
            alice.say("I am here")


def test_workers_and_the_broker_report_each_for_itself(tmp_path: Path) -> None:
    file = tmp_path / "tsudoi.toml"
    file.write_text("[gateway]\nrate = 5\n")
    with Gateway("--config", str(file), "--workers", "2", data=tmp_path / "data", dialects=["tcrp"]) as gateway:
        file.write_text("[gateway]\nrate = 'fast'\n")
        os.kill(gateway.pid, signal.SIGHUP)
        assert gateway.stderr.wait_for(lambda line: "not reloaded" in line, PATIENCE_S)
        file.write_text("[gateway]\nrate = 6\nworkers = 3\nname = 'x'\n[broker]\nrooms = 7\n")
        os.kill(gateway.pid, signal.SIGHUP)
        for wanted in (
            ("the parent process reloaded", "changed=nothing", "needs_restart=name", "overridden=workers"),
            ("settings reloaded", "changed=rate", "needs_restart=nothing", "worker=1"),
            ("settings reloaded", "changed=rate", "needs_restart=nothing", "worker=2"),
            ("settings reloaded", "changed=rooms", "needs_restart=nothing", "broker"),
        ):
            assert gateway.stderr.wait_for(partial(has_all, wanted), PATIENCE_S)
        assert gateway.stderr.text.count("not reloaded") == 1, "the workers are told nothing of a mistake"


def test_a_signal_while_the_service_starts_is_not_lost(tmp_path: Path) -> None:
    """It neither ends the process, nor leaves it with settings that it read before they changed."""
    file = tmp_path / "tsudoi.toml"
    file.write_text("[gateway]\nrate = 5\n")
    command = (sys.executable, "-m", "gateway", "--broker", f"ipc://{tmp_path}/b", "--config", str(file))
    where = ("--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0")
    started = forked.Popen((*command, *where), cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert started.stderr is not None
        lines = iter(started.stderr)
        # No broker is there, so it goes on starting.
        assert "starting" in next(lines)
        file.write_text("[gateway]\nrate = 6\n")
        started.send_signal(signal.SIGHUP)
        assert "changed=rate" in next(line for line in lines if "reloaded" in line)
    finally:
        started.kill()
        started.communicate()


def has_all(words: tuple[str, ...], line: str) -> bool:
    return all(word in line for word in words)


def members(data: Path) -> str:
    command = (sys.executable, "-m", "broker", "--store", f"sqlite:{data}/tsudoi.sqlite", "admin", "--json", "members")
    return str(forked.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout)
