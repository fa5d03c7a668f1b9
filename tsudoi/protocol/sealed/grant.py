"""What a client of version 2 is granted in the handshake; PROTOCOL.md, "Handshake of version 2"."""

from typing import Annotated

import msgspec

from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.untrusted import PARSE_ERRORS, Milliseconds

from .lines import Number
from .packets import SESSION_SIZE
from .suites import CHECK_KEY_SIZE, KEY_SIZES, PLAIN


class EarlierLine(msgspec.Struct, frozen=True, rename={"offset": "n", "sender": "from", "text": "said", "at_ms": "at"}):
    """A message from before the join."""

    offset: Number
    sender: str
    text: str
    at_ms: Milliseconds
    """Milliseconds since 1970, UTC."""
    acted: bool = False
    """An action (`/me`)."""


class _Payload(msgspec.Struct, frozen=True):
    session: Annotated[str, msgspec.Meta(max_length=64)]
    suite: str
    name: str
    epoch: Number
    offset: Number
    member: Number
    up: str = ""
    down: str = ""
    check: str = ""
    history: list[EarlierLine] = []
    commands: bool = True


class Grant(msgspec.Struct, frozen=True):
    """A session, its keys, and where it begins."""

    session: bytes
    suite: str
    up: bytes
    """The key of the packets from client to server; empty in `plain`, as the other keys."""
    down: bytes
    check: bytes
    name: str
    member: int
    epoch: int
    offset: int
    history: tuple[EarlierLine, ...] = ()
    """The room's last messages from before the join, oldest first, where the server gives newcomers some."""
    has_commands: bool = True
    """A text that begins with a slash is a command; else a message."""

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Grant(suite={self.suite!r}, name={self.name!r}, epoch={self.epoch}, offset={self.offset})"


_decoder = msgspec.json.Decoder(_Payload)


def parse_grant_untrusted(payload: bytes) -> Grant:
    """Return what the payload of a server's second reply grants, or raise MalformedMessage."""
    try:
        found = _decoder.decode(payload)
        session, up, down, check = (bytes.fromhex(x) for x in (found.session, found.up, found.down, found.check))
    except (*PARSE_ERRORS, ValueError) as exc:  # ValueError: no hexadecimal digits
        raise MalformedMessage(f"no session of version 2: {exc}") from exc
    if found.suite not in KEY_SIZES:
        raise MalformedMessage(f"the suite {found.suite!r} is not known")
    size = KEY_SIZES[found.suite]
    check_size = 0 if found.suite == PLAIN else CHECK_KEY_SIZE
    if (len(session), len(up), len(down), len(check)) != (SESSION_SIZE, size, size, check_size):
        raise MalformedMessage("a session or a key of another size than its suite's")
    history = tuple(line for line in found.history if line.offset <= found.offset)
    about = found.name, found.member, found.epoch, found.offset, history, found.commands
    return Grant(session, found.suite, up, down, check, *about)
