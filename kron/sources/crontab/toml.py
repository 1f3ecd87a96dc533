"""What a crontab declares as a kron.toml: tables of keywords, as TOML or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from textwrap import wrap
from typing import Any

from kron.core.command import KILL_AFTER_US, CommandSpec
from kron.core.duration import format_duration
from kron.core.errors import ScheduleError
from kron.core.fields import Cron

from ..declared import Declared, Timer

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_FIRST = ("description", "cron", "every", "timezone")
_HEAD = """\
# From {file}, by kron crontab import. To run it: kron up kron.toml
# The timers behave as cron had it: runs may overlap, none is tried again, and
# what was due while nothing ran is gone. Without these three keys they wait for
# each other, are tried three times, and run once for what was missed.
"""


def tables(timers: Iterable[Timer]) -> dict[str, dict[str, Any]]:
    """The keywords of each timer by its name, as they stand in a kron.toml."""
    return {timer.name: _table(timer) for timer in timers}


def write_toml(declared: Declared) -> str:
    """A kron.toml with the same timers, and with the notes as comments. Raises ScheduleError for
    metadata that TOML has no words for."""
    parts = [_HEAD.format(file=_plain(declared.files[0]))]
    if declared.notes:
        parts.append("".join(map(_comment, map(str, declared.notes))))
    for timer in declared.timers:
        part = f"{_comment(str(timer.place))}[timers.{_key(timer.name)}]\n"
        for key, value in _table(timer).items():
            part += f"{key} = {_value(value, f'{timer.name}: {key}')}\n"
        parts.append(part)
    return "\n".join(parts)


def _table(timer: Timer) -> dict[str, Any]:
    given: dict[str, Any] = {**timer.declaration.options}
    table = {key: given.pop(key) for key in _FIRST if key in given}
    if isinstance(table.get("cron"), Cron):
        table["cron"] = dict(part.split("=", 1) for part in table["cron"].text.split())
    return {**table, **dict(_command(timer.declaration.fn.spec)), **given}


def _command(spec: CommandSpec) -> Iterator[tuple[str, Any]]:
    yield "command", spec.shell or list(spec.argv)
    if spec.shell:
        yield "shell", True
    if spec.cwd:
        yield "cwd", spec.cwd
    if spec.env or spec.provider:
        yield "env", spec.provider or dict(spec.env)
    if spec.inherit != "all":
        yield "inherit", spec.inherit
    if spec.kill_after_us != KILL_AFTER_US:
        yield "kill_after", format_duration(spec.kill_after_us)


def _value(value: object, where: str) -> str:
    match value:
        case bool() | str():
            return _json(value)
        case int() | float():
            return repr(value)
        case list():
            return f"[{', '.join(_value(each, where) for each in value)}]"
        case Mapping():
            pairs = (f"{_key(key)} = {_value(each, where)}" for key, each in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
    raise ScheduleError(
        f"{where} holds {value!r}, which TOML has no word for; take it out, or use --json"
    )


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _json(key)


def _json(value: object) -> str:
    """JSON's strings and truths are TOML's, but for DEL and what is beyond 16 bits."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", _escape, text)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _comment(text: str) -> str:
    """As many lines as it takes."""
    lines = wrap(_plain(text), 80, initial_indent="# ", subsequent_indent="#   ")
    return "".join(f"{line}\n" for line in lines)


def _plain(text: str) -> str:
    """Without what would end a line, or steer a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)
