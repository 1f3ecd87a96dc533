"""Which function decides which command: one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from . import commands as c
from .decide_backfill import decide_backfill
from .decide_clock import decide_recompute
from .decide_finish import (
    decide_abandon,
    decide_began,
    decide_cancel,
    decide_cancel_run,
    decide_finish,
    decide_interrupt,
    decide_linger,
    decide_stop_runs,
)
from .decide_host import decide_drain, decide_start, decide_stopped
from .decide_pause import decide_pause, decide_pause_many, decide_resume, decide_resume_many
from .decide_registry import decide_remove, decide_schedule, decide_trigger

if TYPE_CHECKING:
    from .machine import Machine

Decision: TypeAlias = tuple[list[Any], object, tuple[c.Command, ...]]
"""Events, the answer, and commands to be carried out next (in as many records as they need)."""

DECIDE: dict[type[c.Command], Callable[[Machine, Any], Decision]] = {
    c.Schedule: decide_schedule,
    c.Remove: decide_remove,
    c.Pause: decide_pause,
    c.Resume: decide_resume,
    c.Trigger: decide_trigger,
    c.Cancel: decide_cancel,
    c.CancelRun: decide_cancel_run,
    c.FinishRun: decide_finish,
    c.Interrupt: decide_interrupt,
    c.Start: decide_start,
    c.Drain: decide_drain,
    c.StopRuns: decide_stop_runs,
    c.AbandonRuns: decide_abandon,
    c.Stopped: decide_stopped,
    c.Recompute: decide_recompute,
    c.PauseMany: decide_pause_many,
    c.ResumeMany: decide_resume_many,
    c.Backfill: decide_backfill,
    c.Linger: decide_linger,
    c.Began: decide_began,
}
