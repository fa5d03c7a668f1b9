"""Hash passwords in threads, off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ..rooms.passwords import check_hash, make_hash
from ..turn import PasswordJob

THREADS = 2


class PasswordHashing:
    """Threads that make and check hashes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(THREADS, "password")
        self.jobs = 0
        """Jobs that run or wait; the caller bounds them."""

    def start(self, job: PasswordJob, on_hashed: Callable[[PasswordJob, str | bool], None]) -> None:
        """Hash a job's password, or check it; call `on_hashed` with the hash, or with whether the password fits."""
        self.jobs += 1
        future = self._loop.run_in_executor(self._threads, _hash, job)

        def hashed(done: "asyncio.Future[str | bool]") -> None:
            self.jobs -= 1
            if not done.cancelled():
                on_hashed(job, done.result())

        future.add_done_callback(hashed)

    def close(self) -> None:
        """Drop waiting jobs and end the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _hash(job: PasswordJob) -> str | bool:
    return check_hash(job.stored, job.password) if job.stored else make_hash(job.password)
