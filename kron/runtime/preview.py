"""`kron.preview`: the moments of a schedule, from now on, before anything is scheduled."""

from __future__ import annotations

import time
from datetime import datetime

from kron.core import preview as core
from kron.core.fields import Cron
from kron.core.terms import Duration, Exclude


def preview(
    *,
    cron: str | Cron | None = None,
    every: Duration | None = None,
    timezone: str | None = None,
    after: datetime | str | None = None,
    n: int = 5,
    name: str | None = None,
    dst: str = "once",
    not_before: datetime | str | None = None,
    not_after: datetime | str | None = None,
    exclude: Exclude = None,
) -> list[datetime]:
    """The next `n` moments (1 to 1000) of a schedule, in `timezone` (UTC); nothing is scheduled.

    Exactly one of `cron=` and `every=`, and with it `timezone=`, `dst=`, `not_before=`,
    `not_after=` and `exclude=`, as `schedule()` takes them. The moments are strictly after
    `after`, an aware datetime or an ISO 8601 string (a naive one needs `timezone=`), or after
    now; `every=` counts from there. A cadence such as `every="day"` needs the timer's `name=`,
    for its slot follows from it.

    Returns aware datetimes of the zone, ascending, with `fold` set where an hour happens twice;
    fewer than `n` if there are no more. (Python compares and subtracts datetimes of one zone by
    their clock readings: use `.astimezone(UTC)` to count real time over a clock change.) Raises
    ScheduleError (a ValueError) and TypeError with the texts of `schedule()`. Needs no running
    scheduler.
    """
    return core.preview(
        time.time_ns() // 1000,
        cron=cron,
        every=every,
        timezone=timezone,
        after=after,
        n=n,
        name=name,
        dst=dst,
        not_before=not_before,
        not_after=not_after,
        exclude=exclude,
    )
