"""docs/scale.md has the table that benchmarks/cluster/scale.py computes."""

from pathlib import Path

from benchmarks.cluster.scale import Deployment, table
from tsudoi.protocol.backbone import SHARDS


def test_the_page_has_the_computed_table() -> None:
    page = Path(__file__).parents[3] / "docs" / "scale.md"
    assert table() in page.read_text()


def test_brokers_beyond_the_shards_own_nothing() -> None:
    assert [Deployment(brokers, 1, 1).working for brokers in (1, 2, 48, 64, 100)] == [1, 2, 32, SHARDS, SHARDS]
