"""A broker that cuts its rooms' logs to `--log-entries` several times a second, and not every ten seconds."""

import sys
from collections.abc import Sequence

from tests.support.services import Broker

_PROGRAM = "from broker.net import server; server.TRIM_S = 0.2; from broker.cli import main; main()"


class TrimmingBroker(Broker):
    """The broker, started with that pace."""

    def command(self) -> Sequence[str]:
        command = super().command()
        return (sys.executable, "-c", _PROGRAM, *command[command.index("broker") + 1 :])
