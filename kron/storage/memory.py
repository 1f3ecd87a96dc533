"""A log in memory: the shape of every store, with nothing behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple
from uuid import uuid4

from kron.core.errors import Conflict, LogFailed, LogTruncated, StorageError
from kron.core.rows import ALL_ROWS, Row, Sieve
from kron.storage.history import Wanted, rows_back
from kron.storage.lines import check_payload
from kron.storage.log import Record, SnapshotFile, Torn

Kept = tuple[int, list[bytes]]
"""A snapshot: its index and its parts."""


class Seal(NamedTuple):
    """Where a sealed stretch of records ends, its length, and when it last grew."""

    last: int
    size_bytes: int
    changed_s: float


class MemoryLog:
    """For tests. `records` and `kept` (the snapshots, newest first) outlive `close`: give them to
    the next one to "reopen" the log."""

    def __init__(
        self,
        records: Iterable[Record] = (),
        *,
        log_id: str | None = None,
        kept: Iterable[Kept] = (),
    ) -> None:
        self.records = list(records)
        self.kept = list(kept)
        self.log_id = log_id or uuid4().hex
        self.on_failure: Callable[[LogFailed], None] | None = None
        self.base = self.records[0].index - 1 if self.records else self._newest_index()
        self._seals: list[Seal] = []
        self._unsealed_bytes = sum(len(record.payload) for record in self.records)
        self._grew_s = time.time()
        self._sink: MemorySink | None = None
        self._is_open = self._was_opened = False
        self.syncs = None
        self.pending_s = 0.0

    @property
    def tip(self) -> int:
        """The index of the last record; 0 = none."""
        return self.base + len(self.records)

    @property
    def size_bytes(self) -> int:
        """See `Log.size_bytes`."""
        return self._unsealed_bytes

    async def open(self) -> Torn | None:
        """See `Log.open`."""
        if self._was_opened:
            raise StorageError("this log was opened before; make a new one")
        self._is_open = self._was_opened = True
        return None

    async def read(self, after: int, limit: int) -> list[Record]:
        """See `Log.read`."""
        if not self._is_open:
            raise StorageError("the log in memory is not open")
        start = max(after, 0) - self.base
        if start < 0:
            raise LogTruncated(f"the records up to {self.base} were let go: begin from a snapshot")
        return self.records[start : start + max(limit, 0)]

    async def append(self, index: int, payload: bytes) -> None:
        """See `Log.append`."""
        check_payload(payload)
        self._refuse_if_closed()
        if index != self.tip + 1:
            raise Conflict(f"index {index} is not free: the log ends at {self.tip}")
        self.records.append(Record(index, payload))
        self._unsealed_bytes += len(payload)
        self._grew_s = time.time()

    async def rotate(self) -> int:
        """See `Log.rotate`."""
        self._refuse_if_closed()
        if self.size_bytes:
            self._seals.append(Seal(self.tip, self.size_bytes, self._grew_s))
            self._unsealed_bytes = 0
        return self.tip

    async def begin_snapshot(self, index: int) -> MemorySink:
        """See `Log.begin_snapshot`. ValueError for an index that cannot be."""
        self._refuse_if_closed()
        if not self._newest_index() <= index <= self.tip:
            raise ValueError(f"no snapshot of record {index}: the log ends at {self.tip}")
        self._end_sink()
        self._sink = MemorySink(index, self._keep)
        return self._sink

    def snapshots(self) -> list[SnapshotFile]:
        """See `Log.snapshots`."""
        return [SnapshotFile(index, sum(map(len, parts))) for index, parts in self.kept]

    def read_snapshot(self, index: int) -> Iterator[bytes]:
        """See `Log.read_snapshot`."""
        for kept, parts in self.kept:
            if kept == index:
                return iter(parts)
        raise StorageError(f"no snapshot of record {index} is kept")

    async def trim(self, keep_bytes: int, keep_s: float) -> list[str]:
        """See `Log.trim`. The names are those that files would have."""
        self._refuse_if_closed()
        gone: list[str] = []
        while self._seals and self._may_go(self._seals[0], keep_bytes, time.time() - keep_s):
            last = self._seals.pop(0).last
            del self.records[: last - self.base]
            self.base = last
            gone.append(f"kron.aof.{last}")
        return gone

    def rows_before(
        self, id_: int, timer: str | None, limit: int, sieve: Sieve = ALL_ROWS
    ) -> list[Row]:
        """See `Log.rows_before`. It looks at every record: this log is small."""
        wanted = Wanted(id_, timer, limit, sieve)
        records = reversed(list(self.records))
        rows = (row for record in records for row in rows_back(record, timer)[1])
        return list(islice(filter(wanted.has, rows), limit))

    def record_at(self, index: int) -> Record:
        """See `Log.record_at`."""
        if not self.base < index <= self.tip:
            raise LogTruncated(f"record {index} is not here: {self.base + 1} to {self.tip} are")
        return self.records[index - self.base - 1]

    async def close(self) -> None:
        """See `Log.close`."""
        self.abandon()

    def abandon(self) -> None:
        """See `Log.abandon`."""
        self._is_open = False
        self._end_sink()

    def leave_word(self, why: str) -> None:
        """See `Log.leave_word`: nobody looks into a memory that has gone."""

    def _refuse_if_closed(self) -> None:
        if not self._is_open:
            raise LogFailed("the log in memory is not open")

    def _newest_index(self) -> int:
        return self.kept[0][0] if self.kept else 0

    def _keep(self, index: int, parts: list[bytes]) -> None:
        others = [each for each in self.kept if each[0] != index]
        self.kept = [(index, parts), *others][:2]

    def _end_sink(self) -> None:
        if self._sink is not None:
            self._sink.is_over = True

    def _may_go(self, oldest: Seal, keep_bytes: int, changed_before_s: float) -> bool:
        if len(self.kept) < 2 or oldest.last > self.kept[1][0]:
            return False
        is_too_much = sum(seal.size_bytes for seal in self._seals) > keep_bytes
        return is_too_much or oldest.changed_s < changed_before_s


class MemorySink:
    """A `SnapshotSink` into a list."""

    def __init__(self, index: int, keep: Callable[[int, list[bytes]], None]) -> None:
        self.is_over = False
        self._index = index
        self._keep = keep
        self._parts: list[bytes] = []

    async def put(self, part: bytes) -> None:
        """See `SnapshotSink.put`."""
        check_payload(part)
        self._refuse_if_over()
        self._parts.append(part)

    async def commit(self) -> SnapshotFile:
        """See `SnapshotSink.commit`."""
        self._refuse_if_over()
        self._keep(self._index, self._parts)
        self.is_over = True
        return SnapshotFile(self._index, sum(map(len, self._parts)))

    async def discard(self) -> None:
        """See `SnapshotSink.discard`."""
        self.is_over = True

    def _refuse_if_over(self) -> None:
        if self.is_over:
            raise StorageError(f"the snapshot of record {self._index} has ended; begin another")
