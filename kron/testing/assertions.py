"""Assertions about timers in words; one that fails tells what happened instead."""

from __future__ import annotations

import datetime as dt
from typing import NoReturn

from kron.core.errors import ScheduleError, UnknownTimer
from kron.core.instants import parse_instant, text
from kron.core.model import Reason
from kron.core.row_views import HistoryRow
from kron.scheduler import Scheduler

from .story import SHOWN, more, next_run, row_line, timer_line

Moment = dt.datetime | str

EVERYTHING = 10_000_000
"""Rows of history: all there are."""
ENDS = frozenset({"OK", "FAILED", "DEAD", "CANCELLED"})
"""The rows of what was carried out; DEAD stands beside the FAILED of its last attempt."""


def assert_ran(
    scheduler: Scheduler, name: str, *, times: int | None = None, at: Moment | None = None
) -> None:
    """The timer has run and succeeded: at least once, or exactly `times`.

    With `at` only the runs of that nominal moment (`scheduled_at`) count, an aware datetime or ISO
    8601 text. A run that failed and then succeeded counts once; one that has not ended does not.
    """
    __tracebackhide__ = True
    rows, at_text = _history(scheduler, name), _instant(at)
    ran = [row for row in rows if row["status"] == "OK" and at_text in (None, row["scheduled_at"])]
    if len(ran) == times or (times is None and ran):
        return
    wanted = "" if times is None else f", not {_times(times)}"
    moment = "" if at_text is None else f" for {at_text}"
    did = _times(len(ran)) if ran else "never"
    _fail(scheduler, name, rows, f"{name!r} ran {did}{moment}{wanted}")


def assert_not_ran(scheduler: Scheduler, name: str) -> None:
    """No run of the timer has begun: none succeeded or failed, none is open."""
    __tracebackhide__ = True
    rows = _history(scheduler, name)
    status = scheduler.status(name)
    is_open = bool(status and status["open_runs"])
    if not is_open and not any(row["status"] in ENDS for row in rows):
        return
    _fail(scheduler, name, rows, f"{name!r} {'is running' if is_open else 'has run'}")


def assert_scheduled(scheduler: Scheduler, name: str, *, at: Moment | None = None) -> None:
    """The timer has a next run: whenever, or at that moment (a retry counts; a timer that is
    paused, or whose callable is not registered, has none)."""
    __tracebackhide__ = True
    status, at_text = scheduler.status(name), _instant(at)
    if status is None:
        _unknown(scheduler, name)
    next_at = next_run(status)
    if next_at is not None and at_text in (None, next_at):
        return
    wanted = "" if at_text is None else f", not at {at_text}"
    runs_next = "has no next run" if next_at is None else f"runs next at {next_at}"
    _fail(scheduler, name, _history(scheduler, name), f"{name!r} {runs_next}{wanted}")


def assert_missed(
    scheduler: Scheduler, name: str, *, reason: str | None = None, count: int | None = None
) -> None:
    """Moments of the timer were missed: at least one, or exactly `count` (0: none).

    With `reason` only those missed for it ("down", "blocked", "clock_step", ...) count.
    """
    __tracebackhide__ = True
    if reason is not None and reason not in list(Reason):
        words = ", ".join(Reason)
        raise ScheduleError(f"reason={reason!r} is no reason to miss a moment; there are: {words}.")
    rows = _history(scheduler, name)
    missed = sum(
        row["count"]
        for row in rows
        if row["status"] == "MISSED" and reason in (None, row["reason"])
    )
    if missed == count or (count is None and missed):
        return
    why = "" if reason is None else f" ({reason})"
    wanted = "" if count is None else f", not {count}"
    _fail(scheduler, name, rows, f"{name!r} missed {missed or 'no moment'}{why}{wanted}")


def _history(scheduler: Scheduler, name: str) -> list[HistoryRow]:
    __tracebackhide__ = True
    try:
        return scheduler.history(name, limit=EVERYTHING)
    except UnknownTimer:
        _unknown(scheduler, name)


def _unknown(scheduler: Scheduler, name: str) -> NoReturn:
    __tracebackhide__ = True
    names = [repr(timer["id"]) for timer in scheduler.list()]
    known = ", ".join(names[:SHOWN]) or "none"
    raise AssertionError(f"there is no timer {name!r}; there are: {known}")


def _fail(scheduler: Scheduler, name: str, rows: list[HistoryRow], claim: str) -> NoReturn:
    """The claim that is false, and its story."""
    __tracebackhide__ = True
    status = scheduler.status(name)
    lines = [
        f"{claim}.",
        f"  now {text(scheduler._clock.now().wall_us)}",
        f"  {timer_line(status) if status else f'{name}: removed'}",
    ]
    if status and status["open_runs"]:
        lines.append(f"  open runs: {', '.join(status['open_runs'])}")
    lines.append(f"  history, newest first:{'' if rows else ' nothing'}")
    lines += [f"    {row_line(row)}" for row in rows[:SHOWN]]
    lines += more(len(rows), "rows", "    ")
    raise AssertionError("\n".join(lines))


def _instant(moment: Moment | None) -> str | None:
    return None if moment is None else text(parse_instant(moment, dt.UTC, argument="at"))


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")
