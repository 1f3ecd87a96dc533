"""History: one line for each end of an attempt and each moment that did not run.

A line is a pure function of one event, so it can be read from a log of any age without a state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from . import events as ev

RowEvent: TypeAlias = (
    ev.RunSucceeded
    | ev.RunFailed
    | ev.RunDead
    | ev.RunCancelled
    | ev.RunSkippedOverlap
    | ev.RunMissed
)
"""The events that are lines of history."""


class Row(NamedTuple):
    """One line of history; `id` is the id of the event it was read from."""

    id: int
    timer: str
    status: str
    at_us: int
    scheduled_us: int
    run: int | None = None
    attempt: int | None = None
    started_us: int | None = None
    took_us: int | None = None
    error: str = ""
    reason: str = ""
    last_us: int | None = None
    moments: int = 1
    cause: str = ""
    exit_code: int | None = None


def row_of(id_: int, event: ev.Event) -> Row | None:
    """The line of history that an event is, or None if it is none."""
    make = _ROWS.get(type(event))
    return None if make is None else make(id_, event)


def _succeeded(id_: int, e: ev.RunSucceeded) -> Row:
    run = (e.run, e.attempt, e.started_us, e.took_us)
    return Row(id_, e.timer, "OK", e.at_us, e.scheduled_us, *run, cause=e.cause)


def _failed(id_: int, e: ev.RunFailed) -> Row:
    run = (e.run, e.attempt, e.started_us, e.took_us)
    row = Row(id_, e.timer, "FAILED", e.at_us, e.scheduled_us, *run, e.error, e.reason)
    return row._replace(cause=e.cause, exit_code=e.exit_code)


def _dead(id_: int, e: ev.RunDead) -> Row:
    run = (e.run, e.attempt, e.started_us, e.at_us - e.started_us)
    row = Row(id_, e.timer, "DEAD", e.at_us, e.scheduled_us, *run, e.error)
    return row._replace(cause=e.cause, exit_code=e.exit_code)


def _cancelled(id_: int, e: ev.RunCancelled) -> Row:
    took_us = None if e.started_us is None else e.at_us - e.started_us
    run = (e.run, e.attempt, e.started_us, took_us)
    row = Row(id_, e.timer, "CANCELLED", e.at_us, e.scheduled_us, *run, "", e.reason)
    return row._replace(cause=e.cause)


def _skipped(id_: int, e: ev.RunSkippedOverlap) -> Row:
    return Row(id_, e.timer, "SKIPPED_OVERLAP", e.at_us, e.scheduled_us, cause=e.cause)


def _missed(id_: int, e: ev.RunMissed) -> Row:
    row = Row(id_, e.timer, "MISSED", e.at_us, e.first_us, reason=e.reason)
    return row._replace(last_us=e.last_us, moments=e.moments, run=e.run or None)


_ROWS: dict[type[ev.Event], Callable[[int, Any], Row]] = {
    ev.RunSucceeded: _succeeded,
    ev.RunFailed: _failed,
    ev.RunDead: _dead,
    ev.RunCancelled: _cancelled,
    ev.RunSkippedOverlap: _skipped,
    ev.RunMissed: _missed,
}
