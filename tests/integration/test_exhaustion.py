"""What runs out, runs out for those who come: who is in goes on, and it passes."""

import resource
import socket
from contextlib import ExitStack
from pathlib import Path

from tests.integration.conftest import Enter
from tests.support.legacy.company import Company
from tests.support.services import Gateway

PATIENCE_S = 60.0


def test_descriptors_run_out_and_come_back(tmp_path: Path, client: Enter) -> None:
    with Gateway(data=tmp_path, dialects=("auto", "tcrp-json")) as gateway:
        company = Company("den")
        company.create(client("tcrp-json", "alice", gateway))
        company.join(client("tcrp-json", "bob", gateway))
        company.chat()
        descriptors = len(list(Path(f"/proc/{gateway.pid}/fd").iterdir()))
        _, hard = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (descriptors + 10, hard))
        with ExitStack() as stack:
            for _ in range(40):
                stranger = stack.enter_context(socket.socket())
                stranger.settimeout(PATIENCE_S)
                stranger.connect(gateway.listener("auto").tcp)
            assert gateway.stderr.wait_for(lambda line: "no descriptor is left" in line, PATIENCE_S)
            company.chat()
        assert gateway.stderr.wait_for(lambda line: "there are descriptors again" in line, PATIENCE_S)
        company.join(client("tcrp-json", "carol", gateway))
        company.chat()
        assert gateway.stderr.text.count("no descriptor is left") == 1
