"""Hold the server's words to members, in English and Japanese; PROTOCOL.md, "Phrases".

A dialect's closing words (room closed, timed out, removed) are in `dialects.py`, the words of a refused handshake in
`handshake.REASONS`. Clients act on both, so they are not translated.
"""

from enum import IntEnum

from tsudoi.protocol.client.slash_commands import COMMANDS


class Phrase(IntEnum):
    """One phrase. The numbers of answers go from broker to gateways, so a number never gets another meaning."""

    # Short answers to a command; {arg} is its subject.
    UNKNOWN_COMMAND = 1
    USAGE = 2
    NO_SUCH_MEMBER = 3
    NOT_HOST = 4
    NAME_TAKEN = 5
    BAD_NAME = 6
    TOO_LONG = 7
    MUTED = 8
    MUTED_FOR = 9
    NOBODY_WROTE = 10
    TOPIC_IS = 11
    NO_TOPIC = 12
    NAME_BANNED = 13
    ADDRESS_BANNED = 14
    BOTH_BANNED = 15
    UNBANNED = 16
    NOT_BANNED = 17
    YOURSELF = 18
    BUSY = 19
    LEFT_ROOM = 20
    NOT_MUTED = 21
    NO_HISTORY = 22
    NO_SUCH_PAGE = 23
    TIME_IS = 24
    ROOM_STAYS = 25
    UNMUTED = 26
    TOO_FAST = 27
    MOVED_AWAY = 28
    # Heads and rows of long answers.
    MEMBERS = 40
    MEMBER = 41
    HOST_MEMBER = 42
    ROOMS = 43
    ROOM = 44
    LOCKED_ROOM = 45
    HISTORY = 46
    HISTORY_LINE = 47
    HELP_ALL = 48
    HELP_HOST = 49
    BANS = 50
    BAN = 51
    BAN_UNTIL = 52
    MUTE = 53
    MUTE_UNTIL = 54
    # Room events.
    JOINED = 60
    LEFT = 61
    LEFT_IDLE = 62
    KICKED = 63
    KICKED_WHY = 64
    BANNED = 65
    REMOVED = 66
    REMOVED_WHY = 67
    RENAMED = 68
    TOPIC_SET = 69
    TOPIC_TAKEN_OFF = 70
    HOST_HANDED = 71
    HOST_INHERITED = 72
    MEMBER_MUTED = 73
    MEMBER_MUTED_FOR = 74
    MEMBER_UNMUTED = 75
    LOCKED = 76
    UNLOCKED = 77
    ANNOUNCED = 78
    PEOPLE_JOINED = 79
    PEOPLE_LEFT = 80
    PEOPLE_BOTH = 81
    # To one member: whispers, actions, removals.
    WHISPERED = 90
    WHISPER_SENT = 91
    ACTED = 92
    YOU_KICKED = 93
    YOU_KICKED_WHY = 94
    YOU_BANNED = 95
    YOU_REMOVED = 96
    YOU_REMOVED_WHY = 97

    @property
    def code(self) -> str:
        """The phrase's name in notices of the dialect `tsudoi`: `no-such-member`."""
        return self.name.lower().replace("_", "-")


PHRASES: dict[Phrase, tuple[str, str]] = {
    Phrase.UNKNOWN_COMMAND: (
        "There is no command {arg}. /help lists them.",
        "{arg} というコマンドはありません。/help で一覧が出ます。",
    ),
    Phrase.USAGE: ("Usage: {arg}", "使い方: {arg}"),
    Phrase.NO_SUCH_MEMBER: ("There is nobody called {arg} in this room.", "{arg} さんはこのルームにいません。"),
    Phrase.NOT_HOST: ("Only the host can do that.", "ホストだけができる操作です。"),
    Phrase.NAME_TAKEN: ("The name {arg} is taken.", "{arg} という名前は使われています。"),
    Phrase.BAD_NAME: ("That can not be a name.", "その名前は使えません。"),
    Phrase.TOO_LONG: ("That is too long: {arg} bytes at most.", "長すぎます。{arg} バイトまでです。"),
    Phrase.MUTED: ("You are muted. Nobody heard that.", "発言を止められています。いまの発言は誰にも届いていません。"),
    Phrase.MUTED_FOR: (
        "You are muted for {arg} more min. Nobody heard that.",
        "あと {arg} 分、発言を止められています。いまの発言は誰にも届いていません。",
    ),
    Phrase.NOBODY_WROTE: ("Nobody has written to you yet.", "まだ誰からも個別メッセージが届いていません。"),
    Phrase.TOPIC_IS: ("Topic: {arg}", "トピック: {arg}"),
    Phrase.NO_TOPIC: ("This room has no topic.", "トピックはありません。"),
    Phrase.NAME_BANNED: (
        "{arg} is banned by name only: the address is yours too.",
        "{arg} さんを名前だけで入室禁止にしました。アドレスはあなたと同じです。",
    ),
    Phrase.ADDRESS_BANNED: ("The address {arg} is banned.", "アドレス {arg} を入室禁止にしました。"),
    Phrase.BOTH_BANNED: (
        "{arg} is banned, by name and by address.",
        "{arg} さんを名前とアドレスで入室禁止にしました。",
    ),
    Phrase.UNBANNED: ("{arg} may come in again.", "{arg} の入室禁止を解きました。"),
    Phrase.NOT_BANNED: ("{arg} is not banned.", "{arg} は入室禁止ではありません。"),
    Phrase.YOURSELF: ("You can not do that to yourself.", "自分自身にはできません。"),
    Phrase.BUSY: (
        "The server is busy. Try again in a moment.",
        "サーバーが混み合っています。しばらくしてからもう一度どうぞ。",
    ),
    Phrase.TOO_FAST: ("Too fast: that was not done.", "速すぎます。いまのコマンドは実行されませんでした。"),
    Phrase.MOVED_AWAY: (
        "You have come from another address than this one; join again to ask that.",
        "入室したときと違うアドレスから届いています。もう一度入室するとお使いになれます。",
    ),
    Phrase.LEFT_ROOM: ("You have left {arg}.", "{arg} から退室しました。"),
    Phrase.UNMUTED: ("{arg} may speak again.", "{arg} さんは再び発言できます。"),
    Phrase.NOT_MUTED: ("{arg} is not muted.", "{arg} さんは発言を止められていません。"),
    Phrase.NO_HISTORY: ("Nothing has been said yet.", "まだ発言はありません。"),
    Phrase.NO_SUCH_PAGE: ("The last page is {arg}.", "{arg} ページまでです。"),
    Phrase.ROOM_STAYS: (
        "This room stays. Only the operator can close it.",
        "このルームは常設です。閉じられるのは管理者だけです。",
    ),
    Phrase.TIME_IS: ("It is {arg} UTC.", "現在 {arg} UTC です。"),
    Phrase.MEMBERS: ("{count} in {room}, page {page} of {pages}:", "{room} に {count} 人 ({page}/{pages} ページ):"),
    Phrase.MEMBER: ("{name}, {idle}", "{name}、{idle}"),
    Phrase.HOST_MEMBER: ("{name} (host), {idle}", "{name} (ホスト)、{idle}"),
    Phrase.ROOMS: ("Rooms: {count}, page {page} of {pages}:", "ルーム {count} 件 ({page}/{pages} ページ):"),
    Phrase.ROOM: ("{name}, {members} inside", "{name}、{members} 人"),
    Phrase.LOCKED_ROOM: ("{name}, {members} inside, locked", "{name}、{members} 人、パスワードあり"),
    Phrase.BANS: (
        "Banned or muted: {count}, page {page} of {pages}:",
        "入室禁止と発言停止 {count} 件 ({page}/{pages} ページ):",
    ),
    Phrase.BAN: ("{who}, banned", "{who}、入室禁止"),
    Phrase.BAN_UNTIL: ("{who}, banned until {until} UTC", "{who}、{until} UTC まで入室禁止"),
    Phrase.MUTE: ("{who}, muted", "{who}、発言停止"),
    Phrase.MUTE_UNTIL: ("{who}, muted until {until} UTC", "{who}、{until} UTC まで発言停止"),
    Phrase.HISTORY: ("Last {count} of {room}, times in UTC:", "{room} の最近の {count} 件 (時刻は UTC):"),
    Phrase.HISTORY_LINE: ("{time} {name}: {text}", "{time} {name}: {text}"),
    Phrase.HELP_ALL: ("Commands (//text says /text):", "コマンド (//text は /text と発言します):"),
    Phrase.HELP_HOST: ("For the host:", "ホスト用:"),
    Phrase.JOINED: ("{name} has joined.", "{name} さんが入室しました。"),
    Phrase.LEFT: ("{name} has left.", "{name} さんが退室しました。"),
    Phrase.LEFT_IDLE: ("{name} was silent for too long.", "{name} さんはしばらく発言がないため退室しました。"),
    Phrase.KICKED: ("{by} has removed {name}.", "{by} さんが {name} さんを退室させました。"),
    Phrase.KICKED_WHY: ("{by} has removed {name}: {text}", "{by} さんが {name} さんを退室させました: {text}"),
    Phrase.BANNED: ("{by} has banned {name}.", "{by} さんが {name} さんを入室禁止にしました。"),
    Phrase.REMOVED: ("The operator has removed {name}.", "管理者が {name} さんを退室させました。"),
    Phrase.REMOVED_WHY: ("The operator has removed {name}: {text}", "管理者が {name} さんを退室させました: {text}"),
    Phrase.RENAMED: ("{name} is now {text}.", "{name} さんは {text} さんになりました。"),
    Phrase.TOPIC_SET: ("{name} has set the topic: {text}", "{name} さんがトピックを変えました: {text}"),
    Phrase.TOPIC_TAKEN_OFF: ("{name} has taken the topic off.", "{name} さんがトピックを消しました。"),
    Phrase.HOST_HANDED: ("{by} has made {name} the host.", "{by} さんが {name} さんをホストにしました。"),
    Phrase.HOST_INHERITED: ("{name} is the host now.", "{name} さんがホストになりました。"),
    Phrase.MEMBER_MUTED: ("{by} has muted {name}.", "{by} さんが {name} さんの発言を止めました。"),
    Phrase.MEMBER_MUTED_FOR: (
        "{by} has muted {name} for {minutes} min.",
        "{by} さんが {name} さんの発言を {minutes} 分間止めました。",
    ),
    Phrase.MEMBER_UNMUTED: ("{by} lets {name} speak again.", "{by} さんが {name} さんの発言を再び許可しました。"),
    Phrase.LOCKED: ("{name} has set a password.", "{name} さんがパスワードを設定しました。"),
    Phrase.UNLOCKED: ("{name} has taken the password off.", "{name} さんがパスワードを外しました。"),
    Phrase.ANNOUNCED: ("Announcement: {text}", "お知らせ: {text}"),
    Phrase.PEOPLE_JOINED: ("{joined} joined.", "{joined} 人が入室しました。"),
    Phrase.PEOPLE_LEFT: ("{left} left.", "{left} 人が退室しました。"),
    Phrase.PEOPLE_BOTH: (
        "{joined} joined, {left} left.",
        "{joined} 人が入室し、{left} 人が退室しました。",
    ),
    Phrase.WHISPERED: ("(to you) {text}", "(あなたへ) {text}"),
    Phrase.WHISPER_SENT: ("(to {name}) {text}", "({name} さんへ) {text}"),
    Phrase.ACTED: ("* {name} {text}", "* {name} {text}"),
    Phrase.YOU_KICKED: ("{by} has removed you from {room}.", "{by} さんがあなたを {room} から退室させました。"),
    Phrase.YOU_KICKED_WHY: (
        "{by} has removed you from {room}: {text}",
        "{by} さんがあなたを {room} から退室させました: {text}",
    ),
    Phrase.YOU_BANNED: ("{by} has banned you from {room}.", "{by} さんがあなたを {room} への入室禁止にしました。"),
    Phrase.YOU_REMOVED: ("The operator has removed you from {room}.", "管理者があなたを {room} から退室させました。"),
    Phrase.YOU_REMOVED_WHY: (
        "The operator has removed you from {room}: {text}",
        "管理者があなたを {room} から退室させました: {text}",
    ),
}

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
    "msg": ("/msg NAME TEXT", "to one person alone", "一人だけに送る"),
    "r": ("/r TEXT", "answer who wrote to you last", "最後に個別に届いた人へ返事"),
    "me": ("/me TEXT", "say what you do", "自分の動作を伝える"),
    "nick": ("/nick NAME", "another name for you", "名前を変える"),
    "history": ("/history [N]", "what was said last", "最近の発言"),
    "topic": (
        "/topic [TEXT]",
        "what this is about; the host sets it, - takes it off",
        "トピック。ホストは設定でき、- で消す",
    ),
    "time": ("/time", "the server's time", "サーバーの時刻"),
    "leave": ("/leave", "leave the room", "退室する"),
    "kick": ("/kick NAME [REASON]", "remove somebody", "退室させる"),
    "ban": ("/ban NAME|ADDRESS [MINUTES]", "remove and keep out", "退室させて入室禁止にする"),
    "unban": ("/unban NAME|ADDRESS", "let in again", "入室禁止を解く"),
    "bans": ("/bans [PAGE]", "who is kept out or muted", "入室禁止と発言停止の一覧"),
    "mute": ("/mute NAME [MINUTES]", "let nobody hear somebody", "発言を止める"),
    "unmute": ("/unmute NAME", "let somebody speak again", "発言を再び許可する"),
    "password": ("/password [NEW]", "set it, or take it off", "パスワードを設定する。空なら外す"),
    "host": ("/host NAME", "make somebody else the host", "ホストを譲る"),
    "close": ("/close", "close the room", "ルームを閉じる"),
}
"""Command → (usage, English, Japanese)."""

assert HELP.keys() == COMMANDS.keys()


def phrase(which: Phrase, japanese: bool, **values: str | int) -> str:
    """Return a phrase with its placeholders filled in. Braces in a value stay as they are."""
    return PHRASES[which][japanese].format_map(values)


def idle_for(milliseconds: int, japanese: bool) -> str:
    """Return the words for an idle time, in the largest unit that it reaches: `silent for 3 min`."""
    unit_ms, *words = next((row for row in IDLE if milliseconds >= row[0]), IDLE[-1])
    return words[japanese].format(n=milliseconds // unit_ms)
