"""The lines of a crontab as cron itself reads them: settings, comments, entries.

The rules are those of cronie's `load_env`, `load_entry` and `do_command`, which are Vixie's with
the years between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from kron.core.errors import brief
from kron.core.keywords import meant

ALIASES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
"""Cron's names for five fields. `@reboot` stands for none."""
_QUOTED = r""""([^"]*)"|'([^']*)'"""
_SETTING = re.compile(
    rf"""\s*+(?:{_QUOTED}|([^\s='"][^\s=]*))\s*+=\s*+(?:{_QUOTED}|([^"'].*)?)\s*"""
)
_ALIAS = re.compile(r"-?(@[^ \t]*)[ \t]+([^ \t].*)")
_FIELDS = re.compile(r"-?([^ \t]+(?:[ \t]+[^ \t]+){4})[ \t]+([^ \t].*)")
_MAIL_ON_ERROR = re.compile(r"-n[ \t]+")
_FIELD = re.compile(r"[*?][0-9*,/-]*|[0-9][0-9,/*-]*")
_PERCENT = re.compile(r"(?<!\\)%")


class Blank(NamedTuple):
    """Nothing."""

    number: int


class Comment(NamedTuple):
    """What stands behind the `#`."""

    number: int
    text: str


class Setting(NamedTuple):
    """`NAME = value`, without its quotes: for the lines after it."""

    number: int
    name: str
    value: str


class Entry(NamedTuple):
    """Five fields or an alias, and the command as it stands there, with its `%`."""

    number: int
    when: str
    command: str


class Wrong(NamedTuple):
    """A line that is none of these, and why."""

    number: int
    text: str


Line: TypeAlias = Blank | Comment | Setting | Entry | Wrong


def read_lines(text: str) -> Iterator[Line]:
    """Every line, numbered from 1. A line's end may be that of Windows."""
    for number, line in enumerate(text.split("\n"), 1):
        yield read_line(number, line.removesuffix("\r").lstrip(" \t"))


def read_line(number: int, line: str) -> Line:
    """One line without the blanks before it."""
    if not line:
        return Blank(number)
    if line.startswith("#"):
        return Comment(number, line.lstrip("#").removeprefix(" ").rstrip())
    if setting := _SETTING.fullmatch(line):
        *names, double, single, plain = setting.groups()
        value = next((each for each in (double, single) if each is not None), plain or "")
        is_quoted = plain is None
        return Setting(number, _first(names), value if is_quoted else value.rstrip())
    return _entry(number, line)


def split_command(command: str) -> tuple[str, list[str]]:
    """A command as a shell gets it, and the lines of its standard input: what stands behind the
    first `%`, where each further one is a line's end. A `%` behind a backslash is a plain one."""
    text, *rest = _PERCENT.split(command, maxsplit=1)
    if not rest or not rest[0]:
        return text.replace(r"\%", "%"), []
    lines = [each.replace(r"\%", "%") for each in _PERCENT.split(rest[0])]
    return text.replace(r"\%", "%"), lines if lines[-1] else lines[:-1]


def is_field(word: str) -> bool:
    """Whether a word looks like a field of a time, and not like a program."""
    return _FIELD.fullmatch(word) is not None


def escape(command: str) -> str:
    """The way back for a command without input."""
    return command.replace("%", r"\%")


def _first(found: list[str | None]) -> str:
    return next(each for each in found if each is not None)


def _entry(number: int, line: str) -> Line:
    matched = (_ALIAS if line.startswith(("@", "-@")) else _FIELDS).fullmatch(line)
    if matched is None:
        return Wrong(number, _why_not(line))
    when, command = matched.groups()
    if when.startswith("@") and when not in (*ALIASES, "@reboot"):
        return Wrong(number, _no_alias(when))
    option = _MAIL_ON_ERROR.match(command)  # cronie: no mail for a success
    command = command[option.end() :] if option else command
    if is_field(first := command.split()[0]):
        return Wrong(
            number,
            f"the command begins with {brief(first)}, as if it were one more time field; a crontab"
            " has five of them (no seconds, no year)",
        )
    for character, name in (("\0", "a NUL"), ("\r", "a carriage return")):
        if character in command:
            return Wrong(number, f"the command holds {name} character; take it out")
    return Entry(number, " ".join(when.split()), command)


def _no_alias(when: str) -> str:
    question = meant(when.lower(), (*ALIASES, "@reboot"))
    text = (
        f"{brief(when)} is no name that cron knows; use {', '.join(ALIASES)}, or five time fields"
    )
    return f"{text}.{question}" if question else text


def _why_not(line: str) -> str:
    words = line.split()
    if line.startswith(("@", "-@")):
        return f"{brief(words[0])} has no command behind it"
    if len(words) == 5:
        return f"{brief(line)} has five time fields, but no command behind them"
    return (
        f"{brief(line)} is no line of a crontab: those are five time fields and a command,"
        " NAME=value, or a comment"
    )
