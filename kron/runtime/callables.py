"""What a callback accepts, checked when it is registered."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_CONTEXT_NAMES = ("context", "ctx")


class Target:
    """A callable with its arguments, ready to be called for a run."""

    __slots__ = ("args", "fn", "is_async", "kwargs", "name", "wants_context")

    def __init__(self, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]):
        """Raises TypeError, naming the callable, if it cannot be called like this."""
        if not callable(fn):
            raise TypeError(f"fn must be callable, not {type(fn).__name__}.")
        self.fn = fn
        self.args = tuple(args)
        self.kwargs = dict(kwargs)
        self.name = callable_name(fn)
        if _is(fn, inspect.isgeneratorfunction) or _is(fn, inspect.isasyncgenfunction):
            raise TypeError(f"{self.name} is a generator function; calling it would run nothing.")
        self.is_async = _is(fn, inspect.iscoroutinefunction)
        self.wants_context = self._wants_context()

    def is_for(self, fn: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether this is the target of the same call, so that a loop which registers one function
        a thousand times has it looked at once."""
        return self.fn is fn and not (args or kwargs or self.args or self.kwargs)

    def _wants_context(self) -> bool:
        try:
            signature = inspect.signature(self.fn)
        except (ValueError, TypeError):  # a builtin that tells nothing of its parameters
            return False
        first = next(iter(signature.parameters.values()), None)
        if first is not None and first.kind in _POSITIONAL:
            if first.name in _CONTEXT_NAMES and first.name not in self.kwargs:
                self._check(signature, with_context=True)
                return True
            if not self._fits(signature, with_context=False):
                self._check(signature, with_context=True)
                return True
        self._check(signature, with_context=False)
        return False

    def _fits(self, signature: inspect.Signature, *, with_context: bool) -> bool:
        try:
            signature.bind(*((None,) if with_context else ()), *self.args, **self.kwargs)
        except TypeError:
            return False
        return True

    def _check(self, signature: inspect.Signature, *, with_context: bool) -> None:
        if not self._fits(signature, with_context=with_context):
            given = f"args={list(self.args)!r}, kwargs={self.kwargs!r}"
            raise TypeError(
                f"{self.name}{signature} does not fit: Kron calls it with nothing or one context"
                f" dict, then {given}."
            )


def _is(fn: Callable[..., Any], question: Callable[[Any], bool]) -> bool:
    """Ask it of the function behind partials, bound methods and callable objects."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return question(fn) or question(getattr(fn, "__call__", None))  # noqa: B004


def callable_name(fn: Any) -> str:
    """What people call the function behind partials, methods and callable objects."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return str(getattr(fn, "__qualname__", None) or type(fn).__qualname__)
