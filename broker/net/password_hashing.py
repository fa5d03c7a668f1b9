"""Hash passwords in threads, off the event loop, for the gateways in turns: each key has its share of the threads."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ..rooms.passwords import check_hash, make_hash
from ..turn import PasswordJob

THREADS = 2
OnHashed = Callable[[PasswordJob, str | bool], None]
"""Called with a job, and its hash, or whether its password fits."""


class PasswordHashing:
    """Threads that make and check hashes."""

    def __init__(self, most: int) -> None:
        """Begin without jobs; `most` of one account are taken at a time."""
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(THREADS, "password")
        self._most = most
        self._waiting: dict[str, deque[tuple[PasswordJob, OnHashed]]] = {}
        """By account; the first is served next. None is empty."""
        self._counts: Counter[str] = Counter()
        """Account → jobs that run or wait."""
        self._running = 0

    @property
    def jobs(self) -> int:
        """Jobs that run or wait. Any thread may read it."""
        return self._running + sum(map(len, list(self._waiting.values())))

    def start(self, account: str, job: PasswordJob, on_hashed: OnHashed) -> bool:
        """Hash a job's password, or check it, when it is the account's turn; return False if it has too many jobs."""
        if self._counts[account] >= self._most:
            return False
        self._counts[account] += 1
        self._waiting.setdefault(account, deque()).append((job, on_hashed))
        self._start_waiting()
        return True

    def close(self) -> None:
        """Drop waiting jobs and end the threads."""
        self._waiting.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start_waiting(self) -> None:
        while self._waiting and self._running < THREADS:
            account = next(iter(self._waiting))
            jobs = self._waiting.pop(account)
            job, on_hashed = jobs.popleft()
            if jobs:
                self._waiting[account] = jobs
            self._running += 1
            future = self._loop.run_in_executor(self._threads, _hash, job)
            future.add_done_callback(partial(self._hashed, account, job, on_hashed))

    def _hashed(self, account: str, job: PasswordJob, on_hashed: OnHashed, done: "asyncio.Future[str | bool]") -> None:
        self._running -= 1
        self._counts -= Counter((account,))  # without what is 0
        self._start_waiting()
        if not done.cancelled():
            on_hashed(job, done.result())


def _hash(job: PasswordJob) -> str | bool:
    return check_hash(job.stored, job.password) if job.stored else make_hash(job.password)
