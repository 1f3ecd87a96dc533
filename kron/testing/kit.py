"""The names of the test kit, imported when the first of them is used."""

from __future__ import annotations

from .assertions import assert_missed, assert_not_ran, assert_ran, assert_scheduled
from .clock import VirtualClock
from .scheduler import VirtualScheduler, on_clock
from .trouble import NothingToDo, NotInTime, StillRunning

__all__ = [
    "NotInTime",
    "NothingToDo",
    "StillRunning",
    "VirtualClock",
    "VirtualScheduler",
    "assert_missed",
    "assert_not_ran",
    "assert_ran",
    "assert_scheduled",
    "on_clock",
]
