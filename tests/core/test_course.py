"""A course: moments with limits and jitter, against lists that are gone through one by one."""

from __future__ import annotations

from random import Random

import pytest

from kron.core.course import Course, NoMoments, jitter_of
from kron.core.limits import Limits
from kron.core.model import Reason
from kron.core.moments import IntervalMoments, OneMoment, cron_moments

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
BASE = 1_767_225_600 * SECOND  # 2026-01-01, a Thursday
WEEKEND = Limits(None, None, ("sat", "sun"), "UTC")


def test_without_limits_a_course_is_its_moments() -> None:
    moments = IntervalMoments(BASE, HOUR)
    course = Course(moments)
    last = BASE + 5 * HOUR
    assert course.due_us(last) == last
    assert course.left_out(last) is None
    assert course.next_after(last) == course.next_allowed(last) == last + HOUR
    assert course.last_allowed(BASE, last + 1) == last
    assert course.last_allowed(last + 1, last + 2) is None
    assert course.count_allowed(BASE, last) == 5
    assert course.latest_come(BASE + HOUR, last + 1) == last


def test_moments_of_an_unknown_zone_are_none() -> None:
    course = Course(NoMoments())
    assert course.next_after(BASE) is course.next_allowed(BASE) is None
    assert course.last_allowed(0, BASE) is None
    assert course.count_allowed(0, BASE) == 0


def test_weekends_are_passed_over() -> None:
    course = Course(cron_moments("0 9 * * *"), WEEKEND)
    friday = BASE + DAY + 9 * HOUR
    assert course.left_out(friday) is None
    assert course.left_out(friday + DAY) is Reason.EXCLUDED
    assert course.next_after(friday) == friday + DAY
    assert course.next_allowed(friday) == friday + 3 * DAY
    assert course.last_allowed(BASE, friday + 2 * DAY) == friday
    assert course.last_allowed(friday + 1, friday + 2 * DAY) is None
    assert course.count_allowed(friday, friday + 7 * DAY) == 6


def test_nothing_is_next_behind_the_bounds() -> None:
    limits = Limits(BASE + 2 * HOUR, BASE + 4 * HOUR, (), "UTC")
    course = Course(IntervalMoments(BASE, HOUR), limits)
    assert course.next_allowed(BASE) == BASE + 2 * HOUR
    assert course.next_allowed(BASE + 4 * HOUR) is None
    assert course.next_after(BASE) == BASE + HOUR
    assert course.next_after(BASE + 4 * HOUR) == BASE + 5 * HOUR  # it is told of, as the last
    assert course.next_after(BASE + 5 * HOUR) is None
    assert course.last_allowed(BASE, BASE + HOUR) is None
    assert course.last_allowed(BASE, BASE + 9 * HOUR) == BASE + 4 * HOUR
    assert course.count_allowed(BASE, BASE + 9 * HOUR) == 3


def test_who_is_never_allowed_is_told_so() -> None:
    saturdays = Course(cron_moments("0 9 * * sat"), WEEKEND)
    assert saturdays.next_allowed(BASE) is None
    assert saturdays.count_allowed(BASE, BASE + 365 * DAY) == 0


def test_limits_follow_the_wall_and_moments_the_own_clock() -> None:
    limits = Limits(BASE + 10 * HOUR, None, (), "UTC")
    course = Course(IntervalMoments(BASE, HOUR), limits, shift_us=7 * HOUR)
    assert course.next_allowed(BASE) == BASE + 3 * HOUR
    assert course.left_out(BASE + 2 * HOUR) is Reason.BOUNDS
    assert course.count_allowed(BASE, BASE + 5 * HOUR) == 3


def test_jitter_is_the_same_for_a_name_and_a_moment() -> None:
    # The same on every machine: golden values.
    assert [jitter_of("tick", BASE + n * HOUR, 30 * SECOND) for n in range(3)] == GOLDEN
    spread = [jitter_of("tick", BASE + n * SECOND, 9) for n in range(2000)]
    assert set(spread) == set(range(10))
    assert jitter_of("tick", BASE, 0) == 0
    course = Course(OneMoment(BASE), name="tick", jitter_us=30 * SECOND)
    assert course.due_us(BASE) == BASE + GOLDEN[0]


GOLDEN = [14_528_198, 1_123_933, 1_033_861]


def test_no_moment_overtakes_one_that_its_jitter_holds_back() -> None:
    course = Course(IntervalMoments(BASE, SECOND), name="tick", jitter_us=60 * SECOND)
    first = BASE + SECOND
    for now in range(course.due_us(first), course.due_us(first) + 200 * SECOND, 7 * SECOND):
        latest = course.latest_come(first, now)
        come = range(first, latest + 1, SECOND)
        assert all(course.due_us(moment) <= now for moment in come[1:])
        assert course.due_us(latest + SECOND) > now


@pytest.mark.parametrize("seed", range(40))
def test_a_course_agrees_with_a_list(seed: int) -> None:
    random = Random(seed)
    step = random.choice((HOUR, 5 * HOUR, 26 * HOUR))
    shift = random.choice((0, 0, 13 * HOUR, -40 * HOUR))
    names = tuple(random.sample(("mon", "wed", "sat", "sun"), random.randrange(3)))
    early = random.choice((None, BASE + 50 * HOUR))
    late = random.choice((None, BASE + 200 * HOUR))
    zone = random.choice(("UTC", "Asia/Tokyo"))
    course = Course(IntervalMoments(BASE, step), Limits(early, late, names, zone), shift)
    every = range(BASE + step, BASE + 600 * HOUR, step)
    good = [moment for moment in every if course.left_out(moment) is None]
    for _ in range(60):
        first, last = sorted(BASE + random.randrange(400) * HOUR // 2 for _ in range(2))
        inside = [moment for moment in good if first <= moment <= last]
        assert course.count_allowed(first, last) == len(inside)
        assert course.last_allowed(first, last) == max(inside, default=None)
        after = [moment for moment in good if moment > first]
        assert course.next_allowed(first) == (min(after) if after else None)
