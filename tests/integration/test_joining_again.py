"""A client that ends without leaving, and joins again with the same UDP port."""

import pytest

from tests.integration.conftest import Cluster, Enter, NewRoom
from tests.support.legacy.client import Habits


@pytest.mark.parametrize("dialect", ["tcrp", "tcrp-json", "tcrp-202"])
@pytest.mark.parametrize("second", ["a", "b"])
def test_a_client_that_joins_again_hears_all_once_under_its_own_name(
    cluster: Cluster, new_room: NewRoom, client: Enter, dialect: str, second: str
) -> None:
    """At the same gateway, or at another one: then it is the broker that finds its old member."""
    room = new_room("again")
    host = client("tcrp", "host", cluster.a)
    host.create(room)
    host.send("")
    before = client(dialect, "alice", cluster.a)
    before.join(room)
    before.send("")
    host.say("one")
    before.hear_line(before.line("host", "one"))
    port = before.udp_port
    before.close()
    after = client(dialect, "alice", getattr(cluster, second), Habits(udp_ports=(port,)))
    after.join(room)
    after.send("")
    after.say("back")
    host.hear_line("alice: back")
    host.say("two")
    host.say("three")
    texts = [heard.text for heard in after.hear_line(after.line("host", "three"))]
    assert sum("two" in text for text in texts) == 1


def test_a_host_that_joins_again_may_still_close_its_room(cluster: Cluster, new_room: NewRoom, client: Enter) -> None:
    room = new_room("hosted")
    before = client("tcrp", "host", cluster.a)
    before.create(room)
    before.send("")
    guest = client("tcrp", "guest", cluster.a)
    guest.join(room)
    guest.send("")
    port = before.udp_port
    before.close()
    after = client("tcrp", "host", cluster.a, Habits(udp_ports=(port,)))
    after.join(room)
    after.send("")
    after.say("here")
    guest.hear_line("host: here")
    after.send("/close")
    guest.hear_until(lambda heard: heard.text == "exit!")
