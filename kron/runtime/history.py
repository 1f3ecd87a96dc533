"""History as it is asked for: first from memory, then from the log, each row exactly once."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from kron.core.errors import UnknownTimer
from kron.core.row_query import RowQuery
from kron.core.row_views import HistoryRow, Recent, history_row, recent
from kron.core.rows import ALL_ROWS, Row, Sieve
from kron.core.state import State
from kron.storage.blocking import in_thread

_ALL = 1 << 62


class KeepsRows(Protocol):
    """Where older rows are: a Log, or a LogReader."""

    @property
    def log_id(self) -> str:
        """See `Log.log_id`."""

    def rows_before(
        self, id_: int, timer: str | None, limit: int, sieve: Sieve = ALL_ROWS
    ) -> list[Row]:
        """See `Log.rows_before`."""


class Past(NamedTuple):
    """A question about history, and the part of its answer that is in memory.

    Memory has every row over `recent.floor`, the log every row up to it; so whatever happens to
    either of them in between, together they have each row once.
    """

    log: KeepsRows
    query: RowQuery
    recent: Recent

    def rows(self) -> list[HistoryRow]:
        """The whole answer, newest first; blocks if some of it is in the log.

        Raises UnknownTimer if there is neither a timer nor a row of that name, StorageError.
        """
        query, rows = self.query, self.recent.rows
        missing = query.reach - len(rows)
        if self._has_more and missing > 0:
            before = self.recent.floor + 1
            rows = rows + self.log.rows_before(before, query.name, missing, query.sieve)
        if not rows and not self._is_known():
            raise UnknownTimer(f"there is no timer named {query.name!r}.")
        return [history_row(row, self.log.log_id) for row in rows[query.offset :]]

    async def arows(self) -> list[HistoryRow]:
        """As `rows`; what blocks is done in a thread."""
        return await in_thread(self.rows) if self._is_longer else self.rows()

    def _is_known(self) -> bool:
        """Whether the timer is there, or has any row at all."""
        if self.recent.is_known or not self._has_more:
            return self.recent.is_known
        return bool(self.log.rows_before(_ALL, self.query.name, 1))

    @property
    def _is_longer(self) -> bool:
        """Whether the log has to be asked."""
        is_empty = not self.recent.rows and not self.recent.is_known
        return self._has_more and (is_empty or len(self.recent.rows) < self.query.reach)

    @property
    def _has_more(self) -> bool:
        name = self.query.name
        return (name is None or isinstance(name, str)) and self.recent.floor > 0


def past(state: State, log: KeepsRows, query: RowQuery) -> Past:
    """The latest rows that are asked for, as of the last confirmed record."""
    return Past(log, query, recent(state, query.name, query.reach, query.sieve))
