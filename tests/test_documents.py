"""README.md and docs/settings.md, both in Japanese too, and the other pages: what they show is what there is."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import click
import pytest

from broker.admin import admin
from broker.cli import main as broker
from client.cli import main as client
from client.lines import notice_line
from client.net.terminal import HELP
from gateway.cli import main as gateway
from tsudoi.events import RoomClosed
from tsudoi.protocol.client.dialect import PortPlace
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.handshake import serialize_request
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.recognise import AUTO, recognise
from tsudoi.protocol.codes import Operation

ROOT = Path(__file__).resolve().parents[1]
README, IN_JAPANESE = "README.md", "README.ja.md"
READMES = (README, IN_JAPANESE)
SETTINGS = ("docs/settings.md", "docs/settings.ja.md")
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PROGRAMS: dict[str, click.Group] = {"gateway": gateway, "broker": broker, "client": client}
NONE = "–"

each_readme = pytest.mark.parametrize("name", READMES)
each_settings = pytest.mark.parametrize("name", SETTINGS)
both_languages = pytest.mark.parametrize("pages", [READMES, SETTINGS], ids=lambda pages: pages[0])


@cache
def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def blocks(name: str) -> list[tuple[str, str]]:
    """(language, content) of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


def prose(name: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page(name), flags=re.MULTILINE | re.DOTALL)


def headings(name: str) -> list[tuple[int, str]]:
    """(level, text) of each heading."""
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", prose(name), re.MULTILINE)]


def code(text: str) -> list[str]:
    """What stands between backquotes."""
    return re.findall(r"`([^`]+)`", text)


Table = list[list[str]]


@cache
def tables(name: str) -> list[Table]:
    """Each table's rows of cells, its heading first."""
    found = re.findall(r"(?:^\|.*\|\n)+", prose(name), re.MULTILINE)
    return [[[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()] for table in found]


# --- links ----------------------------------------------------------------------------------------------------------


def links(name: str) -> list[str]:
    """The targets of a page's links to other pages, and within itself."""
    targets = re.findall(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)", prose(name))
    return [target for target in targets if "://" not in target]


def anchors(name: str) -> set[str]:
    """What a page's headings are called in links."""
    texts = (re.sub(r"[^\w\- ]", "", text.lower()) for _, text in headings(name))
    return {text.replace(" ", "-") for text in texts}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for link in links(name):
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f"{name} links to {link}"
        if anchor:
            assert anchor in anchors(str(target.relative_to(ROOT))), f"{name} links to {link}"


@each_readme
def test_the_readme_leads_to_every_page_beside_it(name: str) -> None:
    other = {path.name for path in ROOT.glob("*.md") if path.name not in READMES} | {"LICENSE"}
    assert other <= {link.partition("#")[0] for link in links(name)}


# --- what is shown is what there is -----------------------------------------------------------------------------------


def shell_lines(name: str) -> list[str]:
    return [line for language, content in blocks(name) if language == "sh" for line in content.splitlines()]


@each_readme
def test_the_client_shown_is_the_client_tested(name: str) -> None:
    shown = [content for language, content in blocks(name) if language == "python"]
    assert shown == [page("docs/minimal_client.py")]


@each_readme
def test_the_chat_shown_has_the_words_of_today(name: str) -> None:
    (chat,) = (content for language, content in blocks(name) if language == "console")
    for person, greeting in (("alice", chat.splitlines()[1]), ("bob", "You are in den, bob.")):
        assert greeting in chat
        assert greeting.replace("den", "{room}", 1).replace(person, "{name}") in page("client/cli.py")
    assert chat.count(HELP) == 2
    assert notice_line(RoomClosed("ホストのaliceがルームを退出しました．"))[1:] in chat


@each_readme
def test_make_knows_the_targets_named(name: str) -> None:
    known = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
    in_words = re.findall(r"`make ([a-z-]+)", prose(name))
    named = {line.split()[1] for line in shell_lines(name) if line.startswith("make ")} | set(in_words)
    assert {"run", "test", "help"} <= named <= known


@each_readme
def test_programs_know_the_flags_and_commands_shown(name: str) -> None:
    shown = 0
    for line in shell_lines(name):
        found = re.search(r"python -m (\w+) ?(\w*)", line) or re.search(r"(make) run", line)
        if found is None:
            continue
        program = PROGRAMS["gateway" if found[1] == "make" else found[1]]
        assert set(re.findall(r"--[a-z-]+", line)) <= set(options(program)), line
        if program is client:
            assert found[2] in client.commands, line
        shown += 1
    assert shown > 5


@each_readme
def test_the_tree_is_what_there_is(name: str) -> None:
    (tree,) = (content for language, content in blocks(name) if not language)
    listed = re.findall(r"^([a-z]+)/ ", tree, re.MULTILINE)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert set(listed) == packages | {"docs", "tests"}


@each_readme
def test_compose_has_the_ports_named(name: str) -> None:
    compose = page("docker-compose.yml")
    (table,) = (table for table in tables(name) if table[2][0] == "`gateway1`")
    assert [row[0] for row in table[2:]] == ["`gateway1`", "`gateway2`", "`broker`"]
    for container, tcp, udp, _ in table[2:]:
        assert re.search(rf"^  {code(container)[0]}:$", compose, re.MULTILINE)
        for cell, kind in ((tcp, "tcp"), (udp, "udp")):
            if cell != NONE:
                (port,) = re.findall(r"^\d+", cell)
                assert re.search(rf"\$\{{{code(cell)[0]}:-{port}\}}:\d+/{kind}\b", compose), cell


@each_readme
def test_every_dialect_is_listed_with_its_door(name: str) -> None:
    (table,) = (table for table in tables(name) if table[2][0] == "`tsudoi`")
    assert Counter(code(row[0])[0] for row in table[2:]) == Counter(list(DIALECTS))
    for (dialect,), door in ((code(row[0]), row[2]) for row in table[2:]):
        recognised = {is_recognised(dialect, operation) for operation in (Operation.CREATE, Operation.JOIN)}
        if recognised == {True}:
            assert door == f"`{AUTO}`"
        else:
            assert code(door) == [AUTO] * (True in recognised), dialect


def is_recognised(name: str, operation: Operation) -> bool:
    """Whether an `auto` door tells a dialect by its first request."""
    dialect = DIALECTS[name]
    request = serialize_request(dialect, operation, "den", "alice", None, 50000)
    header = Header.parse_untrusted(request[:HEADER_SIZE])
    return recognise(header, request[HEADER_SIZE:], listed_before=dialect.port is PortPlace.PAYLOAD_END) is dialect


# --- settings -------------------------------------------------------------------------------------------------------


def options(command: click.Command) -> dict[str, tuple[str, str]]:
    """Each flag that a program's --help shows, its commands' too: (variable, default) as the tables have them."""
    context = click.Context(command, **command.context_settings)
    found: dict[str, tuple[str, str]] = {}
    for each in [*getattr(command, "commands", {}).values(), command]:
        for option in each.params:
            if isinstance(option, click.Option) and not option.hidden:
                extra = option.get_help_extra(context)
                variable, default = "".join(extra.get("envvars", ())), extra.get("default", "")
                before = found.get(option.opts[0], (NONE, NONE))
                found[option.opts[0]] = (variable or before[0], plain(default) or before[1])
    return found


def plain(default: str) -> str:
    """A default as people write it."""
    return default.removesuffix(".0").strip('"')


@each_settings
def test_every_flag_is_in_the_table_of_its_program(name: str) -> None:
    settings = [table for table in tables(name) if table[2][0].startswith("`--")]
    assert len(settings) == len(PROGRAMS)
    for table, program in zip(settings, PROGRAMS.values(), strict=True):
        told = {code(row[0])[0]: ((code(row[1]) or [NONE])[0], (code(row[2]) or [NONE])[0]) for row in table[2:]}
        assert told == options(program)


@each_settings
def test_every_order_is_in_the_operators_table(name: str) -> None:
    (table,) = (table for table in tables(name) if table[2][0] == "`rooms`")
    told = {code(row[0])[0]: set(code(row[1])) for row in table[2:]}
    assert told == {
        order: {option.opts[0] for option in command.params if isinstance(option, click.Option)}
        for order, command in admin.commands.items()
    }


# --- the two languages ----------------------------------------------------------------------------------------------


@both_languages
def test_both_languages_have_the_same_headings(pages: tuple[str, str]) -> None:
    levels = [[level for level, _ in headings(name)] for name in pages]
    assert levels[0] == levels[1]


@both_languages
def test_both_languages_show_the_same_blocks(pages: tuple[str, str]) -> None:
    assert blocks(pages[0]) == blocks(pages[1])


@both_languages
def test_both_languages_have_the_same_tables(pages: tuple[str, str]) -> None:
    told = [[[[sorted(code(cell)) for cell in row] for row in table] for table in tables(name)] for name in pages]
    assert told[0] == told[1]


@both_languages
def test_both_languages_name_the_same_things(pages: tuple[str, str]) -> None:
    assert Counter(code(prose(pages[0]))) == Counter(code(prose(pages[1])))
    targets = [Counter(link.replace(".ja.md", ".md") for link in links(name)) for name in pages]
    assert targets[0] == targets[1]


@both_languages
def test_both_languages_have_the_same_lists(pages: tuple[str, str]) -> None:
    sections = [re.split(r"^#+ ", prose(name), flags=re.MULTILINE) for name in pages]
    items = [[len(re.findall(r"^- ", section, re.MULTILINE)) for section in each] for each in sections]
    assert items[0] == items[1]
