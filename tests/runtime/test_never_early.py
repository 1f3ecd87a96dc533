"""No callback begins before its moment, on the loop's own timers, which may fire early."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from kron import Scheduler

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("total", "spread_s"), [(2_000, 0.8), pytest.param(100_000, 4.0, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("kind", ["at", "after"])
def test_no_run_begins_before_its_moment(tmp_path, total, spread_s, kind):
    """`at=` follows the wall clock, `after=` elapsed time; a clock step here would be seen."""
    scheduler = Scheduler()
    early, left = [], [total]
    done = threading.Event()

    async def note(due_us):
        now_us = time.time_ns() // 1000
        if now_us < due_us:
            early.append(due_us - now_us)
        left[0] -= 1
        if not left[0]:
            done.set()

    lead_s = 0.4 + total / 10_000
    begin_us = time.time_ns() // 1000 + int(lead_s * 1e6)
    for number in range(total):
        due_us = begin_us + int(number * spread_s * 1e6) // total
        if kind == "at":
            when = {"at": EPOCH + timedelta(microseconds=due_us)}
        else:
            wait_us = due_us - time.time_ns() // 1000
            due_us = time.time_ns() // 1000 + wait_us  # counted from the call, which is a bit later
            when = {"after": timedelta(microseconds=wait_us)}
        scheduler.schedule(f"timer-{number}", note, args=[due_us], **when)
    scheduler.start(tmp_path, fsync="never")
    try:
        assert done.wait(120 + lead_s)
    finally:
        scheduler.shutdown()
    assert early == []
