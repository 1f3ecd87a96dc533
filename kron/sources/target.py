"""What a declared timer calls or starts: `entrypoint`, or `command` and the keys beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from kron.core.command import read_argv
from kron.core.errors import KronError, ScheduleError, brief
from kron.core.keywords import meant
from kron.core.terms import ScheduleOptions
from kron.runtime.command import command, resolve, shell_sign

COMMAND_KEYS = ("shell", "cwd", "env", "inherit", "kill_after")
"""The keywords of `kron.command`, which stand beside `command`."""
TARGET_KEYS = ("entrypoint", "command", *COMMAND_KEYS)
_KNOWN = (*TARGET_KEYS, *ScheduleOptions.__annotations__)
_ARGV = re.compile(r"^argv\b")


def check_key(key: str) -> None:
    """Raises ScheduleError for what is no key of a timer's table, with the one that was meant."""
    if key not in _KNOWN:
        raise ScheduleError(f"unknown key {brief(key)}.{meant(key, _KNOWN)}")


def read_target(terms: Mapping[str, Any], folder: str) -> tuple[Any, list[tuple[str, str]]]:
    """The callable or Command of a timer's table, None if it cannot be used; and what is wrong:
    pairs of a key ("" for the table) and a text. Imports what is named. `folder` is where a
    command starts, and what a relative `cwd` counts from."""
    fn: Any = None
    if "command" in terms:
        fn, wrong = _command(terms, folder)
    else:
        said = "is said of a command, and this timer has none."
        wrong = [(key, f"{key} {said}") for key in COMMAND_KEYS if key in terms]
    if "entrypoint" in terms:
        try:
            fn = _entrypoint(terms["entrypoint"])
        except (KronError, TypeError) as exc:
            wrong.append(("entrypoint", str(exc)))
    elif "command" not in terms:
        wrong.append(("", 'a timer needs entrypoint = "module:function", or a command.'))
    if "entrypoint" in terms and "command" in terms:
        wrong.append(("command", "a timer has either entrypoint or command, not both."))
    return fn, wrong


def _entrypoint(text: object) -> Any:
    if not isinstance(text, str):
        raise TypeError(f"entrypoint must be a string, not {brief(text)}.")
    try:
        return resolve(text)
    except ScheduleError as exc:
        raise ScheduleError(f"entrypoint {exc}") from exc


def _command(terms: Mapping[str, Any], folder: str) -> tuple[Any, list[tuple[str, str]]]:
    beside = {key: terms[key] for key in COMMAND_KEYS if key in terms}
    wrong: list[tuple[str, str]] = []
    for key, value in beside.items():
        try:
            _check_beside(key, value)
        except (KronError, TypeError) as exc:
            wrong.append((key, str(exc)))
    is_shell = beside.pop("shell", False) is True
    try:
        words = _words(terms["command"], is_shell)
        command(words, shell=is_shell)
    except (KronError, TypeError) as exc:
        wrong.append(("command", _ARGV.sub("command", str(exc))))
    if wrong:
        return None, wrong
    beside["cwd"] = os.path.normpath(os.path.join(folder, beside.get("cwd", "")))
    try:
        return command(words, shell=is_shell, **beside), []
    except KronError as exc:  # all of it together is too large
        return None, [("command", str(exc))]


def _check_beside(key: str, value: Any) -> None:
    """Raises ScheduleError or TypeError for one that `kron.command` would refuse."""
    if key == "shell":
        if not isinstance(value, bool):
            raise TypeError(f"shell must be true or false, not {brief(value)}.")
        return
    if key == "env" and isinstance(value, str):
        resolve(value)
    command("true", **{key: value})


def _words(words: Any, is_shell: bool) -> Any:
    """As `kron.command` takes them. What is a warning there is an error here: in a file it is
    nobody's who reads warnings. Raises ScheduleError."""
    if is_shell or not isinstance(words, str):
        return words
    sign = shell_sign(words)
    if sign:
        raise ScheduleError(
            f"command has {sign!r}, which is a mere word without a shell; say shell = true, or"
            " write a list."
        )
    return read_argv(words)
