"""tsudoi/ops/logs.py"""

import io
import json
import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsudoi.ops import logs, standard_streams
from tsudoi.ops.printable import escaped


def lines(form: logs.Format, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(level, form, stream)
    return stream


def test_a_line_for_people_has_the_event_and_its_values() -> None:
    stream = lines("human")
    logs.get("gateway").info("broker is back", after_s=2.5, name="東京")
    (line,) = stream.getvalue().splitlines()
    for part in ("[info", "broker is back", "after_s=2.5", "name=東京", "gateway"):
        assert part in line
    assert "\x1b" not in line


def test_a_line_for_machines_is_one_object() -> None:
    stream = lines("json")
    logs.get("broker").warning("gateway is gone", gateway="a/1", members=3)
    told = json.loads(stream.getvalue())
    told.pop("timestamp")
    assert told == {"event": "gateway is gone", "gateway": "a/1", "level": "warning", "logger": "broker", "members": 3}


def test_lines_of_libraries_go_the_same_way() -> None:
    stream = lines("json")
    logging.getLogger("asyncio").error("it %s\nbroke", "really")
    told = json.loads(stream.getvalue())
    assert (told["event"], told["logger"]) == ("it really\\nbroke", "asyncio")


@pytest.mark.parametrize("form", ["human", "json"])
@given(text=st.text(max_size=40))
def test_whatever_is_in_a_value_a_line_stays_a_line_and_is_printable(form: logs.Format, text: str) -> None:
    stream = lines(form)
    logs.get("gateway").info("said", by=text)
    written = stream.getvalue()
    assert written.endswith("\n")
    assert written[:-1].isprintable()


def test_a_traceback_is_printable_too() -> None:
    stream = lines("human")
    try:
        raise ValueError("no number: \x1b[2J\x9b31m\u202e")
    except ValueError:
        logs.get("gateway").exception("a bug of ours")
    *_, last = written = stream.getvalue().splitlines()
    assert all(map(str.isprintable, written))
    assert last == r"ValueError: no number: \x1b[2J\x9b31m\u202e"


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\x00", "\u202eevil", "\x9b31m", "\ud800"])
def test_what_is_not_printable_is_an_escape(text: str) -> None:
    assert escaped(text).isprintable()
    assert escaped(text) != text


def test_the_level_can_change_at_any_time() -> None:
    stream = lines("human")
    logger = logs.get("gateway")
    logger.debug("one")
    logs.toggle_debug(logger)
    logger.debug("two")
    logs.toggle_debug(logger)
    logger.debug("three")
    logs.set_level("error")
    logger.warning("four")
    logger.error("five")
    assert [word for word in ("one", "two", "three", "four", "five") if word in stream.getvalue()] == ["two", "five"]


@pytest.mark.parametrize("form", ["human", "json"])
def test_our_own_bugs_have_their_traceback(form: logs.Format) -> None:
    stream = lines(form)
    try:
        raise ZeroDivisionError("why")
    except ZeroDivisionError:
        logs.get("gateway").exception("a bug of ours")
    assert "ZeroDivisionError" in stream.getvalue()
    assert "test_logs.py" in stream.getvalue()


@pytest.mark.parametrize("form", ["human", "json"])
def test_a_traceback_tells_no_secrets(form: logs.Format) -> None:
    def check(password: str) -> None:
        raise ZeroDivisionError

    stream = lines(form)
    try:
        check("".join(("hun", "ter2")))
    except ZeroDivisionError:
        logs.get("gateway").exception("a bug of ours")
    assert "check" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize("form", ["human", "json"])
def test_lost_lines_are_told_in_the_logs_form(form: logs.Format, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        logs.set_up("error", form, stream, worker=2)
        room = os.dup(stream.fileno())
        os.dup2(os.open("/dev/full", os.O_WRONLY), stream.fileno())
        for number in range(3):
            logs.get("gateway").error("not written", number=number)
        standard_streams.flush()
        os.dup2(room, stream.fileno())
        logs.get("gateway").error("written")
        standard_streams.flush()
    written, lost = (tmp_path / "log").read_text("utf-8").splitlines()
    assert "not written" not in written
    assert "log lines are lost" in lost
    assert ('"lines": 3' if form == "json" else "lines=3") in lost
    assert ('"worker": 2' if form == "json" else "worker=2") in lost
    assert logs.lost_lines() == 3
