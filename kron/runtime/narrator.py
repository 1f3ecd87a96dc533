"""The narrator: a log line on `kron.runs` for each thing that happens to a run, once it is durable.

Failures are told where they arise, with their tracebacks; this is the rest. It stands in the way of
every run, and asks once a step whether anybody listens.
"""

from __future__ import annotations

from collections.abc import Callable
from logging import DEBUG, INFO, WARNING
from typing import Any

from kron.core import events as ev
from kron.core.duration import format_duration
from kron.core.ids import run_id_text
from kron.core.instants import from_us
from kron.core.machine import Step
from kron.core.model import Cause, Reason, Stop
from kron.core.state import State

from .logger import is_heard, tell

_MS = 1_000
_S = 1_000_000


class Narrator:
    """`see` is told of each durable step, on the loop, before it is confirmed.

    In the foreground a moment that does not run as it should is a warning: somebody looks on. A
    program that has not asked for them gets no new lines on its stderr.
    """

    def __init__(self, state: State, log_id: str, *, is_foreground: bool = False) -> None:
        self._state = state
        self._log_id = log_id
        self._most = WARNING if is_foreground else INFO

    def see(self, step: Step) -> None:
        """Say what its events mean."""
        if is_heard(self._most):
            cut_short: set[int] = set()  # the word that these are tried again is in the same step
            for position, event in enumerate(step.events):
                self._say(step, position, event, cut_short)

    def _say(self, step: Step, position: int, event: Any, cut_short: set[int]) -> None:
        kind = type(event)
        say = SENTENCES.get(kind)
        if say is None or (kind is ev.RunRetrying and event.run in cut_short):
            return
        if kind is ev.RunFailed and event.reason == Stop.SHUTDOWN:
            cut_short.add(event.run)
        level, sentence = say(event)
        level = min(level, self._most)
        if sentence and is_heard(level):
            run = self._run_of(step, position, event)
            attempt = None if run is None else getattr(event, "attempt", 1)
            text, about = "%s: %s", (event.timer, sentence)
            tell(level, text, *about, timer=event.timer, run=run, attempt=attempt)

    def _run_of(self, step: Step, position: int, event: Any) -> str | None:
        """The run that an event is about, as people see it."""
        if isinstance(event, ev.RunDue):
            id_ = step.record * ev.POSITIONS + position
            return run_id_text(id_, event.scheduled_us, self._log_id)
        id_ = getattr(event, "run", 0)
        run = self._state.run_of_step(id_) if id_ else None
        return None if run is None else run_id_text(id_, run.scheduled_us, self._log_id)


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
    return INFO if said else DEBUG, f"due: {_at(event.scheduled_us)}{besides}"


def _started(event: ev.RunStarted) -> tuple[int, str]:
    which = "" if event.attempt == 1 else f" (attempt {event.attempt})"
    return INFO, f"started{which}"


def _succeeded(event: ev.RunSucceeded) -> tuple[int, str]:
    return INFO, f"done in {took(event.took_us)}"


def _failed(event: ev.RunFailed) -> tuple[int, str]:
    is_cut = event.reason == Stop.SHUTDOWN
    return WARNING, "cut short, and due again at the next start" if is_cut else ""


def _updated(event: ev.TimerUpdated) -> tuple[int, str]:
    return INFO, "changed"


def _removed(event: ev.TimerRemoved) -> tuple[int, str]:
    return INFO, "" if event.reason else "removed; its history stays"


def _retrying(event: ev.RunRetrying) -> tuple[int, str]:
    return INFO, f"attempt {event.attempt} follows at {_at(event.retry_us)}"


def _skipped(event: ev.RunSkippedOverlap) -> tuple[int, str]:
    return WARNING, f"skipped: {_at(event.scheduled_us)}, the run before it goes on"


def _missed(event: ev.RunMissed) -> tuple[int, str]:
    if event.reason == Reason.PAST:  # there is a warning of it
        return WARNING, ""
    first, last = _at(event.first_us), _at(event.last_us)
    when = first if event.moments == 1 else f"{first} to {last}, {event.moments} moments"
    return WARNING, f"missed ({event.reason}): {when}"


def _cancelled(event: ev.RunCancelled) -> tuple[int, str]:
    return WARNING, f"cancelled ({event.reason})"


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
