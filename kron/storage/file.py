"""The default store: append-only files in a private directory, written by one thread.

Three structural facts carry the guarantees. The kernel's lock on `kron.lock` (and on the file)
makes this process the only writer. One thread takes records from a queue, so records reach the
file in order and the event loop never waits for the disk. And a file is only ever appended to:
what a crash can leave behind is a tail that was never acknowledged, which `open` cuts.

This file is the conductor: `writer.py` appends and seals, `chain.py` reads and lets go,
`snapshots.py` keeps the state; `recovery.py` puts right what a crash has left.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from kron.core.errors import Conflict, LogFailed, StorageError
from kron.core.events import POSITIONS
from kron.core.histogram import Histogram
from kron.core.rows import ALL_ROWS, Row, Sieve
from kron.storage.blocking import in_thread
from kron.storage.chain import Chain
from kron.storage.datadir import DataDir
from kron.storage.disk import OS_DISK, Disk
from kron.storage.history import Wanted, find_rows
from kron.storage.indexer import Indexer
from kron.storage.lines import Header, check_payload, encode_record, seed_of
from kron.storage.lock import DirLock
from kron.storage.log import Record, SnapshotFile, SnapshotSink, Torn
from kron.storage.lookup import find_record
from kron.storage.recovery import Recovered, recover
from kron.storage.rotation import Rotation
from kron.storage.segments import LOG_NAME
from kron.storage.snapshots import Snapshots
from kron.storage.writer import Fsync, Writer


class Parts(NamedTuple):
    """What an open log consists of."""

    writer: Writer
    chain: Chain
    snapshots: Snapshots
    indexer: Indexer
    seed: int


class FileLog:
    """A `Log` in `data_dir`: kron.aof, what was sealed of it, and snapshots.

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
        self._parts: Parts | None = None
        self._claimed = 0
        self._state = threading.Lock()
        self._was_opened = self._is_over = False

    @property
    def tip(self) -> int:
        """The index of the last definite record; 0 = none."""
        return self._parts.writer.tip if self._parts else 0

    @property
    def base(self) -> int:
        """See `Log.base`; 0 before `open`."""
        return self._parts.chain.base if self._parts else 0

    @property
    def size_bytes(self) -> int:
        """See `Log.size_bytes`; 0 before `open`."""
        return self._parts.writer.size_bytes if self._parts else 0

    @property
    def syncs(self) -> Histogram | None:
        """See `Log.syncs`; None before `open`."""
        return self._parts.writer.syncs if self._parts else None

    @property
    def pending_s(self) -> float:
        """See `Log.pending_s`."""
        since_s = self._parts.writer.busy_since_s if self._parts else None
        return 0.0 if since_s is None else time.monotonic() - since_s

    @property
    def failure(self) -> LogFailed | None:
        """Why the log takes nothing more; None while it does."""
        return self._parts.writer.failure if self._parts else None

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
        writer, chain, *_ = self._opened()
        count = min(limit, writer.tip - after)
        if count <= 0:
            return []

        def read_files() -> list[Record]:
            found: list[Record] = []
            while len(found) < count:
                found += chain.read(max(after, 0) + len(found), count - len(found))
            return found

        return await in_thread(read_files)

    async def append(self, index: int, payload: bytes) -> None:
        """See `Log.append`."""
        check_payload(payload)
        parts = self._accepting()
        writer, seed = parts.writer, parts.seed
        if index != writer.tip + 1 or self._claimed > writer.tip:
            raise Conflict(f"index {index} is not free: {self._file} ends at {self._claimed}")
        self._claimed = index
        await _settled(writer.append(index, encode_record(seed, index, payload)))

    async def rotate(self) -> int:
        """See `Log.rotate`. If it is cancelled, it is carried out all the same."""
        writer, chain, *_ = self._accepting()
        is_lazy = self._fsync != "always"

        def begin(tip: int) -> Rotation:
            return Rotation(self._dir, chain, Header(self.log_id, tip), is_lazy=is_lazy)

        await _settled(writer.rotate(begin))
        return chain.active.base

    async def begin_snapshot(self, index: int) -> SnapshotSink:
        """See `Log.begin_snapshot`. Whatever the policy, the records up to `index` are synced
        before: a snapshot never outlives them. ValueError for an index that cannot be.
        """
        writer, _, snapshots, *_ = self._accepting()
        if not 0 <= index <= writer.tip:
            raise ValueError(f"no snapshot of record {index}: the log ends at {writer.tip}")
        await _settled(writer.sync())
        return await in_thread(lambda: snapshots.begin(index))

    def snapshots(self) -> list[SnapshotFile]:
        """See `Log.snapshots`."""
        return self._parts.snapshots.listing() if self._parts else []

    def read_snapshot(self, index: int) -> Iterator[bytes]:
        """See `Log.read_snapshot`."""
        return self._opened().snapshots.read(index)

    async def trim(self, keep_bytes: int, keep_s: float) -> list[str]:
        """See `Log.trim`. Afterwards a thread makes the indexes that sealed files lack."""
        _, chain, snapshots, indexer, _ = self._accepting()

        def trim() -> list[str]:
            try:
                return chain.trim(snapshots.trimmable(), keep_bytes, time.time() - keep_s)
            except OSError as exc:
                raise StorageError(f"{exc.filename or self._dir.shown}: {exc.strerror}") from exc

        gone = await in_thread(trim)
        indexer.begin(anew=True)
        return [self._dir.show(name) for name in gone]

    def rows_before(
        self, id_: int, timer: str | None, limit: int, sieve: Sieve = ALL_ROWS
    ) -> list[Row]:
        """See `Log.rows_before`. A sealed file without an index is searched, and then gets one."""
        writer, chain, _, indexer, _ = self._opened()
        wanted = Wanted(min(id_, (writer.tip + 1) * POSITIONS), timer, limit, sieve)
        found = find_rows(self._dir, self.log_id, wanted, lambda: chain.segments)
        if found.unindexed:
            indexer.begin()
        return found.rows

    def record_at(self, index: int) -> Record:
        """See `Log.record_at`."""
        chain = self._opened().chain
        return find_record(self._dir, self.log_id, index, lambda: chain.segments)

    async def close(self) -> None:
        """See `Log.close`. Afterwards reads and appends raise."""
        await in_thread(self._close)

    def abandon(self) -> None:
        """See `Log.abandon`."""
        with self._state:  # held for no system call: a fork may copy it
            self._is_over = True
        if self._parts is not None:
            self._stop_changes(self._parts)
            self._parts.writer.abandon()
            self._lock.release()

    def leave_word(self, why: str) -> None:
        """See `Log.leave_word`."""
        self._lock.leave_word(why)

    def _opened(self) -> Parts:
        if self._parts is None or self._is_over:
            raise LogFailed(f"{self._file} is not open")
        return self._parts

    def _accepting(self) -> Parts:
        parts = self._opened()
        if refusal := parts.writer.refusal():
            raise refusal
        return parts

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
        """Recover the files and hand them on, unless the owner has gone meanwhile."""
        disk, fsync = self._dir.disk, self._fsync
        found = recover(self._dir, is_lazy=fsync != "always")
        seed = seed_of(found.log_id)
        writer = Writer(disk, found.fd, self._file, seed, fsync=fsync, interval_s=self._interval_s)
        writer.on_failure = self._hear
        try:
            chain = Chain(self._dir, found.log_id, found.segments)
            snapshots = Snapshots(self._dir, found.log_id)
            indexer = Indexer(self._dir, found.log_id, lambda: chain.segments)
            parts = Parts(writer, chain, snapshots, indexer, seed)
            self._hand_on(parts, found)
        except BaseException:
            writer.abandon()
            raise
        return found.torn

    def _hand_on(self, parts: Parts, found: Recovered) -> None:
        with self._state:
            if self._is_over:
                raise StorageError(f"{self._file} was abandoned while it was opened")
            self.log_id, self._claimed = found.log_id, found.standing.tip
            parts.writer.start(found.standing)
            self._parts = parts

    def _hear(self, failure: LogFailed) -> None:
        if self.on_failure is not None:
            self.on_failure(failure)

    def _stop_changes(self, parts: Parts) -> None:
        parts.chain.close()
        parts.snapshots.close()
        parts.indexer.close()

    def _close(self) -> None:
        with self._state:
            self._is_over = True
        if self._parts is None:
            return
        writer = self._parts.writer
        known = writer.failure
        writer.stop()
        self._stop_changes(self._parts)
        self._parts.indexer.wait()
        self._lock.release()
        if writer.failure is not None and known is None:
            raise writer.failure


async def _settled(waiter: asyncio.Future[None]) -> None:
    """Wait for the writer; a cancellation is raised only when it has done its part."""
    try:
        await asyncio.shield(waiter)
    except asyncio.CancelledError:
        while not waiter.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({waiter})
        waiter.result()
        raise
