"""Name the mistakes that authors of clients make, in English and Japanese.

Values that go into the words are sizes, positions, keys and names of dialects; never a token, a password or a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tsudoi.protocol.client.words import Language, Words


class Mistake(Enum):
    """A mistake, or what may surprise the author of a client; its words say what is right."""

    # --- no request at all ----------------------------------------------------------------------------------------
    SILENT = Words("the client sent nothing", "クライアントは何も送っていない")
    HALF_HEADER = Words(
        "only {came} of the header's 32 bytes came", "ヘッダー 32 バイトのうち {came} バイトしか届いていない"
    )
    TLS = Words(
        "this is the beginning of TLS, but the listener is a plain one: connect without TLS, or to a listener of --tls",
        "TLS の始まりだが、このリスナーは平文用: TLS なしで接続するか、--tls のリスナーへ",
    )
    HTTP = Words(
        "this is HTTP ({method}); the protocol begins with a header of 32 bytes",
        "これは HTTP ({method})。このプロトコルは 32 バイトのヘッダーで始まる",
    )
    SSH = Words("this is SSH", "これは SSH")
    TELNET = Words("this is a telnet client's negotiation", "これは telnet クライアントのネゴシエーション")
    PROXY = Words(
        "this is a proxy's own header (PROXY protocol), which the server does not read",
        "これはプロキシのヘッダー (PROXY protocol)。サーバーは読まない",
    )
    NOT_TLS = Words(
        "the listener speaks TLS, and this is no TLS: connect with TLS, or to a plain listener",
        "このリスナーは TLS 用だが、届いたものは TLS ではない: TLS で接続するか、平文のリスナーへ",
    )
    JSON_WITHOUT_HEADER = Words(
        "JSON came without the 32-byte header before it", "32 バイトのヘッダーなしで JSON が届いた"
    )
    TEXT_WITHOUT_HEADER = Words(
        "text came without the 32-byte header before it", "32 バイトのヘッダーなしでテキストが届いた"
    )
    DATAGRAM_BY_TCP = Words(
        "this is a datagram (room size, token size, room, token, text): send it by UDP",
        "これはデータグラム (ルーム名長、トークン長、ルーム名、トークン、本文): UDP で送ること",
    )

    # --- the header -----------------------------------------------------------------------------------------------
    SIZE_LITTLE_ENDIAN = Words(
        "the payload size is little-endian ({width} bytes); big-endian is right: it seems to mean {size}",
        "ペイロード長がリトルエンディアン ({width} バイト)。ビッグエンディアンが正しい: {size} のつもりに見える",
    )
    SIZE_SHIFTED = Words(
        "the payload size, {size}, stands one byte too early: is a byte too many behind it, or is it little-endian"
        " (2 bytes)?",
        "ペイロード長 {size} が 1 バイト前にずれている: 後ろに 1 バイト余分か、リトルエンディアン (2 バイト) か",
    )
    SIZE_PADDED_BEHIND = Words(
        "the payload size, {size}, is at the beginning of its 29 bytes; it belongs at the end, with zeros before it",
        "ペイロード長 {size} が 29 バイトの先頭にある。ゼロを前に詰め、末尾に置くこと",
    )
    SIZE_IS_TEXT = Words(
        "the payload size is written in digits ({size}); it is a binary integer",
        "ペイロード長が数字の文字 ({size}) で書かれている。2 進の整数にすること",
    )
    NUMBERS_ARE_TEXT = Words(
        "a number is written as a digit's character: {fields}; each is one byte with that value",
        "数が数字の文字で書かれている: {fields}。それぞれその値の 1 バイトにすること",
    )
    SIZE_COUNTS_ROOM = Words(
        "the payload size, {size}, counts the room's name too; it should be {right}",
        "ペイロード長 {size} にルーム名の分が含まれている。正しくは {right}",
    )
    SIZE_COUNTS_HEADER = Words(
        "the payload size, {size}, counts the header too; it should be {right}",
        "ペイロード長 {size} にヘッダーの分が含まれている。正しくは {right}",
    )
    SIZE_ABSURD = Words(
        "the payload size is absurd: the 29 bytes from byte 3 on are one big-endian integer",
        "ペイロード長がありえない値: バイト 3 からの 29 バイトがひとつのビッグエンディアン整数",
    )
    SIZE_TOO_LARGE = Words(
        "the payload size, {size}, is more than this server takes ({limit})",
        "ペイロード長 {size} はこのサーバーの上限 ({limit}) を超えている",
    )
    FIELDS_SWAPPED = Words(
        "the first three bytes are room size, operation, state; here they seem to be {order}",
        "最初の 3 バイトはルーム名長、操作、状態の順。ここでは {order} の順に見える",
    )
    HEADER_SIZE = Words(
        "the header seems to have {size} bytes; it has 32: 1 + 1 + 1 + 29",
        "ヘッダーが {size} バイトに見える。正しくは 32 バイト: 1 + 1 + 1 + 29",
    )
    HEADER_SIZE_LITTLE_ENDIAN = Words(
        "the header seems to have {size} bytes, and a little-endian size in it; it has 32: 1 + 1 + 1 + 29, big-endian",
        "ヘッダーが {size} バイトで、ペイロード長がリトルエンディアンに見える。"
        "正しくは 32 バイト: 1 + 1 + 1 + 29、ビッグエンディアン",
    )
    WIDE_FIELDS = Words(
        "room size, operation and state seem to have {width} bytes each; they have one",
        "ルーム名長、操作、状態がそれぞれ {width} バイトに見える。正しくは 1 バイトずつ",
    )
    BYTES_BEFORE = Words(
        "the header comes first; {count} other bytes come before it",
        "ヘッダーの前に {count} バイトある。ヘッダーが最初に来ること",
    )
    OPERATION_UNKNOWN = Words(
        "the operation (byte 1) is {operation}; 1 creates a room, 2 joins one",
        "操作 (バイト 1) が {operation}。1 は作成、2 は参加",
    )
    STATE_NOT_REQUEST = Words(
        "the state (byte 2) is {state}; a request has 0 (the server ignores it)",
        "状態 (バイト 2) が {state}。要求では 0 (サーバーは無視する)",
    )

    # --- sizes and the body ---------------------------------------------------------------------------------------
    SIZE_OF_ROOM_WRONG = Words(
        "the room size is {size}, but the JSON begins {at} bytes after the header: the room size should be {at}",
        "ルーム名長は {size} だが、JSON はヘッダーの {at} バイト後に始まる: ルーム名長は {at} のはず",
    )
    ROOM_TOO_LONG = Words(
        "the room's name has {at} bytes, and its size is one byte: 255 are the most",
        "ルーム名が {at} バイトある。ルーム名長は 1 バイトなので、255 バイトまで",
    )
    SIZE_OF_PAYLOAD_WRONG = Words(
        "the payload size is {size}, but the payload has {right} bytes",
        "ペイロード長は {size} だが、ペイロードは {right} バイトある",
    )
    HEADER_ALONE = Words(
        "only the header came: does the client wait for an answer to it? The server answers when room and payload have"
        " come too",
        "ヘッダーだけが届いた: ヘッダーへの返事を待っているか? サーバーはルーム名とペイロードも届いてから返事をする",
    )
    BYTES_MISSING = Words(
        "room size {room} and payload size {payload} promise {promised} bytes after the header, and {came} came:"
        " one of the two is too large by {difference}, or not all was sent",
        "ルーム名長 {room} とペイロード長 {payload} によればヘッダーの後に {promised} バイト続くはずが、届いたのは"
        " {came} バイト: どちらかが {difference} 大きすぎるか、最後まで送られていない",
    )
    BYTES_LEFT_OVER = Words(
        "room size {room} and payload size {payload} promise {promised} bytes after the header, and {came} came:"
        " one of the two is too small by {difference}",
        "ルーム名長 {room} とペイロード長 {payload} によればヘッダーの後に {promised} バイト続くはずが、届いたのは"
        " {came} バイト: どちらかが {difference} 小さすぎる",
    )
    SIZES_IN_CHARACTERS = Words(
        "sizes are counted in characters; they are bytes of UTF-8 (accepted here, not by every server)",
        "長さが文字数になっている。UTF-8 のバイト数が正しい (ここでは受け付けるが、他のサーバーでは限らない)",
    )
    PAYLOAD_FIRST = Words(
        "the payload stands before the room's name; the room's name comes first",
        "ペイロードがルーム名より前にある。ルーム名が先",
    )
    NOT_UTF8 = Words("names are not UTF-8", "名前が UTF-8 ではない")
    NOT_UTF8_BUT = Words(
        "names are not UTF-8; they seem to be {encoding}", "名前が UTF-8 ではない。{encoding} に見える"
    )
    PORT_AT_END = Words(
        "the payload is UTF-8 but for its end: is a byte of the name wrong, or is it a port (which only tcrp-ok has)?",
        "ペイロードは末尾を除けば UTF-8: 名前のバイトの誤りか、ポート番号か。そこにポートを置くのは tcrp-ok だけ",
    )
    PORT_FIRST = Words(
        "the payload is UTF-8 but for its first two bytes: are they a port? tcrp-ok has it behind the name",
        "ペイロードは先頭 2 バイトを除けば UTF-8: ポート番号か。tcrp-ok では名前の後ろに置く",
    )
    PADDED_WITH_ZEROS = Words(
        "names are filled up with zero bytes; send them without", "名前がゼロバイトで埋められている。付けずに送ること"
    )
    SIZE_IN_PAYLOAD = Words(
        "the payload has a size ({size}) before the user's name; it is the name alone, and its size is in the header",
        "ペイロードのユーザー名の前に長さ ({size}) がある。ペイロードは名前だけで、長さはヘッダーに書く",
    )
    NO_ROOM = Words("the room size is 0: a room needs a name", "ルーム名長が 0: ルームには名前が要る")
    NO_USER = Words("the payload is empty: the user's name is missing", "ペイロードが空: ユーザー名がない")

    # --- the payload ----------------------------------------------------------------------------------------------
    NOT_JSON = Words("the payload is not JSON: {where}", "ペイロードが JSON ではない: {where}")
    SINGLE_QUOTES = Words(
        "the payload has single quotes, as Python's str(dict) writes; JSON has double ones (json.dumps)",
        "ペイロードが Python の str(dict) のような一重引用符。JSON は二重引用符 (json.dumps)",
    )
    BYTE_ORDER_MARK = Words(
        "the payload begins with a byte order mark; JSON has none", "ペイロードの先頭に BOM がある。JSON には付けない"
    )
    KEY_MISSING = Words("the key {wanted} is missing; there are: {found}", "キー {wanted} がない。あるのは: {found}")
    KEY_MISSPELT = Words("the key {found} should be {wanted}", "キー {found} は {wanted} のはず")
    NO_KNOWN_KEYS = Words(
        "no dialect has a user's name among these keys: {found}; there are {known}",
        "次のキーの中に、どの方言のユーザー名もない: {found}。知られているのは {known}",
    )
    VALUE_NOT_TEXT = Words("the value of {key} is no string", "{key} の値が文字列ではない")
    PORT_IGNORED = Words(
        "{key} is no port (a number from 1 to 65535): it is ignored", "{key} がポート番号 (1–65535) ではない: 無視する"
    )
    PLAIN_FOR_JSON = Words(
        "the payload is no JSON, as {dialect} has it", "{dialect} のペイロードは JSON だが、届いたものは違う"
    )

    # --- dialects -------------------------------------------------------------------------------------------------
    OTHER_DIALECT = Words(
        "read as {dialect}, since the listener is for that; these bytes look like {other}: use a listener for"
        " {other}, or auto",
        "このリスナーは {dialect} 用なので {dialect} として読んだが、{other} に見える:"
        " {other} か auto のリスナーを使うこと",
    )
    JSON_FOR_PLAIN = Words(
        "read as {dialect}, whose payload is the user's name alone; this one is meant as JSON",
        "{dialect} として読んだ。そのペイロードはユーザー名だけだが、JSON のつもりに見える",
    )
    SAME_BYTES = Words(
        "read as {dialect}; requests of {others} begin with the same bytes: a client that expects such replies needs"
        " a listener of its own, as --tcp HOST:PORT={first}",
        "{dialect} として読んだ。{others} も同じバイトで始まる: その返事を待つクライアントには専用のリスナーが要る"
        " (例: --tcp HOST:PORT={first})",
    )
    ROOM_HAS_HEADER = Words(
        "the list of rooms was answered with a header; a classic client answers with the room's bare name",
        "ルーム一覧にヘッダー付きで答えている。classic では選んだルーム名だけを送る",
    )

    # --- datagrams ------------------------------------------------------------------------------------------------
    DATAGRAM_SHORT = Words(
        "a datagram begins with two sizes, of the room and of the token",
        "データグラムはルーム名長とトークン長の 2 バイトで始まる",
    )
    DATAGRAM_CUT = Words(
        "the datagram fills {limit} bytes: what comes after them is cut",
        "データグラムが {limit} バイトに達している: その先は切られる",
    )
    HEADER_BEFORE_DATAGRAM = Words(
        "a 32-byte header stands before the datagram; datagrams have none",
        "データグラムの前に 32 バイトのヘッダーがある。データグラムには付けない",
    )
    SIZES_SWAPPED = Words("the two sizes are swapped: the room's comes first", "2 つの長さが逆: ルーム名長が先")
    SIZES_ARE_TEXT = Words(
        "the sizes are written in digits; each is one byte with that value",
        "長さが数字の文字で書かれている。それぞれその値の 1 バイトにすること",
    )
    SIZES_WIDE = Words(
        "the sizes have {width} bytes each; they have one",
        "長さが {width} バイトずつになっている。正しくは 1 バイトずつ",
    )
    SIZES_NONE = Words(
        "the sizes are missing: the room's name and the token are there, the two bytes before them are not",
        "長さがない: ルーム名とトークンはあるが、その前の 2 バイトがない",
    )
    SIZES_COUNT = Words(
        "before the room's name there should be two bytes, room size and token size; there are {count}",
        "ルーム名の前にはルーム名長とトークン長の 2 バイトが来る。ここでは {count} バイトある",
    )
    SIZES_APART = Words(
        "each size stands before its own field; both come first: room size, token size, room, token, text",
        "長さがそれぞれのフィールドの前にある。2 つとも先頭に置く: ルーム名長、トークン長、ルーム名、トークン、本文",
    )
    TOKEN_FIRST = Words("the token stands before the room's name", "トークンがルーム名より前にある")
    ROOM_SIZE_WRONG = Words(
        "the room size is {size}, but the token begins after {right} bytes of name",
        "ルーム名長は {size} だが、トークンは名前 {right} バイトの後に始まる",
    )
    ROOM_SIZE_IN_CHARACTERS = Words(
        "the room size is counted in characters; it is bytes of UTF-8 (accepted here)",
        "ルーム名長が文字数になっている。UTF-8 のバイト数が正しい (ここでは受け付ける)",
    )
    TOKEN_SIZE_WRONG = Words(
        "the token size is {size}; a token has 32 characters", "トークン長が {size}。トークンは 32 文字"
    )
    SIZES_TOO_LARGE = Words(
        "the sizes promise {promised} bytes for room and token, and {came} came",
        "長さによればルーム名とトークンは合わせて {promised} バイトのはずが、届いたのは {came} バイト",
    )
    TOKEN_MISSING = Words("there is no token", "トークンがない")
    TOKEN_UPPER_CASE = Words(
        "the token is in upper case; it goes back as it came", "トークンが大文字。受け取ったとおりに送ること"
    )
    TOKEN_BINARY = Words(
        "the token is decoded to 16 bytes; it goes back as its 32 characters",
        "トークンが 16 バイトに復号されている。32 文字のまま送ること",
    )
    TOKEN_WRAPPED = Words(
        "the token has something around it ({size} bytes in all: a line feed, quotes, zeros?); it is 32 characters",
        "トークンに余分なもの (改行、引用符、JSON、ゼロなど) が付いている (全部で {size} バイト)。トークンは 32 文字",
    )
    TOKEN_CUT = Words(
        "the token has {size} characters; it has 32: was the reply read to its end?",
        "トークンが {size} 文字。正しくは 32 文字: 返事を最後まで読んだか",
    )
    TOKEN_NOT_HEX = Words(
        "the token's character {at} is the byte {byte}, which no token has: was it taken from the right place of the"
        " reply?",
        "トークンの {at} 文字目 (0 から) がバイト {byte}。トークンには現れない値: 返事の正しい位置から取ったか",
    )
    TOKEN_UNKNOWN = Words(
        "the token is not known: has its member left or been silent for too long, or its room closed? Or is it of"
        " another server, or newer than a store that was put back? The client must join again",
        "知らないトークン: メンバーが退室したか、通信のないまま時間切れになったか、ルームが閉じたか。または"
        "別のサーバーのものか、書き戻したストアより新しいか。再参加が必要",
    )
    TOKEN_IS_REFUSAL = Words(
        "in place of the token stands the text of a refusal: the request was refused",
        "トークンの場所に拒否の文言がある: 要求は拒否された",
    )
    NO_TOKEN_ANYWHERE = Words(
        "nothing in the datagram looks like a token", "データグラムの中にトークンらしいものがない"
    )
    ROOM_OF_ANOTHER = Words(
        "the token is known, but for another room than the one that is named",
        "トークンは知っているが、書かれているのとは別のルームのもの",
    )
    ROOM_MISSING = Words(
        "the room's name is missing: it stands between the two sizes and the token",
        "ルーム名がない: 2 つの長さとトークンの間に書くこと",
    )
    USER_FOR_ROOM = Words(
        "in place of the room's name stands the user's; the server knows the user by the token",
        "ルーム名の場所にユーザー名がある。ユーザーはトークンで分かるので、ルーム名を書くこと",
    )
    FIRST_STAGE = Words(
        "this looks like the exercise's first stage (name size, name, text), which has no rooms and is not supported",
        "課題の第 1 段階 (名前長、名前、本文) に見える。ルームがないので対応していない",
    )
    TEXT_ONLY = Words(
        "this is text alone: room size, token size, room and token come before it",
        "本文だけが届いた: その前にルーム名長、トークン長、ルーム名、トークンが要る",
    )
    JSON_DATAGRAM = Words(
        "this is JSON alone: room size, token size, room and token come before it, as bytes",
        "JSON だけが届いた: その前にルーム名長、トークン長、ルーム名、トークンがバイト列で要る",
    )
    REQUEST_BY_UDP = Words(
        "this is a request to create or join a room: send it by TCP", "これはルームの作成か参加の要求: TCP で送ること"
    )
    TLS_BY_UDP = Words(
        "this is the beginning of TLS or DTLS: chat goes by UDP in clear text",
        "TLS または DTLS の始まり: チャットは UDP で暗号化せずに送ること",
    )
    TEXT_NOT_UTF8 = Words(
        "the text is not UTF-8: other members see U+FFFD", "本文が UTF-8 ではない: 他の人には U+FFFD と表示される"
    )
    TEXT_NOT_UTF8_BUT = Words(
        "the text is not UTF-8; it seems to be {encoding}", "本文が UTF-8 ではない。{encoding} に見える"
    )
    TEXT_ENDS_IN_ZERO = Words(
        "the text ends in a zero byte, which the server removes", "本文がゼロバイトで終わる。サーバーが取り除く"
    )
    TEXT_NOT_JSON = Words(
        "the text is not the JSON object that {dialect} sends; it is taken as it is",
        "本文が {dialect} の送る JSON オブジェクトではない。そのまま受け取る",
    )


@dataclass(frozen=True, slots=True)
class Hint:
    """A mistake, and the values for its words: numbers, names, and tuples of Words."""

    mistake: Mistake
    values: Mapping[str, object]

    def text(self, language: Language = "en") -> str:
        """Return it as a sentence without a full stop."""
        return self.mistake.value.text(language, **{key: _written(each, language) for key, each in self.values.items()})


def _written(value: object, language: Language) -> object:
    """Return a value as it stands in a sentence: fields' names, which are Words, in its language."""
    if isinstance(value, tuple):
        return ("、" if language == "ja" else ", ").join(each.text(language) for each in value)
    return value


def hint(mistake: Mistake, /, **values: object) -> Hint:
    """Return the hint at a mistake, with the values that its words name."""
    return Hint(mistake, values)
