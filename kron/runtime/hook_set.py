"""The hooks that people give to a timer or to a scheduler, checked when they are given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kron.core.errors import ScheduleError, brief

from .callables import callable_name, is_coroutine_function
from .command import Command, resolve


class Hooked(NamedTuple):
    """A hook, ready to be called."""

    fn: Callable[..., Any]
    name: str
    is_async: bool
    takes_outcome: bool


class HookSet(NamedTuple):
    """The hooks of one timer, or those of a scheduler for all timers."""

    on_success: Hooked | None = None
    on_failure: Hooked | None = None
    on_missed: Hooked | None = None

    def over(self, others: HookSet) -> HookSet:
        """These, and where there is none the other one."""
        return HookSet(*(mine or other for mine, other in zip(self, others, strict=True)))


NO_HOOKS = HookSet()


def read_hooks(options: Mapping[str, Any]) -> HookSet | None:
    """The hooks among keywords; None if there are none. Raises TypeError or ScheduleError, naming
    the keyword."""
    given = [options.get(name) for name in HookSet._fields]
    if given == [None, None, None]:
        return None
    named = zip(HookSet._fields, given, strict=True)
    return HookSet(*(None if fn is None else _hooked(name, fn) for name, fn in named))


def _hooked(argument: str, hook: object) -> Hooked:
    fn: Any = hook
    if isinstance(hook, str):
        try:
            fn = resolve(hook)
        except ScheduleError as exc:
            raise ScheduleError(f"{argument} {exc}") from exc
    if isinstance(fn, Command) or not callable(fn):
        raise TypeError(f"{argument} must be a function, not {brief(hook)}.")
    takes_outcome = _fits(fn, {})
    if not takes_outcome and not _fits(fn):
        raise TypeError(f"{argument}: {callable_name(fn)} must take one argument, or none.")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise TypeError(f"{argument}: {callable_name(fn)} is a generator function.")
    return Hooked(fn, callable_name(fn), is_coroutine_function(fn), takes_outcome)


def _fits(fn: Callable[..., Any], *args: object) -> bool:
    try:
        inspect.signature(fn).bind(*args)
    except TypeError:
        return False
    except ValueError:  # a builtin that tells nothing of its parameters
        return bool(args)
    return True
