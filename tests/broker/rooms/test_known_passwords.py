"""broker/rooms/known_passwords.py"""

from hypothesis import given
from hypothesis import strategies as st

from broker.rooms.known_passwords import ADDRESSES, HASHES, WRONG, KnownPasswords


def test_nothing_is_known_of_a_hash_before_a_password_was_checked() -> None:
    known = KnownPasswords()
    assert known.look_up("hash", "moon") is None
    known.learn("hash", "sun", False)
    assert (known.look_up("hash", "sun"), known.look_up("hash", "moon")) == (False, None)
    known.learn("hash", "moon", True)
    assert [known.look_up("hash", password) for password in ("sun", "moon", "star", "")] == [False, True, False, False]
    assert known.look_up("another", "moon") is None


def test_an_address_is_known_for_one_hash() -> None:
    known = KnownPasswords()
    known.note_right_from("hash", "192.0.2.1")
    assert known.was_right_from("hash", "192.0.2.1")
    assert not known.was_right_from("hash", "192.0.2.2")
    assert not known.was_right_from("another", "192.0.2.1")


def test_tables_that_clients_fill_are_bounded() -> None:
    known = KnownPasswords()
    for number in range(max(HASHES, WRONG, ADDRESSES) + 10):
        known.learn(f"{number}", "moon", True)
        known.learn("hash", f"{number}", False)
        known.note_right_from("hash", f"{number}")
    for table, most in ((known._right, HASHES), (known._wrong, WRONG), (known._right_from, ADDRESSES)):
        assert most * 0.95 < len(table) <= most


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x", "y", "\u6708"])), max_size=30))
def test_what_is_known_is_what_a_check_would_find(steps: list[tuple[str, str]]) -> None:
    fits = {"a": "x", "b": "\u6708"}
    known = KnownPasswords()
    for stored, password in steps:
        found = known.look_up(stored, password)
        assert found in (None, password == fits[stored])
        known.learn(stored, password, password == fits[stored])
        assert known.look_up(stored, password) is (password == fits[stored])
