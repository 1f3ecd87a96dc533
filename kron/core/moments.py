"""The due moments of a schedule: next, last and count, each a pure function of the time given.

All three see one strictly increasing set of instants (int microseconds since the epoch, none
after year 9999). For cron the set is made span by span of the zone's clock:

- *wildcard* timers follow real time: each instant whose local reading is selected;
- *fixed* timers follow the high-water mark of the local clock: a reading is due when the mark
  first reaches it, so once in a fold, and the readings that a gap leaves out are due, as one
  moment, at the gap's end (unless `dst="skip"`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Protocol, TypeAlias
from zoneinfo import ZoneInfo

from .cron import compile_cron
from .dst import DAY, EARLIEST, LATEST, Span, span_at, zone
from .errors import ScheduleError
from .fields import compile_fields
from .pattern import NEVER, NO_YEAR, Pattern, Year

SECOND = 1_000_000
CENTURY = 36_525 * DAY

_LATEST_US = LATEST * SECOND
_NEAR = 2 * DAY  # more than any two offsets differ: readings and instants agree on order beyond it


class Moments(Protocol):
    """A strictly increasing set of due moments."""

    def next_after(self, after_us: int) -> int | None:
        """Return the first moment strictly after `after_us`, None if there is none."""

    def last_until(self, until_us: int) -> int | None:
        """Return the latest moment <= `until_us`, None if there is none in 100 years."""

    def count(self, first_us: int, last_us: int) -> int:
        """Return how many moments are in `first_us <= t <= last_us`."""


@lru_cache(maxsize=4096)
def cron_moments(
    text: str, timezone: str = "UTC", dst: Literal["once", "skip"] = "once"
) -> CronMoments:
    """The moments of a cron expression (cached). Raises as `compile_cron` and `CronMoments` do."""
    return CronMoments(compile_cron(text), timezone, dst)


@lru_cache(maxsize=4096)
def field_moments(
    text: str, timezone: str = "UTC", dst: Literal["once", "skip"] = "once"
) -> CronMoments:
    """The moments of a `Cron.text` (cached). Raises as `compile_fields` and `CronMoments` do."""
    return CronMoments(compile_fields(text), timezone, dst)


Window: TypeAlias = tuple[int, int, int, int, Sequence[int]]
"""`low, high, midnight, days, times`: at instants `low <= t < high`, of one year and one offset,
only days of the year (a mask) and times of the day decide; `midnight` is the instant it begins."""
_NO_WINDOW: Window = (0, 0, 0, 0, ())


@dataclass(frozen=True, slots=True)
class CronMoments:
    """The moments of a pattern on a zone's clock (the rule: the top of this file).

    Raises `ScheduleError` for a zone or `dst` that cannot be used.
    """

    pattern: Pattern
    timezone: str = "UTC"
    dst: Literal["once", "skip"] = "once"
    tz: ZoneInfo = field(init=False, repr=False, compare=False)
    # Threads may share the moments: a window is one value, put in place in one step.
    _window: Window = field(init=False, default=_NO_WINDOW, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.dst not in ("once", "skip"):
            raise ScheduleError(f'dst={self.dst!r} is not known. Use "once" or "skip".')
        object.__setattr__(self, "tz", zone(self.timezone))

    def next_after(self, after_us: int) -> int | None:
        """Return the first moment strictly after `after_us`, None if there is none by 9999."""
        second = after_us // SECOND + 1
        low, high, midnight, days, times = self._window
        if low <= second < high:
            day, time = divmod(second - midnight, DAY)
            left = days >> day
            if left & 1:
                rank = bisect_left(times, time)
                if rank < len(times):
                    moment = midnight + day * DAY + times[rank]
                    return moment * SECOND if moment < high else self._search(high)
                left -= 1
            if left:
                day += (left & -left).bit_length() - 1
                moment = midnight + day * DAY + times[0]
                if moment < high:
                    return moment * SECOND
            second = high
        return self._search(max(second, EARLIEST))

    def _search(self, second: int) -> int | None:
        """`next_after` in microseconds, from a second on; remembers the window of what it finds."""
        asked, reading, year = NEVER, -NEVER, NO_YEAR  # the first reading >= asked
        while second <= LATEST:
            span = span_at(self.tz, second)
            start, end, offset, mark = span
            if second == start and self._lands(span):
                return second * SECOND
            least = second + offset
            if mark > least and self.pattern.is_fixed:
                least = mark
            if not asked <= least <= reading:
                reading, year = self.pattern.first_and_year(least)
                asked = least
            if reading < end + offset:
                self._remember(span, year)
                return (reading - offset) * SECOND if reading - offset <= LATEST else None
            # A fold near `second` may show earlier readings again; one further on cannot.
            second = end if end - second < _NEAR else max(end, reading - offset - _NEAR)
        return None

    def last_until(self, until_us: int) -> int | None:
        """Return the latest moment <= `until_us`, None if there is none in 100 years."""
        second = min(until_us // SECOND, LATEST)
        oldest = max(second - CENTURY, EARLIEST)
        low, high, midnight, days, times = self._window
        if low <= second < high:
            day, time = divmod(second - midnight, DAY)
            rank = bisect_right(times, time) if days >> day & 1 else 0
            days &= (1 << day) - 1
            if rank:
                moment = midnight + day * DAY + times[rank - 1]
            else:
                moment = midnight + (days.bit_length() - 1) * DAY + times[-1]
            if (rank or days) and moment >= low:
                return moment * SECOND
            second = low - 1
        while second >= oldest:
            span = span_at(self.tz, second)
            start, _, offset, _ = span
            reading, year = self.pattern.last_and_year(second + offset)
            if reading >= self._floor(span):
                self._remember(span, year)
                return (reading - offset) * SECOND if reading - offset >= oldest else None
            if start >= oldest and self._lands(span):
                return start * SECOND
            near = second - start < _NEAR
            second = start - 1 if near else min(start - 1, reading - offset + _NEAR)
        return None

    def _remember(self, span: Span, year: Year) -> None:
        """Keep the window in which they meet, less what a change at the span's start may touch.

        31 December of a leap year is outside.
        """
        start, end, offset, mark = span
        january, days = year
        midnight = january * DAY - offset
        low = max(start + 1, mark - offset, midnight, EARLIEST)
        high = min(end, midnight + 365 * DAY, LATEST + 1)
        object.__setattr__(self, "_window", (low, high, midnight, days, self.pattern.times))

    def count(self, first_us: int, last_us: int) -> int:
        """Return how many moments are in `first_us <= t <= last_us`; about five steps a year."""
        second, last = max(-(-first_us // SECOND), EARLIEST), min(last_us // SECOND, LATEST)
        total = 0
        while second <= last:
            span = span_at(self.tz, second)
            start, end, offset, _ = span
            floor = max(second + offset, self._floor(span))
            total += self.pattern.count(floor, min(end, last + 1) + offset)
            if second == start and self._lands(span):  # one moment, also if 03:00 is due itself
                total += not self.pattern.count(start + offset, start + offset + 1)
            second = end
        return total

    def _floor(self, span: Span) -> int:
        """The least reading that is due in the span at its own time."""
        shown = span.start + span.offset
        return max(span.mark, shown) if self.pattern.is_fixed else shown

    def _lands(self, span: Span) -> bool:
        """Whether a reading was left out by a gap and is due at the span's start."""
        shown = span.start + span.offset
        if span.mark >= shown or not self.pattern.is_fixed or self.dst == "skip":
            return False
        return self.pattern.first_from(span.mark) < shown


@dataclass(frozen=True, slots=True)
class IntervalMoments:
    """`anchor_us + k * interval_us` for k >= 1. Elapsed time: zones have no part in it."""

    anchor_us: int
    interval_us: int

    def __post_init__(self) -> None:
        if self.interval_us <= 0:
            raise ScheduleError(f"interval_us={self.interval_us} must be longer than 0.")

    def next_after(self, after_us: int) -> int | None:
        """Return the first moment strictly after `after_us`, None if there is none by 9999."""
        moment = self.anchor_us + (self._index(after_us) + 1) * self.interval_us
        return moment if moment <= _LATEST_US else None

    def last_until(self, until_us: int) -> int | None:
        """Return the latest moment <= `until_us`, None if there is none."""
        index = self._index(until_us)
        return self.anchor_us + index * self.interval_us if index else None

    def count(self, first_us: int, last_us: int) -> int:
        """Return how many moments are in `first_us <= t <= last_us`."""
        return max(0, self._index(last_us) - self._index(first_us - 1))

    def _index(self, us: int) -> int:
        """How many moments are <= `us`."""
        return max(0, (min(us, _LATEST_US) - self.anchor_us) // self.interval_us)


@dataclass(frozen=True, slots=True)
class OneMoment:
    """A single moment, `at_us`."""

    at_us: int

    def next_after(self, after_us: int) -> int | None:
        """Return the moment if it is strictly after `after_us`."""
        return self.at_us if self.at_us > after_us else None

    def last_until(self, until_us: int) -> int | None:
        """Return the moment if it is <= `until_us`."""
        return self.at_us if self.at_us <= until_us else None

    def count(self, first_us: int, last_us: int) -> int:
        """Return 1 if the moment is in `first_us <= t <= last_us`, else 0."""
        return int(first_us <= self.at_us <= last_us)
