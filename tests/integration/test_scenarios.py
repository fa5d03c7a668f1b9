"""The scenarios that `python -m client scenario tests/scenarios` acts out, one test each.

Those that ask for nothing of their servers share a broker and two gateways, as with `--server`; others start theirs.
"""

import asyncio
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from scenarios.cluster import Cluster, Site
from scenarios.report import Report
from scenarios.runner import act_out
from scenarios.story import BrokerSettings, GatewaySettings, Story
from scenarios.story_file import read
from tsudoi.protocol.client.dialects import DIALECTS, TSUDOI

FOLDER = Path(__file__).resolve().parents[1] / "scenarios"
STORIES = {path.stem: read(path.read_text("utf-8"), path.name) for path in sorted(FOLDER.glob("*.yaml"))}
ANYWHERE = [
    name
    for name, story in STORIES.items()
    if not story.needs_local
    and story.broker == BrokerSettings()
    and set(story.servers.values()) == {GatewaySettings()}
    and len(story.servers) <= 2
]


@pytest.fixture(scope="module")
def sites() -> Iterator[list[Site]]:
    """Two gateways of one broker, with a listener for each dialect; they must have stopped well when all is over."""
    own = [name for name in DIALECTS if name != TSUDOI.name]
    cluster = Cluster(BrokerSettings(), {"a": GatewaySettings(), "b": GatewaySettings()}, own)
    try:
        cluster.start()
        yield list(cluster.sites.values())
    finally:
        cluster.close()
    assert cluster.problems == []


@pytest.mark.parametrize("name", ANYWHERE)
def test_scenario_at_servers_that_run(name: str, sites: list[Site]) -> None:
    story = STORIES[name]
    # A story without listeners of their own has one for all dialects.
    act(story, sites if story.own_listeners else [replace(site, dialect_ports={}) for site in sites])


@pytest.mark.parametrize("name", [name for name in STORIES if name not in ANYWHERE])
def test_scenario(name: str) -> None:
    act(STORIES[name])


def act(story: Story, sites: Sequence[Site] = ()) -> None:
    told = io.StringIO()
    report = Report(Console(file=told, width=120))
    result = asyncio.run(act_out(story, sites, report.step))
    report.end(result)
    assert result.passed, f"\n{story.title}\n{told.getvalue()}"
