"""What users do with every program: one line says what is wrong, never a traceback."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.compare import main as compare
from broker.cli import main as broker
from client.cli import main as client
from gateway.cli import main as gateway
from tests.support import forked
from tests.test_documents import ROOT

if sys.platform == "win32":
    pytest.skip("other streams", allow_module_level=True)

ODD = "caf\udce9"
"""How Python reads an argument in Latin-1."""
PATIENCE_S = 60.0
GATEWAY = ("-m", "gateway", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0")
BROKER = ("-m", "broker", "--bind", "tcp://127.0.0.1:0")
CLIENT = ("-m", "client", "join", "den", "--server", "127.0.0.1:1")


@dataclass(frozen=True, slots=True)
class Row:
    """A command line, and the line that it ends with. {folder} and {file} stand for paths."""

    arguments: tuple[str, ...]
    says: str
    status: int = 2
    env: Mapping[str, str] = field(default_factory=dict)


NOT_UTF8 = (
    Row((*GATEWAY, "--data", ODD), "gateway: the value of --data is not UTF-8: "),
    Row(GATEWAY, "gateway: the value of TSUDOI_AUTH_KEY is not UTF-8: ", env={"TSUDOI_AUTH_KEY": ODD}),
    Row(("-m", "scenarios", ODD), r"scenario: caf\xe9 is not UTF-8: "),
    Row(("-m", "tsudoi", "chat", "join", ODD), r"client: caf\xe9 is not UTF-8: "),
    Row(("-m", "tsudoi", ODD), "tsudoi: there is no program 'caf"),
    Row(("-m", "benchmarks", "--only", ODD), "benchmarks: the value of --only is not UTF-8: "),
    Row(("docs/issue_token.py", "{file}", ODD), "issue_token: write names in UTF-8", 1),
    Row(("-m", "gateway.process.ask_health"), "no answer from ", 1, {"TSUDOI_HTTP": ODD}),
)
IN_PROCESS = (
    Row((*GATEWAY, "--log-entries", "5"), "gateway: --log-entries is the broker's: a broker inside has it by TSUDOI_"),
    Row((*GATEWAY, "--store", "memory"), "gateway: --store is the broker's: without --broker rooms are in --data; "),
    Row((*GATEWAY, "--inherite"), "gateway: No such option '--inherite'. (Did you mean one of: '--insecure', "),
    Row(("-m", "client", "--server", "x", "rooms"), "client: No such option '--server'. It stands behind the command."),
    Row((*BROKER, "ping", "--store", "x"), "broker: No such option '--store'. It stands before the command."),
    Row((*GATEWAY, "--workers", "x"), "gateway: Invalid value for '--workers': 'x' is not a valid whole number."),
    Row(("-m", "client", "scenario", ODD), r"client: caf\xe9 is not UTF-8: "),
    Row((*GATEWAY, f"--name={ODD}"), "gateway: the value of --name is not UTF-8: "),
    Row((*CLIENT, "--name", ODD), "client: the value of --name is not UTF-8: "),
    Row(("-m", "broker", "admin", "room", ODD), r"broker: caf\xe9 is not UTF-8: "),
    Row((*BROKER, "--persistent", ODD), "broker: the value of --persistent is not UTF-8: "),
    Row(("-m", "broker", "admin", "remove", "den", ODD), r"broker: caf\xe9 is not UTF-8: "),
    Row(("-m", "broker", "admin", "announce", ODD), r"broker: caf\xe9 is not UTF-8: "),
    Row(("-m", "broker", "keys", "add", ODD), r"broker: caf\xe9 is not UTF-8: "),
    Row(("-m", "broker", "backup", ODD), r"broker: caf\xe9 is not UTF-8: "),
    Row((*CLIENT, "--name", "x", "--password", ODD), "client: the value of --password is not UTF-8: "),
    Row((*CLIENT, "--name", "x", f"--signed-token={ODD}"), "client: the value of --signed-token is not UTF-8: "),
    Row(("-m", "benchmarks.compare", "--against", ODD), "compare: the value of --against is not UTF-8: "),
    Row((*GATEWAY, "--config", "{folder}"), "gateway: can not read {folder}: Is a directory"),
    Row((*GATEWAY, "--data", "{file}"), "gateway: Invalid value for '--data': "),
    Row((*BROKER, "--store", "sqlite:{folder}"), "broker: can not open the store {folder}: it is a folder"),
    Row((*BROKER, "--store", "memory", "--keys", "{folder}"), "broker: --keys names a folder without keys, {folder}: "),
    Row(("-m", "broker", "--keys", "{file}", "keys", "add", "g"), "broker: Invalid value for '--keys': "),
    Row(("-m", "broker", "--keys", "{folder}", "keys", "add", "g", "--out", "{folder}/no/x"), "broker: can not write "),
    Row(("-m", "broker", "--store", "sqlite:{folder}/no", "backup", "{folder}/b"), "broker: there is no store "),
    Row(("-m", "broker", "--store", "sqlite:{folder}/a\nb", "admin", "rooms"), "broker: no broker answers at ", 1),
    Row(("-m", "broker", "admin", "announce", "x" * 3_000), "broker: a name or a text is too long (", 1),
    Row((*CLIENT, "--name", "x", "--tls", "--tls-ca", "{folder}"), "client: Invalid value for '--tls-ca': "),
    Row(("-m", "client", "scenario", "{folder}"), "client: there is no scenario (*.yaml) in {folder}"),
)
PATHS = (
    Row((*GATEWAY, "--auth-key", "{folder}/none"), "gateway: can not read the key file {folder}/none: "),
    Row((*GATEWAY, "--data", "{file}/x"), "gateway: can not open the store {file}/x/tsudoi.sqlite: "),
    Row((*CLIENT, "--name", "x", "--tls", "--tls-ca", "{file}"), "client: Invalid value for '--tls-ca': there are "),
    Row(("docs/issue_token.py", "{folder}", "alice"), "issue_token: {folder}: Is a directory", 1),
    Row(("docs/issue_token.py", "{file}", "alice"), "issue_token: {file} has 0 bytes, a secret at least 32 ", 1),
)
CLOSED_INPUT = (
    Row(CLIENT, "client: the value of TSUDOI_PASSWORD is not UTF-8: ", env={"TSUDOI_PASSWORD": ODD}),
    Row((*CLIENT, "--name", "x", "--ask-password"), "client: --ask-password needs a terminal; "),
    Row(CLIENT, "client: say who you are: --name NAME "),
)


def environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **more}


def run(
    arguments: tuple[str, ...],
    env: Mapping[str, str] | None = None,
    before: Callable[[], object] | None = None,
    start: Callable[..., "subprocess.CompletedProcess[str]"] = forked.run,
) -> "subprocess.CompletedProcess[str]":
    """Run a program in a session of its own, so without a terminal; `before` is called in it."""
    return start(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        start_new_session=True,
        preexec_fn=before,
    )


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch(mode=0o600)
    return {"folder": str(tmp_path / "folder"), "file": str(tmp_path / "file")}


def check(row: Row, places: Mapping[str, str], status: object, output: str, errors: str) -> None:
    told = [line for line in errors.splitlines() if " [info] " not in line]
    assert len(told) == 1, errors
    assert told[0].startswith(row.says.format_map(places))
    assert (status, output) == (row.status, "")


@pytest.mark.parametrize("row", [*NOT_UTF8, *PATHS, *CLOSED_INPUT], ids=lambda row: " ".join(row.arguments[1:])[:60])
def test_one_line_says_what_is_wrong(row: Row, places: dict[str, str]) -> None:
    start = subprocess.run if row in NOT_UTF8 else forked.run  # Python itself decodes a command line
    ended = run(tuple(argument.format_map(places) for argument in row.arguments), row.env, start=start)
    check(row, places, ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.parametrize("row", IN_PROCESS, ids=lambda row: " ".join(row.arguments[1:])[:60])
def test_it_is_so_for_each_argument(row: Row, places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Without a process for each: what reads the command line is the same. A gateway that binds its ports needs one."""
    programs = {"gateway": gateway, "broker": broker, "client": client, "benchmarks.compare": compare}
    with pytest.raises(SystemExit) as ended:
        programs[row.arguments[1]].main([argument.format_map(places) for argument in row.arguments[2:]])
    told = capsys.readouterr()
    check(row, places, ended.value.code, told.out, told.err)


def test_a_variable_of_another_program_stops_none() -> None:
    ended = run((*GATEWAY, "--check-config"), {"TSUDOI_PASSWORD": ODD})
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_is_typed_is_utf8_too() -> None:
    command = [sys.executable, "-m", "broker", "admin", "persist", "den", "--ask-password"]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment({}), input=b"caf\xe9\n", capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr == b"Password: broker: what was typed is not UTF-8\n"


@pytest.mark.parametrize("arguments", [GATEWAY, (*GATEWAY, "--workers", "2"), (*BROKER, "--store", "memory")])
def test_too_few_descriptors_are_named_at_the_start(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ended = run(
        arguments,
        {"TSUDOI_DATA": str(tmp_path)},
        lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)),
    )
    assert ended.returncode == 2
    assert "the limit of open files is 20, and 64 are needed" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [(*GATEWAY, "--data", "data"), (*BROKER, "--store", "sqlite:data/x")])
def test_a_folder_in_another_encoding_can_be_the_working_folder(arguments: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment({"PYTHONPATH": str(ROOT)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as service:
        assert service.stdout is not None
        assert service.stdout.readline().startswith(b"ready ")
        service.terminate()
        assert service.wait(PATIENCE_S) == 0


PRINTING = [
    ("-m", "client"),
    ("-m", "client", "scenario", "--language"),
    ("-m", "tsudoi", "--version"),
    ("-m", "broker", "keys", "--help"),
    (*GATEWAY, "--check-config"),
]


def shell(arguments: tuple[str, ...], redirection: str) -> subprocess.CompletedProcess[str]:
    """Run a program with what a shell does to its streams."""
    return subprocess.run(
        ["bash", "-c", f'"$@" {redirection}', "bash", sys.executable, *arguments],
        cwd=ROOT,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_full_disk_is_named(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        ended = forked.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment({}),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
        )
    assert ended.stderr.endswith(": can not write the output: No space left on device\n")
    assert ended.stderr.count("\n") == 1
    assert ended.returncode in (1, 2)


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_reader_that_is_gone_ends_it_without_a_word(arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = forked.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment({}),
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("arguments", "closed"),
    [
        (("-m", "client"), ">&-"),
        (("-m", "client"), "<&- >&- 2>&-"),
        ((*CLIENT, "--name", "x"), "<&-"),
        ((*CLIENT, "--name", "x"), "<&- >&- 2>&-"),
    ],
)
def test_closed_streams_do_no_harm(arguments: tuple[str, ...], closed: str) -> None:
    ended = shell(arguments, closed)
    assert "Traceback" not in ended.stderr
    assert ended.returncode in (0, 1, 2)
