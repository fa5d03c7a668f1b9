"""Make blocks of lines from what happened between a client and the server; decides nothing, does no I/O."""

from dataclasses import dataclass

from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import CLASSIC
from tsudoi.protocol.client.header import HEADER_SIZE
from tsudoi.protocol.client.recognise import AUTO
from tsudoi.protocol.client.words import Words

from ..counters import Counters
from ..explain.datagram_hints import WhoseToken
from ..explain.explain import Explanation, explain_datagram, explain_down, explain_reply, explain_request
from ..explain.fields import Field, Part
from ..explain.opening import Opening
from ..explain.redaction import secret_spans, without
from ..join.account import Account
from . import words
from .render import Renderer, quoted

Tokens = tuple[bytes, ...]

CHUNKS = 64
"""Sent and received pieces of one connection that are kept for its block."""


@dataclass(slots=True)
class Talk:
    """What has gone over a connection since the last block: (whether the client sent it, bytes) in order."""

    pieces: list[tuple[bool, bytes]]

    def add(self, is_from_client: bool, data: bytes) -> None:
        """Add bytes; those of the client that follow each other are one piece."""
        if self.pieces and is_from_client and self.pieces[-1][0]:
            self.pieces[-1] = True, self.pieces[-1][1] + data
        elif len(self.pieces) < CHUNKS:
            self.pieces.append((is_from_client, data))

    @property
    def opening(self) -> bytes:
        """The first bytes from the client."""
        return next((data for is_from_client, data in self.pieces if is_from_client), b"")


def handshake_block(
    draw: Renderer, peer: str, listener: str, account: Account, talk: Talk, tokens: Tokens
) -> list[str]:
    """Return the block of a request, its answer and what came of it."""
    opening = account.opening._replace(data=talk.opening, is_cut=False)
    explained = explain_request(opening, tokens=tokens)
    is_auto = opening.listener == AUTO
    lines = draw.heading(words.REQUEST.text(draw.language, peer=peer, listener=listener))
    lines += draw.request(explained, is_auto)
    dialect = opening.dialect
    if dialect is not None:
        why = words.LISTENERS if opening.rule is None else opening.rule.value
        lines += draw.note(words.READ_AS, dialect=dialect.name, why=why.text(draw.language))
    for is_from_client, data in talk.pieces[1:] if talk.pieces and talk.pieces[0][0] else talk.pieces:
        lines += draw.note(words.ROOM_CHOSEN if is_from_client else words.ANSWER)
        if is_from_client:
            lines += draw.fields(Explanation(data, [Field(0, len(data), Part.ROOM)], secret_spans(data, tokens)))
        else:
            lines += draw.fields(explain_reply(data, dialect or CLASSIC, tokens))
    outcome = account.outcome.value.text(draw.language)
    if account.why:
        how = words.ENDS.get(account.why)
        outcome += f": {account.why if how is None else how.text(draw.language)}"
    lines += draw.note(words.OUTCOME, outcome=outcome)
    return lines + draw.hints(account._replace(opening=opening).hints)


def so_far_block(draw: Renderer, peer: str, opening: Opening, listener: str, tokens: Tokens) -> list[str]:
    """Return the block of a request of which a part has come, and nothing for a while."""
    header = opening.header
    size = HEADER_SIZE if header is None else HEADER_SIZE + header.body_size
    more = max(size - len(opening.data), 0)
    explained = explain_request(opening, tokens=tokens)
    lines = draw.heading(words.SO_FAR.text(draw.language, peer=peer, listener=listener, more=more))
    return lines + draw.fields(explained) + draw.hints(explained.hints)


def port_block(draw: Renderer, peer: str, data: bytes) -> list[str]:
    """Return the block of what a client sends after its token: its UDP port."""
    lines = draw.heading(words.PORT_ANNOUNCED.text(draw.language, peer=peer))
    return lines + draw.fields(Explanation(data, [Field(0, len(data), Part.PORT, int.from_bytes(data, "big"))], []))


def datagram_block(
    draw: Renderer,
    peer: str,
    data: bytes,
    whose: WhoseToken,
    outcomes: list[Words],
    tokens: Tokens,
    body: bytes | None = None,
) -> list[str]:
    """Return the block of a datagram from a client, and what came of it; `body`: what a packet of version 2 has."""
    explained = explain_datagram(data, whose, tokens)
    lines = draw.heading(words.DATAGRAM.text(draw.language, peer=peer)) + draw.fields(explained)
    lines += _body_lines(draw, body, tokens)
    for outcome in outcomes:
        lines += draw.note(words.OUTCOME, outcome=outcome.text(draw.language, peer=peer))
    return lines + draw.hints(explained.hints)


def down_block(
    draw: Renderer, heading: str, data: bytes, dialect: Dialect | None, tokens: Tokens, body: bytes | None
) -> list[str]:
    """Return the block of a datagram to one client or several; to no member if there is no dialect."""
    lines = draw.heading(heading) + draw.fields(explain_down(data, dialect or CLASSIC, tokens))
    return lines + _body_lines(draw, body, tokens)


def _body_lines(draw: Renderer, body: bytes | None, tokens: Tokens) -> list[str]:
    lines: list[str] = []
    for line in body.split(b"\n") if body else ():
        lines += draw.note(words.LINE, line=quoted(without(line, secret_spans(line, tokens))))
    return lines


def datagram_outcomes(before: Counters, after: Counters, is_known: bool, left: bool) -> list[Words]:
    """Return what came of a datagram, by the counters that it moved."""
    moved = [name for name in words.DATAGRAM_OUTCOMES if getattr(after, name) != getattr(before, name)]
    found = [words.DATAGRAM_OUTCOMES[name] for name in moved][:1]
    if left:
        found = [words.LEAVES]
    if not found:
        found = [words.SIGN_OF_LIFE if is_known else words.ASKED_FOR]
    if after.moved_addresses != before.moved_addresses:
        found.append(words.MOVED)
    return found
