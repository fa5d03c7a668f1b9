"""tsudoi/ops/net/heap.py"""

import asyncio
import ctypes
import sys

import pytest

from tsudoi.ops.net import heap


def test_what_is_free_is_given_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        third_time = asyncio.Event()
        left = [1, 2, 3]

        class Libc:
            @staticmethod
            def malloc_trim(_: int) -> None:
                left.pop()
                if not left:
                    third_time.set()
                    monkeypatch.setattr(heap, "EVERY_S", 60.0)

        monkeypatch.setattr(ctypes, "CDLL", lambda _: Libc)
        heap.give_back_often()
        await third_time.wait()

    monkeypatch.setattr(heap, "EVERY_S", 0.0)
    monkeypatch.setattr(sys, "platform", "linux")
    asyncio.run(asyncio.wait_for(run(), 5))


def test_a_library_that_can_not_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        heap.give_back_often()

    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    asyncio.run(run())
