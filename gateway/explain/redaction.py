"""Find the bytes that are not to be shown: tokens, passwords and signed tokens, also at wrong places."""

import re

from tsudoi.protocol.names import looks_like_token

Span = tuple[int, int]
"""(begin, end) of some bytes."""

_PATTERNS = (
    # A token, or what is left of one that was cut.
    re.compile(rb"[0-9a-fA-F]{12,}"),
    # A signed token.
    re.compile(rb"eyJ[A-Za-z0-9_.-]{8,}"),
    # A password in JSON, or in what was meant as such; to its end if that is missing.
    re.compile(rb"""(?i:pass|pwd|pw)\w{0,40}["']?\s*[:=]\s*["']?([^"',}]*)"""),
    # The command that sets it.
    re.compile(rb"""/password[ \t]+([^"\n]+)"""),
)


def secret_spans(data: bytes, tokens: tuple[bytes, ...] = (), places: list[Span] | None = None) -> list[Span]:
    """Return the spans to hide, in order and without overlaps.

    `tokens`: known tokens, which are also hidden as 16 raw bytes. `places`: what is hidden whatever it holds.
    """
    spans = list(places or ())
    spans += [span for token in filter(looks_like_token, tokens) for span in _places(token, data)]
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


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def without(data: bytes, spans: list[Span], begin: int = 0, end: int | None = None) -> bytes:
    """Return the bytes from `begin` to before `end`, with an ellipsis for each span."""
    end = len(data) if end is None else end
    shown, at = b"", begin
    for first, last in spans:
        if first < end and last > begin:
            shown += data[at : max(first, at)] + "…".encode()
            at = min(last, end)
    return shown + data[at:end]


def redacted(text: str) -> str:
    """Return a text with its secrets replaced by an ellipsis."""
    raw = text.encode(errors="replace")
    return without(raw, secret_spans(raw)).decode(errors="replace")
