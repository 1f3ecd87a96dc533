"""`[tool.scheduled.<id>]`: recurring jobs after the `scheduled` specification (scheduled.work).

A job has exactly `every` (minute, hour, day, week, month) and `entrypoint` ("module:function",
which is imported and called without arguments). It runs at least once in each window of its
cadence, at a slot that follows from its id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from kron.core.cadence import UNITS
from kron.core.errors import KronError, ScheduleError, brief
from kron.core.terms import ScheduleOptions
from kron.runtime.callables import without_arguments
from kron.runtime.command import resolve
from kron.runtime.enrolment import Declaration
from kron.runtime.registry import Origin

from .declared import Declared, Mistake, Place, Timer

SOURCE = "scheduled"
TABLE = ("tool", "scheduled")
KEYS = ("every", "entrypoint")
RETRY_DELAY = {"minute": "5s", "hour": "30s", "day": "1m", "week": "1m", "month": "1m"}
"""The wait before the second attempt; it doubles, and the window's end is the end of it."""
_PREFIX = "scheduled:"
_ID_CHARACTERS = 128
_NAME_CHARACTERS = 128 - len(_PREFIX)
_DIGEST = 12
_OTHER = re.compile(r"[^A-Za-z0-9_.:@-]")


def name_of(id_: str) -> str:
    """The timer of a job: what a name cannot have stands as _xHH for each byte of its UTF-8; what
    is too long ends in 12 hex digits of the id's SHA-256."""
    plain = _OTHER.sub(lambda found: "".join(f"_x{byte:02X}" for byte in found[0].encode()), id_)
    if len(plain) > _NAME_CHARACTERS:
        digest = sha256(id_.encode()).hexdigest()[:_DIGEST]
        plain = plain[: _NAME_CHARACTERS - _DIGEST] + digest
    return _PREFIX + plain


def read_scheduled(tables: object, declared: Declared, place_of: Callable[..., Place]) -> None:
    """Add the jobs of `[tool.scheduled]`, and what is wrong with them. `place_of(*keys)` tells
    where below that table something stands. Imports the entrypoints."""
    if not isinstance(tables, Mapping):
        text = "[tool.scheduled] must be a table of jobs"
        declared.mistakes.append(Mistake(place_of(), "", text))
        return
    for id_, job in tables.items():
        mistakes = [Mistake(place_of(id_, key), id_, text) for key, text in _mistakes(id_, job)]
        declared.mistakes += mistakes
        if mistakes:
            continue
        try:
            fn = entrypoint(job["entrypoint"])
        except KronError as exc:
            place = place_of(id_, "entrypoint")
            declared.mistakes.append(Mistake(place, id_, f"entrypoint {exc}"))
            continue
        declared.timers.append(_timer(id_, job["every"], fn, place_of(id_)))


def entrypoint(text: str) -> Callable[[], Any]:
    """What the function is called by: without arguments, whatever its parameters are; awaited, if
    it is a coroutine function. Raises ScheduleError, naming the entrypoint."""
    fn = resolve(text)
    try:
        return without_arguments(fn)
    except TypeError as exc:
        raise ScheduleError(f"{brief(text)}: {exc}") from exc


def _timer(id_: str, every: str, fn: Any, place: Place) -> Timer:
    options: ScheduleOptions = {
        "every": every,
        "overlap": "skip",
        "retry_delay": RETRY_DELAY[every],
    }
    origin = Origin(SOURCE, str(place), slot_id=id_, retry_until="window")
    return Timer(id_, place, Declaration(name_of(id_), fn, options, origin))


def _mistakes(id_: str, job: object) -> Iterator[tuple[str, str]]:
    """Pairs of a key and what is wrong with it."""
    if not 1 <= len(id_) <= _ID_CHARACTERS or any(
        ord(each) < 32 or ord(each) == 127 for each in id_
    ):
        yield "", f"an id has 1 to {_ID_CHARACTERS} characters, and no control characters"
    if not isinstance(job, Mapping):
        yield "", 'a job is a table with every = "day" and entrypoint = "module:function"'
        return
    for key in job:
        if key not in KEYS:
            yield (
                key,
                f"unknown key {brief(key)}; a job has only every and entrypoint. More can be said"
                " under [tool.kron.timers]",
            )
    for key in KEYS:
        if key not in job:
            yield "", f"{key} is missing"
        elif not isinstance(job[key], str):
            yield key, f"{key} must be a string, not {brief(job[key])}"
    every, target = job.get("every"), job.get("entrypoint")
    if isinstance(every, str) and every not in UNITS:
        yield "every", f"every={brief(every)} is none of: {', '.join(UNITS)}"
    if isinstance(target, str) and ":" not in target:
        yield (
            "entrypoint",
            f'entrypoint={brief(target)} has no ":"; write "importable.module:function"',
        )
