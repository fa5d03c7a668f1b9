"""Decode the server's replies on TCP, for a client of any dialect; PROTOCOL.md, "Handshake".

`handshake.py` encodes replies from a dialect's `Reply` templates; this file matches replies with the same templates.
A reply arrives in any number of segments: feed a reader each of them until it returns a result.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tsudoi.protocol.client.dialect import Dialect, Reply
from tsudoi.protocol.client.handshake import LIST_LIMIT, REASONS
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.templates import template_pattern
from tsudoi.protocol.codes import Operation, Status
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import MAX_NAME_SIZE, looks_like_token
from tsudoi.protocol.untrusted import parse_json_untrusted

ANSWER_LIMIT = 65536
"""Bytes of one frame's body; known servers send a few hundred."""
ROOMS_LIMIT = 16 * 1024 * 1024
"""Bytes of a room list in a frame: 65,000 rooms with names of the maximum size."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The server has accepted the request."""

    token: str
    user: str | None
    """The assigned name; None if the dialect does not send it."""


@dataclass(frozen=True, slots=True)
class HandshakeRefused:
    """The server has refused the request."""

    status: Status | None
    """None if the dialect does not send the reason."""
    reason: str
    """Words for a person; may be empty."""


class FrameReader:
    """Collects bytes and returns whole frames."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._header: Header | None = None

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next_untrusted(self, header_only: bool = False) -> tuple[Header, bytes] | None:
        """Return the next frame as (header, payload), or None if it is incomplete.

        A `header_only` frame has no body, whatever sizes its header has.

        Raises:
            MalformedMessage: the header promises more bytes than the limit.
        """
        if self._header is None:
            if len(self._buffer) < HEADER_SIZE:
                return None
            self._header = Header.parse_untrusted(bytes(self._buffer[:HEADER_SIZE]))
            del self._buffer[:HEADER_SIZE]
        header = self._header
        size = 0 if header_only else header.body_size
        if size > self._limit:
            raise MalformedMessage(f"the answer promises {size} bytes")
        if len(self._buffer) < size:
            return None
        payload = bytes(self._buffer[header.room_size : size])
        del self._buffer[:size]
        self._header = None
        return header, payload


class AnswerReader:
    """Reads the reply to a create or join, up to the token or the refusal.

    Matches each frame with the dialect's `created` (or `joined`) and `refused` templates; the sequence that is complete
    first is the reply. If both match, the refusal wins, since any text could be a token.
    """

    def __init__(self, dialect: Dialect, operation: Operation) -> None:
        granted = dialect.created
        if operation is Operation.JOIN and dialect.joined is not None:
            granted = dialect.joined
        self._dialect = dialect
        self._granted = granted
        self._may_be_granted = True
        self._may_be_refused = True
        self._read = 0
        self._values: dict[str, Any] = {}
        self._objections: dict[str, Any] = {}
        """Values of the refusal's frames so far, if this is a refusal."""
        self._bare = bytearray() if granted[0].state is None else None
        self._frames = FrameReader(ANSWER_LIMIT)

    @property
    def waits_for_silence(self) -> bool:
        """True if a reply without a header has begun: only silence or the end shows that it is complete."""
        return bool(self._bare)

    def feed_untrusted(self, data: bytes) -> Granted | HandshakeRefused | None:
        """Add received bytes; return the result when the reply is complete, or raise MalformedMessage."""
        if self._bare is not None:
            self._bare += data
            if len(self._bare) > ANSWER_LIMIT:
                raise MalformedMessage("the answer has no end")
            found = _match(self._dialect, self._granted[0], (), None, bytes(self._bare))
            token = "" if found is None else found["token"]
            return Granted(token, None) if looks_like_token(token.encode()) else None
        self._frames.feed(data)
        while True:
            here = self._granted[self._read : self._read + 1] or self._dialect.refused[self._read :]
            frame = self._frames.next_untrusted(here[0].header_only)
            if frame is None:
                return None
            answer = self._judge(*frame)
            self._read += 1
            if answer is not None:
                return answer

    def settle_untrusted(self) -> Granted | HandshakeRefused:
        """Return the result, at the connection's end or after silence; raise MalformedMessage if there is none."""
        answer = self._judge(None, bytes(self._bare)) if self._bare else None
        if answer is None:
            raise MalformedMessage("the connection ended before the answer")
        return answer

    def _judge(self, header: Header | None, payload: bytes) -> Granted | HandshakeRefused | None:
        dialect, at = self._dialect, self._read
        if self._may_be_refused and at < len(dialect.refused):
            last = at + 1 == len(dialect.refused)
            states: Collection[int | None] = set(dialect.refused_states.values()) if last else ()
            found = _match(dialect, dialect.refused[at], states, header, payload)
            self._may_be_refused = found is not None and _says_no(dialect, found)
            if found is not None and self._may_be_refused:
                self._objections |= found
                if last:
                    return _refusal(dialect, header, self._objections)
        if self._may_be_granted and at < len(self._granted):
            found = _match(dialect, self._granted[at], (), header, payload)
            self._may_be_granted = found is not None and found.get("status", 0) == Status.OK
            if found is not None and self._may_be_granted:
                self._values |= found
                return self._grant() if at + 1 == len(self._granted) else None
        if not self._may_be_refused:
            raise MalformedMessage("not a reply of this dialect")
        return None

    def _grant(self) -> Granted:
        token = self._values.get("token", "")
        # Each datagram has one byte for the token's size; and control characters in a token could break a log.
        if not (0 < len(token) <= MAX_NAME_SIZE and token.isascii() and token.isprintable()):
            raise MalformedMessage("the token is empty, too long or not plain text")
        return Granted(token, self._values.get("user"))


class RoomsReader:
    """Reads the reply to H32(0, 2, 0, 0): room names, joined by commas."""

    def __init__(self) -> None:
        self._frames = FrameReader(ROOMS_LIMIT)

    def feed_untrusted(self, data: bytes) -> list[str] | None:
        """Add received bytes; return the room names when the reply is complete, or raise MalformedMessage."""
        self._frames.feed(data)
        frame = self._frames.next_untrusted()
        if frame is None:
            return None
        return [name for name in _text(frame[1]).split(",") if name]


class JoinListReader:
    """Reads the room list in a `classic` join: Python's `str(list)`, without a header."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def waits_for_silence(self) -> bool:
        """True if a refusal has begun in place of the list: only silence or the end shows that it is complete."""
        return self._buffer.startswith(b"E")

    def feed_untrusted(self, data: bytes) -> list[str] | None:
        """Add received bytes; return the room names when the list is complete, or raise MalformedMessage."""
        self._buffer += data
        if len(self._buffer) > LIST_LIMIT:
            raise MalformedMessage("the room list has no end")
        if not self._buffer.startswith((b"[", b"E")):
            raise MalformedMessage("the room list is no list")
        return parse_join_list_untrusted(bytes(self._buffer)) if self._buffer.endswith(b"]") else None

    def settle_untrusted(self) -> HandshakeRefused:
        """Return the refusal in place of the list, at the connection's end or after silence; raise MalformedMessage."""
        word, _, reason = _text(bytes(self._buffer)).partition(": ")
        if word != "ERROR":
            raise MalformedMessage("the connection ended before the room list")
        return HandshakeRefused(_status_of(reason), reason)


# One string as Python's `repr` writes it, in either kind of quotes, with its escapes.
_QUOTED = r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\""
_JOIN_LIST = re.compile(rf"\[(?:(?:{_QUOTED})(?:, (?:{_QUOTED}))*)?\]", re.DOTALL)
_ITEM = re.compile(_QUOTED, re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}


def parse_join_list_untrusted(raw: bytes) -> list[str] | None:
    """Return the names in Python's `str(list)`, or None if `raw` is not one complete list.

    Does not use Python's own parser, since hostile input can make that run out of stack.
    """
    try:
        text = raw.decode()
        if _JOIN_LIST.fullmatch(text) is None:
            return None
        rooms = [_ESCAPE.sub(_unescape, item[1] or item[2] or "") for item in _ITEM.finditer(text)]
        "".join(rooms).encode()
    except (ValueError, OverflowError):
        # Not UTF-8, or an escape that is not a character.
        return None
    return rooms


def _unescape(found: re.Match[str]) -> str:
    digits = found[1] or found[2] or found[3]
    return chr(int(digits, 16)) if digits else _LETTERS.get(found[4], found[4])


def _match(
    dialect: Dialect, reply: Reply, states: Collection[int | None], header: Header | None, payload: bytes
) -> dict[str, Any] | None:
    """Return the values of the placeholders in `reply`, or None if the frame does not match it."""
    if header is not None and header.state not in (states or (reply.state,)):
        return None
    if reply.header_only:
        return {}
    if reply.status_byte:
        return {"status": payload[0]} if len(payload) == 1 else None
    if reply.json is not None:
        return _match_json(reply.json, payload)
    found = template_pattern(reply.text, tuple(dialect.words.values())).fullmatch(_text(payload))
    return None if found is None else found.groupdict()


def _match_json(wanted: Mapping[str, str | int], payload: bytes) -> dict[str, Any] | None:
    try:
        value = parse_json_untrusted(payload)
    except MalformedMessage:
        return None
    if not isinstance(value, dict):
        return None
    found: dict[str, Any] = {}
    for key, expected in wanted.items():
        got = value.get(key)
        if isinstance(expected, int):
            if got != expected:
                return None
            continue
        name = expected.strip("{}")
        if not isinstance(got, int if name in ("status", "code") else str):
            return None
        found[name] = got
    return found


def _says_no(dialect: Dialect, found: Mapping[str, Any]) -> bool:
    """Return whether these values can be a refusal's: some dialects put success and failure in the same field."""
    if "code" in found:
        return _key_of(dialect.codes, found["code"]) not in (None, Status.OK)
    return "status" not in found or found["status"] != Status.OK


def _refusal(dialect: Dialect, header: Header | None, found: Mapping[str, Any]) -> HandshakeRefused:
    """Return the refusal, with its status from the most exact field that the frames have."""
    reason = str(found.get("reason", ""))
    status: Status | None = None
    if "status" in found:
        status = next((status for status in Status if status == found["status"]), None)
    elif "code" in found:
        status = _key_of(dialect.codes, found["code"])
    elif "word" in found:
        status = _key_of(dialect.words, found["word"])
    if status is None:
        status = _status_of(reason)
    if status is None and header is not None:
        status = _key_of(dialect.refused_states, header.state)
    return HandshakeRefused(status, reason)


def _status_of(reason: str) -> Status | None:
    """Return the status whose words `reason` begins with."""
    return next((status for status, words in REASONS.items() if status and reason.startswith(words)), None)


def _key_of(mapping: Mapping[Status, Any], value: Any) -> Status | None:
    return next((status for status, spelled in mapping.items() if spelled == value), None)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise MalformedMessage("the answer is not UTF-8") from exc
