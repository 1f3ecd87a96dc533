"""The run that is being carried out here: what a callback can know of it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, TypedDict

from kron.core.ids import run_id_text
from kron.core.instants import text
from kron.core.state import Run

from .callables import Target


class RunContext(TypedDict):
    """What a callback gets as its context, and what `current_run()` returns.

    `run_id` and `idempotency_key` are the same over all attempts of a run. `scheduled_at` is the
    nominal moment (RFC 3339, UTC); `missed` counts the earlier moments this run stands for.
    """

    timer_id: str
    run_id: str
    attempt: int
    max_attempts: int
    scheduled_at: str
    idempotency_key: str
    missed: int
    manual: bool
    backfill: bool
    metadata: dict[str, Any]


class Job(NamedTuple):
    """One attempt, handed to an executor."""

    run: int
    attempt: int
    timer: str
    log_id: str
    target: Target
    make_context: Callable[[], RunContext]


CURRENT: ContextVar[Job | None] = ContextVar("kron_current_run", default=None)


def make_job(run: Run, target: Target, log_id: str) -> Job:
    """The attempt of a run that has just been started."""
    timer, attempt = run.timer, run.attempt
    definition = timer.definition

    def make_context() -> RunContext:
        scheduled_at = text(run.scheduled_us) or ""
        return {
            "timer_id": timer.name,
            "run_id": run_id_text(run.id, run.scheduled_us, log_id),
            "attempt": attempt,
            "max_attempts": definition.max_attempts,
            "scheduled_at": scheduled_at,
            "idempotency_key": f"{timer.name}:{scheduled_at}",
            "missed": run.missed,
            "manual": run.cause == "manual",
            "backfill": False,
            "metadata": dict(definition.metadata or {}),
        }

    return Job(run.id, attempt, timer.name, log_id, target, make_context)


def current_run() -> RunContext | None:
    """The context of the run this code is part of, or None outside of one."""
    job = CURRENT.get()
    return None if job is None else job.make_context()
