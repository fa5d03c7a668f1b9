"""Hold the reasons of refusals that a person may see, beyond the status' words, and all of these in Japanese.

On the wire they are English, as programs act on them; only a listener whose clients choose a language translates.
"""

from collections.abc import Mapping

from tsudoi.protocol.codes import Status

from .handshake import REASONS

BANNED_FROM_SERVER = "you are banned from this server"
BANNED_FROM_ROOM = "you are banned from this room"
MUTED = "you are muted"
NEEDS_PASSWORD = "this room has a password"

IN_JAPANESE: Mapping[str, str] = {
    REASONS[Status.ROOM_EXISTS]: "そのルームはもうあります",
    REASONS[Status.ROOM_NOT_FOUND]: "そのルームはありません",
    REASONS[Status.WRONG_PASSWORD]: "パスワードが違います",
    REASONS[Status.BUSY]: "サーバーが混み合っています",
    BANNED_FROM_SERVER: "このサーバーへの入室を禁止されています",
    BANNED_FROM_ROOM: "このルームへの入室を禁止されています",
    MUTED: "発言を止められています",
    NEEDS_PASSWORD: "このルームにはパスワードがあります",
}
"""What is not here is told in English."""
