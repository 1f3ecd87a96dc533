"""The program in the process of an `executor="process"` run: it calls one function.

It is started as a file, reads what to call from stdin, and imports nothing of Kron before it has
the sys.path of the scheduler.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Awaitable
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""Where the package `kron` is."""

TERMINATED = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """TERM came: it unwinds the function, so that its `finally` has its turn before the KILL."""


class Carried:
    """The run that this process is for, as `kron.current_run()` finds it."""

    def __init__(self, context: dict[str, Any]) -> None:
        self.run = -1
        self.run_id: str = context["run_id"]
        self.timer: str = context["timer_id"]
        self.attempt: int = context["attempt"]
        self.log_id = ""
        self._context = json.dumps(context)

    def context(self) -> Any:
        """A new dict each time."""
        return json.loads(self._context)


def main() -> int:
    """Call the function; 0, or 1 if it raised. Its error text goes into the file of the parent."""
    request = json.load(sys.stdin.buffer)
    os.set_inheritable(request["result_fd"], False)
    sys.path[:] = request["path"]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a TextIOWrapper
    signal.signal(signal.SIGTERM, _terminate)

    from kron.runtime.failures import describe, report

    carried = Carried(request["context"])
    try:
        _call(request, carried)
    except Terminated:
        return TERMINATED
    except BaseException as exc:
        report(carried, exc)
        os.pwrite(request["result_fd"], describe(exc).encode("utf-8", "backslashreplace"), 0)
        return 1
    return 0


def _call(request: dict[str, Any], carried: Carried) -> None:
    from inspect import isawaitable

    from kron.runtime.command import resolve
    from kron.runtime.context import CURRENT

    fn = resolve(request["name"])
    CURRENT.set(carried)
    first = [carried.context()] if request["wants_context"] else []
    result = fn(*first, *request["args"], **request["kwargs"])
    if isawaitable(result):
        from asyncio import run

        run(_await(result))


async def _await(result: Awaitable[Any]) -> None:
    await result


def _terminate(number: int, frame: object) -> None:
    raise Terminated(TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
