"""The next moments of a schedule that nobody has scheduled yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from .course import Course
from .definition import check_name, define
from .dst import LATEST, zone
from .errors import ScheduleError
from .instants import from_us, parse_instant
from .model import Definition
from .timing import definition_course

MOST = 1_000
_LATEST_US = (LATEST - 2 * 86_400) * 1_000_000
"""No later, for every zone can show it."""


def preview(
    now_us: int,
    *,
    cron: Any = None,
    every: Any = None,
    timezone: str | None = None,
    after: datetime | str | None = None,
    n: int = 5,
    name: str | None = None,
    **limits: Any,
) -> list[datetime]:
    """The next `n` moments strictly after `after` (else `now_us`), as `kron.preview` gives them.

    `limits` are the keywords of `define` that leave moments out or move them.
    """
    check_count(n)
    if (cron is None) == (every is None):
        raise ScheduleError("preview() requires exactly one of cron, every.")
    id_ = "" if name is None else check_name(name)
    definition, _ = define(cron=cron, every=every, timezone=timezone, name=id_, **limits)
    tz = zone(definition.terms.timezone)
    after_us = now_us
    if after is not None:
        after_us = parse_instant(after, None if timezone is None else tz, argument="after")
    moments = upcoming(definition, after_us, n, name=id_)
    return [from_us(moment_us, tz) for moment_us in moments]


def check_count(n: object) -> None:
    """How many moments may be asked for: 1 to 1000."""
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"n must be an int, not {type(n).__name__}.")
    if not 1 <= n <= MOST:
        shown = n if n.bit_length() <= 64 else f"<an int of {n.bit_length()} bits>"
        raise ScheduleError(f"n={shown} is outside 1-{MOST}.")


def upcoming(
    definition: Definition,
    after_us: int,
    limit: int,
    *,
    name: str = "",
    until_us: int | None = None,
) -> list[int]:
    """The moments in `after_us < t <= until_us`, at most `limit`, of a timer of this definition
    that is scheduled at `after_us`. Moments that its limits leave out are not among them."""
    course = definition_course(definition, after_us, name)
    last_us = _LATEST_US if until_us is None else min(until_us, _LATEST_US)
    moments: list[int] = []
    for moment_us in _after(course, after_us):
        if moment_us > last_us or len(moments) == limit:
            break
        moments.append(moment_us)
    return moments


def _after(course: Course, after_us: int) -> Iterator[int]:
    moment_us = course.next_allowed(after_us)
    while moment_us is not None:
        yield moment_us
        moment_us = course.next_allowed(moment_us)
