"""What each further gateway, subscription and broker costs: the figures behind docs/scale.md."""

import time
from contextlib import ExitStack

from benchmarks.cluster.load import Talkers
from benchmarks.cluster.servers import Broker, database
from benchmarks.cluster.takeover import spread
from benchmarks.processes import Measured, cpu_s, proportional_size
from benchmarks.runner import Row, Runner

FEW, MANY = 4, 104
TOPICS = 50_000


def growth(runner: Runner) -> list[Row]:
    """Idle gateways, subscriptions and brokers."""
    seconds = runner.pick(10.0, 3.0)
    with ExitStack() as stack:
        base = stack.enter_context(database())
        broker = stack.enter_context(Broker(base.url))
        spread([broker])
        one_s = _cores(base, seconds)
        with Talkers([broker], gateways=FEW, rooms=FEW) as talkers:
            few_s, few = _cores(broker, seconds), proportional_size(broker.pid)
            subscribing_s = cpu_s(broker.pid)
            talkers.subscribe(TOPICS)
            subscribing_s = cpu_s(broker.pid) - subscribing_s
            topic = (proportional_size(broker.pid) - few) / TOPICS
        few = proportional_size(broker.pid)
        with Talkers([broker], gateways=MANY, rooms=FEW) as talkers:
            many_s, many = _cores(broker, seconds), proportional_size(broker.pid)
            gateways_s = _cores(talkers, seconds) / MANY
        other = stack.enter_context(Broker(base.url))
        spread([broker, other])
        two_s = _cores(base, seconds)
    gateway_s, gateway = (many_s - few_s) / (MANY - FEW), (many - few) / (MANY - FEW)
    return [
        Row(
            "an idle gateway, connected: canaries of 64 shards, reports and heartbeats",
            f"{1e3 * gateway_s:.2f} ms CPU of the one broker a second, {gateway / 1024:.0f} KiB of its memory",
            note=f"{1e3 * gateways_s:.1f} ms CPU of the gateway's own link; {MANY} beside {FEW} gateways",
        ),
        Row(
            "a subscription to a room's topic",
            f"{1e6 * subscribing_s / TOPICS:.1f} µs CPU of the broker once, {topic:.0f} bytes of its memory",
            note=f"{TOPICS:,} topics",
        ),
        Row(
            "an idle broker: renewals, looks and reports",
            f"{1e3 * (two_s - one_s):.1f} ms CPU of the two PostgreSQL servers a second",
            note=f"with one broker they use {1e3 * one_s:.1f} ms",
        ),
    ]


def _cores(measured: Measured, seconds: float) -> float:
    """Return the cores that some processes keep busy."""
    pids = measured.family()
    at, used = time.monotonic(), sum(map(cpu_s, pids))
    time.sleep(seconds)
    return (sum(map(cpu_s, pids)) - used) / (time.monotonic() - at)
