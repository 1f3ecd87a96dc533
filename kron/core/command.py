"""A command as a value: the program a run starts, checked, and its fingerprint."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from .errors import ScheduleError, brief

RESERVED = ("KRON_TIMER", "KRON_RUN_ID", "KRON_SCHEDULED_AT", "KRON_ATTEMPT", "KRON_BACKFILL")
"""What Kron tells a command about its run: nobody else sets these."""

INHERIT = ("all", "safe", "none")
COMMAND_BYTES = 128 * 1024
KILL_AFTER_US = 5_000_000
_HASH_DIGITS = 12


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """What is started: `argv`, or the text `shell` for `/bin/sh -c`; exactly one of them.

    `env` are the declared variables, sorted; `provider` is the name of what gives them at run
    time. `cwd` "" is the scheduler's own. From TERM to KILL a stopped group has `kill_after_us`.
    """

    argv: tuple[str, ...] = ()
    shell: str = ""
    cwd: str = ""
    env: tuple[tuple[str, str], ...] = ()
    provider: str = ""
    inherit: str = "all"
    kill_after_us: int = KILL_AFTER_US

    @property
    def line(self) -> str:
        """The command as people read it; a shell understands it."""
        return self.shell or shlex.join(self.argv)

    @property
    def hash(self) -> str:
        """12 hex digits that are equal for the same command: sha256 of its JSON with sorted keys,
        no blanks, UTF-8. How it is stopped and what it inherits are no part of it."""
        parts = {
            "command": self.shell or self.argv,
            "cwd": self.cwd,
            "env": dict(self.env),
            "provider": self.provider,
        }
        return sha256(_canonical(parts)).hexdigest()[:_HASH_DIGITS]

    def to_json(self) -> dict[str, Any]:
        """As JSON values, defaults left out."""
        fields = {
            "argv": list(self.argv),
            "shell": self.shell,
            "cwd": self.cwd,
            "env": dict(self.env),
            "provider": self.provider,
        }
        given: dict[str, Any] = {name: value for name, value in fields.items() if value}
        if self.inherit != "all":
            given["inherit"] = self.inherit
        if self.kill_after_us != KILL_AFTER_US:
            given["kill_after_us"] = self.kill_after_us
        return given

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> CommandSpec:
        """The way back from `to_json`; keys of a newer version are ignored."""
        return cls(
            argv=tuple(fields.get("argv", ())),
            shell=fields.get("shell", ""),
            cwd=fields.get("cwd", ""),
            env=tuple(sorted(fields.get("env", {}).items())),
            provider=fields.get("provider", ""),
            inherit=fields.get("inherit", "all"),
            kill_after_us=fields.get("kill_after_us", KILL_AFTER_US),
        )


def check_size(spec: CommandSpec) -> CommandSpec:
    """The same; ScheduleError if it is larger than a system would start, or a log should keep."""
    size_bytes = len(_canonical(spec.to_json()))
    if size_bytes > COMMAND_BYTES:
        raise ScheduleError(
            f"the command is {size_bytes} bytes of JSON; at most {COMMAND_BYTES} are kept."
            " Put the bulk into a file and pass its path."
        )
    return spec


def read_argv(argv: object) -> tuple[str, ...]:
    """A list of words, or a string that is split as a shell would. Raises ScheduleError or
    TypeError, naming the argument."""
    if isinstance(argv, str):
        words = _split(check_text(argv, "argv"))
    elif isinstance(argv, Sequence) and not isinstance(argv, bytes | bytearray | memoryview):
        words = [check_text(word, f"argv[{index}]") for index, word in enumerate(argv)]
    else:
        raise TypeError(f"argv must be a list of strings or a string, not {type(argv).__name__}.")
    if not words or not words[0].strip():
        raise ScheduleError(
            f"argv={brief(argv)} names no program."
            ' Pass a program and its arguments: ["rsync", "-a", "from", "to"].'
        )
    return tuple(words)


def read_shell(argv: object) -> str:
    """The text for a shell. Raises ScheduleError or TypeError."""
    if not isinstance(argv, str):
        raise TypeError(
            f"argv must be one string with shell=True, not {type(argv).__name__}."
            " Leave shell= out to start a program with a list of arguments."
        )
    text = check_text(argv, "argv")
    if not text.strip():
        raise ScheduleError(f"argv={brief(argv)} is empty. Pass what the shell is to run.")
    return text


def read_cwd(cwd: object) -> str:
    """The directory a command starts in; "" for None. Raises ScheduleError or TypeError."""
    if cwd is None:
        return ""
    text = check_text(cwd, "cwd")
    if not text:
        raise ScheduleError('cwd="" names no directory. Leave it out for the scheduler\'s own.')
    return text


def read_inherit(inherit: object) -> str:
    """Which of the scheduler's variables a command gets. Raises ScheduleError."""
    if not isinstance(inherit, str) or inherit not in INHERIT:
        raise ScheduleError(f"inherit must be one of: {', '.join(INHERIT)}; not {brief(inherit)}.")
    return inherit


def read_env(env: object) -> tuple[tuple[str, str], ...]:
    """Variables as sorted pairs. Raises ScheduleError or TypeError, which name the variable and
    never show its value: it may be a secret."""
    if not isinstance(env, Mapping):
        raise TypeError(f"env must be a mapping of str to str, not {type(env).__name__}.")
    return tuple(sorted((_env_name(name), _env_value(name, env[name])) for name in env))


def check_text(value: object, argument: str) -> str:
    """The text itself, if a system call can take it. Raises ScheduleError or TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a str, not {type(value).__name__}.")
    return _passable(value, f"{argument}={brief(value)}")


def _passable(value: str, shown: str) -> str:
    if "\0" in value:
        raise ScheduleError(f"{shown} holds a NUL character, which no program can be given.")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise ScheduleError(
            f"{shown} holds half a surrogate pair, which is no text. Use names that are UTF-8."
        ) from exc
    return str.__str__(value)  # the text itself, also of a (str, Enum)


def _env_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"env has the name {brief(name)}; names are strings.")
    shown = f"env has the name {brief(name)}, which"
    if not name or "=" in name:
        raise ScheduleError(f'{shown} is empty or holds "=". Use a name such as "LANG".')
    if name in RESERVED:
        raise ScheduleError(f"{shown} Kron sets itself for every run. Use another name.")
    return _passable(name, shown)


def _env_value(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"env[{brief(name)}] must be a str, not {type(value).__name__}.")
    return _passable(value, f"env[{brief(name)}]")


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise ScheduleError(
            f"argv={brief(text)} cannot be split into words: {exc}. Close the quotation, or pass a"
            " list of arguments."
        ) from exc


def _canonical(fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()
