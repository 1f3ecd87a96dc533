"""The question for many timers, as `list` takes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from .keywords import check_keywords
from .metadata import Conditions, meets, read_conditions
from .model import Terms
from .paging import read_limit, read_offset, read_words
from .selection import candidate, pattern_of

STATES = (
    *("scheduled", "running", "retrying", "paused", "orphaned", "dead", "cancelled", "invalid"),
)
"""What `state` can be in the dicts of `list()`."""
_KNOWN = {word: word for word in STATES}


class ListOptions(TypedDict, total=False):
    """The keywords of `list()`."""

    state: str | Iterable[str] | None
    metadata: Mapping[str, Any] | None
    match: str | None
    limit: int | None
    offset: int


class TimerQuery(NamedTuple):
    """Which timers, and which part of them: at most `limit` (None: all) behind the first `offset`,
    in the order of their next runs."""

    states: frozenset[str] | None = None
    metadata: Conditions = ()
    pattern: re.Pattern[str] | None = None
    limit: int | None = None
    offset: int = 0

    @property
    def reach(self) -> int | None:
        """How many of those in order are looked at at most."""
        return None if self.limit is None else self.offset + self.limit

    def wants(self, name: str, terms: Terms) -> bool:
        """Whether the timer is one of them, by what it is. (Its state has its own turn.)"""
        if self.metadata and not meets(terms.metadata, self.metadata):
            return False
        return self.fits_pattern(name, terms)

    def fits_pattern(self, name: str, terms: Terms) -> bool:
        """Whether the pattern is found in what it is looked for in."""
        if self.pattern is None or self.pattern.search(name) is not None:
            return True
        found = candidate(name, terms.command)[1:] if terms.command is not None else ()
        return any(map(self.pattern.search, filter(None, found)))

    def wants_state(self, word: str) -> bool:
        """Whether timers in this state are wanted."""
        return self.states is None or word in self.states


EVERY_TIMER = TimerQuery()


def read_timer_query(options: ListOptions) -> TimerQuery:
    """The arguments of `list()`. Raises TypeError for an unknown filter and a value of the wrong
    type, ScheduleError for one that cannot be; both name it."""
    check_keywords("list", options, ListOptions)
    match, limit = options.get("match"), options.get("limit")
    return TimerQuery(
        read_words(options.get("state"), _KNOWN, "state", STATES),
        read_conditions(options.get("metadata")),
        None if match is None else pattern_of(match),
        None if limit is None else read_limit(limit),
        read_offset(options.get("offset", 0)),
    )
