"""The host: one task that owns the task group, from opening the log to closing it.

A task group must be entered and left by the same task, and the task that calls `astart` is not the
one that calls `ashutdown`; hence a task of its own. Stopping is a word in the inbox: the engine is
never cancelled, and an append in flight is always awaited.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

from anyio import create_task_group

from kron.core import commands as c
from kron.core.agenda import KEEP_FINISHED_US
from kron.core.errors import KronStopped
from kron.core.machine import Step
from kron.storage.blocking import in_thread
from kron.storage.log import Log

from .clock import Clock
from .collector import LARGE, give_back, paused, set_apart
from .compaction import Compaction, Retention
from .engine import Engine
from .failures import describe
from .hook_set import NO_HOOKS
from .leftovers import end_leftovers
from .narrator import Narrator
from .output import Outputs
from .promise import promise
from .recovery import recover
from .registry import Registration
from .stopping import ShutdownReport, StopRequest, stop
from .subscription import Feed

logger = logging.getLogger("kron.engine")
log_logger = logging.getLogger("kron.log")
door_logger = logging.getLogger("kron.door")

DRAIN_SECONDS = 5.0
"""How long running attempts may go on after a SIGINT or SIGTERM."""

_TORN = (
    "%s: its last %d bytes were no whole record (a write that a crash cut short, as a rule) and are"
    " cut; they are kept in %s"
)

Door = Callable[["Host"], Awaitable[None]]
Reload = Callable[[Sequence[str]], Mapping[str, Any]]
"""Take what the files declare now; of these files, if any are named. Blocks. Raises KronError."""


class Keeping(NamedTuple):
    """What is kept of the past: history in sealed records, one-shots that have ended, and what runs
    printed."""

    history: Retention = Retention()
    finished_us: int = KEEP_FINISHED_US
    output_us: int = 30 * 86_400_000_000


KEEPING = Keeping()


class Host:
    """Carries one opened scheduler from `open` to `close`.

    `started` has the engine once the registrations are durable, or the error that prevented it;
    `over` is done when everything is released. `observers` are told of each durable step, on the
    loop; `reload` is there if files say what is scheduled; `is_foreground` if somebody looks on.
    `hooks` are those of the scheduler; `has_hooks` says that a timer has some. `first` is carried
    out before what is registered.
    """

    def __init__(
        self,
        log: Log,
        clock: Clock,
        registrations: list[Registration],
        version: str,
        outputs: Outputs,
        keeping: Keeping = KEEPING,
        max_concurrency: int | None = None,
    ) -> None:
        self.log = log
        self.outputs = outputs
        self.max_concurrency = max_concurrency
        self.started: Future[Engine] = promise()
        self.over: Future[None] = promise()
        self.boot = secrets.token_hex(8)
        self.version = version
        self.engine: Engine | None = None
        self.compaction: Compaction | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = 0
        self._clock = clock
        self._keeping = keeping
        self._registrations = registrations
        self.door: Door | None = None
        self.observers: list[Callable[[Step], None]] = []
        self.first: list[c.Command] = []
        self.is_foreground = self.has_hooks = False
        self.hooks = NO_HOOKS
        self.reload: Reload | None = None
        self._requests: list[StopRequest] = []
        self._was_signalled = self._is_apart = False
        self._no_collections = ExitStack()
        self._word: asyncio.Event
        self._has_started: asyncio.Event
        self.feed: Feed

    # -- from any thread ---------------------------------------------------------------------

    def heed_hooks(self) -> None:
        """A timer has some now."""
        self.has_hooks = True
        if self.engine is not None:
            self.engine.hooks.is_used = True

    def request_stop(self, request: StopRequest) -> Future[ShutdownReport]:
        """Ask for the end. The future has the report; it never has an exception."""
        self._requests.append(request)
        try:
            if self.over.done():
                request.answer(error=self._failure())
            elif self.loop is not None:  # else it is found when the host begins
                self._drain()
                self.loop.call_soon_threadsafe(self._hear)
        except RuntimeError:  # the loop was closed under us: nothing runs any more
            self.abandon()
            request.answer(error="its event loop was closed")
        return request.report

    def _drain(self) -> None:
        """Nothing starts from here on, even if the loop is blocked and due moments come before the
        word gets through."""
        if self.engine is not None and self.started.done():
            self.engine.hand_in(c.Drain())

    def hear_signal(self, drain_s: float = DRAIN_SECONDS) -> None:
        """SIGINT or SIGTERM: the first one drains, a further one ends that at once."""
        self.request_stop(StopRequest(0.0 if self._was_signalled else drain_s))
        self._was_signalled = True

    def is_stranded(self) -> bool:
        """True if the owning loop was closed without a shutdown."""
        return self.loop is not None and self.loop.is_closed() and not self.over.done()

    def abandon(self) -> None:
        """Give back what a host holds whose loop is gone; any thread."""
        self._no_collections.close()
        self.log.abandon()
        if self.engine is not None:
            self.engine.lose_loop()

    def raise_failure(self) -> None:
        """Raise KronStopped if the engine has failed."""
        if self.engine is not None and self.engine.failure is not None:
            raise self.engine.stopped_error()

    def left_over(self) -> Iterable[Registration]:
        """After the end: the registrations that the next start is to get."""
        yield from self._registrations
        if self.engine is not None:
            yield from self.engine.left_over()

    # -- the task ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Open, carry out, close. Raises nothing: `started` and `over` tell.

        A start that fails is told only when everything is given back, so the next one may follow.
        """
        self._word, self._has_started = asyncio.Event(), asyncio.Event()
        self.thread = threading.get_ident()
        self.loop = asyncio.get_running_loop()
        failure: BaseException | None = None
        try:
            torn = await self.log.open()
            if torn is not None:
                log_logger.warning(_TORN, torn.file, torn.size_bytes, torn.kept_as or "nowhere")
            machine = await recover(self.log)
            machine.agenda.keep_finished_us = self._keeping.finished_us
            self.log.leave_word("")  # what the last one left, if it failed
            await in_thread(self._prepare_outputs)
            self.engine = Engine(machine, self.log, self._clock, self.outputs)
            self.engine.hooks.serve(self.hooks, is_used=self.has_hooks)
            narrator = Narrator(machine.state, self.log.log_id, is_foreground=self.is_foreground)
            self.feed = Feed(self.engine, self.over)
            self.engine.observers += [narrator.see, self.feed.see, *self.observers]
            self.compaction = Compaction(self.engine, self._keeping.history)
            limit = self.max_concurrency
            start = c.Start(self.boot, os.getpid(), self.version, torn, limit)
            await self._live(self.engine, self.compaction, start)
        except BaseException as exc:
            failure = exc
        await self._close()
        if not self.started.done():
            engine_failure = None if self.engine is None else self.engine.failure
            stopped = KronStopped("the scheduler was stopped before it had started.")
            self.started.set_exception(failure or engine_failure or stopped)
        elif failure is not None and not isinstance(failure, asyncio.CancelledError):
            logger.critical("the scheduler stopped: %s", failure, exc_info=failure)

    def fail(self, exc: BaseException) -> None:
        """There is no loop to run on: nothing was opened."""
        if not self.over.done():
            self.over.set_result(None)
            self.started.set_exception(exc)
            for request in self._requests:
                request.answer(error=str(exc))

    async def linger(self) -> None:
        """On a loop that is to be closed: let a hook that asked for the end come to its own, and
        after a failure the callbacks."""
        if self.engine is not None:
            await self.engine.hooks.linger()
            if self.engine.failure is not None:
                await self.engine.tasks.ended()

    async def _live(self, engine: Engine, compaction: Compaction, start: c.Start) -> None:
        async with create_task_group() as group:
            group.start_soon(self._run_engine, engine)
            compact = partial(self._compact, compaction)
            without = "the log is not compacted"
            group.start_soon(self._beside, engine, compact, log_logger, without)
            durable = engine.submit(start)
            for command in self.first:
                engine.hand_in(command)
            if self._registrations:
                if len(self._registrations) >= LARGE:
                    self._no_collections.enter_context(paused())
                durable = engine.register(self._registrations)
                self._registrations = []
            durable.add_done_callback(lambda done: self._say_started(engine, done))
            if self.door is not None:
                door = partial(self.door, self)
                without = "the control socket is closed"
                group.start_soon(self._beside, engine, door, door_logger, without)
            await self._until_over(engine)
            await engine.hooks.cut_short({request.own_hook for request in self._requests})
            group.cancel_scope.cancel()

    def _prepare_outputs(self) -> None:
        """What a killed process has left is ended first: its runs are about to be run again."""
        self.outputs.prepare(self._clock.now().wall_us / 1_000_000)
        end_leftovers(self.outputs)

    def _say_started(self, engine: Engine, durable: Future[Any]) -> None:
        self._no_collections.close()
        self._has_started.set()
        engine.hooks.is_young = False
        if durable.exception() is None:
            self._is_apart = set_apart(len(engine.machine.state.timers))
            self.started.set_result(engine)

    async def _run_engine(self, engine: Engine) -> None:
        try:
            await engine.run()
        finally:
            self._word.set()

    async def _compact(self, compaction: Compaction) -> None:
        """From the start on: what a start registers is compacted once, at its end."""
        await self._has_started.wait()
        await compaction.run()

    async def _beside(
        self,
        engine: Engine,
        part: Callable[[], Awaitable[None]],
        logger: logging.Logger,
        without: str,
    ) -> None:
        """The door and the compaction are not vital: if one fails, that is logged, and the timers
        go on."""
        try:
            await part()
        except asyncio.CancelledError:
            # A child that lets a stray cancellation through would take the group down with it.
            if engine.is_over:
                raise
        except Exception as exc:
            logger.error("%s: %s", without, exc, exc_info=exc)

    async def _until_over(self, engine: Engine) -> None:
        """Wait for a stop request, a cancellation of this task, or the engine's end."""
        while not engine.is_over:
            try:
                if not self._requests:
                    await self._word.wait()
                self._word.clear()
            except asyncio.CancelledError:
                # The loop is being taken down (asyncio.run ends): leave in order, but at once.
                self._requests.append(StopRequest(0.0))
            if self._requests and not engine.is_over:
                await stop(engine, self._requests, self.boot)

    def _hear(self) -> None:
        self._word.set()

    async def _close(self) -> None:
        """Give everything back, whatever happens; a failure stays visible (promise P7)."""
        try:
            if why := self._failure():
                await in_thread(partial(self.log.leave_word, why))
            await self.log.close()
        except BaseException as exc:
            self.log.abandon()
            log_logger.error("closing the log: %s", describe(exc))
        self._no_collections.close()
        if self._is_apart:
            give_back()
        self.over.set_result(None)
        for request in self._requests:
            request.answer(error=self._failure())

    def _failure(self) -> str | None:
        failure = None if self.engine is None else self.engine.failure
        return None if failure is None else str(failure)
