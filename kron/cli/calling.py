"""A function called by hand: in this process, awaited, its failure as Python itself shows it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutinefunction
from pathlib import Path
from traceback import print_exception
from types import TracebackType
from typing import Any

_OURS = (str(Path(__file__).parents[1]), str(Path(asyncio.__file__).parent))


def call(fn: Callable[[], Any]) -> bool:
    """Call it, and await what is to be awaited. False if it raised, which is as bad as in a
    scheduled run: also SystemExit. The traceback, from the function on, is on stderr then."""
    try:
        result = asyncio.run(fn()) if iscoroutinefunction(fn) else fn()
        if isawaitable(result):  # of a lambda around a coroutine function, say
            asyncio.run(_await(result))
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        sys.stdout.flush()
        print_exception(type(exc), exc, _theirs(exc.__traceback__))
        return False
    return True


async def _await(result: Awaitable[Any]) -> None:
    await result


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """Without the first frames, which are Kron's and those of the loop."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    return trace
