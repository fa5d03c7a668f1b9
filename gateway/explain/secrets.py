"""Find the bytes that are not to be shown: tokens, passwords and signed tokens, also at wrong places."""

import re

from tsudoi.protocol.client.datagram import parse_untrusted
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import looks_like_token

Span = tuple[int, int]
"""(begin, end) of some bytes."""

_PATTERNS = (
    # A token, or what is left of one that was cut.
    re.compile(rb"[0-9a-fA-F]{12,}"),
    # A signed token.
    re.compile(rb"eyJ[A-Za-z0-9_.-]{8,}"),
    # A password in JSON, or in what was meant as such; to its end if that is missing.
    re.compile(rb"""(?i:pass|pwd|pw)\w*["']?\s*[:=]\s*["']?([^"',}]*)"""),
)


def secret_spans(data: bytes, tokens: tuple[bytes, ...] = (), is_datagram: bool = False) -> list[Span]:
    """Return the spans to hide, in order and without overlaps.

    `tokens`: known tokens, which are also hidden as 16 raw bytes. In a datagram the token's place is hidden whatever it
    holds.
    """
    spans = [span for token in filter(looks_like_token, tokens) for span in _places(token, data)]
    if is_datagram and (token_at := _token_place(data)) is not None:
        spans.append(token_at)
    # What is certainly a token is taken out first: a text after it may go on with hexadecimal digits.
    left = bytearray(data)
    for begin, end in spans:
        left[begin:end] = bytes(end - begin)
    for pattern in _PATTERNS:
        spans += [found.span(pattern.groups) for found in pattern.finditer(left)]
    return _merged([span for span in spans if span[0] < span[1]])


def _places(token: bytes, data: bytes) -> list[Span]:
    """Return where a known token is, also in upper case or as bytes."""
    return [
        found.span()
        for form in (token, token.upper(), bytes.fromhex(token.decode()))
        for found in re.finditer(re.escape(form), data)
    ]


def _token_place(data: bytes) -> Span | None:
    """Return the place of the token by a datagram's sizes."""
    try:
        room, token, _ = parse_untrusted(data)
    except MalformedMessage:
        return None
    return 2 + len(room), 2 + len(room) + len(token)


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def masked(text: str) -> str:
    """Return a text with its secrets replaced by an ellipsis."""
    raw = text.encode(errors="replace")
    shown, at = b"", 0
    for begin, end in secret_spans(raw):
        shown += raw[at:begin] + "…".encode()
        at = end
    return (shown + raw[at:]).decode(errors="replace")
