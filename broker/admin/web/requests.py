"""Decide on one HTTP request of the operator's page: who may ask, and what is answered.

The page's files hold no secret and need no token. A question to the broker does. It is a POST of JSON with the token in
a header, which no page of another origin can send: its browser would ask first (CORS), and is answered 405.
"""

import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import msgspec

from tsudoi.ops.host_port import is_fixed
from tsudoi.ops.web_files import SECURITY, PageFile
from tsudoi.protocol.backbone.admin_frames import AdminRefused, Answer, Question
from tsudoi.protocol.errors import BackboneError, MalformedMessage

from .questions import parse_question_untrusted, to_json

PATH = "/ask"
MAX_BODY = 16_384
"""Bytes of a question: the longest announcement, escaped."""
WRONG_TOKEN_S = 0.5
"""How long a wrong token waits for its answer."""

Ask = Callable[[Question], tuple[Answer, Mapping[str, str]]]
"""Asks the broker, or all that share a store; also returns those whose answer is missing, and why. Raises
BackboneError."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose head, and body of at most `MAX_BODY` bytes, have come."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_too_long: bool = False
    """The body has more bytes, or does not say how many."""

    def values(self, name: str) -> list[str]:
        """Return the values of all headers of a name."""
        return [value for each, value in self.headers if each.casefold() == name]

    def value(self, name: str) -> str:
        """Return the value of a header, empty if it is missing; two of them are as good as none."""
        found = self.values(name)
        return found[0] if len(found) == 1 else ""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]
    after_s: float = 0.0
    """How long to wait before it is sent."""


class Requests:
    """Answers the requests of one server."""

    def __init__(self, token: str, hosts: Collection[str], files: Mapping[str, PageFile], ask: Ask) -> None:
        """Begin.

        Args:
            token: what an operator shows.
            hosts: names under which the page may be opened, beside IP addresses and `localhost`.
            files: of the page, by path.
            ask: asks the broker.
        """
        self._token = token.encode()
        self._hosts = {host.casefold() for host in hosts}
        self._files = files
        self._ask = ask

    def answer(self, request: Request) -> Response:
        path = request.path.partition("?")[0]
        host = request.value("host").casefold()
        if not (is_fixed(host) or self._is_listed(host)):
            return refusal(403, "open the page by an IP address or as localhost, or list its name with --host")
        if request.method in ("GET", "HEAD"):
            if path == PATH:
                return refusal(405, "questions are sent by POST", ("Allow", "POST"))
            file = self._files.get(path)
            return refusal(404, "there is nothing here") if file is None else _file(file, request)
        if path != PATH:
            return refusal(405, "only GET is served here", ("Allow", "GET, HEAD"))
        if request.method != "POST":
            return refusal(405, "questions are sent by POST", ("Allow", "POST"))
        if not self._is_own_page(request.values("origin"), host):
            return refusal(403, "pages of another origin may not ask")
        kind, _, token = request.value("authorization").partition(" ")
        if kind.casefold() != "bearer" or not hmac.compare_digest(token.encode(), self._token):
            return refusal(401, "the token is missing or wrong", ("WWW-Authenticate", "Bearer"), after_s=WRONG_TOKEN_S)
        if request.is_too_long:
            return refusal(413, f"a question has at most {MAX_BODY} bytes, and says how many")
        if request.value("content-type").partition(";")[0].strip().casefold() != "application/json":
            return refusal(415, "a question is application/json")
        return self._carry_out(request.body)

    def _carry_out(self, body: bytes) -> Response:
        try:
            answer, missing = self._ask(parse_question_untrusted(body))
        except MalformedMessage as exc:
            return refusal(400, str(exc))
        except BackboneError as exc:
            return refusal(503, str(exc))
        if isinstance(answer, AdminRefused):
            return refusal(409, answer.why)
        return _json(200, {"answer": to_json(answer), "missing": dict(missing)})

    def _is_listed(self, place: str) -> bool:
        """Return whether HOST or HOST:PORT is a name that the operator has listed, with this port or without one."""
        return place in self._hosts or place.rpartition(":")[0] in self._hosts

    def _is_own_page(self, origins: list[str], host: str) -> bool:
        """Return whether a request comes from this page, or from no page: every browser sends `Origin` with a POST."""
        if not origins:
            return True
        scheme, separator, place = origins[0].casefold().partition("://")
        if len(origins) > 1 or not separator or scheme not in ("http", "https"):
            return False
        return place == host or self._is_listed(place)


def _file(file: PageFile, request: Request) -> Response:
    cached = (("ETag", file.tag), ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding"))
    if file.tag in request.values("if-none-match"):
        return _response(304, b"", *cached)
    accepted = ",".join(request.values("accept-encoding")).split(",")
    if "gzip" in map(str.strip, accepted):
        return _response(200, file.zipped, ("Content-Type", file.kind), ("Content-Encoding", "gzip"), *cached)
    return _response(200, file.body, ("Content-Type", file.kind), *cached)


def refusal(status: int, words: str, *headers: tuple[str, str], after_s: float = 0.0) -> Response:
    """Return an HTTP answer with the reason of a refusal, in one line of JSON; it is sent `after_s` seconds later."""
    return _json(status, {"error": words}, *headers, after_s=after_s)


def _json(status: int, value: object, *headers: tuple[str, str], after_s: float = 0.0) -> Response:
    kind, kept = ("Content-Type", "application/json"), ("Cache-Control", "no-store")
    return _response(status, msgspec.json.encode(value), kind, kept, *headers, after_s=after_s)


def _response(status: int, body: bytes, *headers: tuple[str, str], after_s: float = 0.0) -> Response:
    return Response(status, body, (*headers, ("Content-Length", str(len(body))), *SECURITY), after_s)
