"""Bound the texts that gateways send: one that was taken over may leave out what its own rules say."""

from tsudoi.protocol.client.datagram import MAX_UP
from tsudoi.protocol.client.lines import bound_lines
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.names import cut


def received_text(text: str) -> str:
    """Return a text without control characters or too many lines, and no longer than a datagram can carry."""
    if len(text) <= MAX_UP // 4 and text.isprintable():
        return text  # the usual one: it has no line feed either
    text = bound_lines(clean(text))
    # A character has at most four bytes.
    return text if len(text) <= MAX_UP // 4 else cut(text, MAX_UP)
