"""PROTOCOL.md against the vectors and the profiles, so that document and code can not drift apart."""

import re
from collections.abc import Callable
from itertools import takewhile

import pytest

from tests.tsudoi.protocol.vectors import DOCUMENT, all_bytes, blocks, files, in_bytes, section, worked_example
from tsudoi.protocol import names
from tsudoi.protocol.client import datagram, downlink_encoder, handshake, header, phrases, slash_commands
from tsudoi.protocol.client.dialect import Dialect, DownForm, PortPlace, RequestForm
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.codes import Operation, State, Status

LINES = [line for block in blocks("bytes") for line in block.splitlines() if line]
ALL = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)


# --- every example is a vector ------------------------------------------------------------------------------------


def test_every_example_is_a_vector() -> None:
    assert {line[:2] for line in LINES} == {"→ ", "← "}
    assert [line for line in LINES if in_bytes(line[2:]) not in all_bytes()] == []


def test_every_dump_is_a_vector() -> None:
    assert [block for block in blocks("hex") if bytes.fromhex(block) not in all_bytes()] == []


def test_every_run_of_hexadecimal_in_the_text_is_a_vector() -> None:
    prose = re.sub(r"^```.*?^```$", "", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
    runs = re.findall(r"`((?:[0-9a-f]{2} )+[0-9a-f]{2})`", prose)
    assert len(runs) > 4
    for run in runs:
        raw = bytes.fromhex(run)
        assert raw in all_bytes() or raw.decode(errors="replace") in normal_forms(), run


def normal_forms() -> set[str]:
    """What names become in their vectors."""
    return {vector["normal"] for vector in files()["names"]["vectors"] if vector.get("normal")}


def test_the_notation_knows_its_errors() -> None:
    assert (
        in_bytes("H32(3, 1, 0, 5) «den» 0a T")
        == b"\3\1\0" + (5).to_bytes(29, "big") + b"den\n" + b"0123456789abcdef" * 2
    )
    for wrong in ("«den", "H32(1, 2)", "xyz", "0", "0A"):
        with pytest.raises(AssertionError):
            in_bytes(wrong)


# --- the tables are the code's ------------------------------------------------------------------------------------


def row(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def code(texts: frozenset[str] | tuple[str, ...]) -> str:
    """Texts as they are, or a dash."""
    return ", ".join(f"`{text}`" if text.isprintable() else text.encode().hex(" ") for text in texts) or "–"


def profile_row(dialect: Dialect) -> str:
    """What the table of dialects says about one."""
    keys = [dialect.marker_key, dialect.user_key, dialect.password_key]
    payload = {
        RequestForm.PLAIN: "user",
        RequestForm.JSON_STRING: "user as a JSON string",
        RequestForm.JSON_OBJECT: ", ".join(f'`"{key}"`' for key in keys if key),
    }[dialect.request]
    port = {
        PortPlace.NOWHERE: "–",
        PortPlace.TCP_SOURCE: "the TCP connection's",
        PortPlace.PAYLOAD_END: "at the payload's end",
        PortPlace.AFTER_TOKEN: "after the token",
        PortPlace.KEY: f'`"{dialect.port_key}"`',
    }[dialect.port]
    separator = "" if dialect.down.separator == ": " else f", `{dialect.down.separator}`"
    down = {
        DownForm.RAW: f"plain{separator}",
        DownForm.NAMED: "named",
        DownForm.U1: f"U1{separator}",
        DownForm.OBJECT: "JSON after 00 00" if dialect.down.head else "typed",
        DownForm.NATIVE: "JSON",
    }[dialect.down.form]
    name = f"[`{dialect.name}`](#{dialect.name})"
    echo = "yes" if dialect.echo else "no"
    return row(name, payload, port, down, echo, code(dialect.register_words), code(dialect.leave_words))


def shared_rows(
    cells: Callable[[Dialect], tuple[str, ...]], mark: Callable[[Dialect], str] = lambda _: ""
) -> list[str]:
    """The rows of a table in which dialects with the same cells share one row."""
    names: dict[tuple[str, ...], list[str]] = {}
    for dialect in DIALECTS.values():
        names.setdefault(cells(dialect), []).append(f"`{dialect.name}`{mark(dialect)}")
    return [row(", ".join(each), *values) for values, each in names.items()]


def closing_cells(dialect: Dialect) -> tuple[str, ...]:
    """What the table of closing words says about one."""
    return code(dialect.closed), code((dialect.timed_out,)), code(dialect.removed)


def error_cells(dialect: Dialect) -> tuple[str, ...]:
    """What the table of refusals says about one: the reply with a `?`, and what that stands for in each."""
    answers = []
    for status in list(Status)[1:]:
        frames = handshake.encode_refusal(dialect, header.Header(1, 1, 0, 1), "R", status)
        answers.append("; ".join(in_words(dialect, frame, status) for frame in frames))
    head = common_start(answers)
    tail = common_start([answer[len(head) :][::-1] for answer in answers])[::-1]
    if head == answers[0]:
        return head, *5 * ["–"]
    return f"{head}?{tail}", *(answer[len(head) : len(answer) - len(tail)] for answer in answers)


def common_start(texts: list[str]) -> str:
    """What all of `texts` begin with."""
    same = takewhile(lambda column: len(set(column)) == 1, zip(*texts, strict=False))
    return "".join(column[0] for column in same)


def in_words(dialect: Dialect, frame: bytes, status: Status) -> str:
    """One frame of a refusal, in the few characters that a table's cell has."""
    if len(frame) == 1:
        return f"byte {frame.hex()}"
    if dialect.refused[0].state is None:
        return f"`{frame.decode()}`".replace(handshake.REASONS[status], "…")
    head, body = header.Header.parse_untrusted(frame[:32]), frame[32:]
    if not body:
        return f"state {head.state}, no body"
    room, payload = body[: head.room_size].decode(), body[head.room_size :]
    text = f"byte {payload[0]:02x}" if len(payload) == 1 else f"`{payload.decode()}`"
    return f"state {head.state}, {'R + ' if room else ''}{text.replace(handshake.REASONS[status], '…')}"


@ALL
def test_every_dialect_has_its_row_and_its_section(dialect: Dialect) -> None:
    wanted = profile_row(dialect)
    assert f"\n{wanted}\n" in DOCUMENT, f"PROTOCOL.md lacks:\n{wanted}"
    if dialect.down.ends_at:
        assert f"\n{row(f'`{dialect.name}`', code(dialect.down.ends_at))}\n" in DOCUMENT
    assert section(dialect.name)


def test_every_dialect_has_its_closing_words_and_refusals() -> None:
    wanted = shared_rows(closing_cells, lambda dialect: " *bare*" if dialect.notices_raw else "")
    for each in wanted + shared_rows(error_cells):
        assert f"\n{each}\n" in DOCUMENT, f"PROTOCOL.md lacks:\n{each}"


def test_no_table_has_a_row_of_a_dialect_that_is_not_there() -> None:
    tables = section("Dialects") + section("Errors")
    cells = re.findall(r"^\| (\[?`.+?) \|", tables, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)} == set(DIALECTS)
    assert set(re.findall(r"^### (\S+)$", DOCUMENT, re.MULTILINE)) == set(DIALECTS)


@pytest.mark.parametrize(("title", "codes"), [("operation", Operation), ("state", State), ("status", Status)])
def test_the_tables_of_codes_are_the_codes(title: str, codes: type[Operation | State | Status]) -> None:
    (table,) = re.findall(rf"^\| {title} \| meaning \|.*\n\|.*\n((?:\|.*\n)+)", section("Codes"), re.MULTILINE)
    assert [int(number) for number in re.findall(r"^\| (\d+) ", table, re.MULTILINE)] == sorted(codes)


def test_the_words_for_a_person_are_the_codes() -> None:
    for status, words in handshake.REASONS.items():
        assert re.search(rf"^\| {int(status)} \| .+ \| `{words}` \|$", section("Codes"), re.MULTILINE)


def test_every_command_and_every_word_of_the_server_is_there() -> None:
    for word, (usage, english, japanese) in phrases.HELP.items():
        who = "the host" if word in slash_commands.HOST_COMMANDS else "everyone"
        assert row(f"`{usage}`".replace("|", "\\|"), who, english, japanese) in section("Commands")
    for phrase in phrases.Phrase:
        assert row(f"`{phrase.code}`", *phrase.words) in section("Phrases")
    for _, *idle in phrases.IDLE:
        assert all(f"`{words}`" in section("Phrases") for words in idle)
    codes = re.findall(r"^\| `([a-z-]+)` \|", section("Phrases"), re.MULTILINE)
    assert codes == [phrase.code for phrase in phrases.Phrase]


def test_numbers_in_the_text_are_the_codes() -> None:
    assert f"| datagram up | {datagram.MAX_UP} bytes |" in DOCUMENT
    assert f"| datagram down | {downlink_encoder.MAX_DOWN} bytes |" in DOCUMENT
    assert f"| list in a `classic` join | {handshake.LIST_LIMIT} bytes |" in DOCUMENT
    assert f"| room name, user name | 1 to {names.MAX_NAME_SIZE} bytes |" in DOCUMENT
    assert f"**{names.TOKEN_SIZE} lower-case hexadecimal characters**" in DOCUMENT
    assert header.PROMISE_LIMIT == 2**29
    assert all(dialect.pause_s == (0.3 if dialect.name == "tcrp-200" else 0.02) for dialect in DIALECTS.values())


def test_every_link_leads_to_a_section() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", DOCUMENT, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", DOCUMENT)) <= anchors


def test_the_worked_example_costs_less_than_60_lines() -> None:
    (source,) = blocks("python")
    example = worked_example()
    mine = [block for block in blocks("bytes") if "nick" in block]
    assert len(source.splitlines()) + sum(len(block.splitlines()) for block in mine) < 60
    assert example.name not in DIALECTS
