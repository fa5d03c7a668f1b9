"""gateway/config.py and gateway/cli.py: what can be set, and how mistakes are told."""

import contextlib
import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gateway import cli
from gateway.broker_key import choose_key
from gateway.config import parse_name
from gateway.listeners.options import parse_listener
from tsudoi.ops.keyfiles import Owner, Role, SecretKey, serialize_secret
from tsudoi.protocol.backbone import parse_to_connect
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.errors import SettingError


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:9003", "tcp://broker:1", "tcp://[::1]:65534", "ipc:///run/b"])
def test_a_broker_is_an_endpoint(text: str) -> None:
    assert parse_to_connect(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "broker", "broker:9003", "tcp://", "tcp://:1", "tcp://b:0", "tcp://b:65535", "tcp://b:²"),
        *("ipc://", "unix://b", "inproc://b"),
    ],
)
def test_other_brokers_are_setting_errors(text: str) -> None:
    with pytest.raises(SettingError, match=r"not tcp://HOST:PORT or ipc://PATH|no port for the news"):
        parse_to_connect(text)


@pytest.mark.parametrize("text", ["a", "gateway-1", "eu.west_2", "x" * 64])
def test_names_are_plain(text: str) -> None:
    assert parse_name(text) == text


@pytest.mark.parametrize("text", ["", "-", "a/b", "a b", "部屋", "x" * 65, "a\n"])
def test_other_names_are_setting_errors(text: str) -> None:
    with pytest.raises(SettingError, match="is no name"):
        parse_name(text)


@given(st.text(max_size=30))
def test_no_text_raises_anything_else(text: str) -> None:
    for parse in (parse_to_connect, parse_name, parse_listener, lambda text: parse_listener(text, takes_options=False)):
        with contextlib.suppress(SettingError):
            parse(text)


# --- the command line ---------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command line; return its exit status and what it wrote to stderr."""
    monkeypatch.setattr(sys, "argv", ["gateway", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "many"], "Invalid value for '--rate': 'many' is not a valid number"),
        (["--webhook", "127.0.0.1:0"], "--webhook needs --auth-key or --auth-secret"),
        (["--tls", "127.0.0.1:0"], "--tls, --tls-cert and --tls-key need each other"),
        (
            ["--webhook", "127.0.0.1:0,tls=on", "--auth-key", "k"],
            "--webhook with tls=on, --tls-cert and --tls-key need each other",
        ),
        (["--webhook", "127.0.0.1:0=tcrp"], "Invalid value for '--webhook': '127.0.0.1:0=tcrp' has no port"),
        (["--webhook", "127.0.0.1:0,tls=yes"], "Invalid value for '--webhook': '127.0.0.1:0,tls=yes': the one option"),
        (["--webhook", "9003"], "Invalid value for '--webhook': '9003' is not HOST:PORT"),
        (["--auth-key", "not-there", "--check-config"], "can not read the key file not-there"),
        (["--tcp", "nonsense"], "Invalid value for '--tcp'"),
        (
            ["--tcp", "127.0.0.1:1=nonsense"],
            "Invalid value for '--tcp': there is no dialect 'nonsense'; there are auto, ",
        ),
        (["--udp", "127.0.0.1:1=tcrp"], "Invalid value for '--udp'"),
        (["--broker", "nonsense"], "Invalid value for '--broker'"),
        (["--name", "a/b"], "Invalid value for '--name'"),
        (["--http", "nonsense"], "Invalid value for '--http'"),
        (["--idle-timeout", "0.1"], "Invalid value for '--idle-timeout'"),
        (["--idle-timeout", "nan"], "Invalid value for '--idle-timeout'"),
        (["--idle-timeout", "inf"], "Invalid value for '--idle-timeout'"),
        (["--check-ip", "maybe"], "Invalid value for '--check-ip'"),
        (["--move-after", "-1"], "Invalid value for '--move-after'"),
        (["--rate", "nan"], "Invalid value for '--rate'"),
        (["--burst", "0"], "Invalid value for '--burst'"),
        (["--history", "-1"], "Invalid value for '--history'"),
        (["--connections", "0"], "Invalid value for '--connections'"),
        (["--data", __file__], "Invalid value for '--data'"),
        (["--nonsense"], "No such option"),
        (["nonsense"], "No such command"),
        (["ping"], "name the gateway's --http HOST:PORT"),
        (["ping", "--timeout", "inf"], "Invalid value for '--timeout'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    status, stderr = run(monkeypatch, capfd, *arguments)
    assert status == 2
    assert stderr.startswith(f"gateway: {words}")
    assert stderr.count("\n") == 1


def test_a_taken_udp_listener_is_told_likewise(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = ["--udp", place, "--tcp", "127.0.0.1:0", "--broker", "tcp://127.0.0.1:1", "--log-level", "error"]
        status, stderr = run(monkeypatch, capfd, *arguments)
    assert (status, stderr) == (2, f"gateway: can not listen on UDP {place}: Address already in use\n")


def test_a_mistake_in_the_environment_is_told_likewise(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TSUDOI_TCP", "127.0.0.1:1 nonsense")
    status, stderr = run(monkeypatch, capfd)
    assert (status, stderr.count("\n")) == (2, 1)
    assert "'nonsense' is not HOST:PORT" in stderr


def test_ping_says_that_nobody_answers(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
        status, stderr = run(monkeypatch, capfd, "--http", place, "ping", "--timeout", "0.5")
    assert status == 1
    assert stderr.startswith(f"gateway: no answer from {place!r}: ")
    assert "Errno" not in stderr
    assert stderr.count("\n") == 1


def test_help_names_every_setting_and_its_variable() -> None:
    result = CliRunner().invoke(cli.main, ["--help"], prog_name="gateway")
    assert result.exit_code == 0
    for parameter in cli.main.params:
        if parameter.name not in ("help", "check_config") and not getattr(parameter, "hidden", False):
            assert parameter.name is not None
            assert str(parameter.envvar) in result.output
    unwrapped = "".join(result.output.split())
    for name in DIALECTS:
        assert name in unwrapped


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "east.key"
    path.write_text(serialize_secret(SecretKey(Owner(Role.GATEWAY, "east"), "P" * 40, "S" * 40, "B" * 40)))
    path.chmod(0o600)
    return path


def test_another_machine_needs_a_key(key_file: Path) -> None:
    with pytest.raises(SettingError, match="give --key FILE, or --insecure"):
        choose_key(["tcp://broker:9003"], None, "", insecure=False)
    assert choose_key(["tcp://broker:9003"], None, "", insecure=True) is None
    key = choose_key(["tcp://broker:9003"], key_file, "east", insecure=False)
    assert key is not None
    assert (key.public, key.broker) == ("P" * 40, "B" * 40)


@pytest.mark.parametrize("broker", [None, "ipc:///run/broker", "tcp://127.0.0.1:9003"])
def test_this_machine_needs_none(broker: str | None) -> None:
    assert choose_key([broker] if broker else [], None, "", insecure=False) is None


def test_a_key_is_for_all_of_several_brokers(key_file: Path) -> None:
    near, far = "tcp://127.0.0.1:9003", "tcp://broker:9003"
    assert choose_key([near, near], None, "", insecure=False) is None
    assert choose_key([near, far], key_file, "", insecure=False)
    with pytest.raises(SettingError, match=r"tcp://broker:9003 is another machine"):
        choose_key([near, far], None, "", insecure=False)
    with pytest.raises(SettingError, match=r"not for ipc:///run/b"):
        choose_key([near, "ipc:///run/b"], key_file, "", insecure=False)


@pytest.mark.parametrize("broker", [None, "ipc:///run/broker"])
def test_a_key_that_would_not_be_used_is_refused(key_file: Path, broker: str | None) -> None:
    with pytest.raises(SettingError, match="is for a broker at tcp://HOST:PORT, and not for"):
        choose_key([broker] if broker else [], key_file, "east", insecure=False)
    with pytest.raises(SettingError, match="contradict each other"):
        choose_key(["tcp://broker:9003"], key_file, "east", insecure=True)


def test_a_key_fits_the_name(key_file: Path) -> None:
    with pytest.raises(SettingError, match="is the key of gateway east, so --name can not be west"):
        choose_key(["tcp://broker:9003"], key_file, "west", insecure=False)
    assert choose_key(["tcp://broker:9003"], key_file, "", insecure=False)


def test_an_operators_key_is_none_for_a_gateway(key_file: Path) -> None:
    key_file.write_text(serialize_secret(SecretKey(Owner(Role.OPERATOR, "ops"), "P" * 40, "S" * 40, "B" * 40)))
    with pytest.raises(SettingError, match="is the key of operator ops, and no gateway's"):
        choose_key(["tcp://broker:9003"], key_file, "", insecure=False)


def test_a_key_that_can_not_be_used_is_told(key_file: Path) -> None:
    with pytest.raises(SettingError, match="can not read the key"):
        choose_key(["tcp://broker:9003"], key_file.parent / "none", "", insecure=False)
    key_file.chmod(0o644)
    with pytest.raises(SettingError, match="is open to others"):
        choose_key(["tcp://broker:9003"], key_file, "", insecure=False)
