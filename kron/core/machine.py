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
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from . import commands as c
from .agenda import Agenda
from .apply import APPLY
from .decide_clock import STEP_US, decide_clock_step, decide_recompute, recomputations
from .decide_due import decide_due, decide_ready
from .decide_finish import (
    decide_abandon,
    decide_cancel,
    decide_cancel_run,
    decide_finish,
    decide_interrupt,
    decide_stop_runs,
)
from .decide_host import decide_drain, decide_start, decide_stopped
from .decide_registry import (
    decide_let_go,
    decide_pause,
    decide_remove,
    decide_resume,
    decide_schedule,
    decide_trigger,
)
from .errors import KronError, UnknownTimer
from .events import POSITIONS, Event, TimerResumed
from .model import ELAPSED_KINDS, Now
from .seen import Gap, Instant, Seen
from .state import State
from .things import Run, Timer
from .timing import look_us

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
LOOK_AGAIN_US = 1_000
"""A wall clock that is not there yet is looked at again no sooner: it may stand still."""

Decision: TypeAlias = tuple[list[Any], object, tuple[c.Command, ...]]
"""Events, the answer, and commands to be carried out next (in as many records as they need)."""


DECIDE: dict[type[c.Command], Callable[[Machine, Any], Decision]] = {
    c.Schedule: decide_schedule,
    c.Remove: decide_remove,
    c.Pause: decide_pause,
    c.Resume: decide_resume,
    c.Trigger: decide_trigger,
    c.Cancel: decide_cancel,
    c.CancelRun: decide_cancel_run,
    c.FinishRun: decide_finish,
    c.Interrupt: decide_interrupt,
    c.Start: decide_start,
    c.Drain: decide_drain,
    c.StopRuns: decide_stop_runs,
    c.AbandonRuns: decide_abandon,
    c.Stopped: decide_stopped,
    c.Recompute: decide_recompute,
}


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
        self.agenda = Agenda(self.state)
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
        room, is_active, pop_due = limit - ROOM, self.is_active, self.agenda.deadlines.pop_due
        while is_active and len(events) <= room and self._size < RECORD_BYTES:
            owner = pop_due(self.steady_us)
            if owner is not None:
                self._look_at(owner)
            elif (finished := self.agenda.pop_finished()) is not None:
                self._fold(decide_let_go(self, finished))
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

    def undo(self) -> None:
        """The step's record was refused: the state is as it was before the step.

        The commands of the step are gone; whoever wants them decided again hands them in again.
        """
        changed = self.state.undo()
        for thing in [*changed, *self.state.timers.values()] if self.has_stepped else changed:
            self.agenda.arm(thing)
            if isinstance(thing, Timer):
                self.agenda.arm_runs(thing.open)
        left = islice(self._work, max(self._waiting - len(self._taken), 0))
        self._work = deque([*self._taken[: self._waiting], *left])

    def next_deadline(self) -> int | None:
        """When, in the clock's elapsed microseconds, `step` has something to do without commands;
        None: never. It may be early, never late."""
        if self._work:
            return self.now.elapsed_us
        if not self.is_active:
            return None
        due_us = self.agenda.next()
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
        """How long a run's attempt has been carried out, for want of an executor's word."""
        return max(0, self.now.wall_us - (run.started_us or self.now.wall_us))

    # -- one step ----------------------------------------------------------------------------

    def _begin(self, now: Now) -> None:
        self.now = now
        self._events, self._answers, self._size = [], [], 0
        self._taken, self._waiting, self.has_stepped = [], len(self._work), False
        if not self.is_live:
            self.steady_us = self.agenda.now_us = now.wall_us - self.state.shift_us
            return
        self.steady_us = self.agenda.now_us = now.elapsed_us + self._base_us
        gap = self._look(now)
        steps = decide_clock_step(self)
        self.has_stepped = bool(steps)
        if steps:
            self._fold(steps)
            self._keep("seen")
            self.seen = self.seen.with_step(gap, steps[0].delta_us)
            if steps[0].era:
                self._work.extend((each, False) for each in recomputations(self))
            self.agenda.arm_all(self.state.timers.values())

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
            self._fold(events)
        take_note = NOTES.get(type(command))
        if take_note is not None:
            take_note(self, command)
        if follow:
            self._work.extend((item, False) for item in follow)
            self._work.append((Answer(command, value), True))
        elif is_answered:
            self._answers.append(Answer(command, value))

    def _look_at(self, owner: Any) -> None:
        """An owner's deadline has come: decide, or put it back if the wall clock is not there."""
        if isinstance(owner, Run):
            self._fold(decide_ready(self, owner), len(owner.timer.name))
        elif owner.definition.kind in ELAPSED_KINDS or (early_us := self._early_us(owner)) <= 0:
            self._fold(decide_due(self, owner), len(owner.name))
            self.agenda.arm_timer(owner)
        else:
            self.agenda.deadlines.arm(owner, self.steady_us + max(early_us, LOOK_AGAIN_US))

    def _early_us(self, timer: Timer) -> int:
        """How far the wall clock is from what the timer waits for."""
        return (look_us(timer, 0) or 0) - self.now.wall_us

    def _fold(self, events: Sequence[Event], name_bytes: int = NAME_BYTES) -> None:
        state, taken = self.state, self._events
        id_ = (state.index + 1) * POSITIONS + len(taken)
        for event in events:
            APPLY[type(event)](state, id_, event)
            taken.append(event)
            id_ += 1
        self._size += len(events) * (EVENT_BYTES + name_bytes)

    # -- what a command changes in this process alone: nothing of it is in the log ------------

    def _note_start(self, command: c.Start) -> None:
        self._keep("is_live", "_base_us")
        self._base_us = self.now.wall_us - self.state.shift_us - self.now.elapsed_us
        self.steady_us = self.agenda.now_us = self.now.elapsed_us + self._base_us
        self.is_live = True
        self._looks = ((self.now, Instant(self.now.wall_us, self.steady_us)),) * 2
        self.agenda.arm_finished()

    def _note_drain(self, command: c.Drain) -> None:
        self._keep("draining_us")
        self.draining_us = self.draining_us or self.now.wall_us

    def _keep(self, *names: str) -> None:
        kept = {name: getattr(self, name) for name in names}
        self.state.on_undo(lambda: self.__dict__.update(kept))

    def _note_schedule(self, command: c.Schedule) -> None:
        """A registration says that the callable is here: an orphan may fire again."""
        self._size += command.size_bytes
        timer = self.state.timers.get(command.name)
        if timer is None or not self.is_live:
            return
        if timer.bound_us is None:
            anchor_us = self.state.to_wall(timer, timer.anchor_us)
            is_of_now = timer.definition.is_elapsed and anchor_us == command.called_us
            timer.bound_us = timer.anchor_us if is_of_now else self.steady_us
            self.state.on_undo(lambda: self._unbind(timer))
            self.agenda.arm(timer)
        self.agenda.arm_runs(timer.open)

    def _note_resume(self, command: c.Resume) -> None:
        """A one-shot that fell due in the pause runs now; it says what kept it."""
        last = self._events[-1] if self._events else None
        if isinstance(last, TimerResumed) and last.timer == command.name and last.next_us:
            timer = self.state.timers[command.name]
            if timer.definition.is_one_shot:
                here = Instant(self.now.wall_us, self.steady_us)
                self.seen = self.seen.with_pause(timer.id, here)

    def _note_finish(self, command: c.FinishRun) -> None:
        if command.error:  # JSON may escape each character by six bytes, in two events
            self._size += 12 * len(command.error)

    def _unbind(self, timer: Timer) -> Timer:
        timer.bound_us = None
        return timer


NOTES: dict[type[c.Command], Callable[[Machine, Any], None]] = {
    c.Start: Machine._note_start,
    c.Drain: Machine._note_drain,
    c.Schedule: Machine._note_schedule,
    c.Resume: Machine._note_resume,
    c.FinishRun: Machine._note_finish,
}


def _first_answer(tag: str, id_: int, value: int) -> object:
    """What a repeated command was answered the first time, from what its events left behind."""
    if tag in ("created", "updated"):
        return tag
    if tag == "due":
        return id_, value
    if tag in ("cancelled", "stopping"):
        return value
    return None if tag == "skipped" else True
