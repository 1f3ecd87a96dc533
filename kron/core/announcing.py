"""From the events of a log, in order, to those that people get to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from . import announced as a
from . import events as ev
from .ids import run_id_text
from .instants import from_us
from .model import Cause
from .views import describe

RUNS_KNOWN = 50_000
"""Of how many open runs the id is kept; what is needed for that of others is asked for again."""


class Announcer:
    """Of one log. A run's id as people see it holds its moment, which some events do not repeat:
    the announcer keeps the id while the run is open, and says which moments it has to be told."""

    def __init__(self, log_id: str) -> None:
        self._log_id = log_id
        self._ids: dict[int, str | None] = {}
        self._ended: list[int] = []
        self._at_us = 0

    def unknown(self, record: int, events: list[ev.Event]) -> list[int]:
        """The runs that this record names, of which nothing before it has said the moment.

        Call it before each `announce`: between two records is the time to forget.
        """
        self._forget()
        known, found, named = self._ids, [], _NAMES_RUN.get
        for event in events:
            name_of = named(type(event))
            if name_of is not None:
                run = name_of(event)
                if run not in known and run // ev.POSITIONS != record:
                    found.append(run)
        return found

    def learn(self, run: int, scheduled_us: int | None) -> None:
        """The moment of a run; None if nobody can tell any more."""
        text = None if scheduled_us is None else run_id_text(run, scheduled_us, self._log_id)
        self._ids[run] = text

    def announce(
        self, record: int, events: list[ev.Event], at_us: int | None = None
    ) -> Iterator[a.Event]:
        """The record's events; `at_us` is its log time, if that is known. What has no time of its
        own has that of the event before it."""
        if at_us is not None:
            self._at_us = at_us
        for index, event in enumerate(events, record * ev.POSITIONS):
            self._at_us = getattr(event, "at_us", self._at_us)
            yield _ANNOUNCE[type(event)](self, index, from_us(self._at_us), event)

    def run_id(self, run: int, scheduled_us: int) -> str:
        """The id of a run whose moment is at hand."""
        return self._ids.get(run) or run_id_text(run, scheduled_us, self._log_id)

    def id_of(self, run: int) -> str | None:
        """The id of a run that was known, or learnt."""
        return self._ids.get(run)

    def ended(self, run: int, scheduled_us: int) -> str:
        """The id of a run of which this is the end. (Its record may still name it: a thread goes
        on after its timeout, and is in the way.)"""
        self._ended.append(run)
        return self.run_id(run, scheduled_us)

    def _forget(self) -> None:
        for run in self._ended:
            self._ids.pop(run, None)
        self._ended.clear()
        while len(self._ids) > RUNS_KNOWN:
            del self._ids[next(iter(self._ids))]


def _at(us: int | None) -> datetime | None:
    return None if us is None or us == ev.UNSAID else from_us(us)


def _cause(cause: str) -> str:
    return str(cause or Cause.SCHEDULE)


def _text(word: str) -> str | None:
    return str(word) if word else None


def _created(to: Announcer, index: int, at: datetime, e: ev.TimerCreated) -> a.Event:
    asked = describe(e.definition)
    return a.TimerCreated(index, at, e.timer, asked, from_us(e.anchor_us), _at(e.next_us))


def _updated(to: Announcer, index: int, at: datetime, e: ev.TimerUpdated) -> a.Event:
    asked = describe(e.definition)
    return a.TimerUpdated(index, at, e.timer, asked, from_us(e.anchor_us), _at(e.next_us))


def _removed(to: Announcer, index: int, at: datetime, e: ev.TimerRemoved) -> a.Event:
    return a.TimerRemoved(index, at, e.timer, _text(e.reason))


def _paused(to: Announcer, index: int, at: datetime, e: ev.TimerPaused) -> a.Event:
    until, reason, who = _at(e.until_us), _text(e.reason), _text(e.who)
    return a.TimerPaused(index, at, e.timer, until, e.is_elapsed, reason, who)


def _resumed(to: Announcer, index: int, at: datetime, e: ev.TimerResumed) -> a.Event:
    return a.TimerResumed(index, at, e.timer, _at(e.next_us), _text(e.reason), _text(e.who))


def _moved(to: Announcer, index: int, at: datetime, e: ev.TimerMoved) -> a.Event:
    return a.TimerMoved(index, at, e.timer, _at(e.next_us), str(e.reason))


def _due(to: Announcer, index: int, at: datetime, e: ev.RunDue) -> a.Event:
    to.learn(index, e.scheduled_us)
    return a.RunDue(
        *(index, at, e.timer, to.run_id(index, e.scheduled_us)),
        scheduled_at=from_us(e.scheduled_us),
        next_at=_at(e.next_us),
        cause=_cause(e.cause),
        missed=e.missed,
        late=_text(e.late),
        jitter_ms=e.jitter_us / 1000,
    )


def _started(to: Announcer, index: int, at: datetime, e: ev.RunStarted) -> a.Event:
    return a.RunStarted(index, at, e.timer, to.id_of(e.run), e.attempt)


def _succeeded(to: Announcer, index: int, at: datetime, e: ev.RunSucceeded) -> a.Event:
    return a.RunSucceeded(
        *(index, at, e.timer, to.ended(e.run, e.scheduled_us)),
        attempt=e.attempt,
        scheduled_at=from_us(e.scheduled_us),
        started_at=from_us(e.started_us),
        duration_ms=e.took_us / 1000,
        next_at=_at(e.next_us),
        cause=_cause(e.cause),
    )


def _failed(to: Announcer, index: int, at: datetime, e: ev.RunFailed) -> a.Event:
    return a.RunFailed(
        *(index, at, e.timer, to.run_id(e.run, e.scheduled_us)),
        attempt=e.attempt,
        scheduled_at=from_us(e.scheduled_us),
        started_at=from_us(e.started_us),
        duration_ms=e.took_us / 1000,
        error=_text(e.error),
        reason=_text(e.reason),
        exit_code=e.exit_code,
        cause=_cause(e.cause),
    )


def _retrying(to: Announcer, index: int, at: datetime, e: ev.RunRetrying) -> a.Event:
    return a.RunRetrying(index, at, e.timer, to.id_of(e.run), e.attempt, from_us(e.retry_us))


def _dead(to: Announcer, index: int, at: datetime, e: ev.RunDead) -> a.Event:
    return a.RunDead(
        *(index, at, e.timer, to.ended(e.run, e.scheduled_us)),
        attempt=e.attempt,
        scheduled_at=from_us(e.scheduled_us),
        started_at=from_us(e.started_us),
        error=_text(e.error),
        next_at=_at(e.next_us),
        cause=_cause(e.cause),
        exit_code=e.exit_code,
        reason=_text(e.reason),
    )


def _skipped(to: Announcer, index: int, at: datetime, e: ev.RunSkippedOverlap) -> a.Event:
    scheduled_at, by_run = from_us(e.scheduled_us), to.id_of(e.by_run)
    next_at, cause = _at(e.next_us), _cause(e.cause)
    return a.RunSkippedOverlap(index, at, e.timer, scheduled_at, next_at, by_run, cause)


def _missed(to: Announcer, index: int, at: datetime, e: ev.RunMissed) -> a.Event:
    return a.RunMissed(
        *(index, at, e.timer, to.ended(e.run, e.first_us) if e.run else None),
        scheduled_at=from_us(e.first_us),
        last_scheduled_at=from_us(e.last_us),
        count=e.moments,
        reason=str(e.reason),
        next_at=_at(e.next_us),
    )


def _stopping(to: Announcer, index: int, at: datetime, e: ev.RunStopping) -> a.Event:
    return a.RunStopping(index, at, e.timer, to.id_of(e.run), str(e.reason))


def _cancelled(to: Announcer, index: int, at: datetime, e: ev.RunCancelled) -> a.Event:
    return a.RunCancelled(
        *(index, at, e.timer, to.ended(e.run, e.scheduled_us)),
        attempt=e.attempt,
        scheduled_at=from_us(e.scheduled_us),
        started_at=_at(e.started_us),
        reason=str(e.reason),
        next_at=_at(e.next_us),
        cause=_cause(e.cause),
    )


def _backfill(to: Announcer, index: int, at: datetime, e: ev.BackfillStarted) -> a.Event:
    return a.BackfillStarted(
        *(index, at, e.timer, from_us(e.since_us), from_us(e.until_us)),
        next_at=_at(e.next_us),
        count=e.moments,
        concurrency=e.concurrency,
        is_forced=e.is_forced,
        done=e.done,
    )


def _backfilled(to: Announcer, index: int, at: datetime, e: ev.BackfillEnded) -> a.Event:
    return a.BackfillEnded(index, at, e.timer, _text(e.reason))


def _up(to: Announcer, index: int, at: datetime, e: ev.SchedulerStarted) -> a.Event:
    return a.SchedulerStarted(index, at, e.boot, e.pid, e.version, tuple(e.unknown.split()))


def _down(to: Announcer, index: int, at: datetime, e: ev.SchedulerStopped) -> a.Event:
    return a.SchedulerStopped(index, at, e.boot, from_us(e.since_us))


def _stepped(to: Announcer, index: int, at: datetime, e: ev.ClockStep) -> a.Event:
    return a.ClockStep(index, at, e.delta_us / 1000, e.era)


def _cut(to: Announcer, index: int, at: datetime, e: ev.TailCut) -> a.Event:
    return a.TailCut(index, at, e.file, e.offset, e.size_bytes, _text(e.kept_as))


def _unknown(to: Announcer, index: int, at: datetime, e: ev.Unknown) -> a.Event:
    return a.UnknownEvent(index, at, e.tag, e.fields)


_ANNOUNCE: dict[type[ev.Event], Callable[[Announcer, int, datetime, Any], a.Event]] = {
    ev.TimerCreated: _created,
    ev.TimerUpdated: _updated,
    ev.TimerRemoved: _removed,
    ev.TimerPaused: _paused,
    ev.TimerResumed: _resumed,
    ev.TimerMoved: _moved,
    ev.RunDue: _due,
    ev.RunStarted: _started,
    ev.RunSucceeded: _succeeded,
    ev.RunFailed: _failed,
    ev.RunRetrying: _retrying,
    ev.RunDead: _dead,
    ev.RunSkippedOverlap: _skipped,
    ev.RunMissed: _missed,
    ev.RunStopping: _stopping,
    ev.RunCancelled: _cancelled,
    ev.BackfillStarted: _backfill,
    ev.BackfillEnded: _backfilled,
    ev.SchedulerStarted: _up,
    ev.SchedulerStopped: _down,
    ev.ClockStep: _stepped,
    ev.TailCut: _cut,
    ev.Unknown: _unknown,
}

_NAMES_RUN: dict[type[ev.Event], Callable[[Any], int]] = {
    ev.RunStarted: lambda event: int(event.run),
    ev.RunRetrying: lambda event: int(event.run),
    ev.RunStopping: lambda event: int(event.run),
    ev.RunSkippedOverlap: lambda event: int(event.by_run),
}
"""The events that name a run and not its moment."""
