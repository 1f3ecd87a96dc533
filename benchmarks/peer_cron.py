"""The next moments of a cron expression by another library, with aware datetimes as its users have.

Asked line by line on stdin, `[text, zone, begin, steps]` (JSON); each answer is a line on stdout,
`[seconds it took, [moments in seconds]]`. What can be compiled before is not in the time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

Next = Callable[[], datetime]


def croniter(text: str, begin: datetime) -> Next:
    """Over its `get_next`."""
    from croniter import croniter

    walk = croniter(text, begin)
    return lambda: walk.get_next(datetime)


def cronsim(text: str, begin: datetime) -> Next:
    """Over its iterator."""
    from cronsim import CronSim

    return CronSim(text, begin).__next__


def apscheduler(text: str, begin: datetime) -> Next:
    """From trigger time to trigger time, as its scheduler does it. Its weekday 0 is Monday."""
    from apscheduler.triggers.cron import CronTrigger

    names = text.replace("1-5", "MON-FRI")
    trigger = CronTrigger.from_crontab(names, timezone=begin.tzinfo)
    latest = begin

    def step() -> datetime:
        nonlocal latest
        latest = trigger.get_next_fire_time(latest, latest)
        return latest

    return step


def main() -> None:
    """Answer until there are no more questions."""
    library = {"croniter": croniter, "cronsim": cronsim, "apscheduler": apscheduler}[sys.argv[1]]
    for line in sys.stdin:
        text, zone, begin, steps = json.loads(line)
        step = library(text, datetime.fromtimestamp(begin, ZoneInfo(zone)))
        began = time.perf_counter()
        found = [step() for _ in range(steps)]
        took = time.perf_counter() - began
        print(json.dumps([took, [int(moment.timestamp()) for moment in found]]), flush=True)


if __name__ == "__main__":
    main()
