"""Drive the talkers (`talkers.py`): what a run gave, a second and a message."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.cluster.servers import Broker, Database
from benchmarks.processes import Process


@dataclass(frozen=True, slots=True)
class Talk:
    """What a run of the talkers gave, a second."""

    accepted: float
    heard: float
    commits: float
    commit_ms: float
    """The mean."""
    p50_ms: float
    """From a gateway's publishing to another's receiving."""
    p99_ms: float
    broker_us: float
    """Processor time of all brokers, for a message."""
    database_us: float
    """The same of both PostgreSQL servers."""
    wal_bytes: float
    """Written ahead for a message."""
    is_complete: bool
    """Everything that was asked for was accepted and heard in order."""


class Talkers(Process):
    """The load generator in gateways' frames; `talkers.py`."""

    def __init__(self, brokers: Sequence[Broker], **setup: int) -> None:
        """Args: setup: see `talkers.Setup`."""
        self._brokers = brokers
        command = (sys.executable, "-m", "benchmarks.cluster.talkers")
        super().__init__((*command, json.dumps({"endpoints": [broker.endpoint for broker in brokers], **setup})))
        self.hear(60)

    def talk(self, rate: float, seconds: float, database: Database | None = None, warm: float = 2.0) -> Talk:
        """Make a run."""
        own = [broker.pid for broker in self._brokers]
        pids = [*own, *(database.family() if database else ())]
        urls = [broker.metrics for broker in self._brokers]
        wal = database.wal_bytes() if database else 0
        asked = {"rate": rate, "warm": warm, "seconds": seconds, "drain": 1.0, "pids": pids, "urls": urls}
        got = self.ask(json.dumps({"run": asked}), warm + seconds + 30)
        wal = database.wal_bytes() - wal if database else 0
        wall, accepted = got["at"], max(got["accepted"], 1)
        commits = max(sum(count for count, _ in got["brokers"]), 1)
        cpu = [1e6 * used / accepted for used in got["cpu"]]
        return Talk(
            accepted=accepted / wall,
            heard=got["heard"] / wall,
            commits=commits / wall,
            commit_ms=1e3 * sum(took for _, took in got["brokers"]) / commits,
            p50_ms=got["p50"] / 1e3,
            p99_ms=got["p99"] / 1e3,
            broker_us=sum(cpu[: len(own)]),
            database_us=sum(cpu[len(own) :]),
            wal_bytes=wal / (accepted * (wall + warm) / wall),
            is_complete=not any(got[wrong] for wrong in ("full", "gaps", "unaccepted", "unheard")),
        )

    def subscribe(self, topics: int) -> None:
        """Subscribe to so many topics of rooms that do not exist."""
        self.ask(json.dumps({"subscribe": {"topics": topics}}), 60)
