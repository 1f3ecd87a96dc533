"""Clocks: one reading of wall and elapsed time, and a call at an elapsed instant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from kron.core.model import Now

if TYPE_CHECKING:
    from .engine import Engine

ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts suspend where the system has such a clock (Linux)."""
COUNTS_SUSPEND = ELAPSED != time.CLOCK_MONOTONIC


class Handle(Protocol):
    """A call that has not happened yet."""

    def cancel(self) -> None:
        """It is not to happen."""


class Clock(Protocol):
    """What the engine knows of time.

    The engine looks at both clocks every `look_us` even if nothing is due, so that a step is seen.
    """

    look_us: int

    def now(self) -> Now:
        """Both clocks, read as one moment."""

    def call_at(self, elapsed_us: int, call: Callable[[], None]) -> Handle:
        """Call from the running loop at that elapsed time, or a little early."""

    def join(self, engine: Engine) -> None:
        """An engine goes by this clock from now on."""

    def leave(self, engine: Engine) -> None:
        """It is over."""


class SystemClock:
    """The machine's clocks."""

    look_us = 30_000_000

    def now(self) -> Now:
        """Both clocks; read again if the process lost the processor between the readings, which
        would look like a clock step."""
        for _ in range(4):
            before_ns = time.clock_gettime_ns(ELAPSED)
            wall_ns, awake_ns = time.time_ns(), time.monotonic_ns()
            if time.clock_gettime_ns(ELAPSED) - before_ns < 1_000_000:
                break
        asleep_ns = before_ns - awake_ns if COUNTS_SUSPEND else 0
        return Now(wall_ns // 1000, before_ns // 1000, asleep_ns // 1000)

    def call_at(self, elapsed_us: int, call: Callable[[], None]) -> Handle:
        """By the loop's own timer, which on uvloop has milliseconds and may fire early."""
        wait_us = elapsed_us - time.clock_gettime_ns(ELAPSED) // 1000
        return asyncio.get_running_loop().call_later(max(0, wait_us) / 1_000_000, call)

    def join(self, engine: Engine) -> None:
        """See `Clock.join`: this clock moves by itself."""

    def leave(self, engine: Engine) -> None:
        """See `Clock.leave`."""
