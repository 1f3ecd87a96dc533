"""What `kron next` finds out: moments of an expression, and the clock changes that touch them."""

from __future__ import annotations

import re
import time
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from kron.core.definition import check_name, define
from kron.core.dst import zone
from kron.core.dst_notes import DstNote, dst_notes
from kron.core.errors import ScheduleError
from kron.core.instants import parse_instant, to_us
from kron.core.model import SECOND_US, Definition, Kind
from kron.core.moments import CronMoments, Moments
from kron.core.preview import upcoming
from kron.core.timing import definition_moments
from kron.core.words import in_words

from .compare import Comparison, compare

SECOND_NS = 1_000_000_000
DAY = 86_400 + 1
"""No change of a clock is longer, so it touches no moment that is further from it."""
NOTES = 2_000
"""So many notes are looked for: more than there can be moments."""
_WORD = re.compile(r"\w[\w.]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Question:
    """What the command line asked for."""

    expr: str
    timezone: str = "UTC"
    count: int = 10
    around: str | None = None
    after: str | None = None
    dst: str = "once"
    name: str = ""
    is_compared: bool = False


class WrongUse(Exception):
    """Options that do not go together."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The answer. Of the moments of `days` (the first and last of them; None: not asked for)
    `earlier` come before the `moments` shown, and `later` after them."""

    question: Question
    definition: Definition
    tz: ZoneInfo
    now_us: int
    moments: list[int]
    earlier: int
    later: int
    days: tuple[date, date] | None
    notes: list[DstNote]
    comparison: Comparison | None

    @property
    def words(self) -> str:
        """The schedule in plain words."""
        return in_words(self.definition)

    def note_of(self, moment_us: int) -> DstNote | None:
        """The clock change that touches the moment."""
        first = bisect_left(self.notes, moment_us // SECOND_US - DAY, key=_at)
        near = takewhile(lambda note: _at(note) < moment_us // SECOND_US + DAY, self.notes[first:])
        return next((note for note in near if note.of_moment(moment_us)), None)


def _at(note: DstNote) -> int:
    return note.change.at


def forecast(question: Question) -> Forecast:
    """Answer. Raises WrongUse, ScheduleError."""
    definition = _definition(question)
    tz, now_us = zone(question.timezone), time.time_ns() // SECOND_NS * SECOND_US
    days, after_us, until_us = _window(question, tz, now_us)
    if days is not None and definition.kind is Kind.EVERY:
        raise WrongUse("--around is for cron and cadences; a duration counts from its start.")
    moments = definition_moments(definition, after_us)
    notes: list[DstNote] = []
    begin_us = after_us
    if until_us is not None:
        notes = _notes(moments, after_us, until_us)
        begin_us = _begin(moments, after_us, until_us, notes, question.count)
    found = upcoming(definition, begin_us, question.count, name=question.name, until_us=until_us)
    last_us = found[-1] if found else after_us
    return Forecast(
        question,
        definition,
        tz,
        now_us,
        found,
        moments.count(after_us + 1, begin_us),
        0 if until_us is None else moments.count(last_us + 1, until_us),
        days,
        _notes(moments, after_us, last_us) if until_us is None else notes,
        _comparison(question, definition, moments, after_us),
    )


def _notes(moments: Moments, after_us: int, last_us: int) -> list[DstNote]:
    return dst_notes(moments, after_us, last_us, NOTES) if isinstance(moments, CronMoments) else []


def _begin(moments: Moments, after_us: int, until_us: int, notes: list[DstNote], count: int) -> int:
    """After which instant `count` moments are shown: if that is not all of them, so that the
    first clock change is in their middle."""
    surplus = moments.count(after_us + 1, until_us) - count
    if not notes or surplus <= 0:
        return after_us
    middle = moments.count(after_us + 1, notes[0].change.at * SECOND_US - 1)
    begin_us = after_us
    for _ in range(min(max(middle - count // 2, 0), surplus)):
        begin_us = moments.next_after(begin_us) or begin_us
    return begin_us


def _definition(question: Question) -> Definition:
    if question.name:
        check_name(question.name)
    # A single word is a duration or a cadence, if it is no alias.
    is_every = _WORD.fullmatch(question.expr.strip()) is not None
    definition, _ = define(
        cron=None if is_every else question.expr,
        every=question.expr.strip() if is_every else None,
        timezone=question.timezone,
        dst=question.dst,
        name=question.name,
    )
    return definition


def _window(
    question: Question, tz: ZoneInfo, now_us: int
) -> tuple[tuple[date, date] | None, int, int | None]:
    """The days asked for, and between which instants moments are wanted: after the first, not
    after the second."""
    if question.around is None:
        after = question.after
        return None, now_us if after is None else parse_instant(after, tz, argument="--after"), None
    if question.after is not None:
        raise WrongUse("--around and --after exclude each other.")
    try:
        middle = date.fromisoformat(question.around)
        parse_instant(middle.isoformat(), UTC, argument="--around")
    except ValueError as exc:
        raise ScheduleError(
            f"--around={question.around!r} is not a date such as 2026-10-25."
        ) from exc
    first, last = middle - timedelta(days=1), middle + timedelta(days=1)
    end = last + timedelta(days=1)
    return (first, last), _midnight(first, tz) - 1, _midnight(end, tz) - 1


def _midnight(day: date, tz: ZoneInfo) -> int:
    """The first instant of a day; if a gap has left its midnight out, the end of the gap."""
    return to_us(datetime(day.year, day.month, day.day, tzinfo=tz))


def _comparison(
    question: Question, definition: Definition, moments: Moments, after_us: int
) -> Comparison | None:
    if not question.is_compared:
        return None
    if definition.kind is not Kind.CRON or not isinstance(moments, CronMoments):
        raise WrongUse("--compare needs a cron expression.")
    return compare(moments, question.expr, after_us + 1)
