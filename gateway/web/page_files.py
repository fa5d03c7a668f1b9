"""The page's files: a fixed list of names, so that no path can lead anywhere else."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("page")
FILES = (
    "client.js",
    "commands.js",
    "connection.js",
    "dom.js",
    "icon-unread.svg",
    "icon.svg",
    "index.html",
    "keep.js",
    "lines.js",
    "main.js",
    "page.css",
    "room.js",
    "state.js",
    "view-composer.js",
    "view-enter.js",
    "view-header.js",
    "view-line.js",
    "view-rooms.js",
    "view-roster.js",
    "view-timeline.js",
    "view-title.js",
    "wire.js",
    "words.js",
)
"""What is served, each under its name; `index.html` at `/`. A new file is listed here."""

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


def load(folder: Path = FOLDER) -> dict[str, PageFile]:
    """Return the files by their paths in addresses."""
    found = {}
    for name in FILES:
        body = (folder / name).read_bytes()
        tag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
        path = "/" if name == "index.html" else f"/{name}"
        found[path] = PageFile(body, gzip.compress(body, mtime=0), _TYPES[Path(name).suffix], tag)
    return found
