"""tsudoi/ops/keyfiles.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsudoi.ops.keyfiles import KEY, Owner, Role, SecretKey, parse_public, parse_secret, serialize_secret
from tsudoi.protocol.errors import SettingError

PUBLIC, SECRET, BROKER = "P" * 40, "S" * 39 + "#", "B" * 38 + "[]"
KEY_A = SecretKey(Owner(Role.GATEWAY, "east-1"), PUBLIC, SECRET, BROKER)


def test_a_key_file_is_read_as_it_was_written() -> None:
    assert parse_secret(serialize_secret(KEY_A), 0o100600, "a.key") == KEY_A


@given(st.from_regex(KEY, fullmatch=True), st.sampled_from(Role))
def test_any_key_is_read_as_it_was_written(key: str, role: Role) -> None:
    one = SecretKey(Owner(role, "x"), key, key[::-1], key)
    assert parse_secret(serialize_secret(one), 0o600, "x") == one


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o644])
def test_a_secret_that_others_may_read_is_not_used(mode: int) -> None:
    with pytest.raises(SettingError, match=r"chmod 600 a\.key"):
        parse_secret(serialize_secret(KEY_A), mode, "a.key")


@given(st.text() | st.text("roleabc =\"'[]{}.\n0:"))
def test_other_files_are_refused_as_key_files(text: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_secret(text, 0o600, "a.key")
    assert str(caught.value) == "a.key is no key file (python -m broker keys add makes them)"


@pytest.mark.parametrize("line", ["role", "name", "public", "secret", "broker"])
def test_a_key_file_lacks_nothing(line: str) -> None:
    rest = [each for each in serialize_secret(KEY_A).splitlines() if not each.startswith(line)]
    with pytest.raises(SettingError):
        parse_secret("\n".join(rest), 0o600, "a.key")


def test_a_secret_is_not_printed() -> None:
    assert SECRET not in f"{KEY_A!r} {KEY_A} {vars(KEY_A.owner) if hasattr(KEY_A.owner, '__dict__') else KEY_A.owner}"


@given(st.text())
def test_a_public_key_is_forty_characters_in_one_line(text: str) -> None:
    assert parse_public(f"{PUBLIC}\n", "a.pub") == PUBLIC
    if not KEY.fullmatch(text.strip()):
        with pytest.raises(SettingError):
            parse_public(text, "a.pub")


@pytest.mark.parametrize(
    ("name", "may"), [("", True), ("east-1", True), ("east-2", False), ("east-1/x", False), ("EAST-1", False)]
)
def test_a_gateway_goes_by_its_own_name_or_by_none(name: str, may: bool) -> None:
    assert KEY_A.owner.may_be_called(name) is may
