"""What is done about moments that have come: which run, which do not, and what comes next.

A pure function of the course, the time and the timer's policy. What kept the others from running
(the process was down, the loop was blocked, ...) is not known here: `decide_due` says that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .course import Course
from .model import Missed, Reason

CAP = 100
"""`missed="all"` runs at most so many, the latest."""
SKIP_GRACE_US = 60_000_000
"""How late a moment may still run under `missed="skip"`, if `grace` does not say."""


class Left(NamedTuple):
    """Moments that do not run, from the first to the last of them. `reason` None: for whatever
    kept them from running in time."""

    first_us: int
    last_us: int
    reason: Reason | None


class Plan(NamedTuple):
    """`runs` and `left` tell of every moment from the first one to the last that has come, both
    in order of time; `next_us` is the moment after those."""

    runs: list[int]
    left: list[Left]
    next_us: int | None


def catch_up(
    course: Course,
    first_us: int,
    now_us: int,
    missed: Missed = Missed.ONCE,
    grace_us: int | None = None,
    cap: int = CAP,
) -> Plan:
    """Plan for the moments from `first_us` (one itself, which has come) to now.

    `once` runs the latest; `all` each, at most the latest `cap`; `skip` the latest if it is no
    more than `grace_us` (default 60 s) late. With `grace_us` no moment that is later than that
    runs. Moments that the limits leave out never run; if the first one is left out, the plan goes
    no further than the stretch of them that it begins. Needs a few steps for years of moments.
    """
    if (reason := course.left_out(first_us)) is not None:
        last_us = course.last_alike(first_us, now_us)
        return Plan([], [Left(first_us, last_us, reason)], course.next_after(last_us))
    last_us = course.latest_come(first_us, now_us)
    if grace_us is None and missed is Missed.SKIP:
        grace_us = SKIP_GRACE_US
    runs: list[int] = []
    is_late = False
    candidate: int | None = course.last_allowed(first_us, last_us) or first_us
    while candidate is not None and len(runs) < (cap if missed is Missed.ALL else 1):
        is_late = grace_us is not None and now_us - course.due_us(candidate) > grace_us
        if is_late:
            break
        runs.append(candidate)
        candidate = course.last_allowed(first_us, candidate - 1)
    runs.reverse()
    spans = _between(course, first_us, last_us, runs)
    left = [Left(*span, _reason(missed, is_late)) for span in spans]
    if is_late and missed is Missed.ONCE and candidate is not None and candidate > first_us:
        before_us = max(course.moments.last_until(candidate - 1) or first_us, first_us)
        left = [Left(first_us, before_us, None), Left(candidate, last_us, Reason.GRACE)]
    return Plan(runs, left, course.next_after(last_us))


def _between(
    course: Course, first_us: int, last_us: int, runs: list[int]
) -> Iterator[tuple[int, int]]:
    """The moments before, between and behind the runs, as ranges."""
    start_us: int | None = first_us
    for run in runs:
        if start_us is not None and start_us < run:
            yield start_us, max(course.moments.last_until(run - 1) or start_us, start_us)
        start_us = course.moments.next_after(run)
    if start_us is not None and start_us <= last_us:
        yield start_us, last_us


def _reason(missed: Missed, is_late: bool) -> Reason | None:
    """Why the policy lets the moments before the first run go."""
    if missed is Missed.ALL:
        return Reason.GRACE if is_late else Reason.CAP
    return Reason.GRACE if is_late and missed is Missed.ONCE else None
