"""gateway/listeners/segments.py"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.listeners import segments
from gateway.listeners.segments import burst_ends

SIZES = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2_000)), max_size=200)


def bursts(sizes: list[int], largest: int = segments.LARGEST) -> list[list[int]]:
    """The sizes in each burst."""
    ends = list(burst_ends(sizes, largest))
    return [sizes[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(SIZES, st.integers(0, segments.LARGEST))
def test_the_kernel_cuts_each_burst_into_what_went_in(sizes: list[int], largest: int) -> None:
    found = bursts(sizes, largest)
    assert [size for burst in found for size in burst] == sizes
    for burst in found:
        if len(burst) > 1:
            assert set(burst[:-1]) == {burst[0]}
            assert 0 < burst[-1] <= burst[0] <= largest
            assert len(burst) <= segments.DATAGRAMS
            assert sum(burst) <= segments.BYTES


def test_equal_sizes_go_together_and_end_with_a_shorter_one() -> None:
    assert bursts([5, 5, 3, 4, 4, 4, 9, 0, 2]) == [[5, 5, 3], [4, 4, 4], [9], [0], [2]]
    assert bursts([7, 3, 3, 3]) == [[7, 3], [3, 3]]
    assert bursts([1_401, 1_401]) == [[1_401], [1_401]]
    assert bursts([100] * 130) == [[100] * 64, [100] * 64, [100] * 2]
