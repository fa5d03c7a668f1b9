"""The SDK's errors in the user's language. In English they are the SDK's own sentences."""

import errno
import re
import ssl

import tsudoi
from tsudoi import ChatClient
from tsudoi.pieces import as_taken, command_in
from tsudoi.protocol.client.own_name import own_names
from tsudoi.protocol.client.refusals import in_japanese
from tsudoi.protocol.client.slash_commands import Act, Reply, Whisper
from tsudoi.protocol.client.words import Language, Words

from . import words

_BY_KIND: tuple[tuple[type[tsudoi.ClientError], Words], ...] = (
    (tsudoi.RoomNotFound, words.NO_ROOM),
    (tsudoi.RoomExists, words.ROOM_EXISTS),
    (tsudoi.Busy, words.BUSY),
    (tsudoi.NoAnswer, words.NO_ANSWER),
    (tsudoi.NotInRoom, words.NOT_IN_ROOM),
    (tsudoi.OtherVersion, words.OTHER_VERSION),
    (tsudoi.TooManyLines, words.TOO_MANY_LINES),
    (tsudoi.ServerNotTrusted, words.NOT_TRUSTED),
    (tsudoi.ServerUnreachable, words.UNREACHABLE),
    (tsudoi.ProtocolViolation, words.NOT_UNDERSTOOD),
    (tsudoi.InvalidName, words.BAD_NAME),
    (tsudoi.Refused, words.REFUSED),
)
_CERTIFICATES = {
    10: "期限が切れています",
    18: "信頼できる認証局のものではありません",
    19: "信頼できる認証局のものではありません",
    20: "信頼できる認証局のものではありません",
    62: "別の名前の証明書です",
}
"""By OpenSSL's number."""
_CHANGED = re.compile(
    r"the certificate of (?P<server>.+) (has changed: it is (?P<seen>.+) now|is not (?:valid|shown) any more: .+)\."
    r" Somebody may be .* remove its line from (?P<file>.+)"
)
"""The SDK's words (`tsudoi/net/trust.py`)."""
_SYSTEM = {
    errno.ECONNREFUSED: "接続が拒否されました",
    errno.ECONNRESET: "接続が切れました",
    errno.ENETUNREACH: "ネットワークにつながっていません",
    errno.EHOSTUNREACH: "サーバーへの経路がありません",
    errno.ETIMEDOUT: "時間切れです",
}
_OF_THE_SDK = {"its name is not known": "サーバーの名前が見つかりません", "it hung up": "接続が切れました"}


def explain(exc: tsudoi.ClientError, room: str, server: str, language: Language) -> str:
    """Return a sentence about an error."""
    text = str(exc)
    if isinstance(exc, tsudoi.LineRefused):
        return refused(exc, language)
    if isinstance(exc, tsudoi.WrongPassword) and is_about_password(exc):
        return words.WRONG_PASSWORD.text(language, room=room)
    if isinstance(exc, tsudoi.ServerNotTrusted) and language == "ja" and (why := distrust_in_japanese(text)) != text:
        return why
    for kind, said in _BY_KIND:
        if isinstance(exc, kind) and (language == "ja" or kind in (tsudoi.RoomNotFound, tsudoi.RoomExists)):
            return said.text(language, room=room, server=server, why=_reason(exc))
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "。")) else ".")


def distrust_in_japanese(text: str) -> str:
    """Return why a certificate is not taken that was before, and what to do; other texts as they are."""
    if not (found := _CHANGED.fullmatch(text)):
        return text
    seen = f"（今のもの: {found['seen']}）" if found["seen"] else ""
    return words.CERTIFICATE_CHANGED.text("ja", server=found["server"], seen=seen, file=found["file"])


def refused(exc: tsudoi.LineRefused, language: Language) -> str:
    """Return the server's words for why a line is not said."""
    return in_japanese(str(exc)) if language == "ja" else str(exc)


def is_about_password(exc: tsudoi.WrongPassword) -> bool:
    """Return whether another password may help: the server gives the same status for a signed token that it refuses."""
    return str(exc).startswith("wrong password")


def _reason(exc: tsudoi.ClientError) -> str:
    """Return what the error says beyond its kind, in Japanese where it is known."""
    cause = exc.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(cause.verify_code, cause.verify_message)
    if isinstance(cause, OSError):
        if cause.errno in _SYSTEM:
            return _SYSTEM[cause.errno]
        if isinstance(cause, TimeoutError):
            return _SYSTEM[errno.ETIMEDOUT]
        if "Connect call failed" in str(cause):
            return _SYSTEM[errno.ECONNREFUSED]
    parts = str(exc).split(": ")
    for begin in range(len(parts)):
        detail = ": ".join(parts[begin:])  # a detail may have the colon, too
        if (known := _OF_THE_SDK.get(detail) or in_japanese(detail)) != detail:
            return known
    return parts[-1]


def explain_text(chat: ChatClient, line: str, exc: tsudoi.InvalidText, language: Language) -> str:
    """Return why a line can not be said."""
    if language == "en":
        return str(exc)
    if not line:
        return words.EMPTY_TEXT.text(language)
    try:
        line.encode()
    except UnicodeEncodeError:
        return words.HALF_CHARACTER.text(language)
    if line in chat.dialect.register_words | chat.dialect.leave_words:
        return words.RESERVED.text(language, text=line, dialect=chat.dialect.name)
    command = command_in(as_taken(line, own_names(chat.name)))
    if isinstance(command, Reply):
        return words.REPLY_TOO_LONG.text(language, limit=chat.limit_of(line))
    if command is not None and not isinstance(command, Whisper | Act) and "\n" in line.strip():
        return words.ONE_LINE.text(language)
    return words.COMMAND_TOO_LONG.text(language, size=len(line.encode()), limit=chat.limit_of(line))
