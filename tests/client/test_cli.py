"""The command line: one line for what is wrong, 2 for what was typed, 1 for what could not be done."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from unicodedata import east_asian_width

import pytest
from click.testing import CliRunner

from client.cli import main
from scenarios.ports import steady_port
from tests.support import forked
from tests.support.waiting import PATIENCE_S
from tests.tsudoi.fake_server import FakeServer, Served
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS, TSUDOI

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [sys.executable, "-m", "client"]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("TSUDOI_"):
            monkeypatch.delenv(name)


def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Return (status, standard output, standard error)."""
    result = CliRunner(env=environment).invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["create"], "Missing argument 'ROOM'"),
        (["create", "den"], "say who you are: --name NAME"),
        (["fly"], "No such command 'fly'"),
        (["rooms", "--server", "a:b"], "'a:b' is not HOST[:TCP[:UDP]]"),
        (["rooms", "--server", "::1"], "is not HOST"),
        (["rooms", "--dialect", "klingon"], "'klingon' is not one of"),
        (["join", "den", "--name", "x", "--linger", "-1"], "-1"),
        (["scenario"], "name a scenario's file"),
        (["scenario", "/nowhere.yaml"], "does not exist"),
        (["scenario", "--server", "x:y", "."], "is not HOST"),
        (["scenario", "--dialect-port", "tcrp", "."], "is not DIALECT=PORT"),
        (["scenario", "--dialect-port", "x=1", "."], "is not DIALECT=PORT"),
    ],
)
def test_what_was_typed_wrong_is_one_line_and_status_2(arguments: list[str], wrong: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert wrong in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", [["create", "den", "--name", "x"], ["join", "den", "--name", "x"], ["rooms"]])
def test_an_unreachable_server_is_one_line_and_status_1(command: list[str]) -> None:
    port = steady_port()
    status, out, err = run(*command, "--server", f"127.0.0.1:{port}")
    assert (status, out) == (1, "")
    assert err == f"client: no server answers at 127.0.0.1:{port}:9002: connection refused\n"


def test_a_bad_name_is_one_line_and_status_2() -> None:
    status, _, err = run("create", "den", "--name", "a\nb")
    assert status == 2
    assert err == "client: user name has a character that names may not have: U+000A\n"


def test_no_command_shows_help() -> None:
    status, out, err = run()
    assert (status, err) == (2, "")
    assert "create" in out
    assert "scenario" in out


def test_settings_come_from_the_environment_too() -> None:
    status, _, err = run("rooms", TSUDOI_SERVER=f"127.0.0.1:{steady_port()}")
    assert status == 1
    assert "connection refused" in err
    assert run("rooms", TSUDOI_DIALECT="tcrp")[2] == "client: tcrp has no way to ask for the rooms\n"


def test_rooms_are_one_a_line_on_pipes() -> None:
    with Served(TSUDOI) as served:
        server = f"127.0.0.1:{served.fake.address.tcp}:{served.fake.address.udp}"
        assert run("rooms", "--server", server, "--dialect", "tsudoi") == (0, "", "")
        creator = client("create", "部屋 1", served.fake, "--linger", "5")
        try:
            while not served.fake.rooms:
                assert creator.poll() is None
            assert run("rooms", "--server", server, "--dialect", "tsudoi") == (0, "部屋 1\n", "")
        finally:
            creator.kill()
            creator.communicate()


def client(command: str, room: str, fake: FakeServer, *more: str, name: str = "alice") -> subprocess.Popen[str]:
    server = f"127.0.0.1:{fake.address.tcp}:{fake.address.udp}"
    return forked.Popen(
        [*PYTHON, command, room, "--name", name, "--server", server, "--dialect", fake.dialect.name, *more],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


@pytest.mark.parametrize("dialect", ["tsudoi", "tcrp"])
def test_lines_go_in_and_out(dialect: str) -> None:
    with Served(DIALECTS[dialect]) as served, client("create", "den", served.fake) as alice:
        assert alice.stdin is not None
        assert alice.stdout is not None
        assert alice.stderr is not None
        while not (served.fake.rooms and served.fake.rooms["den"].addresses):
            assert alice.poll() is None
        with client("join", "den", served.fake, "--linger", "0.1", name="ボブ") as bob:
            out, err = bob.communicate("こんにちは\n\n  two words\nlast", timeout=PATIENCE_S)
            assert (bob.returncode, out, err) == (0, "", "")
        assert [alice.stdout.readline() for _ in range(3)] == [
            "ボブ: こんにちは\n",
            "ボブ:   two words\n",
            "ボブ: last\n",
        ]
        alice.stdin.close()
        assert alice.wait(PATIENCE_S) == 0
        assert alice.stderr.read() == ""


def test_lines_are_read_in_the_encoding_in_which_they_are_written() -> None:
    with Served(TSUDOI) as served:
        server = f"127.0.0.1:{served.fake.address.tcp}:{served.fake.address.udp}"
        done = subprocess.run(
            [*PYTHON, "create", "den", "--name", "a", "--server", server, "--dialect", "tsudoi", "--linger", "0"],
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": "euc_jp"},
            input="こんにちは\n".encode("euc_jp"),
            capture_output=True,
            timeout=PATIENCE_S,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        served.hears("こんにちは".encode())


def test_a_word_that_would_leave_is_not_said() -> None:
    with Served(TSUDOI) as served, client("create", "den", served.fake, "--linger", "0") as alice:
        out, err = alice.communicate("/leave\n", timeout=PATIENCE_S)
        assert (alice.returncode, out) == (1, "")
        assert err == "not said: '/leave' is a command in the dialect tsudoi\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_the_room(number: signal.Signals, status: int) -> None:
    with Served(TSUDOI) as served, client("create", "den", served.fake) as alice:
        while not (served.fake.rooms and served.fake.rooms["den"].addresses):
            assert alice.poll() is None
        alice.send_signal(number)
        out, err = alice.communicate(timeout=PATIENCE_S)
        assert (alice.returncode, out, err.strip()) == (status, "", "")
        served.hears(b"/leave")


def test_a_refusal_is_one_line_and_status_1() -> None:
    with Served(CLASSIC) as served:
        server = f"127.0.0.1:{served.fake.address.tcp}:{served.fake.address.udp}"
        assert run("join", "den", "--name", "x", "--server", server, "--dialect", "classic") == (
            1,
            "",
            "client: there is no room called den: client create den makes one\n",
        )


def test_a_closed_room_ends_it() -> None:
    with Served(CLASSIC) as served, client("create", "den", served.fake) as alice:
        assert alice.stdin is not None
        while not (served.fake.rooms and served.fake.rooms["den"].addresses):
            assert alice.poll() is None
        served.tell(b"exit!")
        assert alice.wait(PATIENCE_S) == 0
        assert alice.stderr is not None
        assert alice.stderr.read() == "the room is closed (exit!)\n"


def test_the_language_of_scenarios_is_told() -> None:
    status, out, err = run("scenario", "--language")
    assert (status, err) == (0, "")
    assert "WHO hears nothing" in out


def test_a_bad_scenario_is_one_line_and_status_2(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("story: s\nsteps:\n  - alice flies\n", "utf-8")
    status, out, err = run("scenario", str(path))
    assert (status, out) == (2, "")
    assert err.startswith(f"client: {path}:3: 'alice flies' is no step")
    assert err.count("\n") == 1
    path.write_bytes(b"\xff")
    assert run("scenario", str(path))[0] == 2
    assert run("scenario", str(tmp_path / ".."), "--dialect-port", "tcrp=1")[0] == 2


def scenario(tmp_path: Path, steps: str, head: str = "") -> Path:
    path = tmp_path / "scene.yaml"
    path.write_text(f"story: A test\n{head}\nsteps:\n{steps}", "utf-8")
    return path


def test_a_scenario_is_acted_out_at_a_running_server(tmp_path: Path) -> None:
    path = scenario(
        tmp_path,
        "  - alice creates den\n  - bob joins den\n  - mallory cannot create den: room exists\n"
        "  - alice sees the rooms: den\n  - wait 50 ms\n  - alice says: hi\n  - bob hears: {alice: hi}\n"
        "  - bob hears nothing\n  - alice says 20 lines\n  - bob hears 20 lines from alice\n",
    )
    with Served(TSUDOI) as served:
        server = f"127.0.0.1:{served.fake.address.tcp}:{served.fake.address.udp}"
        status, out, err = run("scenario", "--server", server, str(path))
    assert (status, err) == (0, "")
    assert out.count("✓") == 10
    assert "1 passed in" in out


def test_a_scenario_that_fails_says_what_came_instead(tmp_path: Path) -> None:
    path = scenario(
        tmp_path,
        "  - alice creates den\n  - bob joins den\n  - wait 50 ms\n  - alice says: hi\n"
        "  - bob hears: {alice: hello}\n  - bob leaves\n",
    )
    with Served(TSUDOI) as served:
        server = f"127.0.0.1:{served.fake.address.tcp}:{served.fake.address.udp}"
        status, out, err = run("scenario", "--server", server, str(path))
    assert (status, err) == (1, "")
    lines = [line.strip() for line in out.splitlines()]
    assert "✗ bob hears: alice: hello  (line 8)" in lines
    assert "expected  bob: alice: hello" in lines
    assert "instead   alice: hi" in lines
    assert "1 more step not acted out" in lines
    assert lines[-1].startswith("1 failed") or "1 failed" in lines[-1]


@pytest.mark.parametrize(
    ("head", "steps", "why"),
    [
        ("needs: local", "  - wait 1 ms\n", "needs local processes"),
        ("", "  - alice creates den in tcrp\n", "needs a listener of their own for tcrp"),
    ],
)
def test_a_scenario_that_can_not_be_acted_out_there_is_skipped(tmp_path: Path, head: str, steps: str, why: str) -> None:
    status, out, _ = run("scenario", "--server", "127.0.0.1", str(scenario(tmp_path, steps, head)))
    assert status == 0
    assert why in out
    assert "1 skipped" in out


def test_a_step_that_needs_processes_fails_at_a_running_server(tmp_path: Path) -> None:
    status, out, _ = run("scenario", "--server", "127.0.0.1", str(scenario(tmp_path, "  - the broker is killed\n")))
    assert status == 1
    assert "this needs local processes: run it without --server" in out


def test_lines_that_begin_with_a_slash_may_be_said() -> None:
    with Served(TSUDOI) as served, client("create", "den", served.fake, "--linger", "0", "--no-commands") as alice:
        out, err = alice.communicate("/close\n／who\nhello\n", timeout=PATIENCE_S)
        assert (alice.returncode, out, err) == (0, "", "")
        served.hears(b"/leave")
        said = [each[2 + 3 + 32 :].decode() for each in served.fake.datagrams]
        assert [text for text in said if text] == ["//close", "／／who", "hello", "/leave"]


def test_a_long_line_that_can_not_be_split_is_refused_and_the_next_goes_on() -> None:
    with Served(TSUDOI) as served, client("create", "den", served.fake, "--linger", "0") as alice:
        out, err = alice.communicate("/r " + "x" * 3_000 + "\nhello\n", timeout=PATIENCE_S)
        assert (alice.returncode, out) == (1, "")
        assert err.startswith("not said: an answer by /r has at most ")
        served.hears(b"hello")
        assert not any(b"xxx" in each for each in served.fake.datagrams)


def test_a_room_that_is_there_or_not_is_told_with_the_command_that_helps() -> None:
    with Served(TSUDOI) as served, client("create", "my den", served.fake) as alice:
        while not served.fake.rooms:
            assert alice.poll() is None
        server = f"127.0.0.1:{served.fake.address.tcp}:{served.fake.address.udp}"
        where = ("--name", "x", "--server", server, "--dialect", "tsudoi")
        said = "there is a room called my den already: client join 'my den' enters it"
        assert run("create", "my den", *where) == (1, "", f"client: {said}\n")
        said = "my den というルームはもうあります。入るには: client join 'my den'"
        assert run("create", "my den", *where, "--language", "ja") == (1, "", f"client: {said}\n")
        said = "nowhere というルームはありません。作るには: client create nowhere"
        assert run("join", "nowhere", *where, LANG="ja_JP.UTF-8") == (1, "", f"client: {said}\n")
        alice.terminate()


def test_a_list_has_one_row_a_line_and_a_row_is_one_line() -> None:
    who: dict[str, object] = {
        "notice": "who",
        "count": 2,
        "page": 1,
        "pages": 1,
        "text": "Here: 2, page 1 of 1:\nalice (host)\nbob",
    }
    who["members"] = [{"name": "alice", "host": True, "idle": 0}, {"name": "bob", "host": False, "idle": 3}]
    past: dict[str, object] = {
        "notice": "history",
        "text": "Last 2 of den, times in UTC:\n00:00 bob: one\n23:59 eve: two\n00:01 bob: x",
    }
    past["messages"] = [
        {"n": 1, "from": "bob", "said": "one\n23:59 eve: two", "at": 0},
        {"n": 2, "from": "bob", "said": "x", "at": 60_000},
    ]
    rows = ["Last 2 of den, times in UTC:", "00:00 bob: one 23:59 eve: two", "00:01 bob: x"]
    for language, people in (
        ("en", ["Here: 2, page 1 of 1:", "alice (host)", "bob"]),
        ("ja", ["alice (ホスト)、0 秒発言なし", "bob、3 秒発言なし"]),
    ):
        with Served(TSUDOI) as served, client("create", "den", served.fake, "--language", language) as alice:
            while not (served.fake.rooms and served.fake.rooms["den"].addresses):
                assert alice.poll() is None
            served.tell(json.dumps(who).encode())
            served.tell(json.dumps(past).encode())
            assert alice.stderr is not None
            assert [alice.stderr.readline().rstrip("\n") for _ in (*people, *rows)] == [*people, *rows]
            alice.terminate()


def test_a_room_with_a_password_says_so_where_none_was_given() -> None:
    with Served(TSUDOI) as served, client("create", "den", served.fake, "--password", "moonlight") as alice:
        while not served.fake.rooms:
            assert alice.poll() is None
        server = f"127.0.0.1:{served.fake.address.tcp}:{served.fake.address.udp}"
        where = ("den", "--name", "x", "--server", server, "--dialect", "tsudoi")
        said = "den has a password: --ask-password asks for it, the variable TSUDOI_PASSWORD gives it"
        assert run("join", *where) == (1, "", f"client: {said}\n")
        said = "den にはパスワードが必要です: --ask-password か環境変数 TSUDOI_PASSWORD で指定してください"
        assert run("join", *where, "--language", "ja") == (1, "", f"client: {said}\n")
        assert run("join", *where, "--password", "sunlight") == (1, "", "client: wrong password for den\n")
        alice.terminate()


JAPANESE = re.compile("[ぁ-んァ-ヶ一-龠]")
COMMANDS = [(), ("create",), ("join",), ("rooms",)]


@pytest.mark.parametrize(
    ("command", "how"),
    [
        *((command, how) for command in COMMANDS for how in ("variable", "locale")),
        *((command, "flag") for command in COMMANDS[1:]),
    ],
)
def test_help_is_in_japanese_where_that_is_asked_for(
    command: tuple[str, ...], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    environment = {"variable": {"TSUDOI_CLIENT_LANGUAGE": "ja"}, "locale": {"LANG": "ja_JP.UTF-8"}}.get(how, {})
    status, out, err = run(*command, "--help", *(("--language", "ja") if how == "flag" else ()), **environment)
    assert (status, err) == (0, "")
    assert all(JAPANESE.search(part) for part in out.split("\n  --")), out
    assert not re.search(r"Usage|Options|env var|default|Show this", out)
    assert all(sum(2 if east_asian_width(char) in "WF" else 1 for char in line) <= 80 for line in out.split("\n"))
    assert not JAPANESE.search(run(*command, "--help")[1])


def test_what_was_typed_wrong_is_told_in_japanese_too() -> None:
    assert run("create", "den", "--language", "ja")[2].startswith("client: 名前を指定してください")
    assert "--tls と一緒に" in run("rooms", "--tls-ca", __file__, "--language", "ja")[2]
