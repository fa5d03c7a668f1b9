"""Serve the files of a page for browsers: those that its folder has at the start, so no path can lead anywhere else.

The pages of gateway and operator share the files in `page/`: colours, plain controls, and helpers that make elements.
"""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

SHARED_FOLDER = Path(__file__).with_name("page")

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}

SECURITY = (
    ("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
"""Headers of every answer."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file."""

    body: bytes
    zipped: bytes
    """The same by gzip, for browsers that take it: half a first load's bytes."""
    kind: str
    """Its media type."""
    tag: str
    """Its ETag, a weak one, since it is that of both forms: a browser that has it is answered 304."""


def load(folder: Path) -> dict[str, PageFile]:
    """Return the files of a page, and those that all pages share, by their paths in addresses; `index.html` at `/`."""
    found = {}
    for path in (*folder.iterdir(), *SHARED_FOLDER.iterdir()):
        if path.suffix not in _TYPES:
            continue  # an editor's copy, for example
        body = path.read_bytes()
        tag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
        place = "/" if path.name == "index.html" else f"/{path.name}"
        found[place] = PageFile(body, gzip.compress(body, mtime=0), _TYPES[path.suffix], tag)
    return found
