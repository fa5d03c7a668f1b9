"""gateway/join/session_tokens.py"""

from collections import Counter
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from gateway.join.session_tokens import LARGE_ROOM, LARGE_ROOMS, SessionTokens, worker_of
from tsudoi.protocol.names import looks_like_token

WORKERS = 3


@given(st.text(max_size=20), st.integers(1, 64))
def test_tokens_of_a_room_lead_to_one_worker(room: str, workers: int) -> None:
    factory = SessionTokens(workers)
    tokens = [factory.new(room).encode() for _ in range(20)]
    assert all(looks_like_token(token) for token in tokens)
    assert len(set(tokens)) == len(tokens)
    assert len({worker_of(token, workers) for token in tokens}) == 1


def test_rooms_are_spread_over_workers_and_so_is_a_crowd() -> None:
    tokens = SessionTokens(WORKERS)

    def spread(rooms: Iterator[str]) -> Counter[int]:
        return Counter(worker_of(tokens.new(room).encode(), WORKERS) for room in rooms)

    rooms = spread(f"room {number}" for number in range(600))
    assert min(rooms[worker] for worker in range(WORKERS)) > 100
    tokens.note_size("den", LARGE_ROOM)
    assert len(spread("den" for _ in range(100))) == 1
    tokens.note_size("den", LARGE_ROOM + 1)
    crowd = spread("den" for _ in range(600))
    assert min(crowd[worker] for worker in range(WORKERS)) > 100
    # Many crowded rooms: the first is routed again.
    for number in range(LARGE_ROOMS):
        tokens.note_size(f"crowd {number}", LARGE_ROOM + 1)
    assert len(spread("den" for _ in range(100))) == 1


def test_all_digits_are_used_evenly() -> None:
    """What a token's beginning tells is the worker, and nothing else."""
    tokens = SessionTokens(2)
    beginnings = Counter(tokens.new(f"room {number}")[:2] for number in range(20_000))
    assert len(beginnings) == 256
    assert max(beginnings.values()) < 4 * min(beginnings.values())
