"""What `kron.compat.chronis` raises, in the tree that Chronis has.

Bad values are ValueErrors (mostly `kron.core.errors.ScheduleError`, as everywhere in Kron), unknown
keywords and filters TypeErrors. What concerns the data directory keeps Kron's own types:
DataDirLocked if another process has it, StorageError if it cannot be used.
"""

from __future__ import annotations

from kron.core.errors import KronError


class SchedulerError(KronError):
    """Root of the errors below; by itself: `start()` on a scheduler that runs."""


class SchedulerConfigurationError(SchedulerError, ValueError):
    """Something that was said before is missing."""


class FunctionNotRegisteredError(SchedulerConfigurationError):
    """A job names a function that nobody has registered."""


class SchedulerLookupError(SchedulerError, LookupError):
    """A job is not there, or is."""


class JobNotFoundError(SchedulerLookupError):
    """There is no job of that id."""


class JobAlreadyExistsError(SchedulerLookupError):
    """Never raised, and here for code that catches it: to create a job again updates it."""


class SchedulerStateError(SchedulerError):
    """Something does not go with the state of a job."""


class InvalidJobStateError(SchedulerStateError):
    """Never raised, and here for code that catches it: to pause twice is to pause."""


class JobFailed(SchedulerError):
    """What `on_failure` gets: `str()` of it is the error as the log has it, "ValueError: no"."""


class JobTimeoutError(JobFailed, SchedulerStateError):
    """What `on_failure` gets if the job took longer than its `timeout_seconds`."""
