"""The state: timers, open runs and the latest outcomes.

Before a thing changes for the first time in a step, `touch` keeps its image, so a step whose
record could not be appended can be undone exactly. Fields under SOFT are not part of the fold:
they belong to this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

from . import events as ev
from .model import Definition, RunState
from .moments import Moments
from .transitions import FINAL, TRANSITIONS

RING_ROWS = 10_000
COMMANDS_REMEMBERED = 10_000
DAY_US = 86_400_000_000


class Row(NamedTuple):
    """One line of a timer's history: an ended attempt, a skipped or a missed moment."""

    timer: str
    status: str
    at_us: int
    scheduled_us: int
    run: int | None = None
    attempt: int | None = None
    started_us: int | None = None
    took_us: int | None = None
    error: str = ""
    reason: str = ""
    last_us: int | None = None
    moments: int = 1


class Timer:
    """One timer. `next_us` and `anchor_us` are steady time for EVERY and AFTER, else wall time."""

    FOLDED = (
        "name",
        "serial",
        "definition",
        "created_us",
        "anchor_us",
        "next_us",
        "paused_us",
        "open",
        "is_removed",
        "is_dead",
        "is_cancelled",
        "last_run_us",
        "last_took_us",
        "last_status",
        "succeeded",
        "failed",
        "missed",
        "skipped",
        "retry_days",
    )
    SOFT = ("bound_us", "deadline_us", "moments", "stamp")
    __slots__ = FOLDED + SOFT

    def __init__(self, serial: int, event: ev.TimerCreated) -> None:
        self.name = event.timer
        self.serial = serial
        self.definition: Definition = event.definition
        self.created_us = event.at_us
        self.anchor_us = event.anchor_us
        self.next_us: int | None = event.next_us
        self.paused_us: int | None = None
        self.open: tuple[int, ...] = ()
        self.is_removed = False
        self.is_dead = False
        self.is_cancelled = False
        self.last_run_us: int | None = None
        self.last_took_us: int | None = None
        self.last_status: str | None = None
        self.succeeded = self.failed = self.missed = self.skipped = 0
        self.retry_days: tuple[tuple[int, int], ...] = ()
        self.bound_us: int | None = None
        self.moments: tuple[Definition, Moments] | None = None
        self.deadline_us: int | None = None
        self.stamp = 0


class Run:
    """One open run: a due moment being carried out, over all its attempts."""

    FOLDED = (
        "id",
        "timer",
        "scheduled_us",
        "due_us",
        "cause",
        "missed",
        "state",
        "attempt",
        "started_us",
        "retry_us",
        "stop_reason",
        "error",
    )
    SOFT = ("deadline_us", "stamp")
    __slots__ = FOLDED + SOFT

    def __init__(self, id_: int, timer: Timer, event: ev.RunDue) -> None:
        self.id = id_
        self.timer = timer
        self.scheduled_us = event.scheduled_us
        self.due_us = event.at_us
        self.cause = event.cause
        self.missed = event.missed
        self.state = RunState.DUE
        self.attempt = 1
        self.started_us: int | None = None
        self.retry_us: int | None = None
        self.stop_reason = ""
        self.error = ""
        self.deadline_us: int | None = None
        self.stamp = 0


_IMAGE = {kind: attrgetter(*kind.FOLDED) for kind in (Timer, Run)}


class State:
    """Everything the log says. The functions of `apply.py` are its only writers."""

    def __init__(self) -> None:
        self.timers: dict[str, Timer] = {}
        self.runs: dict[int, Run] = {}
        self.ring: list[Row] = []
        self.commands: dict[str, tuple[str, int, int]] = {}
        self.shift_us = 0
        self.index = 0
        self.started_us = 0
        self.stop_began_us = 0
        self.stopped_us = 0
        self.log_time_us = 0
        self._step = 1
        self._images: dict[int, tuple[Timer | Run, tuple[Any, ...]]] = {}
        self._undo: list[Callable[[], object]] = []
        self._gone: dict[int | str, Timer | Run] = {}

    # -- steady time: wall time without the steps it made ------------------------------------

    def to_own(self, timer: Timer, wall_us: int) -> int:
        """A wall instant on the clock that the timer follows."""
        return wall_us - self.shift_us if timer.definition.is_elapsed else wall_us

    def to_wall(self, timer: Timer, own_us: int) -> int:
        """The inverse of `to_own`."""
        return own_us + self.shift_us if timer.definition.is_elapsed else own_us

    # -- one step, kept or undone ------------------------------------------------------------

    def confirm(self, index: int) -> None:
        """The events applied since the last confirm are the durable record `index`."""
        self.index = index
        self._next_step()
        if len(self.ring) > RING_ROWS + 1024:
            del self.ring[:-RING_ROWS]
        surplus = len(self.commands) - COMMANDS_REMEMBERED
        for cmd_id in list(islice(self.commands, max(surplus, 0))):
            del self.commands[cmd_id]

    def undo(self) -> list[Timer | Run]:
        """Take everything since the last confirm back; returns the things that had changed."""
        changed = [thing for thing, _ in self._images.values()]
        for restore in reversed(self._undo):
            thing = restore()
            if isinstance(thing, Timer | Run):
                changed.append(thing)
        for thing, image in self._images.values():
            for name, value in zip(type(thing).FOLDED, image, strict=True):
                setattr(thing, name, value)
        self._next_step()
        return changed

    def _next_step(self) -> None:
        self._step += 1
        self._images.clear()
        self._undo.clear()
        self._gone.clear()

    def touch(self, thing: Timer | Run) -> None:
        """Keep the thing's image before its first change in this step."""
        if thing.stamp != self._step:
            thing.stamp = self._step
            self._images[id(thing)] = (thing, _IMAGE[type(thing)](thing))

    # -- what may be shown while a record is on its way ---------------------------------------

    def confirmed(self, thing: Timer | Run) -> dict[str, Any]:
        """The folded fields of a thing as of the last confirmed record."""
        kept = self._images.get(id(thing))
        values = kept[1] if kept else _IMAGE[type(thing)](thing)
        return dict(zip(type(thing).FOLDED, values, strict=True))

    def confirmed_timer(self, name: str) -> Timer | None:
        """The timer of that name as of the last confirmed record (read it with `confirmed`)."""
        gone = self._gone.get(name)
        timer = gone if isinstance(gone, Timer) else self.timers.get(name)
        return None if timer is None or self._is_new(timer.serial) else timer

    def confirmed_timers(self) -> Iterator[Timer]:
        """All timers as of the last confirmed record, in no order."""
        gone = [name for name in self._gone if isinstance(name, str)]
        for name in {*gone, *self.timers} if gone else self.timers:
            timer = self.confirmed_timer(name)
            if timer is not None:
                yield timer

    def confirmed_run(self, run_id: int) -> dict[str, Any] | None:
        """The open run of that id as of the last confirmed record."""
        run = self._gone.get(run_id) or self.runs.get(run_id)
        return None if run is None or self._is_new(run_id) else self.confirmed(run)

    def confirmed_rows(self) -> Iterator[Row]:
        """History as of the last confirmed record, newest first."""
        added = sum(restore == self.ring.pop for restore in self._undo)
        return islice(reversed(self.ring), added, None)

    def _is_new(self, id_: int) -> bool:
        return id_ // ev.POSITIONS > self.index

    def on_undo(self, restore: Callable[[], object]) -> None:
        """Remember how to take back a change that is not a field of a timer or run."""
        self._undo.append(restore)

    def enter(self, run: Run) -> None:
        """Put a new run in. It needs no image: undone, it is gone."""
        run.stamp = self._step
        self.runs[run.id] = run
        self._undo.append(partial(self.runs.pop, run.id))

    def leave(self, timer: Timer) -> None:
        """Take a timer out."""
        del self.timers[timer.name]
        self._gone.setdefault(timer.name, timer)
        self._undo.append(lambda: self.timers.__setitem__(timer.name, timer))

    # -- the pieces that `apply` is made of ---------------------------------------------------

    def add_row(self, row: Row) -> None:
        """Write one line of history."""
        self.ring.append(row)
        self._undo.append(self.ring.pop)

    def remember(self, cmd_id: str, tag: str, id_: int, value: int = 1) -> None:
        """The command has had its effect; a later one with its id has none. `value` belongs to
        the answer; a command with several effects counts them."""
        if not cmd_id:
            return
        old = self.commands.get(cmd_id)
        if old is None:
            self.commands[cmd_id] = (tag, id_, value)
            self._undo.append(lambda: self.commands.pop(cmd_id))
        else:
            self.commands[cmd_id] = (old[0], old[1], old[2] + 1)
            self._undo.append(lambda: self.commands.__setitem__(cmd_id, old))

    def move(self, run_id: int, event: ev.Event) -> Run:
        """Move a run along the TRANSITIONS table; a final state takes it out of the open runs."""
        run = self.runs[run_id]
        state = TRANSITIONS[run.state, type(event)]
        self.touch(run)
        run.state = state
        if state in FINAL:
            timer = run.timer
            self.touch(timer)
            is_only = len(timer.open) == 1
            timer.open = () if is_only else tuple(id_ for id_ in timer.open if id_ != run_id)
            del self.runs[run_id]
            self._gone[run_id] = run
            self._undo.append(partial(self.runs.__setitem__, run_id, run))
        return run
