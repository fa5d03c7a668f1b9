"""docs/debugging.md and its Japanese page show what `identify` and the log really say"""

import re

import pytest
from structlog.dev import ConsoleRenderer

from gateway.explain.datagram_hints import Known
from gateway.identify.blocks import Talk, datagram_block, handshake_block
from gateway.identify.render import Renderer
from gateway.identify.words import DATAGRAM_OUTCOMES
from gateway.listeners.handshake_log import HandshakeLog
from gateway.listeners.options import Listener
from tests.gateway.explain.mistakes_made import IN_THE_HEADER, TOKEN, handshake, request
from tests.test_documents import blocks, code, headings, page, tables
from tsudoi.protocol.client.datagram import serialize
from tsudoi.protocol.client.dialects import CLASSIC
from tsudoi.protocol.client.recognise import AUTO
from tsudoi.protocol.client.words import Language

PAGES: list[tuple[str, Language]] = [("docs/debugging.md", "en"), ("docs/debugging.ja.md", "ja")]
each_page = pytest.mark.parametrize(("name", "language"), PAGES)
PEER = "127.0.0.1:50000"
WIDTH = 88
LITTLE_ENDIAN = IN_THE_HEADER["little-endian"][0](request(CLASSIC))
REFUSAL = b"ERROR: Bad request: the header promises more than 2^29 bytes"


def session(language: Language) -> list[str]:
    """The blocks of a request with a little-endian size, and of a datagram with a wrong room size."""
    draw = Renderer(language, WIDTH)
    talk = Talk([(True, LITTLE_ENDIAN), (False, REFUSAL)])
    account = handshake(AUTO, LITTLE_ENDIAN)
    lines = handshake_block(draw, PEER, "127.0.0.1:9101=auto", account, talk, ())
    datagram = b"\4" + serialize("den", TOKEN, "alice: hello")[1:]

    def whose(token: bytes) -> Known | None:
        return Known(b"den", CLASSIC, b"alice") if token == TOKEN.encode() else None

    outcome = [DATAGRAM_OUTCOMES["unknown_tokens"]]
    return [*lines, "", *datagram_block(draw, PEER, datagram, whose, outcome, (TOKEN.encode(),))]


def log_line() -> str:
    listener = Listener("0.0.0.0", 9001, AUTO)
    values = HandshakeLog().line(listener, "192.0.2.7", 50_112, handshake(AUTO, LITTLE_ENDIAN), 0.0)
    assert values is not None
    line = {"timestamp": "2026-11-28T10:00:00.000000Z", "level": "info", "logger": "gateway.tcp", "event": "handshake"}
    return str(ConsoleRenderer(colors=False, pad_event_to=0, pad_level=False)(None, "", line | values))


@each_page
def test_the_session_shown_is_what_identify_writes(name: str, language: Language) -> None:
    shown, log = [content for kind, content in blocks(name) if kind == "text"]
    assert shown.splitlines() == session(language)
    assert " ".join(log.split()) == " ".join(log_line().split())


def test_both_pages_have_the_same_parts() -> None:
    one, other = (name for name, _ in PAGES)
    assert [level for level, _ in headings(one)] == [level for level, _ in headings(other)]
    assert [len(table) for table in tables(one)] == [len(table) for table in tables(other)]
    assert sorted(code(re.sub(r"```.*?```", "", page(one), flags=re.DOTALL))) == sorted(
        code(re.sub(r"```.*?```", "", page(other), flags=re.DOTALL))
    )
