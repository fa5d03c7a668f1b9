"""broker/fair_queue.py"""

from broker.fair_queue import EACH, SLICE_S, FairQueue

FOR_EVER = float("inf")


class Handler:
    """Handles numbers, each of which takes so many milliseconds; what is split comes back in its parts."""

    def __init__(self, most: int = 1_000_000) -> None:
        self.queue: FairQueue[int] = FairQueue(most)
        self.now = 0.0
        self.handled: list[tuple[str, int]] = []
        self.parts: dict[int, list[int]] = {}

    def add(self, account: str, *things: int) -> None:
        for thing in things:
            self.queue.add(account, f"{account}/1", thing)

    def serve(self, until: float = FOR_EVER) -> list[tuple[str, int]]:
        self.handled.clear()
        self.queue.serve(until, lambda: self.now, self._handle)
        return self.handled

    def _handle(self, peer: str, thing: int) -> list[tuple[int, int]]:
        self.handled.append((peer[0], thing))
        self.now += thing * SLICE_S
        return [(part, 0) for part in self.parts.get(thing, ())]


def test_what_one_says_stays_in_order() -> None:
    handler = Handler()
    handler.add("a", 1, 2, 3)
    assert handler.serve() == [("a", 1), ("a", 2), ("a", 3)]
    assert not handler.queue.accounts


def test_each_has_its_turn_by_the_time_that_it_takes() -> None:
    handler = Handler()
    handler.add("a", 10, 10)
    handler.add("b", *[1] * 15)
    # The second of what takes long waits until the other has had as much time as the first took.
    order = [account for account, _ in handler.serve()]
    assert order[0] == "a"
    assert 9 <= order.index("a", 1) - 1 <= 11


def test_a_turn_ends_in_time_and_what_is_left_is_the_next_ones() -> None:
    handler = Handler()
    handler.add("a", *[1] * 30)
    handler.add("b", 1)
    assert len(handler.serve(until=10 * SLICE_S)) == 10
    assert ("b", 1) in handler.handled
    assert len(handler.serve()) == 21


def test_a_turn_handles_one_thing_however_late_it_is() -> None:
    handler = Handler()
    handler.add("a", 1, 1)
    assert handler.serve(until=-1) == [("a", 1)]


def test_a_debt_outlives_its_line_while_others_wait() -> None:
    handler = Handler()
    handler.add("a", 20)
    handler.add("b", *[1] * 40)
    assert handler.serve(until=SLICE_S) == [("a", 20)]
    handler.add("a", 20)
    assert [account for account, _ in handler.serve()].index("a") > 15


def test_nobody_is_owed_anything_when_nobody_waits() -> None:
    handler = Handler()
    handler.add("a", 20)
    handler.serve()
    handler.add("a", 1)
    handler.add("b", 1)
    assert handler.serve() == [("a", 1), ("b", 1)]


def test_the_parts_of_a_thing_are_handled_one_by_one_before_what_came_later() -> None:
    handler = Handler()
    handler.parts[2] = [3, 4]
    handler.add("a", 2, 1)
    handler.add("b", 1)
    assert [each for each in handler.serve() if each[0] == "a"] == [("a", 2), ("a", 3), ("a", 4), ("a", 1)]
    assert handler.handled[1] == ("b", 1)


def test_a_line_has_a_bound_and_others_do_not_feel_it() -> None:
    handler = Handler(most=3 * EACH)
    handler.add("a", 1, 1, 1, 1)
    assert not handler.queue.has_room("a")
    assert handler.queue.has_room("b")
    handler.add("b", 1)
    handler.serve()
    assert handler.queue.has_room("a")
    handler.queue.add("a", "a/1", 1, size=4 * EACH)
    assert not handler.queue.has_room("a")


def test_what_an_expelled_gateway_wanted_is_dropped_alone() -> None:
    handler = Handler(most=2 * EACH)
    handler.add("a", 1, 2, 3)
    handler.add("b", 4)
    handler.queue.forget("a")
    handler.queue.forget("c")
    assert list(handler.queue.waiting()) == [("b/1", 4)]
    assert handler.queue.has_room("a")
    assert handler.serve() == [("b", 4)]
