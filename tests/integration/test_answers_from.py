"""A listener on all addresses of its host answers from the one that a client talks to."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.legacy.client import Habits, LegacyClient
from tests.support.legacy.dialects import CLIENTS
from tests.support.services import Gateway

PLACES = ("127.0.0.1", "127.0.0.2", "127.0.1.1")
CONNECTED = Habits(connects_udp=True)
"""Its socket hears only the address that it talks to."""


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_members_hear_the_address_that_they_talk_to(tmp_path: Path, workers: str) -> None:
    """Members of one room that came by several addresses: messages, backlog, answers, a port announced over TCP, and
    the first message after a restart."""
    dialects = ("tcrp", "tcrp-json")
    with (
        Gateway("--workers", workers, data=tmp_path, dialects=dialects, host="0.0.0.0", steady=True) as gateway,
        ExitStack() as stack,
    ):

        def enter(dialect: str, name: str, place: str) -> LegacyClient:
            return stack.enter_context(CLIENTS[dialect](name, gateway.listener(dialect, place), CONNECTED))

        host = enter("tcrp", "host", PLACES[0])
        host.create("den")
        host.send("")
        people = [enter("tcrp", f"p{number}", place) for number, place in enumerate(PLACES)]
        listeners = [enter("tcrp-json", f"l{number}", place) for number, place in enumerate(PLACES)]
        for each in people + listeners:
            each.join("den")
        host.say("before")
        for person in people:
            person.send("")
        for each in people + listeners:
            each.hear_line("host: before")
        host.say("hello")
        for each in people + listeners:
            each.hear_line("host: hello")
        for person in people:
            person.send("/nick bob")
            assert "bob" in person.hear().text
        gateway.stop()
        gateway.start()
        # Those that only listen hear it too.
        host.say("again")
        for each in people + listeners:
            each.hear_line("host: again")


def test_all_addresses_are_those_of_ipv4_too(tmp_path: Path) -> None:
    """IPv4 clients of a listener at `[::]`: they are heard and hear, and their addresses are written as IPv4."""
    with (
        Gateway(data=tmp_path, dialects=("tcrp", "tcrp-json"), host="::", steady=True) as gateway,
        ExitStack() as stack,
    ):

        def enter(dialect: str, name: str, place: str) -> LegacyClient:
            return stack.enter_context(CLIENTS[dialect](name, gateway.listener(dialect, place), CONNECTED))

        host = enter("tcrp", "host", "127.0.0.1")
        host.create("den")
        host.send("")
        listener, guest = enter("tcrp-json", "listener", "127.0.0.2"), enter("tcrp", "guest", "127.0.0.3")
        listener.join("den")
        guest.join("den")
        guest.send("")
        host.say("hello")
        for each in (listener, guest):
            each.hear_line("host: hello")
        # The members' addresses go through the directory, and come back to an IPv6 socket.
        gateway.stop()
        gateway.start()
        host.say("again")
        for each in (listener, guest):
            each.hear_line("host: again")
        host.send("/ban guest")
        host.send("/bans")
        host.hear_until(lambda heard: "guest" in heard.text and "banned" in heard.text)
        assert "::ffff" not in "".join(heard.text for heard in host.pending())
