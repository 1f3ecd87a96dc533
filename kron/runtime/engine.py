"""The engine: take what came in, let the Machine decide, make it durable, then act.

One record is on its way at a time. Whatever arrives meanwhile (calls, completions, due moments)
goes into the next one: group commit follows from the shape of the loop, not from a timer.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from kron.core import commands as c
from kron.core import events as ev
from kron.core.codec import encode
from kron.core.errors import KronError, KronStopped, StorageError
from kron.core.machine import Machine, Step
from kron.core.model import Definition, Reason, RunState
from kron.core.state import Timer
from kron.core.views import HistoryRow, TimerStatus, by_next_run, history, timer_status
from kron.storage.log import Log

from .callables import Target
from .clock import Clock
from .context import make_job
from .tasks import Tasks
from .threads import Threads

logger = logging.getLogger("kron")
T = TypeVar("T")

LOOK_US = 30_000_000
"""The clocks are looked at this often even if nothing is due, so that a step is seen."""


class Engine:
    """Drives one Machine over one Log on one event loop.

    `submit`, `hand_in` and `ask` may be called from any thread; all else belongs to the loop.
    """

    def __init__(self, machine: Machine, log: Log, clock: Clock) -> None:
        self.machine = machine
        self.log = log
        self.clock = clock
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.failure: BaseException | None = None
        self.is_over = False
        self.is_cancelled = False
        self.on_finished: Callable[[str, Definition | None], object] = lambda *_: None
        self.targets: dict[str, Target] = {}
        self.tasks = Tasks(self.hand_in)
        self.threads = Threads(self.hand_in, self.tasks.adopt, self.loop)
        self._inbox: deque[c.Command] = deque()
        self._callers: dict[int, tuple[Future[Any] | None, Target | None]] = {}
        self._is_woken = False
        self._sleeper: asyncio.Future[None] | None = None
        self._watchers: list[asyncio.Future[None]] = []
        self._log_time_us = machine.state.log_time_us
        log.on_failure = self._log_failed

    # -- the front door ----------------------------------------------------------------------

    def submit(self, command: c.Command, target: Target | None = None) -> Future[Any]:
        """Hand a command in. The future has its answer once that is durable, or the KronError;
        `target` is what the timer calls from then on."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self.hand_in(command, target, future)
        return future

    def hand_in(
        self, command: c.Command, target: Target | None = None, future: Future[Any] | None = None
    ) -> None:
        """As `submit`, where nobody (or somebody else's future) waits for the answer."""
        if target is not None or future is not None:
            self._callers[id(command)] = (future, target)
        self._inbox.append(command)
        if self.is_over:
            self._refuse_all()
        elif not self._is_woken:
            self._is_woken = True
            if threading.get_ident() == self.thread:
                self._wake()
            else:
                self._wake_from_afar()

    def _wake_from_afar(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop was closed under the engine: nobody will carry it out
            self.is_over = True
            self.failure = self.failure or RuntimeError("its event loop was closed")
            self._refuse_all()

    # -- the loop ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry out the schedule until SCHEDULER_STOPPED is durable, or the log fails.

        A cancellation does not end it: it is remembered, running attempts are asked to stop, and
        the host (which was cancelled too) brings the engine down in order.
        """
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

    async def _turn(self) -> None:
        self._is_woken = False
        if self.failure is not None:
            raise self.failure
        step = self.machine.step(self._inbox, self.clock.now())
        if step.events:
            await self._append(step)
        self.machine.confirm()
        self._bind(step)
        for event in step.events:
            react = REACT.get(type(event))
            if react is not None:
                react(self, event)
        self._answer(step)
        if self._watchers:
            self._tell_watchers()
        if not step.is_full and not self.is_over:
            await self._sleep()
        elif not step.events:
            await self._yield()

    async def _append(self, step: Step) -> None:
        """Make the step durable. A cancellation arrives only after the record is definite."""
        self._log_time_us = max(self._log_time_us, self.machine.now.wall_us)
        try:
            await self.log.append(step.record, encode(step.events, self._log_time_us))
        except asyncio.CancelledError:
            self._note_cancelled()
        except StorageError as exc:
            self.machine.undo()
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
        look_us = now_us + LOOK_US
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
        # Whoever cancelled the engine cancelled the running attempts too (asyncio.run does, at its
        # end). Their completions are in the inbox already, so the word that they were asked to
        # stop goes in front of them:
        # test_the_end_of_asyncio_run_interrupts_without_counting_an_attempt.
        if not self.is_cancelled:
            self.is_cancelled = True
            self._inbox.appendleft(c.StopRuns())
            self._inbox.appendleft(c.Drain())

    # -- acting on what is durable -----------------------------------------------------------

    def _bind(self, step: Step) -> None:
        """What a registration brought is what its timer calls from now on."""
        for command, _ in step.answers:
            if isinstance(command, c.Schedule):
                _, target = self._callers.get(id(command), (None, None))
                if target is not None:
                    self.targets[command.name] = target

    def _answer(self, step: Step) -> None:
        for command, value in step.answers:
            future, _ = self._callers.pop(id(command), (None, None))
            if future is None:
                continue
            if isinstance(value, KronError):
                future.set_exception(value)
            else:
                future.set_result(value)

    def _start(self, event: ev.RunStarted) -> None:
        run = self.machine.state.runs.get(event.run)
        if run is None or run.state is not RunState.RUNNING or run.attempt != event.attempt:
            return
        target = self.targets[event.timer]
        job = make_job(run, target, self.log.log_id)
        if target.is_async:
            self.tasks.start(job)
        else:
            self.threads.start(job)

    def _stop(self, event: ev.RunStopping) -> None:
        run = self.machine.state.runs.get(event.run)
        if run is not None and not self.tasks.cancel(run.id, run.attempt):
            self.threads.cancel(run.id, run.attempt)

    def _warn_missed(self, event: ev.RunMissed) -> None:
        if event.reason == Reason.PAST:
            logger.warning(
                "timer %s: its moment had passed when it was scheduled; it does not run",
                event.timer,
                extra={"kron_timer": event.timer},
            )

    def _closed(self, event: ev.RunSucceeded | ev.RunDead | ev.RunCancelled) -> None:
        timer = self.machine.state.timers.get(event.timer)
        if timer is None or not timer.definition.is_one_shot:
            return
        if timer.next_us is None and not timer.open:
            self.on_finished(event.timer, timer.definition)

    def _removed(self, event: ev.TimerRemoved) -> None:
        if event.timer not in self.machine.state.timers:
            self.targets.pop(event.timer, None)

    def _over(self, event: ev.SchedulerStopped) -> None:
        self.is_over = True

    # -- reading -------------------------------------------------------------------------------

    def ask(self, question: Callable[[], T]) -> Future[T]:
        """Have a question answered on the loop, from the last confirmed state; thread-safe."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()

        def answer() -> None:
            try:
                future.set_result(question())
            except BaseException as exc:
                future.set_exception(exc)

        try:
            self.loop.call_soon_threadsafe(answer)
        except RuntimeError:
            future.set_exception(self.stopped_error())
        return future

    def status(self, name: str) -> TimerStatus | None:
        """The timer of that name as a dict."""
        timer = self.machine.state.confirmed_timer(name)
        return None if timer is None else self._status(timer)

    def list(self) -> builtins.list[TimerStatus]:
        """All timers as dicts, by next run."""
        return by_next_run(self._status(each) for each in self.machine.state.confirmed_timers())

    def history(self, name: str | None, limit: int) -> builtins.list[HistoryRow]:
        """The latest rows of history, newest first."""
        return history(self.machine.state, name, limit, self.log.log_id)

    def next_one_shot(self) -> tuple[str, float] | None:
        """The one-shot that is to fire next, and in how many seconds."""
        now_us = self.clock.now().wall_us
        state = self.machine.state
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
        target = self.targets.get(timer.name)
        fn_name = target.name if target else timer.definition.fn_name or None
        now, log_id = self.machine.now, self.log.log_id
        return timer_status(self.machine.state, timer, now, log_id, is_live=True, fn_name=fn_name)

    @property
    def is_asleep(self) -> bool:
        """True while the engine waits for a deadline or a word, and has neither."""
        return self._sleeper is not None and not self._sleeper.done() and not self._inbox

    # -- watching runs end (the host, at shutdown) ---------------------------------------------

    def running(self) -> set[int]:
        """Runs whose attempt is being carried out."""
        carried_out = (RunState.RUNNING, RunState.STOPPING)
        return {run.id for run in self.machine.state.runs.values() if run.state in carried_out}

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

    def _refuse_all(self) -> None:
        """Nobody waits for ever: whatever has no answer yet gets this one."""
        self._inbox.clear()
        while self._callers:
            try:
                _, (future, _) = self._callers.popitem()
            except KeyError:  # another thread took the last one
                return
            if future is not None:
                future.set_exception(self.stopped_error())


REACT: dict[type[ev.Event], Callable[[Engine, Any], None]] = {
    ev.RunStarted: Engine._start,
    ev.RunStopping: Engine._stop,
    ev.RunMissed: Engine._warn_missed,
    ev.RunSucceeded: Engine._closed,
    ev.RunDead: Engine._closed,
    ev.RunCancelled: Engine._closed,
    ev.TimerRemoved: Engine._removed,
    ev.SchedulerStopped: Engine._over,
}
