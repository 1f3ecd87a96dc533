"""The writer thread: the only place that changes a log file, one record at a time."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Literal, NamedTuple

from kron.core.errors import LogFailed
from kron.storage.disk import Disk
from kron.storage.fork import close_in_child

Fsync = Literal["always", "interval", "never"]


class Job(NamedTuple):
    """One line to write, and who waits for it."""

    record_index: int
    line: bytes
    waiter: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class Writer:
    """Owns an open log file from `start` to `stop` (or `abandon`).

    `tip` and `end` are the last definite record and the byte after it. The first failure is the
    last: it stays in `failure` and every later job gets it (promise P7). `on_failure` hears, in
    the writer thread, of a sync that failed while nobody waited for it; it must not raise.
    """

    def __init__(self, disk: Disk, fd: int, file: str, *, fsync: Fsync, interval_s: float) -> None:
        self.tip = 0
        self.end = 0
        self.failure: LogFailed | None = None
        self.on_failure: Callable[[LogFailed], None] | None = None
        self._ended = ""
        self._disk = disk
        self._fd = fd
        self._file = file
        self._fsync = fsync
        self._interval_s = interval_s
        self._unsynced_since: float | None = None
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._file_in_use = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="kron-log", daemon=True)
        close_in_child(self)

    def start(self, tip: int, end: int) -> None:
        """Begin to take jobs, after record `tip`, which ends at byte `end`."""
        self.tip, self.end = tip, end
        self._thread.start()

    def submit(self, index: int, line: bytes) -> asyncio.Future[None]:
        """Queue one line; the future of the running loop ends when it is durable, or LogFailed."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._jobs.put(Job(index, line, waiter, loop))
        return waiter

    def stop(self) -> None:
        """Write what is queued, sync it (unless never), release the file. Blocks; idempotent."""
        if self._fd >= 0:
            self._jobs.put(None)
            self._thread.join()
            self._release("is not open")

    def abandon(self) -> None:
        """Release the file as soon as the system call in flight ends; write nothing more."""
        self._release("was abandoned: its owner is gone")
        self._jobs.put(None)

    def close_fds(self) -> None:
        """In a forked child: the file is the parent's. The parent's thread may hold our lock."""
        self._file_in_use = threading.Lock()
        self._ended = "belongs to the parent of this forked process"
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._disk.close(fd)

    def refusal(self) -> LogFailed | None:
        """Why no job is taken any more, as a fresh error to raise; None while jobs are taken."""
        if self.failure is not None:  # a copy: a kept one would gather a traceback at each raise
            error = LogFailed(*self.failure.args)
            error.__cause__ = self.failure.__cause__
            return error
        return LogFailed(f"{self._file} {self._ended}") if self._ended else None

    def _release(self, why: str) -> None:
        with self._file_in_use:
            fd, self._fd = self._fd, -1
            if fd < 0:
                return
            self._ended = why
            with suppress(OSError):  # a forked child without our hook must not keep the lock
                self._disk.unlock(fd)
            with suppress(OSError):
                self._disk.close(fd)

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._sync_in_s())
            except Empty:
                self._sync_unasked()
                continue
            if job is None:
                break
            self._carry_out(job)
        self._sync_unasked()

    def _sync_in_s(self) -> float | None:
        """How long unsynced bytes may still wait; None = there are none to sync, sleep on."""
        if self._fsync != "interval" or self._unsynced_since is None:
            return None
        if self.failure is not None or self._ended:
            return None
        return max(0.0, self._unsynced_since + self._interval_s - time.monotonic())

    def _carry_out(self, job: Job) -> None:
        with self._file_in_use:
            if self.failure is None and not self._ended:
                self._attempt(lambda: self._write(job))
            refusal = self.refusal()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            job.loop.call_soon_threadsafe(self._settle, job.waiter, refusal)

    def _settle(self, waiter: asyncio.Future[None], refusal: LogFailed | None) -> None:
        if waiter.done():  # cancelled; test_a_cancelled_append_is_written_all_the_same
            return
        if refusal is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(refusal)

    def _sync_unasked(self) -> None:
        """The sync of `interval`, when its time has come or the log is closing."""
        with self._file_in_use:
            if self._sync_in_s() is None:
                return
            self._attempt(self._sync)
            failure = self.failure
        if failure is not None and self.on_failure is not None:
            self.on_failure(failure)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as exc:  # whatever it was, no waiter may hang and no byte may follow
            reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else repr(exc)
            self.failure = LogFailed(
                f"{self._file}: {reason}. The log takes nothing more; fix the disk and restart."
            )
            self.failure.__cause__ = exc

    def _write(self, job: Job) -> None:
        written = self._disk.write(self._fd, job.line)
        if written != len(job.line):
            raise OSError(errno.EIO, f"short write ({written} of {len(job.line)} bytes)")
        if self._unsynced_since is None:
            self._unsynced_since = time.monotonic()
        if self._fsync == "always" or self._sync_in_s() == 0.0:
            self._sync()
        self.end += written
        self.tip = job.record_index

    def _sync(self) -> None:
        self._disk.fdatasync(self._fd)
        self._unsynced_since = None
