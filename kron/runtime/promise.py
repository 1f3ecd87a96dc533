"""A future for many: it may be waited for from any thread and loop, and nobody can cancel it."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any


def promise() -> Future[Any]:
    """A new one. Whoever made it gives it its result or exception."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future
