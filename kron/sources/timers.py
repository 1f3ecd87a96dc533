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

In a kron.toml the same stands without `tool.kron` in front.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from kron.core.definition import check_name, define
from kron.core.errors import KronError, ScheduleError, brief
from kron.core.fields import Cron
from kron.core.keywords import check_keywords
from kron.core.terms import READ, ScheduleOptions, read_terms
from kron.opening import StartOptions, file_log, read_start
from kron.runtime.callables import Target
from kron.runtime.command import Command, command, resolve
from kron.runtime.enrolment import Declaration
from kron.runtime.registry import Origin

from .declared import Declared, Mistake, Place, Timer

SOURCE = "kron"
TABLE = ("tool", "kron")
COMMAND_KEYS = ("shell", "cwd", "env", "inherit", "kill_after")
"""The keywords of `kron.command`, which stand beside `command`."""
_TARGET_KEYS = ("entrypoint", "command", *COMMAND_KEYS)
_SETTINGS = tuple(key for key in StartOptions.__annotations__ if key != "since")


def read_timers(table: object, declared: Declared, place_of: Callable[..., Place]) -> None:
    """Add the timers and settings of `[tool.kron]`, and what is wrong with them. `place_of(*keys)`
    tells where below that table something stands. Imports the entrypoints."""
    if not isinstance(table, Mapping):
        declared.mistakes.append(Mistake(place_of(), "", "[tool.kron] must be a table"))
        return
    for key, value in table.items():
        if key == "timers":
            continue
        try:
            _check_setting(key, value)
            declared.settings[key] = value
        except (KronError, TypeError) as exc:
            declared.mistakes.append(Mistake(place_of(key), "", str(exc)))
    timers = table.get("timers", {})
    if not isinstance(timers, Mapping):
        declared.mistakes.append(Mistake(place_of("timers"), "", "timers must be a table"))
        return
    for id_, terms in timers.items():
        _read_timer(id_, terms, declared, lambda *keys: place_of("timers", *keys))


def _check_setting(key: str, value: Any) -> None:
    if key not in _SETTINGS:
        known = ", ".join(("timers", *_SETTINGS))
        raise ScheduleError(f"unknown key {brief(key)} under [tool.kron]; known are: {known}.")
    read_start(".", cast(StartOptions, {key: value}), 0)
    if key == "fsync":
        file_log(".", value, 1.0)


def _read_timer(
    id_: str, terms: object, declared: Declared, place_of: Callable[..., Place]
) -> None:
    if not isinstance(terms, Mapping):
        text = "a timer is a table with cron, every, after or at, and entrypoint or command"
        declared.mistakes.append(Mistake(place_of(id_), id_, text))
        return
    options = {key: value for key, value in terms.items() if key not in _TARGET_KEYS}
    mistakes = [Mistake(place_of(id_, key), id_, text) for key, text in _mistakes(id_, options)]
    fn: Any = None
    try:
        fn = _target(terms)
    except (KronError, TypeError) as exc:
        key = "command" if "command" in terms else "entrypoint"
        mistakes.append(Mistake(place_of(id_, key), id_, str(exc)))
    if not mistakes:
        mistakes += _whole(id_, fn, options, place_of)
    declared.mistakes += mistakes
    if not mistakes:
        origin = Origin(SOURCE, str(place_of(id_)))
        declaration = Declaration(id_, fn, _as_python(options), origin)
        declared.timers.append(Timer(id_, place_of(id_), declaration))


def _mistakes(id_: str, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of a key and what is wrong with it, looked at on its own."""
    try:
        check_name(id_)
    except ScheduleError as exc:
        yield "", str(exc)
    for key, value in options.items():
        try:
            check_keywords("schedule", {key: value}, ScheduleOptions)
            if key in READ:
                alone = {name: options[name] for name in (key, "timezone") if name in options}
                read_terms(_as_python(alone))
        except (KronError, TypeError) as exc:
            yield key, str(exc)


def _whole(
    id_: str, fn: Any, options: Mapping[str, Any], place_of: Callable[..., Place]
) -> Iterator[Mistake]:
    """What is wrong with the keys together."""
    try:
        given = _as_python(options)
        spec = fn.spec if isinstance(fn, Command) else None
        definition, _ = define(**given, name=id_, command=spec)
        terms = definition.terms
        Target(fn, terms.args, terms.kwargs or {}, terms.executor or None)
    except (KronError, TypeError) as exc:
        selector = next((key for key in ("cron", "every", "after", "at") if key in options), "")
        yield Mistake(place_of(id_, selector), id_, str(exc))


def _target(terms: Mapping[str, Any]) -> Any:
    """What the timer calls or starts. Raises ScheduleError or TypeError."""
    if ("entrypoint" in terms) == ("command" in terms):
        raise ScheduleError('a timer has either entrypoint = "module:function" or command.')
    beside = [key for key in COMMAND_KEYS if key in terms]
    if "command" in terms:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                return command(terms["command"], **{key: terms[key] for key in beside})
            except UserWarning as exc:
                raise ScheduleError(str(exc)) from exc
    if beside:
        raise ScheduleError(f"{beside[0]} is said of a command, and this timer has none.")
    if not isinstance(terms["entrypoint"], str):
        raise TypeError(f"entrypoint must be a string, not {brief(terms['entrypoint'])}.")
    try:
        return resolve(terms["entrypoint"])
    except ScheduleError as exc:
        raise ScheduleError(f"entrypoint {exc}") from exc


def _as_python(options: Mapping[str, Any]) -> ScheduleOptions:
    """TOML values as `schedule()` takes them: a table of fields is a `kron.Cron`, a pair of dates
    a range."""
    given = dict(options)
    if isinstance(given.get("cron"), Mapping):
        given["cron"] = Cron(**given["cron"])
    if isinstance(given.get("exclude"), list):
        given["exclude"] = [
            tuple(each) if isinstance(each, list) else each for each in given["exclude"]
        ]
    return cast(ScheduleOptions, given)
