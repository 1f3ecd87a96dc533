"""The run that is being carried out here: what a callback can know of it."""

from __future__ import annotations

from contextvars import ContextVar
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Protocol

from typing_extensions import TypedDict

from kron.core.ids import run_id_text
from kron.core.instants import text

if TYPE_CHECKING:  # a process that carries out one function needs neither
    from kron.core.things import Run

    from .callables import Target


class RunContext(TypedDict):
    """What a callback gets as its context, and what `current_run()` returns.

    `run_id` and `idempotency_key` are the same over all attempts of a run, and the key belongs to
    timer and moment (and clock era: a clock that was set back by hours repeats moments).
    `scheduled_at` is the nominal moment (RFC 3339, UTC); `missed` counts the earlier moments this
    run stands for; `backfill` says that somebody asked for a past moment to be run.
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


class Job:
    """One attempt, handed to an executor. `run` and `attempt` are ids for its completion."""

    __slots__ = (
        "_definition", "_era", "_run", "attempt", "has_begun", "log_id", "run", "target", "timer",
    )  # fmt: skip

    def __init__(self, run: Run, target: Target, log_id: str, era: int = 0) -> None:
        self.run = run.id
        self.attempt = run.attempt
        self.has_begun = False
        self.timer = run.timer.name
        self.target = target
        self.log_id = log_id
        self._run = run
        self._era = era
        self._definition = run.timer.definition

    @property
    def run_id(self) -> str:
        """The run as people see it."""
        return run_id_text(self.run, self._run.scheduled_us, self.log_id)

    @property
    def has_timeout(self) -> bool:
        """Whether it matters when the attempt really begins."""
        return self._definition.terms.timeout_us is not None

    def call(self) -> Any:
        """Call the callable with its arguments, and with the context if it takes one."""
        target = self.target
        args, kwargs = target.args, target.kwargs
        if args or kwargs:  # its own: what it changes in them is not the timer's definition
            args, kwargs = deepcopy(args), deepcopy(kwargs)
        if target.wants_context:
            return target.fn(self.context(), *args, **kwargs)
        return target.fn(*args, **kwargs)

    def context(self) -> RunContext:
        """A new dict each time: the callback may do with it what it likes."""
        run, definition = self._run, self._definition
        scheduled_at = text(run.scheduled_us) or ""
        return {
            "timer_id": self.timer,
            "run_id": self.run_id,
            "attempt": self.attempt,
            "max_attempts": definition.terms.max_attempts,
            "scheduled_at": scheduled_at,
            "idempotency_key": f"{self.timer}:{scheduled_at}" + (f"~{self._era}" * bool(self._era)),
            "missed": run.missed,
            "manual": run.cause == "manual",
            "backfill": run.cause == "backfill",
            "metadata": deepcopy(definition.terms.metadata or {}),
        }


class Carried(Protocol):
    """A run that is being carried out here: a Job, or what another process has of one."""

    run: int
    attempt: int
    log_id: str

    def context(self) -> RunContext:
        """A new dict each time."""


CURRENT: ContextVar[Carried | None] = ContextVar("kron_current_run", default=None)


def current_run() -> RunContext | None:
    """The context of the run this code is part of, or None outside of one."""
    job = CURRENT.get()
    return None if job is None else job.context()
