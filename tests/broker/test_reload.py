"""broker/net/service.py, `reload`: the report is complete, and what it calls changed has changed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from broker.config import Config, Limits
from broker.net.service import BrokerService
from broker.store.place import parse_store
from tsudoi.ops.host_port import HostPort
from tsudoi.ops.reload import Report
from tsudoi.ops.settings import Setting, each_setting

SETTINGS = [
    each for each in each_setting(Config) if not each.is_hidden and each.name not in ("persistent", "log_level")
]
NEED_RESTART = {"news_high_water"}
"""Of the limits."""


@asynccontextmanager
async def running(tmp_path: Path, **about: Any) -> AsyncIterator[tuple[BrokerService, Config]]:
    config = Config(bind=f"ipc://{tmp_path}/b", store=parse_store("memory"), **about)
    service = await BrokerService.open(config, lambda: None)
    try:
        yield service, config
    finally:
        service.stop()


def another(about: Setting, value: Any) -> Any:
    """Return a value of a setting that differs from this one."""
    if get_origin(about.kind) is Literal:
        return next(each for each in get_args(about.kind) if each != value)
    if about.name == "store":
        return parse_store("sqlite:other.sqlite")
    by_kind: dict[Any, Any] = {bool: not value, str: "other", Path: Path("/other"), HostPort: HostPort("127.0.0.1", 1)}
    if about.kind in (int, float):
        return value + 1
    return by_kind.get(about.kind, Path("/other"))


def all_in(report: Report) -> list[str]:
    return [*report.changed, *report.for_new_members, *report.needs_restart]


@pytest.mark.parametrize("about", SETTINGS, ids=lambda about: about.name)
async def test_each_setting_that_differs_is_in_the_report_once_and_no_other(about: Setting, tmp_path: Path) -> None:
    async with running(tmp_path) as (service, config):
        is_limit = about.name in {each.name for each in fields(Limits)}
        value = another(about, getattr(config.limits if is_limit else config, about.name))
        changed = {about.name: value}
        limits = replace(config.limits, **changed) if is_limit else config.limits
        new = replace(config, limits=limits) if is_limit else replace(config, **changed)
        report = service.reload(new)
        assert all_in(report) == [about.flag.removeprefix("--")]
        assert bool(report.changed) is (is_limit and about.name not in NEED_RESTART)
        if report.changed:
            assert getattr(service.server.core.directory._limits, about.name) == value


async def test_a_room_that_is_persistent_now_is_there_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, persistent=("hall",)) as (service, config):
        report = service.reload(replace(config, persistent=("hall", "lobby")))
        assert all_in(report) == report.changed == ["persistent"]
        assert {room.name for room in service.server.core.directory.rooms.values()} == {"hall", "lobby"}
        assert all_in(service.reload(replace(config, persistent=("hall", "lobby")))) == []
        # Only an operator ends that: a restart would not.
        assert all_in(service.reload(replace(config, persistent=()))) == []
