"""What becomes of a timer's runs and of the moments that have come, told from events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict

from kron.core import events as ev
from kron.core.instants import text
from kron.core.model import Cause, Reason, RunState
from kron.core.state import State
from kron.core.things import Run, Timer

from .next_run import retry_wall_us

Fate: TypeAlias = Literal[
    "kept",
    "given_up",
    "skipped",
    "cancelled",
    "dead",
    "again",
    "waits",
    "under_way",
    "backfill_over",
]
TOLD = frozenset(
    {ev.RunDue, ev.RunMissed, ev.RunSkippedOverlap, ev.RunCancelled, ev.RunDead}
    | {ev.BackfillEnded, ev.TimerRemoved}
)
"""The events that it is told from."""


class Effect(TypedDict):
    """What becomes of `runs` moments, or of a run that is open, from `scheduled_at` to
    `last_scheduled_at`.

    kept: it is overdue, and runs at once (for `stands_for` earlier ones, too); given_up: it never
    runs, for the `reason` of RUN_MISSED; skipped: another run is open; cancelled: it waited, and
    its timer is removed, or it makes room for the next one; dead: it was
    interrupted, and has had all its attempts; again: it was interrupted or waited for its retry,
    and runs at once; waits: it goes on waiting, for a retry until `retry_at`; under_way: it ends by
    itself; backfill_over: a backfill goes no further.
    """

    fate: Fate
    runs: int
    scheduled_at: str | None
    last_scheduled_at: str | None
    stands_for: int
    reason: str | None
    retry_at: str | None


class Open(NamedTuple):
    """What a timer had to do before the events: runs by id, and its backfills, each as the first
    and last instant of what is left of it (wall time), and how many moments that are."""

    runs: tuple[int, ...] = ()
    backfills: tuple[tuple[int, int, int], ...] = ()


NOTHING = Open()


def open_of(state: State, timer: Timer) -> Open:
    """As it is now."""
    backfills = [
        (
            state.to_wall(timer, each.since_us if each.next_us is None else each.next_us),
            state.to_wall(timer, each.until_us),
            each.moments - each.started,
        )
        for each in timer.past.backfills
    ]
    return Open(timer.open, tuple(backfills))


def effects_of(state: State, events: Iterable[Any], was: Open, *, is_live: bool) -> list[Effect]:
    """First of what was open, then of the moments that have come. `events` are those of one timer,
    in order, and `state` is the one behind them; `is_live` says that a process is at work on the
    runs that are under way, and has been before."""
    effects: list[Effect] = []
    was_open, backfills = was
    for event in events:
        if isinstance(event, ev.BackfillEnded):
            ended, backfills = backfills[:1], backfills[1:]
            effects += [_effect("backfill_over", *each) for each in ended]
        if isinstance(event, ev.TimerRemoved):
            effects += [_effect("backfill_over", *each) for each in backfills]
        if isinstance(event, ev.RunCancelled | ev.RunDead) and event.run in was_open:
            fate: Fate = "cancelled" if isinstance(event, ev.RunCancelled) else "dead"
            effects.append(_effect(fate, event.scheduled_us))
    left = [state.runs[id_] for id_ in was_open if id_ in state.runs]
    for run in left:
        fate, retry_us = _fate(run, is_live=is_live), retry_wall_us(state, run.id)
        retry_us = retry_us if fate == "waits" else None
        effects.append(_effect(fate, run.scheduled_us, retry_us=retry_us))
    return _together([*effects, *_overdue(events)])


def _fate(run: Run, *, is_live: bool) -> Fate:
    if not run.is_under_way:
        return "waits"
    if is_live:
        return "under_way"
    return "cancelled" if run.state is RunState.STOPPING else "again"


def _overdue(events: Iterable[Any]) -> list[Effect]:
    """What becomes of the moments that have come. A run that is kept stands for those before it
    that are not; what was left out anyway is not told."""
    effects: list[Effect] = []
    for event in events:
        match event:
            case ev.RunDue(cause=Cause.SCHEDULE):
                if event.missed:
                    effects = [each for each in effects if each["fate"] != "given_up"]
                effects.append(_effect("kept", event.scheduled_us, stands_for=event.missed))
            case ev.RunMissed() if event.reason not in (Reason.EXCLUDED, Reason.BOUNDS):
                span = (event.first_us, event.last_us, event.moments)
                effects.append(_effect("given_up", *span, reason=event.reason))
            case ev.RunSkippedOverlap():
                effects.append(_effect("skipped", event.scheduled_us))
    return effects


def _together(effects: list[Effect]) -> list[Effect]:
    """Those with one fate for one reason, one after the other, as one."""
    merged: list[Effect] = []
    for each in effects:
        last = merged[-1] if merged else None
        if last is None or (last["fate"], last["reason"]) != (each["fate"], each["reason"]):
            merged.append(each)
            continue
        last["runs"] += each["runs"]
        last["stands_for"] += each["stands_for"]
        last["last_scheduled_at"] = each["last_scheduled_at"]
    return merged


def _effect(
    fate: Fate,
    first_us: int,
    last_us: int | None = None,
    runs: int = 1,
    *,
    stands_for: int = 0,
    reason: str | None = None,
    retry_us: int | None = None,
) -> Effect:
    return {
        "fate": fate,
        "runs": runs,
        "scheduled_at": text(first_us),
        "last_scheduled_at": text(first_us if last_us is None else last_us),
        "stands_for": stands_for,
        "reason": reason,
        "retry_at": text(retry_us),
    }
