"""Every citation of the form `X.md, "Heading"` in code, settings and documents names a file and a heading of it."""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = {".py", ".c", ".js", ".sh", ".yaml", ".yml", ".toml", ".md", ".json"}

# A comment may break a citation between lines; JSON escapes its quotes.
GAP = r"[\s#*/]+"
TITLE = r'\\?"([^"\\\n]+)\\?"'
CITATION = re.compile(rf"([\w./-]+\.md),{GAP}({TITLE}(?:(?:,?{GAP}and{GAP}|,{GAP}){TITLE})*)")


def sources(root: Path) -> Iterator[Path]:
    """Yield all files that may cite, without hidden folders such as .git and .venv."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(each for each in folders if not each.startswith((".", "__pycache__")))
        yield from (Path(folder, name) for name in sorted(names) if Path(name).suffix in SUFFIXES)


def citations(text: str) -> list[tuple[str, str]]:
    """Return (document, heading) of each citation in a text."""
    return [(found[1], title) for found in CITATION.finditer(text) for title in re.findall(TITLE, found[2])]


@cache
def headings(document: Path) -> frozenset[str]:
    """Return the headings of a document, without those in fenced blocks."""
    text = re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return frozenset(re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE))


def fault(path: Path, document: str, heading: str) -> str:
    """Return what is wrong with a citation, or an empty text."""
    places = [folder / document for folder in (ROOT, path.parent) if (folder / document).is_file()]
    if not places:
        return f"there is no {document}"
    return "" if any(heading in headings(place) for place in places) else f"{document} has no heading {heading!r}"


def test_each_citation_names_a_heading() -> None:
    cited = [
        (path, *citation)
        for path in sources(ROOT)
        if path != Path(__file__) and ".md" in (text := path.read_text("utf-8"))
        for citation in dict.fromkeys(citations(text))
    ]
    assert len(cited) > 40
    assert not [f"{path.relative_to(ROOT)}: {why}" for path, *citation in cited if (why := fault(path, *citation))]


def test_citations_are_found_in_all_their_forms() -> None:
    assert citations('see PROTOCOL.md, "Names" and "Tokens".') == [("PROTOCOL.md", "Names"), ("PROTOCOL.md", "Tokens")]
    assert citations('# as docs/chaos.md,\n    # "Faults", says') == [("docs/chaos.md", "Faults")]
    assert citations(r'{"about": "PROTOCOL.md, \"Told\": answers"}') == [("PROTOCOL.md", "Told")]
