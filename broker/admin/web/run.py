"""Serve the operator's page until a signal."""

import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address

from tsudoi.ops import standard_streams
from tsudoi.ops.host_port import HostPort
from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.backbone.admin_frames import Answer, Question
from tsudoi.protocol.errors import BackboneError

from ..spanning import Brokers
from .questions import LISTS
from .server import PageServer
from .tokens import new_token

LIST_S = 2.0
"""How long a list waits for each broker: the page shows what the others have, and asks again. Orders wait longer."""


def serve(brokers: Callable[[float | None], Brokers], place: HostPort, hosts: Sequence[str], token: str | None) -> None:
    """Serve until SIGINT or SIGTERM; raise SettingError if the address can not be bound.

    Args:
        brokers: returns whom to ask with some patience; one for each question, since they come at the same time.
        place: where to listen.
        hosts: names of the page beside IP addresses and `localhost`.
        token: that opens the page, which the operator has in a file; None: make one, and print it.
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())

    def ask(question: Question) -> tuple[Answer, Mapping[str, str]]:
        asked = brokers(LIST_S if isinstance(question, LISTS) else None)
        return asked.ask(question), asked.unreachable

    made = new_token() if token is None else ""
    server = PageServer(place, token or made, hosts, ask)
    try:
        if not ip_address(place.host).is_loopback:
            standard_streams.complain(
                f"broker: {server.place} is open to other machines, and the token goes there in clear text: use an ssh"
                " tunnel, or a proxy with TLS"
            )
        try:
            ask(admin_frames.Watch())
        except BackboneError as exc:
            standard_streams.complain(f"broker: {exc}; the page will show when one does")
        standard_streams.print_line(f"open {server.url(made)}")
        stopped.wait()
    finally:
        server.close()
