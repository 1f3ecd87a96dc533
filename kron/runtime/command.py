"""`kron.command`, and the names by which a callable can be found again in another process."""

from __future__ import annotations

import inspect
import os
import shlex
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeAlias

from kron.core.command import (
    CommandSpec,
    check_size,
    read_argv,
    read_cwd,
    read_env,
    read_inherit,
    read_shell,
)
from kron.core.duration import parse_duration
from kron.core.errors import ScheduleError, brief

from .failures import describe

if TYPE_CHECKING:
    from kron.core.terms import Duration

Provider: TypeAlias = Callable[[], Mapping[str, str]]
Words: TypeAlias = str | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True, repr=False)
class Command:
    """A program to start for each run; made by `kron.command`. Its repr shows no variables."""

    spec: CommandSpec
    provider: Provider | None = field(default=None)

    def __repr__(self) -> str:
        return f"<kron.command: {self.spec.line}>"


def command(
    argv: Words,
    *,
    shell: bool = False,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | Provider | str | None = None,
    inherit: str = "all",
    kill_after: Duration = "5s",
) -> Command:
    """A target for `schedule()`: a program that is started for each run, without a shell.

    `argv` is a list, or a string that is split into words as a shell would; with `shell=True` it
    is a text for `/bin/sh -c`. `env` are variables to set, or what gives them: a function without
    arguments that returns them, or its name "module:function"; it is asked once per start of the
    scheduler. `inherit` is what a command gets of the scheduler's own variables: "all", "safe"
    (PATH LANG LC_* HOME USER PWD TZ) or "none". A run that is stopped gets TERM, and KILL
    `kill_after` later, with all processes of its group.

    Raises ScheduleError (a ValueError) or TypeError, naming the argument.
    """
    words = _texts(argv)
    if not isinstance(shell, bool):
        raise TypeError(f"shell must be True or False, not {brief(shell)}.")
    if isinstance(words, str) and not shell and (sign := shell_sign(words)):
        warnings.warn(
            f"argv has {sign!r}, which is a mere word without a shell; say shell=True, or pass a"
            " list.",
            stacklevel=2,
        )
    provider, name = _provider(env)
    declared = env if provider is None and env is not None else {}
    spec = CommandSpec(
        argv=() if shell else read_argv(words),
        shell=read_shell(words) if shell else "",
        cwd=read_cwd(_text(cwd)),
        env=read_env(declared),
        provider=name,
        inherit=read_inherit(inherit),
        kill_after_us=parse_duration(kill_after, argument="kill_after", allow_zero=True),
    )
    return Command(check_size(spec), provider)


def shell_sign(text: str) -> str:
    """The first word that a shell would act on and that without one is a mere word (of a line out
    of a crontab, say); "" if there is none."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return next((word for word in lexer if word and not word.strip("();<>|&")), "")
    except ValueError:  # unbalanced quotes: that is told as an error
        return ""


def resolve(text: str) -> Callable[..., Any]:
    """The callable that "module:function" names; the part behind the colon may have dots.

    Imports the module. Raises ScheduleError, with the module's own error where it has one, whatever
    that is; but a KeyboardInterrupt goes on.
    """
    module_name, colon, path = text.partition(":")
    if not (colon and path and all(part for part in f"{module_name}.{path}".split("."))):
        raise ScheduleError(f'{brief(text)} names no function. Write "module:function".')
    try:
        found: Any = import_module(module_name)
    except BaseException as exc:  # also pytest.skip(), which no Exception is
        _pass_interrupt(exc, module_name)
        raise ScheduleError(
            f"{brief(text)}: {module_name} cannot be imported: {describe(exc)}"
        ) from exc
    try:
        found = attrgetter(path)(found)
    except AttributeError as exc:
        raise ScheduleError(f"{brief(text)}: {module_name} has no {path}.") from exc
    except BaseException as exc:  # of a `__getattr__`: a module may import on demand
        _pass_interrupt(exc, module_name)
        raise ScheduleError(f"{brief(text)}: {describe(exc)}") from exc
    if not callable(found):
        raise ScheduleError(f"{brief(text)} is {brief(found)}, which cannot be called.")
    return found  # type: ignore[no-any-return]  # callable, by the question above


def _pass_interrupt(exc: BaseException, module_name: str) -> None:
    """Raise a KeyboardInterrupt again, with a note where it came. It may be a SIGINT, unless this
    is another thread than the one that hears of those."""
    is_main = threading.current_thread() is threading.main_thread()
    if isinstance(exc, KeyboardInterrupt) and is_main:
        exc.add_note(f"interrupted while {module_name} was imported")
        raise exc


def importable_name(fn: Callable[..., Any]) -> str:
    """ "module:function", by which another process finds this very function.

    Raises ScheduleError for what has no such name: a lambda, a function within a function, a
    partial, a bound method, what a decorator replaced, and all of `__main__`.
    """
    module_name = getattr(fn, "__module__", None) or ""
    path = getattr(fn, "__qualname__", "")
    name = f"{module_name}:{path}"
    if not isinstance(fn, FunctionType) or "<" in path:
        raise _not_importable(fn, "it is no plain function of a module")
    if module_name == "__main__":
        raise _not_importable(fn, "another process has another __main__")
    try:
        found = resolve(name)
    except ScheduleError as exc:
        raise _not_importable(fn, str(exc)) from exc
    if found is not fn:
        raise _not_importable(fn, f"{name} is another object")
    return name


def _not_importable(fn: Callable[..., Any], why: str) -> ScheduleError:
    return ScheduleError(
        f"{brief(fn)} cannot be called in another process: {why}. Put a function into a module,"
        ' or name it "module:function".'
    )


def _texts(argv: object) -> object:
    """Paths among the words as text; what else there is the core refuses."""
    if isinstance(argv, list | tuple):
        return [_text(word) for word in argv]
    return argv


def _text(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _provider(env: object) -> tuple[Provider | None, str]:
    """What gives the variables at run time, if it is no mapping, and its name."""
    if env is None or isinstance(env, Mapping):
        return None, ""
    provider = resolve(env) if isinstance(env, str) else env
    if not callable(provider):
        raise TypeError(
            f"env must be a mapping of str to str, a function that returns one, or its name"
            f' "module:function"; not {type(env).__name__}.'
        )
    if inspect.iscoroutinefunction(provider) or inspect.iscoroutinefunction(
        getattr(provider, "__call__", None)  # noqa: B004
    ):
        raise TypeError(f"env={brief(env)} is a coroutine function. Use a plain one.")
    return provider, env if isinstance(env, str) else provider_name(provider)


def provider_name(provider: Callable[..., Any]) -> str:
    """ "module:function" if another process could find it, else what people call it."""
    try:
        return importable_name(provider)
    except ScheduleError:
        return str(getattr(provider, "__qualname__", None) or type(provider).__qualname__)
