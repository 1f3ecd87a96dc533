"""croniter's second opinion: where a scheduler that is built on it would fire differently."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version
from itertools import islice, takewhile, zip_longest
from typing import Any, NamedTuple

from kron.core.dst_notes import changes
from kron.core.instants import from_us, text, to_us
from kron.core.moments import CronMoments

SECOND = 1_000_000
DAY_US = 86_400 * SECOND
DAYS = 366
_WHOLE = 5_000
"""A year of so many moments is compared as a whole."""
_SOME = 500
_STEPS, _SECONDS = 30_000, 3.0
"""So many moments croniter is asked for, so long: it may read an expression as many more than Kron
does, and it may take a millisecond for each."""
_HOUR_US = 3600 * SECOND
_YEARS = 9
"""So far croniter looks for a date; 29 February may be eight years away."""


class Difference(NamedTuple):
    """What each of the two has on a local day that the other does not have."""

    day: date
    kron: list[datetime]
    croniter: list[datetime]


class Comparison(NamedTuple):
    """`problem`: why croniter refused the expression, or stopped; "" if it did neither. `end`: the
    last day compared. `is_whole`: every moment from the begin on, not those of some hours only."""

    version: str
    begin: date
    end: date
    problem: str
    moments: int
    is_whole: bool
    differences: list[Difference]

    @property
    def agrees(self) -> bool:
        """It has the same moments."""
        return not self.problem and not self.differences


class Proof(NamedTuple):
    """The next moments of both, one by one: so many are `equal`; then there is `kron` here and
    `croniter` there (None: no further one), or the two were equal to the end. `problem` as above;
    `last` is the last moment that is equal."""

    equal: int
    last: datetime | None
    kron: datetime | None
    croniter: datetime | None
    problem: str

    @property
    def agrees(self) -> bool:
        """Every moment is equal."""
        return self.kron == self.croniter and not self.problem


class _Stopped(Exception):
    """croniter raised, or did not go forward."""


def compare(moments: CronMoments, expr: str, begin_us: int) -> Comparison:
    """Both for a year from `begin_us` on; if that is too much for croniter, the begin of it and the
    hours around each change of the clocks, for a few seconds at most."""
    spans, is_whole = _spans(moments, begin_us)
    days: dict[date, Difference] = {}
    count, problem, end_us = 0, "", begin_us + DAYS * DAY_US
    budget = _Budget(_STEPS, time.monotonic() + _SECONDS)
    for first_us, last_us in spans:
        try:
            theirs = set(takewhile(budget.allows, _croniter(expr, moments, first_us, last_us)))
        except _Stopped as exc:
            problem = str(exc)
            break
        if budget.spent_us is not None:
            end_us = last_us = budget.spent_us
        mine = _kron(moments, first_us, last_us)
        count += len(mine)
        for moment_us in sorted(mine ^ theirs):
            at = from_us(moment_us, moments.tz)
            day = days.setdefault(at.date(), Difference(at.date(), [], []))
            (day.kron if moment_us in mine else day.croniter).append(at)
        if budget.spent_us is not None:
            break
    begin, end = (from_us(us, moments.tz).date() for us in (begin_us, end_us - 1))
    found = list(days.values())
    return Comparison(version("croniter"), begin, end, problem, count, is_whole, found)


def compare_next(moments: CronMoments, expr: str, begin_us: int, count: int) -> Proof:
    """Both for the next `count` moments from `begin_us` on, until the first difference."""
    start = from_us(begin_us - 1, moments.tz)
    mine = islice(_later(moments, begin_us), count)
    theirs = islice(_endless(expr, start), count)
    equal, last = 0, None
    try:
        for kron_us, croniter_us in zip_longest(mine, theirs):
            here, there = (
                None if us is None else from_us(us, moments.tz) for us in (kron_us, croniter_us)
            )
            if kron_us != croniter_us:
                return Proof(equal, last, here, there, "")
            equal, last = equal + 1, here
    except _Stopped as exc:
        return Proof(equal, last, None, None, str(exc))
    return Proof(equal, last, None, None, "")


@dataclass(slots=True)
class _Budget:
    """What croniter may take; `spent_us`: its first moment for which nothing was left."""

    steps: int
    deadline_s: float
    spent_us: int | None = None

    def allows(self, moment_us: int) -> bool:
        """Whether there is enough left for this moment of croniter's."""
        self.steps -= 1
        if self.steps < 0 or time.monotonic() > self.deadline_s:
            self.spent_us = moment_us
        return self.spent_us is None


def _spans(moments: CronMoments, begin_us: int) -> tuple[list[tuple[int, int]], bool]:
    """What is compared, without overlaps; whether it is the whole year."""
    end_us = begin_us + DAYS * DAY_US
    if moments.count(begin_us, end_us - 1) <= _WHOLE:
        return [(begin_us, end_us)], True
    cursor = begin_us
    for _ in range(_SOME):
        cursor = moments.next_after(cursor) or end_us
    spans = [(begin_us, cursor)]
    for change in changes(moments.tz, cursor // SECOND, end_us // SECOND):
        at_us, length_us = change.at * SECOND, change.length * SECOND
        first_us = max(at_us - length_us - _HOUR_US, spans[-1][1])
        spans.append((first_us, at_us + length_us + _HOUR_US))
    return spans, False


def _kron(moments: CronMoments, first_us: int, end_us: int) -> set[int]:
    return set(takewhile(lambda moment_us: moment_us < end_us, _later(moments, first_us)))


def _later(moments: CronMoments, first_us: int) -> Iterator[int]:
    """Kron's moments from `first_us` on."""
    moment_us = moments.next_after(first_us - 1)
    while moment_us is not None:
        yield moment_us
        moment_us = moments.next_after(moment_us)


def _croniter(expr: str, moments: CronMoments, first_us: int, end_us: int) -> Iterator[int]:
    """croniter's moments in `first_us <= t < end_us`. Raises _Stopped."""
    start = from_us(first_us - 1, moments.tz)
    yield from takewhile(lambda moment_us: moment_us < end_us, _endless(expr, start))


def _endless(expr: str, start: datetime) -> Iterator[int]:
    import croniter

    try:
        iterator: Any = croniter.croniter(
            expr, start, second_at_beginning=True, max_years_between_matches=_YEARS
        )
        previous_us = to_us(start)
        while True:
            moment_us = to_us(iterator.get_next(datetime))
            if moment_us <= previous_us:
                raise _Stopped(f"does not go on after {text(previous_us)}")
            yield moment_us
            previous_us = moment_us
    except croniter.CroniterBadDateError:
        return  # it knows no further date
    except _Stopped:
        raise
    except Exception as exc:  # whatever it raises is its answer
        raise _Stopped(f"{exc}" or type(exc).__name__) from exc
