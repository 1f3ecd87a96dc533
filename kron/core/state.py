"""The state: everything the log says, and how one step of it is kept or undone.

Before a thing changes for the first time in a step, `touch` keeps its image. A step whose record
could not be appended is undone from the images; a snapshot that is being taken (`cut`) writes a
thing's image instead of what has become of the thing meanwhile. New and ended things are in lists
of the step, so that nothing on the way of an ordinary run makes a closure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from . import events as ev
from .model import Cause
from .rows import RowEvent
from .things import Image, Life, Run, Thing, Timer, image_of
from .transitions import FINAL, TRANSITIONS

if TYPE_CHECKING:
    from .cut import Cut

_BACKFILL = Cause.BACKFILL
RING_ROWS = 10_000
COMMANDS_REMEMBERED = 10_000
TOMBSTONES = 1_000_000
LIVES = 64
"""Processes that are remembered, so that it can be said when none was there."""


class State:
    """Everything the log says. The functions of `apply.py` are its only writers.

    `timers` and `runs` are in the order of their ids. `ring` holds the latest events that are
    lines of history, with their ids: all of those with an id over `ring_floor`. `lives` are the
    latest processes. `eras` are the ids of the clock steps that began a new era, `era_us` and
    `high_us` are the first and the latest time of the present one; `seen_us` is the latest time
    of all, in steady time.
    """

    def __init__(self) -> None:
        self.timers: dict[str, Timer] = {}
        self.runs: dict[int, Run] = {}
        self.commands: dict[str, tuple[str, int, int]] = {}
        self.tombstones: dict[int, None] = {}
        self.ring: list[tuple[int, RowEvent]] = []
        self.ring_floor = 0
        self.index = 0
        self.shift_us = 0
        self.lives: tuple[Life, ...] = ()
        self.eras: tuple[int, ...] = ()
        self.era_us = 0
        self.high_us = 0
        self.seen_us = 0
        self.last_us = 0
        self.log_time_us = 0
        self.cut: Cut | None = None
        self._step = 1
        self._images: list[tuple[Thing, Image]] = []
        self._image_at: dict[int, Image] | None = None
        self._entered: list[Thing] = []
        self._gone: dict[int | str, Thing] = {}
        self._undo: list[Callable[[], object]] = []
        self._ring_mark = 0

    @property
    def started_us(self) -> int:
        """When the latest process started (wall time); 0 if none has."""
        return self.lives[-1].started_us if self.lives else 0

    @property
    def unknown_zones(self) -> tuple[str, ...]:
        """Time zones of timers that the machine of the latest process does not know."""
        return self.lives[-1].unknown if self.lives else ()

    def era_of(self, run_id: int) -> int:
        """In which clock era a run was due: 0 until the clock is set back far."""
        return bisect_right(self.eras, run_id)

    def moment_of(self, run: Run) -> int:
        """The moment of a run (wall time), after which its timer goes on; of a run from before the
        clock was set back far no later than that."""
        is_old = bool(self.eras) and self.era_of(run.id) < len(self.eras)
        return min(run.scheduled_us, self.era_us) if is_old else run.scheduled_us

    def regular(self, timer: Timer) -> tuple[int, ...]:
        """The timer's open runs without those of a backfill, which no moment has to mind."""
        runs = self.runs
        return tuple(id_ for id_ in timer.open if runs[id_].cause != _BACKFILL)

    def run_of_step(self, run_id: int) -> Run | None:
        """An open run, or one that has ended in this step."""
        run = self.runs.get(run_id) or self._gone.get(run_id)
        return run if isinstance(run, Run) else None

    # -- steady time: wall time without the steps it made ------------------------------------

    def to_own(self, timer: Timer, wall_us: int) -> int:
        """A wall instant on the clock that the timer follows."""
        shift_us = self.shift_us
        return wall_us - shift_us if shift_us and timer.definition.is_elapsed else wall_us

    def to_wall(self, timer: Timer, own_us: int) -> int:
        """The inverse of `to_own`."""
        shift_us = self.shift_us
        return own_us + shift_us if shift_us and timer.definition.is_elapsed else own_us

    # -- one step, kept or undone ------------------------------------------------------------

    def confirm(self, index: int, at_us: int) -> None:
        """The events applied since the last confirm are the durable record `index`, the latest of
        them of `at_us`."""
        self.index = index
        self.last_us = at_us
        if at_us > self.log_time_us:
            self.log_time_us = at_us
        if at_us > self.high_us:
            self.high_us = at_us
        if at_us - self.shift_us > self.seen_us:
            self.seen_us = at_us - self.shift_us
        if len(self.ring) > RING_ROWS + 1024:
            self.ring_floor = self.ring[-RING_ROWS - 1][0]
            del self.ring[:-RING_ROWS]
        _forget_oldest(self.commands, COMMANDS_REMEMBERED)
        _forget_oldest(self.tombstones, TOMBSTONES)
        self._next_step()

    def undo(self) -> list[Thing]:
        """Take everything since the last confirm back; returns the things that had changed."""
        changed = [*self.changed(), *self._gone.values()]
        for restore in reversed(self._undo):
            thing = restore()
            if isinstance(thing, Timer):
                changed.append(thing)
        for thing, image in self._images:
            for name, value in zip(type(thing).FOLDED, image, strict=True):
                setattr(thing, name, value)
        self._take_out_entered()
        self._put_back_gone()
        del self.ring[self._ring_mark :]
        self._next_step()
        return changed

    def _take_out_entered(self) -> None:
        for thing in self._entered:
            if isinstance(thing, Run):
                self.runs.pop(thing.id, None)
            elif self.timers.get(thing.name) is thing:
                del self.timers[thing.name]

    def _put_back_gone(self) -> None:
        new = {thing.id for thing in self._entered}
        gone = [thing for thing in self._gone.values() if thing.id not in new]
        for thing in gone:
            if isinstance(thing, Run):
                self.runs[thing.id] = thing
            else:
                self.timers[thing.name] = thing
        if gone:  # back in the order of their ids
            self.runs = dict(sorted(self.runs.items()))
            self.timers = {t.name: t for t in sorted(self.timers.values(), key=lambda t: t.id)}

    def _next_step(self) -> None:
        self._step += 1
        self._images = []
        self._image_at = None
        self._entered = []
        self._ring_mark = len(self.ring)
        if self._gone:
            self._gone = {}
        if self._undo:
            self._undo = []

    def touch(self, thing: Thing) -> None:
        """Keep the thing's image before its first change in this step."""
        if thing.stamp != self._step:
            thing.stamp = self._step
            image = image_of[type(thing)](thing)
            self._images.append((thing, image))
            if self.cut is not None:
                self.cut.keep(thing, image)

    def changed(self) -> list[Thing]:
        """What has changed in this step, and what has ended and is still armed."""
        gone = (thing for thing in self._gone.values() if thing.deadline_us is not None)
        return [*(thing for thing, _ in self._images), *self._entered, *gone]

    def on_undo(self, restore: Callable[[], object]) -> None:
        """Remember how to take back a change that is not a field of a timer or run."""
        self._undo.append(restore)

    # -- the pieces that `apply` is made of --------------------------------------------------

    def enter(self, thing: Thing) -> None:
        """Put a new timer or run in. It needs no image: undone, it is gone."""
        thing.stamp = self._step
        self._entered.append(thing)
        if isinstance(thing, Run):
            self.runs[thing.id] = thing
        else:
            self.timers[thing.name] = thing

    def leave(self, timer: Timer) -> None:
        """Take a timer out."""
        self.touch(timer)
        del self.timers[timer.name]
        self._gone.setdefault(timer.name, timer)

    def move(self, run_id: int, event: ev.Event) -> Run:
        """Move a run along the TRANSITIONS table; a final state takes it out of the open runs,
        otherwise as it was."""
        run = self.runs[run_id]
        state = TRANSITIONS[run.state, type(event)]
        if state not in FINAL:
            self.touch(run)
            run.state = state
            return run
        timer = run.timer
        self.touch(timer)
        ids = timer.open
        timer.open = () if len(ids) == 1 else tuple(id_ for id_ in ids if id_ != run_id)
        if self.cut is not None:
            self.cut.keep(run, image_of[Run](run))
        self._gone[run_id] = self.runs.pop(run_id)
        return run

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

    def bury(self, tombstone: int) -> None:
        """What has this tombstone is not to be created again."""
        if tombstone not in self.tombstones:
            self.tombstones[tombstone] = None
            self._undo.append(lambda: self.tombstones.pop(tombstone))

    # -- what may be shown while a record is on its way ---------------------------------------

    def confirmed(self, thing: Thing) -> dict[str, Any]:
        """The folded fields of a thing as of the last confirmed record."""
        if self._image_at is None or len(self._image_at) != len(self._images):
            self._image_at = {id(each): image for each, image in self._images}
        kind = type(thing)
        image = self._image_at.get(id(thing)) or image_of[kind](thing)
        values = dict(zip(kind.FOLDED, image, strict=True))
        return values | {name: getattr(thing, name) for name in kind.FIXED}

    def confirmed_timer(self, name: str) -> Timer | None:
        """The timer of that name as of the last confirmed record (read it with `confirmed`)."""
        gone = self._gone.get(name)
        timer = gone if isinstance(gone, Timer) else self.timers.get(name)
        return None if timer is None or self._is_new(timer.id) else timer

    def confirmed_timers(self) -> Iterator[Timer]:
        """All timers as of the last confirmed record, in no order."""
        gone = [name for name in self._gone if isinstance(name, str)]
        for name in {*gone, *self.timers} if gone else self.timers:
            timer = self.confirmed_timer(name)
            if timer is not None:
                yield timer

    def confirmed_now(self) -> list[Timer]:
        """The same as a list, in no time: a copy of references, to be looked at in slices."""
        timers = list(self.timers.values())
        while timers and self._is_new(timers[-1].id):
            timers.pop()
        gone = (each for each in self._gone.values() if isinstance(each, Timer))
        timers += (each for each in gone if not self._is_new(each.id))
        return timers

    @property
    def step(self) -> int:
        """What the `stamp` of a thing is that has changed since the last confirmed record: its
        fields say what may be undone, only `confirmed` tells."""
        return self._step

    def confirmed_run(self, run_id: int) -> dict[str, Any] | None:
        """The open run of that id as of the last confirmed record."""
        run = self._gone.get(run_id) or self.runs.get(run_id)
        return None if run is None or self._is_new(run_id) else self.confirmed(run)

    def confirmed_rows(self) -> Iterator[tuple[int, RowEvent]]:
        """The ring as of the last confirmed record, newest first."""
        added = len(self.ring) - self._ring_mark
        return islice(reversed(self.ring), added, None)

    def _is_new(self, id_: int) -> bool:
        return id_ // ev.POSITIONS > self.index


def _forget_oldest(window: dict[Any, Any], size: int) -> None:
    surplus = len(window) - size
    if surplus > 0:
        for key in list(islice(window, surplus)):
            del window[key]
