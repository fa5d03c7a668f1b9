"""broker/config.py and broker/cli.py: what can be set, and how mistakes are told."""

import contextlib
import itertools
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import cli
from broker.config import Config, admin_beside, parse_admin
from broker.keys import key_folder
from broker.store.place import Database, parse_store
from tsudoi.protocol.backbone import parse_to_bind
from tsudoi.protocol.errors import SettingError


@pytest.mark.parametrize(
    "text",
    [
        "tcp://127.0.0.1:9003",
        "tcp://0.0.0.0:0",
        "tcp://[::]:65534",
        "tcp://*:9003",
        "tcp://broker.example:9003",
        "ipc:///run/tsudoi/broker",
        "ipc://" + "x" * 90,
    ],
)
def test_endpoints_are_taken_as_they_come(text: str) -> None:
    assert parse_to_bind(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "tcp", "tcp://", "tcp://:9003", "tcp://host", "tcp://host:", "tcp://host:port", "tcp://host:-1"),
        *("tcp://host:²", "tcp://host:٣", "tcp://host:" + "9" * 5_000, "tcp://host:65535", "tcp://host: 9003"),
        *("ipc://", "unix://", "ipc://" + "x" * 95, "udp://host:9003", "127.0.0.1:9003", "9003"),
    ],
)
def test_anything_else_is_a_setting_error(text: str) -> None:
    with pytest.raises(SettingError, match=r"tcp://HOST:PORT|too long|no port for the news"):
        parse_to_bind(text)


def test_stores_are_memory_or_a_file_or_a_database() -> None:
    assert parse_store("memory") is None
    assert parse_store("sqlite:data/t.sqlite") == Path("data/t.sqlite")
    assert parse_store("sqlite:C:/t.sqlite") == Path("C:/t.sqlite")
    url = "postgresql://me@db1,db2:5433/chat?sslmode=verify-full"
    assert parse_store(url) == Database(url)
    assert str(parse_store(url)) == "postgresql://db1,db2:5433/chat"
    assert str(parse_store("postgresql://me@db1,[::1]:5433/chat")) == "postgresql://db1,[::1]:5433/chat"


@pytest.mark.parametrize("url", ["postgresql://me:moon@db/chat", "postgres://db/chat?password=moon"])
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingError, match="PGPASSWORD or PGPASSFILE") as refused:
        parse_store(url)
    assert "moon" not in str(refused.value)


def test_a_url_without_a_database_is_refused() -> None:
    with pytest.raises(SettingError, match="names no database"):
        parse_store("postgresql://me@db")


@pytest.mark.parametrize("port", ["99999", "abc"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(SettingError, match=f"b:{port} has no port of 0 to 65535 behind the colon"):
        parse_store(f"postgresql://me@a:5432,b:{port}/chat")


@pytest.mark.parametrize("text", ["", "sqlite", "sqlite:", "sqlite:a\0b", "redis:host", "Memory", ":memory:"])
def test_other_stores_are_setting_errors(text: str) -> None:
    with pytest.raises(SettingError, match="none of memory, sqlite:PATH and postgresql://"):
        parse_store(text)


@given(st.text(max_size=30))
def test_no_text_raises_anything_else(text: str) -> None:
    for parse in (parse_to_bind, parse_store):
        with contextlib.suppress(SettingError):
            parse(text)


LONG = "x" * 300
"""No path may be so long: what asks for it fails, and not because nothing is there."""


# --- the command line ---------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command line; return its exit status and what it wrote to stderr."""
    monkeypatch.setattr(sys, "argv", ["broker", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capfd.readouterr().err


@pytest.mark.parametrize("group", ["admin", "keys"])
def test_a_command_of_several_lists_them(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], group: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["broker", group])
    with pytest.raises(SystemExit) as ended:
        cli.main(prog_name="python -m broker")
    assert ended.value.code == 2
    assert capfd.readouterr().out.startswith(f"Usage: python -m broker {group} ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bind", "nonsense"], "Invalid value for '--bind'"),
        (["--bind", "tcp://127.0.0.1:²"], "Invalid value for '--bind'"),
        (["--store", "nonsense"], "Invalid value for '--store'"),
        (["--durability", "some"], "Invalid value for '--durability'"),
        (["--log-entries", "0"], "Invalid value for '--log-entries'"),
        (["--log-entries", "9" * 30], "Invalid value for '--log-entries'"),
        (["--log-age", "0.5"], "Invalid value for '--log-age'"),
        (["--log-age", "nan"], "Invalid value for '--log-age'"),
        (["--log-age", "inf"], "Invalid value for '--log-age'"),
        (["--news-high-water", "0"], "Invalid value for '--news-high-water'"),
        (["--log-level", "loud"], "Invalid value for '--log-level'"),
        (["--nonsense"], "No such option"),
        (["nonsense"], "No such command"),
        (["ping", "--timeout", "nan"], "Invalid value for '--timeout'"),
        (["ping", "--bind", "nonsense"], "Invalid value for '--bind'"),
        (["--store", "sqlite:/dev/null/below"], "can not open the store /dev/null/below"),
        (
            ["--insecure", "--store", "memory", "--bind", "tcp://192.0.2.1:9003"],
            "can not listen on tcp://192.0.2.1:9003",
        ),
        (
            ["--keys", "/dev/null/k", "--bind", "tcp://0.0.0.0:9003"],
            "--keys names a folder without keys, /dev/null/k: make them",
        ),
        (["--keys", "/dev/null/k"], "--keys names a folder without keys, /dev/null/k: make them"),
        (["--keys", "/dev/null/k", "keys", "add", "a"], "can not write /dev/null"),
        (["--keys", "/dev/null/k", "keys", "add", "../a"], "'../a' is no name"),
        (["--keys", "/dev/null/k", "keys", "remove", "a"], "there is no gateway a in /dev/null/k"),
        (["--keys", LONG, "--check-config"], f"can not look for {LONG}/broker.key: File name too long"),
        (["--keys", LONG, "keys", "list"], f"can not read {LONG}/gateways: File name too long"),
        (["--keys", LONG, "keys", "add", "a"], f"can not look for {LONG}/broker.key: File name too long"),
        (["--keys", LONG, "keys", "remove", "a"], f"can not remove {LONG}/gateways/a.pub: File name too long"),
        (["keys", "add", "a", "--keep", "--out", LONG], f"can not look for {LONG}: File name too long"),
        (["--store", f"sqlite:{LONG}", "backup", "copy"], f"can not copy {LONG} to copy: File name too long"),
        (["--store", f"sqlite:{__file__}", "backup", LONG], f"can not copy {__file__} to {LONG}: File name too long"),
        (["--store", "sqlite:/"], "Invalid value for '--store': store 'sqlite:/' names a folder, and no file"),
        (["--store", "sqlite:."], "Invalid value for '--store': store 'sqlite:.' names a folder, and no file"),
        (["--store", "sqlite:.."], "can not open the store ..:"),
        (["--store", "memory", "--bind", "ipc:///dev/null/below"], "can not listen on ipc:///dev/null/below"),
        (["--store", "memory", "--bind", "inproc://x"], "--bind inproc://x: no gateway reaches it"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    status, stderr = run(monkeypatch, capfd, *arguments)
    assert status == 2
    assert stderr.startswith(f"broker: {words}")
    assert stderr.count("\n") == 1


def test_a_gateways_own_broker_does_not_pass_over_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tsudoi.toml").write_text('[broker]\nstore = "postgresql://me@db/rooms"\n')
    monkeypatch.chdir(tmp_path)
    own = ("--exit-with-parent", "--bind", "ipc://b", "--store", f"sqlite:{tmp_path}/a", "--check-config")
    words = "a gateway without --broker keeps its rooms in its --data; for a database start `python -m broker`"
    status, stderr = run(monkeypatch, capfd, *own, "--config", str(tmp_path / "tsudoi.toml"))
    assert (status, stderr.count("\n")) == (2, 1)
    assert stderr.startswith(f"broker: [broker] store: {words}")
    monkeypatch.setenv("TSUDOI_STORE", "postgresql://me@db/rooms")
    status, stderr = run(monkeypatch, capfd, *own)
    assert (status, stderr.count("\n")) == (2, 1)
    assert stderr.startswith(f"broker: TSUDOI_STORE: {words}")
    # Of `identify`, which keeps nothing.
    assert run(monkeypatch, capfd, *own, "--store", "memory") == (0, "")


def test_what_a_gateways_own_broker_does_not_use_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unused(*arguments: str) -> tuple[tuple[str, str], ...]:
        return cli.configure(cli.main.make_context("broker", list(arguments))).unused

    monkeypatch.chdir(tmp_path)
    own = ("--log-level", "warning", "--bind", "inproc://b", "--store", "sqlite:data/a")
    monkeypatch.setenv("TSUDOI_LOG_LEVEL", "debug")  # it is the gateway's, too
    monkeypatch.setenv("TSUDOI_STORE", f"sqlite:{tmp_path}/data/a")
    assert unused(*own) == ()
    monkeypatch.setenv("TSUDOI_STORE", f"sqlite:{tmp_path}/data/b")
    monkeypatch.setenv("TSUDOI_BIND", "tcp://127.0.0.1:9003")
    (tmp_path / "t.toml").write_text('[broker]\nstore = "memory"\nlog-level = "info"\nrooms = 7\n')
    store = "--store sqlite:data/a"
    assert unused(*own, "--config", "t.toml") == (
        ("TSUDOI_BIND", "--bind inproc://b"),
        ("TSUDOI_STORE", store),
        ("[broker] store", store),
        ("[broker] log-level", "--log-level warning"),
    )
    assert unused("--insecure", "--bind", "tcp://127.0.0.1:9003") == ()


@pytest.mark.parametrize("store", ["memory", "sqlite:a"])
def test_no_file_is_taken_for_a_synchronous_standby(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], store: str
) -> None:
    status, stderr = run(monkeypatch, capfd, "--store", store, "--require-synchronous", "--check-config")
    assert (status, stderr.count("\n")) == (2, 1)
    assert stderr.startswith("broker: --require-synchronous is for a database: ")


def test_settings_about_the_standby_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = ("--require-synchronous", "--allow-asynchronous")
    status, stderr = run(monkeypatch, capfd, "--store", "postgresql://a@b/c", *flags, "--check-config")
    assert (status, stderr) == (2, f"broker: {flags[0]} and {flags[1]} contradict each other: give one\n")


def test_keys_that_should_be_there_are_not_done_without(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    status, stderr = run(monkeypatch, capfd, "--bind", "tcp://0.0.0.0:9003", "--check-config")
    assert (status, stderr.count("\n")) == (2, 1)
    assert "is open to other machines, and there are no keys, data/keys: make them with" in stderr
    (tmp_path / "data/keys/gateways").mkdir(parents=True)
    for arguments in ([], ["--keys", "data/keys"]):
        status, stderr = run(monkeypatch, capfd, *arguments, "--check-config")
        assert (status, stderr.count("\n")) == (2, 1)
        assert stderr.startswith("broker: data/keys has a place for others' keys and not the broker's own")
    for arguments in (["--insecure"], ["--bind", "ipc://b"]):
        assert run(monkeypatch, capfd, *arguments, "--keys", "typo", "--check-config") == (0, "")


def test_keys_are_found_or_needed(tmp_path: Path) -> None:
    here, there = "tcp://127.0.0.1:9003", "tcp://0.0.0.0:9003"
    assert key_folder.choose(here, tmp_path, given=False) is None
    (tmp_path / key_folder.OWN).touch()
    for bind, is_given in itertools.product((here, there), (False, True)):
        assert key_folder.choose(bind, tmp_path, is_given) == tmp_path


def test_a_mistake_in_the_environment_is_told_likewise(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TSUDOI_STORE", "nonsense")
    status, stderr = run(monkeypatch, capfd)
    assert (status, stderr.count("\n")) == (2, 1)
    assert "'nonsense' is none of memory, sqlite:PATH and postgresql://USER@HOST/DATABASE" in stderr


def test_ping_says_that_nobody_answers(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    status, stderr = run(monkeypatch, capfd, "--bind", "ipc:///nowhere", "ping", "--timeout", "0.1")
    assert (status, stderr) == (1, "broker: no answer from ipc:///nowhere within 0.1 s\n")


def test_ping_says_where_it_has_looked(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(cli, "ping", lambda *_: False)
    monkeypatch.chdir(tmp_path)
    status, stderr = run(monkeypatch, capfd, "ping", "--timeout", "0.1")
    assert status == 1
    assert stderr == (
        "broker: no answer from tcp://127.0.0.1:9003 within 0.1 s, and no broker runs at ipc://data/tsudoi.sqlite.admin:"
        " name the service's --store, or --bind ENDPOINT\n"
    )


def test_operators_connect_beside_the_store_if_its_path_is_short_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert admin_beside(None) is None
    assert admin_beside(Path("data/tsudoi.sqlite")) == "ipc://data/tsudoi.sqlite.admin"
    deep = tmp_path / "d" / ("x" * 90)
    assert admin_beside(deep) == f"ipc://d/{'x' * 90}.admin"
    assert admin_beside(tmp_path / ("x" * 110)) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--admin", "none"], "--admin none: name where the broker listens for operators, --admin ENDPOINT"),
        (["--store", "memory"], "name the broker's --store, or where it listens for operators: --admin ENDPOINT"),
        (
            ["--store", f"sqlite:/{'x' * 110}"],
            "has too long a path for a socket beside it: give the broker, and this, ",
        ),
    ],
)
def test_an_operator_is_told_why_there_is_no_endpoint(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    status, stderr = run(monkeypatch, capfd, *arguments, "admin", "rooms")
    assert (status, stderr.count("\n")) == (2, 1)
    assert words in stderr


def test_where_operators_connect_is_an_endpoint_or_none() -> None:
    assert parse_admin("none") == "none"
    assert Config(admin_given="none").admin is None
    assert Config(store=None).admin is None
    assert Config().admin == "ipc://data/tsudoi.sqlite.admin"
    with pytest.raises(SettingError, match="is not tcp://HOST:PORT or ipc://PATH"):
        parse_admin("unix:///run/tsudoi/admin")
    assert parse_admin("ipc:///run/tsudoi/admin") == "ipc:///run/tsudoi/admin"
    with pytest.raises(SettingError):
        parse_admin("here")
