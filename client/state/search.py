"""Find a text in the lines of a room that are loaded, and step through those that have it."""

from unicodedata import normalize

from .items import Items
from .model import Item, Search, Speech


def search(items: Items, before: Search | None, text: str, step: int) -> Search:
    """Look for a text: find the newest line that has it, or go on from the line that was found before.

    `step`: -1 to the next older one, 1 to the next newer one, 0 stays. Width and case do not matter: `ａＢ` is `ab`.
    """
    wanted = _folded(text)
    found = [item for item in items if wanted in _folded(_words(item))] if wanted else []
    last = at = len(found) - 1
    if before is not None and before.text == text:
        # One that is not there any more, as an own line that is kept by now is another value: the newest again.
        at = next((at for at, item in enumerate(found) if item is before.found), last - step)
    wants_older = bool(wanted) and step < 0 and at + step < 0
    at = max(min(at + step, last), 0)
    return Search(text, found[at] if found else None, len(found) - at, len(found), len(items), wants_older)


def _words(item: Item) -> str:
    return f"{item.sender}\n{item.to}\n{item.text}" if isinstance(item, Speech) else item.text


def _folded(text: str) -> str:
    return normalize("NFKC", text).casefold()
