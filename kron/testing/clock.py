"""A virtual clock: time stands still until a test moves it, and then takes no time.

Wall time, elapsed time and sleep are one clock. Between two instants everything that goes by it
comes to rest (see `crew.py`), so a test sees the same order of things each time.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar, overload

from kron.core.duration import LONGEST_US, parse_duration
from kron.core.errors import InsideEventLoop, KronStopped, ScheduleError
from kron.core.instants import from_us, parse_instant
from kron.core.model import Now
from kron.core.terms import Duration
from kron.runtime.context import CURRENT
from kron.runtime.engine import Engine
from kron.runtime.hooks import CURRENT_HOOK

from .crew import POLITE_TURNS, QUIET_TURNS, Crew
from .driving import drive, is_inside_loop, outcome, owned
from .owed import Attempt, Call, Owed, Sleep, awaken
from .story import clock_text, waiting
from .trouble import NothingToDo, NotInTime

T = TypeVar("T")

START = "2027-01-01T00:00:00Z"
"""A Friday; when a test does not care."""


class VirtualClock:
    """A clock for `Scheduler(clock=...)` that a test moves.

    It starts at `start`, an aware datetime or an ISO 8601 string (read in UTC without an offset).
    With `autojump` a task or thread that sleeps on it, and is no callback, moves it until it wakes.
    `patience` is for how many real seconds a callback may go on before StillRunning is raised.

    The schedulers on it need not be named: each joins when it starts, on whatever loop. Durations
    are as in `schedule()`: "1h30m", seconds, a timedelta.
    """

    look_us = LONGEST_US  # never: who steps the clock has the engines look

    def __init__(
        self,
        start: dt.datetime | str | None = None,
        *,
        autojump: bool = False,
        patience: float = 10.0,
    ) -> None:
        start_us = parse_instant(START if start is None else start, dt.UTC, argument="start")
        self.autojump = autojump
        self.is_frozen = False
        self._now = Now(start_us, 1_000_000)
        self._owed = Owed()
        self._crew = Crew(patience, lambda: self._now.wall_us)
        self._lock = threading.RLock()

    # -- reading -----------------------------------------------------------------------------

    def now(self) -> Now:
        """All clocks, in microseconds, as the engine reads them."""
        return self._now

    @property
    def datetime(self) -> dt.datetime:
        """The wall clock, in UTC."""
        return from_us(self._now.wall_us)

    def time(self) -> float:
        """The wall clock, in seconds since 1970, as `time.time()`."""
        return self._now.wall_us / 1_000_000

    def monotonic(self) -> float:
        """Elapsed seconds, from an arbitrary origin, as `time.monotonic()`."""
        return self._now.elapsed_us / 1_000_000

    # -- letting time pass -------------------------------------------------------------------

    async def advance(self, duration: Duration) -> None:
        """Let that much time pass, from deadline to deadline; at each, everything comes to rest.

        Afterwards every due callback has ended or sleeps on the clock. Raises StillRunning.
        """
        span_us = parse_duration(duration, argument="duration", allow_zero=True)
        _refuse_inside("advance")
        await self._go_on(self._now.elapsed_us + span_us)

    async def advance_to(self, moment: dt.datetime | str) -> None:
        """As `advance`, until the wall clock shows `moment` (in UTC without an offset).

        Raises ScheduleError if it has passed, or if the wall clock is frozen.
        """
        moment_us = parse_instant(moment, dt.UTC, argument="moment")
        span_us = moment_us - self._now.wall_us
        if span_us < 0 or self.is_frozen:
            now = clock_text(self._now.wall_us)
            why = "the wall clock is frozen" if self.is_frozen else "that has passed"
            raise ScheduleError(
                f"advance_to({clock_text(moment_us)}): {why}; it shows {now}. To set the wall"
                " clock without letting time pass, use step()."
            )
        _refuse_inside("advance_to")
        await self._go_on(self._now.elapsed_us + span_us)

    @overload
    async def run_until(self, what: Callable[[], T], *, within: Duration = ...) -> T: ...
    @overload
    async def run_until(self, what: Awaitable[T], *, within: Duration = ...) -> T: ...
    async def run_until(
        self, what: Callable[[], T] | Awaitable[T], *, within: Duration = "1d"
    ) -> T:
        """Jump from deadline to deadline until a predicate is true or an awaitable is done, at
        most `within` of virtual time. Returns what it returned, or raises what it raised. An
        awaitable that is not done by then is cancelled.

        The awaitable's own waiting for the real world (a socket, say) counts as sleep. Raises
        NothingToDo if everything sleeps for ever, NotInTime, StillRunning.
        """
        until_us = self._now.elapsed_us + parse_duration(within, argument="within")
        _refuse_inside("run_until")
        if inspect.iscoroutinefunction(what):
            raise TypeError("run_until() takes a plain predicate or an awaitable: call yours.")
        if callable(what):
            result = await self._until(what, until_us, POLITE_TURNS)
            await self._look()
            return result
        async with owned(outcome(what)) as task:
            await self._moved_until(task, until_us)
            await self._look()
            return task.result()

    async def settle(self) -> None:
        """Wait until every scheduler sleeps and every callback has ended or sleeps on the clock;
        no time passes. Raises StillRunning."""
        _refuse_inside("settle")
        await self._crew.rested(turns=POLITE_TURNS)

    def drive(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Carry out one of this clock's coroutines from synchronous code, on the loop of a running
        scheduler: `clock.drive(clock.advance("1h"))`. Raises InsideEventLoop."""
        return drive(coroutine, self._crew)

    # -- sleeping ----------------------------------------------------------------------------

    async def sleep(self, duration: Duration) -> None:
        """Sleep until so much time has passed here."""
        span_us = parse_duration(duration, argument="duration", allow_zero=True)
        if not span_us:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        call = self._fall_asleep(span_us, partial(awaken, woken), loop)
        try:
            if self.autojump and call.sleep and call.sleep.attempt is None:
                await self._moved_until(woken)
                await self._look()  # as `advance`: what is due at that instant has been done
            await woken
        finally:
            self._wake_early(call)

    def sleep_sync(self, duration: Duration) -> None:
        """As `sleep`, for a thread: blocks until another one has let so much time pass.

        Raises InsideEventLoop on a loop's thread, and KronStopped in a callback whose scheduler is
        over.
        """
        span_us = parse_duration(duration, argument="duration", allow_zero=True)
        if is_inside_loop():
            raise InsideEventLoop(
                "sleep_sync() blocks its thread; inside the event loop use: await clock.sleep(...)"
            )
        woken = threading.Event()
        call = self._fall_asleep(span_us, woken.set, None)
        try:
            if self.autojump and call.sleep and call.sleep.attempt is None:
                self.drive(self._until(woken.is_set))
            woken.wait()
        finally:
            self._wake_early(call)
        if call.is_abandoned:
            raise KronStopped("the scheduler has stopped, and with it what slept on its clock.")

    # -- what befalls a machine --------------------------------------------------------------

    def step(self, duration: Duration, *, backwards: bool = False) -> None:
        """Set the wall clock forward, or back ("-1h"), as an administrator would; no time passes.

        The schedulers see it at their next turn: `settle()` waits for that.
        """
        step_us = _signed_us(duration)
        with self._lock:
            self._set(self._now.elapsed_us, wall_us=-step_us if backwards else step_us)
            self._crew.look()

    def suspend(self, duration: Duration) -> None:
        """The machine sleeps: wall and elapsed time go on, nothing runs; then it wakes up.

        `settle()` waits until what fell due has been dealt with.
        """
        self._lose(parse_duration(duration, argument="duration"), is_asleep=True)

    def block(self, duration: Duration) -> None:
        """Time passes and the event loop does not turn, as if somebody computed on it; then it
        does. Callbacks may do this too."""
        self._lose(parse_duration(duration, argument="duration"), is_asleep=False)

    def freeze(self) -> None:
        """The wall clock stands still while time elapses, until `thaw()`."""
        self.is_frozen = True

    def thaw(self) -> None:
        """The wall clock goes on, from where it stands."""
        self.is_frozen = False

    # -- what the engine asks of a clock -----------------------------------------------------

    def call_at(self, elapsed_us: int, call: Callable[[], None]) -> Call:
        """See `Clock.call_at`. What is further away than any deadline is never called."""
        owed = Call(call, asyncio.get_running_loop())
        if elapsed_us - self._now.elapsed_us < self.look_us:
            with self._lock:
                self._owed.add(elapsed_us, owed)
        self._crew.tell()
        return owed

    def join(self, engine: Engine) -> None:
        """See `Clock.join`."""
        self._crew.join(engine)

    def leave(self, engine: Engine) -> None:
        """See `Clock.leave`. A thread that sleeps in a callback of that engine is let go."""
        self._crew.leave(engine)
        log_id = engine.log.log_id
        with self._lock:
            left = [call for call in self._owed.sleeps() if call.is_of_thread_in(log_id)]
            for call in left:
                call.is_abandoned = True
            self._fire(left)

    # -- moving ------------------------------------------------------------------------------

    async def _go_on(self, until_us: int) -> None:
        turns = QUIET_TURNS
        while True:
            version = await self._crew.rested(turns=turns)
            at_us = self._next()
            if at_us is not None and at_us <= until_us:
                self._jump(at_us, version)
                turns = QUIET_TURNS
            elif turns < POLITE_TURNS:
                turns = POLITE_TURNS
            elif self._jump(until_us, version):
                return await self._look()

    async def _until(
        self, is_true: Callable[[], T], until_us: int | None = None, turns: int = QUIET_TURNS
    ) -> T:
        while True:
            version = await self._crew.rested(turns=turns)
            if result := is_true():
                return result
            at_us = self._next()
            if at_us is None or self._sleeps_for_ever():
                now = clock_text(self._now.wall_us)
                raise NothingToDo(
                    f"everything sleeps for ever: at {now} nothing is to come, and what is waited"
                    f" for has not come about.\n{waiting(self._crew.engines)}"
                )
            if until_us is not None and at_us > until_us:
                self._jump(until_us, version)
                now = clock_text(self._now.wall_us)
                raise NotInTime(
                    f"run_until(): it has not come about by {now}; within= allows for more."
                    f"\n{waiting(self._crew.engines)}"
                )
            self._jump(at_us, version)

    async def _moved_until(self, done: asyncio.Future[Any], until_us: int | None = None) -> None:
        """Move the clock until a future is done, and not a turn longer: others may move it too."""
        async with owned(self._until(done.done, until_us, POLITE_TURNS)) as mover:
            await asyncio.wait({done, mover}, return_when=asyncio.FIRST_COMPLETED)
            if mover.done():
                mover.result()

    async def _look(self) -> None:
        """The engines see what time it is: what befalls the machine next does so from here on.
        test_a_suspension_after_a_quiet_day_is_told_from_a_blocked_loop"""
        self._crew.look()
        await self._crew.rested()

    def _next(self) -> int | None:
        with self._lock:
            return self._owed.next()

    def _jump(self, elapsed_us: int, version: int) -> bool:
        """Go to that instant and make the calls due; not if something happened since `version`."""
        with self._lock:
            if self._crew.version != version:
                return False
            self._crew.is_polite = False
            self._set(max(elapsed_us, self._now.elapsed_us))
            self._fire(self._owed.pop_due(elapsed_us))
        return True

    def _lose(self, span_us: int, *, is_asleep: bool) -> None:
        with self._lock:
            asleep_us = span_us if is_asleep else 0
            self._set(self._now.elapsed_us + span_us, asleep_us=asleep_us)
            self._fire(self._owed.pop_due(self._now.elapsed_us))
            self._crew.look()

    def _set(self, elapsed_us: int, *, wall_us: int = 0, asleep_us: int = 0) -> None:
        """One reading replaces the other; the wall clock goes along, and steps by `wall_us`."""
        then = self._now
        passed_us = 0 if self.is_frozen else elapsed_us - then.elapsed_us
        wall_us += then.wall_us + passed_us
        self._now = Now(wall_us, elapsed_us, then.asleep_us + asleep_us)

    def _fire(self, calls: list[Call]) -> None:
        """Make calls. Under the lock, like all that moves time: who else moves it sees either
        nothing of it or all."""
        for call in calls:
            if call.sleep is not None:
                self._crew.rouse(call.sleep)
                call.sleep = None
            call.fire()
        self._crew.tell()

    def _fall_asleep(
        self, span_us: int, wake: Callable[[], object], loop: asyncio.AbstractEventLoop | None
    ) -> Call:
        sleep = Sleep(_attempt(), is_thread=loop is None)
        call = Call(wake, loop, sleep)
        with self._lock:
            self._owed.add(self._now.elapsed_us + span_us, call)
            self._crew.rest(sleep)
        return call

    def _wake_early(self, call: Call) -> None:
        """A sleep that was cancelled; nothing to do after one that has ended."""
        with self._lock:
            call.cancel()
            if call.sleep is not None:
                self._crew.rouse(call.sleep)
                call.sleep = None

    def _sleeps_for_ever(self) -> bool:
        """True if what is owed is housekeeping: letting finished timers go."""
        if any(e.machine.agenda.deadlines.next() is not None for e in self._crew.engines):
            return False
        with self._lock:
            return not self._owed.sleeps()


def _signed_us(duration: Duration) -> int:
    """A duration that may be negative; ScheduleError if it is 0 or none."""
    if isinstance(duration, str) and duration.startswith("-"):
        return -parse_duration(duration[1:], argument="duration")
    if isinstance(duration, dt.timedelta) and duration < dt.timedelta():
        return -parse_duration(-duration, argument="duration")
    if isinstance(duration, int | float) and not isinstance(duration, bool) and duration < 0:
        return -parse_duration(-duration, argument="duration")
    return parse_duration(duration, argument="duration")


def _attempt() -> Attempt | None:
    """Which callback this code is part of, or which hook."""
    job, hook = CURRENT.get(), CURRENT_HOOK.get()
    if job is not None:
        return job.log_id, job.run, job.attempt
    return None if hook is None else (hook[0], -hook[1], 0)


def _refuse_inside(verb: str) -> None:
    if _attempt() is not None:
        raise RuntimeError(
            f"{verb}() in a callback would wait for that callback; there, use clock.sleep()."
        )
