"""The one storage primitive: put this record at index n, if n is free.

Around it, what keeps a log short: sealing what is there (`rotate`), snapshots of the state at an
index, and letting old records go (`trim`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from kron.core.errors import LogFailed
from kron.core.histogram import Histogram
from kron.core.rows import ALL_ROWS, Row, Sieve


class Record(NamedTuple):
    """One append: its index (1, 2, 3, ...) and its JSON bytes, without a newline."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    payload: bytes


class Torn(NamedTuple):
    """What `open` cut off the end of a file: `size_bytes` from `offset` on.

    `kept_as` names the file that now holds those bytes. It is empty only when the disk was too
    full to keep them: bytes that were never acknowledged do not stop a start (promise P2).
    """

    file: str
    offset: int
    size_bytes: int
    kept_as: str


class SnapshotFile(NamedTuple):
    """A snapshot that is kept: of the state after record `index`."""

    index: int  # type: ignore[assignment]  # see Record
    size_bytes: int


class SnapshotSink(Protocol):
    """A snapshot being written. Nobody sees it before `commit`; without it, it never was."""

    async def put(self, part: bytes) -> None:
        """Write the next part (one line of JSON, at most 1 MiB). Raises StorageError."""

    async def commit(self) -> SnapshotFile:
        """Make it durable, and the newest one; the one before stays, older ones go.

        Raises StorageError; then the newest snapshot from before is still there and usable, and
        what is left of this one is a temporary file, which the next snapshot replaces. (If only the
        last sync failed, this one is there too.)
        """

    async def discard(self) -> None:
        """Give it up. Idempotent; raises nothing."""


class Log(Protocol):
    """An append-only log with one owner: one event loop, one append in flight at a time.

    `on_failure`, set by the owner, hears (from any thread) of a failure that no append waits for.
    """

    on_failure: Callable[[LogFailed], None] | None

    @property
    def log_id(self) -> str:
        """32 hex digits, made once for the life of the log; known after `open`."""

    @property
    def tip(self) -> int:
        """The index of the last definite record; 0 = none. It moves when a write is definite."""

    @property
    def base(self) -> int:
        """The index before the oldest record that `read` can give; 0 = all are there."""

    @property
    def size_bytes(self) -> int:
        """How much was appended since the last `rotate` (or the beginning)."""

    @property
    def syncs(self) -> Histogram | None:
        """How long it took, each time, to bring records to the medium; None if there is none."""

    @property
    def pending_s(self) -> float:
        """How long the write or sync that is under way has lasted so far; 0.0 without one."""

    async def open(self) -> Torn | None:
        """Lock, verify, cut the torn tail; afterwards the log is ready to append. Opens once.

        Returns what was cut. Raises DataDirLocked, UnsafeDataDir, LogCorrupt, LogTooNew,
        ForeignLog or another StorageError; then nothing is locked and no record was touched.
        """

    async def read(self, after: int, limit: int) -> list[Record]:
        """The records after+1, after+2, ..., at most `limit`, up to the tip; never skips one.

        Raises LogTruncated if `after` is less than `base`.
        """

    async def append(self, index: int, payload: bytes) -> None:
        """Return when the record is durable (as the log's fsync policy defines it).

        Raises Conflict if the index is not tip + 1 or its append is still in flight; LogFailed
        if the log takes nothing more; ValueError for a payload that is no record. If the waiter
        is cancelled the write still happens, and the CancelledError is raised only when the
        record is durable (LogFailed if it is not).
        """

    async def close(self) -> None:
        """Finish what was submitted, sync it, release everything. Idempotent.

        Raises LogFailed if this last write or sync failed; everything is released even then.
        """

    def abandon(self) -> None:
        """Release everything now and write nothing more; for an owner whose loop is gone.

        Synchronous, idempotent and thread-safe; it waits for no more than the one system call
        in flight, so that no byte lands after the lock is free.
        """

    def leave_word(self, why: str) -> None:
        """Note beside the log why its owner stops, for who looks later; "" takes that back.

        While it is open. Best effort; a write or two; raises nothing."""

    # -- keeping it short --------------------------------------------------------------------

    async def rotate(self) -> int:
        """Seal what is there and go on behind it; returns the tip. With no append in flight only.

        Nothing to do if nothing was appended since the last one. Raises StorageError if it could
        not be done and the log goes on as it was; LogFailed if the log takes nothing more.
        """

    async def begin_snapshot(self, index: int) -> SnapshotSink:
        """A sink for the state after record `index`; it replaces one that was not committed.

        Raises StorageError.
        """

    def snapshots(self) -> list[SnapshotFile]:
        """The snapshots that are kept (two at most), newest first. Whether one is whole shows
        when it is read. Known after `open`; a file that is no snapshot at all is not listed."""

    def read_snapshot(self, index: int) -> Iterator[bytes]:
        """The parts of a snapshot, in order. Blocks: for a thread.

        Raises LogCorrupt, at the latest in place of its end, if it is not whole, byte for byte:
        believe nothing before the iteration has ended. Other StorageErrors if it cannot be read.
        """

    async def trim(self, keep_bytes: int, keep_s: float) -> list[str]:
        """Let sealed records go, oldest first: while they are more than `keep_bytes` or last
        changed more than `keep_s` seconds ago. What is above the older of the kept snapshots is
        never let go. Returns the files that went. Raises StorageError."""

    def rows_before(
        self, id_: int, timer: str | None, limit: int, sieve: Sieve = ALL_ROWS
    ) -> list[Row]:
        """The latest `limit` rows of history with an id under `id_`, of one timer or of all, that
        the sieve lets through, newest first, out of the records that are kept. Blocks: for a
        thread.

        Without a sieve it reads about as many records as there are rows to give, however many
        others are kept; with `since_us` none that is older.
        Raises LogCorrupt for a damaged record on the way, other StorageErrors.
        """

    def record_at(self, index: int) -> Record:
        """One record, up to the tip. Blocks: for a thread; looks at a few lines only.

        Raises LogTruncated if it was let go, LogCorrupt if it is damaged, other StorageErrors.
        """
