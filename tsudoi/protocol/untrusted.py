"""Decode JSON from outside, and know everything that msgspec raises for hostile bytes."""

from typing import Any

import msgspec

from tsudoi.protocol.errors import MalformedMessage

PARSE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Everything that a msgspec decoder raises, whatever the bytes."""


def parse_json_untrusted(raw: bytes, what: str = "the text") -> Any:
    """Return the JSON value in `raw`; `what` names it in the error.

    Raises:
        MalformedMessage: `raw` is not JSON in UTF-8, or nests too deeply.
    """
    try:
        return msgspec.json.decode(raw)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"{what} is not JSON") from exc
