"""`[tool.scheduled.<id>]`: recurring jobs after the `scheduled` specification (scheduled.work).

A job has exactly `every` (minute, hour, day, week, month) and `entrypoint` ("module:function",
which is imported and called without arguments). It runs at least once in each window of its
cadence, at a slot that follows from its id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from kron.core.cadence import UNITS
from kron.core.definition import define
from kron.core.errors import ScheduleError, brief
from kron.core.keywords import meant
from kron.core.model import Definition
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
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Unicode's category Cc."""
_OTHER = re.compile(r"[^A-Za-z0-9_.:@-]|_(?=x[0-9A-F]{2})")
_PROBLEM_TABLE = (
    'a job is a table: [tool.scheduled.<id>] with every = "day" and entrypoint = "module:function".'
)


class Entrypoint(NamedTuple):
    """What the job `id` names to be imported and called, and where."""

    id: str
    text: str
    place: Place


class Job(NamedTuple):
    """One table, valid as far as it can be seen without an import."""

    id: str
    every: str
    place: Place
    entrypoint: Entrypoint

    def definition(self) -> Definition:
        """What it is for a scheduler."""
        return define(**self.options(), name=self.id, source=SOURCE, retry_until="window")[0]

    def options(self) -> ScheduleOptions:
        """The arguments of `schedule()`."""
        return {
            "every": self.every,
            "overlap": "skip",
            "retry_delay": RETRY_DELAY[self.every],
        }


def name_of(id_: str) -> str:
    """The timer of a job: what a name cannot have stands as _xHH for each byte of its UTF-8, and so
    does an underscore that would read as one; so two ids have two names. What is too long ends in
    12 hex digits of the id's SHA-256."""
    plain = _OTHER.sub(lambda found: "".join(f"_x{byte:02X}" for byte in found[0].encode()), id_)
    if len(plain) > _NAME_CHARACTERS:
        digest = sha256(id_.encode()).hexdigest()[:_DIGEST]
        plain = plain[: _NAME_CHARACTERS - _DIGEST] + digest
    return _PREFIX + plain


class Jobs(NamedTuple):
    """The tables of `[tool.scheduled]`: the jobs that can be used, what is wrong with the others,
    and the entrypoints of all that have one, which may be wrong in a way of their own."""

    jobs: list[Job]
    mistakes: list[Mistake]
    entrypoints: list[Entrypoint]


def read_scheduled(tables: object, declared: Declared, place_of: Callable[..., Place]) -> None:
    """Add the jobs of `[tool.scheduled]`, and what is wrong with them. `place_of(*keys)` tells
    where below that table something stands. Imports the entrypoints."""
    jobs, mistakes, entrypoints = read_jobs(tables, place_of)
    loaded, not_loaded = load(entrypoints)
    declared.mistakes += [*mistakes, *not_loaded]
    for job in jobs:
        if job.entrypoint in loaded:
            origin = Origin(SOURCE, str(job.place), slot_id=job.id, retry_until="window")
            fn = loaded[job.entrypoint]
            declaration = Declaration(name_of(job.id), fn, job.options(), origin)
            declared.timers.append(Timer(job.id, job.place, declaration))


def load(
    entrypoints: Iterable[Entrypoint],
) -> tuple[dict[Entrypoint, Callable[[], Any]], list[Mistake]]:
    """What a run of each calls (see `plain_callable`), imported; and those that have none."""
    loaded = {}
    mistakes = []
    for each in entrypoints:
        try:
            loaded[each] = plain_callable(each.text)
        except ScheduleError as exc:
            mistakes.append(Mistake(each.place, each.id, f"entrypoint {exc}"))
    return loaded, mistakes


def plain_callable(text: str) -> Callable[[], Any]:
    """Import "module:function", as a function that calls it without arguments, whatever its
    parameters are; a coroutine function, if it is one. Raises ScheduleError, naming it."""
    try:
        return without_arguments(resolve(text))
    except TypeError as exc:
        raise ScheduleError(f"{brief(text)}: {exc}") from exc


def read_jobs(tables: object, place_of: Callable[..., Place]) -> Jobs:
    """The jobs that can be used, and what is wrong with the others. Imports nothing."""
    found = Jobs([], [], [])
    if not isinstance(tables, Mapping):
        found.mistakes.append(Mistake(place_of(), "", "[tool.scheduled] must be a table of jobs."))
        return found
    for id_, job in tables.items():
        wrong = [
            Mistake(place_of(id_, *keys), id_ or '""', text) for keys, text in _mistakes(id_, job)
        ]
        found.mistakes.extend(wrong)
        text = job.get("entrypoint") if isinstance(job, Mapping) else None
        if isinstance(text, str) and ":" in text:
            entrypoint = Entrypoint(id_, text, place_of(id_, "entrypoint"))
            found.entrypoints.append(entrypoint)
            if not wrong:
                found.jobs.append(Job(id_, job["every"], place_of(id_), entrypoint))
    return found


def _mistakes(id_: str, job: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """Pairs of where in the table, and what is wrong there."""
    if not 1 <= len(id_) <= _ID_CHARACTERS or _CONTROL.search(id_):
        yield (), f"an id has 1 to {_ID_CHARACTERS} characters, and no control characters."
    if not isinstance(job, Mapping):
        yield (), _PROBLEM_TABLE
        return
    for key in job:
        if isinstance(job[key], Mapping) and key not in KEYS:
            yield (
                (key,),
                f"an id with a dot stands in quotes: [tool.scheduled.{_quoted(id_, key)}].",
            )
            if not job.keys() & set(KEYS):  # it is no job, but what stands around one
                return
        elif key not in KEYS:
            yield (
                (key,),
                f"unknown key {brief(key)}; a job has only every and entrypoint.{meant(key, KEYS)}"
                " More can be said under [tool.kron.timers].",
            )
    for key in KEYS:
        if key not in job:
            yield (), f"{key} is missing."
        elif not isinstance(job[key], str):
            yield (key,), f"{key} must be a string, not {brief(job[key])}."
    every, target = job.get("every"), job.get("entrypoint")
    if isinstance(every, str) and every not in UNITS:
        yield (
            ("every",),
            f"every={brief(every)} is none of: {', '.join(UNITS)}.{meant(every, UNITS)}",
        )
    if isinstance(target, str) and ":" not in target:
        yield (
            ("entrypoint",),
            f'entrypoint={brief(target)} has no ":"; write "importable.module:function".',
        )


def _quoted(id_: str, key: str) -> str:
    return '"' + f"{id_}.{key}".replace("\\", "\\\\").replace('"', '\\"') + '"'
