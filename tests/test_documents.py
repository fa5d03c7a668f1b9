"""Check the documents: the commands, tables and pictures that they show agree with the code, in both languages."""

import html
import re
from collections import Counter
from functools import cache
from pathlib import Path

import click
import pytest

from broker.admin.cli import admin
from broker.cli import main as broker
from client import words
from client.cli import main as client
from gateway.cli import main as gateway
from tsudoi.protocol.client.dialect import PortPlace
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.handshake import serialize_request
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.recognise import AUTO, recognise
from tsudoi.protocol.codes import Operation

ROOT = Path(__file__).resolve().parents[1]
README, IN_JAPANESE = "README.md", "README.ja.md"
READMES = (README, IN_JAPANESE)
CLIENTS = ("docs/clients.md", "docs/clients.ja.md")
SETTINGS = ("docs/settings.md", "docs/settings.ja.md")
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PROGRAMS: dict[str, click.Group] = {"gateway": gateway, "broker": broker, "client": client}
NONE = "–"

each_readme = pytest.mark.parametrize("name", READMES)
each_clients = pytest.mark.parametrize("name", CLIENTS)
each_settings = pytest.mark.parametrize("name", SETTINGS)
both_languages = pytest.mark.parametrize("pages", [READMES, CLIENTS, SETTINGS], ids=lambda pages: pages[0])


@cache
def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def blocks(name: str) -> list[tuple[str, str]]:
    """(language, content) of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


def prose(name: str) -> str:
    """Return the page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page(name), flags=re.MULTILINE | re.DOTALL)


def headings(name: str) -> list[tuple[int, str]]:
    """(level, text) of each heading."""
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", prose(name), re.MULTILINE)]


def code(text: str) -> list[str]:
    """Return the texts between backquotes."""
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
    """Return the names that links use for a page's headings."""
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


@each_clients
def test_the_client_shown_is_the_client_tested(name: str) -> None:
    shown = [content for language, content in blocks(name) if language == "python"]
    # The second one, by WebSocket, is run by tests/integration/test_web.py.
    assert shown[0] == page("docs/minimal_client.py")
    assert len(shown) == 2


def test_the_picture_shows_the_words_of_today() -> None:
    """Draw it again with docs/images/make.py when this fails."""
    svg = page("docs/images/chat.svg")
    screen = html.unescape(re.sub(r"<[^>]+>", "", svg)).replace("\xa0", " ")
    assert words.INSIDE.text("en", room="den", name="bob") in screen
    assert screen.count(f" F1 {words.KEY_HELP.text('en')}") == 2
    assert screen.count("ready tcp 127.0.0.1:9001 udp 127.0.0.1:9002") == 2
    assert "url(http" not in svg, "the picture loads something from elsewhere"


@each_readme
def test_make_knows_the_targets_named(name: str) -> None:
    known = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
    in_words = re.findall(r"`make ([a-z-]+)", prose(name))
    named = {line.split()[1] for line in shell_lines(name) if line.startswith("make ")} | set(in_words)
    assert {"run", "test", "help"} <= named <= known


@pytest.mark.parametrize("name", PAGES)
def test_programs_know_the_flags_and_commands_shown(name: str) -> None:
    shown = 0
    for line in shell_lines(name):
        found = re.search(r"python -m (gateway|broker|client)\b ?(\w*)", line) or re.search(r"(make) run", line)
        if found is None:
            continue
        program = PROGRAMS["gateway" if found[1] == "make" else found[1]]
        assert set(re.findall(r"--[a-z-]+", line)) <= options(program), line
        if program is client:
            assert found[2] in subcommands(client), line
        shown += 1
    assert shown > 5 or name not in READMES


def test_the_tree_is_what_there_is() -> None:
    (tree,) = (content for language, content in blocks("ARCHITECTURE.md") if language == "tree")
    listed, folder = set(), ""
    for indent, paths in re.findall(r"^( *)(\S+(?: \S+)*)", tree, re.MULTILINE):
        for path in re.findall(r"(?<!\S)(?:[a-z]+/)+(?!\S)", paths):
            folder = folder if indent else path
            listed.add(f"{folder}{path}" if indent else path)
    assert {path for path in listed if not (ROOT / path).is_dir()} == set()
    assert {f"{path.parent.name}/" for path in ROOT.glob("*/__init__.py")} <= listed


@pytest.mark.parametrize("name", PAGES)
def test_the_files_named_are_there(name: str) -> None:
    """Paths between backquotes from the top of the tree; in ARCHITECTURE.md the names of files beside these, too."""
    named = re.findall(r"`((?:tsudoi|gateway|broker|client|scenarios|tests|docs|benchmarks)/[\w./]+\.\w+)`", page(name))
    assert {path for path in named if "NAME" not in path and not (ROOT / path).exists()} == set()
    if name == "ARCHITECTURE.md":
        short = {Path(path).name for path in re.findall(r"`([\w/]+\.py)`", page(name))}
        programs = ("tsudoi", "gateway", "broker", "client", "tests")
        assert short <= {path.name for program in programs for path in (ROOT / program).rglob("*.py")}


def test_compose_has_the_ports_named() -> None:
    compose = page("docker-compose.yml")
    (table,) = (table for table in tables("docs/operations.md") if table[2][0] == "`gateway1`")
    assert [row[0] for row in table[2:]] == ["`gateway1`", "`gateway2`", "`broker`"]
    for container, tcp, udp, web, _ in table[2:]:
        assert re.search(rf"^  {code(container)[0]}:$", compose, re.MULTILINE)
        for cell, kind in ((tcp, "tcp"), (udp, "udp"), (web, "tcp")):
            if cell != NONE:
                (port,) = re.findall(r"^\d+", cell)
                assert re.search(rf"\$\{{{code(cell)[0]}:-{port}\}}:\d+/{kind}\b", compose), cell


@each_clients
def test_every_dialect_is_listed_with_its_listener(name: str) -> None:
    (table,) = (table for table in tables(name) if table[2][0] == "`tsudoi`")
    assert Counter(code(row[0])[0] for row in table[2:]) == Counter(list(DIALECTS))
    for (dialect,), listener in ((code(row[0]), row[2]) for row in table[2:]):
        recognised = {is_recognised(dialect, operation) for operation in (Operation.CREATE, Operation.JOIN)}
        if recognised == {True}:
            assert listener == f"`{AUTO}`"
        else:
            assert code(listener) == [AUTO] * (True in recognised), dialect


def is_recognised(name: str, operation: Operation) -> bool:
    """Return whether an `auto` listener recognises a dialect by its first request."""
    dialect = DIALECTS[name]
    request = serialize_request(dialect, operation, "den", "alice", None, 50000)
    header = Header.parse_untrusted(request[:HEADER_SIZE])
    listed_before = dialect.port is PortPlace.PAYLOAD_END
    return recognise(header, request[HEADER_SIZE:], listed_before).dialect is dialect


# --- settings -------------------------------------------------------------------------------------------------------


def subcommands(command: click.Command) -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {}
    context = click.Context(command)
    found = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return {name: each for name, each in found.items() if each is not None}


def options(command: click.Command) -> set[str]:
    """Each flag that a program's --help shows, its commands' too."""
    each = [*subcommands(command).values(), command]
    each += [inner for one in each[:-1] for inner in subcommands(one).values()]
    return {option.opts[0] for one in each for option in one.params if isinstance(option, click.Option)}


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
