"""How `make` finds or makes the virtual environment in which all targets run."""

import os
import subprocess
import sys
import venv
from pathlib import Path

TOP = Path(__file__).parents[1]


def test_an_environment_without_pip_is_made_again(tmp_path: Path) -> None:
    """`python3 -m venv` leaves one on Debian without python3-venv; the next `make` comes after that was installed."""
    venv.create(tmp_path / "left", with_pip=False)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$2" != venv ] || exit 1\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    stamp = tmp_path / "left" / "run.stamp"
    command = ["make", str(stamp), f"VENV={stamp.parent}", f"PYTHON={python}"]
    # Not as a part of the `make` that runs this test: that one tells more.
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    made = subprocess.run(command, cwd=TOP, env=alone, capture_output=True)
    assert made.stdout.startswith(b"Making"), made
