"""The handshake of version 2 as a client sees it, without I/O; PROTOCOL.md, "Handshake of version 2"."""

from typing import Any

import msgspec

from tsudoi.protocol.client.header import frame
from tsudoi.protocol.client.reply_decoder import ANSWER_LIMIT, FrameReader, HandshakeRefused
from tsudoi.protocol.codes import Operation, Status
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.sealed.grant import Grant, parse_grant_untrusted
from tsudoi.protocol.untrusted import parse_json_untrusted


class EnterSealed:
    """Creates or joins a room. Its methods are those of `session.Enter`."""

    waits_for_silence = False

    def __init__(
        self,
        operation: Operation,
        room: str,
        user: str,
        password: str | None,
        suites: tuple[str, ...],
        language: str = "",
    ) -> None:
        """Args:
        suites: those to offer, best first.
        language: of the server's words, `en` or `ja`; empty: the server's own.
        """
        request: dict[str, Any] = {"tsudoi": 2, "name": user, "password": password, "suites": suites}
        if language:
            request["language"] = language
        self._suites = suites
        self._request = frame(room.encode(), operation, 0, msgspec.json.encode(request))
        self._frames = FrameReader(ANSWER_LIMIT)
        self._is_accepted = False
        self.result: Grant | HandshakeRefused | None = None
        self.unwanted_token = ""
        """Of the member of version 1 that a server has made instead; it must leave."""

    @property
    def done(self) -> bool:
        return self.result is not None

    def start(self) -> bytes:
        return self._request

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; raise MalformedMessage."""
        self._frames.feed(data)
        while self.result is None and (found := self._frames.next_untrusted()) is not None:
            _, payload = found
            if self._is_accepted:
                self.result = self._take_grant_untrusted(payload)
            else:
                self._take_status_untrusted(payload)
        return b""

    def settle(self) -> None:
        """Note that no more bytes come; raise MalformedMessage if the answer is not complete."""
        if self.result is None:
            raise MalformedMessage("the connection ended before the answer")

    def _take_grant_untrusted(self, payload: bytes) -> Grant | HandshakeRefused:
        answer = parse_json_untrusted(payload, "the answer")
        if isinstance(answer, dict) and "token" in answer and "session" not in answer:
            # A server of version 1 that does not look at the number grants what it has.
            self.unwanted_token = str(answer["token"])
            return HandshakeRefused(Status.BAD_REQUEST, "")
        grant = parse_grant_untrusted(payload)
        if grant.suite not in self._suites:
            raise MalformedMessage(f"the suite {grant.suite!r} was not offered")
        return grant

    def _take_status_untrusted(self, payload: bytes) -> None:
        answer = parse_json_untrusted(payload, "the answer")
        status = answer.get("status") if isinstance(answer, dict) else None
        if not isinstance(status, int) or isinstance(status, bool):
            raise MalformedMessage('the answer has no "status"')
        if status == 0:
            self._is_accepted = True
            return
        known = Status(status) if status in set(Status) else None
        self.result = HandshakeRefused(known, str(answer.get("message", "")))
