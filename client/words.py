"""The client's own words, in English and Japanese. The server's words are in `tsudoi/protocol/client/phrases.py`."""

import os
from collections.abc import Mapping

from tsudoi.protocol.client.words import Language, Words

LANGUAGES: tuple[Language, ...] = ("en", "ja")


def language_of(environment: Mapping[str, str] = os.environ) -> Language:
    """Return the language of the user's locale: `LC_ALL`, `LC_MESSAGES` or `LANG`, the first that is set."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(name):
            return "ja" if value.lower().startswith("ja") else "en"
    return "en"


# --- before a room is entered ---
YOUR_NAME = Words("Your name", "あなたの名前")
PASSWORD = Words("Password", "パスワード")
PASSWORD_FOR = Words("Password of {room}", "{room} のパスワード")
PASSWORD_AGAIN = Words("Wrong password. Password of {room}", "パスワードが違います。{room} のパスワード")
OPEN = Words(
    "{room} is open, and you are its host, {name}: it closes when you leave.",
    "{room} を開きました。{name} さんがホストです。あなたが退室するとルームは閉じます。",
)
INSIDE = Words("You are in {room}, {name}.", "{name} さん、{room} に入りました。")
NO_COMMANDS = Words(
    "There are no commands here: the client can not ask who is here, nor for older lines.",
    "ここではコマンドを使えないため、メンバーと以前の発言は取得できません。",
)
NAME_TAKEN = Words(
    " Another member is called {wished}, so you are {name}. /nick NAME changes it.",
    "{wished} という名前の人がすでにいるため、{name} になりました。/nick 名前 で変えられます。",
)
PLAIN_HELP = Words(
    "Type a line and press Enter to say it. /help tells what else there is; /quit, or Ctrl-D or Ctrl-C on an empty"
    " line, leaves.",
    "文を入力して Enter で発言します。ほかのコマンドは /help。/quit か、空行での Ctrl-D、Ctrl-C で退室します。",
)

NO_ROOMS = Words("There are no rooms at {server}.", "{server} にルームはありません。")
ROOMS_AT = Words("Rooms at {server}: {count}", "{server} のルーム: {count} 件")

# --- the command line ---
NO_NAME = Words(
    "say who you are: --name NAME (or the variable TSUDOI_NAME)",
    "名前を指定してください: --name 名前 (または環境変数 TSUDOI_NAME)",
)
CA_WITHOUT_TLS = Words("--tls-ca is for --tls", "--tls-ca は --tls と一緒に使います")
NO_TERMINAL = Words(
    "--ask-password needs a terminal; a script sets the variable TSUDOI_PASSWORD",
    "--ask-password には端末が必要です。スクリプトでは環境変数 TSUDOI_PASSWORD を使ってください",
)
COMMAND_JOINS = Words("{command} enters it", "入るには: {command}")
COMMAND_CREATES = Words("{command} makes one", "作るには: {command}")

# --- why something was not done ---
NOT_SAID = Words("Not said: {why}", "送信できませんでした: {why}")
NO_ROOM = Words("There is no room called {room}.", "{room} というルームはありません。")
ROOM_EXISTS = Words("There is a room called {room} already.", "{room} というルームはもうあります。")
CREATE_IT = Words("/create {room} makes one.", "/create {room} で作れます。")
ENTER_IT = Words("/join {room} enters it.", "/join {room} で入れます。")
WRONG_PASSWORD = Words("Wrong password for {room}.", "{room} のパスワードが違います。")
NEEDS_PASSWORD = Words(
    "{room} has a password: --ask-password asks for it, the variable TSUDOI_PASSWORD gives it",
    "{room} にはパスワードが必要です: --ask-password か環境変数 TSUDOI_PASSWORD で指定してください",
)
NOT_IN_ROOM = Words("You are not in {room} any more.", "{room} にはもういません。")
LOST_EVENTS = Words(
    "{count} messages or notices are lost: the terminal stood still.",
    "端末が止まっていた間に {count} 件の発言やお知らせが失われました。",
)
LOST_OUTPUT = Words(
    "{count} messages or notices are lost: nothing read the output",
    "出力が読まれなかったため {count} 件の発言やお知らせが失われました",
)

# --- the end of a membership ---
CLOSED = Words("The room is closed.", "ルームが閉じられました。")
CLOSED_BY_HOST = Words(
    "The host {name} has left: the room is closed.", "ホストの {name} さんが退室し、ルームが閉じられました。"
)
TIMED_OUT = Words(
    "The server heard nothing of you for too long: you are not in the room any more.",
    "しばらく通信がなかったため、ルームから外れました。",
)
REMOVED = Words("You were removed from the room.", "ルームから退室させられました。")
LEFT = Words("You are not in the room any more.", "ルームにはもういません。")
REJOIN = Words(
    "/join enters it again, /leave takes it off the screen.", "/join でもう一度入り、/leave で画面から消します。"
)
BANNED = Words(
    "While the ban lasts, /join does not let you in. /leave takes the room off the screen.",
    "入室禁止の間は /join で入れません。/leave で画面から消します。",
)
REOPEN = Words(
    "/create {room} opens a new one, /leave takes it off the screen.",
    "/create {room} で新しく開き、/leave で画面から消します。",
)

# --- the server is away ---
AWAY = Words(
    "The server is away since {time}. What you say is sent when it is back.",
    "{time} からサーバーにつながりません。つながるまで、発言は送信待ちになります。",
)
AWAY_LOSSY = Words(
    "The server does not answer since {time}. What you say may be lost.",
    "{time} からサーバーが応答しません。発言は届かないことがあります。",
)
AWAY_NOW = Words(
    "The server does not answer; what you say may be lost.", "サーバーが応答しません。発言は届かないことがあります。"
)
AWAY_WAITS = Words(
    "The server does not answer; what you say waits.", "サーバーが応答しません。発言は送信待ちになります。"
)
WAITING = Words("Waiting for lines that are not kept yet: {count}", "未確定の発言 {count} 件を待っています…")
NOT_KEPT = Words("not kept: {text}", "未確定のままです: {text}")
NOT_KEPT_MORE = Words("not kept: {count} lines more", "未確定のままです: ほかに {count} 行")
BACK = Words("The server is back. Nothing was missed.", "サーバーに再接続しました。抜けた発言はありません。")
BACK_LOST = Words(
    "The server is back. {count} messages are gone.", "サーバーに再接続しました。{count} 件の発言が失われました。"
)
BACK_UNKNOWN = Words(
    "The server is back, and has lost what was said before.",
    "サーバーに再接続しました。以前の発言はサーバーから失われました。",
)
REJOINED = Words(
    "The server did not know you any more; you have joined again as {name}.",
    "サーバーから会員情報が失われていたため、{name} として入室し直しました。",
)
FIRST_CONTACT = Words(
    "First contact with {server}. SHA-256 of its certificate: {sha256} (the service prints it at its start: compare)",
    "{server} に初めて接続しました。証明書の SHA-256: {sha256} (サービスが起動時に表示する値と比べてください)",
)
AWAY_DISTRUSTED = Words(
    "The server does not answer, and is not trusted: {why}", "サーバーが応答せず、証明書も信頼できません: {why}"
)
BY_TCP = Words("The network lets no UDP pass: messages go by TCP.", "UDP が通らないため、TCP で通信しています。")
BY_UDP = Words("Messages go by UDP again.", "UDP での通信に戻りました。")
OLD_LINES_MISSING = Words(
    "Not all older lines have come; {line} asks for them again.",
    "届いていない古い発言があります。{line} でもう一度たずねられます。",
)
OLD_LINES_SHOWN = Words(
    "The older lines stand above, each at its place.", "以前の発言は、上のそれぞれの位置に表示されています。"
)
MORE_PAGES = Words(
    "Page {page} of {pages}: /{what} {next} shows the next.",
    "{page}/{pages} ページです。続きは /{what} {next} で表示します。",
)
GAP = Words("{count} messages are gone here.", "ここで {count} 件の発言が失われました。")
RESET = Words("The server has lost what was said before this.", "これより前の発言は、サーバーから失われました。")

# --- the screen ---
APP = Words("tsudoi", "tsudoi 集い")
PEOPLE = Words("{count} here", "{count} 人")
PEOPLE_UNKNOWN = Words("Here", "メンバー")
MORE_PEOPLE = Words("and {count} more", "ほか {count} 人")
NEW = Words("new", "ここから新着")
NEWER_BELOW = Words("{count} newer lines below: Alt-End", "この下に {count} 行: Alt-End")
NEW_ABOVE = Words("{count} new lines above: Alt-U", "この上に新着 {count} 行: Alt-U")
SEARCH = Words("Find in {lines} lines", "{lines} 行を検索")
SEARCH_HINT = Words("a text or a name", "発言か名前")
FOUND = Words("Find: {place} of {count} in {lines} lines", "検索: {count} 件中 {place} 件目（{lines} 行中）")
NOT_FOUND = Words("Find: not in {lines} lines", "検索: {lines} 行にはありません")
BEGINNING = Words("This is the beginning of what the server keeps.", "サーバーに保存されている発言はここからです。")
CUT = Words("Older lines are not loaded.", "これより前の発言は読み込みません。")
WRITE = Words("Message {room}", "{room} への発言")
ENDED_HINT = Words("/join to enter again, /leave to close", "/join で再入室、/leave で閉じる")
BANNED_HINT = Words("/leave to close", "/leave で閉じる")
CLOSED_HINT = Words("/create {room} anew, /leave to close", "/create {room} で新規作成、/leave で閉じる")
MARK_WAITING = Words("not kept yet", "未確定")
MARK_UNKNOWN = Words("not known whether it was said", "届いたかどうか不明")
MARK_WAITING_MEANS = Words(
    "behind an own line: the server has not kept it yet, and the client sends it again",
    "自分の発言の後: サーバーはまだ保存していない。再送される",
)
MARK_REFUSED = Words("not said: {why}", "送信できません: {why}")
WEEKDAYS = Words("Mon Tue Wed Thu Fri Sat Sun", "月 火 水 木 金 土 日")
MONTHS = Words("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", "1 2 3 4 5 6 7 8 9 10 11 12")
DAY = Words("{weekday} {day} {month} {year}", "{year}年{month}月{day}日 ({weekday})")
ENTERING = Words("Entering {room} …", "{room} に入室中…")
IN_ALREADY = Words("You are in {room} already.", "{room} には入室済みです。")
NOT_ENTERED = Words("You have not entered {room}.", "{room} への入室をやめました。")
NO_SUCH_ROOM_OPEN = Words(
    "You are in no room called {room}. /join {room} enters it.", "{room} には入っていません。/join {room} で入れます。"
)
NAME_A_ROOM = Words("Which room? /{command} ROOM", "どのルームですか。/{command} ルーム")
TALKS_TO_YOU = Words("{name} in {room}", "{room} の {name} さん")

# --- questions ---
LEAVE_AS_HOST = Words(
    "You are the host of {room}. When you leave, it closes for all; others in it: {others}. Leave?",
    "あなたは {room} のホストです。退室するとルームは全員に対して閉じます（ほかに {others} 人）。退室しますか。",
)
LEAVE_AS_HOST_UNKNOWN = Words(
    "You are the host of {room}. When you leave, it closes for all. Leave?",
    "あなたは {room} のホストです。退室するとルームは全員に対して閉じます。退室しますか。",
)
QUESTION_KEYS = Words("y: yes   n: no", "y: はい   n: いいえ")
LEAVING_KEYS = Words("Ctrl-C: yes   Esc: no", "Ctrl-C: はい   Esc: いいえ")
PASSWORD_KEYS = Words("Enter: enter the room   Esc: not now", "Enter: 入室   Esc: やめる")

# --- keys, and the client's own commands ---
ROWS_ABOVE = Words("{count} rows above", "上に {count} 行")
ROWS_BELOW = Words("{count} below", "下に {count} 行")
KEY_COMPLETE = Words("complete", "補完")
KEY_OLDER = Words("older", "前へ")
KEY_LOAD_OLDER = Words("load older", "前を読込")
KEY_NEWER = Words("newer", "次へ")
KEY_END = Words("end", "終了")
KEY_FIND = Words("find", "検索")
KEY_NEXT_ROOM = Words("next room", "次のルーム")
KEY_UNREAD = Words("unread", "未読へ")
KEY_HELP = Words("help", "ヘルプ")
KEY_ROOMS = Words("rooms", "ルーム")
KEY_PEOPLE = Words("people", "メンバー")
KEY_CLEAR = Words("clear/quit", "消去/終了")

HELP: tuple[tuple[str, Words], ...] = (
    ("Enter", Words("say the line", "発言する")),
    ("Alt-Enter", Words("a further line in the same message", "同じ発言の中で改行")),
    ("Tab", Words("complete a command or a name; again: the next one", "コマンドや名前を補完。もう一度で次の候補")),
    (
        "Ctrl-A, Ctrl-E, Alt-B, Alt-F, Ctrl-W, Alt-D, Ctrl-U, Ctrl-K",
        Words("move and delete, as in shells", "シェルと同じ移動と削除"),
    ),
    ("Ctrl-_, Ctrl-Y", Words("undo; insert what was deleted last", "入力の取り消し、消した文字の貼り戻し")),
    ("Up, Down", Words("lines that you typed before", "前に入力した行")),
    ("PageUp, PageDown, Alt-End", Words("older lines, newer lines, the newest", "前の発言、次の発言、最新")),
    (
        "Ctrl-N, Ctrl-P, Alt-1 … Alt-9",
        Words("next room, previous room, room 1 to 9", "次のルーム、前のルーム、1〜9 番のルーム"),
    ),
    (
        "Ctrl-R",
        Words(
            "find a text or a name; Enter, Down: older, newer; Esc ends",
            "発言や名前を検索。Enter で前へ、Down で次へ、Esc で終了",
        ),
    ),
    ("Alt-A", Words("the next room with something new, mentions first", "新着のあるルームへ。あなた宛てが先")),
    ("Alt-U", Words("where the new lines begin", "新着の先頭へ")),
    ("F2, F3", Words("show or hide the rooms, the people", "ルーム一覧、メンバー一覧の表示と非表示")),
    ("Ctrl-L", Words("draw all anew", "画面を描き直す")),
    ("Ctrl-Z", Words("back to the shell; fg comes back", "シェルに戻る。fg で再開")),
    ("Ctrl-C", Words("clear the line; on an empty line: quit", "入力を消す。空なら終了")),
    ("Ctrl-D", Words("on an empty line: leave this room", "入力が空ならこのルームから退室")),
    (
        "/join ROOM",
        Words("enter a room; without a name, this one again", "ルームに入る。名前なしならこのルームに再入室"),
    ),
    ("/create ROOM", Words("create a room", "ルームを作る")),
    ("/go ROOM|NUMBER", Words("look at another of your rooms", "入室中の別のルームを見る")),
    ("/leave", Words("leave this room", "このルームから退室する")),
    ("/quit", Words("leave all rooms and end", "すべて退室して終了する")),
    (
        "~",
        Words(
            "behind an own line: sent, the server does not say whether it is kept",
            "自分の発言の後: 送信済み。サーバーの確認はない",
        ),
    ),
    ("//text", Words("says /text", "/text と発言する")),
    ('/msg "a name" text', Words("names with spaces stand in quotes", "空白のある名前は引用符で囲む")),
)
"""Keys and own commands, and what they do."""
HELP_HEAD = Words(
    "Keys and commands of this client; the server's follow.",
    "このクライアントのキーとコマンド。続いてサーバーのコマンド:",
)
