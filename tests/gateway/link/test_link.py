"""gateway/link/link.py, in a whole link."""

from gateway.link.canary import CANARY_S
from gateway.link.link import ALIVE_S, HELLO_S
from tests.gateway.link.here import HELLO, Here
from tsudoi.protocol.backbone import Accepted, Bye, Delivered, Item, Publish, Unknown, Welcome
from tsudoi.protocol.codes import EntryKind


def test_it_says_hello_until_it_is_welcome() -> None:
    here = Here()
    assert here.tick() == [HELLO]
    assert here.wait(HELLO_S - 0.01) == []
    assert here.wait(2 * HELLO_S) == [HELLO, HELLO]
    here.handle(Welcome("broker", 0, True, 0))
    assert here.wait(ALIVE_S - CANARY_S) == []


def test_it_says_hello_again_when_nothing_is_heard(here: Here) -> None:
    assert here.wait(ALIVE_S) == []
    assert HELLO in here.wait(2 * CANARY_S)


def test_an_unknown_gateway_greets_at_once_and_once(here: Here) -> None:
    here.tick()
    here.handle(*[Unknown("broker")] * 5)
    assert here.said() == [HELLO]
    assert here.tick() == []
    here.now += HELLO_S
    assert here.tick() == [HELLO]


def test_nothing_is_published_before_the_next_welcome(here: Here) -> None:
    here.link.publisher.add(Item(EntryKind.SAID, 1, 2, "a", 0))
    assert len(here.said()) == 1
    here.handle(Unknown("other"))
    here.link.publisher.add(Item(EntryKind.SAID, 1, 2, "b", 0))
    assert here.said() == [HELLO]
    here.handle(Welcome("other", 1, True, 0))
    assert here.said() == [Publish(2, [Item(EntryKind.SAID, 1, 2, "b", 0)])]


def test_nothing_is_notified_to_a_broker_that_does_not_know_this_gateway() -> None:
    here = Here()
    here.link.notify(Delivered([(1, 1, 2)]))
    assert here.said() == []
    here.handle(Welcome("broker", 0, True, 0))
    here.link.notify(Delivered([(1, 1, 2)]))
    assert here.said() == [Delivered([(1, 1, 2)])]


def test_a_report_goes_with_the_next_items(here: Here) -> None:
    item = Item(EntryKind.SAID, 1, 2, "a", 0)
    here.link.notify(Delivered([(1, 1, 2)]))
    here.link.publisher.add(item)
    assert here.said() == [Publish(1, [item], [(1, 1, 2)])]
    assert here.said() == []


def test_of_two_reports_the_later_goes_with_the_items(here: Here) -> None:
    item = Item(EntryKind.SAID, 1, 2, "a", 0)
    here.link.notify(Delivered([(1, 1, 2)]))
    here.link.notify(Delivered([(1, 1, 3)]))
    here.link.publisher.add(item)
    assert here.said() == [Delivered([(1, 1, 3)]), Delivered([(1, 1, 2)]), Publish(1, [item])]


def test_a_report_comes_before_a_bye(here: Here) -> None:
    item = Item(EntryKind.SAID, 1, 2, "a", 0)
    here.link.publisher.add(item)
    here.link.notify(Delivered([(1, 1, 2)]))
    here.link.notify(Bye())
    assert here.said() == [Delivered([(1, 1, 2)]), Bye(), Publish(1, [item])]


def test_items_may_wait_for_company(here: Here) -> None:
    here.link.publisher.add(Item(EntryKind.SAID, 1, 2, "a", 0))
    assert here.link.frames(here.now, publish=False) == []
    assert len(here.link.frames(here.now)) == 1


def test_a_broker_is_alive_while_it_is_heard(here: Here) -> None:
    assert here.link.is_alive(here.now)
    assert here.link.is_alive(here.now + ALIVE_S - 0.01)
    assert not here.link.is_alive(here.now + ALIVE_S)
    here.now += ALIVE_S
    here.handle(Accepted(0))
    assert here.link.is_alive(here.now)
    here.handle(Unknown("broker"))
    assert not here.link.is_alive(here.now)


def test_what_an_earlier_broker_accepted_is_ignored(here: Here) -> None:
    for number in range(3):
        here.link.publisher.add(Item(EntryKind.SAID, 1, 2, str(number), 0))
    here.said()
    here.link.handle_accepted("broker", 1, here.now)
    assert len(here.link.publisher) == 2
    here.handle(Welcome("another", 0, True, 0))
    here.link.handle_accepted("broker", 3, here.now)
    assert len(here.link.publisher) == 2
    here.link.handle_accepted("another", 2, here.now)
    assert len(here.link.publisher) == 0


def test_a_welcome_that_news_have_overtaken_takes_nothing_back(here: Here) -> None:
    for number in range(3):
        here.link.publisher.add(Item(EntryKind.SAID, 1, 2, str(number), 0))
    here.said()
    here.link.handle_accepted("broker", 2, here.now)
    here.handle(Welcome("broker", 1, False, 0))
    assert [(publish.first, len(publish.items)) for publish in here.said() if isinstance(publish, Publish)] == [(3, 1)]
    # One that has forgotten us, or is another, counts from what it says.
    here.handle(Welcome("broker", 0, True, 0))
    assert [(publish.first, len(publish.items)) for publish in here.said() if isinstance(publish, Publish)] == [(1, 1)]
