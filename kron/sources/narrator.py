"""What a foreground scheduler says while it works: a log line for each thing that happens to a run.

Failures are told by the runtime itself, with their tracebacks; this is the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kron.core import events as ev
from kron.core.duration import format_duration
from kron.core.instants import from_us
from kron.core.machine import Step
from kron.core.model import Cause, Stop

logger = logging.getLogger("kron")

_MS = 1_000
_S = 1_000_000


class Narrator:
    """`see` is told of each durable step, on the loop. `failures` counts attempts
    that ended badly here: not those that a killed process has left."""

    def __init__(self) -> None:
        self.failures = 0
        self._cut_short: set[int] = set()

    def see(self, step: Step) -> None:
        """Say what its events mean."""
        event: Any
        for event in step.events:
            kind = type(event)
            if kind is ev.RunFailed:
                self._count(event)
            say = SENTENCES.get(kind)
            if say is None or (kind is ev.RunRetrying and event.run in self._cut_short):
                continue
            level, sentence = say(event)
            if sentence:
                logger.log(level, "%s: %s", event.timer, sentence)

    def _count(self, event: ev.RunFailed) -> None:
        if event.reason != Stop.CRASHED:
            self.failures += 1
        if event.reason == Stop.SHUTDOWN:
            self._cut_short.add(event.run)


def _due(event: ev.RunDue) -> tuple[int, str]:
    said = []
    if event.cause != Cause.SCHEDULE:
        said.append(f"{event.cause} run")
    if event.late:
        late_us = event.at_us - event.scheduled_us
        said.append(f"{took(late_us)} late ({event.late})")
    if event.missed:
        said.append(f"it stands for {event.missed} more")
    besides = f", {', '.join(said)}" if said else ""
    return logging.INFO if said else logging.DEBUG, f"due: {_at(event.scheduled_us)}{besides}"


def _started(event: ev.RunStarted) -> tuple[int, str]:
    which = "" if event.attempt == 1 else f" (attempt {event.attempt})"
    return logging.INFO, f"started{which}"


def _succeeded(event: ev.RunSucceeded) -> tuple[int, str]:
    return logging.INFO, f"done in {took(event.took_us)}"


def _failed(event: ev.RunFailed) -> tuple[int, str]:
    is_cut = event.reason == Stop.SHUTDOWN
    return logging.WARNING, "cut short, and due again at the next start" if is_cut else ""


def _updated(event: ev.TimerUpdated) -> tuple[int, str]:
    return logging.INFO, "changed"


def _removed(event: ev.TimerRemoved) -> tuple[int, str]:
    return logging.INFO, "" if event.reason else "removed; its history stays"


def _retrying(event: ev.RunRetrying) -> tuple[int, str]:
    return logging.INFO, f"attempt {event.attempt} follows at {_at(event.retry_us)}"


def _skipped(event: ev.RunSkippedOverlap) -> tuple[int, str]:
    return logging.WARNING, f"skipped: {_at(event.scheduled_us)}, the run before it goes on"


def _missed(event: ev.RunMissed) -> tuple[int, str]:
    first, last = _at(event.first_us), _at(event.last_us)
    when = first if event.moments == 1 else f"{first} to {last}, {event.moments} moments"
    return logging.WARNING, f"missed ({event.reason}): {when}"


def _cancelled(event: ev.RunCancelled) -> tuple[int, str]:
    return logging.WARNING, f"cancelled ({event.reason})"


SENTENCES: dict[type[ev.Event], Callable[[Any], tuple[int, str]]] = {
    ev.RunDue: _due,
    ev.RunStarted: _started,
    ev.RunSucceeded: _succeeded,
    ev.RunFailed: _failed,
    ev.RunRetrying: _retrying,
    ev.RunSkippedOverlap: _skipped,
    ev.RunMissed: _missed,
    ev.RunCancelled: _cancelled,
    ev.TimerUpdated: _updated,
    ev.TimerRemoved: _removed,
}


def _at(us: int) -> str:
    return f"{from_us(us).astimezone():%Y-%m-%d %H:%M:%S%z}"


def took(us: int) -> str:
    """About: "1.2s", "35ms", "1h5m"."""
    if us < _S:
        return f"{us / _MS:.0f}ms" if us >= _MS else "<1ms"
    return format_duration(us // 100_000 * 100_000 if us < 60 * _S else us // _S * _S)
