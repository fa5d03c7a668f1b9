"""Recognise what is no request at all by its first bytes: other protocols, bare text, a datagram."""

import re

from tsudoi.protocol.client.datagram import parse_untrusted
from tsudoi.protocol.client.header import HEADER_SIZE
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import looks_like_token

from .encodings import is_printable
from .mistakes import Hint, Mistake, hint

_HTTP = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PRI) ")
_TELNET = re.compile(rb"\xff[\xfa-\xfe]")
TLS_RECORD = b"\x16\x03"
"""A handshake record of SSL 3 or any TLS: RFC 8446, 5.1. No request begins so: there is no operation 3."""
DTLS_RECORD = b"\x16\xfe"
"""The same of DTLS 1.0 to 1.3: RFC 9147, 4."""
_PROXY = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")
"""Versions 1 and 2 of the PROXY protocol."""


def not_a_request(data: bytes) -> Hint | None:
    """Return what the first bytes of a connection are, if they are certainly no request's."""
    if not data:
        return hint(Mistake.SILENT)
    if data.startswith(TLS_RECORD):
        return hint(Mistake.TLS)
    if method := _HTTP.match(data):
        return hint(Mistake.HTTP, method=method[1].decode())
    if data.startswith(b"SSH-"):
        return hint(Mistake.SSH)
    if _TELNET.match(data):
        return hint(Mistake.TELNET)
    if data.startswith(_PROXY):
        return hint(Mistake.PROXY)
    if _is_datagram(data):
        return hint(Mistake.DATAGRAM_BY_TCP)
    if not _is_text_only(data):
        return None
    return hint(Mistake.JSON_WITHOUT_HEADER if data.lstrip()[:1] == b"{" else Mistake.TEXT_WITHOUT_HEADER)


def _is_datagram(data: bytes) -> bool:
    try:
        return looks_like_token(parse_untrusted(data)[1])
    except MalformedMessage:
        return False


def _is_text_only(data: bytes) -> bool:
    """Return whether the bytes are characters only; 32 digits may be a header whose numbers are written as text."""
    return is_printable(data[:HEADER_SIZE]) and not data[:4].isdigit()
