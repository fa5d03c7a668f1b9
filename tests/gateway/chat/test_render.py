"""gateway/chat/render.py against tests/vectors/notices.json; the protocol's test_vectors.py reads what it writes."""

from gateway.chat import render
from tests.support.each import each
from tests.tsudoi.protocol.vectors import Vector, data, dialect_of, frames, vectors
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client.dialects import TCRP
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import EntryKind


def entry_of(vector: Vector) -> Entry:
    """The vector's entry; who does something is member 1, whom it concerns 2."""
    fields = vector["entry"]
    offset, sender, text, code = (fields[key] for key in ("offset", "sender", "text", "code"))
    peer = fields["peer"]
    return Entry(offset, EntryKind[fields["kind"]], 1, sender, text, code, 0, 2 if peer else 0, peer)


def options_of(vector: Vector) -> int:
    """Return the options of the vector's receiver."""
    return MemberOptions.JAPANESE if vector["language"] == "ja" else 0


@each(vectors("notice"))
def test_told(vector: Vector) -> None:
    entry, style = entry_of(vector), dialect_of(vector).down
    member = {entry.sender: 1, entry.peer_name: 2}.get(vector["to"], 0)
    assert render.payload(entry, vector["room"], style, options_of(vector), member) == data(vector)


@each(vectors("removed"))
def test_removed(vector: Vector) -> None:
    dialect = dialect_of(vector)
    assert render.farewell(entry_of(vector), vector["room"], dialect, options_of(vector)) == frames(vector)


def test_an_answer_that_repeats_a_name_has_one_line() -> None:
    data = render.answer(TCRP.down, "den", Phrase.NO_SUCH_MEMBER, False, "no\nserver: hi")
    assert data == b"server: There is nobody called no server: hi in this room."
