"""broker/rooms/passwords.py"""

import pytest

from broker.rooms.passwords import check_hash, is_hash, make_hash


@pytest.mark.parametrize("password", ["secret", "秘密の部屋", "x" * 1_000, "nul\0inside"])
def test_a_hash_fits_its_password_alone(password: str) -> None:
    stored = make_hash(password)
    assert is_hash(stored)
    assert check_hash(stored, password)
    assert not check_hash(stored, password + "x")
    assert password not in stored


def test_a_hash_says_how_it_was_made() -> None:
    assert make_hash("secret").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("stored", ["", "nonsense", "$argon2id$v=19$m=19456,t=2,p=1$", "$2b$12$abcdefghijklmnopqrstuv"])
def test_what_is_no_hash_fits_nothing(stored: str) -> None:
    assert not check_hash(stored, "secret")
