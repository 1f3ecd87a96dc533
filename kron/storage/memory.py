"""A log in memory: the shape of every store, with nothing behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import uuid4

from kron.core.errors import Conflict, LogFailed, StorageError
from kron.storage.lines import check_payload
from kron.storage.log import Record, Torn


class MemoryLog:
    """For tests. `records` outlives `close`: give it to the next one to "reopen" the log."""

    def __init__(self, records: Iterable[Record] = (), *, log_id: str | None = None) -> None:
        self.records = list(records)
        self.log_id = log_id or uuid4().hex
        self.on_failure: Callable[[LogFailed], None] | None = None
        self._is_open = self._was_opened = False

    @property
    def tip(self) -> int:
        """The index of the last record; 0 = none."""
        return len(self.records)

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
        return self.records[after : after + limit]

    async def append(self, index: int, payload: bytes) -> None:
        """See `Log.append`."""
        check_payload(payload)
        if not self._is_open:
            raise LogFailed("the log in memory is not open")
        if index != self.tip + 1:
            raise Conflict(f"index {index} is not free: the log ends at {self.tip}")
        self.records.append(Record(index, payload))

    async def close(self) -> None:
        """See `Log.close`."""
        self._is_open = False

    def abandon(self) -> None:
        """See `Log.abandon`."""
        self._is_open = False
