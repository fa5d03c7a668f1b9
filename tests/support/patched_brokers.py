"""Brokers that have another pace than the product's, so that a test need not wait."""

import sys
from collections.abc import Sequence
from typing import ClassVar

from tests.support.services import Broker


class _PatchedBroker(Broker):
    patch: ClassVar[str]

    def command(self) -> Sequence[str]:
        command = super().command()
        program = f"{self.patch}; from broker.cli import main; main()"
        return (sys.executable, "-c", program, *command[command.index("broker") + 1 :])


class TrimmingBroker(_PatchedBroker):
    """Cuts its rooms' logs to `--log-entries` several times a second, and not every ten seconds."""

    patch = "from broker.net import server; server.TRIM_S = 0.2"


class PatientBroker(_PatchedBroker):
    """Keeps connections open on which nothing comes for a minute, and not for 1.5 s."""

    patch = "from broker.net import zeromq; zeromq.HEARTBEAT_TIMEOUT_MS = 60_000"


class MissedBroker(_PatchedBroker):
    """Is missed for 15 s when it stands still, and not for 3 s, before others take its rooms."""

    patch = "from broker.store import sharing; sharing.LEASE_S = 15.0"
