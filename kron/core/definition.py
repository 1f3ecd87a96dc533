"""What people write in `schedule(...)`, checked and made into a `Definition`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, TypeAlias, TypedDict

import orjson

from .cron import compile_cron
from .dst import zone
from .duration import parse_duration
from .errors import ScheduleError
from .instants import parse_instant
from .model import Definition, Kind, Overlap

Duration: TypeAlias = str | int | float | timedelta

DEFINITION_BYTES = 256 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}")
_JSON_DEPTH = 64


class ScheduleOptions(TypedDict, total=False):
    """The keywords of `schedule()`; `define` says what each may be."""

    cron: str | None
    every: Duration | None
    after: Duration | None
    at: datetime | str | None
    timezone: str | None
    args: Sequence[Any]
    kwargs: Mapping[str, Any] | None
    max_attempts: int
    retry_delay: Duration
    overlap: str
    metadata: Mapping[str, Any] | None
    description: str


def check_options(options: Mapping[str, Any]) -> None:
    """TypeError for a keyword that `schedule()` does not know, with the one that was meant."""
    for name in options.keys() - ScheduleOptions.__annotations__.keys():
        near = get_close_matches(name, ScheduleOptions.__annotations__, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise TypeError(f"schedule() has no keyword {name!r}.{hint}")


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
    cron: str | None = None,
    every: Duration | None = None,
    after: Duration | None = None,
    at: datetime | str | None = None,
    timezone: str | None = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    max_attempts: int = 3,
    retry_delay: Duration = "30s",
    overlap: str = "delay",
    metadata: Mapping[str, Any] | None = None,
    description: str = "",
    fn_name: str = "",
) -> tuple[Definition, int]:
    """The definition, and its size as JSON in bytes.

    Raises ScheduleError (a ValueError) for a value that cannot be used and TypeError for one of
    the wrong type; both name the argument. Nothing of the time of the call goes into it, so the
    same arguments always give equal definitions.
    """
    kind, value = _selector(cron=cron, every=every, after=after, at=at, timezone=timezone)
    given = {
        "timezone": zone("UTC" if timezone is None else timezone).key,
        "overlap": _overlap(overlap),
        "max_attempts": _max_attempts(max_attempts),
        "retry_delay_us": parse_duration(retry_delay, argument="retry_delay", allow_zero=True),
        "args": tuple(_json_copy(list(_sequence(args)), "args")),
        "kwargs": _json_object(kwargs, "kwargs"),
        "metadata": _json_object(metadata, "metadata"),
        "description": _text(description, "description"),
        "fn_name": fn_name,
    }
    definition = Definition.of(kind, value, given)
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


def _selector(
    *, cron: object, every: Any, after: Any, at: object, timezone: str | None
) -> tuple[Kind, str | int]:
    given = [name for name in (cron, every, after, at) if name is not None]
    if len(given) != 1:
        raise ScheduleError("schedule() requires exactly one of cron, every, after, at.")
    if cron is not None:
        if not isinstance(cron, str):
            raise TypeError(f"cron must be a string, not {type(cron).__name__}.")
        return Kind.CRON, compile_cron(cron).text
    if every is not None:
        return Kind.EVERY, parse_duration(every, argument="every")
    if after is not None:
        return Kind.AFTER, parse_duration(after, argument="after", allow_zero=True)
    return Kind.AT, parse_instant(at, None if timezone is None else zone(timezone), argument="at")


def _overlap(overlap: object) -> Overlap:
    try:
        return Overlap(overlap)  # type: ignore[arg-type]
    except ValueError:
        words = ", ".join(Overlap)
        raise ScheduleError(f"overlap must be one of: {words}; not {overlap!r}.") from None


def _max_attempts(count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"max_attempts must be an int, not {type(count).__name__}.")
    if not 1 <= count <= 1_000_000:
        raise ScheduleError(
            f"max_attempts={count} is outside 1-1000000; 1 means: never tried again."
        )
    return count


def _text(value: object, argument: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string, not {type(value).__name__}.")
    return str(_json_copy(value, argument))


def _sequence(args: object) -> Sequence[Any]:
    if isinstance(args, str | bytes) or not isinstance(args, Sequence):
        raise TypeError(f"args must be a list or tuple, not {type(args).__name__}.")
    return args


def _json_object(value: object, argument: str) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"{argument} must be a mapping, not {type(value).__name__}.")
    return _json_copy(dict(value), argument) or None


def _json_copy(value: Any, path: str, depth: int = 0) -> Any:
    """A deep copy made of JSON values only; TypeError names the path of what is none."""
    if depth > _JSON_DEPTH:
        raise TypeError(f"{path} is nested deeper than {_JSON_DEPTH}.")
    match value:
        case None | bool():
            return value
        case str():
            return _json_text(value, path)
        case int():
            if not -(1 << 63) <= value < 1 << 64:
                raise TypeError(f"{path} = {value} does not fit in 64 bits.")
            return int(value)
        case float():
            if not math.isfinite(value):
                raise TypeError(f"{path} = {value} is no JSON number.")
            return float(value)
        case list() | tuple():
            return [_json_copy(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
        case dict():
            return {
                _json_key(key, path): _json_copy(item, f"{path}[{key!r}]", depth + 1)
                for key, item in value.items()
            }
    raise TypeError(
        f"{path} is a {type(value).__name__}, which is no JSON value; bind live objects with"
        " functools.partial."
    )


def _json_key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{path} has the key {key!r}; JSON keys are strings.")
    return _json_text(key, path)


def _json_text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise TypeError(f"{path} holds half a surrogate pair, which is no text.") from exc
    return str.__str__(value)  # the text itself, also of a (str, Enum)
