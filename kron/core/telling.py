"""The sentences of a story: instants, lengths of time, and reasons, in words.

An instant stands in a sentence as `2026-11-21 09:40:03Z`. `retold` shows it in a zone, and leaves
the date out where it is that of the instant before in the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from typing import NamedTuple

from .instants import from_us
from .model import Reason
from .standing import Standing
from .state import LIVES
from .things import Life, Pause

SAID = "It said: "
NOTED = "It was paused "
"""Behind these stands somebody else's text, which is left as it is."""
SHOWN = 300
_STAMP = re.compile(r"(?:(\d{4}-\d\d-\d\d) )?(\d\d:\d\d:\d\d)Z")


def stamp(us: int | None) -> str:
    """The instant as it stands in a sentence."""
    return "?" if us is None else f"{from_us(us).isoformat(' ', 'seconds')[:19]}Z"


def span(us: int) -> str:
    """`850 ms`, `3.5 s`, `40 min 3 s`, `2 h 5 min`, `3 d 4 h`."""
    if us < 1_000_000:
        return f"{us // 1000} ms"
    if us < 10_000_000 and us % 1_000_000 >= 100_000:
        return f"{us // 100_000 / 10:g} s"
    seconds = us // 1_000_000
    sizes = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    parts = []
    for unit, size in sizes:
        count, seconds = divmod(seconds, size)
        parts.append(f"{count} {unit}" if count else "")
    first = next(place for place, part in enumerate(parts) if part)
    return " ".join(filter(None, parts[first : first + 2]))


def said(error: str) -> str:
    """The first line of an error, quoted."""
    return SAID + _brief(error)


def noted(pause: Pause) -> list[str]:
    """Who paused the timer and why, if that was said."""
    if not pause.who and not pause.reason:
        return []
    who = f"by {_brief(pause.who)}" if pause.who else "with the note"
    why = f": {_brief(pause.reason)}" if pause.reason else ""
    return [f"{NOTED}{who}{why}."]


def _brief(theirs: str) -> str:
    line = theirs.strip().partition("\n")[0]
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."


def retold(
    sentences: list[str], zone: tzinfo | None, *, mark: str = "", today: date | None = None
) -> list[str]:
    """The same sentences with their instants as a clock in `zone` (None: the local one) shows
    them, `mark` behind each. `today` needs no date."""
    told = _Retold(zone, mark, today)
    return [told.sentence(each) for each in sentences]


class _Retold:
    """Reads and writes dates one after the other."""

    def __init__(self, zone: tzinfo | None, mark: str, today: date | None) -> None:
        self._zone, self._mark = zone, mark
        self._read = ""
        self._first = ""
        self._written = "" if today is None else today.isoformat()

    def sentence(self, text: str) -> str:
        """One of them; behind one that ends on another day than the first it says its day."""
        if self._first and self._written != self._first:
            self._written = ""
        ours, said_, theirs = text.partition(NOTED if text.startswith(NOTED) else SAID)
        return _STAMP.sub(self._instant, ours) + said_ + theirs

    def _instant(self, found: re.Match[str]) -> str:
        self._read = found[1] or self._read
        at = datetime.fromisoformat(f"{self._read}T{found[2]}").replace(tzinfo=UTC)
        day, _, clock = at.astimezone(self._zone).isoformat(" ", "seconds")[:19].partition(" ")
        is_new, self._written = day != self._written, day
        self._first = self._first or day
        return f"{day} {clock}{self._mark}" if is_new else f"{clock}{self._mark}"


# -- why ----------------------------------------------------------------------------------------


class Down(NamedTuple):
    """A time without a process. None: it is not known when it began, or it has not ended. The
    process `was_killed`: `from_us` is its last sign of life. Or it ended in order, and had begun
    nothing since `stopping_us`."""

    from_us: int | None
    to_us: int | None
    was_killed: bool = False
    stopping_us: int | None = None


def down_after(standing: Standing, moment_us: int) -> Down | None:
    """The time without a process that ended with the first start after a moment, or has not ended;
    None if there was none, or nobody remembers."""
    before: Life | None = None
    if not standing.lives:
        return None
    for life in standing.lives:
        if life.started_us > moment_us:
            is_forgotten = len(standing.lives) >= LIVES or standing.eras
            if (before is None and is_forgotten) or not _is_one_clock(before, life):
                return None
            return _between(before, life.started_us)
        before = life
    if before is not None and before.ended_us is None:
        if standing.is_live:
            return None
        before = before._replace(ended_us=standing.last_us)
    return _between(before, None)


def _is_one_clock(before: Life | None, after: Life) -> bool:
    """Whether the wall clock made no step from the end of one process to the start of the next; it
    may have gone back since, and what is remembered is then no reading of it."""
    if before is None or before.ended_us is None or before.steady[1] is None:
        return before is None
    return before.ended_us - before.steady[1] == after.started_us - after.steady[0]


def _between(life: Life | None, to_us: int | None) -> Down:
    if life is None:
        return Down(None, to_us)
    return Down(life.ended_us, to_us, life.stopping_us is None, life.stopping_us)


def because(
    standing: Standing, reason: str, moment_us: int, until_us: int, down: Down | None = None
) -> str:
    """Why a moment did not run, or not before `until_us`."""
    if reason in (Reason.DOWN, Reason.STOPPED):
        return was_down(down, moment_us, is_stopping=reason == Reason.STOPPED)
    make = _PHRASES.get(reason)
    return reason if make is None else make(standing, stamp(until_us))


def was_down(down: Down | None, moment_us: int, *, is_stopping: bool = False) -> str:
    """`the process was down from ... to ...`."""
    if down is None:
        return "the scheduler was shutting down" if is_stopping else "the process was down"
    to = " until now" if down.to_us is None else f" until {stamp(down.to_us)}"
    if is_stopping and down.stopping_us is not None:
        return (
            f"the scheduler was shutting down from {stamp(down.stopping_us)},"
            f" ended at {stamp(down.from_us)} and was down{to}"
        )
    if down.from_us is None:
        return "no process ran" + to
    note = " (its last sign of life; it was killed)" if down.was_killed else ""
    if down.from_us > moment_us:
        return (
            f"the process ended at {stamp(down.from_us)}{note} before it had got to it,"
            f" and was down{to}"
        )
    to = to if down.to_us is None else f" to {stamp(down.to_us)}"
    return f"the process was down from {stamp(down.from_us)}{note}{to}"


_PHRASES: dict[str, Callable[[Standing, str], str]] = {
    Reason.BLOCKED: lambda _, until: f"the loop was blocked until {until}",
    Reason.SUSPENDED: lambda _, until: f"the machine was suspended until {until}",
    Reason.CLOCK_STEP: lambda *_: "the wall clock was set forward over it",
    Reason.PAUSED: lambda _, until: f"the timer was paused until {until}",
    Reason.ORPHANED: lambda _, until: f"its callable was not registered until {until}",
    Reason.INVALID: lambda *_: "its time zone was not known to the machine",
    Reason.DELAYED: lambda *_: "an earlier run was still open (overlap=delay)",
    Reason.CAPACITY: lambda _, until: f"it found no room until {until}, when its grace was over",
    Reason.GRACE: lambda *_: "it was later than its grace allows",
    Reason.CAP: lambda *_: 'too many had passed, and missed="all" runs only the latest 100',
    Reason.EXCLUDED: lambda *_: "left out by exclude=",
    Reason.BOUNDS: lambda *_: "outside not_before= and not_after=",
    Reason.PAST: lambda *_: "it was more than a minute in the past when it was scheduled",
    Reason.CHANGED: lambda *_: "the timer got another schedule, or was removed, before that",
}
