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

    Answers "created", "updated" or "unchanged".
    """

    name: str
    definition: Definition
    called_us: int
    size_bytes: int
    cmd_id: str = ""


class Remove(NamedTuple):
    """Forget a timer; its running runs end by themselves. Answers True."""

    name: str
    cmd_id: str = ""


class Pause(NamedTuple):
    """Answers True, or False if the timer was paused already."""

    name: str
    cmd_id: str = ""


class Resume(NamedTuple):
    """Answers True, or False if the timer was not paused."""

    name: str
    cmd_id: str = ""


class Trigger(NamedTuple):
    """Run a timer now, besides its schedule. Answers (run, scheduled_us), or None if skipped."""

    name: str
    cmd_id: str = ""


class Cancel(NamedTuple):
    """Stop every open run of a timer. Answers how many."""

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
    cmd_id: str = ""


class Start(NamedTuple):
    """This process now carries the schedule out."""

    boot: str
    pid: int
    version: str
    torn: tuple[str, int, int, str] | None = None
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
    | Resume
    | Trigger
    | Cancel
    | CancelRun
    | FinishRun
    | Start
    | Recompute
    | Interrupt
    | Drain
    | StopRuns
    | AbandonRuns
    | Stopped
)
