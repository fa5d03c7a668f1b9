"""Nobody's words are the bytes of somebody else's: every form of datagram, and every name that a member may have."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.strategies import CHARACTERS, dialects, names, texts
from tsudoi.event_lines import speech_line
from tsudoi.events import Emote, Message, Private
from tsudoi.protocol.client.closing_words import closing_text
from tsudoi.protocol.client.dialect import Dialect, DownForm, DownStyle
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.downlink_encoder import encode_closing, encode_message
from tsudoi.protocol.client.lines import FURTHER
from tsudoi.protocol.client.notices import encode_action, encode_notice
from tsudoi.protocol.errors import InvalidName
from tsudoi.protocol.names import SERVER_NAME, UserName, user_name

PLAIN = (DownForm.RAW, DownForm.U1)
_PIECES = st.one_of(
    st.sampled_from(
        (": ", " : ", ":", " :", "* ", "*", "> ", " → ", " ", "server", "alice", "exit", "exit:", "\u200b")
    ),
    CHARACTERS,
)


def is_valid(name: str) -> bool:
    try:
        return user_name(name) == name
    except InvalidName:
        return False


def user_names() -> st.SearchStrategy[str]:
    """Names that members may have, made of what separates names from texts."""
    return (
        st.lists(_PIECES, min_size=1, max_size=6).map("".join).filter(lambda name: is_valid(name) and name != "server")
    )


def room_names() -> st.SearchStrategy[str]:
    return st.one_of(names(), st.sampled_from(("x: y", "x : y", "から: から", "a* b", ": : :", "{user}: {room}")))


def line_of(style: DownStyle, data: bytes) -> str:
    """The line in a datagram of a plain form."""
    return (data[2 + data[0] :] if style.form is DownForm.U1 else data).decode()


def speaker_of(style: DownStyle, line: str) -> str | None:
    """Who speaks in a plain line, as a person reads it; None: a line without a speaker."""
    if line.startswith("* "):
        return line[2:].split(" ")[0].replace("\u200b", "")
    name, found, _ = line.partition(style.separator)
    return name.replace("\u200b", "") if found else None


PLAIN_DIALECTS = [dialect for dialect in DIALECTS.values() if dialect.down.form in PLAIN]
plain_dialects = pytest.mark.parametrize("dialect", PLAIN_DIALECTS, ids=lambda dialect: dialect.name)


@plain_dialects
@given(user_names(), texts())
@example("**", "* alice waves")
@example(":", ": : :")
@example("a:", ": b")
@example("exit", ":exit: : x")
@example("a b", "c d")
def test_a_plain_line_names_its_speaker_and_nobody_else(dialect: Dialect, name: str, text: str) -> None:
    style = dialect.down
    for data in (encode_message(style, "den", 1, name, text), encode_action(style, "den", 1, name, text)):
        assert speaker_of(style, line_of(style, data)) == name


@given(user_names(), texts())
@example("a b", "c")
@example("a", "→ b: c")
def test_a_line_of_our_own_client_names_its_speaker(name: str, text: str) -> None:
    # For its lines on pipes, where a message, an action and a whisper stand among each other.
    assert speech_line(Message(name, text)).partition(": ")[0] == name
    emote = speech_line(Emote(name, text, 1))
    assert (emote[2:].split(" ")[0] if emote.startswith("* ") else emote.partition(": ")[0]) == name
    assert speech_line(Private(name, "bob", text, 1)).partition(" → ")[0] == name
    assert " → " not in speech_line(Message(name, text)).partition(": ")[0]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@given(room_names(), user_names(), user_names(), texts())
@example("x: y", "bob", "mallory", "x")
def test_no_member_can_write_the_servers_closing_words(
    dialect: Dialect, room: str, user: str, host: str, text: str
) -> None:
    style = dialect.down
    templates = dict.fromkeys(dialect.closed, host) | {dialect.timed_out: user}
    templates |= dict.fromkeys(dialect.removed, user)
    for template, name in templates.items():
        data = encode_closing(
            dialect, room, "closed", closing_text(dialect, template, room, name, f"{host} : a: {text}")
        )
        if style.form is DownForm.NAMED and dialect.notices_raw:
            ends = tuple(words.encode() for words in style.ends_at) or b"\xff"
            assert data.startswith(ends) or 1 + data[0] > len(data)
        elif style.form in PLAIN:
            line = line_of(style, data)
            assert speaker_of(style, line) is None or any(words in line for words in style.ends_at)


@given(dialects(), room_names(), texts())
def test_a_line_of_the_server_has_its_name_in_front(dialect: Dialect, room: str, text: str) -> None:
    style = dialect.down
    data = encode_notice(style, room, "announced", {"said": text}, text)
    if style.form in PLAIN:
        assert speaker_of(style, line_of(style, data)) == SERVER_NAME
    with pytest.raises(InvalidName):
        user_name(f"{SERVER_NAME}{style.separator}{text}x")


@given(dialects(), user_names(), texts())
@example(DIALECTS["classic"], "alice", "x\nserver: Announcement: y\n\nbob: z\n")
def test_no_further_line_of_a_text_looks_like_a_line_of_the_room(dialect: Dialect, name: str, text: str) -> None:
    style = dialect.down
    data = encode_message(style, "den", 1, name, text)
    if style.form in (*PLAIN, DownForm.NAMED):
        shown = data[1 + data[0] :].decode() if style.form is DownForm.NAMED else line_of(style, data)
        for line in shown.split("\n")[1:]:
            assert not line or line.startswith(FURTHER)


@given(user_names(), user_names(), st.sampled_from(("en", "ja")))
def test_nobody_looks_like_the_host_in_a_list(name: str, host: str, language: str) -> None:
    mark = " (host)" if language == "en" else " (ホスト)"
    assert name != UserName(f"{host}{mark}")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "server: hi",
            "alice: hi",
            "a : b",
            "a :",
            "a：b",
            "server：",
            "a﹕b",
            "a\u200b: b",
            "a:\u3000b",
            "a:\u200b b",
            "a: \ufeff",
        ),
        *(
            "alice> hi",
            "alice＞ hi",
            "a → b",
            "a∶ b",
            "* alice",
            "*",
            "＊ a",
            "alice (host)",
            "アリス (ホスト)",
            "アリス（ホスト）",
            "alice (Host)",
            "alice (host), silent for 1 s",
            "アリス (ホスト)、1 秒発言なし",
            "server\ufe30 hi",
            "server\u205a hi",
            "⁎ alice",
            "a\u200bb",
        ),
    ],
)
def test_a_name_that_holds_what_stands_between_a_name_and_its_words_is_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="user name"):
        user_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "a:b",
            "12:30",
            "alice:",
            ":)",
            "alice :)",
            "x:",
            "a>b",
            "->",
            ">",
            "a→b",
            "**",
            "*alice*",
            "a*",
            "[A組] 太郎",
        ),
        *("host", "(host)x", "a (host) b", "山田 太郎", "alice#2", "<3", "Server", "R2-D2", "O'Neil", "a, b"),
    ],
)
def test_other_names_with_such_characters_are_names(name: str) -> None:
    assert user_name(name) == name
