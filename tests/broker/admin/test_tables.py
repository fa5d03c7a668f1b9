"""broker/admin/tables.py"""

import pytest

from broker.admin.tables import print_table


def test_no_part_of_a_cell_changes_the_direction_of_what_stands_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "20")
    print_table([{"room": "den", "topic": f"\u202e{'evil ' * 9}\u202c"}])
    printed = capsys.readouterr().out
    assert printed.count("evil") == 9
    assert "\u202e" not in printed
