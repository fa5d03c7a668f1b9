"""Hold the server's words to members, in English and Japanese; PROTOCOL.md, "Phrases".

A dialect's closing words (room closed, timed out, removed) are in `dialects.py`, the words of a refused handshake in
`handshake.REASONS`. Clients act on both, so they are not translated.
"""

from enum import IntEnum
from typing import Self

from tsudoi.protocol.client.slash_commands import COMMANDS


class Phrase(IntEnum):
    """One phrase: its number, and its words in English and Japanese with placeholders for `str.format`.

    The numbers of answers go from broker to gateways, so a number never gets another meaning.
    """

    words: tuple[str, str]

    # The defaults are for type checkers, which take `Phrase(8)`, a look-up, for a call of this.
    def __new__(cls, number: int, english: str = "", japanese: str = "") -> Self:
        phrase = int.__new__(cls, number)
        phrase._value_ = number
        phrase.words = english, japanese
        return phrase

    @property
    def code(self) -> str:
        """The phrase's name in notices of the dialect `tsudoi`: `no-such-member`."""
        return self.name.lower().replace("_", "-")

    # Short answers to a command. {arg} is its subject, {others} the number of other members that have an {address}.
    UNKNOWN_COMMAND = (
        1,
        "There is no command {arg}. /help lists them.",
        "{arg} というコマンドはありません。/help で一覧が出ます。",
    )
    USAGE = 2, "Usage: {arg}", "使い方: {arg}"
    NO_SUCH_MEMBER = 3, "There is nobody called {arg} in this room.", "{arg} さんはこのルームにいません。"
    NOT_HOST = 4, "Only the host can do that: {arg}", "ホストだけができる操作です: {arg}"
    NAME_TAKEN = 5, "The name {arg} is taken.", "{arg} という名前は使われています。"
    BAD_NAME = 6, "That can not be a name.", "その名前は使えません。"
    MISLEADING_NAME = (
        39,
        "A name must not look like a name and its words, as “a: b” does.",
        "「a: b」のように、名前と発言に見える名前は使えません。",
    )
    TOO_LONG = 7, "That is too long: {arg} bytes at most.", "長すぎます。{arg} バイトまでです。"
    MUTED = 8, "You are muted. Nobody heard that.", "発言を止められています。いまの発言は誰にも届いていません。"
    MUTED_FOR = (
        9,
        "You are muted for {arg} more min. Nobody heard that.",
        "あと {arg} 分、発言を止められています。いまの発言は誰にも届いていません。",
    )
    NOBODY_WROTE = 10, "Nobody has written to you yet.", "まだ誰からも個別メッセージが届いていません。"
    TOPIC_IS = 11, "Topic: {arg}", "トピック: {arg}"
    NO_TOPIC = 12, "This room has no topic.", "トピックはありません。"
    NO_PASSWORD = 31, "This room has no password.", "パスワードはありません。"
    NAME_BANNED = (
        13,
        "{arg} is banned, by name only: its address {address} is shared (others here: {others}).",
        "{arg} さんを名前だけで入室禁止にしました。アドレス {address} は共用です（ここにいるほかの人: {others}）。",
    )
    ADDRESS_BANNED = (
        14,
        "The address {arg} is banned (members removed: {others}).",
        "アドレス {arg} を入室禁止にしました（退室させた人: {others}）。",
    )
    BOTH_BANNED = (
        15,
        "{arg} is banned, by name and by its address {address} (others here: {others}).",
        "{arg} さんを名前とアドレス {address} で入室禁止にしました（ここにいるほかの人: {others}）。",
    )
    NAME_MUTED = (
        29,
        "{arg} is muted by name only: its address {address} is shared (others here: {others}).",
        "{arg} さんの発言を名前だけで止めました。アドレス {address} は共用です（ここにいるほかの人: {others}）。",
    )
    WEBHOOK_STOPPED = 30, "{arg} may not post here any more.", "{arg} はもうここに投稿できません。"
    UNBANNED = 16, "{arg} may come in again.", "{arg} の入室禁止を解きました。"
    NOT_BANNED = 17, "{arg} is not banned.", "{arg} は入室禁止ではありません。"
    YOURSELF = 18, "You can not do that to yourself.", "自分自身にはできません。"
    BUSY = (
        19,
        "The server is busy. Try again in a moment.",
        "サーバーが混み合っています。しばらくしてからもう一度どうぞ。",
    )
    TOO_FAST = 27, "Too fast: that was not done.", "速すぎます。いまのコマンドは実行されませんでした。"
    MOVED_AWAY = (
        28,
        "You have come from another address than this one; join again to ask that.",
        "入室したときと違うアドレスから届いています。もう一度入室するとお使いになれます。",
    )
    LEFT_ROOM = 20, "You have left {arg}.", "{arg} から退室しました。"
    UNMUTED = 26, "{arg} may speak again.", "{arg} さんは再び発言できます。"
    NOT_MUTED = 21, "{arg} is not muted.", "{arg} さんは発言を止められていません。"
    NO_HISTORY = 22, "Nothing has been said yet.", "まだ発言はありません。"
    NO_SUCH_PAGE = 23, "The last page is {arg}.", "{arg} ページまでです。"
    ROOM_STAYS = (
        25,
        "This room stays. Only the operator can close it.",
        "このルームは常設です。閉じられるのは管理者だけです。",
    )
    TIME_IS = 24, "It is {arg} UTC.", "現在 {arg} UTC です。"
    CUT = 38, "That was too long: its end was cut off.", "長すぎたため、終わりの部分が切れました。"
    # Heads and rows of long answers.
    MEMBERS = 40, "{count} in {room}, page {page} of {pages}:", "{room} に {count} 人 ({page}/{pages} ページ):"
    MEMBER = 41, "{name}, {idle}", "{name}、{idle}"
    HOST_MEMBER = 42, "{name} (host), {idle}", "{name} (ホスト)、{idle}"
    ROOMS = 43, "Rooms: {count}, page {page} of {pages}:", "ルーム {count} 件 ({page}/{pages} ページ):"
    ROOM = 44, "{name}, {members} inside", "{name}、{members} 人"
    LOCKED_ROOM = 45, "{name}, {members} inside, locked", "{name}、{members} 人、パスワードあり"
    BANS = (
        50,
        "Banned or muted: {count}, page {page} of {pages}:",
        "入室禁止と発言停止 {count} 件 ({page}/{pages} ページ):",
    )
    NO_BANS = 55, "Nobody is banned or muted.", "入室禁止や発言停止になっている人はいません。"
    BAN = 51, "{who}, banned", "{who}、入室禁止"
    BAN_UNTIL = 52, "{who}, banned until {until}", "{who}、{until} まで入室禁止"
    MUTE = 53, "{who}, muted", "{who}、発言停止"
    MUTE_UNTIL = 54, "{who}, muted until {until}", "{who}、{until} まで発言停止"
    HISTORY = 46, "Last {count} of {room}, times in UTC:", "{room} の最近の {count} 件 (時刻は UTC):"
    HISTORY_LINE = 47, "{time} {name}: {text}", "{time} {name}: {text}"
    HELP_ALL = 48, "Commands (//text says /text):", "コマンド (//text は /text と発言します):"
    HELP_HOST = 49, "For the host:", "ホスト用:"
    # Room events.
    JOINED = 60, "{name} has joined.", "{name} さんが入室しました。"
    LEFT = 61, "{name} has left.", "{name} さんが退室しました。"
    LEFT_IDLE = 62, "{name} was silent for too long.", "{name} さんはしばらく発言がないため退室しました。"
    KICKED = 63, "{by} has removed {name}.", "{by} さんが {name} さんを退室させました。"
    KICKED_WHY = 64, "{by} has removed {name}: {text}", "{by} さんが {name} さんを退室させました: {text}"
    BANNED = 65, "{by} has banned {name}.", "{by} さんが {name} さんを入室禁止にしました。"
    BANNED_FOR = (
        82,
        "{by} has banned {name} for {text} min.",
        "{by} さんが {name} さんを {text} 分間の入室禁止にしました。",
    )
    REMOVED = 66, "The operator has removed {name}.", "管理者が {name} さんを退室させました。"
    REMOVED_WHY = 67, "The operator has removed {name}: {text}", "管理者が {name} さんを退室させました: {text}"
    RENAMED = 68, "{name} is now {text}.", "{name} さんは {text} さんになりました。"
    TOPIC_SET = 69, "{name} has set the topic: {text}", "{name} さんがトピックを変えました: {text}"
    TOPIC_TAKEN_OFF = 70, "{name} has taken the topic off.", "{name} さんがトピックを消しました。"
    HOST_HANDED = 71, "{by} has made {name} the host.", "{by} さんが {name} さんをホストにしました。"
    HOST_INHERITED = 72, "{name} is the host now.", "{name} さんがホストになりました。"
    MEMBER_MUTED = 73, "{by} has muted {name}.", "{by} さんが {name} さんの発言を止めました。"
    MEMBER_MUTED_FOR = (
        74,
        "{by} has muted {name} for {minutes} min.",
        "{by} さんが {name} さんの発言を {minutes} 分間止めました。",
    )
    MEMBER_UNMUTED = 75, "{by} lets {name} speak again.", "{by} さんが {name} さんの発言を再び許可しました。"
    LOCKED = 76, "{name} has set a password.", "{name} さんがパスワードを設定しました。"
    UNLOCKED = 77, "{name} has taken the password off.", "{name} さんがパスワードを外しました。"
    ANNOUNCED = 78, "Announcement: {text}", "お知らせ: {text}"
    PEOPLE_JOINED = 79, "{joined} joined.", "{joined} 人が入室しました。"
    PEOPLE_LEFT = 80, "{left} left.", "{left} 人が退室しました。"
    PEOPLE_BOTH = 81, "{joined} joined, {left} left.", "{joined} 人が入室し、{left} 人が退室しました。"
    # To one member: whispers, actions, removals.
    WHISPERED = 90, "(to you) {text}", "(あなたへ) {text}"
    WHISPER_SENT = 91, "(to {name}) {text}", "({name} さんへ) {text}"
    ACTED = 92, "* {name} {text}", "* {name} {text}"
    YOU_KICKED = 93, "{by} has removed you from {room}.", "{by} さんがあなたを {room} から退室させました。"
    YOU_KICKED_WHY = (
        94,
        "{by} has removed you from {room}: {text}",
        "{by} さんがあなたを {room} から退室させました: {text}",
    )
    YOU_BANNED = 95, "{by} has banned you from {room}.", "{by} さんがあなたを {room} への入室禁止にしました。"
    YOU_BANNED_FOR = (
        106,
        "{by} has banned you from {room} for {text} min.",
        "{by} さんがあなたを {room} への {text} 分間の入室禁止にしました。",
    )
    YOU_REMOVED = 96, "The operator has removed you from {room}.", "管理者があなたを {room} から退室させました。"
    YOU_REMOVED_WHY = (
        97,
        "The operator has removed you from {room}: {text}",
        "管理者があなたを {room} から退室させました: {text}",
    )
    YOU_ARE_OUT = (
        98,
        "You are not in {room} any more. Join it again.",
        "あなたはもう {room} にいません。もう一度入室してください。",
    )
    BROKER_AWAY = (
        99,
        "The server can not reach this room now. Nothing is heard until it can.",
        "サーバーがこのルームにつながっていません。つながるまで発言は届きません。",
    )
    BROKER_BACK = (
        100,
        "The server reaches this room again. What was said meanwhile follows.",
        "サーバーがこのルームに再びつながりました。その間の発言が続けて届きます。",
    )
    # The end of a membership of version 2 or by WebSocket; dialects have closing words.
    ROOM_CLOSED = 101, "The room is closed.", "ルームが閉じられました。"
    HOST_HAS_LEFT = (
        102,
        "The host {name} has left: the room is closed.",
        "ホストの {name} さんが退室し、ルームが閉じられました。",
    )
    HOST_HAS_CLOSED = 103, "The host {name} has closed the room.", "ホストの {name} さんがルームを閉じました。"
    OPERATOR_HAS_CLOSED = 104, "The operator has closed the room.", "管理者がルームを閉じました。"
    YOU_WERE_SILENT = (
        105,
        "You are not in {room} any more: the server heard nothing of you for too long.",
        "しばらく通信がなかったため、{room} から外れました。",
    )


IDLE: tuple[tuple[int, str, str], ...] = (
    (3_600_000, "silent for {n} h", "{n} 時間発言なし"),
    (60_000, "silent for {n} min", "{n} 分発言なし"),
    (1_000, "silent for {n} s", "{n} 秒発言なし"),
)
"""(unit in milliseconds, English, Japanese), longest first; `{n}` is the number of whole units."""

HELP: dict[str, tuple[str, str, str]] = {
    "help": ("/help", "this list", "この一覧"),
    "who": ("/who [PAGE]", "who is here", "ルームにいる人"),
    "rooms": ("/rooms [PAGE]", "which rooms there are", "ルームの一覧"),
    "msg": ("/msg NAME TEXT", "to one member alone", "一人だけに送る"),
    "r": ("/r TEXT", "reply to the last such message", "最後に個別に届いた人へ返事"),
    "me": ("/me TEXT", "describe what you do", "自分の動作を伝える"),
    "nick": ("/nick NAME", "change your name", "名前を変える"),
    "history": ("/history [N [BEFORE]]", "the last messages", "最近の発言"),
    "topic": (
        "/topic [TEXT]",
        "show the topic; the host sets it, - removes it",
        "トピック。ホストは設定でき、- で消す",
    ),
    "time": ("/time", "the server's time", "サーバーの時刻"),
    "leave": ("/leave", "leave the room", "退室する"),
    "kick": ("/kick NAME [REASON]", "remove a member", "退室させる"),
    "ban": ("/ban NAME|ADDRESS [MINUTES]", "remove and keep out", "退室させて入室禁止にする"),
    "unban": ("/unban NAME|ADDRESS", "let in again", "入室禁止を解く"),
    "bans": ("/bans [PAGE]", "who is kept out or muted", "入室禁止と発言停止の一覧"),
    "mute": ("/mute NAME [MINUTES]", "silence a member", "発言を止める"),
    "unmute": ("/unmute NAME", "let a member speak again", "発言を再び許可する"),
    "password": ("/password [NEW]", "set the room's password, or remove it", "パスワードを設定する。空なら外す"),
    "host": ("/host NAME", "make another member the host", "ホストを譲る"),
    "close": ("/close", "close the room", "ルームを閉じる"),
}
"""Command → (usage, English, Japanese)."""

assert HELP.keys() == COMMANDS.keys()


_SEPARATOR = "\x1f"
"""Between an answer's arguments in a log entry; no name and no address contains it."""


def pack_arguments(arg: str, address: str, others: int) -> str:
    """Return the text of an ANSWERED entry whose phrase has {address} and {others} beside {arg}."""
    return _SEPARATOR.join((arg, address, str(others)))


def unpack_arguments(text: str) -> dict[str, str | int]:
    """Return the values in the text of an ANSWERED entry, by placeholder; without a separator it is {arg}."""
    arg, *more = text.split(_SEPARATOR)
    if len(more) != 2:
        return {"arg": text}
    return {"arg": arg, "address": more[0], "others": int(more[1]) if more[1].isdecimal() else 0}


def phrase(which: Phrase, japanese: bool, **values: str | int) -> str:
    """Return a phrase with its placeholders filled in. Braces in a value stay as they are."""
    return which.words[japanese].format_map(values)


def idle_for(milliseconds: int, japanese: bool) -> str:
    """Return the words for an idle time, in the largest unit that it reaches: `silent for 3 min`."""
    unit_ms, *words = next((row for row in IDLE if milliseconds >= row[0]), IDLE[-1])
    return words[japanese].format(n=milliseconds // unit_ms)
