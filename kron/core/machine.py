"""The Machine: commands and the time go in, events come out; it cannot do I/O.

    step = machine.step(inbox, now)        # decide, and fold the events in
    await log.append(step.record, encode(step.events))
    machine.confirm()                      # or machine.undo(), as if the step had never been
    react(step)                            # start runs, answer callers

Between `step` and `confirm` nobody may be told anything. Commands are taken before moments that
are due, so a run that has ended by the time its timer falls due again is not in the way.

Time: `now` is an argument. Elapsed time plus a constant is *steady* time, which equals wall time
less the steps it made (`state.shift_us`); the one heap is in steady time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from . import commands as c
from .agenda import Agenda
from .apply import APPLY
from .capacity import Capacity
from .decide import DECIDE
from .decide_clock import STEP_US, decide_clock_step, recomputations
from .decide_finish import decide_timeout, stop_run
from .decide_registry import decide_let_go
from .errors import KronError, UnknownTimer
from .events import POSITIONS, Event
from .model import Now, Stop
from .notes import NOTES
from .seen import Gap, Instant, Seen
from .state import State
from .things import Run, Timer
from .upcoming import look_at, start_next

RECORD_BYTES = 512_000
"""A step stops deciding when its record is estimated to reach this size."""
EVENT_BYTES = 160
NAME_BYTES = 32
"""An event is estimated at these: its fields, and a timer's name where that is not at hand. (What
is too little for long names is made up for by RECORD_BYTES: a log takes twice as much.)"""
ROOM = 16
"""Positions kept free for one decision. (The largest, a hundred runs to be caught up or a part of
a far step back, may take more than a step's limit; a record has room for it.)"""
LIMIT = POSITIONS - 512


class Answer(NamedTuple):
    """What a command is answered once its step is durable; `value` may be a KronError."""

    command: c.Command
    value: Any


class Step(NamedTuple):
    """One step's whole output.

    `events[i]` has the id `record * 4096 + i`. Nothing of it may be acted on before the record
    of that index is durable (with no events there is none, and nothing to wait for). `is_full`
    says that the record's limits ended the step: call again without waiting.
    """

    record: int
    events: list[Event]
    answers: list[Answer]
    is_full: bool


class Machine:
    """The scheduler as a pure object. Not thread-safe; it has one owner."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self.capacity = Capacity(self.state)
        self.agenda = Agenda(self.state, self.capacity)
        self.lingering: dict[tuple[int, int], Run] = {}
        self.let_in: frozenset[int] = frozenset()
        self.now = Now(0, 0)
        self.steady_us = 0
        self.is_live = False
        self.draining_us: int | None = None
        self.has_stepped = False
        self.seen = Seen()
        self._looks = ((Now(0, 0), Instant(0, 0)),) * 2
        self._base_us = 0
        self._events: list[Event] = []
        self._answers: list[Answer] = []
        self._size = 0
        self._work: deque[tuple[c.Command | Answer, bool]] = deque()
        self._taken: list[tuple[c.Command | Answer, bool]] = []
        self._waiting = 0

    # -- the contract ------------------------------------------------------------------------

    def replay(self, index: int, events: list[Event]) -> None:
        """Fold a record from the log. Raises KeyError or ValueError if it cannot follow."""
        state = self.state
        if index != state.index + 1:
            raise ValueError(f"record {index} cannot follow record {state.index}")
        at_us = state.last_us
        for id_, event in enumerate(events, index * POSITIONS):
            APPLY[type(event)](state, id_, event)
            at_us = getattr(event, "at_us", at_us)
        state.confirm(index, at_us)

    def step(self, inbox: deque[c.Command], now: Now, limit: int = LIMIT) -> Step:
        """Carry out commands from the left of `inbox`, then what is due, as one record.

        About `limit` events: half of them for commands, so that a flood of calls does not hold
        up the timers. What finds no room stays in the inbox. Ends with `confirm` or `undo`.
        """
        self._begin(now)
        events, room = self._events, limit // 2 - ROOM
        while (self._work or inbox) and len(events) <= room and self._size < RECORD_BYTES:
            if self._work:
                self._taken.append(self._work.popleft())
                self._carry_out(*self._taken[-1])
            else:
                self._receive(inbox.popleft())
        self.agenda.arm_all(self.state.changed())
        room, is_active, agenda = limit - ROOM, self.is_active, self.agenda
        pop_due = agenda.deadlines.pop_due
        while self.is_live and len(events) <= room and self._size < RECORD_BYTES:
            if agenda.timeouts and (run := agenda.pop_timeout()) is not None:
                self.fold(decide_timeout(self, run))
            elif not is_active:
                break
            elif (owner := pop_due(self.steady_us)) is not None:
                look_at(self, owner)
            elif start_next(self):
                continue
            elif (finished := self.agenda.pop_finished()) is not None:
                self.fold(decide_let_go(self, finished))
                self.agenda.arm_timer(finished)  # it may have waited for the end of a pause
            else:
                break
        is_full = bool(self._work or inbox) or len(events) > room or self._size >= RECORD_BYTES
        return Step(self.state.index + 1, self._events, self._answers, is_full)

    def confirm(self) -> None:
        """The step's record is durable (or the step had no events)."""
        if self._events:
            self.state.confirm(self.state.index + 1, self.now.wall_us)
        else:
            self.state.confirm(self.state.index, self.state.last_us)
        self.capacity.confirm()
        self.agenda.confirm()

    def undo(self) -> None:
        """The step's record was refused: the state is as it was before the step.

        The commands of the step are gone; whoever wants them decided again hands them in again.
        """
        changed = self.state.undo()
        moved = self.capacity.undo(self.lingering)
        self.agenda.undo()
        for thing in [*changed, *self.state.timers.values()] if self.has_stepped else changed:
            self.agenda.arm(thing)
            if isinstance(thing, Timer):
                self.agenda.arm_runs(thing.open)
        self.agenda.arm_runs(moved)
        left = islice(self._work, max(self._waiting - len(self._taken), 0))
        self._work = deque([*self._taken[: self._waiting], *left])

    def next_deadline(self) -> int | None:
        """When, in the clock's elapsed microseconds, `step` has something to do without commands;
        None: never. It may be early, never late."""
        if self._work:
            return self.now.elapsed_us
        if not self.is_live:
            return None
        due_us, end_us = self.agenda.next() if self.is_active else None, self.agenda.next_timeout()
        if end_us is not None:
            due_us = end_us if due_us is None else min(due_us, end_us)
        return None if due_us is None else due_us - self._base_us

    # -- what the deciding functions ask -----------------------------------------------------

    @property
    def is_active(self) -> bool:
        """True while runs may be started."""
        return self.is_live and self.draining_us is None

    def timer(self, name: str) -> Timer:
        """The timer of that name, or UnknownTimer."""
        timer = self.state.timers.get(name)
        if timer is None:
            raise UnknownTimer(f"there is no timer named {name!r}.")
        return timer

    def next_id(self, offset: int) -> int:
        """The id that the event `offset` places into the current decision will have."""
        return (self.state.index + 1) * POSITIONS + len(self._events) + offset

    def own_now(self, timer: Timer) -> int:
        """Now, on the clock the timer follows."""
        return self.steady_us if timer.definition.is_elapsed else self.now.wall_us

    def took_us(self, run: Run) -> int:
        """How long a run's attempt has been carried out, for want of an executor's word; that of a
        process that has died until its last sign of life."""
        lives, end_us = self.state.lives, self.now.wall_us
        started_us = run.started_us or end_us
        if len(lives) > 1 and started_us < lives[-1].started_us:
            end_us = min(end_us, lives[-2].ended_us or end_us)
        return max(0, end_us - started_us)

    def stop_run(self, run: Run, reason: Stop) -> list[Event]:
        """See decide_finish."""
        return stop_run(self, run, reason)

    # -- what the notes change ---------------------------------------------------------------

    def begin_life(self, max_concurrency: int | None) -> None:
        """From now on this process carries the schedule out."""
        self.keep("is_live", "_base_us")
        self._base_us = self.now.wall_us - self.state.shift_us - self.now.elapsed_us
        self.steady_us = self.agenda.now_us = self.now.elapsed_us + self._base_us
        self.is_live = True
        self.capacity.begin(max_concurrency)
        self._looks = ((self.now, Instant(self.now.wall_us, self.steady_us)),) * 2
        self.agenda.arm_finished()

    def keep(self, *names: str) -> None:
        """What `undo` puts back of the machine itself."""
        kept = {name: getattr(self, name) for name in names}
        self.state.on_undo(lambda: self.__dict__.update(kept))

    def weigh(self, size_bytes: int) -> None:
        """The step's record is so much larger than its events are estimated at."""
        self._size += size_bytes

    # -- one step ----------------------------------------------------------------------------

    def _begin(self, now: Now) -> None:
        self.now = now
        self._events, self._answers, self._size = [], [], 0
        self._taken, self._waiting, self.has_stepped = [], len(self._work), False
        self.let_in = frozenset()
        if not self.is_live:
            self.steady_us = self.agenda.now_us = now.wall_us - self.state.shift_us
            return
        self.steady_us = self.agenda.now_us = now.elapsed_us + self._base_us
        gap = self._look(now)
        steps = decide_clock_step(self)
        self.has_stepped = bool(steps)
        if steps:
            self.fold(steps)
            self.keep("seen")
            self.seen = self.seen.with_step(gap, steps[0].delta_us)
            if steps[0].era:
                self._work.extend((each, False) for each in recomputations(self))
            self.agenda.arm_all(self.state.timers.values())
            self.agenda.arm_all(self.state.runs.values())

    def _look(self, now: Now) -> Gap:
        """The time since the last look; most of it the machine may have been suspended."""
        if now != self._looks[1][0]:
            self._looks = self._looks[1], (now, Instant(now.wall_us, self.steady_us))
        (before, since), (_, here) = self._looks
        slept_us = now.asleep_us - before.asleep_us
        if slept_us > STEP_US and 2 * slept_us > now.elapsed_us - before.elapsed_us:
            self.seen = self.seen._replace(slept=Gap(since, here))
        return Gap(since, here)

    def _receive(self, command: c.Command) -> None:
        """A command from outside: one that was carried out before is answered again."""
        done = self.state.commands.get(command.cmd_id) if command.cmd_id else None
        if done is None:
            self._carry_out(command, True)
        else:
            self._answers.append(Answer(command, _first_answer(*done)))

    def _carry_out(self, command: c.Command | Answer, is_answered: bool) -> None:
        if isinstance(command, Answer):
            self._answers.append(command)
            return
        try:
            events, value, follow = DECIDE[type(command)](self, command)
        except KronError as exc:
            events, value, follow = [], exc, ()
        if events:
            self.fold(events)
        take_note = NOTES.get(type(command))
        if take_note is not None:
            take_note(self, command, events)
        if follow:
            self._work.extend((item, False) for item in follow)
            self._work.append((Answer(command, value), True))
        elif is_answered:
            self._answers.append(Answer(command, value))

    def fold(self, events: Sequence[Event], name_bytes: int = NAME_BYTES) -> None:
        """These events are part of the step."""
        state, taken = self.state, self._events
        id_ = (state.index + 1) * POSITIONS + len(taken)
        for event in events:
            APPLY[type(event)](state, id_, event)
            taken.append(event)
            id_ += 1
        if self.capacity.is_followed:
            self.capacity.follow(events)
        self._size += len(events) * (EVENT_BYTES + name_bytes)


def _first_answer(tag: str, id_: int, value: int) -> object:
    """What a repeated command was answered the first time, from what its events left behind."""
    if tag in ("created", "updated"):
        return tag
    if tag == "due":
        return id_, value
    if tag == "backfill":
        return value % (1 << 32), value >> 32
    if tag in ("cancelled", "stopping"):
        return value
    return None if tag == "skipped" else True
