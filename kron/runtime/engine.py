"""The engine: take what came in, let the Machine decide, make it durable, then act.

One record is on its way at a time. Whatever arrives meanwhile (calls, completions, due moments)
goes into the next one: group commit follows from the shape of the loop, not from a timer.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

from kron.core import commands as c
from kron.core import events as ev
from kron.core.codec import encode
from kron.core.errors import KronError, KronStopped, LogFailed, StorageError
from kron.core.machine import Machine, Step
from kron.core.model import RunState, Stop
from kron.storage.log import Log

from .callables import Lane
from .clock import Clock
from .context import Job
from .environment import Providers
from .failures import report_dead, report_failed, report_past
from .hooks import Hooks
from .meter import Meter
from .output import Outputs
from .processes import Processes
from .promise import promise
from .reading import Reading
from .registry import Registration, registered
from .tasks import Tasks
from .threads import Threads

logger = logging.getLogger("kron.engine")
T = TypeVar("T")
Errand: TypeAlias = Callable[[], Awaitable[Any]]

FEED = 4096
"""Registrations of a start that wait in the inbox at a time: two records' worth."""

_RUNNING = RunState.RUNNING


class Engine:
    """Drives one Machine over one Log on one event loop.

    `submit` and `hand_in` may be called from any thread; all else belongs to the loop.
    """

    def __init__(self, machine: Machine, log: Log, clock: Clock, outputs: Outputs) -> None:
        self.machine = machine
        self.log = log
        self.clock = clock
        self.loop = asyncio.get_running_loop()
        self.reading = Reading(machine, log, clock, self.loop)
        self.thread = threading.get_ident()
        self.failure: BaseException | None = None
        self.is_over = False
        self.is_cancelled = False
        self.on_grown: Callable[[], None] = lambda: None
        self.grown_bytes = sys.maxsize
        self.tasks = Tasks(self.hand_in, self.loop)
        self.threads = Threads(self.hand_in, self._adopt, self.loop)
        self.processes = Processes(self.hand_in, outputs, Providers())
        self.meter = Meter()
        self.hooks = Hooks(machine.state, log.log_id, self.loop)
        self.observers: list[Callable[[Step], None]] = [self.meter.see, self.hooks.see]
        self._lanes: dict[Lane, Callable[[Job], None]] = {
            "task": self.tasks.start,
            "thread": self.threads.start,
            "process": self.processes.start,
        }
        self._inbox: deque[c.Command] = deque()
        self._callers: dict[int, tuple[Future[Any] | None, Registration | None]] = {}
        self._backlog: list[Registration] = []
        self._registered: Future[Any] = promise()
        self._errands: deque[tuple[Errand, Future[Any]]] = deque()
        self._is_woken = False
        self._sleeper: asyncio.Future[None] | None = None
        self._watchers: list[asyncio.Future[None]] = []
        log.on_failure = self._log_failed

    # -- the front door ----------------------------------------------------------------------

    def submit(self, command: c.Command, registration: Registration | None = None) -> Future[Any]:
        """Hand a command in. The future has its answer once that is durable, or the KronError.
        With a Schedule comes its `registration`, which says what the timer calls from then on."""
        future: Future[Any] = promise()
        self._callers[id(command)] = (future, registration)
        self.hand_in(command)
        return future

    def register(self, registrations: Iterable[Registration]) -> Future[Any]:
        """Hand many in. The future is done when all are durable. Before `run`, after the Start."""
        self._backlog = list(registrations)
        self._backlog.reverse()
        return self._registered

    def hand_in(self, command: c.Command) -> None:
        """As `submit`, where nobody waits for the answer."""
        self._inbox.append(command)
        if self.is_over:
            self._refuse_all()
        elif not self._is_woken:
            self._is_woken = True
            if threading.get_ident() == self.thread:
                self._wake()
            else:
                self._wake_from_afar()

    def between_steps(self, errand: Callable[[], Awaitable[T]]) -> Future[T]:
        """Have something done on the loop while no append is in flight; the future has what it
        returned or raised."""
        future: Future[T] = promise()
        self._errands.append((errand, future))
        if self.is_over:
            self._refuse_all()
        else:
            self._wake()
        return future

    def _wake_from_afar(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            self.lose_loop()

    def lose_loop(self) -> None:
        """The loop was closed under the engine: nobody will carry anything out."""
        self.is_over = True
        self.failure = self.failure or RuntimeError("its event loop was closed")
        self._refuse_all()

    # -- the loop ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry out the schedule until SCHEDULER_STOPPED is durable, or the log fails.

        A cancellation does not end it: running attempts are asked to stop, and the host (which was
        cancelled too) brings the engine down in order.
        """
        self.clock.join(self)
        try:
            while not self.is_over:
                await self._turn()
        except BaseException as exc:
            self.failure = exc
            logger.critical("the scheduler stopped: %s", exc, exc_info=exc)
            if not isinstance(exc, Exception):
                raise
        finally:
            self.is_over = True
            self._refuse_all()
            self._tell_watchers()
            self.threads.stop()
            self.processes.stop()
            self.clock.leave(self)

    async def _turn(self) -> None:
        self._is_woken = False
        if self.failure is not None:
            raise self.failure
        if self._backlog:
            self._feed()
        self.machine.capacity.free_threads = self.threads.free
        step = self.machine.step(self._inbox, self.clock.now())
        if step.events:
            await self._append(step)
        for observe in self.observers:
            observe(step)
        self.machine.confirm()
        if step.answers:
            self._bind(step)
        for event in step.events:
            react = REACT.get(type(event))
            if react is not None:
                react(self, event)
        if step.answers:
            self._answer(step)
        if self._watchers:
            self._tell_watchers()
        while self._errands:
            await self._run_errand(*self._errands.popleft())
        if not (step.is_full or self._backlog or self.is_over):
            await self._sleep()
        elif not step.events:
            await self._yield()

    def _feed(self) -> None:
        """As much of the backlog as the next steps can take."""
        backlog = self._backlog
        for _ in range(min(FEED - len(self._inbox), len(backlog))):
            registration = backlog.pop()
            command = registration.command()
            self._callers[id(command)] = (None if backlog else self._registered, registration)
            self._inbox.append(command)

    async def _append(self, step: Step) -> None:
        """Make the step durable. A cancellation arrives only after the record is definite."""
        machine = self.machine
        log_time_us = max(machine.state.log_time_us, machine.now.wall_us)
        try:
            await self.log.append(step.record, encode(step.events, log_time_us))
        except asyncio.CancelledError:
            self._note_cancelled()
        except StorageError as exc:
            self.machine.undo()
            self.failure, self.is_over = exc, True
            raise
        if self.log.size_bytes > self.grown_bytes:
            self.on_grown()

    async def _run_errand(self, errand: Errand, future: Future[Any]) -> None:
        try:
            future.set_result(await errand())
        except asyncio.CancelledError:
            self._note_cancelled()
            future.set_exception(self.stopped_error())
        except Exception as exc:
            future.set_exception(exc)
            if isinstance(exc, LogFailed):
                self.failure, self.is_over = exc, True
                raise

    async def _sleep(self) -> None:
        """Until something comes in, the next deadline, or it is time for a look at the clocks."""
        deadline_us = self.machine.next_deadline()
        now_us = self.clock.now().elapsed_us
        is_due = deadline_us is not None and deadline_us <= now_us
        if is_due or self._is_woken or self._inbox:
            await self._yield()
            return
        look_us = now_us + self.clock.look_us
        self._sleeper = self.loop.create_future()
        wake_us = look_us if deadline_us is None else min(deadline_us, look_us)
        handle = self.clock.call_at(wake_us, self._wake)
        try:
            await self._sleeper
        except asyncio.CancelledError:
            self._note_cancelled()
        finally:
            handle.cancel()
            self._sleeper = None

    async def _yield(self) -> None:
        """Let everybody else on the loop have a turn."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._note_cancelled()

    def _wake(self) -> None:
        self._is_woken = True
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    def _log_failed(self, failure: StorageError) -> None:
        """The log failed while nothing was on its way (from the writer's thread)."""
        self.failure = failure
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be stopped
            self.loop.call_soon_threadsafe(self._wake)

    def _note_cancelled(self) -> None:
        # asyncio.run, at its end: what became of the attempts, which it cancelled too, comes behind
        if not self.is_cancelled:
            self.is_cancelled = True
            self._inbox.appendleft(c.StopRuns())
            self._inbox.appendleft(c.Drain())

    # -- acting on what is durable -----------------------------------------------------------

    def _bind(self, step: Step) -> None:
        """What a registration brought is what its timer calls from now on."""
        callers, timers = self._callers, self.machine.state.timers
        for command, _ in step.answers:
            _, brought = callers.get(id(command)) or (None, None)
            if brought is not None and (timer := timers.get(brought.name)) is not None:
                timer.target = brought.target
                if self.hooks.unbound:
                    self.hooks.bind(timer)

    def _answer(self, step: Step) -> None:
        callers = self._callers
        for command, value in step.answers:
            caller = callers.pop(id(command), None)
            if caller is None or caller[0] is None:
                continue
            if isinstance(value, KronError):
                caller[0].set_exception(value)
            else:
                caller[0].set_result(value)

    def _start(self, event: ev.RunStarted) -> None:
        run = self.machine.state.runs.get(event.run)
        if run is None or run.attempt != event.attempt:
            return
        if run.state is not _RUNNING:  # it was stopped in the very record that started it
            if run.is_under_way:
                error = "stopped before it began"
                self.hand_in(c.FinishRun(run.id, run.attempt, c.Outcome.CANCELLED, 0, error))
            return
        target = run.timer.target
        state = self.machine.state
        job = Job(run, target, self.log.log_id, state.era_of(run.id) if state.eras else 0)
        self._lanes[target.lane](job)

    def _adopt(self, job: Job, awaitable: Any) -> None:
        """A thread's callback returned something to await; the run may have been stopped since."""
        self.tasks.adopt(job, awaitable)
        run = self.machine.state.runs.get(job.run)
        if run is None or run.state is not _RUNNING:
            self.tasks.cancel(job.run)

    def _stop(self, event: ev.RunStopping) -> None:
        run = self.machine.state.runs.get(event.run)
        if run is None or any(lane.cancel(run.id) for lane in (self.tasks, self.processes)):
            return
        if not self.threads.cancel(run.id) and event.reason == Stop.TIMEOUT:
            self.hand_in(c.Linger(run.id, run.attempt))

    @property
    def is_asleep(self) -> bool:
        """True while the engine waits for a deadline or a word, and has neither."""
        return self._sleeper is not None and not self._sleeper.done() and not self._inbox

    def look(self) -> None:
        """Take a turn although nothing is due: the clocks may have stepped."""
        self._wake()

    # -- watching runs end (the host, at shutdown) ---------------------------------------------

    def running(self) -> set[int]:
        """Runs whose attempt is being carried out."""
        return {run.id for run in self.machine.state.runs.values() if run.is_under_way}

    def next_step(self) -> asyncio.Future[None]:
        """Done when the next step has been acted on, or the engine is over."""
        watcher: asyncio.Future[None] = self.loop.create_future()
        self._watchers.append(watcher)
        if self.is_over:
            self._tell_watchers()
        return watcher

    def _tell_watchers(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)

    # -- the end -----------------------------------------------------------------------------

    def stopped_error(self) -> KronStopped:
        """What every call gets that comes after the end."""
        reason = f": {self.failure}" if self.failure is not None else "."
        error = KronStopped(f"the scheduler has stopped{reason}")
        error.__cause__ = self.failure
        return error

    def left_over(self) -> Iterable[Registration]:
        """After the end: the registrations that the next start is to get."""
        yield from registered(self.machine.state)
        for future, registration in self._callers.values():  # of a loop that was closed by hand
            if registration is not None and future in (None, self._registered):
                yield registration
        yield from self._backlog

    def _refuse_all(self) -> None:
        """Nobody waits for ever: whatever has no answer yet gets this one."""
        self.reading.refuse(self.stopped_error)
        self._inbox.clear()
        while self._callers:
            try:
                _, (future, registration) = self._callers.popitem()
            except KeyError:  # another thread took the last one
                break
            if registration is not None and future in (None, self._registered):
                self._backlog.append(registration)
            if future is not None:
                future.set_exception(self.stopped_error())
        while self._errands:
            self._errands.popleft()[1].set_exception(self.stopped_error())


REACT: dict[type[ev.Event], Callable[[Engine, Any], None]] = {
    ev.RunStarted: Engine._start,
    ev.RunStopping: Engine._stop,
    ev.RunFailed: lambda engine, event: report_failed(event, engine.log.log_id),
    ev.RunDead: lambda engine, event: report_dead(event, engine.log.log_id),
    ev.RunMissed: lambda _, event: report_past(event),
    ev.SchedulerStopped: lambda engine, _: setattr(engine, "is_over", True),
}
