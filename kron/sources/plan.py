"""What `kron up` would do to the timers of a data directory: it is tried on their state in memory.

The state is folded from the log, and a Machine is told what `up` would tell it: that a process
starts (if none runs), what the files declare, and which timers they declare no more. Nothing is
written; what comes out is what would have been.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict, cast

from kron import __version__
from kron.core import commands as c
from kron.core.errors import StorageError
from kron.core.instants import text
from kron.core.machine import Machine
from kron.core.model import Definition, Now, RunState
from kron.core.state import State
from kron.core.steering import Ago, Backfill, previewed, read_since
from kron.core.things import Timer
from kron.core.views import schedule_text
from kron.core.words import in_words
from kron.opening import StartOptions, read_start
from kron.runtime.callables import place_of
from kron.runtime.collector import paused
from kron.runtime.registry import Registration, Registry
from kron.server.holder import Holder, find_holder
from kron.server.offline import folded
from kron.storage.datadir import DataDir

from .declared import Declared
from .difference import FieldChange, changed_fields
from .effects import NOTHING, TOLD, Effect, Open, effects_of, open_of
from .next_run import NextRun, next_run_of, next_start_of, no_run

Kind: TypeAlias = Literal["added", "changed", "removed"]


class TimerChange(TypedDict):
    """What becomes of one timer. `place` is where it is declared ("kron.toml:12"), None if it is
    removed; `schedule` and `words` are about the new definition, or the one that goes. `source` is
    the kind of that file; a field `source` that was None says that a program has scheduled the
    timer until now. `next_before` is when it would have run next."""

    timer: str
    change: Kind
    place: str | None
    source: str | None
    schedule: str
    words: str
    fields: list[FieldChange]
    next_before: NextRun | None
    next_after: NextRun | None
    effects: list[Effect]


class Prospect(TypedDict):
    """A timer that `up` would carry out, and when it runs next."""

    timer: str
    place: str
    schedule: str
    words: str
    next_run: NextRun


class RunNow(TypedDict):
    """A run that is due as soon as `up` has started; `starts` False: it waits for room or for
    another run. It stands for `stands_for` earlier moments."""

    timer: str
    scheduled_at: str | None
    attempt: int
    cause: str
    stands_for: int
    starts: bool


class PlanDocument(TypedDict):
    """A plan as JSON."""

    data_dir: str
    live: bool
    pid: int | None
    files: list[str]
    added: int
    changed: int
    removed: int
    unchanged: int
    changes: list[TimerChange]


@dataclass(frozen=True, slots=True)
class Plan:
    """What `up` would do. `changes` are in the order of the files, the removed ones last; if a
    process holds the data directory (`holder`), they are what taking the files there would change.

    `runs` would start at once (none, if a process runs: it starts what is due itself), and
    `prospects` are all timers that would be carried out. `backfills` has each recurring one, if
    there is a time since which moments are to be made up for, and no process runs.
    """

    data_dir: str
    holder: Holder
    files: list[str]
    changes: list[TimerChange]
    unchanged: int
    runs: list[RunNow]
    prospects: list[Prospect]
    backfills: list[Backfill]

    @property
    def is_empty(self) -> bool:
        """True if the timers are what the files declare."""
        return not self.changes

    def count(self, kind: Kind) -> int:
        """How many timers are added, changed or removed."""
        return sum(each["change"] == kind for each in self.changes)

    def begun(self) -> list[Backfill]:
        """The backfills of which there is something to run."""
        return [each for each in self.backfills if each["scheduled_at"]]

    def document(self) -> PlanDocument:
        """The changes as JSON."""
        return {
            "data_dir": self.data_dir,
            "live": self.holder.is_held,
            "pid": self.holder.pid if self.holder.is_held else None,
            "files": self.files,
            "added": self.count("added"),
            "changed": self.count("changed"),
            "removed": self.count("removed"),
            "unchanged": self.unchanged,
            "changes": self.changes,
        }


def make_plan(
    data_dir: str,
    declared: Declared,
    now: Now,
    others: Iterable[Registration] = (),
    since: Ago | None = None,
) -> Plan:
    """What `up` would do at `now` (the wall clock's; elapsed time stands still) with declarations
    that have no mistakes. `others` are what the program schedules beside them, which a reload does
    not do again; `since` is that of `start()`. Reads the log without its lock; creates and changes
    nothing.

    Raises StorageError if the log cannot be used (where there is none, everything is added), and
    ScheduleError or TypeError for a wrong `since`.
    """
    assert not declared.mistakes
    since_us = None if since is None else read_since(since, None, now.wall_us, argument="since")
    holder = find_holder(DataDir(data_dir, read_only=True))
    own = [] if holder.is_held else [each._replace(called_us=now.wall_us) for each in others]
    places = {each.name: place_of(each.target.fn) for each in own}
    places |= {timer.name: str(timer.place) for timer in declared.timers}
    with paused():
        machine = _machine(data_dir)
        start = None if holder.is_held else _start(machine, declared, now)
        trial = _Trial(machine, [*own, *_registrations(declared, now)], now, start)
        trial.carry_out()
    kinds = {name: _KINDS[answer] for name, answer in trial.answers.items() if answer in _KINDS}
    return Plan(
        data_dir,
        holder,
        list(declared.files),
        [trial.change(name, kind, places.get(name)) for name, kind in kinds.items()],
        sum(answer == "unchanged" for answer in trial.answers.values()),
        list(trial.runs()),
        [trial.prospect(each, places[each.name]) for each in trial.registrations],
        [] if since_us is None else list(trial.backfills(since_us)),
    )


_KINDS: dict[object, Kind] = {"created": "added", "updated": "changed", True: "removed"}
"""By what the Machine answers a Schedule or a Remove."""


def _registrations(declared: Declared, now: Now) -> list[Registration]:
    registry = Registry()
    return [
        registry.registration(each.name, each.fn, each.options, now.wall_us, each.origin)
        for each in declared.declarations()
    ]


def _machine(data_dir: str) -> Machine:
    """As the log describes it; a new one, if there is none yet."""
    try:
        return folded(data_dir).machine
    except StorageError as exc:
        if isinstance(exc.__cause__, FileNotFoundError):
            return Machine()
        raise


def _start(machine: Machine, declared: Declared, now: Now) -> c.Start:
    """What a process says that starts with the settings of the files."""
    opening = read_start(None, cast(StartOptions, declared.settings), now.wall_us)
    machine.agenda.keep_finished_us = opening.keeping.finished_us
    limit = opening.max_concurrency
    return c.Start("plan", os.getpid(), __version__, max_concurrency=limit)


class _Before(NamedTuple):
    """A timer before the trial: the Machine changes it in place."""

    definition: Definition
    next_run: NextRun
    open: Open


@dataclass(slots=True)
class _Trial:
    """One Machine, told what `up` tells it, and what has come of that."""

    machine: Machine
    registrations: list[Registration]
    now: Now
    start: c.Start | None
    wanted: dict[str, Definition] = field(default_factory=dict)
    before: dict[str, _Before] = field(default_factory=dict)
    answers: dict[str, object] = field(default_factory=dict)
    events: dict[str, list[Any]] = field(default_factory=dict)

    def carry_out(self) -> None:
        """Tell it everything, and keep what it answers."""
        self._look()
        gone = [
            timer.name
            for timer in self.machine.state.timers.values()
            if timer.definition.terms.source and timer.name not in self.wanted
        ]
        inbox: deque[c.Command] = deque() if self.start is None else deque([self.start])
        inbox.extend(each.command() for each in self.registrations)
        inbox.extend(c.Remove(name) for name in sorted(gone))
        is_full = True
        while is_full:
            step = self.machine.step(inbox, self.now)
            self.machine.confirm()
            self._keep(step.events)
            for command, value in step.answers:
                if isinstance(command, c.Schedule | c.Remove):
                    self.answers[command.name] = value
            is_full = step.is_full

    def _look(self) -> None:
        """Keep what may change: timers whose definition does, and those that a file declared."""
        self.wanted = {each.name: each.definition for each in self.registrations}
        state = self.machine.state
        for timer in state.timers.values():
            definition = timer.definition
            is_ours = timer.name in self.wanted or definition.terms.source
            if is_ours and self.wanted.get(timer.name) != definition:
                next_run = next_run_of(state, timer, self.now.wall_us)
                self.before[timer.name] = _Before(definition, next_run, open_of(state, timer))

    def _keep(self, events: Iterable[Any]) -> None:
        for event in events:
            if type(event) in TOLD:
                self.events.setdefault(event.timer, []).append(event)

    # -- what has come of it -----------------------------------------------------------------

    def change(self, name: str, kind: Kind, place: str | None) -> TimerChange:
        """Of one timer that is not what it was."""
        before, new = self.before.get(name), self.wanted.get(name)
        shown = new or self.before[name].definition
        return {
            "timer": name,
            "change": kind,
            "place": place,
            "source": shown.terms.source or None,
            "schedule": schedule_text(shown),
            "words": in_words(shown),
            "fields": [] if before is None or new is None else changed_fields(before[0], new),
            "next_before": None if before is None else before.next_run,
            "next_after": None if new is None else self._next_run(name, next_run_of),
            "effects": effects_of(
                self.machine.state,
                self.events.get(name, ()),
                NOTHING if before is None else before.open,
                is_live=self.start is None,
            ),
        }

    def prospect(self, registration: Registration, place: str) -> Prospect:
        """Of one timer that is carried out."""
        name, definition = registration.name, registration.definition
        return {
            "timer": name,
            "place": place,
            "schedule": schedule_text(definition),
            "words": in_words(definition),
            "next_run": self._next_run(name, next_start_of),
        }

    def _next_run(self, name: str, told: Callable[[State, Timer, int], NextRun]) -> NextRun:
        timer = self.machine.state.timers.get(name)
        if timer is None:  # it has fired once and for all, and was let go
            return no_run("finished")
        return told(self.machine.state, timer, self.now.wall_us)

    def runs(self) -> Iterator[RunNow]:
        """What is due at once, oldest first; nothing, if a process carries it out already."""
        if self.start is None:
            return
        now_us = self.now.wall_us - self.machine.state.shift_us
        for run in self.machine.state.runs.values():
            is_due = run.retry_us is None or run.retry_us <= now_us
            is_to_be = is_due and run.state is not RunState.STOPPING
            if run.timer.name in self.wanted and is_to_be:
                yield {
                    "timer": run.timer.name,
                    "scheduled_at": text(run.scheduled_us),
                    "attempt": run.attempt,
                    "cause": str(run.cause),
                    "stands_for": run.missed,
                    "starts": run.is_under_way,
                }

    def backfills(self, since_us: int) -> Iterator[Backfill]:
        """What a start begins, then, for each timer that recurs; nothing, if a process runs."""
        if self.start is None:
            return
        state = self.machine.state
        for each in self.registrations:
            timer = state.timers.get(each.name)
            if timer is not None and not timer.definition.is_one_shot:
                command = c.Backfill(each.name, since_us, self.now.wall_us)
                yield previewed(state, timer, command)
