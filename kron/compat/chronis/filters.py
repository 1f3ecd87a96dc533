"""The filters of `query_jobs`: those there are, and none that is passed over in silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kron.core.errors import ScheduleError, brief
from kron.core.keywords import meant

from .job import Job, JobStatus
from .triggers import read_moment

TEXTS = ("job_id", "name", "trigger_type", "timezone", "func")
KNOWN = (*TEXTS, "status", "next_run_time_lte", "metadata.<key>")
_METADATA = "metadata."

Test = Callable[[Job], bool]


class Filters(NamedTuple):
    """What a job has to be: `metadata` by dotted path, as Kron takes it, and whatever else."""

    metadata: dict[str, Any]
    tests: list[Test]

    def let_through(self, job: Job) -> bool:
        """Whether it is all that, its metadata apart."""
        return all(is_met(job) for is_met in self.tests)


def read_filters(filters: object) -> Filters:
    """The `filters=` of `query_jobs`. Raises TypeError for one that nobody knows (a tenant must not
    see everybody's jobs for a typing mistake) and for a value of the wrong type, ScheduleError for
    one that cannot be."""
    if filters is None:
        return Filters({}, [])
    if not isinstance(filters, Mapping):
        raise TypeError(f"filters must be a mapping, not {type(filters).__name__}.")
    metadata: dict[str, Any] = {}
    tests: list[Test] = []
    for name, value in filters.items():
        if isinstance(name, str) and name.startswith(_METADATA):
            metadata[name.removeprefix(_METADATA)] = value
        else:
            tests.append(_test(name, value))
    return Filters(metadata, tests)


def _test(name: object, value: Any) -> Test:
    if name == "status":
        wanted = _status(value)
        return lambda job: job.status is wanted
    if name == "next_run_time_lte":
        latest = read_moment(value, None, name)
        return lambda job: job.next_run_time is not None and job.next_run_time <= latest
    if name not in TEXTS:
        hint = meant(str(name), KNOWN)
        raise TypeError(f"query_jobs() has no filter {brief(name)}; use {', '.join(KNOWN)}.{hint}")
    if not isinstance(value, str):
        raise TypeError(f"the filter {name} must be a string, not {type(value).__name__}.")
    return lambda job: getattr(job, str(name)) == value


def _status(value: object) -> JobStatus:
    words = [status.value for status in JobStatus]
    if not isinstance(value, str):
        raise TypeError(f"the filter status must be a string, not {type(value).__name__}.")
    if value not in words:
        hint = meant(value, words)
        raise ScheduleError(f"status={brief(value)} must be one of: {', '.join(words)}.{hint}")
    return JobStatus(value)
