"""What people write in `schedule(...)`, checked and made into a `Definition`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Unpack

import orjson

from .cadence import UNITS, cadence_text
from .command import CommandSpec
from .cron import compile_cron
from .dst import zone
from .duration import parse_duration
from .errors import ScheduleError, brief
from .fields import Cron
from .instants import parse_instant
from .keywords import check_keywords
from .model import Definition, Kind
from .moments import SECOND, CronMoments
from .terms import ScheduleOptions, read_terms
from .timing import definition_course, definition_moments

DEFINITION_BYTES = 256 * 1024
SELECTORS = ("cron", "every", "after", "at")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}")


def check_name(name: object) -> str:
    """A timer's name: 1 to 128 characters of `[A-Za-z0-9_.:@-]`, first a letter or a digit."""
    if not isinstance(name, str):
        raise TypeError(f"a timer's name must be a string, not {type(name).__name__}.")
    if not _NAME.fullmatch(name):
        shown = name if len(name) <= 140 else name[:137] + "..."
        raise ScheduleError(
            f"name={shown!r} cannot be used: 1 to 128 characters of A-Z a-z 0-9 _ . : @ -,"
            " beginning with a letter or a digit."
        )
    return str.__str__(name)


def define(
    *,
    fn_name: str = "",
    name: str = "",
    command: CommandSpec | None = None,
    source: str = "",
    retry_until: str = "",
    **options: Unpack[ScheduleOptions],
) -> tuple[Definition, int]:
    """The definition, and its size as JSON in bytes. `name` is what the slot of a cadence follows
    from: that of the timer. `command` is what its runs start, if that is no callable; `source` and
    `retry_until` are what Terms says of them.

    Raises ScheduleError (a ValueError) for a value that cannot be used and TypeError for one of
    the wrong type; both name the argument. Nothing of the time of the call goes into it, so the
    same arguments always give equal definitions.
    """
    check_keywords("schedule", options, ScheduleOptions)
    terms = read_terms(options)
    kind, value = _selector(options, name)
    inner = {"command": command, "source": source, "retry_until": retry_until, "fn_name": fn_name}
    definition = Definition.of(kind, value, {**terms, **inner})
    if definition.terms.is_particular:
        _refuse_contradictions(definition)
    if options.get("key_limit", 1) != 1 and not options.get("key") and command is None:
        raise ScheduleError("key_limit= says how many runs of one key=; give that too.")
    size_bytes = size_of(definition)
    if size_bytes > DEFINITION_BYTES:
        raise ScheduleError(
            f"the definition is {size_bytes} bytes of JSON; at most {DEFINITION_BYTES} are kept."
            " Store the bulk elsewhere and pass a reference to it."
        )
    return definition, size_bytes


def size_of(definition: Definition) -> int:
    """How many bytes of JSON the definition takes in the log."""
    return len(orjson.dumps(definition.to_json()))


def _selector(options: ScheduleOptions, name: str) -> tuple[Kind, str | int]:
    asked: dict[str, Any] = {**options}
    given = [word for word in SELECTORS if asked.get(word) is not None]
    if len(given) != 1:
        raise ScheduleError("schedule() requires exactly one of cron, every, after, at.")
    value = asked[given[0]]
    match given[0]:
        case "cron":
            return _cron(value)
        case "every":
            return _every(value, name)
        case "after":
            return Kind.AFTER, parse_duration(value, argument="after", allow_zero=True)
    timezone = asked.get("timezone")
    tz = None if timezone is None else zone(timezone)
    return Kind.AT, parse_instant(value, tz, argument="at")


def _cron(cron: object) -> tuple[Kind, str]:
    if isinstance(cron, Cron):
        return Kind.FIELDS, cron.text
    if not isinstance(cron, str):
        raise TypeError(f"cron must be a string or a kron.Cron, not {type(cron).__name__}.")
    return Kind.CRON, compile_cron(cron).text


def _every(every: Any, name: str) -> tuple[Kind, str | int]:
    if isinstance(every, str) and every.isalpha() and every not in UNITS:
        words = ", ".join(UNITS)
        raise ScheduleError(
            f'every={brief(every)} is not a duration. Use "10s", "1h30m", "250ms", seconds as a'
            f" number, a timedelta, or one of: {words}."
        )
    if not isinstance(every, str) or every not in UNITS:
        return Kind.EVERY, parse_duration(every, argument="every")
    if not name:
        raise ScheduleError(
            f"every={every!r} has a slot that follows from the timer's name; give it a name=,"
            ' or use a duration such as "1h".'
        )
    return Kind.CADENCE, cadence_text(every, name)


def _shortest_gap_us(definition: Definition) -> int:
    """The least time between two moments; more than any jitter for a one-shot."""
    if definition.kind is Kind.EVERY:
        return int(definition.value)
    moments = definition_moments(definition, 0)
    return moments.pattern.shortest_gap * SECOND if isinstance(moments, CronMoments) else 1 << 62


def _refuse_contradictions(definition: Definition) -> None:
    """What can be seen at once never to run, and limits where there is nothing to limit."""
    kind, terms = definition.kind, definition.terms
    earliest_us, latest_us = terms.not_before_us, terms.not_after_us
    is_bounded = earliest_us is not None or latest_us is not None
    if definition.is_one_shot and (terms.exclude or is_bounded):
        raise ScheduleError(
            f"not_before=, not_after= and exclude= are for cron= and every=; {kind}= names its one"
            " moment itself."
        )
    if earliest_us is not None and latest_us is not None and latest_us < earliest_us:
        raise ScheduleError("not_after= lies before not_before=: no moment would run.")
    if terms.jitter_us and terms.jitter_us >= _shortest_gap_us(definition):
        raise ScheduleError("jitter= must be shorter than the time between two moments.")
    if terms.exclude and kind is not Kind.EVERY:
        unbounded = replace(terms, not_before_us=None, not_after_us=None)
        course = definition_course(replace(definition, terms=unbounded), 0)
        if course.next_allowed(0) is None:
            raise ScheduleError("exclude= leaves out every moment: nothing would run.")
