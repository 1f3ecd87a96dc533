"""A scheduler for tests: on a virtual clock, with its log in memory or in a directory."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar, overload

from kron import scheduler as program
from kron.core.terms import Duration
from kron.opening import DataDirPath
from kron.scheduler import Scheduler
from kron.storage.file import FileLog
from kron.storage.log import Log
from kron.storage.memory import MemoryLog

from .clock import VirtualClock
from .driving import is_inside_loop

T = TypeVar("T")


class Logs:
    """Opens the log of one scheduler again and again: what one start wrote, the next one finds."""

    def __init__(self, data_dir: DataDirPath | None = None) -> None:
        self._data_dir = data_dir
        self._last = MemoryLog()

    def __call__(self, place: str, fsync: str, interval_s: float) -> Log:
        """The next log; in memory, or in `data_dir`, wherever `start()` would have it."""
        if self._data_dir is not None:
            return FileLog(os.fsdecode(self._data_dir), fsync="never")
        last = self._last
        self._last = MemoryLog(last.records, log_id=last.log_id, kept=last.kept)
        return self._last


class VirtualScheduler(Scheduler):
    """A `Scheduler` on a virtual clock, whose log is in memory and outlives `shutdown`.

    With `data_dir` the log is in that directory, without fsync. What moves the clock has a sync
    form and one for the event loop, as every verb has. As a context manager, sync or async, it is
    started at the beginning (unless it was) and shut down at the end.
    """

    def __init__(
        self, clock: VirtualClock | None = None, *, data_dir: DataDirPath | None = None
    ) -> None:
        self.clock = clock or VirtualClock()
        super().__init__(clock=self.clock, open_log=Logs(data_dir))

    # -- moving the clock --------------------------------------------------------------------

    def advance(self, duration: Duration) -> None:
        """Let time pass: see `VirtualClock.advance`."""
        self.clock.drive(self.clock.advance(duration))

    async def aadvance(self, duration: Duration) -> None:
        """As `advance`, from a running loop."""
        await self.clock.advance(duration)

    def advance_to(self, moment: Any) -> None:
        """Let time pass until the wall clock shows `moment`: see `VirtualClock.advance_to`."""
        self.clock.drive(self.clock.advance_to(moment))

    async def aadvance_to(self, moment: Any) -> None:
        """As `advance_to`, from a running loop."""
        await self.clock.advance_to(moment)

    def run_until(self, is_true: Callable[[], T], *, within: Duration = "1d") -> T:
        """Let time pass until the predicate is true: see `VirtualClock.run_until`. It is called on
        the scheduler's loop."""
        return self.clock.drive(self.clock.run_until(is_true, within=within))

    @overload
    async def arun_until(self, what: Callable[[], T], *, within: Duration = ...) -> T: ...
    @overload
    async def arun_until(self, what: Awaitable[T], *, within: Duration = ...) -> T: ...
    async def arun_until(self, what: Any, *, within: Duration = "1d") -> Any:
        """As `run_until`, from a running loop; it may be an awaitable too."""
        return await self.clock.run_until(what, within=within)

    def settle(self) -> None:
        """Let everything that is due end, without letting time pass: `VirtualClock.settle`."""
        self.clock.drive(self.clock.settle())

    async def asettle(self) -> None:
        """As `settle`, from a running loop."""
        await self.clock.settle()

    # -- from beginning to end ---------------------------------------------------------------

    def __enter__(self) -> VirtualScheduler:
        if self._control.host is None:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown(0)

    async def __aenter__(self) -> VirtualScheduler:
        if self._control.host is None:
            await self.astart()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.ashutdown(0)


@contextmanager
def on_clock(clock: VirtualClock, scheduler: Scheduler | None = None) -> Iterator[Scheduler]:
    """Put a program's own scheduler on a virtual clock, with its log in memory.

    None is the one behind `kron.schedule` and `kron.start`. Its timers come along, as scheduled
    now; start it within the block. Afterwards it is as it was before, without the timers of the
    block. What was started with `start()` is shut down by then; after `astart()` say `await
    ashutdown()`. Raises RuntimeError if it runs already.
    """
    subject = scheduler or program.default
    if subject._control.host is not None:
        raise RuntimeError("on_clock() comes before start(): the scheduler is running.")
    kept = subject._clock, subject._open_log, subject._has_door, subject._enrolment
    subject._clock, subject._open_log, subject._has_door = clock, Logs(), False
    subject._enrolment = kept[-1].on(clock)
    try:
        yield subject
    finally:
        if not is_inside_loop():
            subject.shutdown(0)
        subject._clock, subject._open_log, subject._has_door, subject._enrolment = kept
