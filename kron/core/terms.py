"""The terms of a timer as people write them, each read on its own and by its own rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from typing_extensions import TypedDict

from .dst import zone
from .duration import parse_duration
from .errors import ScheduleError, brief
from .fields import Cron
from .instants import parse_instant
from .json_values import json_copy, json_text
from .limits import parse_exclude
from .model import Missed, Overlap
from .row_views import Outcome

Duration: TypeAlias = str | int | float | timedelta
Exclude: TypeAlias = str | date | Iterable[str | date | tuple[str | date, str | date]] | None

_JITTER_US = 86_400_000_000
_KEY_CHARACTERS = 128
Hook: TypeAlias = Callable[[Outcome], Any] | Callable[[], Any] | str
"""What `on_success=` and its like take: a function of an Outcome, or of nothing, sync or async; or
the name "module:function" of one. They are no part of the definition."""
EXECUTORS = ("thread", "process")
"""Where a callable is carried out, if not as its kind says: a task or a thread."""


class ScheduleOptions(TypedDict, total=False):
    """The keywords of `schedule()`; `define` says what each may be. (The words among them are for
    editors, which complete them; any text will do for a type checker, as it comes from settings.)
    """

    cron: str | Cron | None
    every: Duration | None
    after: Duration | None
    at: datetime | str | None
    timezone: str | None
    dst: Literal["once", "skip"] | str
    jitter: Duration | None
    not_before: datetime | str | None
    not_after: datetime | str | None
    exclude: Exclude
    missed: Literal["once", "all", "skip"] | str
    grace: Duration | None
    args: Sequence[Any]
    kwargs: Mapping[str, Any] | None
    max_attempts: int
    retry_delay: Duration
    overlap: Literal["delay", "skip", "restart", "allow"] | str
    timeout: Duration | None
    weight: int
    priority: int
    key: str | None
    key_limit: int
    executor: Literal["thread", "process"] | str | None
    metadata: Mapping[str, Any] | None
    description: str
    on_success: Hook | None
    on_failure: Hook | None
    on_missed: Hook | None


def read_terms(options: ScheduleOptions) -> dict[str, Any]:
    """The terms that are given, as `Definition.of` takes them. Raises ScheduleError or TypeError,
    naming the argument."""
    asked: dict[str, Any] = {**options}
    timezone = asked.get("timezone")
    tz = None if timezone is None else _zone(timezone)
    terms: dict[str, Any] = {} if tz is None else {"timezone": tz.key}
    for name, value in asked.items():
        if name in READ:
            field, read = READ[name]
            terms[field] = read(value, name, tz)
    return terms


def _zone(timezone: object) -> ZoneInfo:
    if not isinstance(timezone, str):
        raise TypeError(f"timezone must be a string, not {type(timezone).__name__}.")
    return zone(timezone)


def _one_of(words: Iterable[str]) -> Callable[[object, str, tzinfo | None], str]:
    known = {str(word): word for word in words}

    def read(value: object, argument: str, _: tzinfo | None) -> str:
        if not isinstance(value, str) or value not in known:
            raise ScheduleError(
                f"{argument} must be one of: {', '.join(known)}; not {brief(value)}."
            )
        return known[value]

    return read


def _jitter(jitter: Duration | None, argument: str, _: tzinfo | None) -> int:
    if jitter is None:
        return 0
    jitter_us = parse_duration(jitter, argument=argument, allow_zero=True)
    if jitter_us > _JITTER_US:
        raise ScheduleError(f"{argument}={brief(jitter)} is longer than a day.")
    return jitter_us


def _grace(grace: Duration | None, argument: str, _: tzinfo | None) -> int | None:
    return None if grace is None else parse_duration(grace, argument=argument)


def _retry_delay(delay: Duration, argument: str, _: tzinfo | None) -> int:
    return parse_duration(delay, argument=argument, allow_zero=True)


def _bound(value: object, argument: str, tz: tzinfo | None) -> int | None:
    return None if value is None else parse_instant(value, tz, argument=argument)


def _exclude(value: object, argument: str, _: tzinfo | None) -> tuple[str, ...]:
    return parse_exclude(value, argument=argument)


def _timeout(timeout: Duration | None, argument: str, _: tzinfo | None) -> int | None:
    return None if timeout is None else parse_duration(timeout, argument=argument)


def _number(least: int, most: int, meaning: str) -> Callable[[object, str, tzinfo | None], int]:
    def read(count: object, argument: str, _: tzinfo | None) -> int:
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"{argument} must be an int, not {type(count).__name__}.")
        if not least <= count <= most:
            raise ScheduleError(f"{argument}={brief(count)} is outside {least}-{most}; {meaning}.")
        return int(count)

    return read


def _key(key: object, argument: str, _: tzinfo | None) -> str:
    if key is None:
        return ""
    if not isinstance(key, str):
        raise TypeError(f"{argument} must be a string, not {type(key).__name__}.")
    if not 1 <= len(key) <= _KEY_CHARACTERS or not key.isprintable():
        raise ScheduleError(
            f"{argument}={brief(key)} cannot be used: 1 to {_KEY_CHARACTERS} printable characters."
        )
    return json_text(key, argument)


def _executor(executor: object, argument: str, _: tzinfo | None) -> str:
    if executor is None:
        return ""
    if not isinstance(executor, str) or executor not in EXECUTORS:
        known = ", ".join(EXECUTORS)
        raise ScheduleError(f"{argument} must be one of: {known}; not {brief(executor)}.")
    return executor


def _text(value: object, argument: str, _: tzinfo | None) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string, not {type(value).__name__}.")
    return str(json_copy(value, argument))


def _arguments(args: object, argument: str, _: tzinfo | None) -> tuple[Any, ...]:
    if not isinstance(args, Sequence) or isinstance(args, str | bytes | bytearray | memoryview):
        raise TypeError(f"{argument} must be a list or tuple, not {type(args).__name__}.")
    return tuple(json_copy(list(args), argument))


def _json_object(value: object, argument: str, _: tzinfo | None) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"{argument} must be a mapping, not {type(value).__name__}.")
    return json_copy(dict(value), argument) or None


READ: dict[str, tuple[str, Callable[[Any, str, tzinfo | None], Any]]] = {
    "dst": ("dst", _one_of(("once", "skip"))),
    "jitter": ("jitter_us", _jitter),
    "not_before": ("not_before_us", _bound),
    "not_after": ("not_after_us", _bound),
    "exclude": ("exclude", _exclude),
    "missed": ("missed", _one_of(Missed)),
    "grace": ("grace_us", _grace),
    "overlap": ("overlap", _one_of(Overlap)),
    "max_attempts": ("max_attempts", _number(1, 1_000_000, "1 means: never tried again")),
    "retry_delay": ("retry_delay_us", _retry_delay),
    "timeout": ("timeout_us", _timeout),
    "weight": ("weight", _number(1, 1_000_000, "it counts against max_concurrency")),
    "priority": ("priority", _number(0, 10, "larger goes first, 5 is the default")),
    "key": ("key", _key),
    "key_limit": ("key_limit", _number(1, 1_000_000, "so many runs of one key may go on at once")),
    "executor": ("executor", _executor),
    "args": ("args", _arguments),
    "kwargs": ("kwargs", _json_object),
    "metadata": ("metadata", _json_object),
    "description": ("description", _text),
}
"""By keyword: the field of the terms, and what reads it (value, keyword, zone)."""
