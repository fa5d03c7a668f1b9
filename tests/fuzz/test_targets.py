"""tests/fuzz: every function that reads what others wrote is fuzzed, and what fuzzing has found stays found.

`make fuzz` looks for more; here its corpus is only run again.
"""

import ast
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import pytest

from tests.fuzz import kept
from tests.fuzz.pieces import Pieces, written
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, Target
from tests.support.services import ROOT

PACKAGES = ("tsudoi", "broker", "gateway", "client")
MOST_KEPT = 300_000


def untrusted(tree: ast.AST, prefix: str) -> list[str]:
    """The dotted names of the functions in a module that say of themselves that they read such; not of Protocols."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and "Protocol" not in map(ast.unparse, node.bases):
            found += untrusted(node, f"{prefix}.{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.endswith("untrusted"):
            found.append(f"{prefix}.{node.name}")
    return found


def dotted(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def entered(target: Target, inputs: list[bytes]) -> set[CodeType]:
    """The code of all functions that are called while these inputs are run."""
    codes: set[CodeType] = set()

    def profile(frame: FrameType, event: str, _: object) -> None:
        codes.add(frame.f_code)

    sys.setprofile(profile)
    try:
        for data in inputs:
            target.one_input(data)
    finally:
        sys.setprofile(None)
    return codes


def test_all_that_reads_what_others_wrote_is_fuzzed() -> None:
    there = {
        name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name in untrusted(
            ast.parse(path.read_text("utf-8")), ".".join(path.relative_to(ROOT).with_suffix("").parts)
        )
    }
    assert len(there) > 20
    assert there <= {dotted(function) for target in TARGETS.values() for function in target.reads}


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_raises_nothing_but_what_is_declared(name: str) -> None:
    """And it reaches what the target is there for."""
    target, inputs = TARGETS[name], kept.inputs(name)
    codes = entered(target, inputs)
    for function in target.reads:
        assert getattr(function, "__func__", function).__code__ in codes, dotted(function)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_raise_nothing_but_what_is_declared(name: str) -> None:
    for data in seeds(name):
        TARGETS[name].one_input(data)


def test_the_corpus_is_small_and_each_input_is_called_by_its_hash() -> None:
    paths = [path for path in kept.CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in paths) < MOST_KEPT
    assert {path.parent.name for path in paths} == set(TARGETS)
    for path in paths:
        assert path.name == kept.name_of(path.read_bytes())


def test_a_target_that_raises_something_else_fails() -> None:
    def broken(data: bytes) -> None:
        raise KeyError(data)

    with pytest.raises(KeyError):
        Target(broken, (broken,)).one_input(b"x")


def test_pieces_are_read_as_they_were_written() -> None:
    told = [(1, b"one"), (0, b""), (255, bytes(300))]
    assert list(Pieces(written(*told)).each()) == told
    assert list(Pieces(b"\1\0\5ab").each()) == [(1, b"ab")]
