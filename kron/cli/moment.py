"""A moment as people type it: an ISO date and time, or a time of today, in their zone."""

from __future__ import annotations

from datetime import datetime, time, tzinfo

import typer


def instant(text: str, zone: tzinfo | None, option: str = "--at") -> str:
    """ISO text with a zone: its own, else `zone` (None: the local one). BadParameter if it is no
    date and time."""
    now = datetime.now(zone)
    try:
        at = datetime.combine(now.date(), time.fromisoformat(text)) if len(text) < 9 else None
    except ValueError:
        at = None
    try:
        at = at or datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=zone).astimezone(zone)
    except (ValueError, OverflowError) as exc:
        raise typer.BadParameter(
            f"{option} {text}: not a date and time such as 2026-11-21T09:00 or 09:00"
        ) from exc
    return at.isoformat()


def past_instant(text: str, zone: tzinfo | None, option: str) -> str:
    """The same, or a duration as it is, which means: that long ago."""
    if _is_duration(text):
        return text
    try:
        return instant(text, zone, option)
    except typer.BadParameter as exc:
        raise typer.BadParameter(f"{exc.message}, and not a duration such as 2d (ago)") from exc


def duration(text: str, option: str) -> str:
    """A duration as it is. BadParameter if it is none."""
    if not _is_duration(text):
        raise typer.BadParameter(f"{option} {text}: not a duration such as 2h, 1h30m or 45s")
    return text


def _is_duration(text: str) -> bool:
    from kron.core.duration import parse_duration
    from kron.core.errors import ScheduleError

    try:
        parse_duration(text, argument="")
    except ScheduleError:
        return False
    return True
