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


class Sieve(NamedTuple):
    """Which lines of history are wanted: of these statuses and timers, that became so at
    `since_us <= at < until_us`; None: any."""

    statuses: frozenset[str] | None = None
    timers: frozenset[str] | None = None
    since_us: int | None = None
    until_us: int | None = None

    def lets_through(self, status: str, timer: str, at_us: int) -> bool:
        """Whether a line that says this is one of them."""
        statuses, timers, since_us, until_us = self
        return (
            (statuses is None or status in statuses)
            and (timers is None or timer in timers)
            and (since_us is None or at_us >= since_us)
            and (until_us is None or at_us < until_us)
        )

    def is_before(self, log_time_us: int) -> bool:
        """Whether a record of this log time, and with it every older one, is too old."""
        return self.since_us is not None and log_time_us < self.since_us

    @property
    def event(self) -> type[ev.Event] | None:
        """The only kind of event that is let through, if it is one kind."""
        if self.statuses is None or len(self.statuses) != 1:
            return None
        return next(kind for kind, status in STATUS_OF.items() if status in self.statuses)


ALL_ROWS = Sieve()


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
    run = (e.run, e.attempt, e.started_us, max(0, e.at_us - e.started_us))
    row = Row(id_, e.timer, "DEAD", e.at_us, e.scheduled_us, *run, e.error, e.reason)
    return row._replace(cause=e.cause, exit_code=e.exit_code)


def _cancelled(id_: int, e: ev.RunCancelled) -> Row:
    took_us = None if e.started_us is None else max(0, e.at_us - e.started_us)
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
STATUS_OF: dict[type[ev.Event], str] = {
    ev.RunSucceeded: "OK",
    ev.RunFailed: "FAILED",
    ev.RunDead: "DEAD",
    ev.RunCancelled: "CANCELLED",
    ev.RunSkippedOverlap: "SKIPPED_OVERLAP",
    ev.RunMissed: "MISSED",
}
STATUSES = tuple(STATUS_OF.values())
"""What `status` can be in a line of history."""
