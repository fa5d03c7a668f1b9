"""The files of the page for members."""

from pathlib import Path

from tsudoi.ops import web_files
from tsudoi.ops.web_files import PageFile

FOLDER = Path(__file__).with_name("page")
FILES = (
    "client.js",
    "commands.js",
    "connection.js",
    "icon-unread.svg",
    "index.html",
    "keep.js",
    "lines.js",
    "main.js",
    "page.css",
    "room.js",
    "sound.js",
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
"""What is served beside `web_files.SHARED`, each under its name. A new file is listed here."""


def load() -> dict[str, PageFile]:
    """Return the files by their paths in addresses."""
    return web_files.load(FOLDER, FILES)
