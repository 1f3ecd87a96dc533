"""The handle on a running host: from any thread or loop, start it, ask it, stop it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from anyio import CancelScope

from kron.core import commands as c
from kron.core.errors import (
    AlreadyStarted,
    InsideEventLoop,
    KronStopped,
    NotStarted,
    ScheduleError,
)

from .context import CURRENT
from .engine import Engine
from .hooks import CURRENT_HOOK
from .host import Host
from .listing import Slices, run_out
from .program import refuse_platform, run_in_thread
from .reading import Reading
from .registry import Registration
from .stopping import ShutdownReport, StopRequest, empty_report
from .subscription import Feed

T = TypeVar("T")


class Control:
    """At most one host at a time. Thread-safe."""

    def __init__(self) -> None:
        self.host: Host | None = None
        self.lock = threading.Lock()
        self._carrier: asyncio.Task[None] | threading.Thread | None = None

    # -- start and stop ----------------------------------------------------------------------

    def start(self, make_host: Callable[[], Host]) -> None:
        """Carry a new host in a thread; returns when its registrations are durable."""
        ending = self._ending()
        if ending is not None and ending.thread != threading.get_ident():
            wait({ending.over})
        host = self._claim(make_host)
        self._carrier = None
        try:
            self._carrier = run_in_thread(host)
            host.started.result()
        except BaseException:
            if self._carrier is None:
                host.fail(RuntimeError("no thread could be started"))
            if host.started.done():  # else it is Ctrl-C: the host lives, and is drained at the end
                self._drop(host)
            raise

    async def astart(self, make_host: Callable[[], Host]) -> None:
        """Carry a new host on the running loop."""
        if (ending := self._ending()) is not None:
            await asyncio.wait({asyncio.wrap_future(ending.over)})
        host = self._claim(make_host)
        self._carrier = task = asyncio.create_task(host.run(), name="kron-host")
        try:
            await asyncio.wrap_future(host.started)
        except BaseException:
            task.cancel()
            with CancelScope(shield=True):
                await asyncio.wait({task})
            self._drop(host)
            raise

    def stop(self, timeout: float) -> ShutdownReport:
        """Ask the host to stop and wait until it has."""
        host, carrier = self.host, self._carrier
        request = _request(host, timeout)
        if host is None or request is None:
            return empty_report()
        self.refuse_loop_thread("shutdown")
        report = host.request_stop(request).result()
        if report["stopped"]:
            if not host.is_stranded():
                host.over.result()
            # A hook that asks for the end is waited for by that thread, so it does not wait for it.
            if isinstance(carrier, threading.Thread) and request.own_hook is None:
                carrier.join(1.0)
            self._drop(host)
        return report

    async def astop(self, timeout: float) -> ShutdownReport:
        """As `stop`, from any running loop."""
        host, carrier = self.host, self._carrier
        request = _request(host, timeout)
        if host is None or request is None:
            return empty_report()
        report = await asyncio.wrap_future(host.request_stop(request))
        if report["stopped"]:
            if not host.is_stranded():
                await asyncio.wrap_future(host.over)
            if isinstance(carrier, asyncio.Task) and host.loop is asyncio.get_running_loop():
                await asyncio.wait({carrier})
            self._drop(host)
        return report

    def forget(self) -> None:
        """In a forked child: the host is the parent's."""
        self.lock = threading.Lock()
        self.host = self._carrier = None

    def _ending(self) -> Host | None:
        """The host that is giving back what it holds at this moment, if there is one."""
        host = self.host
        is_ending = host is not None and host.engine is not None and host.engine.is_over
        return host if is_ending and host is not None and not host.is_stranded() else None

    def _claim(self, make_host: Callable[[], Host]) -> Host:
        refuse_platform()
        with self.lock:
            old = self.host
            if old is not None and old.is_stranded():
                old.abandon()
            elif old is not None and not old.over.done():
                raise AlreadyStarted("already started; call shutdown() first.")
            self.host = host = make_host()
        host.over.add_done_callback(lambda _: self._ended(host))
        return host

    def _ended(self, host: Host) -> None:
        """A host that came to its end in order is forgotten; a failed one stays visible."""
        if host.engine is None or host.engine.failure is None:
            self._drop(host)

    def _drop(self, host: Host) -> None:
        with self.lock:
            if self.host is host:
                self.host = None

    # -- ask ---------------------------------------------------------------------------------

    def running(self, verb: str) -> Host:
        """The host. Raises NotStarted, or KronStopped if its loop is gone."""
        host = self.host
        if host is None:
            raise NotStarted(f"not started; call start() before {verb}().")
        if host.is_stranded():
            raise KronStopped("the scheduler has stopped: its event loop was closed.")
        return host

    def engine(self, verb: str) -> Engine:
        """The running engine, waited for while another thread is starting it; raises as `running`
        does."""
        host = self.running(verb)
        if not host.started.done() and host.thread != threading.get_ident():
            wait({host.started})
        return _engine_of(host, verb)

    async def aengine(self, verb: str) -> Engine:
        """As `engine`, without blocking the running loop."""
        host = self.running(verb)
        if not host.started.done():
            starting = asyncio.wrap_future(host.started)
            await asyncio.wait({starting})
            starting.exception()  # whoever starts it is told of that
        return _engine_of(host, verb)

    def feed(self, verb: str) -> Feed:
        """What the running scheduler announces; raises as `running` does."""
        self.engine(verb)
        host = self.running(verb)
        _engine_of(host, verb)
        return host.feed

    def refuse_loop_thread(self, verb: str, async_verb: str = "") -> None:
        """A sync verb that waits for the engine cannot wait on the engine's own thread."""
        host = self.host
        if host is None or host.engine is None or host.engine.is_over or host.is_stranded():
            return
        if host.engine.thread == threading.get_ident():
            raise InsideEventLoop(
                f"{verb}() waits for the disk, and this is the scheduler's own thread; inside the"
                f" event loop use: await kron.{async_verb or 'a' + verb}(...), or that of your own"
                " Scheduler."
            )

    def submit(
        self, command: c.Command, verb: str, registration: Registration | None = None
    ) -> Future[Any]:
        """Hand a command in for a sync verb."""
        self.engine(verb)
        self.refuse_loop_thread(verb)
        return self.engine(verb).submit(command, registration)

    async def asubmit(
        self, command: c.Command, verb: str, registration: Registration | None = None
    ) -> Any:
        """Hand a command in for an async verb, and await the answer."""
        engine = await self.aengine(verb)
        return await asyncio.wrap_future(engine.submit(command, registration))

    def ask(self, question: Callable[[Reading], T], verb: str) -> T:
        """Ask the last confirmed state; on the loop's own thread it is answered directly."""
        engine = self.engine(verb)
        if engine.thread == threading.get_ident():
            return question(engine.reading)
        return engine.reading.ask(question).result()

    async def aask(self, question: Callable[[Reading], T], verb: str) -> T:
        """As `ask`, from any running loop."""
        engine = await self.aengine(verb)
        if engine.loop is asyncio.get_running_loop():
            return question(engine.reading)
        return await asyncio.wrap_future(engine.reading.ask(question))

    def ask_long(self, question: Callable[[Reading], Slices[T]], verb: str) -> T:
        """As `ask`, what takes long: in slices, if that is not the loop's own thread."""
        engine = self.engine(verb)
        if engine.thread == threading.get_ident():
            return run_out(question(engine.reading))
        return engine.reading.ask_long(question).result()

    async def aask_long(self, question: Callable[[Reading], Slices[T]], verb: str) -> T:
        """As `ask_long`, from any running loop, its own too."""
        engine = await self.aengine(verb)
        return await asyncio.wrap_future(engine.reading.ask_long(question))


def _engine_of(host: Host, verb: str) -> Engine:
    if host.engine is None:
        raise NotStarted(f"not started yet; {verb}() works once start() has returned.")
    if host.engine.is_over:
        raise host.engine.stopped_error()
    return host.engine


def _request(host: Host | None, timeout: float) -> StopRequest | None:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise ScheduleError(f"timeout={timeout!r} must be a non-negative number of seconds.")
    if host is None:
        return None
    job = CURRENT.get()
    own_run = job.run if job is not None and job.log_id == host.log.log_id else None
    log_id, hook = CURRENT_HOOK.get() or ("", None)
    return StopRequest(float(timeout), own_run, hook if log_id == host.log.log_id else None)
