"""Hypothesis strategies for client input: texts, names, requests and datagrams, well-formed and malformed.

Each is made once: some are asked for with every example, and to make one costs more than to draw from it.
"""

import json
import types
import typing
import unicodedata
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from tsudoi.protocol.backbone import Wire
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.header import Header
from tsudoi.protocol.names import MAX_NAME_SIZE, SERVER_NAME, cut

TOKENS = st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}")

# One row per kind of trouble: widths of 1 to 4 bytes, marks that compose, joiners, quotes for `repr` and JSON, commas
# for lists, a byte order mark, right-to-left, white space of all sorts.
_CHARACTERS = (
    "abcXYZ0189",
    "あいうえおアリス部屋集い日本語（）、。",
    "éüßñ¿λЖ",
    "😀🎉👩🏽\u200d💻🇯🇵𠮷",
    "か\u3099\u309aa\u0301\u0323\u0308",
    "'\"\\{}[]%,:;/#@!?",
    "\ufeff\u200b\u00ad\u3164\ufffd",
    "אבעربي",
    " \t\n\u3000\u00a0",
)
_CONTROLS = "\x00\x07\x08\x1b\x7f\x80\x9b\r\u2028\u2029\u202e\u2066\u200f\x1c"

CHARACTERS = st.one_of(*(st.sampled_from(row) for row in _CHARACTERS), st.characters(codec="utf-8"))


@cache
def texts(max_size: int = 60) -> st.SearchStrategy[str]:
    """Anything that UTF-8 can carry, mostly what people type in several scripts."""
    return st.text(st.one_of(CHARACTERS, st.sampled_from(_CONTROLS)), max_size=max_size)


@cache
def long_texts() -> st.SearchStrategy[str]:
    """Texts around the size of a datagram; mostly one character or phrase over and over, so that they are cheap."""
    return st.builds(
        lambda start, phrase, count, end: start + phrase * (count // max(1, len(phrase.encode()))) + end,
        texts(5),
        st.text(CHARACTERS, min_size=1, max_size=4),
        st.integers(3700, 4300),
        texts(5),
    )


@cache
def wild_names() -> st.SearchStrategy[str]:
    """Strings that may or may not do as a name, lone surrogates and sizes around the limit among them."""
    return st.one_of(
        texts(20),
        st.text(st.characters(), max_size=20),
        st.builds(lambda unit, count: unit * count, st.text(CHARACTERS, min_size=1, max_size=3), st.integers(0, 300)),
    )


@cache
def names() -> st.SearchStrategy[str]:
    """Names in normal form, as the server assigns them to members: its own is not among them."""
    plain = st.characters(codec="utf-8", categories=("L", "N", "P", "S"))
    wide = st.sampled_from("あアリス部屋集日本語😀🇯🇵é𠮷'\"\\,{}")
    text = st.text(st.one_of(st.sampled_from("abcdefgh"), wide, plain), min_size=1, max_size=12)
    longest = st.sampled_from("a部é😀").map(lambda unit: cut(unit * MAX_NAME_SIZE, MAX_NAME_SIZE))
    composed = st.one_of(text, text, text, longest).map(lambda name: unicodedata.normalize("NFC", name))
    # U+3164 is a letter to Unicode, and U+2800 a symbol. A wide colon or a lone star is in no user's name.
    return composed.filter(
        lambda name: (
            set(name) - set("\u115f\u1160\u2800\u3164\uffa0\U0001d159*\uff0a\u2217\ufe61")
            and not set(name) & set("\uff1a\ufe55\ufe13")
            and name != SERVER_NAME
        )
    )


@cache
def dialects() -> st.SearchStrategy[Dialect]:
    return st.sampled_from(list(DIALECTS.values()))


@cache
def headers() -> st.SearchStrategy[Header]:
    return st.builds(
        Header,
        st.one_of(st.integers(0, 12), st.integers(0, 255)),
        st.one_of(st.sampled_from((1, 2)), st.integers(0, 255)),
        st.integers(0, 255),
        st.one_of(st.integers(0, 80), st.integers(0, 2**29)),
    )


@cache
def json_values() -> st.SearchStrategy[Any]:
    """Objects with the keys that dialects look for, and values that they do not expect."""
    keys = st.sampled_from(("username", "user_name", "name", "tsudoi", "password", "user_address", "port", "ip"))
    scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts(8), st.sampled_from(("50000", "x")))
    values = st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(keys, scalars, max_size=2))
    return st.one_of(values, st.dictionaries(keys, values, max_size=6), st.dictionaries(keys, values, max_size=6))


@cache
def payloads() -> st.SearchStrategy[bytes]:
    """Payloads of requests: plain, JSON, nearly JSON, nested without end, and bytes."""
    written = st.builds(
        lambda value, escaped: json.dumps(value, ensure_ascii=escaped).encode(errors="surrogatepass"),
        json_values(),
        st.booleans(),
    )
    return st.one_of(
        written,
        st.builds(lambda raw, size: raw[:size], written, st.integers(0, 80)),
        texts(20).map(str.encode),
        st.builds(lambda raw, port: raw.encode() + port, texts(8), st.binary(min_size=0, max_size=2)),
        st.binary(max_size=40),
        st.sampled_from(
            (
                b"[" * 20_000,
                b'{"username":' * 5_000,
                b'{"tsudoi":1,"name":' + b"9" * 5_000 + b"}",
                b'{"username":"\\ud800"}',
                b'{"username":"\\udc00\\ud800"}',
                b'"\\ud83d"',
                b'{"username":"\xed\xa0\x80"}',
                b'{"username":1e999}',
                b'\xef\xbb\xbf{"username":"alice"}',
            )
        ),
    )


@st.composite
def requests(draw: st.DrawFn) -> tuple[Header, bytes]:
    """A header and a body that often, not always, agree."""
    room = draw(st.one_of(texts(12).map(str.encode), st.binary(max_size=20)))
    payload = draw(payloads())
    body = room + payload + draw(st.one_of(st.just(b""), st.binary(max_size=5)))
    if draw(st.booleans()):
        return draw(headers()), body
    sizes = draw(st.sampled_from((bytes, str)))
    room_size = len(room if sizes is bytes else room.decode(errors="replace"))
    payload_size = len(payload if sizes is bytes else payload.decode(errors="replace"))
    return Header(min(room_size, 255), draw(st.integers(0, 3)), 0, payload_size), body


@cache
def datagrams() -> st.SearchStrategy[bytes]:
    """Datagrams up: with sizes that agree with what follows, with others, and plain bytes."""
    agreeing = st.builds(
        lambda room, token, text: bytes((len(room.encode()) % 256, len(token))) + room.encode() + token + text.encode(),
        texts(12),
        st.one_of(TOKENS.map(str.encode), st.binary(max_size=40)),
        texts(20),
    )
    wrong = st.builds(lambda a, b, rest: bytes((a, b)) + rest, st.integers(0, 255), st.integers(0, 255), agreeing)
    return st.one_of(st.binary(max_size=80), agreeing, wrong, long_texts().map(str.encode))


NUMBERS = st.integers(0, 2**63 - 1)


@cache
def values(kind: Any) -> st.SearchStrategy[Any]:
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case typing.Annotated:
            for meta in arguments[1:]:
                if getattr(meta, "min_length", None):
                    return st.binary(min_size=16, max_size=16)
                if getattr(meta, "le", None) is not None:
                    return st.integers(meta.ge or 0, meta.le)
            return values(arguments[0])
        case types.UnionType | typing.Union:
            return st.one_of(*map(values, arguments))
        case origin if origin is list:
            return st.lists(values(arguments[0]), max_size=4)
        case origin if origin is tuple and arguments[1:] == (...,):
            return st.lists(values(arguments[0]), max_size=4).map(tuple)
        case origin if origin is tuple:
            return st.tuples(*map(values, arguments))
    if isinstance(kind, type) and issubclass(kind, Wire):
        return messages(kind)
    plain = {
        int: NUMBERS,
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: texts(20),
        bytes: st.binary(max_size=20),
        bool: st.booleans(),
        type(None): st.none(),
    }
    return plain[kind]


@cache
def messages(kind: type[Wire]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{field.name: values(field.type) for field in msgspec.structs.fields(kind)})
