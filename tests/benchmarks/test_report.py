"""benchmarks/report.py: rows that a run has not measured again keep their date"""

from benchmarks.report import earlier_rows

HEAD = "| what | tsudoi |\n|---|---|\n"
PAGE = f"""# Results

- 2026-11-01, commit a
- a machine

{HEAD}| one | 1 |
| two | 2 |
| three | 3 |

![a plot](a.svg)

## Not held

**one** (1; target 2): because.

**two** (2; target 3); **three** (3; target 4): no reason.

## Method

- how
"""


def test_rows_that_were_not_measured_again_keep_their_date_and_reasons() -> None:
    kept = "\n".join(earlier_rows(PAGE, {"one", "two"}))
    assert [line for line in kept.splitlines() if line.startswith("| ") and "what" not in line] == ["| three | 3 |"]
    assert kept.count("- 2026-11-01, commit a\n- a machine\n") == 1
    assert "**two** (2; target 3); **three** (3; target 4): no reason." in kept
    assert "because" not in kept
    assert "how" not in kept


def test_they_stay_as_they_are_in_the_run_after_that() -> None:
    once = earlier_rows(PAGE, {"one"})
    page = "\n".join(["# Results", "", "- 2026-12-01, commit b", "", HEAD + "| one | 9 |", *once, "", "## Method", ""])
    assert earlier_rows(page, {"one"}) == once
    assert earlier_rows(page, {"one", "two", "three"}) == []
