"""How a virtual clock's coroutines are carried out: from synchronous code, and beside a wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from concurrent.futures import wait
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from kron.core.errors import InsideEventLoop

from .crew import Crew

T = TypeVar("T")


def drive(coroutine: Coroutine[Any, Any, T], crew: Crew) -> T:
    """Run a coroutine where a scheduler runs, and wait for it; with none running, here.

    Raises InsideEventLoop if this thread's loop is to go on meanwhile, and StillRunning if that
    loop is blocked.
    """
    if is_inside_loop():
        coroutine.close()
        raise InsideEventLoop(
            "this waits for the clock, and would block the event loop of this thread; inside it,"
            ' use: await clock.advance("1h"), await scheduler.aadvance("1h")'
        )
    loops = [engine.loop for engine in crew.engines if engine.loop.is_running()]
    if not loops:
        return asyncio.run(coroutine)
    done = asyncio.run_coroutine_threadsafe(coroutine, loops[0])
    try:
        version = None
        while version != crew.version:
            version = crew.version
            wait({done}, timeout=2 * crew.patience_s)
            if done.done():
                return done.result()
        raise crew.out_of_patience()
    finally:
        done.cancel()


def is_inside_loop() -> bool:
    """True in code that an event loop of this thread is running."""
    return asyncio._get_running_loop() is not None


@asynccontextmanager
async def owned(coroutine: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """A plain task that is over when the block is."""
    task = asyncio.Task(coroutine, loop=asyncio.get_running_loop())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # asked for, or asyncio would complain that nobody did


async def outcome(awaitable: Awaitable[T]) -> T:
    """The coroutine that a task needs."""
    return await awaitable
