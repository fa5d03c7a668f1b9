"""The vectors in tests/vectors/, and the pieces of documents that tests hold the code against."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from tsudoi.protocol.client.dialect import Dialect, DownForm, DownStyle, PortPlace, Reply, RequestForm
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.codes import State, Status

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "tests" / "vectors"
DOCUMENT = (ROOT / "PROTOCOL.md").read_text(encoding="utf-8")
EXAMPLE = (
    (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("\n## Adding a dialect\n")[2].partition("\n## ")[0]
)
"""How to add a dialect: the worked example."""
TOKEN = "0123456789abcdef0123456789abcdef"

Vector = dict[str, Any]


@cache
def files() -> dict[str, dict[str, Any]]:
    """Each file's content, by its name without the ending."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def vectors(*kinds: str) -> dict[str, Vector]:
    """All vectors of these kinds, by file and name; each has the `dialect` of its file, if that has one."""
    found = {}
    for name, content in files().items():
        for vector in content["vectors"]:
            if vector["kind"] in kinds:
                found[f"{name}, {vector['kind']}: {vector['name']}"] = {"dialect": content.get("dialect"), **vector}
    assert {vector["kind"] for vector in found.values()} == {*kinds}
    return found


def frames(vector: Vector) -> list[bytes]:
    """The vector's bytes, one item a segment or datagram."""
    return [bytes.fromhex(part) for part in vector["hex"]]


def data(vector: Vector) -> bytes:
    """The vector's bytes, of those that have one piece."""
    return bytes.fromhex(vector["hex"])


@cache
def all_bytes() -> frozenset[bytes]:
    """Every byte string that any vector has."""
    found: set[bytes] = set()
    for content in files().values():
        for vector in content["vectors"]:
            pieces = vector["hex"] if isinstance(vector["hex"], list) else [vector["hex"]]
            pieces += [vector[key] for key in ("answer",) if key in vector]
            found.update(map(bytes.fromhex, pieces))
    return frozenset(found)


# --- PROTOCOL.md --------------------------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language in PROTOCOL.md and in the worked example."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT + EXAMPLE, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """The text below a heading, up to the next heading of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |^### |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"PROTOCOL.md has no section {title!r}"
    return found[2]


_PIECE = re.compile(r"\s*(?:H32\((\d+), (\d+), (\d+), (\d+)\)|«([^»]*)»|(T)\b|([0-9a-f]{2})(?![0-9a-zA-Z])|(#.*))")


def in_bytes(line: str) -> bytes:
    """The bytes that a line in the document's notation stands for."""
    found, at = b"", 0
    while line[at:].strip():
        piece = _PIECE.match(line, at)
        assert piece is not None, f"{line[at:]!r} in {line!r} is not in the notation of PROTOCOL.md"
        at = piece.end()
        if piece[1] is not None:
            room_size, operation, state, payload_size = (int(piece[number]) for number in (1, 2, 3, 4))
            found += bytes((room_size, operation, state)) + payload_size.to_bytes(29, "big")
        elif piece[5] is not None:
            found += piece[5].encode()
        elif piece[6]:
            found += TOKEN.encode()
        elif piece[7]:
            found += bytes.fromhex(piece[7])
    return found


@cache
def worked_example() -> Dialect:
    """The profile in CONTRIBUTING.md, "Adding a dialect"."""
    (source,) = blocks("python")
    names = {"State": State, "Status": Status, "Dialect": Dialect, "DownForm": DownForm, "DownStyle": DownStyle}
    found: dict[str, Any] = {**names, "PortPlace": PortPlace, "Reply": Reply, "RequestForm": RequestForm}
    exec(compile(source, "CONTRIBUTING.md", "exec"), found)
    dialect = found["TCRP_HELLO"]
    assert isinstance(dialect, Dialect)
    return dialect


def dialect_of(vector: Vector) -> Dialect:
    """The vector's dialect; the worked example is one too."""
    example = worked_example()
    return example if vector["dialect"] == example.name else DIALECTS[vector["dialect"]]
