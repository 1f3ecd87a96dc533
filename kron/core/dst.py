"""Zones as arithmetic: a zone's clock is a row of spans of one offset, all in int seconds.

Python's zoneinfo answers "which offset now?" but hides its transitions, so they are found by
probing and bisection, window by window, and remembered. A *reading* is what a local clock shows,
in seconds since its own 1970-01-01 00:00; an instant is in seconds since the UTC epoch.
"""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from .errors import ScheduleError

DAY = 86_400
EARLIEST = -62_135_424_000  # 0001-01-03T00:00:00Z, so that every local date exists
LATEST = 253_402_300_799  # 9999-12-31T23:59:59Z

_LAST_PROBE = LATEST - 2 * DAY
_WINDOW_BITS = 23  # 97 days
_PROBE = 1 << 18  # 3 days; no zone has changed twice within 6.9 days since 1970
_ALWAYS = 1 << 40
_NOT_ZONES = ("right/", "posix/", "localtime", "posixrules", "Factory")


class Span(NamedTuple):
    """The instants `start <= t < end` at which the local clock reads `t + offset`.

    `mark` is the first reading after all that the clock showed before `start`. It lies before
    `start + offset` if a gap ends at `start` (the readings between were left out), and after it
    if a fold begins there (the readings between are shown again).
    """

    start: int
    end: int
    offset: int
    mark: int


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Return the zone of an IANA name such as "Europe/Berlin" or "UTC".

    Raises `ScheduleError` (with a suggestion) if there is none of that exact name; `TypeError`
    if `name` is not a str. Names outside the IANA list (paths, `right/...`, `localtime`) are
    refused: they mean something else on another machine.
    """
    if not isinstance(name, str):
        raise TypeError(f"timezone must be a str, not {type(name).__name__}")
    if name.startswith(_NOT_ZONES):
        raise ScheduleError(_unknown(name))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ScheduleError(_unknown(name)) from exc


def offset_at(tz: ZoneInfo, second: int) -> int:
    """Return the seconds by which the local clock is ahead of UTC at an instant."""
    if not EARLIEST <= second <= _LAST_PROBE:
        second = min(max(second, EARLIEST), _LAST_PROBE)
    offset = datetime.fromtimestamp(second, tz).utcoffset()
    assert offset is not None  # ZoneInfo always knows
    return offset.days * DAY + offset.seconds


def span_at(tz: ZoneInfo, second: int) -> Span:
    """Return a span that holds the instant `second`; its neighbours hold `start - 1` and `end`.

    A span ends at a change of offset or at the border of a window, so a year has 4 to 6.
    """
    row = _spans(tz, second >> _WINDOW_BITS)
    for span in row:
        if second < span.end:
            return span
    raise AssertionError(f"no span of {tz.key} holds {second}")


@lru_cache(maxsize=8192)
def _spans(tz: ZoneInfo, window: int) -> tuple[Span, ...]:
    fixed = tz.utcoffset(None)
    if fixed is not None:  # "UTC", "Etc/GMT+5"
        offset = offset_at(tz, 0)
        return (Span(-_ALWAYS, _ALWAYS, offset, -_ALWAYS + offset),)
    first, last = window << _WINDOW_BITS, (window + 1) << _WINDOW_BITS
    start, offset = first - _PROBE, offset_at(tz, first - _PROBE)  # a fold may reach in from there
    mark = start + offset
    row: list[Span] = []
    for end, after in [*_changes(tz, start, last), (last, offset)]:
        if end > first:
            begin = max(start, first)
            seen = mark if start >= first else max(mark, begin + offset)
            row.append(Span(begin, end, offset, seen))
        mark = max(mark, end + offset)
        start, offset = end, after
    return tuple(row)


def _changes(tz: ZoneInfo, first: int, last: int) -> list[tuple[int, int]]:
    """The instants in `first < t < last` from which another offset holds, with that offset."""
    changes = []
    before = offset_at(tz, first)
    for probe in range(first + _PROBE, last + 1, _PROBE):
        after = offset_at(tz, probe)
        if after == before:
            continue
        change = _first_instant_of(tz, after, probe - _PROBE, probe)
        if change < last:
            changes.append((change, after))
        before = after
    return changes


def _first_instant_of(tz: ZoneInfo, offset: int, low: int, high: int) -> int:
    """Bisect: `offset` holds at `high` and not at `low`."""
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(tz, middle) == offset:
            high = middle
        else:
            low = middle
    return high


def _unknown(name: str) -> str:
    text = f"timezone={name[:64]!r} is not a known time zone."
    names = (key for key in available_timezones() if not key.startswith(_NOT_ZONES))
    known = {key.lower(): key for key in names}
    close = get_close_matches(name[:64].lower(), known, n=1)
    if close:
        return f'{text} Did you mean "{known[close[0]]}"?'
    return f'{text} Use an IANA name such as "Europe/Berlin", or "UTC".'
