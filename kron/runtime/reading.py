"""What can be read from a running engine: the answers of `status`, `list`, `history` and `why`."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from kron.core import commands as c
from kron.core.command import CommandSpec
from kron.core.errors import KronStopped
from kron.core.machine import Machine
from kron.core.model import Overlap
from kron.core.row_query import RowQuery
from kron.core.steering import Backfill, BackfillAsked, previewed
from kron.core.things import Timer
from kron.core.timer_query import TimerQuery
from kron.core.views import TimerStatus, timer_status
from kron.storage.log import Log

from .clock import Clock
from .history import Past, past
from .listing import Slices, in_order, names_of
from .questions import Questions
from .story import Story, story_of

T = TypeVar("T")

OVERDUE_US = 5_000_000
"""A timer whose moment passed longer ago than this is noted: the loop may have been blocked."""
GRACE_US = 60_000_000
"""Beyond this nothing but a fault explains it, where a timer has no `grace=` of its own."""


class Overdue(NamedTuple):
    """A timer that should have run at `since_us` (wall time), `late_us` ago."""

    timer: str
    since_us: int
    late_us: int
    is_beyond_grace: bool


class Reading:
    """Reads one Machine and its Log, as of the last confirmed record; on the engine's loop, where
    `ask` brings a question from any thread."""

    def __init__(
        self, machine: Machine, log: Log, clock: Clock, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._questions = Questions(loop)
        self._machine = machine
        self._log = log
        self._clock = clock

    def ask(self, question: Callable[[Reading], T]) -> Future[T]:
        """Have a question answered on the loop; thread-safe. KronStopped if the engine has ended
        before."""
        return self._questions.put(lambda: question(self))

    def ask_long(self, question: Callable[[Reading], Slices[T]]) -> Future[T]:
        """As `ask`, of one that takes long: in slices, with turns of the loop between them."""
        return self._questions.put_long(question(self))

    def refuse(self, refusal: Callable[[], KronStopped]) -> None:
        """The engine has ended: whoever still waits for an answer is told so."""
        self._questions.refuse(refusal)

    def status(self, name: str) -> TimerStatus | None:
        """The timer of that name as a dict."""
        timer = self._machine.state.confirmed_timer(name)
        return None if timer is None else self._status(timer)

    def list(self, query: TimerQuery) -> Slices[builtins.list[TimerStatus]]:
        """The timers that are asked for as dicts, by next run."""
        return in_order(self._machine.state, query, self._status, is_carried=True)

    def names(self, query: TimerQuery) -> Slices[builtins.list[str]]:
        """The names of those timers."""
        return names_of(self._machine.state, query)

    def history(self, query: RowQuery) -> Past:
        """The latest rows of history: what is in memory, and where the others are."""
        return past(self._machine.state, self._log, query)

    def why(self, name: str, at: object) -> Story:
        """The question for a moment of a timer. Raises ScheduleError or TypeError for `at`."""
        now_us, machine = self._clock.now().wall_us, self._machine
        state, capacity = machine.state, machine.capacity
        return story_of(state, self._log, name, at, now_us, is_live=True, capacity=capacity)

    def commands(self) -> builtins.list[tuple[str, CommandSpec | None]]:
        """All timers, each with the command that it starts."""
        state = self._machine.state
        return [
            (timer.name, state.confirmed(timer)["definition"].terms.command)
            for timer in state.confirmed_timers()
        ]

    def declared(self) -> builtins.list[str]:
        """The timers that files declare, or did before."""
        return [
            timer.name
            for timer in self._machine.state.confirmed_timers()
            if timer.definition.terms.source
        ]

    def own(self, names: Iterable[str]) -> dict[str, Any]:
        """Those of these that the program schedules itself, and the callable of each."""
        timers = self._machine.state.timers
        found = [timers[name] for name in names if name in timers]
        return {
            timer.name: timer.target.fn
            for timer in found
            if timer.target is not None and not timer.definition.terms.source
        }

    def backfill(self, asked: BackfillAsked, cmd_id: str = "") -> c.Backfill:
        """The command for what is asked. Raises UnknownTimer, ScheduleError, TypeError."""
        definition = self._machine.timer(asked.name).definition
        return asked.command(definition, self._clock.now().wall_us, cmd_id)

    def backfill_preview(self, command: c.Backfill) -> Backfill:
        """What it would run. Raises UnknownTimer, ScheduleError."""
        return previewed(self._machine.state, self._machine.timer(command.name), command)

    def backfills(self, since_us: int) -> builtins.list[c.Backfill]:
        """The commands that backfill what this process has registered until now."""
        now_us = self._clock.now().wall_us
        return [
            c.Backfill(timer.name, since_us, now_us)
            for timer in self._machine.state.confirmed_timers()
            if timer.target is not None and not timer.definition.is_one_shot
        ]

    def is_open(self, until_us: int) -> bool:
        """Whether anything that was to run by that time of the wall clock does, or will at once:
        not a retry of later, and no orphan."""
        machine, state = self._machine, self._machine.state
        behind_retry: set[Timer] = set()
        for run in state.runs.values():  # in the order in which they became due
            timer, retry_us = run.timer, run.retry_us
            is_later = retry_us is not None and retry_us + state.shift_us > until_us
            is_to_be = timer.bound_us is not None and not is_later and timer not in behind_retry
            if is_to_be and run.scheduled_us <= until_us:
                return True
            if is_later and timer.definition.terms.overlap is not Overlap.ALLOW:
                behind_retry.add(timer)
        earliest_us = machine.agenda.deadlines.next()
        return earliest_us is not None and earliest_us + state.shift_us <= until_us

    def overdue(self) -> builtins.list[Overdue]:
        """Timers that should have run a while ago: there are none. Those beyond their grace come
        first (it is taken to be no less than that while), then the latest."""
        machine, now_us = self._machine, self._clock.now().wall_us
        state = machine.state
        earliest_us = machine.agenda.deadlines.next()
        latest_us = now_us - state.shift_us - OVERDUE_US
        if not machine.is_active or earliest_us is None or earliest_us > latest_us:
            return []
        found = [
            self._overdue(timer, timer.deadline_us + state.shift_us, now_us)
            for timer in state.timers.values()
            if timer.deadline_us is not None and timer.deadline_us <= latest_us
            if state.confirmed_timer(timer.name) is timer
        ]
        return sorted(found, key=lambda each: (not each.is_beyond_grace, each.since_us))

    def _overdue(self, timer: Timer, since_us: int, now_us: int) -> Overdue:
        grace_us = timer.definition.terms.grace_us
        allowed_us = max(GRACE_US if grace_us is None else grace_us, OVERDUE_US)
        late_us = now_us - since_us
        return Overdue(timer.name, since_us, late_us, late_us > allowed_us)

    def next_one_shot(self) -> tuple[str, float] | None:
        """The one-shot that is to fire next, and in how many seconds."""
        now_us, state = self._clock.now().wall_us, self._machine.state
        coming = [
            (state.to_wall(timer, timer.next_us), timer.name)
            for timer in state.confirmed_timers()
            if timer.definition.is_one_shot and timer.next_us is not None
        ]
        if not coming:
            return None
        next_us, name = min(coming)
        return name, max(next_us - now_us, 0) / 1_000_000

    def _status(self, timer: Timer) -> TimerStatus:
        fn_name = timer.target.name if timer.target else timer.definition.terms.fn_name or None
        state, now, log_id = self._machine.state, self._machine.now, self._log.log_id
        capacity = self._machine.capacity
        return timer_status(state, timer, now, log_id, capacity=capacity, fn_name=fn_name)
