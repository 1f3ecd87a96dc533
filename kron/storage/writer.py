"""The writer thread: the only place that changes the log file, one job after the other."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Literal, NamedTuple

from kron.core.errors import LogFailed, StorageError
from kron.core.histogram import Histogram
from kron.storage.disk import Disk
from kron.storage.fork import close_in_child
from kron.storage.markers import Marker, Stretch, encode_marker
from kron.storage.rotation import Rotation

Fsync = Literal["always", "interval", "never"]
SYNC_US = (
    *(50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000),
    *(1_000_000, 2_500_000, 10_000_000),
)


class Job(NamedTuple):
    """What to do, and who waits for it."""

    work: Callable[[], None]
    waiter: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class Standing(NamedTuple):
    """How a log file stands: the index before its first record, its last record, its length, and
    what its last marker says."""

    base: int
    tip: int
    end: int
    stretch: Stretch


class Writer:
    """Owns an open log file from `start` to `stop` (or `abandon`).

    `tip` is the last definite record. The first failure is the last: it stays in `failure` and
    every later job gets it (promise P7). `on_failure` hears, in the writer thread, of a sync that
    failed while nobody waited for it; it must not raise. `syncs` are how long the syncs took that
    succeeded; `busy_since_s` is the monotonic time at which the job in hand began, None without.
    """

    def __init__(
        self, disk: Disk, fd: int, file: str, seed: int, *, fsync: Fsync, interval_s: float
    ) -> None:
        self.tip = 0
        self.failure: LogFailed | None = None
        self.on_failure: Callable[[LogFailed], None] | None = None
        self.syncs = Histogram(SYNC_US)
        self.busy_since_s: float | None = None
        self._base = self._end = 0
        self._stretch = Stretch()
        self._ended = ""
        self._disk = disk
        self._fd = fd
        self._file = file
        self._seed = seed
        self._fsync = fsync
        self._interval_s = interval_s
        self._unsynced_since: float | None = None
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._file_in_use = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="kron-log", daemon=True)
        close_in_child(self)

    @property
    def size_bytes(self) -> int:
        """The length of the file; 0 if it holds no record."""
        return self._end if self.tip > self._base else 0

    def start(self, standing: Standing) -> None:
        """Begin to take jobs."""
        self._base, self.tip, self._end, self._stretch = standing
        self._thread.start()

    def append(self, index: int, line: bytes) -> asyncio.Future[None]:
        """Queue one line; the future of the running loop ends when it is durable, or LogFailed."""
        return self._submit(lambda: self._append(index, line))

    def sync(self) -> asyncio.Future[None]:
        """Queue a sync of what has been written, whatever the policy; LogFailed as above."""
        return self._submit(self._sync_unsynced)

    def rotate(self, begin: Callable[[int], Rotation]) -> asyncio.Future[None]:
        """Queue a change-over to the file that `begin(tip)` makes, if this one has a record.

        The future ends with StorageError if the writer goes on in the old file, or LogFailed.
        """
        return self._submit(lambda: self._rotate(begin))

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

    def _submit(self, work: Callable[[], None]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._jobs.put(Job(work, waiter, loop))
        return waiter

    def _release(self, why: str) -> None:
        self._ended = self._ended or why  # before the lock is ours: a rotation stops half-way
        with self._file_in_use:
            fd, self._fd = self._fd, -1
            self._let_go(fd)

    def _let_go(self, fd: int) -> None:
        if fd < 0:
            return
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
            error = self.refusal() or self._attempt(job.work)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            job.loop.call_soon_threadsafe(self._settle, job.waiter, error)

    def _settle(self, waiter: asyncio.Future[None], error: StorageError | None) -> None:
        if waiter.done():  # cancelled; test_a_cancelled_append_is_written_all_the_same
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    def _sync_unasked(self) -> None:
        """The sync of `interval`, when its time has come or the log is closing."""
        with self._file_in_use:
            if self._sync_in_s() is None:
                return
            self._attempt(self._sync)
            failure = self.failure
        if failure is not None and self.on_failure is not None:
            self.on_failure(failure)

    def _attempt(self, action: Callable[[], None]) -> StorageError | None:
        """Why it was not done; the log is failed by anything but a StorageError."""
        self.busy_since_s = time.monotonic()
        try:
            action()
        except StorageError as exc:
            return exc
        except Exception as exc:  # whatever it was, no waiter may hang and no byte may follow
            reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else repr(exc)
            self.failure = LogFailed(
                f"{self._file}: {reason}. The log takes nothing more; fix the disk and restart."
            )
            self.failure.__cause__ = exc
            return self.refusal()
        finally:
            self.busy_since_s = None
        return None

    def _append(self, index: int, line: bytes) -> None:
        self._write(self._marker_first() + line)
        if self._fsync == "always" or self._sync_in_s() == 0.0:
            self._sync()
        self.tip = index

    def _marker_first(self) -> bytes:
        """The marker that must stand in front of the next record, if one must (see markers.py)."""
        if self._fsync == "always":
            return self._mark(is_strict=True) if self._stretch.was_lazy else b""
        if self._stretch.is_lazy:
            return b"" if self._stretch.is_marked else self._mark(is_strict=False)
        self._write(self._mark(is_strict=False))
        self._sync()  # a lost first marker would make the hole behind it look like damage
        self._stretch = self._stretch._replace(is_marked=True)
        return b""

    def _mark(self, *, is_strict: bool) -> bytes:
        marker = Marker(self.tip, is_strict)
        self._stretch = self._stretch.after(marker)
        return encode_marker(self._seed, marker)

    def _write(self, content: bytes) -> None:
        written = self._disk.write(self._fd, content)
        if written != len(content):
            taken = f"{written} of {len(content)} bytes"
            raise OSError(errno.ENOSPC, f"short write ({taken}): the disk is full, or failing")
        if self._unsynced_since is None:
            self._unsynced_since = time.monotonic()
        self._end += written

    def _sync_unsynced(self) -> None:
        if self._unsynced_since is not None:
            self._sync()

    def _sync(self) -> None:
        began_ns = time.perf_counter_ns()
        self._disk.fdatasync(self._fd)
        self.syncs.observe((time.perf_counter_ns() - began_ns) // 1000)
        self._unsynced_since = None
        self._stretch = self._stretch.after_sync()

    def _rotate(self, begin: Callable[[int], Rotation]) -> None:
        if self.tip == self._base:
            return
        self._sync()
        rotation = begin(self.tip)
        try:
            rotation.carry_out(self._end, self._stop_if_ended)
            old, self._fd, rotation.fd = self._fd, rotation.fd, -1
        finally:
            rotation.close_fds()
        self._let_go(old)
        self._base, self._end = self.tip, len(rotation.first.content)
        self._stretch = rotation.first.stretch

    def _stop_if_ended(self) -> None:
        if self._ended:
            raise LogFailed(f"{self._file} {self._ended}")
