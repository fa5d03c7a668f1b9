"""Decide on a webhook's request: from its head and body to a question to the broker, or a refusal.

`now` is monotonic seconds, `wall_now` seconds since 1970.
"""

import hashlib
import math
import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import msgspec

from tsudoi.ops.token_bucket import Buckets
from tsudoi.protocol import backbone, names
from tsudoi.protocol.client.datagram import MAX_UP
from tsudoi.protocol.client.downlink_encoder import fits_every_form
from tsudoi.protocol.client.lines import bound_lines
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.codes import Status
from tsudoi.protocol.errors import InvalidName, MalformedMessage, WrongPassword
from tsudoi.protocol.names import MAX_NAME_SIZE, TOKEN_SIZE, RoomName, UserName
from tsudoi.protocol.untrusted import PARSE_ERRORS

from ..counters import Counters
from ..join.password_attempts import PasswordAttempts, was_wrong
from ..join.quotas import rate_and_burst
from ..join.rate_keys import ADDRESSES, RateKeys
from ..join.signed_tokens import TokenNotFor, TokenVerifier
from ..settings import Settings
from .answers import Answer, Refusal, said

MAX_BODY = 32_768
"""Bytes of a request's body: the longest text with each character escaped in JSON, and a password."""
MAX_TEXT = MAX_UP - 2 - MAX_NAME_SIZE - TOKEN_SIZE
"""Bytes of a text: what a member's datagram can carry to the room with the longest name."""
MAX_KEY = 255
"""Characters of an Idempotency-Key."""
AWAY_S = 2
"""After how many seconds a client may try again when the broker is away."""

_PATH = re.compile(r"/rooms/([^/?#]+)/messages")
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]+) *", re.IGNORECASE)
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_USE = "there is only POST /rooms/ROOM/messages here, with ROOM percent-encoded"
_BEARER_IS_MISSING = "send the header 'Authorization: Bearer TOKEN' with a token for posting"


class _Message(msgspec.Struct):
    """The body of a request in JSON. Other keys are ignored."""

    text: str
    name: str | None = None
    password: str | None = None


_decoder = msgspec.json.Decoder(_Message)


@dataclass(frozen=True, slots=True)
class Head:
    """A request's line and headers; names of headers are in small letters."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()

    def values(self, name: str) -> list[str]:
        """Return the values of all headers with a name."""
        return [value for found, value in self.headers if found == name]


@dataclass(frozen=True, slots=True)
class Permit:
    """What is known once a head was found to be in order."""

    room: RoomName
    user: UserName | None
    """The name in the token; None: the body must give one."""
    is_json: bool
    key: str


@dataclass(slots=True, eq=False)
class Rules:
    """Decides on all webhook requests of a gateway."""

    settings: Settings
    counters: Counters
    verifier: TokenVerifier
    passwords: PasswordAttempts
    rate_keys: RateKeys
    _by_address: Buckets[str] = field(default_factory=lambda: Buckets(ADDRESSES))
    _by_name: Buckets[str] = field(default_factory=lambda: Buckets(ADDRESSES))
    _by_room: Buckets[str] = field(default_factory=lambda: Buckets(ADDRESSES))

    def read_head(self, head: Head, ip: str, now: float, wall_now: float) -> Permit:
        """Return what a head permits, or raise Refusal."""
        self._count_request(ip, now)
        room = _room_of(head)
        token = _token_of(head)
        try:
            user = self.verifier.webhook_untrusted(token, room, wall_now)
        except TokenNotFor as exc:
            raise Refusal(403, str(exc)) from exc
        except InvalidName as exc:
            raise Refusal(403, f"the token's name is no name: {exc}") from exc
        except (WrongPassword, MalformedMessage) as exc:
            challenge = 'Bearer error="invalid_token"'
            raise Refusal(401, f"{exc}: ask the issuer for a new one", www_authenticate=challenge) from exc
        return Permit(room, user, _is_json(head), _key_of_request(head))

    def read_body(self, permit: Permit, body: bytes, ip: str, now: float) -> backbone.Post:
        """Return the question to the broker, or raise Refusal. If it is asked, call `answered` once."""
        message = _message_of(body) if permit.is_json else _Message(_decoded(body))
        user, room = _user(permit, message), permit.room
        text = clean(message.text).rstrip("\n")
        if not text.strip():
            raise Refusal(400, "the text is empty")
        if len(text.encode()) > MAX_TEXT:
            raise Refusal(413, f"the text has {len(text.encode())} bytes, and {MAX_TEXT} at most are said: shorten it")
        if not fits_every_form(room, names.webhook_name(user), bound_lines(text)):
            raise Refusal(413, "the text is too long for dialects with JSON, which escape quotes: shorten it")
        password = message.password or None
        self._count_message(user, room, now)
        known_only = password is not None and not self.passwords.begin(ip, room, user, now)
        options = 0 if self.rate_keys.of(ip) else MemberOptions.SHARED_ADDRESS
        key = hashlib.sha256(b"\0".join((room.encode(), user.encode(), permit.key.encode()))).digest()[:16]
        return backbone.Post(room, user, text, key, password, ip.partition("%")[0], options, known_only)

    def answered(
        self, permit: Permit, post: backbone.Post, answer: backbone.Answer | None, ip: str, now: float
    ) -> Answer:
        """Return the answer to the client; `answer` is the broker's, None if none came in time."""
        if post.password and not post.known_only:
            self.passwords.end(ip, post.room, post.user, was_wrong(answer), now)
        match answer:
            case backbone.Posted(user, epoch, offset, True):
                return said(post.room, user, epoch, offset)
            case backbone.Posted():
                error = "another text was said with this Idempotency-Key: a new message needs a new key"
                return Refusal(422, error).answer
            case backbone.Refused(Status.ROOM_NOT_FOUND):
                return Refusal(404, "there is no such room; a webhook creates none").answer
            case backbone.Refused(Status.WRONG_PASSWORD):
                how = "is wrong" if post.password else 'is needed: send JSON with "text" and "password"'
                return Refusal(403, f"the room's password {how}").answer
            case backbone.Refused(Status.BAD_REQUEST, detail):
                return Refusal(403, detail or "the room does not take this").answer
            case backbone.Refused() if post.known_only:
                return Refusal(429, "too many wrong passwords: send it again later", retry_after="60").answer
            case backbone.Refused():
                return Refusal(503, "busy: nothing was said, send it again later", retry_after=str(AWAY_S)).answer
        error = (
            "the broker does not answer: whether this was said is not known."
            f" Send it again with the header 'Idempotency-Key: {permit.key}', and it is said once"
        )
        return Refusal(503, error, retry_after=str(AWAY_S)).answer

    def _count_request(self, ip: str, now: float) -> None:
        rate, key = self.settings.address_rate, self.rate_keys.of(ip)
        if key and not self._by_address.touch(key, now, *rate_and_burst(rate)):
            raise _too_fast("your address asks", rate)

    def _count_message(self, user: str, room: str, now: float) -> None:
        settings = self.settings
        if not self._by_name.touch(user, now, settings.rate, settings.burst):
            raise _too_fast(f"{user} speaks", settings.rate)
        if not self._by_room.touch(room, now, settings.room_rate, 2.0 * settings.room_rate):
            raise _too_fast("webhooks speak in this room", settings.room_rate)


def _too_fast(what: str, rate: float) -> Refusal:
    error = f"{what} too often: nothing was said, send it again later"
    return Refusal(429, error, retry_after=str(max(1, math.ceil(1.0 / rate))))


def _room_of(head: Head) -> RoomName:
    path, question, _ = head.target.partition("?")
    found = _PATH.fullmatch(path)
    if found is None:
        raise Refusal(404, _USE)
    if head.method != "POST":
        raise Refusal(405, _USE, allow="POST")
    if question:
        raise Refusal(
            400, "the address may have no '?': the token belongs into the header 'Authorization: Bearer TOKEN'"
        )
    try:
        return names.room_name(unquote_to_bytes(found[1]).decode())
    except UnicodeDecodeError as exc:
        raise Refusal(400, "the room's name is not percent-encoded UTF-8") from exc
    except InvalidName as exc:
        raise Refusal(400, str(exc)) from exc


def _token_of(head: Head) -> str:
    values = head.values("authorization")
    if not values:
        raise Refusal(401, _BEARER_IS_MISSING, www_authenticate="Bearer")
    found = _BEARER.fullmatch(values[0])
    if len(values) > 1 or found is None:
        raise Refusal(401, _BEARER_IS_MISSING, www_authenticate='Bearer error="invalid_request"')
    return found[1]


def _is_json(head: Head) -> bool:
    """Return whether the body is JSON, else it is plain text; raise Refusal if it is neither."""
    kind, *parameters = [part.strip().casefold() for part in ";".join(head.values("content-type")).split(";")]
    charsets = [
        value.strip('"') for name, _, value in (each.partition("=") for each in parameters) if name == "charset"
    ]
    if any(each not in ("utf-8", "utf8", "us-ascii") for each in charsets):
        raise Refusal(415, "the text must be UTF-8: send 'Content-Type: text/plain; charset=utf-8'")
    if any(each.strip().casefold() != "identity" for each in head.values("content-encoding")):
        raise Refusal(415, "send the body without Content-Encoding")
    if kind not in ("text/plain", "application/json"):
        raise Refusal(415, "send the header 'Content-Type: text/plain', or 'application/json' with {\"text\": \"…\"}")
    return kind == "application/json"


def _key_of_request(head: Head) -> str:
    values = head.values("idempotency-key")
    if not values:
        return secrets.token_hex(16)
    if len(values) > 1 or len(values[0]) > MAX_KEY or not _KEY.fullmatch(values[0]):
        raise Refusal(400, f"the Idempotency-Key must be one text of 1 to {MAX_KEY} ASCII characters")
    return values[0]


def _message_of(body: bytes) -> _Message:
    try:
        return _decoder.decode(body)
    except PARSE_ERRORS as exc:
        raise Refusal(400, f'the body is not JSON with "text", and perhaps "name" and "password": {exc}') from exc


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise Refusal(400, f"the text is not UTF-8: byte {exc.start + 1} is wrong") from exc


def _user(permit: Permit, message: _Message) -> UserName:
    try:
        named = None if message.name is None else names.user_name(message.name)
    except InvalidName as exc:
        raise Refusal(400, str(exc)) from exc
    if permit.user is None and named is None:
        raise Refusal(400, 'the token has no name: send JSON with "text" and "name"')
    if permit.user is not None and named not in (None, permit.user):
        raise Refusal(403, f'the token is for the name {permit.user}: leave out "name"')
    return permit.user or named  # type: ignore[return-value]
