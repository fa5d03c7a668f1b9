"""Define the answers to a webhook: a status, and one line of JSON that says what to do; PROTOCOL.md, "Webhook"."""

from dataclasses import dataclass

import msgspec

from tsudoi.protocol.errors import PeerError


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, before it is written as HTTP."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    """Beside those that every answer has."""
    error: str = ""
    """What the body says is wrong; empty: nothing."""


class Refusal(PeerError):
    """The request is refused with `answer`."""

    def __init__(self, status: int, error: str, **headers: str) -> None:
        """Take the status, what is wrong and what to do about it, and headers (`retry_after="1"`)."""
        super().__init__(error)
        names = ((name.replace("_", "-").title(), value) for name, value in headers.items())
        self.answer = Answer(status, _json({"error": error}), tuple(names), error)


def said(room: str, name: str, epoch: int, offset: int) -> Answer:
    """Return the answer to a message that is kept."""
    return Answer(200, _json({"room": room, "name": name, "epoch": epoch, "offset": offset}))


def _json(value: dict[str, str | int]) -> bytes:
    return msgspec.json.encode(value) + b"\n"
