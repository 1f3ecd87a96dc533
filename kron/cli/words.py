"""Times, durations, schedules and foreign text as people read them on a terminal."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kron.core.model import Kind
    from kron.core.views import TimerStatus

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NUMBER = re.compile(r"\d{1,2}")
_STEP = re.compile(r"\*/(\d{1,2})")
_DAY = r"(?:[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)"
_DAYS = re.compile(rf"{_DAY}(?:[-,]{_DAY})*")
_DAY_NAMES = "Sun Mon Tue Wed Thu Fri Sat Sun".split()


def clean(text: str) -> str:
    """Text without anything a terminal would act on: such characters are shown as escapes."""
    return _UNSAFE.sub(lambda found: _escape(found[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def safe_json(text: str) -> str:
    """JSON whose strings hold no such character either, still the same JSON."""
    return _UNSAFE.sub(lambda it: it[0] if it[0] == "\n" else f"\\u{ord(it[0]):04x}", text)


def zone_of(is_utc: bool) -> tzinfo | None:
    """UTC, or None for the local zone (as `astimezone` takes it)."""
    return UTC if is_utc else None


def moment(text: str | None, zone: tzinfo | None) -> str:
    """`2026-11-21 13:31:05`, in the zone; `-` for None."""
    return f"{_at(text, zone):%Y-%m-%d %H:%M:%S}" if text else "-"


def moment_ms(text: str, zone: tzinfo | None) -> str:
    """`2026-11-21 13:31:05.250`, in the zone."""
    return _at(text, zone).isoformat(" ", "milliseconds")[:23]


def short_moment(text: str, now: datetime, zone: tzinfo | None) -> str:
    """The same without what goes without saying: the date of today, the year."""
    at = _at(text, zone)
    today = now.astimezone(zone)
    if at.date() == today.date():
        return f"{at:%H:%M:%S}"
    return f"{at:%b %d %H:%M}" if abs((at - today).days) < 180 else f"{at:%Y-%m-%d}"


def log_moment(text: str, now: datetime, zone: tzinfo | None) -> str:
    """`13:31:05`, and the whole date before it if it is not the day of `now`."""
    at = _at(text, zone)
    is_today = at.date() == now.astimezone(zone).date()
    return f"{at:%H:%M:%S}" if is_today else f"{at:%Y-%m-%d %H:%M:%S}"


def distance(text: str, now: datetime) -> str:
    """`in 9 s`, `in 5 h`, `3 d ago`."""
    seconds = (datetime.fromisoformat(text) - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    amount = _rough(abs(seconds))
    return f"in {amount}" if seconds > 0 else f"{amount} ago"


def _rough(seconds: float) -> str:
    for unit, size, limit in (("s", 1, 90), ("min", 60, 5400), ("h", 3600, 172_800)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    days = seconds / 86_400
    return f"{days:.0f} d" if days < 730 else f"{days / 365.25:.0f} y"


def took(duration_ms: float | None) -> str:
    """`21 ms`, `3.5 s`, `2 min 5 s`; `-` for None."""
    if duration_ms is None:
        return "-"
    if duration_ms < 1000:
        return f"{duration_ms:.0f} ms" if duration_ms >= 1 else "<1 ms"
    seconds = duration_ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def schedule(timer: TimerStatus, zone: tzinfo | None, *, is_short: bool = False) -> str:
    """The schedule in words: `every 30m`, `daily 08:00 Europe/Berlin`, `daily at 15:12 UTC` (the
    slot of a cadence), `once 2027-01-01 09:00`.

    A cron expression that has no plain words stays as it is. `is_short` leaves the time of a
    one-shot out.
    """
    kind, _, value = timer["schedule"].partition(" ")
    if kind == "at":
        at = moment(value, zone)
        return f"once on {at[:10]}" if is_short else f"once at {at}"
    if kind == "after":
        return f"once after {value}"
    if kind == "every":
        return f"every {value}" if value[0].isdigit() else plain(timer)
    where = timer["timezone"]
    return cron_words(value) + ("" if where == "UTC" else f" {where}")


def plain(timer: TimerStatus) -> str:
    """The selector in plain words: `at 09:00 on Mondays, Europe/Berlin`."""
    from kron.core.model import Definition, Overlap
    from kron.core.words import in_words

    given = {"timezone": timer["timezone"], "overlap": Overlap(timer["overlap"])}
    return in_words(Definition.of(*_selector(timer["schedule"]), given))


def _selector(text: str) -> tuple[Kind, str | int]:
    from kron.core.cron import compile_cron
    from kron.core.duration import parse_duration
    from kron.core.errors import CronError
    from kron.core.instants import parse_instant
    from kron.core.model import Kind

    kind, _, value = text.partition(" ")
    if kind == "cron":
        try:
            return Kind.CRON, compile_cron(value).text
        except CronError:
            return Kind.FIELDS, value
    if kind == "at":
        return Kind.AT, parse_instant(value, None, argument=kind)
    if kind == "every" and not value[0].isdigit():
        return Kind.CADENCE, value
    return Kind(kind), parse_duration(value, argument=kind, allow_zero=True)


def cron_words(expression: str) -> str:
    """Words for the plainest cron expressions."""
    fields = expression.upper().split()
    if len(fields) != 5 or fields[3] != "*":
        return f"cron {expression}"
    minute, hour, day, _, weekday = fields
    if day == weekday == "*" and hour == "*":
        return _within_hour(minute) or f"cron {expression}"
    if not (_NUMBER.fullmatch(minute) and _NUMBER.fullmatch(hour)):
        return f"cron {expression}"
    clock = f"{int(hour):02d}:{int(minute):02d}"
    if day == weekday == "*":
        return f"daily {clock}"
    if day == "*" and _DAYS.fullmatch(weekday):
        return f"{re.sub(_DAY, lambda d: _day_name(d[0]), weekday)} {clock}"
    if weekday == "*" and _NUMBER.fullmatch(day):
        return f"monthly on day {int(day)} {clock}"
    return f"cron {expression}"


def _within_hour(minute: str) -> str | None:
    if minute in ("*", "*/1"):
        return "every minute"
    if _NUMBER.fullmatch(minute):
        return f"hourly at :{int(minute):02d}"
    step = _STEP.fullmatch(minute)
    return f"every {int(step[1])} minutes" if step and 60 % int(step[1]) == 0 else None


def _day_name(day: str) -> str:
    return _DAY_NAMES[int(day)] if day.isdigit() else day.title()


def _at(text: str, zone: tzinfo | None) -> datetime:
    return datetime.fromisoformat(text).astimezone(zone)
