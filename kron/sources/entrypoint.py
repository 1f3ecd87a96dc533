"""The entrypoint of a `scheduled` job: a callable that takes no arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from kron.core.errors import ScheduleError, brief
from kron.runtime.callables import without_arguments
from kron.runtime.command import resolve


def plain_callable(text: str) -> Callable[[], Any]:
    """Import it, as a function that calls it without arguments, whatever its parameters are; a
    coroutine function, if it is one. Raises ScheduleError, naming the entrypoint."""
    fn = resolve(text)
    try:
        inspect.signature(fn).bind()
    except ValueError:  # a builtin that tells nothing of its parameters
        pass
    except TypeError as exc:
        raise ScheduleError(f"{brief(text)} cannot be called without arguments: {exc}.") from exc
    try:
        return without_arguments(fn)
    except TypeError as exc:
        raise ScheduleError(f"{brief(text)}: {exc}") from exc
