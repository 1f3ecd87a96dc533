"""Loads the door's libraries in a thread, such that neither a fork nor the end comes between.

A child forked while another thread imports inherits that module's import lock, held for ever, and
can never import it itself; so a fork waits for the import, which takes a tenth of a second.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from kron.storage.blocking import in_thread

Serve: TypeAlias = Callable[..., Coroutine[Any, Any, None]]

PATIENCE_SECONDS = 5.0
"""Should the import in turn wait for something that the forking thread holds."""

_loading = threading.RLock()
_held: list[bool] = []


async def load_serve() -> Serve:
    """`kron.server.door.serve`.

    A cancellation is raised when the import is over: a program that is interrupted in its first
    instants would else end in the middle of it, with a wrong exit code (CPython forgets that it
    was interrupted when another thread calls exec() meanwhile).
    """
    return await in_thread(_load, "kron-door")


def load_render() -> tuple[str, Callable[[Any], bytes]]:
    """The content type of `kron.server.metrics`, and its `render`; blocks, the first time."""
    with _loading:
        from .metrics import CONTENT_TYPE, render
    return CONTENT_TYPE, render


def _load() -> Serve:
    with _loading:
        from .door import serve
    return serve


@atexit.register
def _at_exit() -> None:
    """A daemon thread that the end of the interpreter stops in an import keeps the import's lock;
    whatever is imported after that (by a traceback, say) would wait for ever."""
    if _loading.acquire(timeout=PATIENCE_SECONDS):
        _loading.release()


def _before_fork() -> None:
    _held.append(_loading.acquire(timeout=PATIENCE_SECONDS))


def _after_fork() -> None:
    if _held.pop():
        _loading.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
