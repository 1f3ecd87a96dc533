"""The executor for sync callbacks: worker threads that take jobs one by one from one queue.

It begins with one thread and doubles while jobs wait and none ends, so a burst of short jobs is
done by few threads and jobs that block get a thread each, up to MAX_THREADS. Threads are daemons:
a callback that never returns does not keep the program from ending.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from queue import Empty, SimpleQueue
from time import perf_counter_ns
from typing import Any

from kron.core.commands import FinishRun, Outcome

from .context import CURRENT, Job
from .failures import describe, report

logger = logging.getLogger("kron.engine")

_SUCCEEDED = Outcome.SUCCEEDED
MAX_THREADS = 128
GROW_SECONDS = 0.002


class Threads:
    """Owns the worker threads. `start` and `stop` belong to the loop's thread."""

    def __init__(
        self,
        finish: Callable[[FinishRun], None],
        adopt: Callable[[Job, Any], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._finish = finish
        self._adopt = adopt
        self._loop = loop
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._queued: dict[int, Job] = {}
        self._running: set[Job] = set()
        self._lock = threading.Lock()
        self._count = 0
        self._ended = 0
        self._is_full = False
        self._growth: tuple[asyncio.TimerHandle, int] | None = None

    def start(self, job: Job) -> None:
        """Queue the attempt for the next free thread."""
        self._queued[job.run] = job
        self._jobs.put(job)
        if self._count == 0:
            self._add_threads(1)
        if self._growth is None:
            self._watch()

    @property
    def free(self) -> int:
        """How many more runs a thread could be found for."""
        return MAX_THREADS - len(self._queued) - len(self._running)

    def running(self) -> set[int]:
        """Runs that a thread is at work on: nothing can stop those."""
        return {job.run for job in list(self._running)}

    def names(self) -> dict[int, str]:
        """Their ids, as people see them."""
        return {job.run: job.run_id for job in list(self._running)}

    def cancel(self, run: int) -> bool:
        """An attempt that no thread has begun is over; one that is begun goes on (False)."""
        with self._lock:
            job = self._queued.pop(run, None)
        if job is None:
            return False
        self._finish(FinishRun(run, job.attempt, Outcome.CANCELLED, 0, "cancelled before it began"))
        return True

    def stop(self) -> None:
        """Begin no further job; idle threads end, busy ones end with their job."""
        if self._growth is not None:
            self._growth[0].cancel()
        with suppress(Empty):
            while True:
                self._jobs.get_nowait()
        for _ in range(self._count):
            self._jobs.put(None)

    def _watch(self) -> None:
        self._growth = (self._loop.call_later(GROW_SECONDS, self._grow), self._ended)

    def _grow(self) -> None:
        """Add threads if none came free since the last look; look again while jobs wait."""
        ended_before = self._growth[1] if self._growth else -1
        self._growth = None
        waiting = self._jobs.qsize()
        if waiting == 0:
            self._is_full = False
            return
        if self._ended == ended_before:
            self._add_threads(min(waiting, max(self._count, 1), MAX_THREADS - self._count))
        if self._count < MAX_THREADS:
            self._watch()
        elif self._ended == ended_before and not self._is_full:
            self._is_full = True
            logger.warning(
                "all %d worker threads are busy; %d started runs wait for one",
                MAX_THREADS,
                waiting,
            )

    def _add_threads(self, count: int) -> None:
        for _ in range(count):
            name = f"kron-worker-{self._count + 1}"
            try:
                threading.Thread(target=self._work, name=name, daemon=True).start()
            except RuntimeError as exc:  # the system has none left; the next look tries again
                logger.error("no further worker thread: %s", exc)
                return
            self._count += 1

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._begin(job):
                Context().run(self._carry, job)
            self._ended += 1

    def _begin(self, job: Job) -> bool:
        with self._lock:
            is_wanted = self._queued.pop(job.run, None) is job
            if is_wanted:
                self._running.add(job)
            return is_wanted

    def _carry(self, job: Job) -> None:
        CURRENT.set(job)
        began_ns = perf_counter_ns()
        outcome, error, result = _SUCCEEDED, "", None
        try:
            result = job.call()
        except BaseException as exc:
            outcome, error = Outcome.FAILED, describe(exc)
            report(job, exc)
        took_us = (perf_counter_ns() - began_ns) // 1000
        if inspect.isawaitable(result):
            self._hand_over(job, result)
            return
        self._running.discard(job)  # first: its end may be what a run waits for that needs a thread
        self._finish(FinishRun(job.run, job.attempt, outcome, took_us, error))

    def _hand_over(self, job: Job, awaitable: Any) -> None:
        """A lambda around a coroutine function, say: the loop awaits what it returned."""

        def adopt() -> None:
            self._running.discard(job)
            self._adopt(job, awaitable)

        try:
            self._loop.call_soon_threadsafe(adopt)
        except RuntimeError:  # the loop is closed: there is nobody left to tell
            getattr(awaitable, "close", lambda: None)()
