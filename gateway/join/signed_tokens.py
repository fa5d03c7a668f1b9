"""Verify signed tokens (JWT) that a website issues to its users; PROTOCOL.md, "Trust".

A signed token contains its bearer's name, rooms and rights; the gateway has no accounts of its own. It is not the
token that a member's datagrams carry (`session_tokens.py`). `now` is seconds since 1970, as in the tokens.
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from tsudoi.protocol import names
from tsudoi.protocol.client.signed_token import is_signed_token
from tsudoi.protocol.codes import Operation, Rights
from tsudoi.protocol.errors import InvalidName, MalformedMessage, WrongPassword
from tsudoi.protocol.names import UserName
from tsudoi.protocol.untrusted import PARSE_ERRORS

if TYPE_CHECKING:
    from .token_keys import TokenKeys

AUDIENCE = "tsudoi"
WEBHOOK_AUDIENCE = "tsudoi-webhook"
"""Of tokens that admit to posting by webhook: such a token admits to no room, and a token that does, does not post."""
LEEWAY_S = 30.0
"""How far the issuer's clock may differ from ours."""
FAR_S = 100 * 365.25 * 86_400
"""How far away a time in a token may be. The usual mistake is milliseconds, which would never expire."""
MAX_TOKEN = 4_096
"""Bytes; more than any token needs. Also bounds the number of rooms in it."""


class TokenNotFor(WrongPassword):
    """The token is genuine and holds, but does not give the right that is asked for."""


class Claims(msgspec.Struct, gc=False):
    """The claims that are read; others are ignored."""

    exp: float
    """When it expires, in seconds since 1970."""
    nbf: float = 0.0
    aud: str | list[str] = AUDIENCE
    name: str = ""
    sub: str = ""
    """The name, if `name` is missing."""
    rooms: list[str] | None = None
    """Room names, in which `*` stands for any characters. None: every room."""
    create: bool = False
    moderator: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """The values with which the directory is asked."""

    user: UserName
    password: str | None
    """The room's password."""
    rights: Rights


_decoder = msgspec.json.Decoder(Claims)


class TokenVerifier:
    """Decides with which name and rights a client may ask to enter a room."""

    def __init__(self, keys: "TokenKeys", required: bool) -> None:
        """Accept tokens signed with `keys`; if they are `required`, refuse a client without one."""
        self._keys = keys
        self._required = required

    def change(self, keys: "TokenKeys", required: bool) -> bool:
        """Accept only these keys from now on; return whether they differ. Members stay in their rooms."""
        before, self._keys, self._required = self._keys, keys, required
        return keys != before

    def identify_untrusted(
        self, operation: Operation, room: str, user: str, password: str | None, now: float
    ) -> Identity:
        """Return the name, room password and rights with which a client enters.

        A signed token may stand in the place of `user`, or in front of `password` with a space between them; `room` is
        in normal form.

        Raises:
            WrongPassword: the token is missing, not valid, or not for this room or operation; the text says which.
            MalformedMessage: the token can not be read.
            InvalidName: the name breaks the rules for names.
        """
        first, _, rest = (password or "").partition(" ")
        if is_signed_token(user):
            token, user = user, ""
        elif is_signed_token(first):
            token, password = first, rest or None
        elif self._required:
            raise WrongPassword("a token is needed here")
        else:
            return Identity(names.user_name(user), password, Rights(0))
        claims = self._claims_untrusted(token, now, AUDIENCE)
        _check_room(claims, room)
        if operation is Operation.CREATE and not claims.create:
            raise TokenNotFor("the token is not for creating rooms")
        signed_name = claims.name or claims.sub
        rights = Rights.VERIFIED if signed_name else Rights(0)
        if claims.moderator:
            rights |= Rights.MODERATOR
        return Identity(names.user_name(signed_name or user), password, rights)

    def webhook_untrusted(self, token: str, room: str, now: float) -> UserName | None:
        """Return the name with which the bearer of a token posts in a room; None if the token has no name.

        Raises:
            TokenNotFor: the token is not for posting, or not for this room.
            WrongPassword, MalformedMessage, InvalidName: as `identify_untrusted`.
        """
        claims = self._claims_untrusted(token, now, WEBHOOK_AUDIENCE)
        _check_room(claims, room)
        signed_name = claims.name or claims.sub
        return names.user_name(signed_name) if signed_name else None

    def _claims_untrusted(self, token: str, now: float, audience: str) -> Claims:
        if len(token) > MAX_TOKEN:
            raise MalformedMessage(f"the token has more than {MAX_TOKEN} bytes")
        raw = self._keys.verify_untrusted(token)
        try:
            claims = _decoder.decode(raw)
        except PARSE_ERRORS as exc:
            raise MalformedMessage(f"the token's claims are not as they must be: {exc}") from exc
        for claim, at in (("exp", claims.exp), ("nbf", claims.nbf)):
            if at > now + FAR_S:
                raise WrongPassword(f"the token's {claim} is centuries away: it counts seconds, not milliseconds")
        if now >= claims.exp + LEEWAY_S:
            raise WrongPassword("the token has expired")
        if now < claims.nbf - LEEWAY_S:
            raise WrongPassword("the token does not hold yet")
        if audience not in ([claims.aud] if isinstance(claims.aud, str) else claims.aud):
            if audience == AUDIENCE:
                raise TokenNotFor("the token is for another service")
            raise TokenNotFor(f'the token is not for posting: its "aud" must contain "{audience}"')
        return claims


def _check_room(claims: Claims, room: str) -> None:
    if claims.rooms is None:
        return
    for pattern in claims.rooms:
        try:
            wanted = names.room_name(pattern)
        except InvalidName as exc:
            raise MalformedMessage(f"the token's rooms: {exc}") from exc
        # fnmatch gives `[` and `?` a meaning too, but a room may be called "[a]" or "what?".
        if fnmatchcase(room, re.sub(r"([\[?])", r"[\1]", wanted)):
            return
    raise TokenNotFor("the token is not for this room")


def load_verifier(
    public: Path | None, secret: Path | None, auth: Literal["off", "optional", "required"]
) -> TokenVerifier:
    """Return a verifier with the keys in `--auth-key`'s and `--auth-secret`'s files; raises what `load_keys` raises."""
    return TokenVerifier(load_keys(public, secret), required=auth == "required")


def load_keys(public: Path | None, secret: Path | None) -> "TokenKeys":
    """Return the keys in both files; raises what `token_keys.load_keys` raises."""
    # Here, since it imports a library that gateways without signed tokens do not need.
    from . import token_keys

    return token_keys.load_keys(public, secret)
