"""The environment variables of all programs: each means one thing, and is documented."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from broker.cli import main as broker
from client.cli import main as client
from gateway.cli import configure
from gateway.cli import main as gateway
from scenarios.cli import main as scenarios
from tsudoi.protocol.errors import SettingError

PROGRAMS = {"gateway": gateway, "broker": broker, "client": client, "scenarios": scenarios}
SHARED = {"TSUDOI_CONFIG", "TSUDOI_LOG_LEVEL", "TSUDOI_LOG_FORMAT", "TSUDOI_SERVER"}
"""Variables that mean the same to each program that reads them."""


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
