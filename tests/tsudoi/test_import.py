"""What a user's program needs to import the SDK."""

import subprocess
import sys
from pathlib import Path

import pytest

import tsudoi
import tsudoi.events

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys

class Refuse:
    def find_spec(self, name, path, target=None):
        if "." not in name and name not in {*sys.stdlib_module_names, "msgspec", "tsudoi", *OPTIONAL}:
            raise ModuleNotFoundError(name)

OPTIONAL = {"org", "typing_extensions"}  # the standard library and msgspec try these
sys.meta_path.insert(0, Refuse())
import tsudoi
print(*(name for name in tsudoi.__all__ if not hasattr(tsudoi, name)))
"""


def test_msgspec_is_all_that_the_sdk_needs() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_names_come_when_they_are_used() -> None:
    names = "import tsudoi; from tsudoi import *; a = {*tsudoi.__all__}; print(a - {*dir(tsudoi)}, a - {*globals()})"
    done = subprocess.run([sys.executable, "-c", names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set() set()\n", "")
    assert tsudoi.Message is tsudoi.events.Message
    with pytest.raises(AttributeError, match="module 'tsudoi' has no attribute 'Mesage'"):
        _ = getattr(tsudoi, "Mesage")  # noqa: B009


def test_type_checkers_read_its_types() -> None:
    assert (ROOT / "tsudoi" / "py.typed").exists()
