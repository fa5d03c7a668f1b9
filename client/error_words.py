"""The SDK's errors in the user's language. In English they are the SDK's own sentences, but for a few."""

import errno
import re
import ssl
from collections.abc import Sequence

import tsudoi
from tsudoi import ChatClient
from tsudoi.event_lines import one_line
from tsudoi.pieces import as_taken, command_in
from tsudoi.protocol.client.own_name import own_names
from tsudoi.protocol.client.refusals import in_japanese
from tsudoi.protocol.client.slash_commands import Act, Reply, Whisper
from tsudoi.protocol.client.words import Language

from . import words

NAMED = 10
"""Lines that are named when they are not kept; more are counted."""

_IN_JAPANESE: tuple[tuple[type[tsudoi.ClientError], str], ...] = (
    (tsudoi.RoomNotFound, words.NO_ROOM.ja),
    (tsudoi.RoomExists, words.ROOM_EXISTS.ja),
    (tsudoi.Busy, "サーバーが混み合っています。もう一度お試しください。"),
    (tsudoi.NoAnswer, "サーバーが時間内に応答しませんでした。"),
    (tsudoi.NotInRoom, words.NOT_IN_ROOM.ja),
    (
        tsudoi.OtherVersion,
        "{server} のサーバーはこの版のプロトコルに対応していません。--dialect tsudoi なら使えるかもしれません。",
    ),
    (tsudoi.TooManyLines, "未確定の発言が多すぎます。"),
    (tsudoi.ServerNotTrusted, "{server} のサーバーは信頼できません: {why}"),
    (tsudoi.ServerUnreachable, "{server} のサーバーから応答がありません: {why}"),
    (tsudoi.ProtocolViolation, "{server} のサーバーの応答を解釈できません: {why}"),
    (tsudoi.InvalidName, "その名前は使えません: {why}"),
    (tsudoi.Refused, "サーバーが {room} への入室を断りました: {why}"),
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
    if language == "ja":
        if isinstance(exc, tsudoi.ServerNotTrusted) and (why := distrust_in_japanese(text)) != text:
            return why
        for kind, said in _IN_JAPANESE:
            if isinstance(exc, kind):
                return said.format(room=room, server=server, why=_reason(exc))
    elif isinstance(exc, tsudoi.RoomNotFound | tsudoi.RoomExists):
        return (words.NO_ROOM if isinstance(exc, tsudoi.RoomNotFound) else words.ROOM_EXISTS).text(language, room=room)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "。")) else ".")


def distrust_in_japanese(text: str) -> str:
    """Return why a certificate is not taken that was before, and what to do; other texts as they are."""
    if not (found := _CHANGED.fullmatch(text)):
        return text
    seen = f"（今のもの: {found['seen']}）" if found["seen"] else ""
    return (
        f"{found['server']} の証明書が以前と違います{seen}。なりすましか、サーバーの作り直しです。"
        f"管理者に確かめてから、{found['file']} の行を消してください。"
    )


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
        return "発言が空です。"
    try:
        line.encode()
    except UnicodeEncodeError:
        return "文字の一部が欠けています。"
    if line in chat.dialect.register_words | chat.dialect.leave_words:
        return f"{line} は方言 {chat.dialect.name} のコマンドです。"
    command = command_in(as_taken(line, own_names(chat.name)))
    limit = chat.limit_of(line)
    if command is not None and not chat.has_commands:
        return "ここではコマンドを使えません。そのまま発言するには先頭に / をもう 1 つ付けてください。"
    if isinstance(command, Reply):
        return f"/r の返事は {limit} バイトまでです。/msg 名前 文 ならもっと長く書けます。"
    if command is not None and not isinstance(command, Whisper | Act) and "\n" in line.strip():
        return "コマンドは 1 行です。そのまま発言するには先頭に / をもう 1 つ付けてください。"
    return f"コマンドが {len(line.encode())} バイトあります。{limit} バイトまでです。"


def not_kept(texts: Sequence[str], language: Language) -> list[str]:
    """Return the words for lines that may not be kept: the first ones are named, more are counted."""
    said = [words.NOT_KEPT.text(language, text=one_line(text)) for text in texts[:NAMED]]
    more = len(texts) - NAMED
    return [*said, words.NOT_KEPT_MORE.text(language, count=more)] if more > 0 else said
