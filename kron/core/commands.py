"""The commands: what callers, executors and the host ask of the Machine.

A command that may be repeated (a retried call, a forwarded one) carries a `cmd_id`; the Machine
gives a repeated one the first answer and no second effect. "" means: nobody repeats it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeAlias

from .model import Definition, Stop


class Schedule(NamedTuple):
    """Create or update a timer. `called_us` is the wall clock when the caller asked.

    `is_threaded` says that its runs need one of the worker threads, of which there are only so
    many; `begins_later` that `Began` will tell when an attempt has really begun. Answers
    "created", "updated" or "unchanged".
    """

    name: str
    definition: Definition
    called_us: int
    size_bytes: int
    cmd_id: str = ""
    is_threaded: bool = False
    begins_later: bool = False


class Remove(NamedTuple):
    """Forget a timer; its running runs end by themselves. Answers True."""

    name: str
    cmd_id: str = ""


class Pause(NamedTuple):
    """Pause a timer until it is resumed, for `for_us` of elapsed time, or until the instant
    `until_us` of the wall clock. `reason` and `who` are for people. A timer that is paused gets the
    new end and reason. Answers True, or False if that says nothing new."""

    name: str
    for_us: int | None = None
    until_us: int | None = None
    reason: str = ""
    who: str = ""
    cmd_id: str = ""


class PauseMany(NamedTuple):
    """As `Pause`, for each of them that there is. Answers for how many it said something new."""

    names: tuple[str, ...]
    for_us: int | None = None
    until_us: int | None = None
    reason: str = ""
    who: str = ""
    cmd_id: str = ""


class Resume(NamedTuple):
    """Answers True, or False if the timer was not paused."""

    name: str
    who: str = ""
    cmd_id: str = ""


class ResumeMany(NamedTuple):
    """As `Resume`, for each of them that there is. Answers how many were paused."""

    names: tuple[str, ...]
    who: str = ""
    cmd_id: str = ""


class Trigger(NamedTuple):
    """Run a timer now, besides its schedule. Answers (run, scheduled_us), or None if skipped."""

    name: str
    cmd_id: str = ""


class Backfill(NamedTuple):
    """Run every moment of a recurring timer in `since_us <= t < until_us` (wall time) that has not
    had a run, in order of time, at most `concurrency` at once; with `is_forced` also those that
    had. Answers (moments to run, moments that had a run)."""

    name: str
    since_us: int
    until_us: int
    is_forced: bool = False
    concurrency: int = 1
    cmd_id: str = ""


class Cancel(NamedTuple):
    """Stop every open run of a timer, and its backfills. Answers how many runs and backfills."""

    name: str
    cmd_id: str = ""


class CancelRun(NamedTuple):
    """Stop one open run. Answers how many: 1, or 0 if it is not open any more."""

    run: int
    reason: Stop = Stop.CANCEL
    cmd_id: str = ""


class Outcome(StrEnum):
    """How an attempt ended in the executor."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class FinishRun(NamedTuple):
    """An attempt ended after `took_us`. A stale one (run or attempt not current) has no effect."""

    run: int
    attempt: int
    outcome: Outcome
    took_us: int
    error: str = ""
    exit_code: int | None = None
    cmd_id: str = ""


class Began(NamedTuple):
    """An attempt has really begun, after it waited for its turn in the executor: from now on its
    timeout counts. (Of timers that said `begins_later`.)"""

    run: int
    attempt: int
    cmd_id: str = ""


class Linger(NamedTuple):
    """Of an attempt that was asked to stop: nothing can stop it (it is in a thread). If its time
    is up it has failed; its place stays taken until its FinishRun comes."""

    run: int
    attempt: int
    cmd_id: str = ""


class Start(NamedTuple):
    """This process now carries the schedule out; the weights of what it runs at once sum up to at
    most `max_concurrency` (None: no limit)."""

    boot: str
    pid: int
    version: str
    torn: tuple[str, int, int, str] | None = None
    max_concurrency: int | None = None
    cmd_id: str = ""


class Recompute(NamedTuple):
    """Look whether timers have another next moment, after `after_us`, than they are waiting for."""

    names: tuple[str, ...]
    after_us: int
    reason: str
    cmd_id: str = ""


class Interrupt(NamedTuple):
    """End an attempt for which no executor will answer: the process died, or let it go."""

    run: int
    cmd_id: str = ""


class Drain(NamedTuple):
    """Start nothing more; running runs may end."""

    cmd_id: str = ""


class StopRuns(NamedTuple):
    """Ask every running run to stop, for a shutdown. Answers how many."""

    cmd_id: str = ""


class AbandonRuns(NamedTuple):
    """End, without waiting, every attempt that did not stop. Answers how many."""

    cmd_id: str = ""


class Stopped(NamedTuple):
    """The last word of a process in the log."""

    boot: str
    cmd_id: str = ""


Command: TypeAlias = (
    Schedule
    | Remove
    | Pause
    | PauseMany
    | Resume
    | ResumeMany
    | Backfill
    | Trigger
    | Cancel
    | CancelRun
    | FinishRun
    | Began
    | Linger
    | Start
    | Recompute
    | Interrupt
    | Drain
    | StopRuns
    | AbandonRuns
    | Stopped
)
