"""tsudoi/ops/settings.py and the options that tsudoi/ops/options.py makes of fields"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner

from broker.config import Config as BrokerConfig
from gateway.config import Config as GatewayConfig
from tsudoi.ops.host_port import HostPort, parse_host_port
from tsudoi.ops.options import GROUP, settings_options
from tsudoi.ops.settings import build, each_setting, setting


@dataclass
class Inner:
    wait_s: float = setting(2.5, "Seconds to wait.", at_least=0.5, at_most=10)
    polite: bool = setting(True, "Be rude.")
    not_for_users: int = 7


@dataclass(frozen=True)
class Outer:
    places: tuple[HostPort, ...] = setting(("127.0.0.1:1",), "Where, `HOST:PORT`.", parse=parse_host_port)
    inner: Inner = field(default_factory=Inner)
    mode: Literal["slow", "fast"] = setting("slow", "How.", flag="--how")
    loud: bool = setting(False, "Shout.", envvar="LOUD")
    file: Path | None = setting(None, "What.")
    secret: int = setting(1, "Nothing.", is_hidden=True)
    derived: str = ""


@click.command(context_settings=GROUP)
@settings_options(Outer)
def command(**given: Any) -> Outer:
    return build(Outer, given)


def run(*arguments: str, env: dict[str, str] | None = None) -> Outer:
    result = CliRunner().invoke(command, arguments, standalone_mode=False, env=env)
    if result.exception:
        raise result.exception
    assert isinstance(result.return_value, Outer)
    return result.return_value


def test_without_flags_all_is_as_the_fields_say() -> None:
    assert run() == Outer()
    assert Outer().places == (HostPort("127.0.0.1", 1),)


def test_each_field_has_its_flag() -> None:
    flags = ["--places", "::1:2", "--places", "127.0.0.1:3", "--wait", "1", "--no-polite", "--how", "fast", "--loud"]
    assert run(*flags, "--file", "x", "--secret", "5") == Outer(
        places=(HostPort("::1", 2), HostPort("127.0.0.1", 3)),
        inner=Inner(wait_s=1, polite=False),
        mode="fast",
        loud=True,
        file=Path("x"),
        secret=5,
    )


def test_each_field_has_its_variable() -> None:
    env = {"TSUDOI_PLACES": "::1:2 127.0.0.1:3", "TSUDOI_WAIT": "1", "TSUDOI_NO_POLITE": "1", "LOUD": "yes"}
    assert run(env=env) == Outer(
        places=(HostPort("::1", 2), HostPort("127.0.0.1", 3)), inner=Inner(wait_s=1, polite=False), loud=True
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--wait", "0.4"], "0.4 is not in the range"),
        (["--wait", "11"], "11.0 is not in the range"),
        (["--how", "never"], "'never' is not one of 'slow', 'fast'"),
        (["--places", "x"], "'x' is not HOST:PORT"),
        (["--secret", "0"], "0 is not in the range"),
        (["--not-for-users", "1"], "No such option"),
    ],
)
def test_a_value_out_of_bounds_is_one_line(arguments: list[str], words: str) -> None:
    with pytest.raises(click.UsageError) as told:
        run(*arguments)
    assert words in told.value.format_message()
    assert "\n" not in told.value.format_message()


def test_help_has_text_variable_and_default() -> None:
    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "Where, HOST:PORT. [env var: TSUDOI_PLACES; default: 127.0.0.1:1]" in text
    assert "--no-polite Be rude. [env var: TSUDOI_NO_POLITE]" in text
    assert "--secret" not in text


@pytest.mark.parametrize("config", [GatewayConfig, BrokerConfig])
def test_no_two_settings_have_one_flag_or_variable(config: type) -> None:
    settings = list(each_setting(config))
    assert len({each.flag for each in settings}) == len(settings) > 15
    assert len({each.parameter for each in settings}) == len(settings)
    assert all(each.help.endswith(".") for each in settings)
