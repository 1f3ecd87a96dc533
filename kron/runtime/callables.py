"""What a timer calls or starts, checked when it is registered."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .command import Command, importable_name

if TYPE_CHECKING:
    from .hook_set import HookSet

Lane: TypeAlias = Literal["task", "thread", "process"]
"""Which executor carries it out: on the loop, in a thread, or in a process of its own."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_CONTEXT_NAMES = ("context", "ctx")
_LINE_CHARACTERS = 100


class Target:
    """A callable with its arguments, or a command, ready to be carried out for a run."""

    __slots__ = (
        "args", "executor", "fn", "hooks", "is_async", "kwargs", "lane", "name", "wants_context",
    )  # fmt: skip

    def __init__(
        self,
        fn: Callable[..., Any] | Command,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        executor: str | None = None,
        hooks: HookSet | None = None,
    ) -> None:
        """Raises TypeError, naming the callable, if it cannot be called like this, and
        ScheduleError for a function that a process could not find. `executor` is one of
        EXECUTORS."""
        self.fn: Any = fn
        self.hooks = hooks
        self.args = tuple(args)
        self.kwargs = dict(kwargs)
        self.executor = executor
        self.name = callable_name(fn)
        self.is_async = self.wants_context = False
        self.lane: Lane = "process"
        if isinstance(fn, Command):
            self._check_command()
            return
        if not callable(fn):
            raise TypeError(f"fn must be callable, not {type(fn).__name__}.")
        if _is(fn, inspect.isgeneratorfunction) or _is(fn, inspect.isasyncgenfunction):
            raise TypeError(f"{self.name} is a generator function; calling it would run nothing.")
        self.is_async = is_coroutine_function(fn)
        self.lane = self._lane()
        self.wants_context = self._wants_context()

    def is_for(
        self,
        fn: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        executor: str | None = None,
        hooks: HookSet | None = None,
    ) -> bool:
        """Whether this is the target of the same call, so that a loop which registers one function
        a thousand times has it looked at once."""
        is_plain = not (args or kwargs or self.args or self.kwargs)
        is_same = self.fn is fn and self.executor == executor and self.hooks == hooks
        return is_same and is_plain

    def _check_command(self) -> None:
        if self.args or self.kwargs:
            raise TypeError(
                f"{self.name}: a command takes no args= and kwargs=. Put them into its argv."
            )
        if self.executor is not None:
            raise TypeError(f"{self.name}: a command is a process already; leave executor= out.")

    def _lane(self) -> Lane:
        if self.executor is None:
            return "task" if self.is_async else "thread"
        if self.executor == "process":
            importable_name(self.fn)
            return "process"
        if self.is_async:
            raise TypeError(
                f"{self.name} is a coroutine function, which runs on the event loop. Leave"
                ' executor="thread" out.'
            )
        return "thread"

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
                self._refuse_unbound(first.name)
                return True
        self._check(signature, with_context=False)
        return False

    def _refuse_unbound(self, name: str) -> None:
        if name in ("self", "cls"):
            raise TypeError(
                f"{self.name} is a method, and there is no object to call it on; schedule that of"
                " an object: schedule(..., thing.method)."
            )

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


def is_coroutine_function(fn: Callable[..., Any]) -> bool:
    """Whether to call it is to get something to await: behind partials and as an object too."""
    return _is(fn, inspect.iscoroutinefunction)


def _is(fn: Callable[..., Any], question: Callable[[Any], bool]) -> bool:
    """Ask it of the function behind partials, bound methods and callable objects."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if isinstance(fn, type):  # to call it is to make one of it
        return question(fn)
    return question(fn) or question(getattr(fn, "__call__", None))  # noqa: B004


def callable_name(fn: Any) -> str:
    """What people call the function behind partials, methods and callable objects; the line of a
    command, cut where it is long: all of it is in the definition."""
    if isinstance(fn, Command):
        line = fn.spec.line
        return line if len(line) <= _LINE_CHARACTERS else line[: _LINE_CHARACTERS - 1] + "…"
    while isinstance(fn, functools.partial):
        fn = fn.func
    return str(getattr(fn, "__qualname__", None) or type(fn).__qualname__)


def without_arguments(fn: Callable[..., Any]) -> Callable[[], Any]:
    """A function that calls this one without arguments, also if it could take a context; as a
    coroutine function, if it is one. To exit with 0 is to come to an end, as for a program. Raises
    TypeError if it cannot be called like this."""
    try:
        inspect.signature(fn).bind()
    except ValueError:  # a builtin that tells nothing of its parameters
        pass
    except TypeError as exc:
        raise TypeError(f"it cannot be called without arguments: {exc}.") from exc
    Target(fn, (), {})

    def call() -> Any:
        with _well_ended():
            return fn()

    async def call_async() -> Any:
        with _well_ended():
            return await fn()

    is_async = is_coroutine_function(fn)
    plain: Callable[[], Any] = call_async if is_async else call
    plain.__qualname__ = callable_name(fn)
    plain.__module__ = getattr(fn, "__module__", None) or plain.__module__
    return plain


def place_of(fn: Any) -> str:
    """Where the function behind partials and methods begins, for people: "jobs.py:12"; else its
    name."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    code = getattr(inspect.unwrap(fn), "__code__", None)
    if code is None:
        return callable_name(fn)
    return f"{os.path.relpath(code.co_filename)}:{code.co_firstlineno}"


@contextmanager
def _well_ended() -> Iterator[None]:
    try:
        yield
    except SystemExit as exc:
        if exc.code not in (None, 0):
            raise
