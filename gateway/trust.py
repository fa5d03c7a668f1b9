"""Who may come in as whom: signed tokens that a website issued; PROTOCOL.md, "Trust".

Accounts are not ours, but what another vouches for can be checked. `now` is seconds since 1970, as in the tokens.
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import msgspec

from tsudoi.protocol import names
from tsudoi.protocol.codes import Operation, Rights
from tsudoi.protocol.errors import InvalidName, MalformedMessage, WrongPassword
from tsudoi.protocol.names import UserName

AUDIENCE = "tsudoi"
LEEWAY_S = 30.0
"""The issuer's clock may be so far from ours."""
MAX_TOKEN = 4_096
"""Bytes: more than any token needs."""
MAX_ROOMS = 100

# A header in JSON begins with `{"`. An empty signature is one that is wrong, not a name.
_TOKEN = r"eyJ[A-Za-z0-9_-]{9,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
_LOOKS = re.compile(_TOKEN)
_SPOKEN = re.compile(rf"{_TOKEN} ?: ")


class Keys(Protocol):
    """What checks signatures: `gateway.keys.Keys`."""

    @property
    def digest(self) -> bytes:
        """Return what other keys have another of."""

    def verify_untrusted(self, token: str) -> bytes:
        """Return the claims, or raise MalformedMessage or WrongPassword."""


class Claims(msgspec.Struct, gc=False):
    """What a token says; what else is in it is passed over."""

    exp: float
    """Seconds since 1970 up to which one may come in with it."""
    nbf: float = 0.0
    aud: str | list[str] = AUDIENCE
    name: str = ""
    sub: str = ""
    """Taken for the name where there is none."""
    rooms: list[str] | None = None
    """Names; `*` stands for anything. None: every room."""
    create: bool = False
    moderator: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the directory is asked with."""

    user: UserName
    password: str | None
    """The room's."""
    rights: Rights


_decoder = msgspec.json.Decoder(Claims)


class Gate:
    """Decides who may ask the directory for a room."""

    def __init__(self, keys: Keys, strangers: bool) -> None:
        """Trust what is signed with `keys`; let in who has no token only if `strangers` may."""
        self._keys = keys
        self._strangers = strangers

    def change_keys(self, keys: Keys) -> bool:
        """Trust these keys from now on, and no others; say whether they are others. Members who are in stay in."""
        before, self._keys = self._keys, keys
        return keys.digest != before.digest

    def admit_untrusted(self, operation: Operation, room: str, user: str, password: str | None, now: float) -> Admitted:
        """Return as whom somebody comes in.

        Args:
            operation: create or join.
            room: which, in normal form.
            user: the name in the handshake, or a token.
            password: the room's; or a token, and the room's after a space.
            now: seconds since 1970.

        Raises:
            WrongPassword: the token does not hold, or not for this, or there must be one; the text says which.
            MalformedMessage: it is no token of ours.
            InvalidName: the name is none.
        """
        named, _, rest = (password or "").partition(" ")
        if looks_like_token(user):
            token, user = user, ""
        elif looks_like_token(named):
            token, password = named, rest or None
        elif self._strangers:
            return Admitted(names.user_name(user), password, Rights(0))
        else:
            raise WrongPassword("a token is needed here")
        claims = self._claims_untrusted(token, now)
        _check_room(claims, room)
        if operation is Operation.CREATE and not claims.create:
            raise WrongPassword("the token is not for creating rooms")
        vouched = claims.name or claims.sub
        rights = Rights.VERIFIED if vouched else Rights(0)
        if claims.moderator:
            rights |= Rights.MODERATOR
        return Admitted(names.user_name(vouched or user), password, rights)

    def _claims_untrusted(self, token: str, now: float) -> Claims:
        if len(token) > MAX_TOKEN:
            raise MalformedMessage(f"the token has more than {MAX_TOKEN} bytes")
        raw = self._keys.verify_untrusted(token)
        try:
            claims = _decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise MalformedMessage(f"the token's claims are not as they must be: {exc}") from exc
        if now >= claims.exp + LEEWAY_S:
            raise WrongPassword("the token has expired")
        if now < claims.nbf - LEEWAY_S:
            raise WrongPassword("the token does not hold yet")
        if AUDIENCE not in ([claims.aud] if isinstance(claims.aud, str) else claims.aud):
            raise WrongPassword("the token is for another service")
        return claims


def _check_room(claims: Claims, room: str) -> None:
    if claims.rooms is None:
        return
    if len(claims.rooms) > MAX_ROOMS:
        raise MalformedMessage(f"the token names more than {MAX_ROOMS} rooms")
    for pattern in claims.rooms:
        try:
            wanted = names.room_name(pattern)
        except InvalidName as exc:
            raise MalformedMessage(f"the token's rooms: {exc}") from exc
        # Of a shell's signs only `*` means something: rooms may well be called [a] or what?
        if fnmatchcase(room, re.sub(r"([\[?])", r"[\1]", wanted)):
            return
    raise WrongPassword("the token is not for this room")


def looks_like_token(text: str) -> bool:
    """Say whether this has the form of a signed token, so that it is nobody's name and no room's password."""
    return text.startswith("eyJ") and _LOOKS.fullmatch(text) is not None


def without_token(text: str) -> str:
    """Return what a client said without a token in front of it.

    A client that writes its user's name there would tell the token to all.
    """
    if not text.startswith("eyJ"):
        return text
    spoken = _SPOKEN.match(text)
    return text[spoken.end() :] if spoken else text
