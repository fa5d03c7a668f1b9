"""client/state/typed.py: which lines are for the server."""

import pytest

from client.state.model import SpeechKind
from client.state.typed import Enter, Go, Leave, Nameless, Quit, Say, ShowHelp, Spoken, spoken, understand


@pytest.mark.parametrize(
    ("line", "intent"),
    [
        ("  ", None),
        ("hello", Say("hello")),
        ("//join x", Say("//join x")),
        ("/join x\ny", Say("/join x\ny")),
        ("/who", Say("/who")),
        ("/join garden path", Enter("garden path")),
        ('/join "garden path"', Enter("garden path")),
        ("／join　庭", Enter("庭")),
        ("/JOIN x", Enter("x")),
        ("／ｊＯｉｎ　庭", Enter("庭")),
        ("/join", Enter("den")),
        ("/create x", Enter("x", creates=True)),
        ("/create", Nameless("create")),
        ("/go 2", Go("2")),
        ("/go", Nameless("go")),
        ("/leave", Leave()),
        ("/leave it", Say("/leave it")),
        ("/quit", Quit()),
        ("/exit", Quit()),
        ("/help", ShowHelp()),
    ],
)
def test_what_a_line_means(line: str, intent: object) -> None:
    assert understand(line, "den") == intent


def test_without_a_room_join_needs_a_name() -> None:
    assert understand("/join", "") == Nameless("join")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hello", Spoken("hello")),
        ("alice: hello", Spoken("hello")),
        ("//who", Spoken("/who")),
        ("/me waves", Spoken("waves", SpeechKind.ACTED)),
        ('/msg "bob b" psst', Spoken("psst", SpeechKind.WHISPERED, "bob b")),
        ("/r psst", Spoken("psst", SpeechKind.WHISPERED, "…")),
        ("pasted\n\n\n\nlines\n", Spoken("pasted\n\nlines")),
        ("\n".join("a" * 52), Spoken("\n".join("a" * 50) + " a a")),
        ("/who", None),
        ("/nonsense", None),
        ("alice: /who", None),
    ],
)
def test_what_others_hear_of_a_line(line: str, said: Spoken | None) -> None:
    assert spoken(line, "alice") == said
