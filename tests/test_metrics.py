"""/metrics of gateway and broker: every counter is told, and docs/metrics.md says the same as the code."""

import json
import re
from dataclasses import fields
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml

from broker.config import Limits
from broker.core import Core
from broker.counters import Counters as BrokerCounters
from broker.net import metrics as broker_metrics
from broker.net.server import Server
from broker.shards.cores import Cores
from broker.store.memory import MemoryStore
from gateway.config import Config
from gateway.counters import Counters as GatewayCounters
from gateway.listeners.options import Listener
from gateway.process import metrics as gateway_metrics
from gateway.process.service import Service
from tests.support.each import each
from tests.support.fakes import own_sessions
from tests.test_documents import ROOT, code, tables
from tsudoi.ops.exposition import exposition
from tsudoi.ops.metrics import Row

NOBODY: object = None
"""Rows read nothing before somebody asks."""
GATEWAY = gateway_metrics.rows(Mock())
BROKER = broker_metrics.rows(NOBODY)  # type: ignore[arg-type]
PAGE = "docs/metrics.md"


def numbers(rows: list[Row]) -> bytes:
    text = exposition(rows)()
    return b"\n".join(line for line in text.splitlines() if line.startswith(b"tsudoi_"))


def check_labels(rows: list[Row]) -> None:
    """What labels say is explained on the page."""
    explained = set(re.findall(r"`(\w+)`", (ROOT / PAGE).read_text(encoding="utf-8").partition("## Labels")[2]))
    told = {row.label: row.read() for row in rows if row.label}
    for label, values in told.items():
        assert isinstance(values, dict)
        assert {label, *values} <= explained


async def test_every_counter_of_the_gateway_is_told(tmp_path: Path) -> None:
    listener = Listener("127.0.0.1", 0)
    service = Service(
        Config(tcp=(listener,), udp=(listener,), data=Path("unused")), [f"ipc://{tmp_path}/b"], own_sessions()
    )
    rows = gateway_metrics.rows(service)
    check_labels(rows)
    by_label = service.counters.refusals, service.counters.webhook_answers, service.counters.sealed_dropped
    for counted in by_label:
        for label in counted:
            before = numbers(rows)
            counted[label] += 1
            assert numbers(rows) != before, f"{label} is nowhere at /metrics"
    for field in fields(GatewayCounters):
        if getattr(service.counters, field.name) in by_label:
            continue
        before = numbers(rows)
        setattr(service.counters, field.name, getattr(service.counters, field.name) + 1)
        assert numbers(rows) != before, f"{field.name} is nowhere at /metrics"
    await service.stop()


async def test_every_counter_of_the_broker_is_told(tmp_path: Path) -> None:
    store = MemoryStore()
    core = Core(store.load(), "broker", Limits(), 0.0)
    server = Server(Cores([core]), store, Limits(), f"ipc://{tmp_path}/b", lambda: None)
    server.start()
    rows = broker_metrics.rows(server)
    check_labels(rows)
    for field in fields(BrokerCounters):
        before = numbers(rows)
        setattr(core.counters, field.name, getattr(core.counters, field.name) + 1)
        assert numbers(rows) != before, f"{field.name} is nowhere at /metrics"
    server.stop()


@pytest.mark.parametrize(("place", "rows"), [(0, GATEWAY), (1, BROKER)], ids=["gateway", "broker"])
def test_the_page_has_every_metric_and_no_other(place: int, rows: list[Row]) -> None:
    told = [[code(row[0])[0], row[1], (code(row[2]) or [""])[0]] for row in tables(PAGE)[place][2:]]
    assert sorted(told) == sorted([row.name, row.kind, row.label] for row in rows)


@each({row.name: row for row in (*GATEWAY, *BROKER)})
def test_names_are_as_the_ecosystem_has_them(row: Row) -> None:
    assert row.name.endswith("_total") == (row.kind == "counter")
    assert not row.name.endswith(("_ms", "_milliseconds", "_count", "_sum", "_bucket", "_info"))
    assert row.help


# --- who reads them -------------------------------------------------------------------------------------------------

READERS = ("docs/grafana.json", "docs/alarms.yml")
SAMPLES = {
    name: row
    for row in (*GATEWAY, *BROKER)
    for name in (
        [f"{row.name}_{part}" for part in ("bucket", "sum", "count")] if row.kind == "histogram" else [row.name]
    )
}


def expressions(reader: str) -> list[str]:
    """The queries in a board or in a file of rules."""
    text = (ROOT / reader).read_text(encoding="utf-8")
    if reader.endswith(".json"):
        return [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    return [rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("reader", READERS)
def test_boards_and_alarms_ask_for_what_there_is(reader: str) -> None:
    asked = expressions(reader)
    assert len(asked) > 5
    for expression in asked:
        assert expression.count("(") == expression.count(")")
        for name, selector in re.findall(r"\b(tsudoi_\w+)(\{[^}]*\})?", expression):
            assert name in SAMPLES, f"{reader}: there is no {name}"
            for label in re.findall(r"(\w+)=", selector):
                assert label == SAMPLES[name].label, f"{reader}: {name} has no label {label}"
            assert SAMPLES[name].kind == "gauge" or re.search(r"(rate|increase)\(" + name, expression), expression


def test_values_of_labels_that_are_asked_for_are_told() -> None:
    words = set(re.findall(r"`(\w+)`", (ROOT / PAGE).read_text(encoding="utf-8").partition("## Labels")[2]))
    asked = re.findall(r"(?:reason|outcome|queue|way)=~?\"([^\"]+)\"", "\n".join(expressions("docs/alarms.yml")))
    assert asked
    assert {value for values in asked for value in values.split("|")} <= words


def test_what_observes_asks_every_service_where_it_listens() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    scrape = yaml.safe_load((ROOT / "docs/prometheus.yml").read_text(encoding="utf-8"))
    (job,) = scrape["scrape_configs"]
    targets = job["static_configs"][0]["targets"]
    assert [target.partition(":")[0] for target in targets] == [
        name for name in compose["services"] if name.startswith("gateway")
    ]
    (brokers,) = job["dns_sd_configs"]
    assert (brokers["names"], brokers["port"]) == (["broker"], 9080)
    for broker in ("broker1", "broker2"):
        assert compose["services"][broker]["networks"]["backbone"]["aliases"] == ["broker"]
        assert compose["services"][broker]["environment"]["TSUDOI_BROKER_HTTP"] == "0.0.0.0:9080"
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "TSUDOI_HTTP=0.0.0.0:9080" in image
    assert compose["services"]["broker"]["environment"]["TSUDOI_BROKER_HTTP"] == "0.0.0.0:9080"
    assert {target.partition(":")[2] for target in targets} == {"9080"}
    for volume in compose["services"]["prometheus"]["volumes"]:
        if volume.startswith("./"):
            assert (ROOT / volume.partition(":")[0]).is_file()


def test_every_alarm_is_explained() -> None:
    rules = yaml.safe_load((ROOT / "docs/alarms.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    (table,) = (table for table in tables("docs/operations.md") if table[0][0] == "alarm")
    assert [code(row[0]) for row in table[2:]] == [[rule["alert"]] for rule in rules]
    assert all(row[1] and row[2] for row in table[2:])
