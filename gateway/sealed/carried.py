"""Note which members are served over which TCP connections; PROTOCOL.md, "Over TCP". No I/O, no clock.

A connection has an address with a listener number of its own, so other code treats it like a UDP client. Unlike one, it
ends, and data that its client does not read waits here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .link import SealedLink


@dataclass(slots=True, eq=False)
class Carried:
    """The links that are served over connections, by their addresses."""

    listener: int = -1
    """The number of the listener that the connections' addresses are of."""
    on_change: Callable[[bytes, bool], object] = field(default=lambda address, is_used: None)
    """Is called with an address when its connection begins to serve a member, and when it serves none any more."""
    is_behind: Callable[[bytes], bool] = field(default=lambda address: False)
    """Whether much waits already for the client of an address."""
    _links: dict[bytes, set["SealedLink"]] = field(default_factory=dict)

    def begin(self, link: "SealedLink") -> None:
        """Note that a run of a member begins."""
        if link.listener == self.listener:
            links = self._links.setdefault(link.address, set())
            links.add(link)
            if len(links) == 1:
                self.on_change(link.address, True)

    def end(self, link: "SealedLink") -> None:
        """Note that it ends."""
        if link.listener == self.listener and (links := self._links.get(link.address)) is not None:
            links.discard(link)
            if not links:
                del self._links[link.address]
                self.on_change(link.address, False)

    def over(self, address: bytes) -> list["SealedLink"]:
        """Return the links that are served over a connection."""
        return list(self._links.get(address, ()))
