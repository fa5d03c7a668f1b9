"""Say how a request on a TCP connection ended, for the log: as what it was read and why, its outcome, and hints."""

import re
from enum import Enum
from typing import NamedTuple

from tsudoi.protocol.client.recognise import asks_for_rooms
from tsudoi.protocol.client.words import Words
from tsudoi.protocol.codes import Operation

from ..explain.mistakes import Hint, Mistake, hint
from ..explain.opening import Opening
from ..explain.other_protocols import TLS_RECORD
from ..explain.request_hints import request_hints

HINTS = 2
"""Hints in one line; `identify` shows all."""
ROOM_SIZE = 64
"""Characters of a room's name in a line."""
# What follows may be a payload, with a password or a signed token in it: a wrong size makes it part of the room's name.
_NOT_A_NAME = re.compile(r"""[{"']|eyJ|[0-9a-fA-F]{16}""")


class Outcome(Enum):
    """What came of a connection's request."""

    CREATED = Words("created", "作成した")
    JOINED = Words("joined", "参加した")
    RETURNED = Words("returned", "復帰した")
    LISTED = Words("listed the rooms", "ルーム一覧を返した")
    REFUSED = Words("refused", "拒否")
    SILENT = Words("no request", "要求なし")
    INCOMPLETE = Words("no whole request", "要求が途中まで")
    NO_ROOM_CHOSEN = Words("no room chosen from the list", "一覧からルームを選ばなかった")
    UNANSWERED = Words("not answered", "返事なし")
    NO_TLS = Words("no TLS handshake", "TLS ハンドシェイクなし")


class Account(NamedTuple):
    """How a request ended."""

    opening: Opening
    outcome: Outcome
    room: str = ""
    why: str = ""
    """The words of a refusal, as the client has them; or how the connection ended."""
    counted_as: str = ""
    """The name of a refusal in the counters."""

    @property
    def hints(self) -> list[Hint]:
        """Return what may be wrong with the request."""
        if self.outcome is not Outcome.NO_TLS:
            return request_hints(self.opening)
        data = self.opening.data
        return [hint(Mistake.NOT_TLS)] if data and not TLS_RECORD.startswith(data[: len(TLS_RECORD)]) else []


def log_values(account: Account) -> dict[str, str]:
    """Return the values of the log's line about a handshake. Never a token, a password, a user's name or a text."""
    opening, header = account.opening, account.opening.header
    values: dict[str, str] = {}
    if opening.dialect is not None and header is not None:
        values["dialect"] = opening.dialect.name
        values["why"] = "the listener's" if opening.rule is None else opening.rule.value.en
        if header.operation in tuple(Operation) and not asks_for_rooms(header):
            values["operation"] = Operation(header.operation).name.lower()
    if account.room:
        values["room"] = shown_room(account.room)
    values["outcome"] = account.outcome.value.en + (f": {account.why}" if account.why else "")
    if hints := account.hints[:HINTS]:
        values["hint"] = "; ".join(each.text() for each in hints)
    return values


def shown_room(room: str) -> str:
    """Return a room's name as far as it is certainly a name."""
    found = _NOT_A_NAME.search(room)
    end = min(ROOM_SIZE, found.start() if found else len(room))
    return room if end == len(room) else f"{room[:end]}…"
