"""What a failing test is told: what goes on, what each scheduler waits for, what did happen."""

from __future__ import annotations

from collections.abc import Container, Iterable

from kron.core.instants import text
from kron.core.row_views import HistoryRow
from kron.core.timer_query import EVERY_TIMER
from kron.core.views import TimerStatus
from kron.runtime.engine import Engine
from kron.runtime.listing import run_out

from .owed import Attempt

SHOWN = 12
"""So many rows are shown, and how many others there are."""


def clock_text(wall_us: int) -> str:
    """The instant as people read it."""
    return text(wall_us) or ""


def busy_lines(engine: Engine, resting: Container[Attempt]) -> list[str]:
    """A line for each attempt that is carried out and does not sleep on the clock."""
    runs = engine.machine.state.runs
    in_threads = engine.threads.running()
    return [
        f"  {run.timer.name}: attempt {run.attempt} goes on, in a"
        f" {'thread' if run.id in in_threads else 'task'}"
        for run in list(runs.values())
        if run.is_under_way and (engine.log.log_id, run.id, run.attempt) not in resting
    ] + [f"  {timer}: a hook goes on" for timer in engine.hooks.restless(resting)]


def waiting(engines: Iterable[Engine]) -> str:
    """What each scheduler waits for; of engines that are at rest."""
    lines: list[str] = []
    for number, engine in enumerate(engines, 1):
        timers = run_out(engine.reading.list(EVERY_TIMER))
        lines.append(f"  scheduler {number}: {'' if timers else 'no timers'}".rstrip())
        lines += [f"    {timer_line(timer)}" for timer in timers[:SHOWN]]
        lines += more(len(timers), "timers", "    ")
    return "\n".join(lines or ["  no scheduler goes by this clock (see VirtualScheduler)"])


def timer_line(timer: TimerStatus) -> str:
    """`backup: cron 0 3 * * *, scheduled, next run 2027-01-02T03:00:00+00:00`."""
    state = "finished" if timer["finished"] else timer["state"]
    return f"{timer['id']}: {timer['schedule']}, {state}, next run {next_run(timer) or 'never'}"


def next_run(timer: TimerStatus) -> str | None:
    """When the timer runs next; not while it is paused, or its callable is not registered."""
    return None if timer["state"] in ("paused", "orphaned") else timer["next_run_at"]


def row_line(row: HistoryRow) -> str:
    """One row of history in words."""
    status = row["status"]
    if status == "MISSED":
        last = row["last_scheduled_at"]
        until = f" to {last}" if row["count"] > 1 else ""
        return f"MISSED ({row['reason']}), {row['count']}: {row['scheduled_at']}{until}"
    attempt = f", attempt {row['attempt']}" if (row["attempt"] or 1) > 1 else ""
    cause = row["error"] or row["reason"]
    return f"{status} {row['scheduled_at']}{attempt}{f': {cause}' if cause else ''}"


def more(count: int, what: str, margin: str = "  ") -> list[str]:
    """A line for those that are not shown, if there are any."""
    return [f"{margin}... and {count - SHOWN} more {what}"] if count > SHOWN else []
