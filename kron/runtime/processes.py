"""The executor for commands and process functions: a process group each, and a thread beside it.

A thread, not the event loop: starting a process may take long, no loop's own way of watching
children is needed, and what a process prints is read whatever the loop does. A stopped run gets
TERM, then KILL, both for the whole group; it has ended when nobody of the group is left.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from queue import SimpleQueue
from signal import SIGCONT, SIGKILL, SIGTERM, Signals
from subprocess import Popen
from time import perf_counter_ns
from typing import NamedTuple

from kron.core.commands import Began, FinishRun, Outcome
from kron.core.errors import KronError, StorageError

from .context import Job
from .draining import Process
from .environment import Providers
from .failures import describe, report, tell_failed
from .groups import Census, has_members, reap_adopted, signal_group
from .launch import Launch, kill_after_s, launch_of, spawn
from .leftovers import started, starting
from .logger import tell
from .output import Output, Outputs

TURN_SECONDS = 1.0
LINGER_SECONDS = 1.0
"""How long, after its end, others may go on printing for a command."""

SPAWNS = 2
"""So many processes are started at a time: more only take the interpreter from the event loop."""

_LOOK_S = 0.02


class Phase(Enum):
    """How far an attempt has come."""

    WAITING = auto()
    SPAWNING = auto()
    RUNNING = auto()
    ENDED = auto()


class Attempt:
    """One attempt on its way; its fields change under the lock of the executor."""

    __slots__ = ("ended_s", "group", "is_cancelled", "is_killed", "job", "killer", "phase")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.phase = Phase.WAITING
        self.group = 0
        self.ended_s = 0.0
        self.is_cancelled = self.is_killed = False
        self.killer: threading.Timer | None = None


class End(NamedTuple):
    """How an attempt ended."""

    outcome: Outcome
    error: str = ""
    exit_code: int | None = None
    took_us: int = 0


class Processes:
    """Owns the processes of running attempts, by run. `start` and `stop` belong to one thread, all
    else to any; `finish` is called from the threads here."""

    def __init__(
        self, finish: Callable[[FinishRun | Began], None], outputs: Outputs, providers: Providers
    ) -> None:
        self._finish = finish
        self._outputs = outputs
        self._providers = providers
        self._attempts: dict[int, Attempt] = {}
        self._adopted: set[int] = set()
        self._census = Census()
        self._lock = threading.Lock()
        self._spawns = threading.Semaphore(SPAWNS)
        self._is_stopped = False
        self._jobs: SimpleQueue[Attempt | None] = SimpleQueue()
        self._starter: threading.Thread | None = None

    def start(self, job: Job) -> None:
        """Start a process for the attempt, soon; the caller does not wait for it."""
        attempt = Attempt(job)
        with self._lock:
            self._attempts[job.run] = attempt
        self._jobs.put(attempt)
        if self._starter is None:
            self._starter = threading.Thread(
                target=self._start_threads, name="kron-processes", daemon=True
            )
            self._starter.start()

    def running(self) -> set[int]:
        """Runs that have not ended."""
        with self._lock:
            return set(self._attempts)

    def cancel(self, run: int) -> bool:
        """End the attempt: without a process if there is none yet, else by TERM and, when its time
        is up, KILL. False if there is no such attempt."""
        with self._lock:
            attempt = self._attempts.get(run)
            if attempt is None:
                return False
            has_begun = attempt.phase is not Phase.WAITING
            if has_begun:
                self._stop(attempt)
            else:
                del self._attempts[run]
        if not has_begun:
            error = "cancelled before it began"
            self._finish(FinishRun(run, attempt.job.attempt, Outcome.CANCELLED, 0, error))
        return True

    def kill_all(self) -> None:
        """End all attempts by KILL, now."""
        with self._lock:
            attempts = list(self._attempts.values())
            for attempt in attempts:
                attempt.is_killed = True
        for attempt in attempts:
            self.cancel(attempt.job.run)
            self._kill(attempt)  # one that had its TERM before

    def stop(self) -> None:
        """Begin no further attempt; those that have begun go on."""
        with self._lock:
            self._is_stopped = True
        self._jobs.put(None)

    # -- stopping one (under the lock) -------------------------------------------------------

    def _stop(self, attempt: Attempt) -> None:
        if attempt.is_cancelled or attempt.phase is Phase.ENDED:
            return
        attempt.is_cancelled = True
        if attempt.phase is Phase.RUNNING:
            self._terminate(attempt)

    def _terminate(self, attempt: Attempt) -> None:
        if attempt.is_killed:
            signal_group(attempt.group, SIGKILL)
            return
        signal_group(attempt.group, SIGTERM)
        signal_group(attempt.group, SIGCONT)  # one that is stopped could not hear it
        attempt.killer = threading.Timer(kill_after_s(attempt.job), self._kill, (attempt,))
        attempt.killer.daemon = True
        try:
            attempt.killer.start()
        except RuntimeError as exc:  # the system has no thread left to wait in
            _warn(attempt.job, "killed at once: %s", exc)
            attempt.killer = None
            attempt.is_killed = True
            signal_group(attempt.group, SIGKILL)

    def _kill(self, attempt: Attempt) -> None:
        with self._lock:
            attempt.is_killed = True
            is_there = self._attempts.get(attempt.job.run) is attempt and attempt.group > 0
            if is_there and attempt.is_cancelled:
                signal_group(attempt.group, SIGKILL)

    # -- carrying one out (in its thread) ----------------------------------------------------

    def _start_threads(self) -> None:
        """In a thread of its own: a burst of starts is nothing the event loop should wait for."""
        while (attempt := self._jobs.get()) is not None:
            name = f"kron-process-{attempt.job.run}"
            thread = threading.Thread(target=self._carry, args=(attempt,), name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:  # the system has none left
                self._end(attempt, End(Outcome.FAILED, describe(exc)))

    def _carry(self, attempt: Attempt) -> None:
        try:
            end = self._run(attempt)
        except BaseException as exc:  # ours, not the command's: the run must not stay open for it
            report(attempt.job, exc)
            end = End(Outcome.FAILED, describe(exc))
        if end is not None:
            self._end(attempt, end)

    def _run(self, attempt: Attempt) -> End | None:
        """From nothing to the end of it; None if somebody ended it before it began."""
        job, began_ns = attempt.job, perf_counter_ns()
        try:
            launch = launch_of(job, self._providers)
        except (KronError, OSError) as exc:
            return _failed(exc, began_ns) if self._may_spawn(attempt) else None
        output = self._outputs.begin(job.timer, job.run_id, job.attempt, time.time())
        try:
            end = self._run_process(attempt, launch, output)
        except (KronError, OSError) as exc:
            end = _failed(exc, began_ns)
        finally:
            trouble = output.close()
            launch.close()
        if trouble and end is not None and end.error:
            end = end._replace(error=f"{end.error} (its output was not kept: {trouble})")
        return end

    def _may_spawn(self, attempt: Attempt) -> bool:
        """From here on a cancellation waits for the process. False if there was one before."""
        with self._lock:
            is_wanted = self._attempts.get(attempt.job.run) is attempt and not self._is_stopped
            if is_wanted:
                attempt.phase = Phase.SPAWNING
            return is_wanted

    def _spawned(self, attempt: Attempt, launch: Launch) -> Popen[bytes] | None:
        """The process, when it is its turn; None if somebody ended the attempt before. (Turns are
        for fairness: a start that hangs holds the others up for a second, not for ever.)"""
        has_turn = self._spawns.acquire(timeout=TURN_SECONDS)
        try:
            if not self._may_spawn(attempt):
                return None
            self._mark(attempt.job, starting)
            return spawn(launch)
        finally:
            if has_turn:
                self._spawns.release()

    def _run_process(self, attempt: Attempt, launch: Launch, output: Output) -> End | None:
        job = attempt.job
        try:
            popen = self._spawned(attempt, launch)
            if popen is None:
                return None
            began_ns = perf_counter_ns()
            process = Process(popen, output)
            try:
                self._has_started(attempt, process.pid)
                if job.has_timeout:
                    self._finish(Began(job.run, job.attempt))
                self._mark(job, lambda: started(process.pid))
                process.await_end()
                took_us = (perf_counter_ns() - began_ns) // 1000
                self._await_group(attempt, process)
            finally:
                process.close()
        finally:
            self._outputs.unmark(job.run_id)
        return _end_of(attempt, process, launch, took_us)

    def _has_started(self, attempt: Attempt, pid: int) -> None:
        with self._lock:
            attempt.phase, attempt.group = Phase.RUNNING, pid
            if attempt.is_cancelled:
                self._terminate(attempt)

    def _await_group(self, attempt: Attempt, process: Process) -> None:
        """After the end of the leader: of the others too, if the run was stopped."""
        with self._lock:
            attempt.phase, attempt.ended_s = Phase.ENDED, time.monotonic()
        if attempt.is_cancelled:
            process.read_until(lambda: self._is_gone(attempt), _LOOK_S)
            process.read_rest(0.0)
        else:
            process.read_rest(LINGER_SECONDS)
        self._reap(attempt.group)

    def _is_gone(self, attempt: Attempt) -> bool:
        """Whether nobody of the group is left but those whom nobody reaps."""
        group = attempt.group
        reap_adopted(group)
        if has_members(group):
            if self._census.has(group, attempt.ended_s):
                return False
            signal_group(group, SIGKILL)  # should one have been born between two lines of the table
        return True

    def _reap(self, group: int) -> None:
        """As PID 1 we are the parent of what a command leaves behind; later ones look after it."""
        with self._lock:
            groups, self._adopted = {*self._adopted, group}, set()
        living = {group for group in groups if reap_adopted(group)}
        with self._lock:
            self._adopted |= living

    def _mark(self, job: Job, text: Callable[[], str]) -> None:
        try:
            self._outputs.mark(job.run_id, text())
        except (OSError, StorageError) as exc:
            _warn(job, "if the scheduler is killed, the next will not find its process: %s", exc)

    def _end(self, attempt: Attempt, end: End) -> None:
        job = attempt.job
        with self._lock:
            if self._attempts.get(job.run) is not attempt:  # its end was told when it was cancelled
                return
            del self._attempts[job.run]
            if attempt.killer is not None:
                attempt.killer.cancel()
        if end.outcome is Outcome.FAILED:
            tell_failed(job, f": {end.error}")
        outcome, error, exit_code, took_us = end
        self._finish(FinishRun(job.run, job.attempt, outcome, took_us, error, exit_code))


def _warn(job: Job, text: str, exc: Exception) -> None:
    about = job.timer, exc
    run, attempt = job.run_id, job.attempt
    tell(logging.WARNING, f"timer %s: {text}", *about, timer=job.timer, run=run, attempt=attempt)


def _failed(exc: Exception, began_ns: int) -> End:
    """Of what could not be started; the text of a KronError is for people as it is."""
    error = str(exc) if isinstance(exc, KronError) else describe(exc)
    return End(Outcome.FAILED, error, None, (perf_counter_ns() - began_ns) // 1000)


def _end_of(attempt: Attempt, process: Process, launch: Launch, took_us: int) -> End:
    code = process.exit_code
    if code == 0:
        outcome, error = Outcome.SUCCEEDED, ""
    else:
        outcome, error = Outcome.FAILED, launch.error() or _exit_text(code, process.last_line())
    return End(Outcome.CANCELLED if attempt.is_cancelled else outcome, error, code, took_us)


def _exit_text(code: int | None, last_line: str) -> str:
    if code is None:
        return (
            "its exit code is lost: something else in this program took it (os.waitpid(-1), or"
            " SIGCHLD is ignored)"
        )
    if code < 0:
        name = f"signal {-code}"
        with suppress(ValueError):  # one of the real-time signals
            name = Signals(-code).name
        return f"killed by {name}"
    return f"exit code {code}" + (f": {last_line}" if last_line else "")
