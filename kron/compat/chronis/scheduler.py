"""`PollingScheduler`, which does not poll: Chronis' verbs, each on a `kron.Scheduler`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar, Unpack

from typing_extensions import TypedDict

from kron.core.errors import AlreadyStarted, InsideEventLoop, UnknownTimer
from kron.core.keywords import check_keywords
from kron.core.terms import ScheduleOptions
from kron.scheduler import Scheduler

from . import triggers
from .adoption import options_of
from .callbacks import read_hooks
from .exceptions import FunctionNotRegisteredError, JobNotFoundError, SchedulerError
from .filters import read_filters
from .functions import Function, Functions, misfit, module_of, name_of
from .job import Job, by_next_run, is_done, is_spent, job_of
from .numbers import read_count, read_number
from .options import (
    CronOptions,
    IntervalOptions,
    JobOptions,
    read_job_id,
    read_options,
)
from .settings import SchedulerOptions, check_adapters, read_settings
from .waiting import Waiting

STOP_SECONDS = 30.0

P = ParamSpec("P")
T = TypeVar("T")
Work: TypeAlias = Function | str


def not_on_the_loop(verb: Callable[P, T]) -> Callable[P, T]:
    """The verb; in an async job, where it would wait for itself, it says how to call it there."""

    @wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return verb(*args, **kwargs)
        except InsideEventLoop:
            name = verb.__name__
            raise InsideEventLoop(
                f"{name}() waits for the scheduler, and an async job is on the scheduler's own"
                f" thread; there use: await asyncio.to_thread(scheduler.{name}, ...)"
            ) from None

    return call


class StopReport(TypedDict):
    """What `stop` found: whether the running jobs of either kind came to their end."""

    sync_jobs_completed: bool
    async_jobs_completed: bool
    was_running: bool


class PollingScheduler:
    """Jobs of Chronis, carried out by the `kron.Scheduler` that `kron` names.

    `store` is the data directory: that argument, else KRON_HOME, else `.kron` in the current
    directory. Every job is kept there, whatever the adapters say; they may be left out. At most
    `max_workers` jobs run at once (None: no limit). `on_success(job_id, job)` is called when a job
    has succeeded, `on_failure(job_id, error, job)` when no attempt is left, with a JobFailed; after
    those of the job itself. `logger` gets warnings.
    polling_interval_seconds (0.1 to 3600), lock_ttl_seconds (300; at least twice that),
    max_queue_size, executor_interval_seconds and verbose are checked and have no effect: Kron
    sleeps until something is due, and a directory has one writer.

    All methods may be called from any thread; but those that change something raise InsideEventLoop
    in an async job, which is on Kron's own loop: there say `await asyncio.to_thread(...)`. Raises
    TypeError or ValueError, naming the keyword.
    """

    def __init__(
        self,
        storage_adapter: Any = None,
        lock_adapter: Any = None,
        polling_interval_seconds: float = 1,
        **options: Unpack[SchedulerOptions],
    ) -> None:
        check_adapters(storage_adapter, lock_adapter)
        settings = read_settings(polling_interval_seconds, options)
        hooks = read_hooks(options, self._find)
        self.kron = Scheduler(max_concurrency=settings.max_concurrency, **hooks._asdict())
        self._store = settings.store
        self._logger = settings.logger
        self._functions = Functions()
        self._waiting = Waiting(self.kron)
        self.kron._on_host = self._waiting.hand_over
        self._awaited: dict[str, str] = {}

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the directory and run its jobs, in the background.

        Jobs that an earlier process left there go on if the function that they name is registered.
        Raises SchedulerError if it runs already, FunctionNotRegisteredError if a job names a
        function that nobody has registered, DataDirLocked if another process has the directory,
        StorageError.
        """
        self._refuse_missing()
        try:
            self.kron.start(self._store)
        except AlreadyStarted as exc:
            raise SchedulerError("the scheduler is running already; call stop() first.") from exc
        self._awaited.clear()
        self._waiting.carry_out()
        self._adopt()

    @not_on_the_loop
    def stop(self, *, timeout_seconds: float = STOP_SECONDS) -> StopReport:
        """Start nothing more, wait up to that long for running jobs, then stop them.

        What had to be stopped runs again after the next start. Not running: nothing to do.
        """
        timeout_s = read_number(timeout_seconds, "timeout_seconds")
        was_running = self.is_running()
        self._waiting.remember()
        report = self.kron.shutdown(timeout_s)
        stuck = set(report["abandoned"])  # threads, which nobody can stop
        return {
            "sync_jobs_completed": not stuck,
            "async_jobs_completed": stuck.issuperset(report["interrupted"]),
            "was_running": was_running,
        }

    def is_running(self) -> bool:
        """Whether jobs are carried out."""
        return self._waiting.is_over

    # -- jobs come and go --------------------------------------------------------------------

    @not_on_the_loop
    def register_job_function(self, name: str, func: Function) -> None:
        """Give a function the name by which jobs call it, from their next run on."""
        self._functions.register(name, func)
        if self.is_running():
            self._adopt()

    @not_on_the_loop
    def create_interval_job(self, func: Work, **options: Unpack[IntervalOptions]) -> Job:
        """A job that runs again and again: every seconds + minutes + hours + days + weeks.

        `func` is a callable, a name that is registered until the start, or "module:function". A
        `job_id` that there is updates that job; without one it follows from what is asked for.
        `name` is for people; `timezone` ("UTC") is shown, and for a cron or date job it says whose
        clock. `args`, `kwargs` and `metadata` are JSON values. A failed run is tried `max_retries`
        (0) times more, after `retry_delay_seconds` (60), twice that, ...; `timeout_seconds` stops
        one that takes longer; of all that wait the larger `priority` (0 to 10, 5) goes first.
        `on_success` and `on_failure` are as those of the scheduler, for this job and this process.
        `if_missed` is what becomes of runs that fell due while nobody was there: "run_once" (that
        of interval and date jobs), "run_all", or "skip" (that of cron jobs), which still lets one
        run that is no more than `misfire_threshold_seconds` (60) late.

        Returns the job when it is durable; before the start, at once. Raises TypeError or
        ValueError, naming the keyword; then nothing has changed.
        """
        check_keywords("create_interval_job", options, IntervalOptions)
        return self._create(func, options, triggers.interval(options))

    @not_on_the_loop
    def create_cron_job(self, func: Work, **options: Unpack[CronOptions]) -> Job:
        """A job that runs whenever all of the given fields match: year, month, day, week (ISO),
        day_of_week, hour, minute, second.

        A field is a number or a text such as "*/15", "9-17", "mon-fri", "1,15". Weekdays by number
        count from 0 for Monday. `day` can be "last", "1st mon", "last fri" too. Finer fields that
        are left out are at their least, coarser ones at any value. All else is as for an interval
        job; and fields that never match are a ValueError at once.
        """
        check_keywords("create_cron_job", options, CronOptions)
        return self._create(func, options, triggers.cron(options))

    @not_on_the_loop
    def create_date_job(
        self, func: Work, run_date: datetime | str, **options: Unpack[JobOptions]
    ) -> Job:
        """A job that runs once, at `run_date`: a datetime or an ISO 8601 text.

        Where it names no zone, it is in `timezone`; where that is left out too, a text is in UTC
        and a datetime in this machine's zone. A past date is no error: the job does not run (but
        one of the last minute does), which is recorded as missed, and logged. After success
        `get_job` gives None. All else is as for an interval job.
        """
        check_keywords("create_date_job", options, JobOptions)
        trigger = triggers.date(run_date, options.get("timezone"))
        return self._create(func, options, trigger)

    @not_on_the_loop
    def delete_job(self, job_id: str) -> bool:
        """Forget a job; a run of it comes to its end. Returns whether there was one."""
        if self.get_job(job_id) is None:
            return False
        self._waiting.forget(job_id)
        with suppress(UnknownTimer):  # somebody else was quicker
            self.kron.remove(job_id)
        return True

    @not_on_the_loop
    def pause_job(self, job_id: str) -> bool:
        """Let it not run until `resume_job`. Returns True. Raises JobNotFoundError."""
        return self._steer(job_id, is_pause=True)

    @not_on_the_loop
    def resume_job(self, job_id: str) -> bool:
        """End its pause, if there is one. Returns True. Raises JobNotFoundError."""
        return self._steer(job_id, is_pause=False)

    # -- questions ---------------------------------------------------------------------------

    def get_job(self, job_id: str) -> Job | None:
        """The job, or None. Before the start only those of this process are known; after `stop`
        all are, as they were then."""
        status = self._waiting.status(job_id)
        return None if status is None or is_done(status) else job_of(status)

    def query_jobs(
        self, filters: Mapping[str, Any] | None = None, limit: int | None = None
    ) -> list[Job]:
        """The jobs by next run, at most `limit`; those without one come last.

        `filters` are "status", "metadata.<key>" (a dot goes into a nested dict; a key that is not
        there matches nothing, not even None), "job_id", "name", "func", "trigger_type", "timezone",
        and "next_run_time_lte" (a moment as `run_date` is read). Raises TypeError for any other,
        ValueError for an unknown status.
        """
        wanted = read_filters(filters)
        most = None if limit is None else read_count(limit, "limit")
        timers = self._waiting.statuses(wanted.metadata)
        jobs = (job_of(status) for status in timers if not is_done(status))
        return sorted(filter(wanted.let_through, jobs), key=by_next_run)[:most]

    # -- how it is done ----------------------------------------------------------------------

    def _create(self, func: Work, given: JobOptions, trigger: ScheduleOptions) -> Job:
        fn, fn_name = self._functions.find(func), name_of(func)
        options = read_options(given, trigger, fn_name)
        job_id = read_job_id(given.get("job_id"), fn_name, module_of(func), options)
        if fn is None and self.is_running():
            raise _not_registered(job_id, fn_name)
        options["on_success"], options["on_failure"] = read_hooks(given, self._find)
        self.kron.schedule(job_id, self._functions.caller(func), **options)
        if fn is None:
            self._awaited[job_id] = fn_name
        self._waiting.note_created(job_id)
        if fn is not None and (reason := misfit(fn, options["args"], options["kwargs"] or {})):
            self._logger.warning("job %s: %s cannot be called: %s", job_id, fn_name, reason)
        status = self._waiting.status(job_id)
        assert status is not None
        job = job_of(status)
        if is_spent(job):
            text = "job %s: %s never matches again; it will not run"
            self._logger.warning(text, job_id, job.schedule)
        return job

    def _find(self, job_id: str) -> Job | None:
        """The job for a callback: also a date job that has succeeded just now."""
        status = self._waiting.status_in_callback(job_id)
        return None if status is None else job_of(status)

    def _steer(self, job_id: str, *, is_pause: bool) -> bool:
        if self.get_job(job_id) is None:
            raise JobNotFoundError(f"there is no job {job_id!r}.")
        try:
            self._waiting.steer(job_id, is_pause=is_pause)
        except UnknownTimer as exc:
            raise JobNotFoundError(f"there is no job {job_id!r}.") from exc
        return True

    def _refuse_missing(self) -> None:
        """What waits for the start has to have its functions."""
        for job_id, name in self._awaited.items():
            status = self.kron.status(job_id)
            if name not in self._functions and status and status["fn_name"] == name:
                raise _not_registered(job_id, name)

    def _adopt(self) -> None:
        """Jobs of an earlier process that name a function by a name that is registered now."""
        for status in self.kron.list(state="orphaned"):
            name = status["fn_name"] or ""
            if name in self._functions and status["source"] is None:
                self.kron.schedule(status["id"], self._functions.caller(name), **options_of(status))


def _not_registered(job_id: str, name: str) -> FunctionNotRegisteredError:
    return FunctionNotRegisteredError(
        f"job {job_id!r} calls {name!r}, which is not registered; say"
        f" register_job_function({name!r}, ...) before, or pass the function itself as func=."
    )
