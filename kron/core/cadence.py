"""Cadences: `every="day"` is one fixed slot in each calendar window, the same for ever.

The slot comes from the timer's id, so that many timers spread over the window by themselves, and
the same id has the same slot on every machine. The rule is that of the `scheduled` specification
(scheduled.work): the first 8 bytes of SHA-256 of the id, as a big-endian number, modulo the
length of the window: 60 s, 60 min, 1440 min, 10080 min from Monday, 40320 min (28 days) from
day 1. UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

UNITS = {"minute": 60, "hour": 60, "day": 1440, "week": 10_080, "month": 40_320}
"""The windows, and how many slots each has: seconds of a minute, else minutes."""

_LENGTHS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=31),
}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def slot_of(unit: str, id_: str) -> int:
    """Which slot an id has in the windows of a unit."""
    return int.from_bytes(sha256(id_.encode()).digest()[:8], "big") % UNITS[unit]


def cadence_text(unit: str, id_: str) -> str:
    """Unit and slot as they stand in a definition: "day 15:12", "week sun 15:12", "hour :12"."""
    slot = slot_of(unit, id_)
    if unit in ("minute", "hour"):
        return f"{unit} :{slot:02}"
    day, minute = divmod(slot, 1440)
    clock = f"{minute // 60:02}:{minute % 60:02}"
    if unit == "day":
        return f"day {clock}"
    return f"week {_DAYS[day]} {clock}" if unit == "week" else f"month {day + 1} {clock}"


def cadence_cron(text: str) -> str:
    """The cron expression (UTC) of a definition's text. Raises ValueError if it is none."""
    unit, *where = text.split()
    clock = where.pop()
    hour, _, minute = clock.partition(":")
    match unit, where:
        case "minute", []:
            return f"{int(minute)} * * * * *"
        case "hour", []:
            return f"{int(minute)} * * * *"
        case "day", []:
            return f"{int(minute)} {int(hour)} * * *"
        case "week", [day]:
            return f"{int(minute)} {int(hour)} * * {day}"
        case "month", [day]:
            return f"{int(minute)} {int(hour)} {int(day)} * *"
    raise ValueError(f"{text!r} is not a cadence")


def window_us(text: str) -> int:
    """How long the windows of a definition's text are; of months, the longest."""
    return _LENGTHS[text.split()[0]] // timedelta(microseconds=1)


def window_end_us(text: str, at_us: int) -> int:
    """The end of the window that an instant lies in, for a definition's text: the next full minute,
    hour, midnight, Monday or first of a month, UTC. Epoch microseconds."""
    unit = text.split()[0]
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(second=0)
    if unit != "minute":
        at = at.replace(minute=0)
    if unit not in ("minute", "hour"):
        at = at.replace(hour=0)
    if unit == "week":
        at -= timedelta(days=at.weekday())
    if unit == "month":
        at = at.replace(day=1)
    end = at + _LENGTHS[unit]
    if unit == "month":  # it is in the month after
        end = end.replace(day=1)
    return int(end.timestamp()) * 1_000_000
