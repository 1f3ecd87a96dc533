"""`[tool.kron]`: timers with every keyword of `schedule()`, and settings of `start()`.

    [tool.kron]
    max_concurrency = 4

    [tool.kron.timers.report]
    cron = "0 9 * * mon"
    timezone = "Europe/Berlin"
    entrypoint = "app.jobs:report"

    [tool.kron.timers.backup]
    every = "day"
    command = "pg_dump --file=db.sql app"
    env = { PGHOST = "db" }

In a kron.toml the same stands without `tool.kron` in front. A command starts in the folder of the
file that declares it, and a relative `cwd` counts from there, wherever Kron itself was started: so
a timer is the same from everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from datetime import date
from typing import Any, TypeAlias, cast

from kron.core.definition import SELECTORS, check_name, define
from kron.core.errors import KronError, ScheduleError, brief
from kron.core.fields import Cron
from kron.core.keywords import meant
from kron.core.terms import READ, ScheduleOptions, read_terms
from kron.opening import StartOptions, file_log, read_start
from kron.runtime.callables import Target
from kron.runtime.command import Command
from kron.runtime.enrolment import Declaration
from kron.runtime.hook_set import HookSet, read_hooks
from kron.runtime.registry import Origin

from .declared import Declared, Mistake, Place, Timer
from .target import TARGET_KEYS, check_key, read_target

SOURCE = "kron"
TABLE = ("tool", "kron")
_SETTINGS = tuple(key for key in StartOptions.__annotations__ if key != "since")
_INSTANTS = ("at", "not_before", "not_after")
_FOUNDATIONS = frozenset({*SELECTORS, "timezone", "key", "args", "kwargs", "executor"})
"""Keys that others, or the callable, cannot be looked at without."""

Wrong: TypeAlias = tuple[str, str]
"""A key ("" for the table), and what is wrong with it."""


def read_timers(
    table: object, declared: Declared, place_of: Callable[..., Place], folder: str
) -> None:
    """Add the timers and settings of `[tool.kron]`, and what is wrong with them. `place_of(*keys)`
    tells where below that table something stands; `folder` is that of the file. Imports the
    entrypoints."""
    if not isinstance(table, Mapping):
        declared.mistakes.append(Mistake(place_of(), "", "[tool.kron] must be a table."))
        return
    for key, value in table.items():
        if key == "timers":
            continue
        try:
            _check_setting(key, value)
            declared.setting(key, value, place_of(key))
        except (KronError, TypeError) as exc:
            declared.mistakes.append(Mistake(place_of(key), "", str(exc)))
    timers = table.get("timers", {})
    if not isinstance(timers, Mapping):
        declared.mistakes.append(Mistake(place_of("timers"), "", "timers must be a table."))
        return
    for id_, terms in timers.items():
        _read_timer(id_, terms, declared, lambda *keys: place_of("timers", *keys), folder)


def _check_setting(key: str, value: Any) -> None:
    if key not in _SETTINGS:
        known = ("timers", *_SETTINGS)
        raise ScheduleError(
            f"unknown key {brief(key)}; known are: {', '.join(known)}.{meant(key, known)}"
        )
    read_start(".", cast(StartOptions, {key: value}), 0)
    if key == "fsync":
        file_log(".", value, 1.0)


def _read_timer(
    id_: str, terms: object, declared: Declared, place_of: Callable[..., Place], folder: str
) -> None:
    if not isinstance(terms, Mapping):
        text = "a timer is a table with cron, every, after or at, and entrypoint or command."
        declared.mistakes.append(Mistake(place_of(id_), id_ or '""', text))
        return
    options = {key: value for key, value in terms.items() if key not in TARGET_KEYS}
    wrong = [*_name(id_), *_each(options)]
    fn, wrong_target = read_target(terms, folder)
    wrong += _whole(id_, fn, options, {key for key, _ in wrong})
    for key, text in (*wrong, *wrong_target):
        place = place_of(id_, key) if key else place_of(id_)
        declared.mistakes.append(Mistake(place, id_ or '""', text))
    if not (wrong or wrong_target):
        origin = Origin(SOURCE, str(place_of(id_)))
        declaration = Declaration(id_, fn, _as_python(options), origin)
        declared.timers.append(Timer(id_, place_of(id_), declaration))


def _name(id_: str) -> Iterator[Wrong]:
    try:
        check_name(id_)
    except ScheduleError as exc:
        yield "", str(exc)


def _each(options: Mapping[str, Any]) -> Iterator[Wrong]:
    """What is wrong with a key on its own. A time zone that is wrong is so once: the others are
    read as if in UTC."""
    zone = {"timezone": options["timezone"]} if "timezone" in options else {}
    try:
        read_terms(cast(ScheduleOptions, zone))
    except (KronError, TypeError) as exc:
        yield "timezone", str(exc)
        zone = {"timezone": "UTC"}
    for key, value in options.items():
        try:
            check_key(key)
            alone = _as_python({**zone, key: value})
            if key in SELECTORS:
                define(**alone, name="any")
            elif key in READ:
                read_terms(alone)
            elif key in HookSet._fields:
                read_hooks({key: value})
        except (KronError, TypeError) as exc:
            yield key, str(exc)


def _whole(id_: str, fn: Any, options: Mapping[str, Any], wrong: Set[str]) -> Iterator[Wrong]:
    """What is wrong with the keys together; `fn` is None if there is none. Keys that are `wrong` on
    their own are left out, and nothing is said if that could be what is missed."""
    if "" in wrong or wrong & _FOUNDATIONS:
        return
    rest = {key: value for key, value in options.items() if key not in wrong}
    try:
        spec = fn.spec if isinstance(fn, Command) else None
        definition, _ = define(**_as_python(rest), name=id_, command=spec)
        terms = definition.terms
        if fn is not None:
            Target(fn, terms.args, terms.kwargs or {}, terms.executor or None)
    except (KronError, TypeError) as exc:
        yield next((key for key in SELECTORS if key in options), ""), str(exc)


def _as_python(options: Mapping[str, Any]) -> ScheduleOptions:
    """TOML values as `schedule()` takes them: a table of fields is a `kron.Cron`, a pair of dates
    a range, and an instant may be local where there is a time zone."""
    given = dict(options)
    if isinstance(given.get("cron"), Mapping):
        given["cron"] = _cron(given["cron"])
    for key in _INSTANTS:
        if isinstance(given.get(key), date):  # a datetime, too
            given[key] = given[key].isoformat()
    if isinstance(given.get("exclude"), list):
        given["exclude"] = [
            tuple(each) if isinstance(each, list) else each for each in given["exclude"]
        ]
    return cast(ScheduleOptions, given)


def _cron(fields: Mapping[str, Any]) -> Cron:
    known = Cron.__dataclass_fields__
    for name in fields:
        if name not in known:
            raise ScheduleError(
                f"cron has no field {brief(name)}; known are: {', '.join(known)}."
                f"{meant(name, known)}"
            )
    return Cron(**fields)
