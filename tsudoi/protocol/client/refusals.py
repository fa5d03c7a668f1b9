"""Hold the reasons of refusals that a person may see, beyond the status' words, and all of these in Japanese.

On the wire they are English, as programs act on them; only a listener whose clients choose a language translates.
"""

import re
from collections.abc import Mapping

from tsudoi.protocol.codes import Status

from .handshake import REASONS
from .signed_token import NOT_SIGNED

BANNED_FROM_SERVER = "you are banned from this server"
BANNED_FROM_ROOM = "you are banned from this room"
MUTED = "you are muted"
NEEDS_PASSWORD = "this room has a password"
ADDRESS_IS_FULL = "your address has its most connections"
GAVE_WAY = f"{ADDRESS_IS_FULL}, and yours gave way to another one: come back later"


def lasting(why: str, minutes: int) -> str:
    """Return the reason of a refusal with the minutes for which it holds yet; 0: it does not end by itself."""
    return f"{why} for {minutes} more min" if minutes else why


_WHOLE: Mapping[str, str] = {
    REASONS[Status.ROOM_EXISTS]: "そのルームはもうあります",
    REASONS[Status.ROOM_NOT_FOUND]: "そのルームはありません",
    REASONS[Status.WRONG_PASSWORD]: "パスワードが違います",
    REASONS[Status.BUSY]: "サーバーが混み合っています",
    BANNED_FROM_SERVER: "このサーバーへの入室を禁止されています",
    BANNED_FROM_ROOM: "このルームへの入室を禁止されています",
    MUTED: "発言を止められています",
    NEEDS_PASSWORD: "このルームにはパスワードがあります",
    ADDRESS_IS_FULL: "このアドレスからの接続が多すぎます",
    "you are not in that room": "そのルームにはいません",
    "the room does not take this": "このルームでは受け付けられません",
    "the text is empty": "発言が空です",
    "a token is needed here": "ここではトークンが必要です",
    NOT_SIGNED: "署名付きトークンの形ではありません (eyJ で始まり、点で区切られた三つの部分から成ります)",
    "the token can not be read": "トークンが読めません",
    "the token is not signed by a key that is known here": "トークンの署名の鍵は、ここでは知られていません",
    "the token is not for creating rooms": "このトークンではルームを作れません",
    "the token has expired": "トークンの期限が切れています",
    "the token does not hold yet": "トークンはまだ有効ではありません",
    "the token is for another service": "別のサービスのトークンです",
    "the token is not for this room": "このルームのトークンではありません",
    GAVE_WAY: "同じアドレスの別の接続に席を譲りました。後でまた来てください",
}
_OF_NAMES = tuple(
    (re.compile(english), japanese)
    for english, japanese in (
        (r"is empty", "{what}が空です"),
        (r"is longer than (\d+) bytes", "{what}が {0} バイトを超えています"),
        (r"has a character that .*names may not have: (U\+[0-9A-F]+)", "{what}に使えない文字があります: {0}"),
        (r"has nothing that can be seen", "{what}に見える文字がありません"),
        (r"can not be told from the server's", "{what}がサーバーの名前とまぎらわしいです"),
        (r"has ('.*'), which stands between a name and its words", "{what}に発言との区切り {0} があります"),
        (r"begins with ('.*'), as an action does", "{what}が動作の行のように {0} で始まります"),
        (r"has ('.*'), as a host's in lists", "{what}に一覧のホストの印 {0} があります"),
    )
)
"""Why a name is invalid; see `names.py`."""
_OF_VALUES = tuple(
    (re.compile(english), japanese)
    for english, japanese in (
        (
            r"the text is too long, (\d+) bytes at most are said: shorten it",
            "発言が長すぎます。{0} バイト以内にしてください",
        ),
        (r"(you are .+) for (\d+) more min", "{0}（あと {1} 分）"),
        (r"the token has more than (\d+) bytes", "トークンが {0} バイトを超えています"),
        (r"the token's claims are not as they must be: (.+)", "トークンの内容が正しくありません: {0}"),
        (
            r"the token's (\w+) is centuries away: it counts seconds, not milliseconds",
            "トークンの {0} がはるか先です。単位はミリ秒ではなく秒です",
        ),
        (r"the token's rooms: (.+)", "トークンのルーム名が正しくありません: {0}"),
    )
)
"""Why a text is not said, a member does not enter, or a signed token does not hold; see `lasting`,
`gateway/chat/speak.py` and `gateway/join/signed_tokens.py`."""
_NAMES = {"user name ": "名前", "room name ": "ルーム名"}


def in_japanese(why: str) -> str:
    """Return the reason of a refusal in Japanese, or as it is if it is not known."""
    for form, japanese in _OF_VALUES:
        if found := form.fullmatch(why):
            return japanese.format(*map(_without_values, found.groups()))
    return _without_values(why)


def _without_values(why: str) -> str:
    if (known := _WHOLE.get(why)) is not None:
        return known
    for english, what in _NAMES.items():
        for form, japanese in _OF_NAMES if why.startswith(english) else ():
            if found := form.fullmatch(why.removeprefix(english)):
                return japanese.format(*found.groups(), what=what)
    return why
