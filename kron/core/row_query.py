"""The question for history, as `history` takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from .errors import ScheduleError, brief
from .keywords import check_keywords
from .metadata import Conditions, read_conditions
from .paging import read_limit, read_offset, read_words
from .rows import STATUSES, Sieve
from .steering import Ago, read_ago
from .timer_query import TimerQuery

ROWS = 100
"""As many rows as there are if nobody says how many."""
_KNOWN = {status.lower(): status for status in STATUSES} | {
    "succeeded": "OK",
    "skipped": "SKIPPED_OVERLAP",
}
"""The words of the counters in `status()` will do as well."""


class HistoryOptions(TypedDict, total=False):
    """The keywords of `history()`."""

    state: str | Iterable[str] | None
    since: Ago | None
    until: Ago | None
    metadata: Mapping[str, Any] | None
    limit: int
    offset: int


class RowQuery(NamedTuple):
    """Which rows: of the timer `name`, or of all (None), at most `limit` of those that the sieve
    lets through, behind the first `offset`. With conditions on `metadata` the timers are to be
    found first: see `of`."""

    name: str | None
    sieve: Sieve
    metadata: Conditions = ()
    limit: int = ROWS
    offset: int = 0

    @property
    def reach(self) -> int:
        """How many rows are read at most."""
        return self.offset + self.limit if self.limit else 0

    @property
    def timers_wanted(self) -> TimerQuery:
        """Whose rows are wanted."""
        return TimerQuery(metadata=self.metadata)

    def of(self, names: Iterable[str]) -> RowQuery:
        """The same, of these timers only."""
        timers = frozenset(names)
        limit = self.limit if timers else 0  # nobody's rows need no search
        return self._replace(sieve=self.sieve._replace(timers=timers), metadata=(), limit=limit)


def read_row_query(name: str | None, options: HistoryOptions, now_us: int) -> RowQuery:
    """The arguments of `history()`. Raises TypeError for an unknown filter and a value of the wrong
    type, ScheduleError for one that cannot be; both name it."""
    check_keywords("history", options, HistoryOptions)
    since, until = options.get("since"), options.get("until")
    since_us = None if since is None else read_ago(since, None, now_us, argument="since")
    until_us = None if until is None else read_ago(until, None, now_us, argument="until")
    if since_us is not None and until_us is not None and until_us < since_us:
        raise ScheduleError(
            f"until={brief(until)} lies before since={brief(since)}; there is nothing between."
        )
    statuses = read_words(options.get("state"), _KNOWN, "state", STATUSES)
    return RowQuery(
        name,
        Sieve(statuses, None, since_us, until_us),
        read_conditions(options.get("metadata")),
        read_limit(options.get("limit", ROWS)),
        read_offset(options.get("offset", 0)),
    )
