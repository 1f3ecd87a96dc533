"""What can be read from a running engine: the answers of `status`, `list`, `history` and `why`."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from kron.core.errors import KronStopped
from kron.core.machine import Machine
from kron.core.things import Timer
from kron.core.views import TimerStatus, by_next_run, timer_status
from kron.storage.log import Log

from .clock import Clock
from .history import Past, past
from .promise import promise
from .story import Story, story_of

T = TypeVar("T")

OVERDUE_US = 5_000_000
"""A timer whose moment passed longer ago than this is noted: the loop may have been blocked."""


class Reading:
    """Reads one Machine and its Log, as of the last confirmed record; on the engine's loop, where
    `ask` brings a question from any thread."""

    def __init__(
        self, machine: Machine, log: Log, clock: Clock, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._loop = loop
        self._machine = machine
        self._log = log
        self._clock = clock

    def ask(self, question: Callable[[Reading], T]) -> Future[T]:
        """Have a question answered on the loop; thread-safe."""
        future: Future[T] = promise()

        def answer() -> None:
            try:
                future.set_result(question(self))
            except BaseException as exc:
                future.set_exception(exc)

        try:
            self._loop.call_soon_threadsafe(answer)
        except RuntimeError:
            error = KronStopped("the scheduler has stopped: its event loop was closed.")
            future.set_exception(error)
        return future

    def status(self, name: str) -> TimerStatus | None:
        """The timer of that name as a dict."""
        timer = self._machine.state.confirmed_timer(name)
        return None if timer is None else self._status(timer)

    def list(self) -> builtins.list[TimerStatus]:
        """All timers as dicts, by next run."""
        return by_next_run(map(self._status, self._machine.state.confirmed_timers()))

    def history(self, name: str | None, limit: int) -> Past:
        """The latest rows of history: what is in memory, and where the others are."""
        return past(self._machine.state, self._log, name, limit)

    def why(self, name: str, at: object) -> Story:
        """The question for a moment of a timer. Raises ScheduleError or TypeError for `at`."""
        now_us = self._clock.now().wall_us
        return story_of(self._machine.state, self._log, name, at, now_us, is_live=True)

    def overdue(self) -> builtins.list[tuple[str, int]]:
        """Timers that should have run a while ago, and since when (wall time): there are none."""
        machine, now_us = self._machine, self._clock.now().wall_us
        state = machine.state
        earliest_us = machine.agenda.deadlines.next()
        latest_us = now_us - state.shift_us - OVERDUE_US
        if not machine.is_active or earliest_us is None or earliest_us > latest_us:
            return []
        return [
            (timer.name, timer.deadline_us + state.shift_us)
            for timer in state.confirmed_timers()
            if timer.deadline_us is not None and timer.deadline_us <= latest_us
        ]

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
        return timer_status(state, timer, now, log_id, is_live=True, fn_name=fn_name)
