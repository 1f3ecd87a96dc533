"""Open runs, pauses and backfills as the dicts that `status` shows."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from .capacity import CAPACITY, KEY, THREADS, Capacity
from .ids import run_id_text
from .instants import text
from .model import Overlap, RunState
from .state import State
from .things import Timer

_WAITING = (RunState.DUE, RunState.RETRYING)


class RunStatus(TypedDict):
    """One open run. `state` is due, running, stopping or retrying; `cause` schedule, manual or
    backfill. `waiting_for` says why it does not run yet: its turn, retry, callable, capacity, key,
    threads, thread (an attempt that timed out goes on in one) or start, and what that means."""

    run_id: str
    state: str
    cause: str
    attempt: int
    scheduled_at: str | None
    started_at: str | None
    retry_at: str | None
    waiting_for: str | None


class PauseStatus(TypedDict):
    """A pause: `until` None, until somebody resumes the timer."""

    since: str | None
    until: str | None
    reason: str
    who: str


class BackfillStatus(TypedDict):
    """The backfill that goes on: so many of its `moments` have `started`; `queued` more follow."""

    since: str | None
    until: str | None
    moments: int
    started: int
    concurrency: int
    force: bool
    queued: int


def run_statuses(
    state: State, timer: Timer, runs: list[dict[str, Any]], log_id: str, capacity: Capacity | None
) -> list[RunStatus]:
    """The open runs of a timer, the oldest first; `capacity` None: no process carries them out."""
    return [
        {
            "run_id": run_id_text(run["id"], run["scheduled_us"], log_id),
            "state": run["state"].value,
            "cause": str(run["cause"]),
            "attempt": run["attempt"],
            "scheduled_at": text(run["scheduled_us"]),
            "started_at": text(run["started_us"]) if run["state"] not in _WAITING else None,
            "retry_at": _retry_at(state, run),
            "waiting_for": _waiting_for(timer, run, runs[0]["id"], capacity),
        }
        for run in runs
    ]


def _retry_at(state: State, run: dict[str, Any]) -> str | None:
    return None if run["retry_us"] is None else text(run["retry_us"] + state.shift_us)


def _waiting_for(
    timer: Timer, run: dict[str, Any], first: int, capacity: Capacity | None
) -> str | None:
    if run["state"] not in _WAITING:
        return None
    if capacity is None:
        return "start: no scheduler is running"
    if timer.bound_us is None:
        return "callable: it has not been registered since the start"
    if timer.lingers:
        return "thread: an attempt that timed out goes on in its thread"
    if first != run["id"] and timer.definition.terms.overlap is not Overlap.ALLOW:
        return "turn: an earlier run is open"
    if (obstacle := capacity.obstacle(run["id"])) is not None:
        return _obstacle_text(obstacle, timer, capacity)
    return "retry: its time has not come" if run["state"] is RunState.RETRYING else None


def _obstacle_text(obstacle: str, timer: Timer, capacity: Capacity) -> str:
    terms = timer.definition.terms
    needs = f"{capacity.used} of {capacity.max_concurrency} in use, it needs {terms.weight}"
    is_behind = capacity.would_fit(terms.weight)
    words = {
        CAPACITY: "behind a run that needs more than there is" if is_behind else needs,
        KEY: f"{terms.lock_key} is taken",
        THREADS: "every worker thread is busy",
    }
    return f"{obstacle}: {words[obstacle]}"


def pause_status(state: State, values: dict[str, Any]) -> PauseStatus | None:
    """The timer's pause, if it is paused."""
    pause = values["paused"]
    if pause is None:
        return None
    until_us = pause.until_us
    if until_us is not None and pause.is_elapsed:
        until_us += state.shift_us
    return {
        "since": text(pause.since_us),
        "until": text(until_us),
        "reason": pause.reason,
        "who": pause.who,
    }


def backfill_status(state: State, timer: Timer, values: dict[str, Any]) -> BackfillStatus | None:
    """The timer's backfill, if one goes on."""
    backfills = values["past"].backfills
    if not backfills:
        return None
    first = backfills[0]
    return {
        "since": text(state.to_wall(timer, first.since_us)),
        "until": text(state.to_wall(timer, first.until_us)),
        "moments": first.moments,
        "started": first.started,
        "concurrency": first.concurrency,
        "force": first.is_forced,
        "queued": len(backfills) - 1,
    }
