"""The environment variables of all programs: each means one thing, and is documented."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from broker.cli import main as broker
from client.cli import main as client
from gateway.cli import configure
from gateway.cli import main as gateway
from scenarios.cli import main as scenarios
from tests.support import forked
from tests.support.services import ROOT
from tsudoi.ops.variables import mistyped_variables
from tsudoi.protocol.errors import SettingError

PROGRAMS = {"gateway": gateway, "broker": broker, "client": client, "scenarios": scenarios}
SHARED = {"TSUDOI_CONFIG", "TSUDOI_LOG_LEVEL", "TSUDOI_LOG_FORMAT", "TSUDOI_SERVER"}
"""Variables that mean the same to each program that reads them."""
MISTYPED = {**os.environ, "TSUDOI_TPC": "1"}


def variables(command: click.Command) -> Iterator[str]:
    """Yield the variables of a command and its subcommands, as click resolves them."""
    context = click.Context(command, **command.context_settings)
    assert context.auto_envvar_prefix is None, "click would read variables that no page names"
    for parameter in command.params:
        named = parameter.envvar or ()
        yield from [named] if isinstance(named, str) else named
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if (found := command.get_command(context, name)) is not None and name != "scenario":
                yield from variables(found)


def test_no_variable_means_something_to_two_programs() -> None:
    readers: dict[str, set[str]] = {}
    for program, command in PROGRAMS.items():
        for variable in variables(command):
            readers.setdefault(variable, set()).add(program)
    assert {variable for variable, programs in readers.items() if len(programs) > 1} <= SHARED
    assert len(readers) > 60


def test_no_variable_means_something_to_two_commands_of_a_program() -> None:
    """An operator's key and the broker's folder of keys, for example."""
    for command in (gateway, broker):
        found = list(variables(command))
        assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "env",
    [
        {"TSUDOI_NAME": "alice"},
        {"TSUDOI_KEY": "operator.key"},
        {"TSUDOI_OPERATOR_KEY": "operator.key"},
        {"TSUDOI_BROKER_INSECURE": "1"},
        {"TSUDOI_PASSWORD": "secret", "TSUDOI_DIALECT": "classic", "TSUDOI_SERVER_TLS": "1", "TSUDOI_LINGER": "9"},
        {"TSUDOI_INHERITED": "1/2/3", "TSUDOI_CHECK_CONFIG": "1", "TSUDOI_PING_TIMEOUT": "x"},
    ],
    ids=lambda env: next(iter(env)),
)
def test_a_gateway_reads_no_variable_of_another_program(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = configure(gateway.make_context("gateway", []))
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    context = gateway.make_context("gateway", [])
    assert configure(context) == plain
    assert not context.params["check_config"]


def test_a_gateways_own_variables_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TSUDOI_GATEWAY_NAME", "tokyo")
    monkeypatch.setenv("TSUDOI_GATEWAY_INSECURE", "1")
    config = configure(gateway.make_context("gateway", ["--broker", "tcp://192.0.2.1:9003"]))
    assert (config.name, config.insecure) == ("tokyo", True)
    monkeypatch.setenv("TSUDOI_GATEWAY_KEY", str(tmp_path / "none.key"))
    with pytest.raises(SettingError, match="TSUDOI_GATEWAY_KEY, TSUDOI_GATEWAY_INSECURE"):
        configure(gateway.make_context("gateway", ["--broker", "tcp://192.0.2.1:9003"]))


def test_a_refused_value_is_named_by_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(click.BadParameter) as told:
        gateway.make_context("gateway", ["--rate", "many"])
    assert told.value.format_message().startswith("Invalid value for '--rate': ")
    monkeypatch.setenv("TSUDOI_RATE", "many")
    with pytest.raises(click.BadParameter) as told:
        gateway.make_context("gateway", [])
    assert told.value.format_message().startswith("Invalid value for 'TSUDOI_RATE': ")


# --- mistyped ones ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("TSUDOI_TPC", "TSUDOI_TCP"),
        ("TSUDOI_BROKER_LOG_ENTRIES", "TSUDOI_LOG_ENTRIES"),
        ("TSUDOI_OPERATORKEY", "TSUDOI_OPERATOR_KEY"),
        ("TSUDOI_SERVR", "TSUDOI_SERVER"),
        ("TSUDOI_CONFIG_FILE", "TSUDOI_CONFIG"),
    ],
)
def test_a_mistyped_variable_of_any_program_is_found(given: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(given, "1")
    for command in (gateway, broker):
        assert mistyped_variables(command.variables())[given] == meant


def test_variables_that_others_set_on_purpose_are_no_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    of_services = [f"TSUDOI_{end}" for end in ("PORT", "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP")]
    of_services += [f"TSUDOI_PORT_5000_TCP{end}" for end in ("", "_PROTO", "_PORT", "_ADDR")]
    of_services += ["TSUDOI_BROKER_SERVICE_HOST", "TSUDOI_BROKER_PORT_9003_TCP"]
    files = (ROOT / "Dockerfile", ROOT / "docker-compose.yml")
    of_images = re.findall(r"TSUDOI_\w+", "".join(path.read_text() for path in files))
    known = [*variables(gateway), *variables(broker), *variables(client)]
    own = ["TSUDOI_HOME", "TSUDOI_VERSION", "TSUDOI_USER", "TSUDOI_DIR"]
    before = mistyped_variables(gateway.variables())
    for name in (*of_services, *of_images, *known, *own):
        monkeypatch.setenv(name, "1")
    assert mistyped_variables(gateway.variables()) == mistyped_variables(broker.variables()) == before


@pytest.mark.parametrize("program", [["gateway"], ["broker", "--insecure"]], ids=lambda program: program[0])
def test_check_config_names_a_mistyped_variable(program: list[str]) -> None:
    command = [sys.executable, "-m", *program, "--check-config"]
    ended = forked.run(command, cwd=ROOT, env=MISTYPED, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0
    assert ended.stderr == f"{program[0]}: no program reads the variable TSUDOI_TPC: is TSUDOI_TCP meant?\n"


@pytest.mark.parametrize("more", [["broker", "--bind"], ["gateway", "--tcp"], ["gateway", "--workers", "2", "--tcp"]])
def test_a_service_logs_a_mistyped_variable_once(more: list[str], tmp_path: Path) -> None:
    place = ["tcp://127.0.0.1:0", "--insecure"] if more[0] == "broker" else ["127.0.0.1:0", "--udp", "127.0.0.1:0"]
    store = ["--store", "memory"] if more[0] == "broker" else ["--data", str(tmp_path), "--web", "off"]
    command = [sys.executable, "-m", *more, *place, *store]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with forked.Popen(command, cwd=ROOT, env=MISTYPED, text=True, **pipes) as service:
        assert service.stdout is not None
        assert service.stdout.readline().startswith("ready ")
        service.terminate()
        _, logged = service.communicate(timeout=60)
    (line,) = [line for line in logged.splitlines() if "TSUDOI_TPC" in line]
    assert "no program reads this environment variable" in line
    assert "did_you_mean=TSUDOI_TCP" in line
