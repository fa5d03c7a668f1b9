"""The scenarios that `python -m client scenario tests/scenarios` acts out, one test each."""

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from scenarios.report import Report
from scenarios.runner import act_out
from scenarios.story_file import read

SCENARIOS = sorted((Path(__file__).resolve().parents[1] / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    story = read(path.read_text("utf-8"), path.name)
    told = io.StringIO()
    report = Report(Console(file=told, width=120))
    result = asyncio.run(act_out(story, on_step=report.step))
    report.end(result)
    assert result.passed, f"\n{story.title}\n{told.getvalue()}"
