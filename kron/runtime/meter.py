"""The meter: counts what became of runs, once their events are durable, since the start.

It stands in the way of every run, and costs 0.4 microseconds of it: one call a step, integers in
lists, and a function of its own only for what is rare.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from kron.core import events as ev
from kron.core.histogram import Histogram
from kron.core.machine import Step
from kron.core.model import Cause, Reason, Stop

_MS, _S = 1_000, 1_000_000
LATENESS_US = (
    *(_MS, 2 * _MS, 5 * _MS, 10 * _MS, 25 * _MS, 50 * _MS, 100 * _MS, 250 * _MS, 500 * _MS),
    *(_S, 5 * _S, 10 * _S, 30 * _S, 60 * _S, 300 * _S, 3_600 * _S),
)
DURATION_US = (
    *(_MS, 5 * _MS, 10 * _MS, 50 * _MS, 100 * _MS, 500 * _MS),
    *(_S, 5 * _S, 10 * _S, 30 * _S, 60 * _S, 300 * _S, 900 * _S, 3_600 * _S, 14_400 * _S),
)
RAISED = "error"
"""The reason of an attempt that failed by its own doing."""
_SUCCEEDED, _BACKFILL = ev.RunSucceeded, Cause.BACKFILL.value


class Meter:
    """What has been counted; read it on the loop that it is fed on.

    `runs` are those that have ended, by outcome; `failed` the attempts that ended badly, `missed`
    and `skipped` the moments that had no run, by reason. `lateness` is from a run's moment to the
    start of its first attempt, jitter and all, observed when that attempt has ended (not of a
    backfill, whose moments are long past); `durations` are how long attempts took that succeeded
    or failed. (What a crash cut off has no duration that anybody knows.)
    """

    def __init__(self) -> None:
        self.runs = {"succeeded": 0, "dead": 0, "cancelled": 0}
        self.failed = dict.fromkeys((RAISED, Stop.TIMEOUT, Stop.CRASHED, Stop.SHUTDOWN), 0)
        self.missed = {reason.value: 0 for reason in Reason}
        self.skipped = 0
        self.lateness = Histogram(LATENESS_US)
        self.durations = Histogram(DURATION_US)

    def see(self, step: Step) -> None:
        """Take note of the events of a durable step."""
        succeeded, note_of = 0, NOTES.get
        late_counts, took_counts = self.lateness.counts, self.durations.counts
        late_sum_us = took_sum_us = 0
        event: Any
        for event in step.events:
            kind = type(event)
            if kind is _SUCCEEDED:  # the usual end, without a call
                succeeded += 1
                took_us = event.took_us
                took_counts[bisect_left(DURATION_US, took_us)] += 1
                took_sum_us += took_us
                if event.attempt == 1 and event.cause != _BACKFILL:
                    late_us = event.started_us - event.scheduled_us
                    late_counts[bisect_left(LATENESS_US, late_us)] += 1
                    late_sum_us += late_us if late_us > 0 else 0
            elif (note := note_of(kind)) is not None:
                note(self, event)
        if succeeded:
            self.runs["succeeded"] += succeeded
            self.lateness.sum_us += late_sum_us
            self.durations.sum_us += took_sum_us

    def _failed(self, event: ev.RunFailed) -> None:
        reason = event.reason or RAISED
        self.failed[reason] = self.failed.get(reason, 0) + 1
        if event.reason != Stop.CRASHED:
            self.durations.observe(event.took_us)
        if event.attempt == 1 and event.cause != _BACKFILL:
            self.lateness.observe(event.started_us - event.scheduled_us)

    def _dead(self, event: ev.RunDead) -> None:
        self.runs["dead"] += 1

    def _cancelled(self, event: ev.RunCancelled) -> None:
        self.runs["cancelled"] += 1
        is_first = event.attempt == 1 and event.cause != _BACKFILL
        if is_first and event.started_us is not None:
            self.lateness.observe(event.started_us - event.scheduled_us)

    def _missed(self, event: ev.RunMissed) -> None:
        self.missed[event.reason] = self.missed.get(event.reason, 0) + event.moments

    def _skipped(self, event: ev.RunSkippedOverlap) -> None:
        self.skipped += 1


NOTES: dict[type[ev.Event], Callable[[Meter, Any], None]] = {
    ev.RunFailed: Meter._failed,
    ev.RunDead: Meter._dead,
    ev.RunCancelled: Meter._cancelled,
    ev.RunMissed: Meter._missed,
    ev.RunSkippedOverlap: Meter._skipped,
}
