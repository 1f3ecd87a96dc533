"""A virtual clock: the engine's time stands still until a test moves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count

from kron.core.duration import parse_duration
from kron.core.instants import to_us
from kron.core.model import Now
from kron.scheduler import Scheduler

QUIET_TURNS = 25
"""The loop must turn this often without a step of the engine for the world to count as settled."""
REAL_SECONDS = 10.0


class Call:
    """One call that the clock owes."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """It is not to happen."""
        self.call = None


class VirtualClock:
    """A `Clock` whose time moves only in `advance`, from deadline to deadline, and in `step`."""

    def __init__(self, start: datetime | None = None) -> None:
        self._wall_us = to_us(start or datetime(2026, 11, 21, 10, tzinfo=UTC))
        self._elapsed_us = 1_000_000
        self._calls: list[tuple[int, int, Call]] = []
        self._sequence = count()

    def now(self) -> Now:
        """Both clocks."""
        return Now(self._wall_us, self._elapsed_us)

    def call_at(self, elapsed_us: int, call: Callable[[], None]) -> Call:
        """Owe a call at that elapsed time."""
        owed = Call(call)
        heappush(self._calls, (elapsed_us, next(self._sequence), owed))
        return owed

    async def sleep(self, duration: str | float) -> None:
        """Sleep on this clock (for callbacks under test)."""
        woken = asyncio.get_running_loop().create_future()
        until_us = self._elapsed_us + parse_duration(duration, argument="duration")
        self.call_at(until_us, lambda: None if woken.done() else woken.set_result(None))
        await woken

    def step(self, duration: str | float, *, backwards: bool = False) -> None:
        """Set the wall clock forward (or back), as an administrator would; no time elapses."""
        step_us = parse_duration(duration, argument="duration")
        self._wall_us += -step_us if backwards else step_us

    async def advance(self, duration: str | float, *schedulers: Scheduler) -> None:
        """Let time pass, one owed call after the other, settling the schedulers after each."""
        until_us = self._elapsed_us + parse_duration(duration, argument="duration")
        await self.settle(*schedulers)
        while self._calls and self._calls[0][0] <= until_us:
            at_us, _, owed = heappop(self._calls)
            if owed.call is None:
                continue
            self._pass(max(at_us, self._elapsed_us))
            owed.call()
            await self.settle(*schedulers)
        self._pass(until_us)

    async def settle(self, *schedulers: Scheduler) -> None:
        """Until every engine sleeps and no callback is about to go on.

        Raises TimeoutError if that does not come to pass within ten real seconds.
        """
        async with asyncio.timeout(REAL_SECONDS):
            quiet = 0
            while quiet < QUIET_TURNS:
                engines = [host.engine for each in schedulers if (host := each._control.host)]
                busy = [engine for engine in engines if engine and not engine.is_over]
                is_working = not all(engine.threads.is_idle for engine in busy)
                await asyncio.sleep(0.001 if is_working else 0)
                is_quiet = not is_working and all(engine.is_asleep for engine in busy)
                quiet = quiet + 1 if is_quiet else 0

    def _pass(self, until_us: int) -> None:
        self._wall_us += until_us - self._elapsed_us
        self._elapsed_us = until_us
