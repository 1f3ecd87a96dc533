"""Instants as text and as `datetime`, and back, in exact microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from .errors import ScheduleError, brief

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OF_SCHEDULE = ("at", "not_before", "not_after")
_FIRST = (datetime(1, 1, 3, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime(9999, 12, 29, tzinfo=UTC) - _EPOCH) // _MICROSECOND


def to_us(moment: datetime) -> int:
    """Epoch microseconds of an aware datetime, exactly (`timestamp()` is a float)."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(us: int, zone: tzinfo = UTC) -> datetime:
    """The aware datetime, in `zone`, of an instant."""
    return (_EPOCH + timedelta(microseconds=us)).astimezone(zone)


def text(us: int | None) -> str | None:
    """RFC 3339 with `+00:00`, as in every dict that Kron returns; None stays None."""
    return None if us is None else (_EPOCH + timedelta(microseconds=us)).isoformat()


def parse_instant(value: object, zone: tzinfo | None, *, argument: str) -> int:
    """Epoch microseconds of an aware datetime or an ISO 8601 string.

    A naive one is read in `zone`, and refused without one (ScheduleError).
    """
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value if len(value) <= 64 else "")
        except ValueError as exc:
            raise ScheduleError(
                f"{argument}={brief(value)} is not an ISO 8601 date and time such as"
                " '2027-01-01T09:00:00+01:00'."
            ) from exc
    elif isinstance(value, datetime):
        moment = value
    else:
        raise TypeError(
            f"{argument} must be an aware datetime or an ISO 8601 string, not"
            f" {type(value).__name__}."
        )
    if moment.tzinfo is None or moment.utcoffset() is None:
        if zone is None:
            hint = "; schedule() takes timezone= for it" if argument in _OF_SCHEDULE else ""
            raise ScheduleError(
                f"{argument}={brief(value)} has no time zone. Give it one, such as"
                f" '2027-01-01T09:00:00+01:00'{hint}."
            )
        moment = moment.replace(tzinfo=zone)
    if not _FIRST <= (us := to_us(moment)) <= _LAST:
        raise ScheduleError(
            f"{argument}={brief(value)} is outside 0001-01-03 to 9999-12-29 (UTC), which every zone"
            " can show."
        )
    return us
