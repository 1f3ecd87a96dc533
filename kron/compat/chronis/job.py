"""A job as Chronis shows it: a frozen copy of what Kron says of a timer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from kron.core.dst import zone
from kron.core.duration import parse_duration
from kron.core.errors import ScheduleError
from kron.core.fields import Cron
from kron.core.views import TimerStatus

from .options import MISSED


class JobStatus(StrEnum):
    """What becomes of a job at the moment."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    FAILED = "failed"
    PAUSED = "paused"


_STATES = {
    "running": JobStatus.RUNNING,
    "dead": JobStatus.FAILED,
    "invalid": JobStatus.FAILED,
    "paused": JobStatus.PAUSED,
    "orphaned": JobStatus.PENDING,
}
"""Those of Kron's states that are not a question of the next run."""
_TRIGGERS = {"cron": "cron", "every": "interval", "at": "date", "after": "date"}
_POLICIES = {ours: theirs for theirs, ours in MISSED.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job at the moment of the question. Times are aware, in UTC.

    `next_run_time` is None if no run is to come. PENDING waits for something else than its time: a
    function that nobody has registered in this process, or nothing at all (the date of a date job
    was past). A job that repeats runs at its next slot also when it is FAILED. `trigger_args` is
    what the trigger was told, in one unit; `schedule` the same as Kron writes it; `func` the
    function's name; `if_missed` the policy that holds, and `misfire_threshold_seconds` how late a
    run may still begin under "skip", else None. `retry_count` counts the retries of the open run,
    and in `on_failure` those of the run that failed; else it is 0. `next_run_time_local` is in the
    job's zone.
    """

    job_id: str
    name: str
    status: JobStatus
    next_run_time: datetime | None
    next_run_time_local: datetime | None
    trigger_type: str
    trigger_args: dict[str, Any]
    schedule: str
    timezone: str
    metadata: dict[str, Any]
    func: str | None
    created_at: datetime | None
    last_run_time: datetime | None
    last_status: str | None
    max_retries: int
    retry_count: int
    retry_delay_seconds: float
    timeout_seconds: float | None
    priority: int
    if_missed: str
    misfire_threshold_seconds: float | None


def job_of(status: TimerStatus) -> Job:
    """The timer as a job."""
    kind, _, value = status["schedule"].partition(" ")
    word, next_run = status["state"], _moment(status["next_run_at"])
    if word == "orphaned":
        next_run = None
    elif word == "dead" and next_run and _TRIGGERS[kind] == "date":  # created again
        word = "scheduled"
    otherwise = JobStatus.PENDING if next_run is None else JobStatus.SCHEDULED
    return Job(
        job_id=status["id"],
        name=status["description"],
        status=_STATES.get(word, otherwise),
        next_run_time=next_run,
        next_run_time_local=_local(next_run, status),
        trigger_type=_TRIGGERS[kind],
        trigger_args=_trigger_args(kind, value),
        schedule=status["schedule"],
        timezone=status["timezone"],
        metadata=status["metadata"],
        func=status["fn_name"],
        created_at=_moment(status["created_at"]),
        last_run_time=_moment(status["last_run_at"]),
        last_status=status["last_status"],
        max_retries=status["max_attempts"] - 1,
        retry_count=max([1, *(run["attempt"] for run in status["runs"])]) - 1,
        retry_delay_seconds=_seconds(status["retry_delay"]),
        timeout_seconds=_seconds_or_none(status["timeout"]),
        priority=status["priority"],
        if_missed=_POLICIES[status["missed_policy"]],
        misfire_threshold_seconds=_seconds_or_none(status["grace"]),
    )


def _local(moment: datetime | None, status: TimerStatus) -> datetime | None:
    """In the job's zone, if this machine knows that."""
    is_known = moment is not None and not status["invalid"]
    return moment.astimezone(zone(status["timezone"])) if moment and is_known else None


def is_done(status: TimerStatus) -> bool:
    """Whether Chronis would have deleted it: a date job that has succeeded. Kron keeps it for a
    while, with its history, so that creating it again does not run it again."""
    is_date = status["schedule"].startswith(("at ", "after "))
    return is_date and status["finished"] and status["last_status"] == "OK"


def is_spent(job: Job) -> bool:
    """Whether it is a cron job whose fields match no moment any more."""
    is_held = job.status is JobStatus.PAUSED
    return job.trigger_type == "cron" and job.next_run_time is None and not is_held


def by_next_run(job: Job) -> tuple[bool, datetime | None, str]:
    """The order of `query_jobs`: by next run, then by id; those without one come last."""
    return job.next_run_time is None, job.next_run_time, job.job_id


def _trigger_args(kind: str, value: str) -> dict[str, Any]:
    if kind == "at":
        return {"run_date": value}
    if kind != "cron":
        return _interval_args(kind, value)
    try:
        fields = Cron.from_text(value)
    except ScheduleError:  # a timer of somebody else, with cron's five fields
        return {"cron": value}
    given = (part.partition("=") for part in fields.text.split())
    return {name: int(text) if text.isdecimal() else text for name, _, text in given}


def _interval_args(kind: str, value: str) -> dict[str, Any]:
    try:
        seconds = _seconds(value)
    except ScheduleError:  # a timer of somebody else, with a cadence: "day 15:12"
        return {kind: value}
    return {"seconds": seconds}


def _seconds(text: str) -> float:
    us = parse_duration(text, argument="duration", allow_zero=True)
    return us // 1_000_000 if us % 1_000_000 == 0 else us / 1_000_000


def _seconds_or_none(text: str | None) -> float | None:
    return None if text is None else _seconds(text)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
