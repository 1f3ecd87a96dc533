"""What cron text and keyword fields compile to: the readings of a local clock that they select.

A reading is what a local clock shows, in seconds since its own 1970-01-01 00:00. Nothing here
knows zones: `moments.py` turns readings into instants. Sets are masks: bit n stands for n.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import isleap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple, TypeAlias

DAY = 86_400
NEVER = 1 << 50  # a reading after all readings; `-NEVER` is before them all
EVERY_WEEK = (2 << 53) - 2
EVERY_YEAR = b"\0" + b"\1" * date.max.year  # a year is selected if its byte is 1

Year: TypeAlias = tuple[int, int]
"""1 January as a day number since 1970, and a mask of days of which it is bit 0."""

NO_YEAR: Year = (0, 0)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal() - _EPOCH_ORDINAL  # 9999-12-31
_FIRST_DAY = date.min.toordinal() - _EPOCH_ORDINAL  # 0001-01-01
_MOST_LISTED = 1440
_WEEK = 0b111_1111
_FIVE_WEEKS = 0x1020_4081  # times a mask of seven days: that mask five times in a row
_MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class MonthDays(NamedTuple):
    """Days of the month: by date, from the end (bit n is `L-n`), and workdays near a date (`nW`).

    Bit 0 of `workdays` is the last workday (`LW`).
    """

    dates: int
    from_last: int = 0
    workdays: int = 0

    def mask(self, weekday: int, length: int) -> int:
        """Bit d for each selected day d of a month of `length` days, the 1st on `weekday`."""
        days = self.dates
        for back in bits(self.from_last):
            days |= 1 << (length - back) if back < length else 0
        for day in bits(self.workdays):
            days |= _workday_near(day or length, weekday, length)
        return days & ((2 << length) - 2)


class Weekdays(NamedTuple):
    """Days of the week (bit 0 is Sunday): in every week of a month, in its nth, in its last."""

    every: int
    nth: tuple[int, ...] = (0, 0, 0, 0, 0)
    last: int = 0

    def mask(self, weekday: int, length: int) -> int:
        """Bit d for each selected day d of a month of `length` days, the 1st on `weekday`."""
        days = _turned(self.every, weekday) * _FIVE_WEEKS << 1
        for week, wanted in enumerate(self.nth):
            days |= _turned(wanted, weekday) << (7 * week + 1) if wanted else 0
        days |= _turned(self.last, weekday + length) << (length - 6)
        return days & ((2 << length) - 2)


class Days(NamedTuple):
    """Days of a year. With `is_either`, one of the two day fields is enough: the rule of cron."""

    months: int
    month_days: MonthDays
    weekdays: Weekdays
    is_either: bool = False
    weeks: int = EVERY_WEEK

    def mask(self, kind: int) -> int:
        """Bit 0 for 1 January if selected, and so on, of a year of this kind (`_january`)."""
        weekday, is_leap = kind >> 2, kind >> 1 & 1
        days = first = 0
        for month, usual_length in enumerate(_MONTH_LENGTHS, 1):
            length = usual_length + (is_leap and month == 2)
            if self.months >> month & 1:
                days |= self._of_month((weekday + first) % 7, length) >> 1 << first
            first += length
        return days if self.weeks == EVERY_WEEK else days & _in_weeks(self.weeks, kind)

    def _of_month(self, weekday: int, length: int) -> int:
        by_date = self.month_days.mask(weekday, length)
        by_weekday = self.weekdays.mask(weekday, length)
        return by_date | by_weekday if self.is_either else by_date & by_weekday


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled text: which seconds of a local clock it selects. Equal if the text is.

    `is_fixed` says that no second, minute or hour field starts with `*`; `times` are the seconds
    of a selected day, ascending; `years` has a byte for each year.
    """

    text: str
    is_fixed: bool = field(compare=False)
    times: Sequence[int] = field(compare=False)
    days: Days = field(compare=False)
    years: bytes = field(default=EVERY_YEAR, compare=False, repr=False)
    _masks: dict[int, int] = field(init=False, compare=False, repr=False)

    @property
    def shortest_gap(self) -> int:
        """The fewest seconds between two readings, on a clock that nobody sets: 1 to 86,400."""
        some = [self.times[place] for place in range(min(len(self.times), 3_601))]
        return min([DAY - self.times[-1] + self.times[0], *(b - a for a, b in pairwise(some))])

    def __post_init__(self) -> None:
        object.__setattr__(self, "_masks", _masks_of(self.days))

    @property
    def is_possible(self) -> bool:
        """Whether there is such a date at all. After 400 years the calendar repeats."""
        residues = (n for n in range(400) if 1 in self.years[n::400])
        return any(self._mask(_january(2000 + n)[1]) for n in residues)

    def year(self, year: int) -> Year:
        """Its days as a mask: bit 0 is 1 January."""
        january, kind = _january(year)
        if not self.years[year]:
            return january, 0
        days = self._masks.get(kind)  # here too: this is the hot path
        return january, self._mask(kind) if days is None else days

    def first_from(self, reading: int) -> int:
        """Return the first selected reading >= `reading`; `NEVER` if none by 9999-12-31."""
        return self.first_and_year(reading)[0]

    def last_until(self, reading: int) -> int:
        """Return the last selected reading <= `reading`; `-NEVER` if none since year 1."""
        return self.last_and_year(reading)[0]

    def first_and_year(self, reading: int) -> tuple[int, Year]:
        """`first_from`, and the year in which that is."""
        day, time = divmod(reading, DAY)
        if day > _LAST_DAY:
            return NEVER, NO_YEAR
        year = year_of(day)
        found = january, days = self.year(year)
        left = days >> (day - january)
        if left & 1:
            rank = bisect_left(self.times, time)
            if rank < len(self.times):
                return day * DAY + self.times[rank], found
            left -= 1
        while not left:
            year = self.years.find(1, year + 1)
            if year < 0:
                return NEVER, NO_YEAR
            found = day, left = self.year(year)
        return (day + (left & -left).bit_length() - 1) * DAY + self.times[0], found

    def last_and_year(self, reading: int) -> tuple[int, Year]:
        """`last_until`, and the year in which that is."""
        day, time = divmod(min(reading, _LAST_DAY * DAY + DAY - 1), DAY)
        if day < _FIRST_DAY:
            return -NEVER, NO_YEAR
        year = year_of(day)
        found = january, days = self.year(year)
        today = 1 << (day - january)
        if days & today:
            rank = bisect_right(self.times, time)
            if rank:
                return day * DAY + self.times[rank - 1], found
        days &= today - 1
        while not days:
            year = self.years.rfind(1, 0, year)
            if year < 0:
                return -NEVER, NO_YEAR
            found = january, days = self.year(year)
        return (january + days.bit_length() - 1) * DAY + self.times[-1], found

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
        january, days = self.year(year_of(day))
        return bisect_left(self.times, time) if days >> (day - january) & 1 else 0

    def _whole_days(self, first: int, end: int) -> int:
        """All readings of the days from that of `first` to the one before that of `end`."""
        day, last = max(first // DAY, _FIRST_DAY), min(end // DAY - 1, _LAST_DAY)
        count = 0
        while day <= last:
            year = year_of(day)
            january, days = self.year(year)
            until = min(last + 1, _january(year + 1)[0])
            count += (days >> (day - january) & ((1 << (until - day)) - 1)).bit_count()
            day = until
        return count * len(self.times)

    def _mask(self, kind: int) -> int:
        days = self._masks.get(kind)
        if days is None:
            days = self._masks[kind] = self.days.mask(kind)
        return days


@lru_cache(maxsize=1024)
def _masks_of(days: Days) -> dict[int, int]:
    """`Days.mask` of the kinds of year that were asked for, shared by all who select such days."""
    return {}


class _Product(Sequence[int]):
    """All of hours x minutes x seconds as seconds of a day, where a list would be long."""

    def __init__(self, hours: Sequence[int], minutes: Sequence[int], seconds: Sequence[int]):
        self._hours, self._minutes, self._seconds = hours, minutes, seconds
        self._count = len(hours) * len(minutes) * len(seconds)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, rank: int) -> int:  # type: ignore[override]  # nobody slices it
        if not -self._count <= rank < self._count:
            raise IndexError(rank)
        rank, k = divmod(rank % self._count, len(self._seconds))
        i, j = divmod(rank, len(self._minutes))
        return self._hours[i] + self._minutes[j] + self._seconds[k]


@lru_cache(maxsize=1024)
def times_of_day(hours: int, minutes: int, seconds: int) -> Sequence[int]:
    """Return the seconds of day at which hour, minute and second are selected, ascending."""
    units = (hours, 3600), (minutes, 60), (seconds, 1)
    parts = h, m, s = [[value * unit for value in bits(mask)] for mask, unit in units]
    if len(h) * len(m) * len(s) <= _MOST_LISTED:
        return tuple(hour + minute + second for hour in h for minute in m for second in s)
    times = _Product(h, m, s)
    even = range(times[0], times[-1] + 1, times[1] - times[0])
    is_even = all((time - part[0]) % even.step == 0 for part in parts for time in part)
    return even if is_even and len(even) == len(times) else times


def year_of(day: int) -> int:
    """Return the year of a day number since 1970."""
    return date.fromordinal(day + _EPOCH_ORDINAL).year


def bits(mask: int) -> Iterator[int]:
    """Yield the members of a mask, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


@cache
def _january(year: int) -> tuple[int, int]:
    """1 January as a day number since 1970, and the kind of the year.

    A kind is the weekday of 1 January (0 is Sunday) * 4, + 2 in a leap year, + 1 after one: 21.
    """
    before = year - 1
    ordinal = before * 365 + before // 4 - before // 100 + before // 400 + 1
    return ordinal - _EPOCH_ORDINAL, ordinal % 7 * 4 + isleap(year) * 2 + isleap(before)


def _in_weeks(weeks: int, kind: int) -> int:
    """The days of a kind of year that are in these ISO weeks (ISO 8601: week 1 has 4 January)."""
    monday_first, is_leap, is_after_leap = (kind // 4 + 6) % 7, kind >> 1 & 1, kind & 1
    is_long = monday_first == 3 or (monday_first == 2 and is_leap)  # 53 weeks
    is_after_long = monday_first == 4 or (monday_first == 5 and is_after_leap)
    numbers = [*range(1, 54 if is_long else 53), 1]
    if monday_first > 3:  # the first days are of the last week of the year before
        numbers = [53 if is_after_long else 52, *numbers]
    days = sum(_WEEK << 7 * at for at, number in enumerate(numbers) if weeks >> number & 1)
    return days >> monday_first & ((1 << 365 + is_leap) - 1)


def _turned(weekdays: int, first: int) -> int:
    """A mask of weekdays (bit 0 = Sunday) as a mask of seven days that begin on `first`."""
    first %= 7
    return (weekdays >> first | weekdays << (7 - first)) & _WEEK


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
