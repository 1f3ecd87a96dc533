"""When a timer is to run next, told from a state: as it is, or as it would be.

The status of a timer says what it waits for. Here a moment that has come is taken to be decided,
and so is the end of the run that `overlap="delay"` waits for, where a calendar says what follows.
"""

from __future__ import annotations

from typing import TypedDict

from kron.core.instants import text
from kron.core.model import Overlap
from kron.core.state import State
from kron.core.things import Timer
from kron.core.timing import course_of, is_invalid, on_from


class NextRun(TypedDict):
    """When a timer is to run next, besides what starts at once. `at` None has a `reason`: after_run
    (the interval counts from the end of a run), paused, invalid (its time zone is not known here),
    finished. A one-shot that is overdue has an `at` in the past."""

    at: str | None
    reason: str | None


def next_run_of(state: State, timer: Timer, now_us: int) -> NextRun:
    """When a timer is to run next, if what has come by `now_us` (wall time) is decided then."""
    pause, definition = timer.paused, timer.definition
    if is_invalid(state, definition):
        return no_run("invalid")
    if pause is not None and pause.until_us is None:
        return no_run("paused")
    if timer.next_us is None and (definition.is_one_shot or not state.regular(timer)):
        return no_run("finished")
    pending_us, after_us = timer.next_us, state.to_own(timer, now_us)
    if pause is not None and pause.until_us is not None:
        end_us = pause.until_us + (state.shift_us if pause.is_elapsed else 0)
        end_us = state.to_own(timer, end_us)
        after_us = max(after_us, end_us)
        if definition.is_fixed_delay and pending_us is not None and pending_us <= end_us:
            pending_us = end_us + int(definition.value)
    if definition.is_one_shot:
        at_us = _one_shot_us(state, timer, after_us)
    elif definition.is_fixed_delay and _has_come(state, timer, pending_us, after_us):
        return no_run("after_run")
    else:
        at_us = _moment_after(state, timer, pending_us, after_us)
    if at_us is None:
        return no_run("finished")
    return {"at": text(state.to_wall(timer, at_us)), "reason": None}


def next_start_of(state: State, timer: Timer, now_us: int) -> NextRun:
    """As `next_run_of`, but what is waited for may be a retry, as in a status: under any policy but
    `allow` nothing starts before it."""
    waits = [us for id_ in timer.open if (us := retry_wall_us(state, id_)) and us > now_us]
    coming = next_run_of(state, timer, now_us)
    retry_at = text(min(waits, default=None))
    is_alone = timer.definition.terms.overlap is not Overlap.ALLOW or coming["at"] is None
    if retry_at is None or not (is_alone or retry_at < (coming["at"] or "")):
        return coming
    return {"at": retry_at, "reason": None}


def retry_wall_us(state: State, run_id: int) -> int | None:
    """When an open run is to be tried again, by the wall clock; None if it does not wait for it."""
    retry_us = state.runs[run_id].retry_us
    return None if retry_us is None else retry_us + state.shift_us


def no_run(reason: str) -> NextRun:
    """There is none, and why."""
    return {"at": None, "reason": reason}


def _has_come(state: State, timer: Timer, pending_us: int | None, after_us: int) -> bool:
    """Whether what follows depends on a run: one that is open, or that of the pending moment."""
    if pending_us is None:
        return True
    course = course_of(timer, state.shift_us)
    return course.left_out(pending_us) is None and course.due_us(pending_us) <= after_us


def _one_shot_us(state: State, timer: Timer, after_us: int) -> int | None:
    """Its moment, also one in the past; in a pause that ends by itself no sooner than that."""
    assert timer.next_us is not None
    course = course_of(timer, state.shift_us)
    if course.left_out(timer.next_us) is not None:
        return None
    due_us = course.due_us(timer.next_us)
    return due_us if timer.paused is None else max(due_us, after_us)


def _moment_after(state: State, timer: Timer, pending_us: int | None, after_us: int) -> int | None:
    """When the first moment is due that comes after that, and not before the pending one."""
    course = course_of(timer, state.shift_us)
    from_us = after_us - course.jitter_us
    if pending_us is not None:
        course = on_from(course, timer.definition, pending_us)
        from_us = max(from_us, pending_us - 1)
    moment_us = course.next_allowed(from_us)
    while moment_us is not None and course.due_us(moment_us) <= after_us:
        moment_us = course.next_allowed(moment_us)
    return None if moment_us is None else course.due_us(moment_us)
