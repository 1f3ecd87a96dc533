"""Python's cyclic garbage collector, and a state of very many timers.

The collector looks at every object again and again: with 50,000 timers it takes a third of the
time of a burst of runs, with a million it stops everything for half a second now and then. Timers
are not garbage, so a large state is set apart once it is there (`burst-async-100000` and the open
of a million timers in benchmarks/ show the difference). Small programs are left alone.

The collector is the process's: whoever comes first turns it off, whoever goes last turns it on.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LARGE = 20_000
"""Timers from which on it is worth it."""


class _Users:
    """Who needs the collector to be quiet, and who has set something apart."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pauses = 0
        self.was_enabled = True
        self.apart = 0


_users = _Users()


@contextmanager
def paused() -> Iterator[None]:
    """No collections meanwhile: for a while of much allocation without garbage."""
    users = _users
    with users.lock:
        if users.pauses == 0:
            users.was_enabled = gc.isenabled()
            gc.disable()
        users.pauses += 1
    try:
        yield
    finally:
        with users.lock:
            users.pauses -= 1
            if users.pauses == 0 and users.was_enabled and users is _users:
                gc.enable()


def set_apart(timers: int) -> bool:
    """Keep the collector from everything that is there now, if the state is large."""
    if timers < LARGE:
        return False
    with _users.lock:
        _users.apart += 1
        gc.freeze()
    return True


def give_back() -> None:
    """A state that was set apart is gone, or will be; with the last one everything is the
    collector's again."""
    with _users.lock:
        _users.apart -= 1
        if _users.apart == 0:
            gc.unfreeze()


def _in_child() -> None:
    """In a forked child nobody is left who would turn it on again."""
    global _users
    users, _users = _users, _Users()
    if users.pauses and users.was_enabled:
        gc.enable()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
