"""What a story is told from: a timer as it stands, its history, and the events behind a row."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple, Protocol

from kron.core.capacity import Capacity
from kron.core.codec import decode
from kron.core.decide_clock import REBASE_US
from kron.core.errors import LogTruncated, UnknownTimer
from kron.core.events import (
    POSITIONS,
    Event,
    RunDue,
    RunSkippedOverlap,
    RunStopping,
    TimerResumed,
)
from kron.core.instants import parse_instant
from kron.core.model import Cause, Reason, Stop
from kron.core.row_views import Recent, recent
from kron.core.rows import Row
from kron.core.standing import OpenRun, Standing, standing_of
from kron.core.state import State
from kron.core.why import Again, Facts, Why, until_of, why
from kron.storage.blocking import in_thread
from kron.storage.log import Record

PAGE = 200
"""Rows of history that are read at once."""
TRIGGERS = 100
"""So many runs triggered by hand are passed over in search of a moment of the schedule."""
LOOKS = 200
"""So many records before the end of a run are looked at for the word that it was to stop."""
_STOOD_FOR_BY_NOBODY = (Reason.DELAYED, Reason.EXCLUDED, Reason.BOUNDS)


class KeepsRecords(Protocol):
    """Where history and events are: a Log, or a LogReader."""

    @property
    def log_id(self) -> str:
        """See `Log.log_id`."""

    @property
    def base(self) -> int:
        """See `Log.base`."""

    def rows_before(self, id_: int, timer: str | None, limit: int) -> list[Row]:
        """See `Log.rows_before`."""

    def record_at(self, index: int) -> Record:
        """See `Log.record_at`."""


class Story(NamedTuple):
    """A question, and the part of its answer that is in memory: what is there at the moment of the
    question, while the rest, which is read from the log, does not change any more."""

    log: KeepsRecords
    standing: Standing
    eras: tuple[int, ...]
    asked_us: int | None
    recent: Recent

    def tell(self) -> Why:
        """The answer; reads the log. Raises UnknownTimer if there is neither a timer nor a row of
        that name, StorageError."""
        return why(_Search(self).facts())

    async def atell(self) -> Why:
        """As `tell`; what blocks is done in a thread."""
        return await in_thread(self.tell)


def story_of(
    state: State,
    log: KeepsRecords,
    name: str,
    at: object,
    now_us: int,
    *,
    is_live: bool,
    capacity: Capacity | None = None,
) -> Story:
    """The question for a timer and an instant (None: now); `capacity` is that of the process that
    carries the schedule out. Raises ScheduleError or TypeError for an `at` that is none, or has no
    time zone."""
    asked_us = None if at is None else parse_instant(at, None, argument="at")
    if not isinstance(name, str):
        raise TypeError(f"a timer's name must be a string, not {type(name).__name__}.")
    standing = standing_of(state, name, now_us, is_live=is_live, capacity=capacity)
    return Story(log, standing, state.eras, asked_us, recent(state, name, PAGE))


class _Search:
    """The way back through history to the latest moment at or before the one asked about."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._log = story.log
        self._standing = story.standing
        at_us = story.standing.now_us if story.asked_us is None else story.asked_us
        self._until_us = until_of(at_us)
        self._is_known = story.standing.definition is not None
        self._best: Row | None = None
        self._by_hand: Row | None = None
        self._triggers = 0
        self._tries: list[Row] = []
        self._again: list[Row] = []

    def facts(self) -> Facts:
        """All that there is to know."""
        story, standing = self._story, self._standing
        facts = Facts(standing, self._log.log_id, story.asked_us)
        if story.asked_us is not None and story.asked_us > standing.now_us:
            if not self._is_known and next(self._rows(), None) is None:
                raise self._unknown()
            return facts
        run, pending_us = self._claims()
        self._look(run, pending_us)
        again, is_all = self._backfilled(run, pending_us)
        facts = facts._replace(is_complete=self._log.base == 0, again=again)
        if is_all:
            return facts
        if self._best is not None:
            return self._behind(facts, self._best)
        if run is None and pending_us is None:
            run, row = standing.open_run(self._until_us, Cause.MANUAL), self._by_hand
            if run is not None:
                self._tries = self._tries_of(run.id, run.scheduled_us)
            elif row is not None:
                self._tries = [] if row.run is None else self._tries_of(row.run, row.scheduled_us)
                return self._behind(facts, row)
        if not self._is_known and run is None:
            raise self._unknown()
        if run is None:
            return facts
        tries = tuple(row for row in self._tries if row.run == run.id)
        return facts._replace(run=run, tries=tries, due=self._due(run.id))

    def _claims(self) -> tuple[OpenRun | None, int | None]:
        """The latest moment about which the state knows more than history: that of an open run,
        or a pending one, whichever is later."""
        run = self._standing.open_run(self._until_us)
        pending_us = self._standing.pending(self._until_us)
        if run is not None and pending_us is not None and pending_us > run.scheduled_us:
            run = None
        return run, None if run is not None else pending_us

    def _look(self, run: OpenRun | None, pending_us: int | None) -> None:
        """Find the row of the latest moment; everything before it was written before it."""
        best_us = pending_us if run is None else run.scheduled_us
        best_run = None if run is None else run.id
        for row in self._rows():
            self._is_known = True
            is_over = best_us is not None and row.at_us < best_us and self._has_first(best_us, row)
            if is_over or (best_us is not None and self._is_past_era(row.id)):
                return
            if row.cause == Cause.BACKFILL:
                self._note_backfill(row)
            elif row.run is not None and row.run == best_run:
                self._tries.append(row)
            elif row.scheduled_us > self._until_us:
                continue
            elif (best_us is None or self._moment(row) > best_us) and not self._is_by_hand(row):
                self._best, best_us, best_run = row, self._moment(row), row.run
                self._tries = [row]

    def _note_backfill(self, row: Row) -> None:
        """Of the latest moment that a backfill has run, and of its latest run, all lines."""
        first = self._again[0] if self._again else None
        if row.scheduled_us > self._until_us:
            return
        if first is None or row.scheduled_us > first.scheduled_us:
            self._again = [row]
        elif row.run == first.run:
            self._again.append(row)

    def _backfilled(self, run: OpenRun | None, pending_us: int | None) -> tuple[Again | None, bool]:
        """What a backfill has made of the latest moment, and whether there is nothing else about
        that one."""
        again = self._latest_backfilled()
        if again is None:
            return None, False
        moment_us = pending_us if run is None else run.scheduled_us
        if self._best is not None:
            moment_us = self._standing.moment_of(self._best, self._until_us)
            if moment_us is None:  # one of a range, of which nothing more is known
                return (again if again.scheduled_us >= self._best.scheduled_us else None), False
        if moment_us is None or again.scheduled_us > moment_us:
            return again, True
        return (again if again.scheduled_us == moment_us else None), False

    def _latest_backfilled(self) -> Again | None:
        rows = tuple(self._again)
        run = self._standing.open_run(self._until_us, Cause.BACKFILL)
        if run is not None and (not rows or run.scheduled_us >= rows[0].scheduled_us):
            tries = tuple(row for row in rows if row.run == run.id)
            return Again(run.scheduled_us, None, run, tries, self._due(run.id))
        if not rows or rows[0].run is None:
            return None
        return Again(rows[0].scheduled_us, rows[0], None, rows, self._due(rows[0].run))

    def _tries_of(self, run: int, since_us: int) -> list[Row]:
        """The lines of a run that was triggered."""
        rows = takewhile(lambda row: row.at_us >= since_us, self._rows())
        return [row for row in rows if row.run == run]

    def _has_first(self, best_us: int, row: Row) -> bool:
        """Whether the first attempt has been seen, or must have been: a wall clock that was set
        back may have written it before its moment."""
        is_complete = not self._tries or self._tries[-1].attempt == 1
        return is_complete or row.at_us < best_us - REBASE_US

    def _moment(self, row: Row) -> int:
        """The latest moment of a row until the one asked about."""
        return min(row.last_us or row.scheduled_us, self._until_us)

    def _is_past_era(self, id_: int) -> bool:
        eras = self._story.eras
        return bool(eras) and id_ < eras[-1]

    def _is_by_hand(self, row: Row) -> bool:
        """Whether it was triggered, and so is none of the timer's moments."""
        event = self._event(row.id) if row.status == "SKIPPED_OVERLAP" else None
        if row.run is not None:
            event = self._due(row.run)
        is_by_hand = isinstance(event, RunDue | RunSkippedOverlap) and event.cause == Cause.MANUAL
        self._triggers += is_by_hand
        if is_by_hand and self._by_hand is None:
            self._by_hand = row
        return is_by_hand and self._triggers < TRIGGERS

    def _behind(self, facts: Facts, row: Row) -> Facts:
        """The events behind a row."""
        tries = [each for each in self._tries if row.run is not None and each.run == row.run]
        facts = facts._replace(
            row=row,
            tries=tuple(tries or ([row] if row.run is not None else [])),
            is_past_era=self._is_past_era(row.id),
        )
        if row.run is not None:
            is_for_another = row.status == "CANCELLED" and row.reason == Stop.RESTART
            is_known, heir = self._stopped_for(row, row.run) if is_for_another else (False, None)
            return facts._replace(due=self._due(row.run), is_stop_known=is_known, heir=heir)
        event = self._event(row.id)
        if isinstance(event, RunSkippedOverlap):
            is_over = self._is_over(event.by_run, row.id)
            return facts._replace(by=(event.by_run, self._due(event.by_run)), is_by_over=is_over)
        if row.reason == Reason.PAUSED:
            return facts._replace(resumed=self._resumed(row))
        return facts._replace(heir=self._heir(row))

    def _heir(self, row: Row) -> tuple[int, RunDue] | None:
        """The run behind a missed range in its record that stands for it."""
        if row.reason in _STOOD_FOR_BY_NOBODY:
            return None
        found = self._next_due(row.id, row.timer)
        return found if found is not None and found[1].missed else None

    def _next_due(self, id_: int, timer: str) -> tuple[int, RunDue] | None:
        """The first run of the timer behind an event in its record."""
        index, place = divmod(id_, POSITIONS)
        for position, event in enumerate(self._events(index)):
            if position > place and isinstance(event, RunDue) and event.timer == timer:
                return index * POSITIONS + position, event
        return None

    def _stopped_for(self, row: Row, run: int) -> tuple[bool, tuple[int, RunDue] | None]:
        """Whether the word is found by which a run was stopped for another one, and that one, if
        it is the timer's own. It stands behind that word, or behind the end of a run that had not
        begun."""
        if row.started_us is None:
            return True, self._next_due(row.id, row.timer)
        index, first, word = row.id // POSITIONS, run // POSITIONS, (run, Stop.RESTART)
        for at in range(index, max(first, index - LOOKS) - 1, -1):
            for place, event in enumerate(self._events(at)):
                if isinstance(event, RunStopping) and (event.run, event.reason) == word:
                    return True, self._next_due(at * POSITIONS + place, row.timer)
        return False, None

    def _is_over(self, run: int, before: int) -> bool:
        """Whether a run had ended before an event."""
        rows = self._log.rows_before(before, self._standing.name, PAGE)
        return any(row.run == run and row.status == "DEAD" for row in rows)

    def _resumed(self, row: Row) -> TimerResumed | None:
        """The end of the pause behind its moments in their record."""
        index, place = divmod(row.id, POSITIONS)
        for event in self._events(index)[place:]:
            if isinstance(event, TimerResumed) and event.timer == row.timer:
                return event
        return None

    # -- reading -----------------------------------------------------------------------------

    def _rows(self) -> Iterator[Row]:
        """The timer's history, newest first."""
        rows, floor, _ = self._story.recent
        yield from rows
        before = rows[-1].id if len(rows) == PAGE else floor + 1
        while before > 1:
            rows = self._log.rows_before(before, self._standing.name, PAGE)
            yield from rows
            before = rows[-1].id if len(rows) == PAGE else 0

    def _due(self, run: int) -> RunDue | None:
        event = self._event(run)
        return event if isinstance(event, RunDue) else None

    def _event(self, id_: int) -> Event | None:
        index, place = divmod(id_, POSITIONS)
        events = self._events(index)
        return events[place] if place < len(events) else None

    def _events(self, index: int) -> list[Event]:
        """The events of a record; none, if it was let go."""
        try:
            return decode(self._log.record_at(index).payload, index).events
        except LogTruncated:
            return []

    def _unknown(self) -> UnknownTimer:
        return UnknownTimer(f"there is no timer named {self._standing.name!r}.")
