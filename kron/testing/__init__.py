"""The test kit: a virtual clock, a scheduler on it, assertions; docs/testing.md shows it.

The names are loaded when they are first used, so the pytest plugin costs a test run next to
nothing. Nothing else in Kron imports this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .kit import (
        NothingToDo,
        NotInTime,
        StillRunning,
        VirtualClock,
        VirtualScheduler,
        assert_missed,
        assert_not_ran,
        assert_ran,
        assert_scheduled,
        on_clock,
    )

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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'kron.testing' has no attribute {name!r}")
    from . import kit

    globals()[name] = value = getattr(kit, name)
    return value


def __dir__() -> Any:
    return sorted({*globals(), *__all__})
