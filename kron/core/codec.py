"""Records as bytes: `[header, event, event, ...]`, JSON, the same on every engine.

An event is `[tag, field, field, ...]` in the order of its NamedTuple. The header is an object:
`v` (format version), `t` (log time: the wall clock, never going back); a shared log adds its own
keys, which a reader that does not know them passes over.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from .errors import LogCorrupt, LogTooNew
from .events import EVENTS, TAGS, Event, TimerCreated, TimerUpdated, Unknown
from .model import Definition

FORMAT = 1
_DEFINED = {TAGS[TimerCreated], TAGS[TimerUpdated]}
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS


class Decoded(NamedTuple):
    """A record read back: its header, and its events in order."""

    header: dict[str, Any]
    events: list[Event]


def encode(events: list[Event], log_time_us: int) -> bytes:
    """The payload of one record (JSON without a newline)."""
    rows = [(TAGS[type(event)], *event) for event in events]
    return orjson.dumps([{"v": FORMAT, "t": log_time_us}, *rows], definition_json, _OPTIONS)


def definition_json(value: object) -> object:
    """What orjson calls for the one kind of value in an event that is not JSON by itself."""
    if isinstance(value, Definition):
        return value.to_json()
    raise TypeError(f"an event cannot hold {value!r}")


def decode(payload: bytes, index: int) -> Decoded:
    """The inverse of `encode`.

    Raises LogTooNew for a record of a newer format version (nothing is guessed), LogCorrupt for
    one that is not a record at all. Additional fields of a newer minor version are passed over,
    and its new events become `Unknown`, which keep their position and change nothing.
    """
    try:
        header, *rows = orjson.loads(payload)
        version = header["v"]
        if version > FORMAT:
            raise LogTooNew(
                f"record {index} has format version {version}; this Kron reads up to {FORMAT}."
                " Use the newer Kron; the log was not changed."
            )
        return Decoded(header, [_event(row) for row in rows])
    except (ValueError, TypeError, LookupError, StopIteration) as exc:
        raise LogCorrupt(f"record {index} is not a list of events: {exc}") from exc


def _event(row: list[Any]) -> Event:
    kind = EVENTS.get(row[0])
    if kind is None:
        return Unknown(row[0], row[1:])
    fields = row[1 : 1 + len(kind._fields)]
    if row[0] in _DEFINED:
        fields[1] = Definition.from_json(fields[1])
    return kind(*fields)
