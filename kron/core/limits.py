"""Which moments a definition leaves out: those outside its bounds, and those on excluded days.

Days are days of the timer's zone. `Limits` works on the wall clock; `course.py` puts it together
with a timer's moments.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from .dst import DAY, span_at, zone
from .errors import ScheduleError, brief
from .model import Reason, Terms
from .moments import SECOND

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EPOCH = date(1970, 1, 1).toordinal()
_DATE = r"(\d{4}-\d{2}-\d{2})"
_RANGE = re.compile(rf"{_DATE}(?:(?:\.\.|/){_DATE})?", re.ASCII)
_ITEMS = 1_000
_LOOK_AROUND = 400  # days: a longer stretch comes in pieces


# -- what people write --------------------------------------------------------------------------


def parse_exclude(value: object, *, argument: str = "exclude") -> tuple[str, ...]:
    """Days to leave out, in their normal form: dates and ranges of them in order, then weekdays
    from "mon" on.

    An item is a date, "2026-12-25", a pair of dates, "2026-12-24..2027-01-01" (both included), a
    weekday ("sat", "saturday") or a range of them ("sat-sun"). Raises ScheduleError, naming the
    item; TypeError for other types.
    """
    items = _items(value, argument)
    if len(items) > _ITEMS:
        raise ScheduleError(f"{argument} has {len(items)} items; at most {_ITEMS} are taken.")
    spans: list[tuple[int, int]] = []
    weekdays: set[int] = set()
    for item in items:
        days = _weekdays(item)
        if days:
            weekdays |= days
        else:
            spans.append(_span(item, argument))
    if len(weekdays) == 7:
        raise ScheduleError(f"{argument} leaves out every day of the week: nothing would run.")
    texts = [_span_text(first, last) for first, last in _merged(spans)]
    return (*texts, *(WEEKDAYS[day] for day in sorted(weekdays)))


def _items(value: object, argument: str) -> Sequence[Any]:
    if value is None:
        return ()
    if isinstance(value, str | date):
        return (value,)
    if isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        return list(value)
    raise TypeError(f"{argument} must be dates and weekdays, not {type(value).__name__}.")


def _weekdays(item: object) -> set[int]:
    if not isinstance(item, str):
        return set()
    ends = [_weekday(part) for part in item.strip().lower().split("-")]
    if not 1 <= len(ends) <= 2 or None in ends:
        return set()
    first, last = ends[0] or 0, ends[-1] or 0
    return {day % 7 for day in range(first, last + 1 + (7 if last < first else 0))}


def _weekday(text: str) -> int | None:
    for names in (WEEKDAYS, _LONG):
        if text in names:
            return names.index(text)
    return None


def _span(item: object, argument: str) -> tuple[int, int]:
    first: object
    last: object
    match item:
        case str() if (match := _RANGE.fullmatch(item.strip())) is not None:
            first, last = match[1], match[2] or match[1]
        case [first, last]:
            pass
        case _:
            first = last = item
    ends = (_ordinal(first, item, argument), _ordinal(last, item, argument))
    if ends[1] < ends[0]:
        raise ScheduleError(f"{argument}: the range {brief(item)} ends before it begins.")
    return ends


def _ordinal(value: object, item: object, argument: str) -> int:
    if isinstance(value, datetime):
        raise TypeError(f"{argument} takes days, not the instant {brief(value)}; use .date().")
    if isinstance(value, date):
        return value.toordinal()
    if not isinstance(value, str):
        raise TypeError(f"{argument} has the item {brief(item)}; {_REMEDY}")
    try:
        return date.fromisoformat(value.strip()).toordinal()
    except ValueError:
        raise ScheduleError(f"{argument} has the item {brief(item)}; {_REMEDY}") from None


_REMEDY = (
    'use a date ("2026-12-25"), a range of dates ("2026-12-24..2027-01-01"), or a weekday by'
    ' name ("sat", "sat-sun"; numbers mean different days to different people).'
)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _span_text(first: int, last: int) -> str:
    start, end = date.fromordinal(first).isoformat(), date.fromordinal(last).isoformat()
    return start if start == end else f"{start}..{end}"


# -- what it means ------------------------------------------------------------------------------


class Stretch(NamedTuple):
    """Instants `start_us <= t < end_us` (wall time; None: without end) of which the same is true:
    moments run, or are left out for `reason`."""

    reason: Reason | None
    start_us: int | None
    end_us: int | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What is left out, as stretches of the wall clock. Raises ScheduleError for an unknown zone
    (if days are excluded)."""

    not_before_us: int | None
    not_after_us: int | None
    exclude: tuple[str, ...]
    timezone: str
    _tz: ZoneInfo = field(init=False, compare=False, repr=False)
    _weekdays: frozenset[int] = field(init=False, compare=False, repr=False)
    _starts: list[int] = field(init=False, compare=False, repr=False)
    _ends: list[int] = field(init=False, compare=False, repr=False)
    _latest: list[Stretch] = field(init=False, compare=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        days = [item for item in self.exclude if item[0].isdigit()]
        spans = [(date.fromisoformat(d[:10]), date.fromisoformat(d[-10:])) for d in days]
        names = [WEEKDAYS.index(item) for item in self.exclude if item in WEEKDAYS]
        numbers = [(a.toordinal() - _EPOCH, b.toordinal() - _EPOCH) for a, b in spans]
        object.__setattr__(self, "_tz", zone(self.timezone if self.exclude else "UTC"))
        object.__setattr__(self, "_weekdays", frozenset(names))
        object.__setattr__(self, "_starts", [first for first, _ in numbers])
        object.__setattr__(self, "_ends", [last for _, last in numbers])

    def stretch(self, wall_us: int) -> Stretch:
        """What is true at an instant, since when, and until when; the latest answer is kept."""
        for known in self._latest:
            since_us, end_us = known.start_us, known.end_us
            if (since_us is None or since_us <= wall_us) and (end_us is None or wall_us < end_us):
                return known
        self._latest[:] = [found := self._stretch(wall_us)]
        return found

    def _stretch(self, wall_us: int) -> Stretch:
        earliest_us, latest_us = self.not_before_us, self.not_after_us
        if earliest_us is not None and wall_us < earliest_us:
            return Stretch(Reason.BOUNDS, None, earliest_us)
        if latest_us is not None and wall_us > latest_us:
            return Stretch(Reason.BOUNDS, latest_us + 1, None)
        end_us = None if latest_us is None else latest_us + 1
        if not self.exclude:
            return Stretch(None, earliest_us, end_us)
        is_out, since_us, until_us = self._days(wall_us // SECOND)
        since_us = since_us if earliest_us is None else max(since_us, earliest_us)
        until_us = until_us if end_us is None else min(until_us, end_us)
        return Stretch(Reason.EXCLUDED if is_out else None, since_us, until_us)

    def _days(self, second: int) -> tuple[bool, int, int]:
        """Whether a day is left out, and the begin and end of the days around it that are alike."""
        day = (second + span_at(self._tz, second).offset) // DAY
        is_out, since, until = self._is_out(day), day, day + 1
        while self._is_out(until) == is_out and until < day + _LOOK_AROUND:
            until += 1
        while self._is_out(since - 1) == is_out and since > day - _LOOK_AROUND:
            since -= 1
        before = second - (day - since + 2) * DAY
        begin = _first_instant(self._tz, before, since * DAY)
        return is_out, begin * SECOND, _first_instant(self._tz, second, until * DAY) * SECOND

    def _is_out(self, day: int) -> bool:
        """Whether a day (since 1970-01-01, a Thursday) is left out."""
        if (day + 3) % 7 in self._weekdays:
            return True
        place = bisect_right(self._starts, day)
        return place > 0 and day <= self._ends[place - 1]


@lru_cache(maxsize=1024)
def _limits(
    not_before_us: int | None, not_after_us: int | None, exclude: tuple[str, ...], timezone: str
) -> Limits:
    return Limits(not_before_us, not_after_us, exclude, timezone)


def limits_of(terms: Terms) -> Limits | None:
    """The limits, or None if there are none."""
    if terms.exclude:
        return _limits(terms.not_before_us, terms.not_after_us, terms.exclude, terms.timezone)
    if terms.not_before_us is None and terms.not_after_us is None:
        return None
    return _limits(terms.not_before_us, terms.not_after_us, (), "UTC")


def _first_instant(tz: ZoneInfo, second: int, reading: int) -> int:
    """The first instant from `second` on at which the local clock shows `reading` or later."""
    while True:
        span = span_at(tz, second)
        instant = max(reading - span.offset, second)
        if instant < span.end:
            return instant
        second = span.end
