"""Questions from any thread, answered on one loop: each gets its answer, or the word that it won't.

A loop that stops drops what was to be called next, without a word. So every question is noted until
it is answered, and whoever ends the engine refuses those that are left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from kron.core.errors import KronStopped

from .listing import Slices
from .promise import promise

T = TypeVar("T")


class Questions:
    """Those that are open, of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: dict[Future[Any], None] = {}
        self._refusal: Callable[[], KronStopped] | None = None

    def put(self, question: Callable[[], T]) -> Future[T]:
        """Have it called on the loop; thread-safe."""
        future: Future[T] = promise()

        def answer() -> None:
            try:
                self._settle(future, question())
            except BaseException as exc:
                self._settle(future, error=exc)

        return self._begin(future, answer)

    def put_long(self, slices: Slices[T]) -> Future[T]:
        """Have the slices taken on the loop, with turns of it between them; thread-safe."""
        future: Future[T] = promise()

        def go_on() -> None:
            if future.done():
                return
            try:
                next(slices)
            except StopIteration as end:
                self._settle(future, end.value)
            except BaseException as exc:
                self._settle(future, error=exc)
            else:
                self._loop.call_soon(go_on)

        return self._begin(future, go_on)

    def refuse(self, refusal: Callable[[], KronStopped]) -> None:
        """From now on no loop answers: those that are open are told so, and those to come."""
        self._refusal = refusal
        for future in list(self._open):
            self._settle(future, error=refusal())

    def _begin(self, future: Future[T], answer: Callable[[], None]) -> Future[T]:
        self._open[future] = None
        try:
            self._loop.call_soon_threadsafe(answer)
        except RuntimeError:
            error = KronStopped("the scheduler has stopped: its event loop was closed.")
            self._settle(future, error=error)
        if self._refusal is not None:  # it came after the others were refused
            self._settle(future, error=self._refusal())
        return future

    def _settle(
        self, future: Future[Any], value: Any = None, error: BaseException | None = None
    ) -> None:
        """Once: whoever takes it out of the open ones does it."""
        try:
            del self._open[future]
        except KeyError:
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
