"""Chronis' interface on Kron: a program changes its imports, and nothing else.

docs/coming-from-chronis.md has the mapping, what is different and what is not here.
"""

from __future__ import annotations

from .adapters.locks import InMemoryLock, InMemoryLockAdapter
from .adapters.storage import InMemoryStorage, InMemoryStorageAdapter
from .exceptions import (
    FunctionNotRegisteredError,
    InvalidJobStateError,
    JobAlreadyExistsError,
    JobFailed,
    JobNotFoundError,
    JobTimeoutError,
    SchedulerConfigurationError,
    SchedulerError,
    SchedulerLookupError,
    SchedulerStateError,
)
from .job import Job, JobStatus
from .scheduler import PollingScheduler

JobInfo = Job
"""Chronis' name for it."""

__all__ = [
    "FunctionNotRegisteredError",
    "InMemoryLock",
    "InMemoryLockAdapter",
    "InMemoryStorage",
    "InMemoryStorageAdapter",
    "InvalidJobStateError",
    "Job",
    "JobAlreadyExistsError",
    "JobFailed",
    "JobInfo",
    "JobNotFoundError",
    "JobStatus",
    "JobTimeoutError",
    "PollingScheduler",
    "SchedulerConfigurationError",
    "SchedulerError",
    "SchedulerLookupError",
    "SchedulerStateError",
]
