"""A Machine with its log and a program, played through simulated time, every step proved.

`Player.step` takes each step twice, with an undo in between, and replays the log: undo must give
the state from before, the second time must give the same events, the replay an equal state. All
the while snapshots are taken, one thing a step: each must give the state it was begun with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from kron.core import commands as c
from kron.core.codec import decode, encode
from kron.core.cut import Cut, restore
from kron.core.decide_clock import STEP_US
from kron.core.definition import define
from kron.core.events import POSITIONS, Event, RunDue
from kron.core.instants import parse_instant
from kron.core.machine import Answer, Machine, Step
from kron.core.model import Now
from kron.core.state import State
from kron.core.things import Run, Timer

BASE_US = parse_instant("2026-01-01T00:00:00+00:00", None, argument="BASE")
"""Where simulated time begins."""
_LIFE_US = 7_777_777_777
_TURNS = 10_000


class Mismatch(AssertionError):
    """The machine said or became something else than it should."""


# -- what must be equal -------------------------------------------------------------------------


def fold_image(state: State) -> dict[str, Any]:
    """Everything that follows from the log, as plain values that can be compared."""
    fields = ("shift_us", "index", "lives", "eras", "era_us", "high_us", "seen_us", "last_us")
    return {
        "timers": {name: _values(timer) for name, timer in state.timers.items()},
        "runs": {id_: _values(run) for id_, run in state.runs.items()},
        "ring": list(state.ring),
        "commands": list(state.commands.items()),
        "tombstones": list(state.tombstones),
        "order": [list(state.timers), list(state.runs)],
        **{name: getattr(state, name) for name in fields},
    }


def _values(thing: Timer | Run) -> dict[str, Any]:
    values = {name: getattr(thing, name) for name in type(thing).FIXED + type(thing).FOLDED}
    if isinstance(thing, Run):
        values["timer"] = _values(thing.timer)
    return values


def armed(machine: Machine) -> dict[object, int]:
    """Every deadline in the heap, by timer name or run id."""
    things: list[tuple[object, Timer | Run]] = [*machine.state.timers.items()]
    things += machine.state.runs.items()
    found = {key: each.deadline_us for key, each in things if each.deadline_us is not None}
    if len(machine.agenda.deadlines) != len(found):
        raise Mismatch(
            f"{len(machine.agenda.deadlines)} deadlines are armed, {len(found)} have owners"
        )
    return found


# -- the player ---------------------------------------------------------------------------------


class Player:
    """A scheduler in simulated time: a Machine, its log, a clock, and the program that uses it."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.shadow = Machine()
        self.log: list[bytes] = []
        self.runs: list[int] = []
        self.dues: list[RunDue] = []
        self.answers: list[Answer] = []
        self.program: dict[str, dict[str, Any]] = {}
        self.bound: set[str] = set()
        self.us = 0
        self.stepped_us = 0
        self.slept_us = 0
        self.life = 0
        self.end_us = BASE_US
        self.limit = POSITIONS
        self.max_concurrency: int | None = None
        self.limits: dict[int, int | None] = {}
        self.snapshots = 0
        self._snapshot: Iterator[None] = iter(())
        self._is_full = False
        self.has_ties = False  # what is due at one instant may come in any order

    @property
    def wall_us(self) -> int:
        """What the wall clock shows."""
        return BASE_US + self.us + self.stepped_us

    def turn(self, *commands: c.Command) -> list[Event]:
        """Step until nothing is left to be done at this moment; returns the events."""
        inbox, events = deque(commands), []
        for _ in range(_TURNS):
            events += self.step(inbox)
            due_us = self.machine.next_deadline()
            is_over = not inbox and not self._is_full
            if is_over and (due_us is None or due_us > self._now().elapsed_us):
                return events
        raise Mismatch(f"the machine still has something to do after {_TURNS} steps")

    def step(self, inbox: deque[c.Command]) -> list[Event]:
        """One step, proved: undone and taken again, logged, and replayed."""
        commands = list(inbox)
        before, deadlines = fold_image(self.machine.state), armed(self.machine)
        first = self.machine.step(inbox, self._now(), self.limit)
        if first.events:
            self.machine.undo()
            _same("undo leaves", before, fold_image(self.machine.state))
            _same("undo arms", deadlines, _without_drift(deadlines, armed(self.machine)))
            inbox.clear()
            inbox.extend(commands)
            again = self.machine.step(inbox, self._now(), self.limit)
            if not self.has_ties:
                _same("taken again, the step says", first, again)
            elif not first.is_full:
                _same("taken again, the step says", _kinds(first), _kinds(again))
            first = again
            self._keep(first.record, first.events)
        self.machine.confirm()
        self._is_full = first.is_full
        self.answers += first.answers
        if first.events:
            _same("replay gives", fold_image(self.machine.state), fold_image(self.shadow.state))
        if self.machine.is_live:
            self.end_us = self.wall_us
        if next(self._snapshot, self) is self:
            self._snapshot = self._take_snapshot()
        return first.events

    def refuse(self, *commands: c.Command) -> None:
        """A step whose record the log refuses; its commands are gone."""
        before, deadlines = fold_image(self.machine.state), armed(self.machine)
        self.machine.step(deque(commands), self._now(), self.limit)
        self.machine.undo()
        _same("undo leaves", before, fold_image(self.machine.state))
        _same("undo arms", deadlines, _without_drift(deadlines, armed(self.machine)))

    def start(self, names: set[str] | None = None) -> list[Event]:
        """A new process: Start, and the program's registrations again (those of `names`)."""
        if self.machine.is_live:
            self.crash()
        self.life += 1
        return self.turn(*self.start_commands(names))

    def start_commands(self, names: set[str] | None = None) -> list[c.Command]:
        """What the host of a new process hands in."""
        kept = {k: v for k, v in self.program.items() if names is None or k in names}
        self.bound = set(kept)
        schedules = [self.schedule(name, **options) for name, options in kept.items()]
        self.limits[self.life] = self.max_concurrency
        start = c.Start(f"boot{self.life}", self.life, "test", None, self.max_concurrency)
        return [start, *schedules]

    def schedule(
        self, name: str, called_us: int | None = None, cmd: str = "", **options: Any
    ) -> c.Schedule:
        """The command, remembered as a line of the program."""
        self.program[name] = options
        if self.machine.is_live:
            self.bound.add(name)
        told = {key: value for key, value in options.items() if key != "is_threaded"}
        definition, size_bytes = define(**told, name=name)
        called_us = self.wall_us if called_us is None else called_us
        is_threaded = bool(options.get("is_threaded"))
        return c.Schedule(name, definition, called_us, size_bytes, cmd, is_threaded)

    def crash(self) -> None:
        """kill -9: only the log is left."""
        self.machine = replayed(self.log)
        _same("replay gives", fold_image(self.shadow.state), fold_image(self.machine.state))
        self._snapshot = iter(())

    def advance(self, us: int) -> list[Event]:
        """Let time pass until just before `us`, deadline by deadline; returns what happened."""
        events: list[Event] = []
        while (due_us := self.due()) is not None and due_us < us:
            self.us = max(self.us, due_us)
            events += self.turn()
        self.us = max(self.us, us)
        return events

    def due(self) -> int | None:
        """When the machine wants to be looked at."""
        due_us = self.machine.next_deadline()
        return None if due_us is None else due_us - self.life * _LIFE_US

    def _take_snapshot(self) -> Iterator[None]:
        """One thing at a time, while the machine goes on."""
        expected = {**fold_image(self.machine.state), "ring": []}
        parts = []
        for part in Cut(self.machine.state).parts(size=1):
            parts.append(part)
            yield
        _same("the snapshot gives", expected, fold_image(restore(parts)))
        self.snapshots += 1

    def _now(self) -> Now:
        return Now(self.wall_us, self.us + self.life * _LIFE_US, self.slept_us)

    def _keep(self, index: int, events: list[Event]) -> None:
        payload = encode(events, self.wall_us)
        self.log.append(payload)
        self.shadow.replay(index, decode(payload, index).events)
        for position, event in enumerate(events):
            if isinstance(event, RunDue):
                self.runs.append(index * POSITIONS + position)
                self.dues.append(event)


def replayed(log: list[bytes]) -> Machine:
    """A machine that has folded the whole log."""
    machine = Machine()
    for index, payload in enumerate(log, 1):
        machine.replay(index, decode(payload, index).events)
    return machine


def _without_drift(before: dict[object, int], after: dict[object, int]) -> dict[object, int]:
    """`after`, where a wall clock that is not quite with elapsed time makes no difference: it is
    looked at again until it is there."""
    return {
        key: before[key] if abs(before.get(key, -STEP_US) - us) < STEP_US else us
        for key, us in after.items()
    }


def _kinds(step: Step) -> list[str]:
    return sorted(type(event).__name__ for event in step.events)


def _same(what: str, expected: object, found: object) -> None:
    if expected == found:
        return
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
        expected = {key: expected.get(key) for key in keys}
        found = {key: found.get(key) for key in keys}
    raise Mismatch(f"{what}\n  {found}\ninstead of\n  {expected}")
