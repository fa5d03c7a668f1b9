"""Decode arbitrary bytes from outside with msgspec."""

from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from tsudoi.protocol.errors import MalformedMessage

PARSE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Everything that a msgspec decoder raises, whatever the bytes."""

Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**47)]
"""A time since 1970, until the year 6429: Python's `datetime` has it in every time zone."""

_T = TypeVar("_T")


def decode_untrusted(decoder: msgspec.msgpack.Decoder[_T], raw: bytes | memoryview, what: str) -> _T:
    """Return what `raw` decodes to, or raise MalformedMessage; `what` names in the error what it should have been."""
    try:
        return decoder.decode(raw)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"not {what}: {exc}") from exc


def parse_json_untrusted(raw: bytes, what: str = "the text") -> Any:
    """Return the JSON value in `raw`, or raise MalformedMessage; `what` names `raw` in the error."""
    try:
        return msgspec.json.decode(raw)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"{what} is not JSON") from exc


def json_or_none(raw: bytes) -> Any:
    """Return the JSON value in `raw`, None if it is none (or is null)."""
    try:
        return parse_json_untrusted(raw)
    except MalformedMessage:
        return None
