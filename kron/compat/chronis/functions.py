"""The functions of jobs: callables, and names that are looked up when a run begins."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kron.core.errors import ScheduleError
from kron.runtime.callables import callable_name, is_coroutine_function
from kron.runtime.command import resolve

from .exceptions import FunctionNotRegisteredError

Function = Callable[..., Any]


class Functions:
    """Those that `register_job_function` has named, and what Kron calls for a job.

    As Chronis did, a function is called with the args and kwargs of its job and nothing else;
    `kron.current_run()` tells it the rest.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Function] = {}

    def register(self, name: str, fn: Function) -> None:
        """Give the name to this function, also for the jobs that have the name already. Raises
        TypeError or ScheduleError."""
        if not isinstance(name, str):
            raise TypeError(f"a function's name must be a string, not {type(name).__name__}.")
        if not name:
            raise ScheduleError("a function's name must not be empty.")
        self._by_name[name] = _checked(fn)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def find(self, func: object) -> Function | None:
        """A callable itself, or the function that the text names; None if nobody has registered it
        yet. Raises TypeError, or ScheduleError for a "module:function" that is not there."""
        if not isinstance(func, str):
            return _checked(func)
        if func in self._by_name:
            return self._by_name[func]
        return _checked(resolve(func)) if ":" in func else None

    def caller(self, func: Function | str) -> Function:
        """What Kron is to call for the job: it has the name of the function, so that a later
        process finds the jobs of that name again."""
        fn, name = self.find(func), name_of(func)
        is_async = fn is not None and is_coroutine_function(fn)
        if fn is None or (isinstance(func, str) and func in self._by_name):
            # What is registered when a run begins is what runs. It may be async only by then: Kron
            # awaits whatever a function in a thread returns.
            fn = functools.partial(self._run, name)
        return _named(_awaiting(fn) if is_async else _calling(fn), name)

    def _run(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if name not in self._by_name:
            raise FunctionNotRegisteredError(f"nobody has registered the function {name!r}.")
        return self._by_name[name](*args, **kwargs)


def name_of(func: Function | str) -> str:
    """What people call it."""
    return func if isinstance(func, str) else callable_name(func)


def module_of(func: Function | str) -> str:
    """Where it is from; "" if it is a name, or nobody knows."""
    while isinstance(func, functools.partial):
        func = func.func
    return "" if isinstance(func, str) else str(getattr(func, "__module__", None) or "")


def misfit(fn: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """Why the function cannot be called with these, as far as its signature tells."""
    try:
        inspect.signature(fn).bind(*args, **kwargs)
    except ValueError:  # a builtin that tells nothing of its parameters
        return None
    except TypeError as exc:
        return str(exc)
    return None


def _checked(fn: Any) -> Function:
    if not callable(fn):
        raise TypeError(f"a function must be callable, not {type(fn).__name__}.")
    inner = _inner(fn)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise TypeError(f"{name_of(fn)} is a generator function; calling it would run nothing.")
    return fn  # type: ignore[no-any-return]  # callable() says it


def _inner(fn: Any) -> Any:
    """The function behind partials and callable objects."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    is_plain = inspect.isroutine(fn) or isinstance(fn, type)
    return fn if is_plain else getattr(fn, "__call__", fn)  # noqa: B004


def _calling(fn: Function) -> Function:
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return call


def _awaiting(fn: Function) -> Function:
    async def call(*args: Any, **kwargs: Any) -> Any:
        found = fn(*args, **kwargs)
        return await found if inspect.isawaitable(found) else found

    return call


def _named(call: Function, name: str) -> Function:
    call.__qualname__ = name
    return call
