"""Every error Kron raises, grouped by who is to blame.

`KronError` is the root. Bad arguments are also `ValueError`s, a wrong moment (already started,
locked, stopped) is also a `RuntimeError`, so code written against the standard classes keeps
working. A message names the place, the value and the remedy.
"""

from __future__ import annotations


class KronError(Exception):
    """Root of every error that Kron raises on purpose."""


# -- the caller's arguments -----------------------------------------------------------------


class ScheduleError(KronError, ValueError):
    """An argument of `schedule()` (or of a verb) cannot be used; nothing was changed."""


class CronError(ScheduleError):
    """A cron expression is not in the dialect, or never fires."""


class UnknownTimer(KronError, LookupError):
    """A verb names a timer (or a run) that does not exist."""


# -- the moment of the call -----------------------------------------------------------------


class AlreadyStarted(KronError, RuntimeError):
    """`start()` on a scheduler that runs."""


class NotStarted(KronError, RuntimeError):
    """A verb that needs a running scheduler was called on one that is not started."""


class InsideEventLoop(KronError, RuntimeError):
    """A sync verb that waits for the disk was called on the scheduler's own event loop."""


class KronStopped(KronError, RuntimeError):
    """The scheduler stopped before it could carry out (or acknowledge) the call."""


class DataDirLocked(KronError, RuntimeError):
    """Another living process (`pid`, where it is known) is the writer of this data directory."""

    pid: int | None = None


# -- the files ------------------------------------------------------------------------------


class StorageError(KronError, RuntimeError):
    """The data directory or a file in it cannot be used."""


class UnsafeDataDir(StorageError):
    """The data directory or a file in it is open to others, foreign, or a link."""


class LogCorrupt(StorageError):
    """The log is damaged before its tail; nothing was changed and nothing was skipped."""


class LogTruncated(StorageError):
    """The records asked for were let go (see the history's retention): begin from a snapshot."""


class LogTooNew(StorageError):
    """The log was written by a newer version of Kron; nothing was changed."""


class ForeignLog(StorageError):
    """The file was written by another program; nothing was changed."""


class LogFailed(StorageError):
    """A write or fsync failed. The log takes nothing more until the scheduler is restarted."""


class Conflict(KronError):
    """Compare-and-append found the index taken: decide again against the newer state."""


def brief(value: object) -> str:
    """A value as an error message shows it: its repr, cut where it is long."""
    try:
        text = repr(value[:200]) if isinstance(value, str | bytes) else repr(value)
    except Exception as exc:  # of 5,000 digits, or of a class that cannot be shown
        text = f"<{type(value).__name__}: {type(exc).__name__}>"
    return text if len(text) <= 80 else text[:76] + "..." + text[-1]
