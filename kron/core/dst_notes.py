"""What changes of the clocks do to a timer: which readings are left out or shown twice, in words.

Found from the spans of the zone, by the same rule as the moments (`moments.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .dst import DAY, EARLIEST, LATEST, Span, offset_at, span_at
from .moments import SECOND, CronMoments
from .pattern_words import amount, clock, listed

_NEAR = 2 * DAY  # more than any two offsets differ
_NAMED = 3
"""So many readings are named one by one."""
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class Change(NamedTuple):
    """At the instant `at` (seconds) the clock is set: forward, so that it never shows the readings
    `first <= r < end`, or back, so that it shows them again."""

    at: int
    is_gap: bool
    first: int
    end: int

    @property
    def length(self) -> int:
        """By how many seconds."""
        return self.end - self.first


class DstNote(NamedTuple):
    """One change and what it does to a timer; `text` is for people."""

    change: Change
    is_fixed: bool
    text: str
    beside: str
    """A few words on the moment at the end of a gap: "instead of 02:30"; "" if there is none."""

    def of_moment(self, us: int) -> str:
        """A few words beside the moment `us`; "" if the change does not concern it."""
        at, length = self.change.at, self.change.length
        if self.change.is_gap:
            return self.beside if us == at * SECOND else ""
        second = us // SECOND
        if at - length <= second < at:
            return "first of two"
        return "second of two" if at <= second < at + length and not self.is_fixed else ""


def changes(tz: ZoneInfo, first: int, last: int) -> Iterator[Change]:
    """The changes of a zone's clock at instants `first <= t <= last` (seconds), in order."""
    second = max(first, EARLIEST)
    while second <= min(last, LATEST):
        span = span_at(tz, second)
        if span.start == second:
            yield from _change(tz, span)
        second = span.end


def dst_notes(moments: CronMoments, first_us: int, last_us: int, limit: int) -> list[DstNote]:
    """Notes on the changes that touch readings of the timer between two instants: the first
    `limit` of them, in order."""
    return list(islice(_notes(moments, first_us, last_us), limit))


def _notes(moments: CronMoments, first_us: int, last_us: int) -> Iterator[DstNote]:
    first, last = first_us // SECOND, last_us // SECOND
    second, latest = max(first - _NEAR, EARLIEST), min(last + _NEAR, LATEST)
    while second <= latest:
        span = span_at(moments.tz, second)
        for change in _change(moments.tz, span) if span.start == second else ():
            begin, end = change.at, change.at
            if not change.is_gap:
                begin, end = begin - change.length, end + change.length - 1
            is_near = begin <= last and end >= first
            if is_near and moments.pattern.count(change.first, change.end):
                yield _note(moments, change)
        # The next span whose begin can matter: not long before the next reading.
        reading = moments.pattern.first_from(span.end + span.offset - _NEAR)
        second = max(span.end, reading - span.offset - _NEAR)


def _change(tz: ZoneInfo, span: Span) -> Iterator[Change]:
    """The change with which the span begins, if it does with one. (A span may begin at the border
    of a window; a fold that another one covered shows nothing for the second time.)"""
    shown = span.start + span.offset
    if span.start <= EARLIEST or offset_at(tz, span.start - 1) == span.offset:
        return
    if span.mark < shown:
        yield Change(span.start, True, span.mark, shown)
    elif span.mark > shown:
        yield Change(span.start, False, shown, span.mark)


# -- in words -----------------------------------------------------------------------------------


def _note(moments: CronMoments, change: Change) -> DstNote:
    if not moments.pattern.is_fixed:
        return DstNote(change, False, _stretch(change), "")
    count = moments.pattern.count(change.first, change.end)
    is_many = count > 1
    names, when = _named(moments, change, count)
    if not change.is_gap:
        verb = f"happen twice{when}: run" if is_many else f"happens twice{when}: runs"
        return DstNote(change, True, f"{names} {verb} the first time", "")
    text = f"{names} {'do' if is_many else 'does'} not exist{when}: "
    if moments.dst == "skip":
        return DstNote(change, True, f"{text}left out", "")
    short = f"{count} times" if is_many else _clock(moments.pattern.first_from(change.first))
    where = _clock(change.end)
    if _day(change.end) != _day(moments.pattern.last_until(change.end - 1)):
        where += f" on {_day(change.end)}"
    if moments.pattern.count(change.end, change.end + 1):
        return DstNote(change, True, f"{text}one run, with that of {where}", f"also for {short}")
    if is_many:
        return DstNote(change, True, f"{text}one run, at {where}", f"for {short}")
    return DstNote(change, True, f"{text}runs at {where}", f"instead of {short}")


def _stretch(change: Change) -> str:
    """Of a timer that follows real time."""
    stretch = amount(change.length)
    is_one = stretch in ("hour", "minute", "second")
    if change.is_gap:
        verb = "is skipped" if is_one else "are skipped"
    else:
        verb = "happens twice" if is_one else "happen twice"
    return f"the {stretch} from {_dated(change.first)} {verb}: the timer follows real time"


def _named(moments: CronMoments, change: Change, count: int) -> tuple[str, str]:
    """The timer's readings of the change, "02:30" or "02:00 to 02:59 (60 times)", and their day,
    " on 2027-03-28". If they have two, these are among the readings: "23:30 on 2006-10-28"."""
    pattern = moments.pattern
    first, last = pattern.first_from(change.first), pattern.last_until(change.end - 1)
    day = _day(first)
    shown = _clock if _day(last) == day else _dated
    when = f" on {day}" if _day(last) == day else ""
    if count > _NAMED:
        return f"{shown(first)} to {shown(last)} ({count} times)", when
    readings = [first]
    while len(readings) < count:
        readings.append(pattern.first_from(readings[-1] + 1))
    return listed(shown(reading) for reading in readings), when


def _dated(reading: int) -> str:
    return f"{_clock(reading)} on {_day(reading)}"


def _clock(reading: int) -> str:
    return clock(reading % DAY, has_seconds=bool(reading % 60))


def _day(reading: int) -> str:
    return date.fromordinal(reading // DAY + _EPOCH_ORDINAL).isoformat()
