"""When a run began, and what kept it until then: told into a story (`why.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .instants import text
from .model import Cause, Reason
from .standing import SECOND_US
from .telling import Down, because, down_after, span, stamp, was_down

if TYPE_CHECKING:
    from .why import Facts, Why

LATE_US = SECOND_US
_ABSENT = (Reason.DOWN, Reason.STOPPED, Reason.GRACE, Reason.CAP)


def begun(facts: Facts, story: Why, scheduled_us: int, latest_us: int | None) -> list[str]:
    """When the first attempt began, and why not before; `latest_us` is when the last one did."""
    first = facts.tries[-1] if facts.tries else None
    started_us = latest_us if first is None else first.started_us
    story["ran_at"] = text(started_us)
    if started_us is None:
        return []
    name, at, moment = facts.standing.name, stamp(started_us), stamp(scheduled_us)
    if first is not None and (first.attempt or 1) > 1:  # the first ones were let go
        return [f"Attempt {first.attempt} of {name} began at {at}."]
    late_us = max(started_us - scheduled_us, 0)
    story["late_ms"] = late_us / 1000
    due = facts.due
    if due is not None and due.cause == Cause.MANUAL:
        wait = _then(facts, started_us, "; ")
        return [f"{name} ran at {at}, triggered by hand at {moment}{wait}."]
    if due is not None and due.cause == Cause.BACKFILL:
        wait = _then(facts, started_us, "; ")
        return [f"A backfill ran {name} at {at} for {moment}{wait}."]
    asked_us = 0 if due is None else due.jitter_us
    if late_us - asked_us <= LATE_US:
        if asked_us < LATE_US:
            return [f"{name} ran at {at}, on time."]
        return [f"{name} ran at {at} for {moment}, {span(late_us)} later: that is its jitter."]
    why = what_kept(facts, story, scheduled_us)
    kept, wait = f": {why}" if why else "", _then(facts, started_us, "; then " if why else ": ")
    return [f"{name} ran at {at} for {moment}, {span(late_us)} late{kept}{wait}."]


def what_kept(facts: Facts, story: Why, scheduled_us: int) -> str:
    """What kept the run from being there in time, as its RUN_DUE says."""
    due = facts.due
    if due is None or not due.late:
        return ""
    story["because"] = due.late
    down = down_that_kept(facts, due.late, scheduled_us, due.at_us)
    put_window(story, due.late, down)
    return because(facts.standing, due.late, scheduled_us, due.at_us, down)


def _then(facts: Facts, started_us: int, lead: str) -> str:
    """That the run was there and had to wait."""
    due = facts.due
    if due is None or started_us - due.at_us <= LATE_US:
        return ""
    down = down_that_kept(facts, Reason.DOWN, due.at_us, started_us)
    if down is not None:
        return f"; due since {stamp(due.at_us)}, {was_down(down, due.at_us)}"
    return f"{lead}it waited {span(started_us - due.at_us)} for its turn"


def stands_for(facts: Facts) -> list[str]:
    """Earlier moments that the run was for as well."""
    missed = 0 if facts.due is None else facts.due.missed
    if not missed:
        return []
    moments = "one moment" if missed == 1 else f"{missed:,} moments"
    return [f"It stands for {moments} before it, too, which did not run."]


def down_that_kept(facts: Facts, reason: str, moment_us: int, at_us: int) -> Down | None:
    """The time without a process that kept a moment, if it is known and was over by `at_us`."""
    if reason not in _ABSENT or facts.is_past_era:
        return None
    down = down_after(facts.standing, moment_us)
    is_it = down is not None and down.to_us is not None and down.to_us <= at_us
    if reason in (Reason.GRACE, Reason.CAP) and down is not None:  # it need not be the cause
        is_it = is_it and down.from_us is not None and down.from_us <= moment_us
    return down if is_it else None


def put_window(story: Why, reason: str, down: Down | None) -> None:
    """The time without a process, as data."""
    if down is not None:
        from_us = down.stopping_us if reason == Reason.STOPPED else down.from_us
        story["window"] = {"from": text(from_us), "to": text(down.to_us)}
