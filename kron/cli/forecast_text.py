"""A forecast as text that stays readable at 80 columns."""

from __future__ import annotations

from datetime import datetime

from rich.table import Table
from rich.text import Text

from kron.core.instants import from_us

from .compare import Comparison
from .forecast import Forecast
from .screen import show
from .words import clean

_MOST_NOTES = 20
_MOST_DAYS, _MOST_TIMES = 10, 3
"""So many days on which croniter differs are shown, and so many times of each."""
_WEEKDAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_YEARS_FROM = 730  # days
_ALONE = 100
"""So many days need no hours beside them."""


def print_forecast(answer: Forecast) -> None:
    """The words, the moments, the notes, and croniter's opinion if it was asked for."""
    show(_line(answer.words))
    show(Text(""))
    if answer.days is not None and answer.earlier:
        print(f"... {answer.earlier:,} earlier, from {answer.days[0]} on; -n shows more")
    show(_table(answer) if answer.moments else _line("(nothing is due)"))
    if answer.days is not None and answer.later:
        print(f"... {answer.later:,} later, until the end of {answer.days[1]}; -n shows more")
    if answer.notes:
        show(Text(""))
    for note in answer.notes[:_MOST_NOTES]:
        show(_line(note.text))
    if count := len(answer.notes[_MOST_NOTES:]):
        print(f"... and {count:,} more changes of the clocks")
    if answer.comparison is not None:
        show(Text(""))
        _print_comparison(answer.comparison)


def _table(answer: Forecast) -> Table:
    moments = [(moment_us, from_us(moment_us, answer.tz)) for moment_us in answer.moments]
    precision = _precision(answer.moments)
    is_utc = answer.tz.key == "UTC"
    titles = ["UTC", ""] if is_utc else ["LOCAL TIME", "OFFSET", "UTC", ""]
    has_notes = any(answer.note_of(moment_us) for moment_us in answer.moments)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold dim")
    for title in [*titles, "NOTE"] if has_notes else titles:
        table.add_column(Text(title), no_wrap=title != "NOTE")
    for moment_us, at in moments:
        cells = [f"{_WEEKDAYS[at.weekday()]} {_shown(at, precision)}"]
        if not is_utc:
            cells += [_offset(at), _shown(from_us(moment_us), precision)]
        row = [Text(text) for text in cells]
        row.append(Text(_distance(moment_us - answer.now_us), "dim"))
        note = answer.note_of(moment_us)
        if note is not None:
            row.append(Text(note.of_moment(moment_us), "yellow", no_wrap=True, overflow="ellipsis"))
        table.add_row(*row)
    return table


def _line(text: str) -> Text:
    """Text that wraps."""
    return Text(clean(text))


def _precision(moments: list[int]) -> str:
    """What `isoformat` has to show so that nothing is cut off."""
    if any(moment_us % 1_000_000 for moment_us in moments):
        return "milliseconds"
    return "seconds" if any(moment_us % 60_000_000 for moment_us in moments) else "minutes"


def _shown(at: datetime, precision: str) -> str:
    return at.replace(tzinfo=None).isoformat(" ", precision)


def _offset(at: datetime) -> str:
    return at.isoformat().removeprefix(at.replace(tzinfo=None).isoformat())


def _distance(us: int) -> str:
    """`in 3 h 20 m`, `2 d 4 h ago`."""
    seconds = abs(us) // 1_000_000
    words = _two_units(seconds)
    if not seconds:
        return "now"
    return f"in {words}" if us > 0 else f"{words} ago"


def _two_units(seconds: int) -> str:
    if seconds >= _YEARS_FROM * 86_400:
        return f"{seconds / 86_400 / 365.25:.0f} y"
    parts: list[str] = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if parts or count:
            parts.append(f"{count} {unit}" if count else "")
        if count >= _ALONE:
            break
    return " ".join(part for part in parts[:2] if part)


# -- croniter -----------------------------------------------------------------------------------


def _print_comparison(comparison: Comparison) -> None:
    who = f"croniter {comparison.version}"
    where = f"from {comparison.begin} to {comparison.end}"
    if not comparison.is_whole:
        where += " (the first hours, and those around clock changes)"
    if comparison.agrees:
        show(_line(f"{who} agrees: the same {comparison.moments:,} moments {where}"))
    if comparison.differences:
        count = len(comparison.differences)
        show(_line(f"{who} differs on {count} day{'s' if count > 1 else ''} {where}:"))
        show(_differences(comparison))
    if count := len(comparison.differences[_MOST_DAYS:]):
        print(f"... and on {count} more")
    if comparison.problem:
        verb = "stops" if comparison.moments else "refuses it"
        show(_line(f"{who} {verb}: {comparison.problem}"))


def _differences(comparison: Comparison) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for each in comparison.differences[:_MOST_DAYS]:
        mine = f"only Kron: {_times(each.kron)}" if each.kron else ""
        theirs = f"only croniter: {_times(each.croniter)}" if each.croniter else ""
        table.add_row(Text(f"  {each.day}"), Text(", ".join(filter(None, (mine, theirs)))))
    return table


def _times(moments: list[datetime]) -> str:
    """`03:00`, `02:30 (second)`."""
    texts = []
    for at in moments[:_MOST_TIMES]:
        clock = at.replace(tzinfo=None).time().isoformat("auto" if at.second else "minutes")
        texts.append(f"{clock} (second)" if at.fold else clock)
    left = len(moments) - _MOST_TIMES
    return ", ".join(texts) + (f" + {left}" if left > 0 else "")
