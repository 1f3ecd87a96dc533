"""Python's cyclic garbage collector, and a state of very many timers.

The collector looks at every object again and again: with 50,000 timers it takes a third of the
time of a burst of runs, with a million it stops everything for half a second now and then. Timers
are not garbage, so a large state is set apart once it is there (`burst-async-100000` and the open
of a million timers in benchmarks/ show the difference). Small programs are left alone.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

LARGE = 20_000
"""Timers from which on it is worth it."""


@contextmanager
def paused() -> Iterator[None]:
    """No collections meanwhile: for a while of much allocation without garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def set_apart(timers: int) -> bool:
    """Keep the collector from everything that is there now, if the state is large."""
    if timers < LARGE:
        return False
    gc.freeze()
    return True


def give_back() -> None:
    """The state is gone, or will be: everything is the collector's again."""
    gc.unfreeze()
