"""History as the dicts that `history` and the CLI show, and the part of it that is in memory."""

from __future__ import annotations

from itertools import islice
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from .ids import run_id_text
from .instants import text
from .rows import ALL_ROWS, STATUS_OF, Row, Sieve, row_of
from .state import State


class HistoryRow(TypedDict):
    """One ended attempt, or one skipped or missed moment (`run_id` None), newest first.

    A MISSED row stands for `count` moments, from `scheduled_at` to `last_scheduled_at`. `cause` is
    schedule, manual or backfill; `exit_code` that of a command that failed.
    """

    timer: str
    status: str
    at: str | None
    scheduled_at: str | None
    last_scheduled_at: str | None
    count: int
    run_id: str | None
    attempt: int | None
    started_at: str | None
    duration_ms: float | None
    error: str | None
    reason: str | None
    cause: str
    exit_code: int | None


class Outcome(HistoryRow):
    """What a hook is told: the line of history, and the timer's `metadata`."""

    metadata: dict[str, Any]


def history_row(row: Row, log_id: str) -> HistoryRow:
    """One line of history as a dict."""
    is_missed = row.status == "MISSED"
    return {
        "timer": row.timer,
        "status": row.status,
        "at": text(row.at_us),
        "scheduled_at": text(row.scheduled_us),
        "last_scheduled_at": text(row.last_us) if is_missed else None,
        "count": row.moments,
        "run_id": None if row.run is None else run_id_text(row.run, row.scheduled_us, log_id),
        "attempt": row.attempt,
        "started_at": text(row.started_us),
        "duration_ms": None if row.took_us is None else row.took_us / 1000,
        "error": row.error or None,
        "reason": row.reason or None,
        "cause": str(row.cause or "schedule"),
        "exit_code": row.exit_code,
    }


class Recent(NamedTuple):
    """What the state knows of history: rows, newest first, and all of them over `floor`; whether
    the timer, or a row of it, is known (or none was asked for)."""

    rows: list[Row]
    floor: int
    is_known: bool


def recent(state: State, name: str | None, limit: int, sieve: Sieve = ALL_ROWS) -> Recent:
    """The latest rows, at most `limit`, of one timer or of all, of those that are let through."""
    of_timer = (each for each in state.confirmed_rows() if name in (None, each[1].timer))
    wanted = (
        (id_, event)
        for id_, event in of_timer
        if sieve.lets_through(STATUS_OF[type(event)], event.timer, event.at_us)
    )
    found = [row for each in islice(wanted, limit) if (row := row_of(*each)) is not None]
    is_known = name is None or bool(found) or state.confirmed_timer(name) is not None
    is_known = is_known or any(event.timer == name for _, event in state.confirmed_rows())
    return Recent(found, state.ring_floor, is_known)
