"""Blocking work off the event loop, in a daemon thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from anyio import CancelScope

T = TypeVar("T")


async def in_thread(work: Callable[[], T], name: str = "kron-work") -> T:
    """What `work()` returns or raises. A cancellation is raised only when the work has ended.

    For rare and long work: each call starts a thread. (The thread pools of asyncio and anyio keep
    threads that are no daemons: a program whose loop was closed by hand would never end, see
    test_a_program_that_closed_its_loop_by_hand_ends.)
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as exc:
            future.set_exception(exc)

    threading.Thread(target=run, name=name, daemon=True).start()
    waiter = asyncio.wrap_future(future)
    cancelled: asyncio.CancelledError | None = None
    with CancelScope(shield=True):  # a cancelled task group would interrupt again and again
        while not waiter.done():
            try:
                await asyncio.wait({waiter})
            except asyncio.CancelledError as exc:
                cancelled = exc
    if cancelled is not None and waiter.exception() is None:
        raise cancelled
    return waiter.result()
