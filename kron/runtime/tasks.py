"""The executor for `async def` callbacks: one plain asyncio task each, in its own context."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from kron.core.commands import FinishRun, Outcome

from .context import CURRENT, Job
from .failures import describe, report

_SUCCEEDED = Outcome.SUCCEEDED


class Tasks:
    """Owns the tasks of running attempts, by run: one attempt ends before the next begins."""

    def __init__(
        self, finish: Callable[[FinishRun], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._finish = finish
        self._loop = loop
        self._tasks: dict[int, tuple[asyncio.Task[None], Job, Any]] = {}

    def start(self, job: Job) -> None:
        """Call the callback and await it."""
        self._start(job, None)

    def adopt(self, job: Job, awaitable: Any) -> None:
        """Await what a sync callback returned."""
        self._start(job, awaitable)

    def cancel(self, run: int) -> bool:
        """Cancel the task of the run's attempt; False if there is none."""
        task, job, awaitable = self._tasks.get(run, (None, None, None))
        if task is None or job is None:
            return False
        task.cancel()
        if not job.has_begun:  # and never will: the task ends without a word
            del self._tasks[run]
            getattr(awaitable, "close", lambda: None)()
            error = "cancelled before it began"
            self._finish(FinishRun(run, job.attempt, Outcome.CANCELLED, 0, error))
        return True

    async def ended(self) -> None:
        """Until no attempt is left."""
        while left := [task for task, _, _ in self._tasks.values() if not task.done()]:
            await asyncio.wait(left)

    def _start(self, job: Job, awaitable: Any) -> None:
        # A plain task whatever the loop's task factory: an eager one would end before it is owned.
        task = asyncio.Task(self._carry(job, awaitable), loop=self._loop)
        self._tasks[job.run] = (task, job, awaitable)

    async def _carry(self, job: Job, awaitable: Any) -> None:
        job.has_begun = True
        CURRENT.set(job)  # a task has a context of its own
        outcome, error, interrupt = _SUCCEEDED, "", None
        began_ns = perf_counter_ns()
        try:
            await (job.call() if awaitable is None else awaitable)
        except asyncio.CancelledError as exc:
            outcome, error = Outcome.CANCELLED, describe(exc)
        except BaseException as exc:
            outcome, error = Outcome.FAILED, describe(exc)
            report(job, exc)
            interrupt = exc if _is_interrupt(exc) else None
        took_us = (perf_counter_ns() - began_ns) // 1000
        del self._tasks[job.run]
        self._finish(FinishRun(job.run, job.attempt, outcome, took_us, error))
        if interrupt is not None:
            # From a bare callback, not from this task: nobody would retrieve the task's exception.
            asyncio.get_running_loop().call_soon(_throw, interrupt)


def _throw(exc: BaseException) -> None:
    raise exc


def _is_interrupt(exc: BaseException) -> bool:
    """Ctrl-C reaches the main thread wherever it is; it is meant for the program."""
    is_main = threading.current_thread() is threading.main_thread()
    return isinstance(exc, KeyboardInterrupt) and is_main
