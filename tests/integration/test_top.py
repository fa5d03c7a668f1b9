"""`python -m client top` at a running service: what people do shows."""

import subprocess
import sys
from pathlib import Path

from tests.integration.conftest import Enter
from tests.support.legacy.company import Company
from tests.support.services import ROOT, Gateway


def test_what_people_do_shows(tmp_path: Path, unused_port: int, client: Enter) -> None:
    where = f"127.0.0.1:{unused_port}"
    with Gateway("--http", where, data=tmp_path, doors=["tcrp"]) as gateway:
        den = Company("den")
        den.create(client("tcrp", "alice", gateway))
        den.join(client("tcrp", "bob", gateway))
        den.chat()
        top = [sys.executable, "-m", "client", "top", where, "127.0.0.1:1", "--once", "--interval", "0.1"]
        shown = subprocess.run(top, cwd=ROOT, capture_output=True, text=True)
        assert shown.returncode == 1, "one of the two was not reached"
        told = shown.stdout.splitlines()
        (row,) = (line for line in told if line.split()[:1] == ["gateway"])
        assert row.split()[1:5] == [where, "ok", "1", "2"]
        assert "127.0.0.1:1: Connection refused" in told
