"""tsudoi/protocol/client/notices.py"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsudoi.protocol.client import long_answers, notices
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.downlink_encoder import MAX_DOWN
from tsudoi.protocol.client.long_answers import ANSWER_SIZE

TSUDOI = DIALECTS["tsudoi"].down
LONG = ['"' * 4_000, "x" * 4_050, "日" * 1_350, "\u202e" * 8 + "日" * 1_340 + "\u202c" * 8, "\t" * 4_000]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_every_notice_fits_a_datagram(dialect: Dialect) -> None:
    for text in LONG:
        rows = [({"n": n, "from": "bob", "said": text}, f"12:00 bob: {text}") for n in range(1, 4)]
        datagrams = long_answers.encode_list(dialect.down, "den", "history", "messages", {}, "what was said", rows)
        assert len(datagrams) == 3
        for datagram in [*datagrams, notices.encode_action(dialect.down, "den", 7, "bob", text)]:
            assert len(datagram) <= MAX_DOWN
            # What turns the direction of writing is ended, or not there.
            assert datagram.count("\u202e".encode()) == datagram.count("\u202c".encode())


@given(said=st.text(max_size=4_000), words=st.text(max_size=4_000))
def test_a_notice_is_cut_no_more_than_needed(said: str, words: str) -> None:
    raw = notices.encode_notice(TSUDOI, "den", "whispered", {"n": 7, "name": "bob", "said": said}, words)
    fields = json.loads(raw)
    assert (fields["n"], fields["notice"], fields["name"]) == (7, "whispered", "bob")
    if (fields["said"], fields["text"]) == (said, words):
        return
    assert MAX_DOWN - 24 < len(raw) <= MAX_DOWN or any(
        char in said + words for char in "\u202a\u202b\u202c\u202d\u202e"
    )


@given(st.lists(st.text(max_size=300), max_size=30))
def test_a_list_comes_whole_and_in_small_datagrams(texts: list[str]) -> None:
    datagrams = long_answers.encode_list(TSUDOI, "den", "who", "rows", {}, "head", [(text, text) for text in texts])
    assert [row for datagram in datagrams for row in json.loads(datagram)["rows"]] == texts
    for datagram in datagrams:
        assert len(datagram) <= ANSWER_SIZE or len(json.loads(datagram)["rows"]) == 1
