"""tsudoi/ops/configfile.py and the option --config"""

import contextlib
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from broker.cli import main as broker
from gateway.cli import configure
from gateway.cli import main as gateway
from tsudoi.ops import configfile
from tsudoi.ops.reload import differing, take_over
from tsudoi.protocol.errors import SettingError

PROGRAMS = {"gateway": gateway, "broker": broker}


def check(text: str, path: Path, *flags: str, program: str = "gateway") -> str:
    """Return what --check-config says of a file; only what is fine has status 0."""
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    arguments = ["--config", str(path), *flags, "--check-config"]
    result = CliRunner().invoke(PROGRAMS[program], arguments)
    if result.exit_code == 0:
        return ""
    assert result.exit_code == 2
    (message,) = result.stderr.splitlines()
    return message.removeprefix(f"{program}: ").replace(str(path), "FILE")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tsudoi.toml"


GOOD = """
[gateway]
rate = 500
tcp = ["127.0.0.1:0", "127.0.0.1:0=tcrp-200"]
check-ip = "off"

[broker]
log-entries = 50_000
durability = "full"
insecure = true
"""


@pytest.mark.parametrize("text", ["\ufeff[gateway]\nrate = 5\n", "\ufeff[gateway]\r\nrate = 5\r\n"])
def test_a_file_of_a_windows_editor_is_read(path: Path, text: str) -> None:
    assert check(text, path) == ""
    assert check(text.replace("5", "x"), path).startswith("FILE:2: ")


@pytest.mark.parametrize("value", ['"tcp://127.0.0.1:9003"', '["tcp://127.0.0.1:9003", "tcp://127.0.0.1:9005"]'])
def test_a_setting_that_takes_several_values_takes_one(path: Path, value: str) -> None:
    path.write_text(f"[gateway]\nbroker = {value}\n")
    context = gateway.make_context("gateway", ["--config", str(path)])
    assert configure(context).broker == tuple(re.findall(r"tcp://[^\"]+", value))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_file_is_one_for_both(path: Path, program: str) -> None:
    assert check(GOOD, path, program=program) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[gateway]\n\nburts = 3", "FILE:3: burts: there is no such setting; burst?"),
        ("[gateway]\nidle_timeout = 3", "FILE:2: idle_timeout: there is no such setting; idle-timeout?"),
        ('[gateway]\nconfig = "x"', "FILE:2: config: there is no such setting"),
        ('[gateway]\nrate = "500"', "FILE:2: rate: '500' is not a number"),
        ("[gateway]\nrate = true", "FILE:2: rate: True is not a number"),
        ("[gateway]\nrate = nan", "FILE:2: rate: nan is not a number up to"),
        ("[gateway]\nhistory = 1.5", "FILE:2: history: 1.5 is not a whole number"),
        ("[gateway]\n# rate = 1\nrate = -1", "FILE:3: rate: -1.0 is not in the range"),
        ('[gateway]\ncheck-ip = "never"', "FILE:2: check-ip: 'never' is not one of"),
        ("[gateway]\ntcp = 9001", "FILE:2: tcp: 9001 is not a list of texts"),
        ('[gateway]\ntcp = ["x"]', "FILE:2: tcp: 'x' is not HOST:PORT"),
        ('[gateway]\nbroker = "x"', "FILE:2: broker: 'x' is not tcp://HOST:PORT"),
        ('[gateway]\nname = "a b"', "FILE:2: name: 'a b' is no name"),
        ('[gateway]\nauth-key = "/no/where"', "FILE:2: auth-key: can not read /no/where: No such file or directory"),
        ('[gateway]\ntls-cert = "/"', "FILE:2: tls-cert: File '/' is a directory"),
        ('[gateway]\n\nkey = "a\\u0000b"', "FILE:3: key: 'a\\x00b' has a null character"),
        ("[gateway]\nrate.limit = 1", "FILE:2: rate: {'limit': 1} is not a number"),
        ("[gateway]\nrate = = 1", "FILE:2: this is not TOML: "),
        ("[gateway]\nrate = 1\nrate = 2", "FILE:2: this is not TOML: Cannot overwrite"),
        ("[gateway", "FILE:1: this is not TOML: "),
        ("rate = 1", "FILE:1: rate: settings stand in a table, [gateway] or [broker]"),
        ("[gateway]\nrate = 1\n[gatewya]\n", "FILE:3: gatewya: settings stand in a table"),
        ("[gateway]\nrate = 1 # \udcff", "FILE:2: this is not UTF-8"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(path: Path, text: str, words: str) -> None:
    assert check(text, path).startswith(words)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(gateway, ["--config", str(tmp_path / "x"), "--check-config"])
    assert result.stderr.startswith("gateway: can not read")


def settled(path: Path, *flags: str, env: dict[str, str] | None = None) -> float:
    """The rate that flags, environment and file settle on."""
    context = None
    with CliRunner().isolation(env=env):
        context = gateway.make_context("gateway", ["--config", str(path), *flags])
    return float(context.params["rate"])


def test_flags_win_over_the_environment_and_that_over_the_file(path: Path) -> None:
    path.write_text("[gateway]\nrate = 10\n")
    assert settled(path) == 10
    assert settled(path, env={"TSUDOI_RATE": "20"}) == 20
    assert settled(path, "--rate", "30", env={"TSUDOI_RATE": "20"}) == 30


@given(st.text(max_size=200))
def test_whatever_is_in_a_file_it_is_taken_or_a_setting_error_of_one_line(text: str) -> None:
    with contextlib.suppress(SettingError):
        configfile.parse(text, "f", "gateway")


def test_nesting_without_end_is_a_setting_error() -> None:
    with pytest.raises(SettingError):
        configfile.parse("x = " + "[" * 100_000, "f", "gateway")


def test_a_reload_changes_what_can_be_changed() -> None:
    from broker.config import Limits

    limits = Limits()
    new = Limits(log_entries=5, news_high_water=7)
    assert take_over(limits, new, fixed=("news_high_water",)) == (["log_entries"], ["news_high_water"])
    assert limits.log_entries == 5
    assert differing(limits, new) == ["news_high_water"]
