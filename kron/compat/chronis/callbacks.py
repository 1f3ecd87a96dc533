"""`on_failure` and `on_success` of Chronis as hooks of Kron."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from kron.core.model import Stop
from kron.core.row_views import Outcome
from kron.runtime.callables import callable_name, is_coroutine_function

from .exceptions import JobFailed, JobTimeoutError
from .job import Job

Find = Callable[[str], Job | None]
Hook = Callable[[Outcome], Any]


class Hooks(NamedTuple):
    """The two, as Kron takes them."""

    on_success: Hook | None
    on_failure: Hook | None


def read_hooks(given: Mapping[str, Any], find: Find) -> Hooks:
    """Those among the keywords. `find` tells of a job, None if it is deleted. Raises TypeError."""
    success, failure = (_read(given.get(name), name) for name in Hooks._fields)
    return Hooks(success and _on_success(success, find), failure and _on_failure(failure, find))


def _read(callback: object, argument: str) -> Callable[..., Any] | None:
    if callback is None or callable(callback):
        return callback
    raise TypeError(f"{argument} must be callable, not {type(callback).__name__}.")


def _on_success(callback: Callable[..., Any], find: Find) -> Hook:
    def succeeded(outcome: Outcome) -> Any:
        return callback(outcome["timer"], find(outcome["timer"]))

    return _like(callback, succeeded)


def _on_failure(callback: Callable[..., Any], find: Find) -> Hook:
    def failed(outcome: Outcome) -> Any:
        job, retries = find(outcome["timer"]), (outcome["attempt"] or 1) - 1
        told_of = job and replace(job, retry_count=retries)
        return callback(outcome["timer"], _error(outcome), told_of)

    return _like(callback, failed)


def _like(callback: Callable[..., Any], hook: Hook) -> Hook:
    """With the name of the callback, and a coroutine function if that is one."""

    async def awaiting(outcome: Outcome) -> Any:
        return await hook(outcome)

    found = awaiting if is_coroutine_function(callback) else hook
    found.__qualname__ = callable_name(callback)
    return found


def _error(outcome: Outcome) -> JobFailed:
    """What the job raised is gone, and may never have been in this process: the error is made of
    what the log says. That begins with the type of an exception, or with words of Kron's own."""
    kind = JobTimeoutError if outcome["reason"] == Stop.TIMEOUT else JobFailed
    return kind(outcome["error"] or outcome["reason"] or "failed")
