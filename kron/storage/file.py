"""The default store: one append-only file in a private directory, written by one thread.

Three structural facts carry the guarantees. The kernel's lock on `kron.lock` (and on the file)
makes this process the only writer. One thread takes records from a queue, so records reach the
file in order and the event loop never waits for the disk. And the file is only ever appended
to: what a crash can leave behind is a tail that was never acknowledged, which `open` cuts.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from kron.core.errors import Conflict, LogCorrupt, LogFailed, StorageError
from kron.storage.blocking import in_thread
from kron.storage.datadir import DataDir
from kron.storage.disk import OS_DISK, Disk
from kron.storage.lines import check_payload, encode_record, seed_of
from kron.storage.lock import DirLock
from kron.storage.log import Record, Torn
from kron.storage.recovery import LOG_NAME, recover
from kron.storage.scan import Scan
from kron.storage.writer import Fsync, Writer


class Place(NamedTuple):
    """Where a scan may begin: record `after` ends before byte `offset`."""

    after: int
    offset: int


class FileLog:
    """A `Log` in `data_dir`/kron.aof.

    `fsync`: "always" (an append returns when it is on the medium), "interval" (it is there at
    most `interval_s` later, also when nothing follows), "never" (for tests). `on_failure` is
    called in the writer thread when a sync fails that no append waits for.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        *,
        fsync: Fsync = "always",
        interval_s: float = 1.0,
        disk: Disk = OS_DISK,
        on_failure: Callable[[LogFailed], None] | None = None,
    ) -> None:
        if fsync not in ("always", "interval", "never"):
            raise ValueError(f'fsync must be "always", "interval" or "never", not {fsync!r}')
        if not 0 < interval_s < threading.TIMEOUT_MAX:
            raise ValueError(f"interval_s must be a positive number of seconds, not {interval_s!r}")
        self.log_id = ""
        self.on_failure = on_failure
        self._dir = DataDir(data_dir, disk=disk)
        self._lock = DirLock(self._dir)
        self._fsync = fsync
        self._interval_s = interval_s
        self._file = self._dir.show(LOG_NAME)
        self._writer: Writer | None = None
        self._claimed = 0
        self._seed = 0
        self._first = self._cursor = Place(0, 0)
        self._state = threading.Lock()
        self._was_opened = self._is_over = False

    @property
    def tip(self) -> int:
        """The index of the last definite record; 0 = none."""
        return self._writer.tip if self._writer else 0

    @property
    def failure(self) -> LogFailed | None:
        """Why the log takes nothing more; None while it does."""
        return self._writer.failure if self._writer else None

    async def open(self) -> Torn | None:
        """See `Log.open`. If it is cancelled, the log is abandoned."""
        if self._was_opened:
            raise StorageError(f"{self._file} was opened before by this object; make a new one")
        self._was_opened = True
        try:
            return await in_thread(self._open)
        except BaseException:  # the thread may still be at work; `_begin` then gives all back
            self.abandon()
            raise

    async def read(self, after: int, limit: int) -> list[Record]:
        """See `Log.read`. A read that begins where the last one ended does not rescan."""
        writer = self._opened()
        if after >= writer.tip or limit <= 0:
            return []
        count = min(limit, writer.tip - after)
        return await in_thread(lambda: self._read(max(after, 0), count, writer.end))

    async def append(self, index: int, payload: bytes) -> None:
        """See `Log.append`."""
        check_payload(payload)
        writer = self._opened()
        if refusal := writer.refusal():
            raise refusal
        if index != writer.tip + 1 or self._claimed > writer.tip:
            raise Conflict(f"index {index} is not free: {self._file} ends at {self._claimed}")
        self._claimed = index
        waiter = writer.submit(index, encode_record(self._seed, index, payload))
        try:
            await asyncio.shield(waiter)
        except asyncio.CancelledError:
            while not waiter.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({waiter})
            waiter.result()
            raise

    async def close(self) -> None:
        """See `Log.close`. Afterwards reads and appends raise."""
        await in_thread(self._close)

    def abandon(self) -> None:
        """See `Log.abandon`."""
        with self._state:  # held for no system call: a fork may copy it
            self._is_over = True
        if self._writer is not None:
            self._writer.abandon()
            self._lock.release()

    def _opened(self) -> Writer:
        if self._writer is None or self._is_over:
            raise LogFailed(f"{self._file} is not open")
        return self._writer

    def _open(self) -> Torn | None:
        try:
            self._dir.prepare()
            self._lock.acquire()
            torn = self._begin()
            self._dir.hide_from_git()
        except OSError as exc:
            self._lock.release()
            raise StorageError(f"{exc.filename or self._file}: {exc.strerror or exc}") from exc
        except BaseException:
            self._lock.release()
            raise
        return torn

    def _begin(self) -> Torn | None:
        """Recover the file and hand it to its writer, unless the owner has gone meanwhile."""
        disk = self._dir.disk
        fd, self.log_id, tip, start, end, torn = recover(self._dir)
        self._seed = seed_of(self.log_id)
        self._first = self._cursor = Place(0, start)
        self._claimed = tip
        writer = Writer(disk, fd, self._file, fsync=self._fsync, interval_s=self._interval_s)
        writer.on_failure = self._hear
        with self._state:
            if not self._is_over:
                writer.start(tip, end)
                self._writer = writer
        if self._writer is None:
            writer.abandon()
            raise StorageError(f"{self._file} was abandoned while it was opened")
        return torn

    def _hear(self, failure: LogFailed) -> None:
        if self.on_failure is not None:
            self.on_failure(failure)

    def _read(self, after: int, count: int, end: int) -> list[Record]:
        """On a descriptor of its own, so that closing the log cannot pull the file away."""
        place = self._cursor if self._cursor.after <= after else self._first
        fd = self._dir.open_file(LOG_NAME, os.O_RDONLY)
        try:
            scan = Scan(self._dir.disk, fd, self._file, end)
            scan.start_at(self.log_id, *place)
            skipped = after - place.after
            found = list(islice(scan.records(), skipped, skipped + count))
        except OSError as exc:
            raise StorageError(f"{self._file}: {exc.strerror}") from exc
        finally:
            self._dir.disk.close(fd)
        if len(found) < count:
            raise LogCorrupt(f"{self._file}: damaged at byte {scan.offset} since it was opened")
        self._cursor = Place(scan.index, scan.offset)
        return found

    def _close(self) -> None:
        with self._state:
            self._is_over = True
        writer = self._writer
        if writer is None:
            return
        known = writer.failure
        writer.stop()
        self._lock.release()
        if writer.failure is not None and known is None:
            raise writer.failure
