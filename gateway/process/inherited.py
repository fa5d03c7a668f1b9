"""Write the descriptors that a worker inherits from its parent process as one option's text, and read it."""

from dataclasses import dataclass

import msgspec

from tsudoi.protocol.errors import SettingError


@dataclass(frozen=True, slots=True)
class Inherited:
    """Descriptors of the sockets that a worker gets from its parent process, one per listener."""

    tcp: tuple[int, ...]
    udp: tuple[int, ...]
    workers: int
    """The number of workers among which the kernel divides datagrams by their tokens; 1: it does not."""
    number: int
    """Which worker it is, from 1 on; its log lines have it."""
    webhook: tuple[int, ...]
    web: tuple[int, ...]
    pings: tuple[int, ...]
    """Of the sockets for pings (`listeners/ping_lane.py`), one per UDP listener; none if the kernel routes nothing."""

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


def parse_inherited(text: str) -> Inherited:
    """Parse a text that `str` has made; raise SettingError for any other."""
    try:
        return msgspec.json.decode(text, type=Inherited)
    except msgspec.MsgspecError:
        raise SettingError(f"{text!r} is no list of descriptors") from None
