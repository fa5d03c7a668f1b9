"""`python -m` gateway, broker and client where what they need is not installed: one line, and no traceback."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.test_documents import ROOT


def run_bare(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python without what is installed, but for what is in a folder."""
    env = {"PYTHONPATH": str(path)} if path else {}
    return subprocess.run(
        [sys.executable, "-S", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("program", ["gateway", "broker", "client"])
def test_a_program_says_in_one_line_what_is_not_installed(program: str) -> None:
    ended = run_bare("-m", program)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{program}: ")
    assert line.endswith(f" is not installed here; `make run` installs all: then .venv/bin/python -m {program}")


def test_a_client_says_so_too_where_only_the_sdk_is_at_home(tmp_path: Path) -> None:
    (tmp_path / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    ended = run_bare("-m", "client", path=tmp_path)
    assert ended.stderr.startswith("client: click is not installed here; ")
    assert run_bare("-c", "import tsudoi; print(tsudoi.Message)", path=tmp_path).returncode == 0


def test_who_imports_the_sdk_is_told_what_is_missing() -> None:
    assert "ModuleNotFoundError: No module named 'msgspec'" in run_bare("-c", "import tsudoi").stderr
