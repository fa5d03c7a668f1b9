"""gateway/explain/datagram_hints.py: each mistake in a datagram is named"""

from collections.abc import Callable

import pytest

from gateway.explain.datagram_hints import Known, datagram_hints
from gateway.explain.mistakes import Mistake
from tests.gateway.explain.mistakes_made import TOKEN, request
from tsudoi.protocol.client.datagram import serialize
from tsudoi.protocol.client.dialects import CLASSIC, TCRP, TCRP_202
from tsudoi.protocol.client.header import frame

RAW = TOKEN.encode()
OTHER = "fedcba9876543210" * 2
DEN = Known(b"den", TCRP, b"alice")
RIGHT = serialize("den", TOKEN, "hello")


def whose(token: bytes) -> Known | None:
    return DEN if token == RAW else None


def named(data: bytes, known: Callable[[bytes], Known | None] = whose) -> list[Mistake]:
    return [each.mistake for each in datagram_hints(data, known)]


WRONG: dict[str, tuple[bytes, Mistake]] = {
    "nothing": (b"", Mistake.DATAGRAM_SHORT),
    "one byte": (b"\3", Mistake.DATAGRAM_SHORT),
    "room size too large": (b"\4" + RIGHT[1:], Mistake.ROOM_SIZE_WRONG),
    "room size too small": (b"\2" + RIGHT[1:], Mistake.ROOM_SIZE_WRONG),
    "room size 0": (b"\0" + RIGHT[1:], Mistake.ROOM_SIZE_WRONG),
    "room size absurd": (b"\xff" + RIGHT[1:], Mistake.ROOM_SIZE_WRONG),
    "both sizes wrong": (b"\5\x1f" + RIGHT[2:], Mistake.ROOM_SIZE_WRONG),
    "a token of another server": (b"\3\x28den" + b"g" * 40, Mistake.TOKEN_SIZE_WRONG),
    "bytes that are no text": (b"\3\x20den" + b"\x80" * 32, Mistake.NO_TOKEN_ANYWHERE),
    "token size too small": (b"\3\x1f" + RIGHT[2:], Mistake.TOKEN_SIZE_WRONG),
    "token size too large": (b"\3\x21" + RIGHT[2:], Mistake.TOKEN_SIZE_WRONG),
    "token size 0": (b"\3\0" + RIGHT[2:], Mistake.TOKEN_SIZE_WRONG),
    "token size 255": (b"\3\xff" + RIGHT[2:], Mistake.TOKEN_SIZE_WRONG),
    "sizes swapped": (b"\x20\3" + RIGHT[2:], Mistake.SIZES_SWAPPED),
    "token before room": (b"\3\x20" + RAW + b"den" + b"hello", Mistake.TOKEN_FIRST),
    "all swapped": (b"\x20\3" + RAW + b"den" + b"hello", Mistake.TOKEN_FIRST),
    "sizes in digits": (b"332" + RIGHT[2:], Mistake.SIZES_ARE_TEXT),
    "sizes of two bytes": (b"\0\3\0\x20" + RIGHT[2:], Mistake.SIZES_WIDE),
    "sizes of four bytes": (b"\0\0\0\3\0\0\0\x20" + RIGHT[2:], Mistake.SIZES_WIDE),
    "sizes of four bytes, little-endian": (b"\3\0\0\0\x20\0\0\0" + RIGHT[2:], Mistake.SIZES_WIDE),
    "no sizes": (RIGHT[2:], Mistake.SIZES_NONE),
    "a token alone": (RAW + b"hello", Mistake.SIZES_NONE),
    "no token": (b"\3\0denhello", Mistake.TOKEN_MISSING),
    "an unknown token": (serialize("den", OTHER, "hello"), Mistake.TOKEN_UNKNOWN),
    "a token in upper case": (serialize("den", TOKEN.upper(), "hello"), Mistake.TOKEN_UPPER_CASE),
    "a token as bytes": (b"\3\x10den" + bytes.fromhex(TOKEN) + b"hello", Mistake.TOKEN_BINARY),
    "a token with a line feed": (b"\3\x21den" + RAW + b"\n" + b"hello", Mistake.TOKEN_SIZE_WRONG),
    "a token in quotes": (b'\3\x22den"' + RAW + b'"hello', Mistake.TOKEN_WRAPPED),
    "a token in JSON": (b'\3\x2cden{"token":"' + RAW + b'"}hello', Mistake.TOKEN_WRAPPED),
    "a token filled with zeros": (b"\3\xffden" + RAW.ljust(255, b"\0") + b"hello", Mistake.TOKEN_SIZE_WRONG),
    "a token that was cut": (serialize("den", TOKEN[:31], "hello"), Mistake.TOKEN_CUT),
    "a token without its first byte": (serialize("den", TOKEN[1:], "hello"), Mistake.TOKEN_CUT),
    "a token with the byte before it": (b"\3\x20den\0" + RAW[:31] + b"alice: hi", Mistake.TOKEN_NOT_HEX),
    "a token with a wrong byte": (b"\3\x20den" + RAW[:9] + b"x" + RAW[10:] + b"hello", Mistake.TOKEN_NOT_HEX),
    "no token size": (b"\3den" + RAW + b"hello", Mistake.SIZES_COUNT),
    "no room size": (b"\x20den" + RAW + b"hello", Mistake.SIZES_COUNT),
    "a byte between the sizes": (b"\3\0\x20den" + RAW + b"hello", Mistake.SIZES_COUNT),
    "each size before its field": (b"\3den\x20" + RAW + b"\5alicehello", Mistake.SIZES_APART),
    "each size before its field, the user first": (b"\5alice\x20" + RAW + b"\3denhello", Mistake.SIZES_APART),
    "each size before its field, an unknown token": (b"\3den\x20" + OTHER.encode() + b"hello", Mistake.SIZES_APART),
    "a refusal": (serialize("den", "ERROR: Room does not exist", ""), Mistake.TOKEN_IS_REFUSAL),
    "another room": (serialize("dem", TOKEN, "hello"), Mistake.ROOM_OF_ANOTHER),
    "the user in place of the room": (serialize("alice", TOKEN, "hello"), Mistake.USER_FOR_ROOM),
    "a room filled up": (serialize("den\0\0\0", TOKEN, "hello"), Mistake.PADDED_WITH_ZEROS),
    "no room": (serialize("", TOKEN, "hello"), Mistake.ROOM_MISSING),
    "the first stage": (b"\5alicehello", Mistake.FIRST_STAGE),
    "text alone": (b"alice: hello", Mistake.TEXT_ONLY),
    "JSON alone": (b'{"sender":"alice","message":"hello"}', Mistake.JSON_DATAGRAM),
    "JSON with the token": (b'{"room":"den","token":"' + RAW + b'"}', Mistake.JSON_DATAGRAM),
    "a header": (frame(b"", 1, 2, b"")[:32] + RIGHT, Mistake.HEADER_BEFORE_DATAGRAM),
    "a request": (request(CLASSIC), Mistake.REQUEST_BY_UDP),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00", Mistake.TLS_BY_UDP),
    "DTLS": (b"\x16\xfe\xfd" + bytes(10) + b"\x6f\x01" + bytes(90), Mistake.TLS_BY_UDP),
    "too long": (serialize("den", TOKEN, "") + b"x" * 5_000, Mistake.DATAGRAM_CUT),
    "not UTF-8": (RIGHT + b"\xff\xff.", Mistake.TEXT_NOT_UTF8),
    "UTF-16": (serialize("den", TOKEN, "h\0e\0y\0"), Mistake.TEXT_NOT_UTF8_BUT),
    "cp932": (RIGHT + "こんにちは".encode("cp932"), Mistake.TEXT_NOT_UTF8_BUT),
    "a zero at the end": (RIGHT + b"\0", Mistake.TEXT_ENDS_IN_ZERO),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_named(mistake: str) -> None:
    data, called = WRONG[mistake]
    assert named(data)[0] is called


@pytest.mark.parametrize("room", ["room1", "lab2", "cafe"])
def test_a_cut_token_is_named_behind_a_room_whose_name_ends_like_one(room: str) -> None:
    for token in (TOKEN[:-1], TOKEN[1:]):
        assert named(serialize(room, token, "alice: hello"), lambda _: None)[0] is Mistake.TOKEN_CUT


def test_a_token_of_another_server_is_unknown_behind_a_room_whose_name_ends_like_one() -> None:
    assert named(serialize("cafe", OTHER, "hello"))[0] is Mistake.TOKEN_UNKNOWN


def test_each_mistake_has_words_of_its_own() -> None:
    """Those that are the same mistake, seen from the server, have the same words."""
    words: dict[str, list[str]] = {}
    for mistake, (data, _) in WRONG.items():
        words.setdefault("; ".join(each.text() for each in datagram_hints(data, whose)), []).append(mistake)
    assert sorted(same for same in words.values() if len(same) > 1) == [
        ["JSON alone", "JSON with the token"],
        ["TLS", "DTLS"],
        ["a token that was cut", "a token without its first byte"],
        [
            "each size before its field",
            "each size before its field, the user first",
            "each size before its field, an unknown token",
        ],
        ["no sizes", "a token alone"],
        ["no token size", "no room size"],
        ["nothing", "one byte"],
        ["sizes of four bytes", "sizes of four bytes, little-endian"],
        ["token before room", "all swapped"],
        ["token size 255", "a token filled with zeros"],
        ["token size too large", "a token with a line feed"],
    ]


@pytest.mark.parametrize("text", ["", "hello", "こんにちは", "/who", "a\nb"])
def test_a_right_datagram_has_no_mistake(text: str) -> None:
    assert named(serialize("den", TOKEN, text)) == []
    assert named(serialize(" den ", TOKEN, text)) == []


def test_a_room_that_ends_in_a_space_has_its_sizes_together() -> None:
    assert named(serialize("den ", TOKEN, "hello"), lambda _: None) == [Mistake.TOKEN_UNKNOWN]


def test_a_room_size_in_characters_is_accepted_and_said() -> None:
    raw = b"\3" + serialize("部屋1", TOKEN, "hello")[1:]
    assert named(raw, lambda token: Known("部屋1".encode(), TCRP, b"alice") if token == RAW else None) == [
        Mistake.ROOM_SIZE_IN_CHARACTERS
    ]


def test_a_text_that_is_not_the_dialects_json_is_named() -> None:
    def json_member(token: bytes) -> Known | None:
        return Known(b"den", TCRP_202, b"alice") if token == RAW else None

    assert named(RIGHT, json_member) == [Mistake.TEXT_NOT_JSON]
    assert named(serialize("den", TOKEN, '{"sender":"a","message":"b"}'), json_member) == []
    assert named(serialize("den", TOKEN, ""), json_member) == []
