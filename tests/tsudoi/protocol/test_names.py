"""tsudoi/protocol/names.py"""

import hashlib
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.strategies import TOKENS, names, texts, wild_names
from tests.support.visible import next_boundary
from tsudoi.protocol.errors import InvalidName, MisleadingName
from tsudoi.protocol.names import (
    MAX_NAME_SIZE,
    SERVER_NAME,
    UserName,
    cut,
    hash_token,
    looks_like_token,
    normalise,
    numbered_name,
    room_name,
    user_name,
)

REFUSED = (
    "\x00\x07\x1b\x7f\x80\x9b\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ud800"
)

UNSEEN = (
    " \u2800\u3000\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b\u180e\u180f\u200b\u200c\u200d\u2060\u2064\u206f\u3164"
    "\ufe00\ufe0f\ufeff\uffa0\ufff0\ufff9\U0001bca0\U0001d159\U0001d17a\U000e0001\U000e0020\U000e007f\U000e0100\U000e0fff"
)


@given(wild_names())
@example("\ud800")
@example("\u3000")
def test_any_string_is_a_name_or_invalid(name: str) -> None:
    try:
        normal = normalise(name)
    except InvalidName:
        return
    assert 0 < len(normal.encode()) <= MAX_NAME_SIZE
    assert normal == normal.strip()
    assert unicodedata.is_normalized("NFC", normal)
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in normal)
    assert not set(normal) & set(REFUSED)
    assert set(normal) - set(UNSEEN)
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    "name",
    [
        *("alice", "部屋1", "a b", "😀", 'it\'s "den"', "\\", "a,b", "#1", "-", "{}", "%s"),
        # Joiners and variation selectors: a person at a computer, a keycap, Scotland, a red heart, two Persian words.
        *("👩🏽\u200d💻", "1\ufe0f\u20e3", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "❤\ufe0f"),
        *("می\u200cخواهم", "نامه\u200cای"),
    ],
)
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert normalise(name) == name


def test_names_are_compared_in_nfc() -> None:
    assert normalise("か\u3099き") == "がき"
    assert normalise("e\u0301") == "é"
    assert normalise("Å") == "Å"  # The Ångström sign is the letter.


def test_case_width_and_look_alikes_stay_apart() -> None:
    for one, other in (("Alice", "alice"), ("Ａ", "A"), ("а", "a"), ("①", "1"), ("ß", "ss")):
        assert normalise(one) == one != normalise(other)


@pytest.mark.parametrize("around", [" ", "\t", "\n", "\r\n", "\u3000", "\u00a0", "\u2028"])
def test_white_space_around_a_name_goes(around: str) -> None:
    assert normalise(f"{around}alice{around}") == "alice"
    assert normalise(f"{around}部屋{around}") == "部屋"


@pytest.mark.parametrize("name", ["", " ", "\t\r\n", "\u3000\u2003", "\u2028"])
def test_a_name_of_nothing_is_invalid(name: str) -> None:
    with pytest.raises(InvalidName, match="room name is empty"):
        room_name(name)


@pytest.mark.parametrize("char", REFUSED)
def test_control_characters_and_overrides_are_invalid_inside(char: str) -> None:
    for name in (f"a{char}b", f"部{char}屋"):
        with pytest.raises(InvalidName, match=rf"user name .* U\+{ord(char):04X}"):
            user_name(name)


@pytest.mark.parametrize("unseen", UNSEEN.replace("\u3000", "").lstrip())
def test_a_name_of_invisible_characters_is_invalid(unseen: str) -> None:
    for name in (unseen, unseen * 3, f"{unseen} \u3000{unseen}", f"\u200b{unseen}"):
        with pytest.raises(InvalidName, match="room name has nothing that can be seen"):
            room_name(name)
    for name in (f"{unseen}部", f"a{unseen}", f"a{unseen}b"):
        assert normalise(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("unseen", UNSEEN.lstrip(" \u2800\u3000"))
def test_nobody_can_look_like_the_server(unseen: str) -> None:
    for name in (f"server{unseen}", f"{unseen} server", f" {unseen}\u2800server\u00a0{unseen}"):
        with pytest.raises(InvalidName, match="user name can not be told from the server's"):
            user_name(name)
        assert "server" in room_name(name)


@given(st.text(st.sampled_from("\u200b\u200d\ufe0f\u3164\ufff9"), min_size=1, max_size=5), st.integers(0, 6))
def test_nobody_can_look_like_the_server_whatever_is_put_into_its_name(unseen: str, at: int) -> None:
    with pytest.raises(InvalidName):
        user_name(SERVER_NAME[:at] + unseen + SERVER_NAME[at:])


@pytest.mark.parametrize("name", ["server", "Server", "server 1", "s e r v e r", "ser\u2800ver", "サーバー"])
def test_other_names_like_the_servers_are_names(name: str) -> None:
    assert user_name(name) == name


@given(st.text("x :>*(host),").map("x".__add__))
@example("x (host)")
@example("x :")
@example("x> y")
def test_an_ascii_name_misleads_where_it_would_with_other_letters(name: str) -> None:
    def misleads(name: str) -> bool:
        try:
            return not user_name(name)
        except MisleadingName:
            return True

    for begin in ("", "*", "* "):
        assert misleads(begin + name) == misleads(begin + name.replace("x", "é"))


def test_the_limit_is_255_bytes_of_the_normal_form() -> None:
    assert normalise("a" * 255) == "a" * 255
    assert normalise("部" * 85) == "部" * 85
    assert normalise("か\u3099" * 85) == "が" * 85
    for name in ("a" * 256, "部" * 85 + "a", "😀" * 64):
        with pytest.raises(InvalidName, match="longer than 255 bytes"):
            normalise(name)


def test_a_name_that_nfc_makes_longer_is_measured_after_it() -> None:
    growing = "\ufb2c"  # 3 bytes, in NFC 6.
    assert len(growing.encode()) * 85 == MAX_NAME_SIZE
    with pytest.raises(InvalidName, match="longer than 255 bytes"):
        normalise(growing * 85)
    assert len(normalise(growing * 42).encode()) == 252


@pytest.mark.parametrize("longest", ["ᾂ" * 85, "ǘ" * 127, "각" * 85])
def test_the_longest_names_are_accepted_decomposed_too(longest: str) -> None:
    decomposed = unicodedata.normalize("NFD", longest)
    assert len(decomposed) > len(longest)
    assert normalise(decomposed) == longest


def test_a_name_of_marks_out_of_order_costs_no_time() -> None:
    # Putting 32,000 combining marks in order takes seconds: a name that long is refused before.
    start = time.thread_time()
    with pytest.raises(InvalidName, match="longer than 255 bytes"):
        normalise("a" + "\u0301" * 16_000 + "\u0323" * 16_000)
    assert time.thread_time() - start < 0.25


@given(names(), st.integers(2, 10_000))
@example("部" * 85, 2)
def test_a_numbered_name_is_a_name_and_shows_its_number(name: str, number: int) -> None:
    apart = numbered_name(user_name(name), number)
    assert normalise(apart) == apart
    assert apart.endswith(f"#{number}")
    assert name.startswith(apart.removesuffix(f"#{number}"))


def test_alice_becomes_alice_2() -> None:
    assert numbered_name(UserName("alice"), 2) == "alice#2"
    assert numbered_name(UserName("a" * 255), 10) == "a" * 252 + "#10"
    assert numbered_name(UserName("部" * 85), 2) == "部" * 84 + "#2"


@given(texts(30), st.integers(-5, 130))
def test_a_cut_text_is_the_longest_beginning_that_fits(text: str, size: int) -> None:
    short = cut(text, size)
    assert text.startswith(short)
    assert len(short.encode()) <= max(size, 0)
    if short != text:
        assert len(text[: next_boundary(text, len(short))].encode()) > size


@given(TOKENS)
def test_a_token_looks_like_one_and_is_kept_as_half_of_its_sha_256(token: str) -> None:
    assert looks_like_token(token.encode())
    assert hash_token(token.encode()) == hashlib.sha256(token.encode()).digest()[:16]


@pytest.mark.parametrize(
    "raw", [b"", b"0" * 31, b"0" * 33, b"0" * 31 + b"g", b"ABCDEF" + b"0" * 26, b"ERROR: Room already exists"]
)
def test_what_is_not_32_lower_case_hex_characters_does_not_look_like_a_token(raw: bytes) -> None:
    assert not looks_like_token(raw)
