"""History as it is asked for: first from memory, then from the log, each row exactly once."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from kron.core.errors import UnknownTimer
from kron.core.rows import Row
from kron.core.state import State
from kron.core.views import HistoryRow, Recent, history_row, recent
from kron.storage.blocking import in_thread


class KeepsRows(Protocol):
    """Where older rows are: a Log, or a LogReader."""

    @property
    def log_id(self) -> str:
        """See `Log.log_id`."""

    def rows_before(self, id_: int, timer: str | None, limit: int) -> list[Row]:
        """See `Log.rows_before`."""


class Past(NamedTuple):
    """A question about history, and the part of its answer that is in memory.

    Memory has every row over `recent.floor`, the log every row up to it; so whatever happens to
    either of them in between, together they have each row once.
    """

    log: KeepsRows
    name: str | None
    limit: int
    recent: Recent

    def rows(self) -> list[HistoryRow]:
        """The whole answer, newest first; blocks if some of it is in the log.

        Raises UnknownTimer if there is neither a timer nor a row of that name, StorageError.
        """
        rows = self.recent.rows
        if self._is_longer:
            missing = self.limit - len(rows)
            rows = rows + self.log.rows_before(self.recent.floor + 1, self.name, missing)
        if not rows and not self.recent.is_known:
            raise UnknownTimer(f"there is no timer named {self.name!r}.")
        return [history_row(row, self.log.log_id) for row in rows]

    async def arows(self) -> list[HistoryRow]:
        """As `rows`; what blocks is done in a thread."""
        return await in_thread(self.rows) if self._is_longer else self.rows()

    @property
    def _is_longer(self) -> bool:
        is_name = self.name is None or isinstance(self.name, str)
        return is_name and self.recent.floor > 0 and len(self.recent.rows) < self.limit


def past(state: State, log: KeepsRows, name: str | None, limit: int) -> Past:
    """The latest `limit` rows of one timer or of all, as of the last confirmed record."""
    return Past(log, name, limit, recent(state, name, limit))
