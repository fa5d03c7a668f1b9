"""tsudoi/ops/bounded.py"""

import time

from hypothesis import given
from hypothesis import strategies as st

from tsudoi.ops.bounded import put_newest


@given(st.lists(st.integers(0, 300)), st.integers(1, 200))
def test_a_table_keeps_its_newest_rows(keys: list[int], size: int) -> None:
    table: dict[int, int] = {}
    for at, key in enumerate(keys):
        put_newest(table, key, at, size)
    newest = list(dict.fromkeys(reversed(keys)))[: len(table)]
    assert list(table) == newest[::-1]
    assert min(size - size // 64, len(set(keys))) <= len(table) <= size


def test_a_new_row_of_a_large_table_costs_what_one_of_a_small_table_costs() -> None:
    def cost(size: int) -> float:
        table = dict.fromkeys(range(size))
        began = time.process_time()
        for key in range(size, size + 30_000):
            put_newest(table, key, None, size)
        return time.process_time() - began

    assert cost(60_000) < 10 * cost(100)
