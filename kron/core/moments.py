"""The due moments of a schedule: next, last and count, each a pure function of the time given.

All three see one strictly increasing set of instants (int microseconds since the epoch, none
after year 9999). For cron the set is made span by span of the zone's clock:

- *wildcard* timers follow real time: each instant whose local reading is selected;
- *fixed* timers follow the high-water mark of the local clock: a reading is due when the mark
  first reaches it, so once in a fold, and the readings that a gap leaves out are due, as one
  moment, at the gap's end (unless `dst="skip"`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from .cron import Cron, compile_cron
from .dst import DAY, EARLIEST, LATEST, Span, span_at, zone
from .errors import ScheduleError

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
    """`CronMoments`, cached."""
    return CronMoments(text, timezone, dst)


@dataclass(frozen=True, slots=True)
class CronMoments:
    """The moments of a cron expression on a zone's clock (the rule: the top of this file).

    Raises `CronError` or `ScheduleError` for an expression, zone or `dst` that cannot be used.
    """

    text: str
    timezone: str = "UTC"
    dst: Literal["once", "skip"] = "once"
    cron: Cron = field(init=False, repr=False, compare=False)
    tz: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.dst not in ("once", "skip"):
            raise ScheduleError(f'dst={self.dst!r} is not known. Use "once" or "skip".')
        object.__setattr__(self, "cron", compile_cron(self.text))
        object.__setattr__(self, "tz", zone(self.timezone))

    def next_after(self, after_us: int) -> int | None:
        """Return the first moment strictly after `after_us`, None if there is none by 9999."""
        second = max(after_us // SECOND + 1, EARLIEST)
        while second <= LATEST:
            span = span_at(self.tz, second)
            start, end, offset, _ = span
            if second == start and self._lands(span):
                return second * SECOND
            reading = self.cron.first_from(max(second + offset, self._floor(span)))
            if reading < end + offset:
                return (reading - offset) * SECOND if reading - offset <= LATEST else None
            # A fold near `second` may show earlier readings again; one further on cannot.
            second = end if end - second < _NEAR else max(end, reading - offset - _NEAR)
        return None

    def last_until(self, until_us: int) -> int | None:
        """Return the latest moment <= `until_us`, None if there is none in 100 years."""
        second = min(until_us // SECOND, LATEST)
        oldest = max(second - CENTURY, EARLIEST)
        while second >= oldest:
            span = span_at(self.tz, second)
            start, _, offset, _ = span
            reading = self.cron.last_until(second + offset)
            if reading >= self._floor(span):
                return (reading - offset) * SECOND if reading - offset >= oldest else None
            if start >= oldest and self._lands(span):
                return start * SECOND
            near = second - start < _NEAR
            second = start - 1 if near else min(start - 1, reading - offset + _NEAR)
        return None

    def count(self, first_us: int, last_us: int) -> int:
        """Return how many moments are in `first_us <= t <= last_us`; 32 small steps a year."""
        second, last = max(-(-first_us // SECOND), EARLIEST), min(last_us // SECOND, LATEST)
        total = 0
        while second <= last:
            span = span_at(self.tz, second)
            start, end, offset, _ = span
            floor = max(second + offset, self._floor(span))
            total += self.cron.count(floor, min(end, last + 1) + offset)
            if second == start and self._lands(span):  # one moment, also if 03:00 is due itself
                total += not self.cron.count(start + offset, start + offset + 1)
            second = end
        return total

    def _floor(self, span: Span) -> int:
        """The least reading that is due in the span at its own time."""
        shown = span.start + span.offset
        return max(span.mark, shown) if self.cron.is_fixed else shown

    def _lands(self, span: Span) -> bool:
        """Whether a reading was left out by a gap and is due at the span's start."""
        shown = span.start + span.offset
        if span.mark >= shown or not self.cron.is_fixed or self.dst == "skip":
            return False
        return self.cron.first_from(span.mark) < shown


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
