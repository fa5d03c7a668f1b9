"""Find what may be wrong with a payload of JSON: where it breaks off, and which keys a dialect misses."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tsudoi.protocol.client.dialect import Dialect, PortPlace, RequestForm
from tsudoi.protocol.client.dialects import DIALECTS, TSUDOI
from tsudoi.protocol.client.handshake import announced_port, is_meant_as_object
from tsudoi.protocol.client.recognise import Rule
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.untrusted import json_or_none, parse_json_untrusted

from .mistakes import Hint, Mistake, hint

_BOM = b"\xef\xbb\xbf"
_SINGLE_QUOTES = re.compile(rb"\s*\{\s*'")
_KEYS, _KEY_SIZE = 6, 24
"""Keys that a hint names, and characters of each."""
USER_KEYS = tuple(dict.fromkeys(each.user_key for each in DIALECTS.values() if each.request is RequestForm.JSON_OBJECT))
_ALIASES = {"user": "username", "nick": "name", "nickname": "name", "pass": "password", "pwd": "password"}
_ALIASES |= {"passwd": "password", "pw": "password", "udpport": "udp_port", "roompassword": "password"}


def is_json(raw: bytes) -> bool:
    """Return whether the bytes are a JSON object or string."""
    return isinstance(json_or_none(raw), dict | str)


def json_hints(dialect: Dialect, payload: bytes, rule: Rule | None) -> Iterator[Hint]:
    """Yield what is wrong with the payload of a dialect that sends JSON; `rule`: how `auto` chose it."""
    is_object = dialect.request is RequestForm.JSON_OBJECT
    if is_object and not is_meant_as_object(payload):
        if not dialect.bare_name:
            yield hint(Mistake.PLAIN_FOR_JSON, dialect=dialect.name)
        return
    try:
        value = parse_json_untrusted(payload)
    except MalformedMessage as exc:
        yield _not_json(dialect, payload, exc)
        return
    if not isinstance(value, dict if is_object else str):
        yield hint(Mistake.PLAIN_FOR_JSON, dialect=dialect.name)
    elif isinstance(value, dict):
        yield from _keys(dialect, value, rule)


def _not_json(dialect: Dialect, payload: bytes, exc: MalformedMessage) -> Hint:
    if payload.startswith(_BOM):
        return hint(Mistake.BYTE_ORDER_MARK)
    if _SINGLE_QUOTES.match(payload):
        return hint(Mistake.SINGLE_QUOTES)
    if dialect.request is RequestForm.JSON_STRING and payload[:1] not in (b'"', b"{"):
        return hint(Mistake.PLAIN_FOR_JSON, dialect=dialect.name)
    # msgspec says where: "JSON is malformed: expected ',' or '}' (byte 17)". It quotes characters of JSON only.
    where = str(exc.__cause__ or exc)
    return hint(Mistake.NOT_JSON, where=where.removeprefix("JSON is malformed: "))


def _keys(dialect: Dialect, fields: dict[str, Any], rule: Rule | None) -> Iterator[Hint]:
    found = _named(fields)
    if dialect.user_key not in fields:
        yield _no_user(dialect, fields, rule, found)
    elif not isinstance(fields[dialect.user_key], str):
        yield hint(Mistake.VALUE_NOT_TEXT, key=f'"{dialect.user_key}"')
    if dialect.password_key:
        password = fields.get(dialect.password_key)
        if password is not None and not isinstance(password, str):
            yield hint(Mistake.VALUE_NOT_TEXT, key=f'"{dialect.password_key}"')
        elif dialect.password_key not in fields and (misspelt := _misspelt(fields, dialect.password_key)):
            yield misspelt
    if dialect.port is PortPlace.KEY:
        if dialect.port_key not in fields:
            yield hint(Mistake.KEY_MISSING, wanted=f'"{dialect.port_key}"', found=found)
        elif announced_port(fields[dialect.port_key]) is None:
            yield hint(Mistake.PORT_IGNORED, key=f'"{dialect.port_key}"')


def _no_user(dialect: Dialect, fields: dict[str, Any], rule: Rule | None, found: str) -> Hint:
    if rule is not Rule.BRACE:
        wanted = dialect.user_key
        return _misspelt(fields, wanted) or hint(Mistake.KEY_MISSING, wanted=f'"{wanted}"', found=found)
    if TSUDOI.user_key in fields:
        return hint(Mistake.KEY_MISSING, wanted=f'"{TSUDOI.marker_key}"', found=found)
    known = ", ".join(f'"{key}"' for key in USER_KEYS)
    return _misspelt(fields, *USER_KEYS, aliases={}) or hint(Mistake.NO_KNOWN_KEYS, found=found, known=known)


def _named(fields: dict[str, Any]) -> str:
    keys = [f'"{key[:_KEY_SIZE]}"' for key in list(fields)[:_KEYS]]
    return ", ".join(keys) or "-"


def _misspelt(fields: dict[str, Any], *wanted: str, aliases: Mapping[str, str] = _ALIASES) -> Hint | None:
    """Return the first key that is nearly one of those wanted."""
    for key in fields:
        plain = key.lower().replace("_", "").replace("-", "").replace(" ", "")
        meant = [
            each
            for each in wanted
            if key != each and each.replace("_", "") in (plain, aliases.get(plain, "").replace("_", ""))
        ]
        if meant:
            right = " / ".join(f'"{each}"' for each in meant)
            return hint(Mistake.KEY_MISSPELT, found=f'"{key[:_KEY_SIZE]}"', wanted=right)
    return None
