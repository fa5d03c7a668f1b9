"""Decide which websites' pages may open a WebSocket here; PROTOCOL.md, "WebSocket"."""

from collections.abc import Collection

from tsudoi.ops.host_port import is_fixed
from tsudoi.protocol.errors import SettingError

ANY = "*"
_PORTS = {"http": "80", "https": "443"}


def parse_origin(text: str) -> str:
    """Return an origin in the form that browsers send, or `*`; raise SettingError if the text is neither."""
    if text == ANY:
        return text
    scheme, separator, rest = text.casefold().rstrip("/").partition("://")
    if not separator or scheme not in _PORTS or not rest or set(rest) & set("/?#@ "):
        raise SettingError(f"{text!r} is no origin: https://chat.example, or http://HOST:PORT, or * for all")
    return f"{scheme}://{rest.removesuffix(':' + _PORTS[scheme])}"


def may_connect(origin: str | None, host: str | None, allowed: Collection[str]) -> bool:
    """Return whether a WebSocket may be opened, by the headers `Origin` and `Host` (None: it is missing).

    Every browser sends `Origin`, and no page can change it; a program that sends none is no browser with another's
    rights. The listener's own page counts if it was opened by an IP address or as `localhost`: a page of any other name
    may have pointed that name here only now (DNS rebinding), so such names are listed.
    """
    if origin is None or ANY in allowed or origin.casefold() in allowed:
        return True
    scheme, separator, place = origin.casefold().partition("://")
    if not separator or host is None or scheme not in _PORTS:
        return False
    port = _PORTS[scheme]
    return place.removesuffix(f":{port}") == host.casefold().removesuffix(f":{port}") and is_fixed(place)
