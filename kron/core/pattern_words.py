"""What a pattern selects, in plain words: complete and true before short.

The words are made from the compiled sets, not from the spelling, so two spellings of one schedule
read the same. They tell readings of the local clock; `dst_notes.py` says what becomes of those
that a change of the clocks leaves out or shows twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

from .pattern import DAY, EVERY_WEEK, EVERY_YEAR, MonthDays, Pattern, Weekdays, bits

WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_LISTED = 6
"""So many times of day are listed one by one."""
_PROGRESSION = 4
"""From so many on, equal steps are "every"."""
_SIXTY = tuple(range(60))
_ALL_DATES = (1 << 32) - 2
_ALL_WEEKDAYS = 0b111_1111
_RANKS = ("1st", "2nd", "3rd", "4th", "5th", "last")
_TENS = {1: "st", 2: "nd", 3: "rd"}


@lru_cache(maxsize=4096)
def pattern_in_words(pattern: Pattern) -> str:
    """What it selects: "at 09:30 on weekdays", "every 15 minutes" (cached). No zone is in it."""
    # A timer with the hours `0-23` (fixed) does not go on in the second of two hours.
    time = _time(tuple(pattern.times), goes_on=not pattern.is_fixed)
    days, months = _days(pattern), _in(tuple(bits(pattern.days.months)))
    if days == months and time.startswith("at ") and "every" not in time:
        days = f"every day {months}"
    parts = [" ".join(filter(None, (time, days.rstrip())))]
    if pattern.days.weeks != EVERY_WEEK:
        parts.append(f"in ISO {_numbered('week', tuple(bits(pattern.days.weeks)))}")
    if pattern.years != EVERY_YEAR:
        parts.append(f"in {_runs(_years(pattern.years))}")
    return ", ".join(parts)


# -- the time of day ----------------------------------------------------------------------------


def _time(times: Sequence[int], *, goes_on: bool) -> str:
    """Of seconds of the day; `goes_on`: over midnight and over a change of the clocks."""
    hours, minutes, seconds = _parts(times)
    step = _step(times)
    is_all_day = goes_on and len(hours) == 24
    beat = _beat(times[0], step) if is_all_day and step * len(times) == DAY else ""
    if beat:
        return beat
    if len(times) <= (_LISTED if step > 3600 or not step else _PROGRESSION - 1):
        return f"at {listed(_clocks(times))}"
    if step and not is_all_day:
        first, last = _clocks((times[0], times[-1]))
        return f"every {amount(step)} from {first} to {last}"
    if len(hours) * len(minutes) * len(seconds) != len(times):
        return f"at {listed(_clocks(times))}"
    words = _minutes(minutes) if seconds == (0,) else _seconds(seconds, minutes)
    if is_all_day:
        return words if words.endswith("every minute") else f"{words} of every hour"
    return f"{words} in the {_numbered('hour', hours)}"


def _parts(times: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Which hours, minutes and seconds occur in them."""
    hours = {time // 3600 for time in times}
    minutes = {time // 60 % 60 for time in times}
    seconds = {time % 60 for time in times}
    return tuple(sorted(hours)), tuple(sorted(minutes)), tuple(sorted(seconds))


def _beat(first: int, step: int) -> str:
    """A beat that goes on over midnight; "" if its words would not say where it begins."""
    if step > 3600 or (first and step not in (60, 3600)):
        return ""
    if not first:
        return f"every {amount(step)}"
    if step == 60:
        return f"every minute at second {first}"
    minute, second = divmod(first, 60)
    return f"every hour at :{minute:02}" + (f":{second:02}" if second else "")


def _minutes(minutes: Sequence[int]) -> str:
    step = _step(minutes)
    if minutes == _SIXTY:
        return "every minute"
    if len(minutes) >= _PROGRESSION and step > 1:
        if minutes[0] == 0 and step * len(minutes) == 60:
            return f"every {step} minutes"
        return f"every {step} minutes from :{minutes[0]:02} to :{minutes[-1]:02}"
    if len(minutes) <= _LISTED:
        return f"at {listed(f':{minute:02}' for minute in minutes)}"
    return f"at {_numbered('minute', minutes)}"


def _seconds(seconds: Sequence[int], minutes: Sequence[int]) -> str:
    step = _step(seconds)
    if seconds == _SIXTY:
        words = "every second"
    elif len(seconds) >= _PROGRESSION and step > 1:
        words = f"every {step} seconds"
        if seconds[0] or step * len(seconds) != 60:
            words += f" from second {seconds[0]} to {seconds[-1]}"
    else:
        words = f"at {_numbered('second', seconds)}"
    return f"{words} of {'every minute' if minutes == _SIXTY else _numbered('minute', minutes)}"


def _clocks(times: Sequence[int]) -> list[str]:
    """With seconds if any of them has."""
    has_seconds = any(time % 60 for time in times)
    return [clock(time, has_seconds=has_seconds) for time in times]


# -- the day ------------------------------------------------------------------------------------


def _days(pattern: Pattern) -> str:
    """Both fields must match, or one of them where the pattern says so (the rule of cron)."""
    days = pattern.days
    months = tuple(bits(days.months))
    by_date = _dates(days.month_days, months)
    by_weekday = _weekdays(days.weekdays, months)
    if by_date and by_weekday:
        return (
            f"{by_date} or {by_weekday}" if days.is_either else f"{by_date}, but only {by_weekday}"
        )
    if days.is_either:  # with all dates or all weekdays, one of the two always matches
        by_date = by_weekday = ""
    return by_date or by_weekday or _in(months)


def _dates(days: MonthDays, months: Sequence[int]) -> str:
    """ "" for all of them."""
    if days.dates == _ALL_DATES:
        return ""
    dates = tuple(bits(days.dates))
    step = _step(dates)
    words = []
    if len(dates) >= _PROGRESSION and step > 1:
        words.append(f"every {_ordinal(step)} day from day {dates[0]} to day {dates[-1]}")
    elif dates:
        words.append(_numbered("day", dates))
    for day in bits(days.workdays):
        words.append(f"the weekday nearest day {day}" if day else "the last weekday")
    for back in sorted(bits(days.from_last), reverse=True):
        before = f"the {_ordinal(back)} day before the last day"
        words.append({0: "the last day", 1: "the day before the last day"}.get(back, before))
    return f"on {listed(words)} {_of(months)}"


def _weekdays(days: Weekdays, months: Sequence[int]) -> str:
    """ "" for all of them."""
    if days.every == _ALL_WEEKDAYS:
        return ""
    words = []
    if days.every:
        words.append(f"on {weekday_names(tuple(bits(days.every)))} {_in(months)}".rstrip())
    rules = [
        f"the {rank} {WEEKDAYS[day]}"
        for rank, mask in zip(_RANKS, (*days.nth, days.last), strict=True)
        for day in bits(mask)
    ]
    if rules:
        words.append(f"on {listed(rules)} {_of(months)}")
    return " and ".join(words)


def weekday_names(days: Sequence[int]) -> str:
    """Days of the week (0 is Sunday) in the plural, Monday first: "Saturdays and Sundays"."""
    chosen = sorted((day - 1) % 7 for day in days)
    names = [f"{WEEKDAYS[(day + 1) % 7]}s" for day in range(7)]
    if chosen == [0, 1, 2, 3, 4]:
        return "weekdays"
    for start in range(7 if 4 <= len(chosen) <= 6 else 0):
        last = start + len(chosen) - 1
        if {day % 7 for day in range(start, last + 1)} == set(chosen):
            return f"{names[start]} to {names[last % 7]}"
    return listed(names[day] for day in chosen)


def _of(months: Sequence[int]) -> str:
    """Whose days: "of the month", "of January and July"."""
    if len(months) == 12:
        return "of the month"
    if len(months) >= 3 and _step(months) == 1:
        return f"of each month from {MONTHS[months[0] - 1]} to {MONTHS[months[-1] - 1]}"
    return f"of {listed(MONTHS[month - 1] for month in months)}"


def _in(months: Sequence[int]) -> str:
    """When: "in January and July"; "" for all year."""
    if len(months) == 12:
        return ""
    if len(months) >= 3 and _step(months) == 1:
        return f"from {MONTHS[months[0] - 1]} to {MONTHS[months[-1] - 1]}"
    return f"in {listed(MONTHS[month - 1] for month in months)}"


# -- words and numbers --------------------------------------------------------------------------


def amount(seconds: int) -> str:
    """What stands after "every": "minute", "15 minutes", "2 hours", "90 seconds"."""
    for unit, size in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds % size == 0:
            count = seconds // size
            return unit if count == 1 else f"{count} {unit}s"
    raise AssertionError(f"{seconds} is no whole number of seconds")


def clock(time: int, *, has_seconds: bool) -> str:
    """A second of the day as a clock shows it: `09:30`, `09:30:15`."""
    short = f"{time // 3600:02}:{time // 60 % 60:02}"
    return f"{short}:{time % 60:02}" if has_seconds else short


def listed(words: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *front, last = words
    return f"{', '.join(front)} and {last}" if front else last


def _numbered(noun: str, numbers: Sequence[int]) -> str:
    """ "hour 9", "hours 8-10 and 17"."""
    return f"{noun}{'s' if len(numbers) > 1 else ''} {_runs(numbers)}"


def _runs(numbers: Sequence[int]) -> str:
    """Runs of three and more are ranges."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words: list[str] = []
    for run in runs:
        words += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else map(str, run)
    return listed(words)


def _step(numbers: Sequence[int]) -> int:
    """The distance of neighbours, if it is the same everywhere; else 0."""
    steps = {b - a for a, b in pairwise(numbers)}
    return steps.pop() if len(steps) == 1 else 0


def _ordinal(number: int) -> str:
    return f"{number}{'th' if 10 < number < 20 else _TENS.get(number % 10, 'th')}"


def _years(years: bytes) -> list[int]:
    return [year for year, is_selected in enumerate(years) if is_selected]
