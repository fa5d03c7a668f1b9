"""tsudoi/ops/web_files.py: what is served of a page's folder."""

import gzip
from pathlib import Path

from tsudoi.ops import web_files


def test_files_of_known_kinds_are_served_beside_the_shared_ones(tmp_path: Path) -> None:
    for name in ("index.html", "main.js", "view.js", "page.css", "notes.txt", "view.js~", ".swp"):
        (tmp_path / name).write_text("<head></head>")
    files = web_files.load(tmp_path)
    assert set(files) == {"/", "/main.js", "/view.js", "/page.css", "/dom.js", "/icon.svg", "/look.css"}
    assert files["/view.js"].body == b"<head></head>"
    assert gzip.decompress(files["/"].zipped) == files["/"].body


def test_the_head_asks_for_every_module_at_once(tmp_path: Path) -> None:
    for name in ("index.html", "main.js", "view.js"):
        (tmp_path / name).write_text("<head></head>")
    head = web_files.load(tmp_path)["/"].body.decode()
    links = (f'<link rel="modulepreload" href="{name}">' for name in ("view.js", "dom.js"))
    assert head == "<head>" + "\n".join(links) + "\n</head>"
