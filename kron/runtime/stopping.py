"""How a scheduler is brought down: drain, ask to stop, let go, say so in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from concurrent.futures import Future
from typing import Any

from typing_extensions import TypedDict

from kron.core import commands as c
from kron.core.ids import run_id_text

from .engine import Engine
from .promise import promise

CANCEL_SECONDS = 1.0
"""How long cancelled attempts may take to end, beyond the shutdown's own timeout."""


class ShutdownReport(TypedDict):
    """What `shutdown` did: run ids by what became of them.

    `finished` ended by themselves while it waited; `interrupted` were asked to stop and are due
    again at the next start; `abandoned` did not stop (a thread cannot be killed, also one whose
    attempt had timed out before); `pending` is the run that called `shutdown` itself and goes on.
    `error` says why the scheduler had stopped before, if it had.
    """

    stopped: bool
    finished: list[str]
    interrupted: list[str]
    abandoned: list[str]
    pending: list[str]
    error: str | None


def empty_report(error: str | None = None) -> ShutdownReport:
    """The report of a shutdown that had nothing to do."""
    return ShutdownReport(
        stopped=True, finished=[], interrupted=[], abandoned=[], pending=[], error=error
    )


class StopRequest:
    """A call of `shutdown`: how long to wait, for which run or hook not, and who wants the
    report."""

    __slots__ = ("final", "own_hook", "own_run", "report", "timeout_s")

    def __init__(
        self, timeout_s: float, own_run: int | None = None, own_hook: int | None = None
    ) -> None:
        self.timeout_s = timeout_s
        self.own_run = own_run
        self.own_hook = own_hook
        self.final: ShutdownReport | None = None
        self.report: Future[ShutdownReport] = promise()

    def answer(self, *, error: str | None = None) -> None:
        """Give the report, unless it was given."""
        if not self.report.done():
            self.report.set_result(self.final or empty_report(error))


async def stop(engine: Engine, requests: list[StopRequest], boot: str) -> None:
    """Bring the engine down; ends when SCHEDULER_STOPPED is durable (or the engine has failed).

    The first request sets the pace; one that comes meanwhile with a shorter timeout shortens it,
    and so does a cancellation. The report goes out when everything is released, but to a run that
    called `shutdown` itself already when all the others have ended.
    """
    names = {run: _name(engine, run) for run in engine.running()} | engine.threads.names()
    await _ask(engine, c.Drain())
    pace = _Pace(engine, requests)
    await pace.until_ended(lambda: {request.own_run for request in requests})
    _answer_own(engine, requests, names)
    await pace.until_ended(set)
    asked, abandoned = engine.running(), _lingering(engine)
    finished = names.keys() - asked - abandoned
    if asked:
        await _ask(engine, c.StopRuns())
        pace.give(CANCEL_SECONDS)
        await pace.until_ended(engine.threads.running)
        if engine.processes.running():
            engine.processes.kill_all()
            pace.give(CANCEL_SECONDS)
            await pace.until_ended(engine.threads.running)
        abandoned = engine.running() | _lingering(engine)
        await _ask(engine, c.AbandonRuns())
    await pace.until_told(lambda: {request.own_hook for request in requests})
    await _ask(engine, c.Stopped(boot))
    report = empty_report(None if engine.failure is None else str(engine.failure))
    report["finished"] = sorted(names[run] for run in finished)
    report["interrupted"] = sorted(names.get(run, str(run)) for run in asked)
    report["abandoned"] = sorted(names.get(run, str(run)) for run in abandoned)
    for request in requests:
        request.final = report


def _answer_own(engine: Engine, requests: list[StopRequest], names: dict[int, str]) -> None:
    left = engine.running() | _lingering(engine)
    for request in requests:
        if request.own_run in left:
            report = empty_report()
            report["stopped"] = False
            report["pending"] = sorted(names[run] for run in left if run in names)
            report["finished"] = sorted(names[run] for run in names.keys() - left)
            request.final = report
            request.answer()


def _lingering(engine: Engine) -> set[int]:
    """Runs of which an attempt that timed out goes on in its thread."""
    return {run for run, _ in engine.machine.lingering}


def _name(engine: Engine, run: int) -> str:
    return run_id_text(run, engine.machine.state.runs[run].scheduled_us, engine.log.log_id)


async def _ask(engine: Engine, command: c.Command) -> None:
    """Submit, and wait for the answer whatever happens to this task meanwhile."""
    answer: Future[Any] = engine.submit(command)
    while not answer.done() and not engine.is_over:
        try:
            await asyncio.wait({engine.next_step()})
        except asyncio.CancelledError:
            continue


class _Pace:
    """How much time is left, and waiting for runs within it."""

    def __init__(self, engine: Engine, requests: list[StopRequest]) -> None:
        self._engine = engine
        self._requests = requests
        self._began_s = engine.loop.time()
        self._is_cancelled = engine.is_cancelled
        self._more_s = 0.0

    def give(self, seconds: float) -> None:
        """Some more time, from now."""
        self._began_s, self._more_s, self._is_cancelled = self._engine.loop.time(), seconds, False

    def _left_s(self) -> float:
        timeout_s = self._more_s or min(request.timeout_s for request in self._requests)
        return self._began_s + timeout_s - self._engine.loop.time()

    async def until_told(self, besides: Callable[[], Set[int | None]]) -> None:
        """Until no hook goes on but those of `besides()`, or the time is up: a moment at least. The
        others are cut short."""
        engine, least_s = self._engine, self._engine.loop.time() + CANCEL_SECONDS
        while (tasks := engine.hooks.going_on(besides())) and not engine.is_over:
            left_s = max(self._left_s(), least_s - engine.loop.time())
            if left_s <= 0 or self._is_cancelled:
                break
            try:
                await asyncio.wait(tasks, timeout=min(left_s, 0.1))
            except asyncio.CancelledError:
                self._is_cancelled = True
        await engine.hooks.cut_short(besides())

    async def until_ended(self, besides: Callable[[], Set[int | None]]) -> None:
        """Until no attempt but those of `besides()` is carried out, or the time is up."""
        engine = self._engine
        while (engine.running() | _lingering(engine)) - besides() and not engine.is_over:
            left_s = self._left_s()
            if left_s <= 0 or self._is_cancelled:
                return
            try:
                # A look now and then: a later request may have shortened the time.
                await asyncio.wait({engine.next_step()}, timeout=min(left_s, 0.1))
            except asyncio.CancelledError:
                self._is_cancelled = True
