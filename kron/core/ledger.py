"""The ledger's auditor: does every due moment have an event, and only one?

It follows the log beside the fold. For each timer it knows the next moment that has no event yet,
its *cursor*, and what the log says about moments must begin there: later is a gap, earlier is
twice. (`tests/ledger.py` is an independent judge, which computes all moments itself.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import events as ev
from .codec import decode
from .decide_clock import STEP_US
from .instants import text
from .model import ELAPSED_KINDS, Cause, Definition, Kind, Overlap
from .moments import Moments
from .state import State
from .things import Timer
from .timing import known_course

NAMED = 20
"""So many problems are told; the others are counted."""


class _Watched:
    """A timer as the log has described it so far; instants are on its own clock. `next_us` is its
    next moment as the fold has it. Where `is_sure` is false the cursor may be elsewhere."""

    __slots__ = ("cursor_us", "definition", "is_sure", "moments", "next_us", "open")

    def __init__(self, definition: Definition, anchor_us: int, next_us: int | None) -> None:
        self.open: dict[int, int] = {}
        self.define(definition, anchor_us)
        self.expect(next_us)

    def define(self, definition: Definition, anchor_us: int) -> None:
        """From now on these are its moments."""
        self.definition = definition
        self.moments: Moments = known_course(definition, anchor_us, "", 0).moments

    def expect(self, next_us: int | None) -> None:
        """The log says what comes next."""
        self.next_us = self.cursor_us = next_us
        self.is_sure = True

    def go_behind(self, moment_us: int) -> None:
        """There is an event for all moments until then."""
        self.cursor_us = None if self.is_single else self.moments.next_after(moment_us)
        self.is_sure = True

    @property
    def is_single(self) -> bool:
        """True if only one moment can be pending."""
        kind = self.definition.kind
        return self.definition.is_one_shot or (kind is Kind.EVERY and self.is_delay)

    @property
    def is_delay(self) -> bool:
        return self.definition.terms.overlap is Overlap.DELAY

    @property
    def is_waiting(self) -> bool:
        """True if moments are pending, though the fold has no next one: they wait for the end of
        an open run."""
        return self.next_us is None and self.is_delay and not self.is_single and bool(self.open)


class LedgerAudit:
    """Follows a log from the state it is given. `problems` are in words; `count` is how many there
    are in all."""

    def __init__(self, state: State) -> None:
        self.problems: list[str] = []
        self.count = 0
        self._index = state.index
        self._shift_us = state.shift_us
        self._timers: dict[str, _Watched] = {}
        for timer in state.timers.values():
            self._timers[timer.name] = self._begin(state, timer)

    def follow(self, index: int, events: list[ev.Event]) -> list[str]:
        """Take the next record; returns what is wrong with it."""
        self._index = index
        told = len(self.problems)
        for id_, event in enumerate(events, index * ev.POSITIONS):
            take = _TAKE.get(type(event))
            if take is not None:
                take(self, id_, event)
        return self.problems[told:]

    def read(self, index: int, payload: bytes) -> list[str]:
        """As `follow`, of a record as it is stored, which has been folded."""
        return self.follow(index, decode(payload, index).events)

    def _begin(self, state: State, timer: Timer) -> _Watched:
        watched = _Watched(timer.definition, timer.anchor_us, timer.next_us)
        runs = (state.runs[id_] for id_ in timer.open)
        watched.open = {run.id: run.scheduled_us for run in runs if run.cause == Cause.SCHEDULE}
        if watched.is_waiting:
            watched.go_behind(max(watched.open.values()))
            watched.is_sure = all(state.era_of(id_) == len(state.eras) for id_ in watched.open)
        return watched

    # -- what the log says about timers ------------------------------------------------------

    def _created(self, id_: int, event: ev.TimerCreated) -> None:
        watched = _Watched(event.definition, self._anchor(event), None)
        self._timers[event.timer] = watched
        watched.expect(self._first(watched, event.next_us))

    def _updated(self, id_: int, event: ev.TimerUpdated) -> None:
        watched = self._timers[event.timer]
        old, new = watched.definition, event.definition
        is_same = old.has_same_moments(new) or (
            old.kind is Kind.AT and (new.kind, new.value) == (old.kind, old.value)
        )
        is_waiting = watched.is_waiting and event.next_us is None and is_same
        if not is_same:
            self._end(event.timer, event.at_us)
        watched.define(new, self._anchor(event))
        if is_same and not is_waiting:
            watched.expect(self._own(watched, event.next_us))
        elif not is_same:
            watched.expect(self._first(watched, event.next_us))

    def _removed(self, id_: int, event: ev.TimerRemoved) -> None:
        self._end(event.timer, event.at_us)
        del self._timers[event.timer]

    def _end(self, name: str, at_us: int) -> None:
        """No moment may be left behind."""
        watched = self._timers[name]
        now_us = self._own(watched, at_us)
        is_pending = watched.next_us is not None or watched.is_waiting
        cursor_us = watched.cursor_us
        if not is_pending or not watched.is_sure or cursor_us is None or now_us is None:
            return
        # The wall clock may be ahead of elapsed time by so much, and no step is told of.
        slack_us = STEP_US if watched.definition.is_elapsed else 0
        if cursor_us + slack_us < now_us:
            self._blame(name, cursor_us, watched, "no event says what became of it")

    def _resumed(self, id_: int, event: ev.TimerResumed) -> None:
        watched = self._timers[event.timer]
        next_us = self._own(watched, event.next_us)
        if next_us is None and watched.is_waiting:
            return
        is_behind = not watched.is_single and watched.cursor_us is not None
        if is_behind and next_us is not None and watched.is_sure:
            self._compare(event.timer, watched, next_us)
        watched.expect(next_us)

    def _moved(self, id_: int, event: ev.TimerMoved) -> None:
        watched = self._timers[event.timer]
        watched.expect(self._own(watched, event.next_us))

    def _anchor(self, event: ev.TimerCreated | ev.TimerUpdated) -> int:
        is_elapsed = event.definition.kind in ELAPSED_KINDS
        return event.anchor_us - (self._shift_us if is_elapsed else 0)

    def _first(self, watched: _Watched, next_us: int | None) -> int | None:
        """An `at=` that is long past has no next moment, but an event says so."""
        if next_us is None and watched.definition.kind is Kind.AT:
            return int(watched.definition.value)
        return self._own(watched, next_us)

    # -- what it says about moments ----------------------------------------------------------

    def _due(self, id_: int, event: ev.RunDue) -> None:
        watched = self._timers[event.timer]
        if event.cause != Cause.SCHEDULE:
            return
        watched.open[id_] = self._account(event.timer, event.scheduled_us, event.next_us)

    def _skipped(self, id_: int, event: ev.RunSkippedOverlap) -> None:
        if event.cause == Cause.SCHEDULE:
            self._account(event.timer, event.scheduled_us, event.next_us)

    def _account(self, name: str, scheduled_us: int, next_us: int | None) -> int:
        """One moment has its event; returns it."""
        watched = self._timers[name]
        moment_us, next_us = self._own(watched, scheduled_us), self._own(watched, next_us)
        assert moment_us is not None
        self._compare(name, watched, moment_us)
        watched.go_behind(moment_us)
        watched.next_us = next_us
        if next_us is not None:
            watched.cursor_us = next_us
        return moment_us

    def _missed(self, id_: int, event: ev.RunMissed) -> None:
        if event.run:
            next_us = None if event.next_us == ev.UNSAID else event.next_us
            self._close(event.timer, event.run, next_us)
            return
        watched = self._timers[event.timer]
        first_us, last_us = self._own(watched, event.first_us), self._own(watched, event.last_us)
        assert first_us is not None and last_us is not None
        self._compare(event.timer, watched, first_us)
        watched.go_behind(last_us)
        if event.next_us != ev.UNSAID:
            watched.expect(self._own(watched, event.next_us))

    def _ended(self, id_: int, event: ev.RunSucceeded | ev.RunDead | ev.RunCancelled) -> None:
        self._close(event.timer, event.run, event.next_us)

    def _close(self, name: str, run: int, next_wall_us: int | None) -> None:
        """A run is over; it may decide what comes next."""
        watched = self._timers.get(name)
        if watched is None:
            return
        watched.open.pop(run, None)
        next_us = self._own(watched, next_wall_us)
        if next_us is None:
            return
        if watched.is_single or (watched.cursor_us is None and watched.is_sure):
            watched.expect(next_us)
        watched.next_us = next_us  # the moments that passed meanwhile may follow

    def _stepped(self, id_: int, event: ev.ClockStep) -> None:
        self._shift_us += event.delta_us
        for watched in self._timers.values() if event.era else ():
            watched.is_sure = watched.is_sure and not watched.is_waiting

    # -- what is wrong -----------------------------------------------------------------------

    def _compare(self, name: str, watched: _Watched, moment_us: int) -> None:
        cursor_us = watched.cursor_us
        if cursor_us == moment_us or not watched.is_sure:
            return
        if cursor_us is None:
            self._blame(name, moment_us, watched, "an event is about it, though it was not due")
        elif cursor_us < moment_us:
            what = "no event says what became of it"
            count = watched.moments.count(cursor_us, moment_us - 1)
            if not watched.is_single and count > 1:
                what += f", nor of the {count - 1:,} after it"
            self._blame(name, cursor_us, watched, what)
        else:
            self._blame(name, moment_us, watched, "a second event is about it")

    def _blame(self, name: str, moment_us: int, watched: _Watched, what: str) -> None:
        self.count += 1
        shift_us = self._shift_us if watched.definition.is_elapsed else 0
        if self.count <= NAMED:
            when = text(moment_us + shift_us)
            self.problems.append(f"record {self._index:,}: {name} at {when}: {what}")
        elif self.count == NAMED + 1:
            self.problems.append(f"record {self._index:,}: more is wrong, which is not told here")

    def _own(self, watched: _Watched, wall_us: int | None) -> int | None:
        """A wall instant on the clock that the timer follows."""
        is_elapsed = watched.definition.is_elapsed
        return wall_us - self._shift_us if wall_us is not None and is_elapsed else wall_us


_TAKE: dict[type[ev.Event], Callable[[LedgerAudit, int, Any], None]] = {
    ev.TimerCreated: LedgerAudit._created,
    ev.TimerUpdated: LedgerAudit._updated,
    ev.TimerRemoved: LedgerAudit._removed,
    ev.TimerResumed: LedgerAudit._resumed,
    ev.TimerMoved: LedgerAudit._moved,
    ev.RunDue: LedgerAudit._due,
    ev.RunSkippedOverlap: LedgerAudit._skipped,
    ev.RunMissed: LedgerAudit._missed,
    ev.RunSucceeded: LedgerAudit._ended,
    ev.RunDead: LedgerAudit._ended,
    ev.RunCancelled: LedgerAudit._ended,
    ev.ClockStep: LedgerAudit._stepped,
}
