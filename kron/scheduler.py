"""The composition root: `Scheduler` puts store, engine and door together.

Every verb exists twice, sync and with an `a` in front, with one signature. Both submit one command
to the engine's thread-safe inbox; the sync form waits for the answer, the async form awaits it
from whatever loop it runs on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias, TypeVar, Unpack, cast, overload

from kron import __version__
from kron.core import commands as c
from kron.core.definition import check_name, define
from kron.core.duration import parse_duration
from kron.core.errors import ScheduleError
from kron.core.ids import run_id_number, run_id_text
from kron.core.model import Definition
from kron.core.terms import Duration, ScheduleOptions
from kron.core.views import HistoryRow, TimerStatus
from kron.core.why import Why
from kron.runtime.callables import Target, callable_name
from kron.runtime.clock import Clock, SystemClock
from kron.runtime.control import Control
from kron.runtime.host import Host, Keeping
from kron.runtime.keeping import keeping
from kron.runtime.program import drain_at_exit, forget_in_child, in_words
from kron.runtime.reading import Reading
from kron.runtime.registry import Registration, Registry
from kron.runtime.signals import await_until, wait_until
from kron.runtime.stopping import ShutdownReport
from kron.server.loading import load_serve
from kron.storage.file import FileLog
from kron.storage.log import Log
from kron.storage.writer import Fsync

F = TypeVar("F", bound=Callable[..., Any])
DataDir: TypeAlias = str | os.PathLike[str]
Timers: TypeAlias = list[TimerStatus]
Rows: TypeAlias = list[HistoryRow]


class Scheduler:
    """One scheduler: a registry of timers, and between `start` and `shutdown` their execution.

    `kron.schedule`, `kron.start` and so on are the methods of a default one; make your own for
    several in one process. All methods may be called from any thread. `clock` and `open_log` are
    for tests: a virtual clock, a store other than the data directory.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        open_log: Callable[[str, str, float], Log] | None = None,
    ) -> None:
        self._clock: Clock = clock or SystemClock()
        self._open_log = open_log or _file_log
        self._has_door = open_log is None
        self._registry = Registry()
        self._last_target: Target | None = None
        self._control = Control()
        forget_in_child(self._control)

    # -- life --------------------------------------------------------------------------------

    def start(
        self,
        data_dir: DataDir | None = None,
        *,
        fsync: str = "always",
        fsync_interval: Duration = "1s",
        keep_history: Duration = "90d",
        keep_history_bytes: int = 1 << 30,
        keep_finished: Duration = "30d",
    ) -> None:
        """Open the data directory and carry the schedule out, on a loop in a daemon thread.

        `data_dir` is that argument, else KRON_HOME, else `.kron` in the current directory. With
        `fsync="interval"` a crash of the machine loses at most `fsync_interval`. History is kept
        for `keep_history` and up to `keep_history_bytes`; a one-shot that has ended is shown for
        `keep_finished`. Returns when the registrations so far are durable. Raises AlreadyStarted,
        DataDirLocked (another process has the directory), StorageError (it cannot be used, or the
        log is damaged).
        """
        drain_at_exit(self)
        kept = keeping(keep_history, keep_history_bytes, keep_finished)
        self._control.start(self._maker(data_dir, fsync, fsync_interval, kept))

    async def astart(
        self,
        data_dir: DataDir | None = None,
        *,
        fsync: str = "always",
        fsync_interval: Duration = "1s",
        keep_history: Duration = "90d",
        keep_history_bytes: int = 1 << 30,
        keep_finished: Duration = "30d",
    ) -> None:
        """As `start`, but on the loop that is running now; end it with `await ashutdown()`."""
        kept = keeping(keep_history, keep_history_bytes, keep_finished)
        await self._control.astart(self._maker(data_dir, fsync, fsync_interval, kept))

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
    def schedule(self, name: str, fn: F, **options: Unpack[ScheduleOptions]) -> None: ...
    @overload
    def schedule(
        self, name: str, fn: None = None, **options: Unpack[ScheduleOptions]
    ) -> Callable[[F], F]: ...
    def schedule(
        self, name: str, fn: Any = None, **options: Unpack[ScheduleOptions]
    ) -> Callable[[F], F] | None:
        """Create the timer `name`, or update it; without `fn`, a decorator that does.

        Exactly one of `cron=` (text or `kron.Cron`), `every=` (a duration or "minute" to "month"),
        `after=`, `at=` says when; `timezone=` (UTC) is for cron, naive instants and excluded days.
        `dst="once"` or "skip"; `jitter=`, `not_before=`, `not_after=`, `exclude=` move or leave out
        moments; `missed=` "once", "all" or "skip" and `grace=` say what becomes of those that
        passed. `args=` and `kwargs=` (JSON values) go to `fn`, behind one context dict if it takes
        one. `overlap=` is "delay", "skip" or "allow"; `max_attempts=3` counts the first attempt;
        `retry_delay="30s"` doubles. `metadata=` and `description=` are yours.

        The same definition again only binds `fn` again. Before `start` it waits in memory; after
        it, it returns when durable. Raises ScheduleError (a ValueError) or TypeError, naming
        argument, value and remedy; then nothing has changed.
        """
        if fn is None:
            return self._decorator(name, options)
        registration, is_running = self._register(name, fn, options, "schedule")
        if is_running:
            self._control.submit(registration.command(), "schedule", registration).result()
        return None

    async def aschedule(
        self, name: str, fn: Any = None, **options: Unpack[ScheduleOptions]
    ) -> None:
        """As `schedule` with `fn`, from any running loop."""
        if fn is None:
            raise TypeError("aschedule() needs fn; as a decorator use @kron.schedule(...).")
        registration, is_running = self._register(name, fn, options)
        if is_running:
            await self._control.asubmit(registration.command(), "schedule", registration)

    def remove(self, name: str) -> None:
        """Forget a timer. Its running runs end by themselves, waiting ones are cancelled.

        Raises UnknownTimer.
        """
        if self._control.host is not None:
            self._control.submit(c.Remove(name), "remove").result()
            return
        with self._control.lock:
            self._registry.remove(name)

    async def aremove(self, name: str) -> None:
        """As `remove`, from any running loop."""
        if self._control.host is not None:
            await self._control.asubmit(c.Remove(name), "remove")
            return
        with self._control.lock:
            self._registry.remove(name)

    def pause(self, name: str) -> bool:
        """Let no moment of the timer run until `resume`; they are recorded as missed(paused).

        False if it was paused already. Raises UnknownTimer, NotStarted.
        """
        return bool(self._control.submit(c.Pause(name), "pause").result())

    async def apause(self, name: str) -> bool:
        """As `pause`, from any running loop."""
        return bool(await self._control.asubmit(c.Pause(name), "pause"))

    def resume(self, name: str) -> bool:
        """End a pause; a one-shot that fell due in it runs now. False if it was not paused."""
        return bool(self._control.submit(c.Resume(name), "resume").result())

    async def aresume(self, name: str) -> bool:
        """As `resume`, from any running loop."""
        return bool(await self._control.asubmit(c.Resume(name), "resume"))

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
        """Stop the open run of that run id, or all open runs of the timer of that name.

        Returns how many were stopped or asked to stop; the timer stays scheduled. A callback in a
        thread cannot be stopped: it keeps its place until it returns. Raises UnknownTimer.
        """
        return int(self._control.submit(self._cancel(name), "cancel").result())

    async def acancel(self, name: str) -> int:
        """As `cancel`, from any running loop."""
        return int(await self._control.asubmit(self._cancel(name), "cancel"))

    # -- reading -----------------------------------------------------------------------------

    def status(self, name: str) -> TimerStatus | None:
        """One timer as a dict (see TimerStatus), or None if there is none of that name."""
        if self._control.host is None:
            return self._waiting(name)
        return self._control.ask(lambda reading: reading.status(name), "status")

    async def astatus(self, name: str) -> TimerStatus | None:
        """As `status`, from any running loop."""
        if self._control.host is None:
            return self._waiting(name)
        return await self._control.aask(lambda reading: reading.status(name), "status")

    def list(self) -> Timers:
        """All timers, by next run; those without one last."""
        if self._control.host is None:
            return self._all_waiting()
        return self._control.ask(Reading.list, "list")

    async def alist(self) -> Timers:
        """As `list`, from any running loop."""
        if self._control.host is None:
            return self._all_waiting()
        return await self._control.aask(Reading.list, "list")

    def history(self, name: str | None = None, *, limit: int = 100) -> Rows:
        """What became of the latest moments, newest first (see HistoryRow); of one timer or all.

        Raises UnknownTimer for a name that neither exists nor has history, NotStarted.
        """
        return self._control.ask(lambda reading: reading.history(name, limit), "history").rows()

    async def ahistory(self, name: str | None = None, *, limit: int = 100) -> Rows:
        """As `history`, from any running loop."""
        past = await self._control.aask(lambda reading: reading.history(name, limit), "history")
        return await past.arows()

    def why(self, name: str, at: datetime | str | None = None) -> Why:
        """The story of the latest due moment at or before `at` (now), in words and as data (Why).

        `at` is an aware datetime or an ISO 8601 string; of a moment in the future it says whether
        the timer will run then, or when next. What was let go is not guessed. Raises UnknownTimer
        for a name that neither exists nor has history, ScheduleError, NotStarted.
        """
        return self._control.ask(lambda reading: reading.why(name, at), "why").tell()

    async def awhy(self, name: str, at: datetime | str | None = None) -> Why:
        """As `why`, from any running loop."""
        return await (await self._control.aask(lambda r: r.why(name, at), "why")).atell()

    # -- how it is put together --------------------------------------------------------------

    def _maker(
        self, data_dir: DataDir | None, fsync: str, fsync_interval: Duration, kept: Keeping
    ) -> Callable[[], Host]:
        interval_s = parse_duration(fsync_interval, argument="fsync_interval") / 1_000_000
        place = os.fsdecode(data_dir or default_data_dir())

        def make() -> Host:
            log = self._open_log(place, fsync, interval_s)
            host = Host(log, self._clock, self._registry.take(), __version__, kept)
            self._registry.taken_by(host)
            if self._has_door:
                host.door = partial(_open_door, self, os.path.abspath(place))
            return host

        return make

    def _register(
        self, name: str, fn: Any, options: ScheduleOptions, sync_verb: str = ""
    ) -> tuple[Registration, bool]:
        """Keep the registration; says too whether there is a running scheduler to hand it to."""
        check_name(name)
        definition, size_bytes = define(**options, fn_name=callable_name(fn), name=name)
        target = self._target(fn, definition)
        if sync_verb:
            self._control.refuse_loop_thread(sync_verb)
        called_us = self._clock.now().wall_us
        registration = Registration(name, definition, size_bytes, target, called_us)
        with self._control.lock:  # a start that begins now takes it along, or the caller does
            is_running = self._control.host is not None
            if not is_running:
                self._registry.add(registration)
        return registration, is_running

    def _target(self, fn: Any, definition: Definition) -> Target:
        last, args, kwargs = self._last_target, definition.terms.args, definition.terms.kwargs or {}
        if last is None or not last.is_for(fn, args, kwargs):
            last = self._last_target = Target(fn, args, kwargs)
        return last

    def _decorator(self, name: str, options: ScheduleOptions) -> Callable[[F], F]:
        check_name(name)
        define(**options, name=name)

        def register(fn: F) -> F:
            self.schedule(name, fn, **options)
            return fn

        return register

    def _waiting(self, name: str) -> TimerStatus | None:
        with self._control.lock:
            return self._registry.status(name)

    def _all_waiting(self) -> Timers:
        with self._control.lock:
            return self._registry.list()

    def _cancel(self, name: str) -> c.Command:
        if not isinstance(name, str):
            raise TypeError(f"cancel() takes a timer's name or a run id, not {name!r}.")
        run = run_id_number(name, self._control.engine("cancel").log.log_id)
        return c.Cancel(name) if run is None else c.CancelRun(run)

    def leave(self, timeout: float) -> str | None:
        """Shut down because the program ends; a line for people if one-shots were still to come."""
        host = self._control.host
        if host is None or host.over.done() or host.is_stranded():
            return None
        if host.engine is None or host.engine.is_over:
            return None
        coming = self._control.ask(Reading.next_one_shot, "list")
        self.shutdown(timeout)
        if coming is None:
            return None
        name, wait_s = coming
        return (
            f"kron: the program ended; next run {name} in {in_words(wait_s)};"
            " end with kron.wait() to stay"
        )


def _run_text(answer: tuple[int, int] | None, log_id: str) -> str | None:
    return None if answer is None else run_id_text(*answer, log_id)


def default_data_dir() -> str:
    """KRON_HOME, else `.kron` in the current directory."""
    return os.environ.get("KRON_HOME") or ".kron"


def _file_log(data_dir: str, fsync: str, interval_s: float) -> Log:
    if fsync not in ("always", "interval", "never"):
        raise ScheduleError(f"fsync must be one of: always, interval, never; not {fsync!r}.")
    return FileLog(data_dir, fsync=cast(Fsync, fsync), interval_s=interval_s)


async def _open_door(scheduler: Scheduler, data_dir: str, host: Host) -> None:
    """The control socket; its libraries are loaded in a thread, for they would stall the loop."""
    serve = await load_serve()
    await serve(scheduler, data_dir, host)


default: Scheduler = Scheduler()
"""The scheduler behind `kron.schedule`, `kron.start` and the other functions of the package."""
