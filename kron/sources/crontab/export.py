"""Timers as a crontab: what cron can say as lines, all else as comments with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kron.core.duration import format_duration
from kron.core.errors import brief
from kron.core.instants import text as instant_text
from kron.core.model import ZONED_KINDS, Definition, Kind
from kron.core.telling import stamp
from kron.core.things import Pause
from kron.core.words import pattern_of

from .command import CannotSay, write_command
from .lines import escape
from .marker import LEFT_OUT, write_marker
from .when import When, nearest, when_of

GARBAGE_BYTES = 32_768
"""cronie refuses a whole crontab with more than that in comments between two lines."""
_MOST_BYTES = 16_384
_MOST_COMMAND_BYTES = 8_192
"""Of a command in a comment of its own."""
_HEAD = """\
# Written by kron {version}, for cronie and whatever else knows CRON_TZ.
# Comments that begin with "kron" are for Kron, which reads all of this again:
# kron crontab import, kron up. Cron knows no overlap, no retries, no timeouts.
"""


class Exported(NamedTuple):
    """A timer as a data directory has it. `anchor_us` is the instant (wall time) from which an
    `every` counts."""

    name: str
    definition: Definition
    pause: Pause | None = None
    anchor_us: int = 0


class Written(NamedTuple):
    """A timer in a crontab. `line` is commented out if there are `reasons` for that; "" if there
    is nothing to write. Then `command` is what it runs, if that is one line."""

    name: str
    when: When | None
    line: str
    comments: list[str]
    reasons: list[str]
    command: str = ""


def write_timers(timers: Iterable[Exported]) -> list[Written]:
    """All of them, by name."""
    return [_written(timer) for timer in sorted(timers, key=lambda timer: timer.name)]


def write_crontab(written: Iterable[Written], version: str) -> str:
    """The text of a crontab. Each zone is set where it begins, UTC too."""
    text = _HEAD.format(version=version)
    comment_bytes, zone = len(text), ""
    for each in written:
        block = "".join(f"{line}\n" for line in _block(each))
        comment_bytes += len(block.encode()) + 1
        new_zone = each.when.zone if each.when and each.line else zone
        if new_zone != zone or comment_bytes > GARBAGE_BYTES:
            zone = new_zone or "UTC"
            text += f"\nCRON_TZ={zone}\n"
            comment_bytes = len(block.encode()) + 1
        text += f"\n{block}"
        comment_bytes = comment_bytes if each.reasons else 0
    return text


def _block(written: Written) -> Iterator[str]:
    yield from (f"# {comment}".rstrip() for comment in written.comments)
    yield from (f"# {LEFT_OUT} {reason}" for reason in written.reasons)
    if written.command:
        yield f"# {LEFT_OUT} its command is {written.command}"
    if written.line:
        yield f"#{written.line}" if written.reasons else written.line


def _written(timer: Exported) -> Written:
    name, definition = timer.name, timer.definition
    reasons = [*_reasons(timer)]
    when: When | None = None
    command, line = "", ""
    try:
        when = when_of(name, definition)
    except CannotSay as exc:
        reasons.append(str(exc))
        when = nearest(definition, timer.anchor_us)
    if definition.terms.command is not None:
        try:
            command = write_command(definition.terms.command)
        except CannotSay as exc:
            reasons.append(str(exc))
    if when and command:
        line = f"{when.text} {command}"
    zone = when.zone if when else definition.terms.timezone
    selector = when.selector if when and line else _selector(definition)
    comments = write_marker(name, definition, zone, selector)
    size = sum(len(comment.encode()) + 3 for comment in comments)
    if size > _MOST_BYTES:
        reasons.append(f"its comments would be {size} bytes, and cron does not read so many")
        comments, line = [f"{comments[0][:_MOST_BYTES]} ..."], ""
    alone = "" if line else _alone(definition, command)
    return Written(name, when, line, comments, reasons, alone)


def _alone(definition: Definition, command: str) -> str:
    """A command without a line: its text, or what it starts if that text cannot be written. What a
    provider gives is in neither."""
    spec = definition.terms.command
    text = command or (escape(spec.line) if spec else "")
    is_line = text.replace("\t", " ").isprintable() and len(text.encode()) <= _MOST_COMMAND_BYTES
    return text if is_line else ""


def _selector(definition: Definition) -> tuple[str, str]:
    value = definition.value
    match definition.kind:
        case Kind.AT:
            return "at", str(instant_text(int(value)))
        case Kind.EVERY | Kind.AFTER:
            return definition.kind.value, format_duration(int(value))
        case Kind.CADENCE:
            return "every", str(value).split()[0]
        case _:
            return "cron", str(value)


def _reasons(timer: Exported) -> Iterator[str]:
    """Why a timer cannot be left to cron, besides its time and the text of its command."""
    terms = timer.definition.terms
    if timer.pause is not None:
        yield _paused(timer.pause)
    if terms.command is None:
        yield f"it calls a Python function ({terms.fn_name or 'unnamed'}); cron starts programs"
    elif terms.command.provider:
        yield f"its variables come from {brief(terms.command.provider)}, which cron cannot ask"
    if terms.jitter_us:
        yield f"jitter={format_duration(terms.jitter_us)}: cron knows no delays"
    if terms.not_before_us is not None or terms.not_after_us is not None:
        yield "not_before= and not_after=: a line of a crontab is for ever"
    if terms.exclude:
        yield "exclude=: cron knows no days that are left out"
    if terms.dst == "skip" and _may_skip(timer.definition):
        yield 'dst="skip": cron runs what a change of the clocks leaves out'


def _may_skip(definition: Definition) -> bool:
    is_zoned = definition.kind in ZONED_KINDS and definition.terms.timezone != "UTC"
    return is_zoned and pattern_of(definition).is_fixed


def _paused(pause: Pause) -> str:
    since = f"it is paused since {stamp(pause.since_us)}"
    until = "" if pause.until_us is None or pause.is_elapsed else stamp(pause.until_us)
    who = f" by {brief(pause.who)}" if pause.who else ""
    why = f" ({brief(pause.reason)})" if pause.reason else ""
    return f"{since}{f' until {until}' if until else ''}{who}{why}"
