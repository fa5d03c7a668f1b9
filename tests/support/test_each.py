"""tests/support/each.py: no row that fails is hidden."""

import pytest

from tests.support.each import each


def test_each_row_that_fails_is_told_by_its_name() -> None:
    seen = []

    @each({"one": 1, "two": 2, "three": 3, "four": 4})
    def test_odd(row: int) -> None:
        seen.append(row)
        if row == 2:
            with pytest.raises(ValueError, match="even"):
                int(row)
        assert row % 2

    with pytest.raises(BaseExceptionGroup, match="2 of 4 rows fail") as told:
        test_odd()
    assert seen == [1, 2, 3, 4]
    assert [note for exc in told.value.exceptions for note in exc.__notes__] == ["row: two", "row: four"]


def test_no_rows_are_a_failure() -> None:
    with pytest.raises(AssertionError):
        each({})(lambda row: None)()
