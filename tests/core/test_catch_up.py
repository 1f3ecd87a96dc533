"""`catch_up` against a brute force over lists of moments, and its cost over years of downtime."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import pytest

from kron.core.catch_up import CAP, SKIP_GRACE_US, Plan, catch_up
from kron.core.course import Course
from kron.core.limits import Limits, Stretch
from kron.core.model import Missed, Reason
from kron.core.moments import IntervalMoments, OneMoment, cron_moments

SECOND = 1_000_000
DAY = 86_400 * SECOND
BASE = 1_767_225_600 * SECOND  # 2026-01-01, a Thursday
CASES = 4_000


class Listed(NamedTuple):
    """Moments that are a list."""

    all: list[int]

    def next_after(self, after_us: int) -> int | None:
        place = bisect_right(self.all, after_us)
        return self.all[place] if place < len(self.all) else None

    def last_until(self, until_us: int) -> int | None:
        place = bisect_right(self.all, until_us)
        return self.all[place - 1] if place else None

    def count(self, first_us: int, last_us: int) -> int:
        return sum(first_us <= each <= last_us for each in self.all)


class Holes(NamedTuple):
    """Limits that are borders: behind each of them it is the other way round."""

    borders: list[int]
    not_after_us: int | None
    not_before_us: int | None = None

    def stretch(self, wall_us: int) -> Stretch:
        if self.not_after_us is not None and wall_us > self.not_after_us:
            return Stretch(Reason.BOUNDS, self.not_after_us + 1, None)
        place = bisect_right(self.borders, wall_us)
        start = self.borders[place - 1] if place else None
        end = self.borders[place] if place < len(self.borders) else None
        if self.not_after_us is not None:
            end = min(end or self.not_after_us + 1, self.not_after_us + 1)
        return Stretch(Reason.EXCLUDED if place % 2 else None, start, end)


def random_course(random: Random) -> Course:
    moments = sorted(random.sample(range(1, 300), random.randint(1, 60)))
    borders = sorted(random.sample(range(1, 300), random.choice((0, 2, 6, 7))))
    limits: Any = Holes(borders, random.choice((None, None, random.randint(100, 300))))
    jitter = random.choice((0, 0, 0, 5, 40))
    return Course(Listed(moments), limits, name=f"t{random.random()}", jitter_us=jitter)


def come(course: Course, first: int, now: int) -> list[int]:
    """From `first`, which has come, up to the first that has not, or is behind the bounds."""
    end = course.limits.not_after_us if course.limits is not None else None
    moments: list[int] = []
    for each in [m for m in course.moments.all if m >= first]:  # type: ignore[attr-defined]
        if moments and (course.due_us(each) > now or (end is not None and each > end)):
            break
        moments.append(each)
    return moments


@pytest.mark.parametrize("missed", Missed)
def test_every_plan_is_the_one_a_list_gives(missed: Missed) -> None:
    random = Random(missed.value)
    for _ in range(CASES):
        course = random_course(random)
        end = course.limits.not_after_us if course.limits is not None else None
        firsts = [m for m in course.moments.all if end is None or m <= end]  # type: ignore[attr-defined]
        if not firsts:
            continue
        first = random.choice(firsts)
        now = course.due_us(first) + random.choice((0, 1, 20, 300))
        grace = random.choice((None, None, 3, 60))
        cap = random.choice((1, 3, 100))
        plan = catch_up(course, first, now, missed, grace, cap)
        assert_is_right(plan, course, first, now, missed, grace, cap)


def assert_is_right(
    plan: Plan,
    course: Course,
    first: int,
    now: int,
    missed: Missed,
    grace: int | None,
    cap: int,
) -> None:
    moments = come(course, first, now)
    if (reason := course.left_out(first)) is not None:  # those that are left out with it, alone
        last = course.last_alike(first, now)
        alike = [each for each in course.moments.all if first <= each <= last]  # type: ignore[attr-defined]
        assert all(course.left_out(each) is reason for each in alike)
        assert plan == ([], [(first, last, reason)], course.next_after(last))
        return
    good = [each for each in moments if course.left_out(each) is None]
    if grace is None and missed is Missed.SKIP:
        grace = SKIP_GRACE_US
    runs: list[int] = []
    too_late = None
    for each in reversed(good[-cap:] if missed is Missed.ALL else good[-1:]):
        if grace is not None and now - course.due_us(each) > grace:
            too_late = each
            break
        runs.insert(0, each)
    assert plan.runs == runs
    ranges = [
        [each for each in moments if left.first_us <= each <= left.last_us] for left in plan.left
    ]
    told = sorted([*plan.runs, *(each for span in ranges for each in span)])
    assert told == moments, "each moment once"
    assert [(span[0], span[-1]) for span in ranges] == [left[:2] for left in plan.left]
    for left, span in zip(plan.left, ranges, strict=True):
        if not set(span) & set(good):
            continue  # left out, which is reason enough
        reason = {Missed.ALL: Reason.CAP, Missed.ONCE: None, Missed.SKIP: None}[missed]
        if too_late is not None and missed is Missed.ALL:
            reason = Reason.GRACE
        if too_late is not None and missed is Missed.ONCE and span[0] == too_late:
            reason = Reason.GRACE
        assert left.reason is reason
    after = [each for each in course.moments.all if each > moments[-1]]  # type: ignore[attr-defined]
    assert plan.next_us == (after[0] if after else None)


def test_a_single_moment_in_time_runs_under_every_policy() -> None:
    for missed in Missed:
        plan = catch_up(Course(OneMoment(BASE)), BASE, BASE + SECOND, missed)
        assert plan == ([BASE], [], None)


def test_skip_lets_a_minute_pass_and_no_more() -> None:
    course = Course(IntervalMoments(BASE, DAY))
    first = BASE + DAY
    assert catch_up(course, first, first + SKIP_GRACE_US, Missed.SKIP).runs == [first]
    late = catch_up(course, first, first + SKIP_GRACE_US + 1, Missed.SKIP)
    assert (late.runs, late.left) == ([], [(first, first, None)])
    assert catch_up(course, first, first + DAY - 1, Missed.SKIP, DAY).runs == [first]


def test_at_most_a_hundred_are_caught_up() -> None:
    course = Course(IntervalMoments(BASE, SECOND))
    plan = catch_up(course, BASE + SECOND, BASE + 1000 * SECOND, Missed.ALL)
    assert len(plan.runs) == CAP == 100
    assert plan.left == [(BASE + SECOND, BASE + 900 * SECOND, Reason.CAP)]
    assert plan.next_us == BASE + 1001 * SECOND


# -- cost ---------------------------------------------------------------------------------------


class Counted:
    """Counts the calls of the methods of what it stands for."""

    def __init__(self, inner: Any, calls: list[str]) -> None:
        self.inner, self.calls = inner, calls

    def __getattr__(self, name: str) -> Callable[..., Any]:
        found = getattr(self.inner, name)
        if callable(found):
            self.calls.append(name)
        return found  # type: ignore[no-any-return]


WEEKEND = Limits(None, None, ("sat", "sun"), "Europe/Berlin")
LONG_LEAVE = Limits(None, None, ("2026-01-02..2035-12-30",), "Europe/Berlin")
YEARS = 10 * 365 * DAY


@pytest.mark.parametrize(
    ("missed", "grace", "most"),
    [
        (Missed.ONCE, None, 30),
        (Missed.ONCE, SECOND, 30),
        (Missed.SKIP, None, 30),
        (Missed.ALL, SECOND, 30),
        (Missed.ALL, None, 10 + 5 * CAP),
    ],
)
@pytest.mark.parametrize("limits", [None, WEEKEND, LONG_LEAVE], ids=["none", "weekend", "leave"])
@pytest.mark.parametrize("is_cron", [False, True], ids=["every", "cron"])
def test_years_of_downtime_take_a_few_steps(
    missed: Missed, grace: int | None, most: int, limits: Limits | None, is_cron: bool
) -> None:
    calls: list[str] = []
    moments: Any = cron_moments("* * * * * *") if is_cron else IntervalMoments(BASE, SECOND)
    counted: Any = limits and Counted(limits, calls)
    course = Course(Counted(moments, calls), counted)
    now = BASE + YEARS + SECOND // 2
    plan = catch_up(course, BASE + SECOND, now, missed, grace)
    assert plan.next_us is not None and len(plan.runs) <= CAP
    assert len(calls) <= most, f"{len(calls)} calls"


def test_counting_takes_two_steps_a_week() -> None:
    calls: list[str] = []
    moments: Any = Counted(IntervalMoments(BASE, SECOND), calls)
    course = Course(moments, Counted(WEEKEND, calls))  # type: ignore[arg-type]
    total = course.count_allowed(BASE + SECOND, BASE + YEARS)
    assert len(calls) <= 4 * 10 * 53
    assert 0.7 < total / (YEARS // SECOND) < 0.72
