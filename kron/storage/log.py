"""The one storage primitive: put this record at index n, if n is free."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from kron.core.errors import LogFailed


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

    async def open(self) -> Torn | None:
        """Lock, verify, cut the torn tail; afterwards the log is ready to append. Opens once.

        Returns what was cut. Raises DataDirLocked, UnsafeDataDir, LogCorrupt, LogTooNew,
        ForeignLog or another StorageError; then nothing is locked and no record was touched.
        """

    async def read(self, after: int, limit: int) -> list[Record]:
        """The records after+1, after+2, ..., at most `limit`, up to the tip; never skips one."""

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
