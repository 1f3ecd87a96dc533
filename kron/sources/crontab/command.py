"""A command as the text of a crontab line, and back.

    [cd DIR && ] [env ] [NAME=value ...] PROGRAM ARGUMENT ...
    [cd DIR && ] [env ] [NAME=value ...] /bin/sh -c 'text'

A text for a shell stands as it is, if nothing of that is needed. `env` is there where a shell
would not start a program by such a name, or has no variable of such a name.

Two backslashes are one for Debian's cron and two for cronie, so no text has two in a row: between
them stand two quotes, which mean nothing to a shell.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

from kron.core.command import CommandSpec
from kron.core.errors import ScheduleError, brief

from .lines import escape, is_field

LINE_BYTES = 998
"""What Vixie's cron keeps of a command; it cuts the rest off without a word."""
_SHELL = ("/bin/sh", "-c")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SETS = re.compile(rf"{_NAME.pattern}=")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_AMBIGUOUS = re.compile(r"\\(?=[\\%])")
_WORD = re.compile(
    r"""[ \t]*+(?!\#)"""
    r"""((?:'[^']*'|"(?:[^"$`\\]|\\[^$`])*"|\\.|\{\}|[^ \t\r\n'"\\$`*?[{;&|<>()~])++)"""
)
"""A word in which a shell finds nothing to do but to take its quotes away."""
_BEGIN = re.compile(r"cd ((?:'[^']*'|\"[^\"]*\"|[^\s'\"])+) && ")
_OF_A_SHELL = frozenset(
    ". : [ alias bg bind break builtin caller case cd chdir command compgen complete compopt"
    " continue coproc declare dirs disown do done echo elif else enable env esac eval exec exit"
    " export false fc fg fi for function getopts hash help history if in jobs kill let local"
    " logout mapfile popd printf pushd pwd read readarray readonly return select set shift shopt"
    " source suspend test then time times trap true type typeset ulimit umask unalias unset until"
    " wait while { } ! [[ ]]".split()
)
"""Words that a shell does not look for on the PATH. `env` is one so that it is written twice."""


class CannotSay(Exception):
    """What a crontab has no words for; why."""


def write_command(spec: CommandSpec) -> str:
    """The text of a line, with its `%` escaped; cron runs by it what Kron does. What a provider
    gives is not in it. Raises CannotSay."""
    text = _text(spec)
    if _CONTROL.search(text):
        what = "line break" if "\n" in text else "control character"
        raise CannotSay(f"a line of a crontab holds no {what}, and the command does")
    text = escape(text)
    if (size := len(text.encode())) > LINE_BYTES:
        raise CannotSay(f"the command is {size} bytes long, and cron keeps {LINE_BYTES} of them")
    return text


def read_command(text: str, *, is_shell: bool) -> CommandSpec:
    """The command of a text whose `%` are plain again: what a shell is to do, or the argv of a
    program. Raises ScheduleError for an argv that is more than words."""
    if is_shell:
        return _wrapped(text) or CommandSpec(shell=text)
    try:
        spec = _argv(text)
        _text(spec)
    except CannotSay as exc:
        raise ScheduleError(
            f"{brief(text)} is not the plain list of words that shell=false in the comment above"
            f" it promises: {exc}. Without shell=false a shell reads the line"
        ) from exc
    return spec


def _text(spec: CommandSpec) -> str:
    is_plain = bool(spec.shell) and not (spec.env or spec.cwd) and _is_plain(spec.shell)
    if is_plain and _wrapped(spec.shell) is None:
        return spec.shell
    argv = (*_SHELL, spec.shell) if spec.shell else spec.argv
    if "=" in argv[0] or argv[0].startswith("-"):
        raise CannotSay(f"a shell would not take {brief(argv[0])} for the name of a program")
    needs_env = argv[0] in _OF_A_SHELL or is_field(argv[0])
    needs_env = needs_env or not all(_NAME.fullmatch(name) for name, _ in spec.env)
    words = ["env"] if needs_env else []
    words += [_assignment(name, value) for name, value in spec.env]
    line = " ".join([*words, *map(_quoted, argv)])
    return f"{_cd(spec.cwd)}{line}"


def _is_plain(text: str) -> bool:
    """Whether cron takes a text as it is."""
    is_whole = text == text.strip() and text[0] not in "-*=#" and not _AMBIGUOUS.search(text)
    return is_whole and not is_field(text.split()[0])


def _cd(cwd: str) -> str:
    if cwd and not cwd.startswith("/"):
        raise CannotSay(f"cwd={brief(cwd)} is relative to where Kron runs")
    return f"cd {_quoted(cwd)} && " if cwd else ""


def _assignment(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):  # a word for `env`
        if name.startswith("-"):
            raise CannotSay(f"env would take the variable {brief(name)} for an option")
        return _quoted(f"{name}={value}")
    return f"{name}={_quoted(value)}"


def _quoted(word: str) -> str:
    return _AMBIGUOUS.sub(r"\\''", shlex.quote(word))


def _wrapped(text: str) -> CommandSpec | None:
    """The text for a shell with its directory and variables, if it is written exactly like this;
    None for one that stands as it is."""
    begin = _BEGIN.match(text)
    try:
        cwd = shlex.split(begin[1])[0] if begin else ""
        words = shlex.split(text[begin.end() :] if begin else text)
    except ValueError:  # a quotation that nobody closed
        return None
    spec = _spec(cwd, words)
    if spec is None or spec.argv[:2] != _SHELL or len(spec.argv) != 3 or not spec.argv[2]:
        return None
    spec = replace(spec, argv=(), shell=spec.argv[2])
    try:
        return spec if _text(spec) == text else None
    except CannotSay:
        return None


def _argv(text: str) -> CommandSpec:
    """What a shell would start of a list of words, however they are quoted. Raises CannotSay for
    what is none to a shell."""
    begin = _BEGIN.match(text)
    cwd = "".join(map(_unquoted, _words(begin[1]))) if begin else ""
    quoted = _words(text[begin.end() :] if begin else text)
    words = [*map(_unquoted, quoted)]
    spec = _spec(cwd, words)
    if spec is None:
        raise CannotSay("it names no program, or a variable twice")
    if words[0] == "env":
        return spec
    if not all(map(_SETS.match, quoted[: len(spec.env)])):
        raise CannotSay(f"to a shell {brief(quoted[0])} sets no variable")
    if (program := spec.argv[0]) in _OF_A_SHELL:
        raise CannotSay(f"{brief(program)} is a word of the shell itself; env {program} is not")
    return spec


def _words(text: str) -> list[str]:
    """The words with their quotes. Raises CannotSay for a sign that a shell would act on."""
    try:
        shlex.split(text)
    except ValueError as exc:
        raise CannotSay(f"{exc}".lower()) from exc
    words, at = [], 0
    while word := _WORD.match(text, at):
        words.append(word[1])
        at = word.end()
    if rest := text[at:].strip(" \t"):
        sign = re.search("[$`]", rest) if rest[0] == '"' else None
        raise CannotSay(f"a shell would act on {brief(sign[0] if sign else rest[0])}")
    return words


def _unquoted(word: str) -> str:
    return shlex.split(word)[0]


def _spec(cwd: str, words: list[str]) -> CommandSpec | None:
    """`env` is a prefix, but with an option it is the program."""
    is_prefix = words[:1] == ["env"] and not "".join(words[1:2]).startswith("-")
    rest = words[1:] if is_prefix else words
    count = next((at for at, word in enumerate(rest) if "=" not in word), len(rest))
    env = dict(word.split("=", 1) for word in rest[:count])
    argv = tuple(rest[count:])
    if not argv or len(env) < count:
        return None
    return CommandSpec(argv=argv, cwd=cwd, env=tuple(sorted(env.items())))
