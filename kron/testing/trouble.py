"""What goes wrong with time in a test: every error says what was waited for."""

from __future__ import annotations

from kron.core.errors import KronError


class NothingToDo(KronError, RuntimeError):
    """Everything sleeps for ever: no jump of the clock can make it true what was waited for."""


class NotInTime(KronError, TimeoutError):
    """The virtual time that `run_until` was given has passed."""


class StillRunning(KronError, TimeoutError):
    """A callback has not ended, nor slept on the clock, for the `patience` of real seconds."""
