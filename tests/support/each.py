"""One test of many small rows: as tests of their own they take longer to be begun and reported than to be checked."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import pytest

T = TypeVar("T")


def each(rows: Mapping[str, T]) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Make a test of what checks one row: it checks all, and tells each that fails by its name."""

    def make(check: Callable[[T], None]) -> Callable[[], None]:
        def test() -> None:
            assert rows
            failures: list[BaseException] = []
            for name, row in rows.items():
                try:
                    check(row)
                except (Exception, pytest.fail.Exception) as exc:
                    exc.add_note(f"row: {name}")
                    failures.append(exc)
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(rows)} rows fail", failures)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return make
