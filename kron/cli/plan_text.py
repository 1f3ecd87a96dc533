"""A plan as text that stays readable at 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from textwrap import wrap
from typing import Any, NamedTuple

import orjson
from rich.text import Text

from kron.core.steering import Backfill
from kron.sources.difference import HIDDEN, FieldChange
from kron.sources.effects import Effect, Fate
from kron.sources.next_run import NextRun
from kron.sources.plan import Kind, Plan, Prospect, RunNow, TimerChange

from .words import clean

INDENT = "    "
_SIGNS: dict[Kind, tuple[str, str]] = {
    "added": ("+", "bold green"),
    "changed": ("~", "bold yellow"),
    "removed": ("-", "bold red"),
}
_VERBS: dict[Kind, str] = {"added": "add", "changed": "change", "removed": "remove"}
_INSTANTS = ("at", "not_before", "not_after")
_NAME_COLUMNS = 24
_NONE, _HIDDEN = "(none)", "(hidden)"
_ARROW = " -> "
_LEAST = 20
"""So many columns a value gets at least."""


class Clock(NamedTuple):
    """How instants are shown: `Mon 09:00`, and the date where the weekday does not say it."""

    zone: tzinfo | None
    now: datetime

    @property
    def mark(self) -> str:
        """What stands behind the last instant of a sentence."""
        return " UTC" if self.zone is UTC else ""

    def at(self, text: str | None) -> str:
        """An instant with its day."""
        at, today = self._at(text), self.now.astimezone(self.zone).date()
        days = (at.date() - today).days
        if abs(days) < 7:
            day = f"{at:%a}"
        else:
            day = f"{at:%a %b %d}" if abs(days) < 180 else f"{at:%a %Y-%m-%d}"
        return f"{day} {self._clock(at)}"

    def of_today(self, text: str | None) -> str:
        """The same, but of today without the day."""
        at = self._at(text)
        is_today = at.date() == self.now.astimezone(self.zone).date()
        return self._clock(at) if is_today else self.at(text)

    def has_come(self, text: str) -> bool:
        """Whether an instant is over."""
        return self._at(text) <= self.now

    def _at(self, text: str | None) -> datetime:
        return datetime.fromisoformat(text or "").astimezone(self.zone)

    def _clock(self, at: datetime) -> str:
        return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def plan_text(plan: Plan, zone: tzinfo | None, columns: int) -> Text:
    """A block for each change, and the summary."""
    clock = Clock(zone, datetime.now(UTC))
    lines: list[Text] = []
    for each in plan.changes:
        lines += _block(each, clock, columns)
    if lines:
        lines.append(Text())
    lines.append(Text(summary(plan)))
    return Text("\n").join(lines)


def summary(plan: Plan) -> str:
    """`1 to add, 1 to change, 1 to remove; 12 unchanged`, or `nothing to do; 12 unchanged`."""
    counts = {verb: plan.count(kind) for kind, verb in _VERBS.items()}
    todo = [f"{count:,} to {verb}" for verb, count in counts.items() if count]
    return f"{', '.join(todo) or 'nothing to do'}; {plan.unchanged:,} unchanged"


def dry_run_text(plan: Plan, zone: tzinfo | None, columns: int) -> Text:
    """What would start at once, what would be backfilled (where a time for that is given), and when
    each timer runs next."""
    clock = Clock(zone, datetime.now(UTC))
    starting = [[each["timer"], _run_now(each, clock)] for each in plan.runs]
    coming = [
        [each["timer"], _when(each["next_run"], each["schedule"], clock), each["words"]]
        for each in sorted(plan.prospects, key=_by_next_run)
    ]
    sections = {"would run at once": starting}
    if plan.backfills:
        sections["would be backfilled"] = [
            [each["timer"], _backfilled(each, clock)] for each in plan.begun()
        ]
    sections["would run next"] = coming
    lines: list[Text] = []
    for title, rows in sections.items():
        lines += [Text(), Text(title, "bold dim"), *_rows(rows, columns)]
    return Text("\n").join(lines[1:])


def _rows(rows: list[list[str]], columns: int) -> Iterator[Text]:
    """One line each; the columns before the last are as wide as they need to be, up to a third."""
    if not rows:
        yield Text("  (nothing)", "dim")
        return
    most = columns // 3
    widths = [min(max(map(len, cells)), most) for cells in zip(*rows, strict=True)][:-1]
    rest = columns - sum(widths) - 2 * len(widths) - 2
    for *cells, last in rows:
        shown = [
            f"{_cut(clean(each), width):<{width}}"
            for each, width in zip(cells, widths, strict=True)
        ]
        yield (
            Text("  ")
            .append(shown[0], "bold")
            .append("  ".join(["", *shown[1:], ""]))
            .append(_cut(clean(last), rest))
        )


def _by_next_run(each: Prospect) -> tuple[bool, str, str]:
    at = each["next_run"]["at"]
    return at is None, at or "", each["timer"]


def _run_now(run: RunNow, clock: Clock) -> str:
    text = f"the run of {clock.of_today(run['scheduled_at'])}"
    if run["attempt"] > 1:
        text = f"attempt {run['attempt']} of {text}"
    if run["stands_for"]:
        text += f", which stands for {run['stands_for']:,} more"
    return text if run["starts"] else f"{text}; waits for room, or for another run"


def _backfilled(backfill: Backfill, clock: Clock) -> str:
    count, shown = backfill["moments"], backfill["scheduled_at"]
    first = clock.of_today(shown[0])
    if count == 1:
        return f"1 moment, {first}{clock.mark}"
    if count > len(shown):
        return f"{count:,} moments, from {first}{clock.mark}"
    is_today = first != clock.at(shown[0])
    last = clock.of_today(shown[-1]) if is_today else clock.at(shown[-1])
    return f"{count:,} moments, {first} to {last}{clock.mark}"


# -- one change ---------------------------------------------------------------------------------


def _block(change: TimerChange, clock: Clock, columns: int) -> Iterator[Text]:
    sign, style = _SIGNS[change["change"]]
    title = Text().append(f"{sign} ", style).append(clean(change["timer"]), "bold")
    yield title.append(f"  {clean(change['place'] or '')}".rstrip(), "dim")
    width = max(columns - len(INDENT), _LEAST)
    if change["change"] != "changed":
        for line in wrap(clean(change["words"]), width):
            yield Text(INDENT + line)
    fields = [each for each in change["fields"] if not _is_takeover(each)]
    if fields:
        names = min(max(len(each["field"]) for each in fields), _NAME_COLUMNS)
        for field in fields:
            yield from _field(field, names, width, clock)
    for line in wrap("; ".join(sentences(change, clock)), width):
        yield Text(INDENT + clean(line))


def sentences(change: TimerChange, clock: Clock) -> list[str]:
    """What the change does to the next run, and to what is overdue or open."""
    told = [_TELL[change["change"]](change, clock)]
    if any(map(_is_takeover, change["fields"])):
        told.insert(0, "a program has scheduled it until now, and this file takes it over")
    told += [_effect(each, clock) for each in change["effects"] if each["reason"] != "past"]
    return [each for each in told if each]


def _is_takeover(field: FieldChange) -> bool:
    return field["field"] == "source" and field["before"] is None


def _added(change: TimerChange, clock: Clock) -> str:
    coming = change["next_after"]
    assert coming is not None
    is_past = any(each["reason"] == "past" for each in change["effects"])
    if is_past:
        return "it never runs, for its time has passed"
    if coming["reason"] == "finished":
        return "" if change["effects"] else _NO_RUN["finished"]
    return f"first run {_when(coming, change['schedule'], clock)}"


def _removed(change: TimerChange, clock: Clock) -> str:
    at = change["next_before"] and change["next_before"]["at"]
    is_to_come = at is not None and not clock.has_come(at)
    return f"it was to run next {clock.at(at)}{clock.mark}" if is_to_come else ""


def _changed(change: TimerChange, clock: Clock) -> str:
    before, after = change["next_before"], change["next_after"]
    assert before is not None and after is not None
    was_at, at, reason = before["at"], after["at"], after["reason"]
    if was_at is not None and clock.has_come(was_at):
        was_at = None
    if at is None and reason != "after_run":
        was = "" if was_at is None else f", it was to be {clock.at(was_at)}{clock.mark}"
        return _NO_RUN[reason or "finished"] + was
    if at is None:
        interval = change["schedule"].partition(" ")[2]
        return f"next run {interval} after the end of its open run"
    if was_at is None:
        return f"next run {_when(after, change['schedule'], clock)}"
    if at == was_at:
        return f"next run stays {clock.at(at)}{clock.mark}"
    return f"next run moves from {clock.at(was_at)} to {clock.at(at)}{clock.mark}"


_TELL: dict[Kind, Callable[[TimerChange, Clock], str]] = {
    "added": _added,
    "changed": _changed,
    "removed": _removed,
}


def _when(coming: NextRun, schedule: str, clock: Clock) -> str:
    """When the next run is; in a word or a few, if nobody can say."""
    at, reason = coming["at"], coming["reason"]
    if at is not None:
        return "at once" if clock.has_come(at) else clock.at(at) + clock.mark
    if reason == "after_run":
        return f"{schedule.partition(' ')[2]} after its run"
    return {"paused": "paused", "invalid": "unknown time zone"}.get(reason or "", "never")


_NO_RUN = {
    "paused": "no next run while it is paused",
    "invalid": "no next run, for its time zone is not known here",
    "finished": "no further run",
}


def _effect(effect: Effect, clock: Clock) -> str:
    first, last = effect["scheduled_at"], effect["last_scheduled_at"]
    what, fate = _FATES[effect["fate"]]
    if effect["runs"] == 1:
        subject, verb = f"the {what}run of {clock.of_today(first)}{clock.mark}", "is"
    else:
        when = f"from {clock.of_today(first)} to {clock.of_today(last)}{clock.mark}"
        subject, verb = f"{effect['runs']:,} {what}runs {when}", "are"
    text = f"{subject} {fate.format(verb=verb)}"
    if effect["retry_at"] and effect["runs"] == 1:
        text += f" and tried again at {clock.of_today(effect['retry_at'])}{clock.mark}"
    if effect["stands_for"]:
        text += (
            f" and {'stands' if effect['runs'] == 1 else 'stand'} for {effect['stands_for']:,} more"
        )
    return text + _WHY.get(effect["reason"] or "", "")


_FATES: dict[Fate, tuple[str, str]] = {
    "kept": ("overdue ", "{verb} kept"),
    "given_up": ("overdue ", "{verb} given up"),
    "skipped": ("overdue ", "{verb} skipped, for another one is open"),
    "cancelled": ("waiting ", "{verb} cancelled"),
    "dead": ("interrupted ", "{verb} dead, after all its attempts"),
    "again": ("", "{verb} begun again at once"),
    "waits": ("waiting ", "{verb} kept"),
    "under_way": ("", "{verb} under way and ends by itself"),
    "backfill_over": ("backfill ", "{verb} given up"),
}
_WHY = {
    "grace": " (later than its grace allows)",
    "cap": ' (missed="all" runs the latest 100)',
    "down": " (no process was there)",
    "stopped": " (no process was there)",
    "orphaned": " (no process had it)",
    "paused": " (it was paused)",
    "delayed": " (an earlier run was open)",
}
"""Behind a moment that is given up; of the change itself nothing is to be said."""


# -- one keyword --------------------------------------------------------------------------------


def _field(field: FieldChange, names: int, width: int, clock: Clock) -> Iterator[Text]:
    """`overlap  delay -> skip`; below each other, where that is too wide."""
    name = field["field"]
    before, after = (_value(name, field[side], clock) for side in ("before", "after"))
    if before == after == _HIDDEN:
        after = "(hidden, another one)"
    head = Text().append(f"{INDENT}{clean(name):<{names}}  ", "dim")
    room = max(width - max(len(name), names) - 2, _LEAST)
    if len(before) + len(_ARROW) + len(after) <= room:
        yield head.append(before, "red").append(_ARROW, "dim").append(after, "green")
        return
    before, after = _around_difference(before, after, room - len(_ARROW) + 1)
    yield head.append(f"{' ' * (len(_ARROW) - 1)}{before}", "red")
    behind = Text(" " * (len(head.plain) - len(before) - len(_ARROW) + 1))
    yield behind.append(_ARROW.lstrip(), "dim").append(after, "green")


def _value(name: str, value: Any, clock: Clock) -> str:
    if value is None or value == HIDDEN:
        return _NONE if value is None else _HIDDEN
    if name in _INSTANTS:
        at = datetime.fromisoformat(value).astimezone(clock.zone)
        return f"{at:%a %Y-%m-%d %H:%M:%S}{clock.mark}"
    return clean(value) if isinstance(value, str) and value else orjson.dumps(value).decode()


def _around_difference(before: str, after: str, room: int) -> tuple[str, str]:
    """Both cut to that width, where they begin to differ, if that would not be seen."""
    pairs = enumerate(zip(before, after, strict=False))
    alike = next((place for place, (old, new) in pairs if old != new), min(len(before), len(after)))
    start = 0 if alike < room * 2 // 3 else alike - room // 3
    return _cut(before, room, start), _cut(after, room, start)


def _cut(text: str, room: int, start: int = 0) -> str:
    if start:
        text = "…" + text[start + 1 :]
    return text if len(text) <= room else text[: max(room - 1, 0)] + "…"
