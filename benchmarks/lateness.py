"""How late callbacks begin, at a steady rate of durable runs, beside the bare fdatasync."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable

import uvloop
from burst import cost_of_a_registration
from probe import BareSync, instant, lateness, report

from kron import Scheduler

SECONDS = 3.0


async def one_round(per_second: int, lead_s: float) -> bool:
    """Timers spread evenly over some seconds; each notes how long after its moment it began.

    False if the first moment came before all were registered.
    """
    late: list[float] = []

    def note_for(due: float) -> Callable[[], Awaitable[None]]:
        async def note() -> None:
            late.append(time.time() - due)

        return note

    scheduler = Scheduler()
    total = int(per_second * SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        bare = BareSync(folder)
        bare.sample()
        begin = time.time() + lead_s
        for number in range(total):
            due = begin + number / per_second
            scheduler.schedule(f"timer-{number}", note_for(due), at=instant(due))
        await scheduler.astart(f"{folder}/.kron")
        if time.time() > begin - 0.2:
            await scheduler.ashutdown()
            return False
        give_up = begin + SECONDS + 60
        while len(late) < total and time.time() < give_up:
            await asyncio.sleep(0.01)
        span_s = max(SECONDS, time.time() - begin)
        await scheduler.ashutdown()
        bare.sample()
    report(per_second=per_second, **lateness(late, span_s), **bare.figures())
    return True


def main(per_second: int) -> None:
    """Measure; again with more time in front if this machine needs it."""
    lead_s = 0.7 + cost_of_a_registration() * per_second * SECONDS * 1.5
    while not uvloop.run(one_round(per_second, lead_s)):
        lead_s *= 2


if __name__ == "__main__":
    main(int(sys.argv[1]))
