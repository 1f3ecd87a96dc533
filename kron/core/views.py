"""Timers and history as the dicts that `status`, `list`, `history` and the CLI show."""

from __future__ import annotations

from typing import Any, cast

from typing_extensions import TypedDict

from .apply import DAY_US
from .capacity import Capacity
from .duration import format_duration
from .durations import percentiles_ms
from .ids import run_id_text
from .instants import text
from .json_values import copied
from .model import Definition, Kind, Now, RunState
from .run_views import (
    BackfillStatus,
    PauseStatus,
    RunStatus,
    backfill_status,
    pause_status,
    run_statuses,
)
from .state import State
from .things import OUTCOME_WORDS, Tally, Timer
from .timing import is_invalid, known_course, on_from


class TimerDescription(TypedDict):
    """What was asked for, as people write it. `command` is what a command timer starts, and
    `command_hash` the same for the same command; `key` is that hash where nobody gave one.
    `source` is the kind of file that declares it: scheduled, kron or crontab; None: a program does.
    With `retry_until` "window" its runs are tried again, beyond `max_attempts`, until the window of
    the cadence ends."""

    schedule: str
    timezone: str
    dst: str
    jitter: str | None
    not_before: str | None
    not_after: str | None
    exclude: list[str]
    missed_policy: str
    grace: str | None
    overlap: str
    max_attempts: int
    retry_delay: str
    retry_until: str | None
    timeout: str | None
    weight: int
    priority: int
    key: str | None
    key_limit: int
    executor: str | None
    command: str | None
    command_hash: str | None
    args: list[Any]
    kwargs: dict[str, Any]
    metadata: dict[str, Any]
    description: str
    source: str | None


class TimerStatus(TimerDescription):
    """One timer. Times are RFC 3339 in UTC (`+00:00`) or None; durations are milliseconds.

    `state` is one of scheduled, running, retrying, dead, orphaned, paused, cancelled, invalid;
    `invalid` then says why. `next_run_at` is when it really starts, jitter and all.
    `last_run_at` is when the last attempt ended. `open_runs` lists the run ids not yet ended, and
    `runs` tells of each; `paused` and `backfill` of what is going on.
    `outcomes` has the latest 30, the newest last: OK, DEAD, CANCELLED, MISSED, SKIPPED_OVERLAP.
    `duration_p50_ms` and `duration_p95_ms` are of the latest 30 attempts that came to an end of
    their own or a timeout, to three digits. `ok_streak` is how many runs in a row have succeeded
    until now, `dead_streak` how many were given up (one of them is 0; moments without a run end
    neither), and the longest of each kind.
    """

    id: str
    state: str
    invalid: str | None
    fn_name: str | None
    last_run_at: str | None
    last_duration_ms: float | None
    last_status: str | None
    next_run_at: str | None
    retries_last_7d: int
    finished: bool
    created_at: str | None
    open_runs: list[str]
    runs: list[RunStatus]
    paused: PauseStatus | None
    backfill: BackfillStatus | None
    succeeded: int
    failed: int
    missed: int
    skipped: int
    outcomes: list[str]
    duration_p50_ms: float | None
    duration_p95_ms: float | None
    ok_streak: int
    dead_streak: int
    longest_ok_streak: int
    longest_dead_streak: int


def timer_status(
    state: State,
    timer: Timer,
    now: Now,
    log_id: str,
    *,
    capacity: Capacity | None,
    fn_name: str | None,
) -> TimerStatus:
    """The timer as of the last confirmed record; `capacity` None: nobody carries it out."""
    values = state.confirmed(timer)
    definition: Definition = values["definition"]
    runs = _open_runs(state, values)
    invalid = _invalid(state, definition)
    word, next_us = _standing(state, timer, values, runs, is_carried=capacity is not None)
    is_held = values["paused"] is not None and values["next_us"] is not None
    tally: Tally = values["tally"]
    took_us = tally.last_took_us
    p50_ms, p95_ms = percentiles_ms(tally.took, (0.5, 0.95))
    recent = now.wall_us // DAY_US - 7
    return {
        **describe(definition),
        "id": timer.name,
        "state": word,
        "invalid": invalid,
        "fn_name": fn_name,
        "last_run_at": text(tally.last_run_us),
        "last_duration_ms": None if took_us is None else took_us / 1000,
        "last_status": tally.last_status,
        "next_run_at": text(next_us),
        "retries_last_7d": sum(n for day, n in tally.retry_days if day > recent),
        "finished": next_us is None and not (is_held or runs or invalid),
        "created_at": text(values["created_us"]),
        "open_runs": [run_id_text(run["id"], run["scheduled_us"], log_id) for run in runs],
        "runs": run_statuses(state, timer, runs, log_id, capacity) if runs else [],
        "paused": pause_status(state, values),
        "backfill": backfill_status(state, timer, values),
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "missed": tally.missed,
        "skipped": tally.skipped,
        "outcomes": [OUTCOME_WORDS[letter] for letter in tally.outcomes],
        "duration_p50_ms": p50_ms,
        "duration_p95_ms": p95_ms,
        "ok_streak": max(tally.streak, 0),
        "dead_streak": max(-tally.streak, 0),
        "longest_ok_streak": tally.longest[0],
        "longest_dead_streak": tally.longest[1],
    }


def standing_of(state: State, timer: Timer, *, is_carried: bool) -> tuple[str, int | None]:
    """The timer's `state`, and when it is to start something next (wall time), as `timer_status`
    has them; `is_carried`: a process carries it out."""
    values = state.confirmed(timer)
    return _standing(state, timer, values, _open_runs(state, values), is_carried=is_carried)


def _open_runs(state: State, values: dict[str, Any]) -> list[dict[str, Any]]:
    return [run for id_ in values["open"] if (run := state.confirmed_run(id_))]


def _standing(
    state: State,
    timer: Timer,
    values: dict[str, Any],
    runs: list[dict[str, Any]],
    *,
    is_carried: bool,
) -> tuple[str, int | None]:
    is_over = values["next_us"] is None and values["definition"].is_one_shot and not runs
    is_orphan = is_carried and timer.bound_us is None and not is_over  # which needs no callable
    word = _state_word(values, runs, is_orphan=is_orphan)
    if is_invalid(state, values["definition"]):
        word = "invalid"
    return word, _next_us(state, timer, values, runs, word)


WAITING = "scheduled"
"""The `state` of a registration that waits for a start."""


def waiting_status(name: str, definition: Definition, fn_name: str | None) -> TimerStatus:
    """A registration that waits in memory for `start()`."""
    return {
        **describe(definition),
        "id": name,
        "state": WAITING,
        "invalid": None,
        "fn_name": fn_name,
        "last_run_at": None,
        "last_duration_ms": None,
        "last_status": None,
        "next_run_at": None,
        "retries_last_7d": 0,
        "finished": False,
        "created_at": None,
        "open_runs": [],
        "runs": [],
        "paused": None,
        "backfill": None,
        "succeeded": 0,
        "failed": 0,
        "missed": 0,
        "skipped": 0,
        "outcomes": [],
        "duration_p50_ms": None,
        "duration_p95_ms": None,
        "ok_streak": 0,
        "dead_streak": 0,
        "longest_ok_streak": 0,
        "longest_dead_streak": 0,
    }


def describe(definition: Definition) -> TimerDescription:
    """The part of a status that says what was asked for; a copy, the caller's own."""
    terms = definition.terms
    return {
        "schedule": schedule_text(definition),
        "timezone": terms.timezone,
        "dst": terms.dst,
        "jitter": format_duration(terms.jitter_us) if terms.jitter_us else None,
        "not_before": text(terms.not_before_us),
        "not_after": text(terms.not_after_us),
        "exclude": list(terms.exclude),
        "missed_policy": terms.missed.value,
        "grace": None if terms.grace_us is None else format_duration(terms.grace_us),
        "overlap": terms.overlap.value,
        "max_attempts": terms.max_attempts,
        "retry_delay": format_duration(terms.retry_delay_us),
        "retry_until": terms.retry_until or None,
        "timeout": None if terms.timeout_us is None else format_duration(terms.timeout_us),
        "weight": terms.weight,
        "priority": terms.priority,
        "key": terms.lock_key or None,
        "key_limit": terms.key_limit,
        "executor": terms.executor or None,
        "command": None if terms.command is None else terms.command.line,
        "command_hash": None if terms.command is None else terms.command.hash,
        "args": copied(list(terms.args)),
        "kwargs": copied(terms.kwargs or {}),
        "metadata": copied(terms.metadata or {}),
        "description": terms.description,
        "source": terms.source or None,
    }


def schedule_text(definition: Definition) -> str:
    """The selector as it would be written: `cron 0 8 * * *`, `every 30m`, `at 2027-...`."""
    kind, value = definition.kind, definition.value
    if kind in (Kind.CRON, Kind.FIELDS):
        return f"cron {value}"
    if kind is Kind.CADENCE:
        return f"every {value}"
    if kind is Kind.AT:
        return f"at {text(int(value))}"
    return f"{kind} {format_duration(int(value))}"


def _state_word(values: dict[str, Any], runs: list[dict[str, Any]], *, is_orphan: bool) -> str:
    states = {run["state"] for run in runs}
    if values["paused"] is not None:
        return "paused"
    if is_orphan:
        return "orphaned"
    if states & {RunState.RUNNING, RunState.STOPPING}:
        return "running"
    if RunState.RETRYING in states:
        return "retrying"
    return values["mark"].value or "scheduled"


def _next_us(
    state: State, timer: Timer, values: dict[str, Any], runs: list[dict[str, Any]], word: str
) -> int | None:
    """The wall instant at which the timer is to start something; a retry counts, moments that are
    left out do not."""
    if word == "retrying":
        waits: list[int] = [run["retry_us"] for run in runs if run["retry_us"] is not None]
        return min(waits) + state.shift_us
    next_us: int | None = _behind_pause(state, timer, values)
    definition = values["definition"]
    if next_us is not None and definition.terms.is_particular:
        course = known_course(definition, values["anchor_us"], timer.name, state.shift_us)
        if word != "invalid" and course.left_out(next_us) is not None:
            next_us = on_from(course, definition, next_us).next_allowed(next_us)
        next_us = None if next_us is None else course.due_us(next_us)
    return None if next_us is None else state.to_wall(timer, next_us)


def _behind_pause(state: State, timer: Timer, values: dict[str, Any]) -> int | None:
    """The next moment; of a pause that ends by itself the first that it lets run, else None."""
    next_us, pause = values["next_us"], values["paused"]
    if next_us is None or pause is None:
        return cast(int | None, next_us)
    if pause.until_us is None:
        return None
    definition: Definition = values["definition"]
    shift_us = state.shift_us * (definition.is_elapsed - pause.is_elapsed)
    end_us = pause.until_us - shift_us
    course = known_course(definition, values["anchor_us"], timer.name, state.shift_us)
    if course.due_us(next_us) > end_us:
        return cast(int, next_us)
    if definition.is_one_shot:
        return int(end_us)
    if definition.is_single:
        return int(end_us) + int(definition.value)
    return course.moments.next_after(course.latest_come(next_us, end_us))


def _invalid(state: State, definition: Definition) -> str | None:
    """Why a timer cannot be carried out on this machine."""
    if not is_invalid(state, definition):
        return None
    return f"the time zone {definition.terms.timezone} is not known on this machine"
