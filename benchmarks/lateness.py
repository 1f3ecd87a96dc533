"""How late callbacks begin, at a steady rate of durable runs."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta

import uvloop

from kron import Scheduler

SECONDS = 3.0


async def main(per_second: int) -> None:
    """Timers spread evenly over some seconds; each notes how long after its moment it began."""
    late: list[float] = []

    def note_for(due: float):  # type: ignore[no-untyped-def]
        async def note() -> None:
            late.append(time.time() - due)

        return note

    scheduler = Scheduler()
    total = int(per_second * SECONDS)
    begin = datetime.now(UTC) + timedelta(seconds=1 + total / 5_000)
    for number in range(total):
        due = begin + timedelta(seconds=number / per_second)
        scheduler.schedule(f"timer-{number}", note_for(due.timestamp()), at=due)
    with tempfile.TemporaryDirectory() as folder:
        await scheduler.astart(f"{folder}/.kron")
        while len(late) < total:
            await asyncio.sleep(0.1)
        await scheduler.ashutdown()
    late.sort()
    print(
        json.dumps(
            {
                "runs": total,
                "earliest_ms": round(late[0] * 1000, 3),
                "p50_ms": round(late[total // 2] * 1000, 3),
                "p99_ms": round(late[int(total * 0.99)] * 1000, 3),
                "max_ms": round(late[-1] * 1000, 3),
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
