"""The cron dialect: text to a `Cron` of small sets, and the clock readings it selects.

A reading is what a local clock shows, in seconds since its own 1970-01-01 00:00. Nothing here
knows zones: `moments.py` turns readings into instants.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from .errors import CronError

DAY = 86_400
NEVER = 1 << 50  # a reading after all readings; `-NEVER` is before them all

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal() - _EPOCH_ORDINAL  # 9999-12-31
_FIRST_DAY = date.min.toordinal() - _EPOCH_ORDINAL  # 0001-01-01
_LONGEST = 256

_Rule = Callable[[int, int], int]  # (weekday of the 1st, days in the month) -> mask, bit d = day d


def compile_cron(text: str) -> Cron:
    """Return the compiled form of a cron expression (cached).

    The dialect is Vixie's (crontab(5), with its rule for two restricted day fields) and the
    day-field additions of Quartz (`L`, `W`, `#`): 5 fields, or 6 with seconds first, or an alias.
    Blanks and the case of names do not matter. Raises `CronError`, naming field, value and range,
    if `text` is not in the dialect or fires on no date; `TypeError` if it is not a str.
    """
    if not isinstance(text, str):
        raise TypeError(f"cron must be a str, not {type(text).__name__}")
    try:
        if len(text) > _LONGEST:
            raise _Refused(f"{len(text)} characters; the limit is {_LONGEST}")
        if not text.isascii():
            raise _Refused("only ASCII characters are allowed")
        normal = " ".join(text.split())
        return _compile(normal if normal.startswith("@") else normal.upper())
    except _Refused as exc:
        raise CronError(f"{_shown(text)}: {exc}.") from None


class DayField(NamedTuple):
    """One of the two day fields: plain values as a mask, and rules such as `L` or `5#2`."""

    is_star: bool
    mask: int
    rules: tuple[_Rule, ...]


@dataclass(frozen=True, slots=True)
class Cron:
    """A compiled expression: which seconds of a local clock it selects. Equal if the text is.

    `text` has single blanks and upper-case names (aliases stay). `is_fixed` says that no second,
    minute or hour field starts with `*`. The times of day are all of hours x minutes x seconds.
    """

    text: str
    is_fixed: bool = field(compare=False)
    seconds: tuple[int, ...] = field(compare=False)
    minutes: tuple[int, ...] = field(compare=False)
    hours: tuple[int, ...] = field(compare=False)
    months: int = field(compare=False)
    month_days: DayField = field(compare=False)
    weekdays: DayField = field(compare=False)
    _years: dict[int, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def times_per_day(self) -> int:
        """How many readings a selected day has: 1 to 86,400."""
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def days_of(self, year: int, month: int) -> int:
        """Return the selected days of a month as a mask: bit d is day d, bit 0 is never set.

        The day rule is Vixie cron's: if both day fields are restricted either may match, else
        both must (https://man7.org/linux/man-pages/man5/crontab.5.html, NOTES).
        """
        if not self.months >> month & 1:
            return 0
        monday_first, length = monthrange(year, month)
        weekday = (monday_first + 1) % 7
        by_date, by_weekday = self.month_days.mask, _spread(self.weekdays.mask, weekday)
        for rule in self.month_days.rules:
            by_date |= rule(weekday, length)
        for rule in self.weekdays.rules:
            by_weekday |= rule(weekday, length)
        either = not (self.month_days.is_star or self.weekdays.is_star)
        days = by_date | by_weekday if either else by_date & by_weekday
        return days & ((2 << length) - 2)

    def first_from(self, reading: int) -> int:
        """Return the first selected reading >= `reading`; `NEVER` if none by 9999-12-31."""
        day, time = divmod(reading, DAY)
        if day > _LAST_DAY:
            return NEVER
        year = date.fromordinal(day + _EPOCH_ORDINAL).year
        january, days = self._year(year)
        left = days >> (day - january)
        if left & 1:
            rank = self._rank(time)
            if rank < self.times_per_day:
                return day * DAY + self._time(rank)
            left -= 1
        while not left:
            year += 1
            if year > date.max.year:
                return NEVER
            day, left = self._year(year)
        return (day + (left & -left).bit_length() - 1) * DAY + self._time(0)

    def last_until(self, reading: int) -> int:
        """Return the last selected reading <= `reading`; `-NEVER` if none since year 1."""
        day, time = divmod(min(reading, _LAST_DAY * DAY + DAY - 1), DAY)
        if day < _FIRST_DAY:
            return -NEVER
        year = date.fromordinal(day + _EPOCH_ORDINAL).year
        january, days = self._year(year)
        today = 1 << (day - january)
        if days & today:
            rank = self._rank(time + 1)
            if rank:
                return day * DAY + self._time(rank - 1)
        days &= today - 1
        while not days:
            year -= 1
            if year < date.min.year:
                return -NEVER
            january, days = self._year(year)
        return (january + days.bit_length() - 1) * DAY + self._time(self.times_per_day - 1)

    def count(self, first: int, end: int) -> int:
        """Return the number of selected readings in `first <= r < end`."""
        if first >= end:
            return 0
        return self._count_until(end) - self._count_until(first) + self._whole_days(first, end)

    def _count_until(self, reading: int) -> int:
        """Selected readings of its own day that are before `reading`."""
        day, time = divmod(reading, DAY)
        if not _FIRST_DAY <= day <= _LAST_DAY:
            return 0
        january, days = self._year(date.fromordinal(day + _EPOCH_ORDINAL).year)
        return self._rank(time) if days >> (day - january) & 1 else 0

    def _whole_days(self, first: int, end: int) -> int:
        """All readings of the days from that of `first` to the one before that of `end`."""
        day, last = max(first // DAY, _FIRST_DAY), min(end // DAY - 1, _LAST_DAY)
        count = 0
        while day <= last:
            year = date.fromordinal(day + _EPOCH_ORDINAL).year
            january, days = self._year(year)
            until = min(last + 1, _january(year + 1)[0])
            count += (days >> (day - january) & ((1 << (until - day)) - 1)).bit_count()
            day = until
        return count * self.times_per_day

    def _year(self, year: int) -> tuple[int, int]:
        """1 January as a day number, and the selected days as a mask from it on (bit 0)."""
        january, kind = _january(year)
        days = self._years.get(kind)
        if days is None:
            days = self._years[kind] = self._days_of_year(year, january)
        return january, days

    def _days_of_year(self, year: int, january: int) -> int:
        days = 0
        for month in range(1, 13):
            first = date(year, month, 1).toordinal() - _EPOCH_ORDINAL
            days |= self.days_of(year, month) >> 1 << (first - january)
        return days

    def _rank(self, time: int) -> int:
        """How many of a day's readings are before the second of day `time` (0..86,400)."""
        hour, rest = divmod(time, 3600)
        i = bisect_left(self.hours, hour)
        rank = i * len(self.minutes)
        if i == len(self.hours) or self.hours[i] != hour:
            return rank * len(self.seconds)
        minute, second = divmod(rest, 60)
        j = bisect_left(self.minutes, minute)
        rank = (rank + j) * len(self.seconds)
        if j == len(self.minutes) or self.minutes[j] != minute:
            return rank
        return rank + bisect_left(self.seconds, second)

    def _time(self, rank: int) -> int:
        """The second of day that has `rank` readings before it."""
        rank, k = divmod(rank, len(self.seconds))
        i, j = divmod(rank, len(self.minutes))
        return self.hours[i] * 3600 + self.minutes[j] * 60 + self.seconds[k]


@lru_cache(maxsize=1024)
def _january(year: int) -> tuple[int, int]:
    """1 January as a day number since 1970, and which of the 14 kinds of year it begins."""
    before = year - 1
    ordinal = before * 365 + before // 4 - before // 100 + before // 400 + 1
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return ordinal - _EPOCH_ORDINAL, ordinal % 7 * 2 + is_leap


# -- the parser -----------------------------------------------------------------------------

_MONTHS = {
    **{"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6},
    **{"JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12},
}
_WEEKDAYS = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    top: int  # where `*` and `a/n` end
    names: dict[str, int]


_SECOND = _Field("second", 0, 59, 59, {})
_MINUTE = _Field("minute", 0, 59, 59, {})
_HOUR = _Field("hour", 0, 23, 23, {})
_MONTH_DAY = _Field("day of month", 1, 31, 31, {})
_MONTH = _Field("month", 1, 12, 12, _MONTHS)
_WEEKDAY = _Field("weekday", 0, 7, 6, _WEEKDAYS)

_ITEM = re.compile(r"(?:(\*)|([0-9]+|[A-Z]+)(?:-([0-9]+|[A-Z]+))?)(?:/([0-9]+))?")
_MONTH_DAY_RULE = re.compile(r"(LW)|L(?:-([0-9]+))?|([0-9]+)W")
_WEEKDAY_RULE = re.compile(r"([0-9]+|[A-Z]{3})(?:(L)|#([0-9]+))")


class _Refused(Exception):
    """What is wrong; `compile_cron` adds where."""


@lru_cache(maxsize=4096)
def _compile(text: str) -> Cron:
    if text.startswith("@") and text not in _ALIASES:
        raise _Refused(f"not an alias; use {', '.join(_ALIASES)} (lower case), or every=")
    fields = _ALIASES.get(text, text).split()
    if len(fields) not in (5, 6):
        raise _Refused(f"{len(fields)} fields; cron has 5, or 6 with seconds first")
    second, minute, hour, month_day, month, weekday = fields if len(fields) == 6 else ["0", *fields]
    cron = Cron(
        text,
        not any(time.startswith("*") for time in (second, minute, hour)),
        _bits(_mask(_SECOND, second)),
        _bits(_mask(_MINUTE, minute)),
        _bits(_mask(_HOUR, hour)),
        months=_mask(_MONTH, month),
        month_days=_day_field(_MONTH_DAY, month_day, _month_day_rule),
        weekdays=_day_field(_WEEKDAY, weekday, _weekday_rule),
    )
    if not any(cron._year(year)[1] for year in range(2001, 2029)):  # all 14 kinds of year
        raise _Refused("never fires: no date has this day of month, month and weekday")
    return cron


def _day_field(spec: _Field, text: str, rule_of: Callable[[str], _Rule | None]) -> DayField:
    if text == "?":
        return DayField(True, _mask(spec, "*"), ())
    mask, rules = 0, []
    for item in text.split(","):
        rule = rule_of(item)
        if rule is None:
            mask |= _mask(spec, item)
        else:
            rules.append(rule)
    return DayField(text.startswith("*"), mask, tuple(rules))


def _mask(spec: _Field, text: str) -> int:
    mask = 0
    for item in text.split(","):
        for value in _values(spec, item):
            mask |= 1 << (value % 7 if spec is _WEEKDAY else value)
    return mask


def _values(spec: _Field, item: str) -> range:
    """`*`, `a`, `a-b`, each with `/n`; weekdays that wrap go on over 6."""
    match = _ITEM.fullmatch(item)
    if match is None:
        raise _Refused(f'{spec.name} "{item}" is not a value, range or step')
    star, first, last, step = match.groups()
    low = spec.low if star else _value(spec, first)
    high = _value(spec, last) if last else spec.top if star or step else low
    if high < low and spec is _WEEKDAY:
        high += 7
    if high < low:
        raise _Refused(f"{spec.name} range {item} is reversed")
    size = spec.top - spec.low + 1
    return range(low, high + 1, _inside(f"{spec.name} step", step or "1", 1, size))


def _value(spec: _Field, text: str) -> int:
    if text.isdigit():
        return _inside(spec.name, text, spec.low, spec.high)
    if text in spec.names:
        return spec.names[text]
    if spec is _WEEKDAY and text == "L":
        raise _Refused("weekday L does not say which weekday; use 5L (last Friday) or 6")
    raise _Refused(f'{spec.name} "{text}" is not known; the range is {spec.low}-{spec.high}')


def _inside(name: str, text: str, low: int, high: int) -> int:
    number = int(text)
    if not low <= number <= high:
        raise _Refused(f"{name} {text} is outside {low}-{high}")
    return number


def _month_day_rule(item: str) -> _Rule | None:
    match = _MONTH_DAY_RULE.fullmatch(item)
    if match is None:
        return None
    is_last_workday, before_last, near = match.groups()
    if is_last_workday:
        return lambda weekday, length: _workday_near(length, weekday, length)
    if near:
        day = _inside("day of month", near, 1, 31)
        return lambda weekday, length: _workday_near(day, weekday, length)
    back = _inside("day of month L-", before_last, 1, 30) if before_last else 0
    return lambda weekday, length: 1 << (length - back) if back < length else 0


def _weekday_rule(item: str) -> _Rule | None:
    match = _WEEKDAY_RULE.fullmatch(item)
    if match is None:
        return None
    text, is_last, nth = match.groups()
    wanted = _value(_WEEKDAY, text) % 7
    if is_last:
        return lambda weekday, length: 1 << (length - (weekday + length - 1 - wanted) % 7)
    weeks = _inside("weekday #", nth, 1, 5) - 1
    return lambda weekday, length: 1 << (1 + (wanted - weekday) % 7 + 7 * weeks)


def _workday_near(day: int, weekday: int, length: int) -> int:
    """`nW`: the Monday to Friday nearest to `day` in the same month, as a mask."""
    if day > length:
        return 0
    that = (weekday + day - 1) % 7
    if that == 6:
        day = day - 1 if day > 1 else 3
    elif that == 0:
        day = day + 1 if day < length else day - 2
    return 1 << day


def _spread(weekdays: int, first: int) -> int:
    """A mask of weekdays (bit 0 = Sunday) as a mask of days 1-35 of a month that begins so."""
    week = (weekdays >> first | weekdays << (7 - first)) & 0b111_1111
    return week * 0x1020_4081 << 1


def _bits(mask: int) -> tuple[int, ...]:
    return tuple(bit for bit in range(mask.bit_length()) if mask >> bit & 1)


def _shown(text: str) -> str:
    short = text if len(text) <= 60 else text[:57] + "..."
    return '"' + short.encode("ascii", "backslashreplace").decode() + '"'
