from tests.chaos.cluster.pauses import longest_pause_s
from tests.chaos.history import History, Outage, RoomLog, Sent, Uplink
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind


def a_history(*waits: float) -> History:
    """Client 1 sends a message each second, which a broker takes after those times."""
    history = History(1, ("", ""))
    for number in range(1, len(waits) + 1):
        history.sent.append(Sent(100.0 + number, 1, f"<1/{number}> hello", 0))
        history.uplinks.append(Uplink(100.0 + number, 1, 0))
    entries = tuple(
        Entry(number, EntryKind.SAID, 1, "alice", f"<1/{number}> hello", 0, int((100.0 + number + wait_s) * 1000))
        for number, wait_s in enumerate(waits, 1)
    )
    history.log[9] = RoomLog(9, frozenset({1}), entries)
    return history


def test_the_longest_wait_counts() -> None:
    assert longest_pause_s(a_history(0.0, 2.5, 1.5)) == 2.5


def test_a_gateway_that_was_down_makes_no_pause_of_a_broker() -> None:
    history = a_history(0.0, 2.5)
    history.outages.append(Outage("freeze", "gateway 0", 102.1, 104.0))
    assert longest_pause_s(history) == 0.0


def test_a_client_that_has_just_come_to_a_gateway_makes_none() -> None:
    history = a_history(0.0, 2.5)
    history.uplinks.append(Uplink(101.5, 1, 1))
    assert longest_pause_s(history) == 0.0
