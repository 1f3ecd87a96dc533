"""The composition root: `Scheduler` puts store, engine and door together.

Every verb exists twice, sync and with an `a` in front, with one signature. Both submit one command
to the engine's thread-safe inbox; the sync form waits for the answer, the async form awaits it
from whatever loop it runs on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import EllipsisType
from typing import Any, TypeAlias, TypeVar, Unpack, overload

from kron import __version__
from kron.answers import Answers
from kron.core import commands as c
from kron.core.errors import ScheduleError
from kron.core.ids import run_id_text
from kron.core.steering import (
    Backfill,
    BackfillOptions,
    PauseOptions,
    ResumeOptions,
    read_backfill,
    read_pause,
    read_resume,
)
from kron.core.terms import Hook, ScheduleOptions
from kron.opening import (
    DataDirPath,
    Opening,
    StartOptions,
    file_log,
    open_door,
    output_store,
    read_max_concurrency,
    read_start,
)
from kron.runtime.clock import Clock, SystemClock
from kron.runtime.command import Command
from kron.runtime.control import Control
from kron.runtime.enrolment import Enrolment
from kron.runtime.hook_set import NO_HOOKS, read_hooks
from kron.runtime.host import Host
from kron.runtime.leaving import leave
from kron.runtime.program import drain_at_exit, forget_in_child
from kron.runtime.registry import decorator, refuse_heavy
from kron.runtime.signals import await_until, wait_until
from kron.runtime.steering import (
    abackfill,
    abackfill_all,
    asteer,
    backfill,
    backfill_all,
    cancel_of,
    steer,
)
from kron.runtime.stopping import ShutdownReport
from kron.storage.log import Log
from kron.storage.output import MemoryOutputs

F = TypeVar("F", bound=Callable[..., Any])
Work: TypeAlias = Callable[..., Any] | str | Command


class Scheduler(Answers):
    """One scheduler: a registry of timers, and between `start` and `shutdown` their execution.

    `kron.schedule`, `kron.start` and so on are the methods of a default one; make your own for
    several in one process. All methods may be called from any thread. What runs at once weighs at
    most `max_concurrency` (see `weight=` of `schedule`; None: no limit). The hooks are called for
    every timer, after its own (see `schedule`). `clock` and `open_log` are for tests: a virtual
    clock, a store other than the data directory.
    """

    def __init__(
        self,
        *,
        max_concurrency: int | None = None,
        on_success: Hook | None = None,
        on_failure: Hook | None = None,
        on_missed: Hook | None = None,
        clock: Clock | None = None,
        open_log: Callable[[str, str, float], Log] | None = None,
    ) -> None:
        hooks = {"on_success": on_success, "on_failure": on_failure, "on_missed": on_missed}
        self._hooks = read_hooks(hooks) or NO_HOOKS
        self._clock: Clock = clock or SystemClock()
        self._max_concurrency = read_max_concurrency(max_concurrency)
        self._open_log = open_log or file_log
        self._has_door = open_log is None
        self._on_host: Callable[[Host], None] | None = None
        self._importer = 0
        self._control = Control()
        self._enrolment = Enrolment(self._control, self._clock, self._max_concurrency)
        forget_in_child(self._control)

    # -- life --------------------------------------------------------------------------------

    def start(self, data_dir: DataDirPath | None = None, **options: Unpack[StartOptions]) -> None:
        """Open the data directory and carry the schedule out, on a loop in a daemon thread.

        `data_dir` is that argument, else KRON_HOME, else `.kron` in the current directory.
        `fsync=` is "always", "never" (for tests) or "interval": a crash of the machine then loses
        at most `fsync_interval="1s"`. History is kept for `keep_history="90d"` and up to
        `keep_history_bytes=1 << 30`; a one-shot that has ended is shown for `keep_finished="30d"`;
        the output of commands is kept for `keep_output="30d"`. `max_concurrency=`, `on_success=`,
        `on_failure=` and `on_missed=` stand in for the scheduler's. With `since=` (an aware
        datetime, an ISO string, or how long ago) every recurring timer registered here is
        backfilled from then until now.

        Returns when the registrations so far are durable. Raises AlreadyStarted, DataDirLocked
        (another process has the directory), StorageError (it cannot be used, or the log is
        damaged), ScheduleError or TypeError for an argument.
        """
        opening = self._opening(data_dir, options)
        drain_at_exit(self)
        self._control.start(partial(self._make_host, opening))
        if opening.since_us is not None:
            backfill_all(self._control, opening.since_us)

    async def astart(
        self, data_dir: DataDirPath | None = None, **options: Unpack[StartOptions]
    ) -> None:
        """As `start`, but on the loop that is running now; end it with `await ashutdown()`."""
        opening = self._opening(data_dir, options)
        await self._control.astart(partial(self._make_host, opening))
        if opening.since_us is not None:
            await abackfill_all(self._control, opening.since_us)

    def shutdown(self, timeout: float = 5.0) -> ShutdownReport:
        """Start nothing more, wait up to `timeout` seconds for running attempts, then stop them.

        A stopped attempt is not counted and is due again at the next start. Not started: nothing
        to do. Inside a callback it does not wait for that callback, which may then go on for the
        rest of the time. Raises ValueError for a timeout that is no time, and nothing else.
        """
        return self._control.stop(timeout)

    async def ashutdown(self, timeout: float = 5.0) -> ShutdownReport:
        """As `shutdown`, from any running loop."""
        return await self._control.astop(timeout)

    def wait(self) -> None:
        """Block until SIGINT or SIGTERM (or the scheduler's end), then drain; also as PID 1.

        A second signal ends the draining at once. Raises KronStopped if the scheduler failed.
        """
        host = self._control.running("wait")
        self._control.refuse_loop_thread("wait", "await_")
        wait_until(host.over, host.hear_signal)
        host.raise_failure()

    async def await_(self) -> None:
        """As `wait`, from the running loop. (`await` alone is a word of Python.)"""
        host = self._control.running("wait")
        await await_until(host.over, host.hear_signal)
        host.raise_failure()

    # -- timers ------------------------------------------------------------------------------

    @overload
    def schedule(self, name: str, fn: Work, **options: Unpack[ScheduleOptions]) -> None: ...
    @overload
    def schedule(self, name: str, **options: Unpack[ScheduleOptions]) -> Callable[[F], F]: ...
    def schedule(
        self, name: str, fn: Work | EllipsisType = ..., **options: Unpack[ScheduleOptions]
    ) -> Callable[[F], F] | None:
        """Create the timer `name`, or update it; without `fn`, a decorator that does.

        `fn` is a callable, "module:function", or what `kron.command(...)` returns.

        Exactly one of `cron=` (text or `kron.Cron`), `every=` (a duration or "minute" to "month"),
        `after=`, `at=` says when; `timezone=` (UTC) is for cron, naive instants and excluded days.
        `dst="once"` or "skip"; `jitter=`, `not_before=`, `not_after=`, `exclude=` move or leave out
        moments; `missed=` "once", "all" or "skip" and `grace=` say what becomes of those that
        passed. `args=` and `kwargs=` (JSON values) go to `fn`, behind one context dict if it takes
        one. `overlap=` is "delay", "skip", "restart" or "allow"; `max_attempts=3` counts the first
        attempt; `retry_delay="30s"` doubles; `timeout=` stops one that takes longer. Of all that
        wait, what has the larger `priority=5` starts first, while `weight=1` finds room under
        `max_concurrency` and at most `key_limit=1` runs have that `key=`. `executor=` says where it
        runs. `metadata=` and `description=` are yours.

        `on_success=`, `on_failure=` (no attempt is left) and `on_missed=` are called when that is
        durable, with a dict (see Outcome) if they take one: coroutine functions on the scheduler's
        loop, others in a thread. What they raise is logged and changes nothing. They are told once,
        or, if the process dies, not at all; `subscribe` misses nothing.

        The same definition again only binds `fn` again. Before `start` it waits in memory; after
        it, it returns when durable. Raises ScheduleError (a ValueError) or TypeError, naming
        argument, value and remedy; then nothing has changed.
        """
        if fn is ...:  # None may be what a call of the function returned
            return decorator(self.schedule, name, options)
        registration, is_running = self._enrolment.register(name, fn, options, sync_verb="schedule")
        if is_running:
            self._control.submit(registration.command(), "schedule", registration).result()
        return None

    async def aschedule(
        self, name: str, fn: Work | EllipsisType = ..., **options: Unpack[ScheduleOptions]
    ) -> None:
        """As `schedule` with `fn`, from any running loop."""
        if fn is ...:
            raise TypeError("aschedule() needs fn; as a decorator use @kron.schedule(...).")
        registration, is_running = self._enrolment.register(name, fn, options)
        if is_running:
            await self._control.asubmit(registration.command(), "schedule", registration)

    def remove(self, name: str) -> None:
        """Forget a timer. Its running runs end by themselves, waiting ones are cancelled.

        Raises UnknownTimer.
        """
        if self._control.host is not None:
            self._control.submit(c.Remove(name), "remove").result()
        else:
            self._enrolment.remove(name)

    async def aremove(self, name: str) -> None:
        """As `remove`, from any running loop."""
        if self._control.host is not None:
            await self._control.asubmit(c.Remove(name), "remove")
        else:
            self._enrolment.remove(name)

    def pause(self, name: str | None = None, **options: Unpack[PauseOptions]) -> int:
        """Let no moment run until `resume`; they are recorded as missed(paused).

        Of the timer `name`, of those in whose name, command line or command's hash `re.search`
        finds `match=`, or of all. The pause ends by itself after the duration `for_=`, or at the
        instant `until=` (an aware datetime or an ISO string). `status` shows `reason=` and `who=`.

        Returns for one timer False if it was paused already and nothing new was said; else how many
        this concerned. Raises UnknownTimer, also if nothing matches, ScheduleError, NotStarted.
        """
        return steer(self._control, read_pause(name, options, self._clock.now().wall_us))

    async def apause(self, name: str | None = None, **options: Unpack[PauseOptions]) -> int:
        """As `pause`, from any running loop."""
        asked = read_pause(name, options, self._clock.now().wall_us)
        return await asteer(self._control, asked)

    def resume(self, name: str | None = None, **options: Unpack[ResumeOptions]) -> int:
        """End the pause of one timer, of those that `match=`, or of all, as `pause` selects them.

        A one-shot that fell due in it runs now. `who=` is for the log. Returns for one timer False
        if it was not paused; else how many were. Raises as `pause`.
        """
        return steer(self._control, read_resume(name, options))

    async def aresume(self, name: str | None = None, **options: Unpack[ResumeOptions]) -> int:
        """As `resume`, from any running loop."""
        return await asteer(self._control, read_resume(name, options))

    def backfill(self, name: str, **options: Unpack[BackfillOptions]) -> Backfill:
        """Run the moments of a recurring timer, `since=` <= t < `until=` (now), that had no run.

        Oldest first, at most `concurrency=1` at once; with `force=True` also those that had one. An
        instant is an aware datetime, an ISO string (without a zone: in the timer's), or a duration:
        that long ago. `cancel` ends it.

        Returns what is to run (see Backfill) when that is durable, not when it has run; with
        `dry_run=True` nothing changes. Raises UnknownTimer, ScheduleError, NotStarted.
        """
        return backfill(self._control, read_backfill(name, options))

    async def abackfill(self, name: str, **options: Unpack[BackfillOptions]) -> Backfill:
        """As `backfill`, from any running loop."""
        return await abackfill(self._control, read_backfill(name, options))

    def trigger(self, name: str) -> str | None:
        """Run the timer once now, besides its schedule, under its overlap policy.

        Returns the run's id, or None if `overlap="skip"` skipped it. Raises UnknownTimer.
        """
        log_id = self._control.engine("trigger").log.log_id
        return _run_text(self._control.submit(c.Trigger(name), "trigger").result(), log_id)

    async def atrigger(self, name: str) -> str | None:
        """As `trigger`, from any running loop."""
        log_id = (await self._control.aengine("trigger")).log.log_id
        return _run_text(await self._control.asubmit(c.Trigger(name), "trigger"), log_id)

    def cancel(self, name: str) -> int:
        """Stop the open run of that run id, or all open runs and backfills of the timer so named.

        Returns how many were stopped or asked to stop; the timer stays scheduled. A callback in a
        thread cannot be stopped: it keeps its place until it returns. Raises UnknownTimer.
        """
        log_id = self._control.engine("cancel").log.log_id
        return int(self._control.submit(cancel_of(name, log_id), "cancel").result())

    async def acancel(self, name: str) -> int:
        """As `cancel`, from any running loop."""
        log_id = (await self._control.aengine("cancel")).log.log_id
        return int(await self._control.asubmit(cancel_of(name, log_id), "cancel"))

    # -- how it is put together --------------------------------------------------------------

    def _opening(self, data_dir: DataDirPath | None, options: StartOptions) -> Opening:
        if self._importer == threading.get_ident():
            raise ScheduleError(
                "kron.start() was reached while this module was only imported for what it has; put"
                ' it under `if __name__ == "__main__":`.'
            )
        opening = read_start(data_dir, options, self._clock.now().wall_us)
        limit = opening.max_concurrency or self._max_concurrency
        return opening._replace(max_concurrency=limit, hooks=opening.hooks.over(self._hooks))

    def _make_host(self, opening: Opening) -> Host:
        refuse_heavy(self._enrolment.waiting(), opening.max_concurrency)
        log = self._open_log(opening.place, opening.fsync, opening.interval_s)
        outputs = output_store(opening) if self._has_door else MemoryOutputs()
        kept, limit = opening.keeping, opening.max_concurrency
        waiting = self._enrolment.take()
        host = Host(log, self._clock, waiting, __version__, outputs, kept, limit)
        host.hooks, host.has_hooks = opening.hooks, self._enrolment.has_hooks
        self._enrolment.hand_to(host)
        if self._has_door:
            host.door = partial(open_door, self, os.path.abspath(opening.place))
        if self._on_host is not None:
            self._on_host(host)
        return host

    @contextmanager
    def importing(self) -> Iterator[None]:
        """Meanwhile this thread only imports modules: it may not start the scheduler."""
        self._importer = threading.get_ident()
        try:
            yield
        finally:
            self._importer = 0

    def leave(self, timeout: float) -> str | None:
        """Shut down because the program ends; a line for people if one-shots were still to come."""
        return leave(self._control, timeout)


def _run_text(answer: tuple[int, int] | None, log_id: str) -> str | None:
    return None if answer is None else run_id_text(*answer, log_id)


default: Scheduler = Scheduler()
"""The scheduler behind `kron.schedule`, `kron.start` and the other functions of the package."""
