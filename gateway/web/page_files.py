"""The page's files: a fixed list of names, so that no path can lead anywhere else."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("page")
FILES = ("index.html", "page.css")
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
    kind: str
    """Its media type."""
    tag: str
    """Its ETag: a browser that has it is answered 304."""


def load(folder: Path = FOLDER) -> dict[str, PageFile]:
    """Return the files by their paths in addresses."""
    found = {}
    for name in FILES:
        body = (folder / name).read_bytes()
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        found["/" if name == "index.html" else f"/{name}"] = PageFile(body, _TYPES[Path(name).suffix], tag)
    return found
