"""The keywords that the three kinds of jobs have in common, as Kron's."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from kron.core.definition import check_name
from kron.core.errors import ScheduleError, brief
from kron.core.terms import ScheduleOptions

from .numbers import read_count, read_number
from .triggers import read_timezone

MISSED = {"skip": "skip", "run_once": "once", "run_all": "all"}
"""The policies for what passed: Chronis' words and Kron's."""
_ID_CHARACTERS = 100


class JobOptions(TypedDict, total=False):
    """The keywords of every `create_*`, besides `func`; all that `create_date_job` has besides
    `run_date`."""

    job_id: str | None
    name: str | None
    timezone: str | None
    args: Sequence[Any] | None
    kwargs: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    on_failure: Callable[..., Any] | None
    on_success: Callable[..., Any] | None
    max_retries: int
    retry_delay_seconds: float
    timeout_seconds: float | None
    priority: int
    if_missed: str | None
    misfire_threshold_seconds: float


class IntervalOptions(JobOptions, total=False):
    """The keywords of `create_interval_job`."""

    seconds: float | None
    minutes: float | None
    hours: float | None
    days: float | None
    weeks: float | None


class CronOptions(JobOptions, total=False):
    """The keywords of `create_cron_job`."""

    year: int | str | None
    month: int | str | None
    day: int | str | None
    week: int | str | None
    day_of_week: int | str | None
    hour: int | str | None
    minute: int | str | None
    second: int | str | None


def read_options(
    given: Mapping[str, Any], trigger: ScheduleOptions, fn_name: str
) -> ScheduleOptions:
    """What `schedule()` is told. Raises TypeError or ScheduleError (a ValueError), naming the
    keyword; what is called the same in Kron is judged there."""
    options = trigger.copy()
    options["timezone"] = read_timezone(given.get("timezone"))
    options["description"] = _name(given.get("name"), fn_name)
    args = given.get("args")
    options["args"] = () if args is None else args
    options["kwargs"] = given.get("kwargs")
    options["metadata"] = given.get("metadata")
    options["priority"] = given.get("priority", 5)
    retries = read_count(given.get("max_retries", 0), "max_retries")
    options["max_attempts"] = 1 + retries
    delay_s = given.get("retry_delay_seconds", 60)
    options["retry_delay"] = read_number(delay_s, "retry_delay_seconds")
    if (timeout := given.get("timeout_seconds")) is not None:
        options["timeout"] = read_number(timeout, "timeout_seconds", 0.001)
    options["missed"] = _missed(given.get("if_missed"), trigger)
    threshold = given.get("misfire_threshold_seconds", 60)
    threshold_s = read_number(threshold, "misfire_threshold_seconds", 0.001)
    if options["missed"] == "skip":
        options["grace"] = threshold_s
    return options


def read_job_id(job_id: object, fn_name: str, module: str, options: ScheduleOptions) -> str:
    """The id that is given, else one that the same call gives in every process: the function's
    name, and a hash of its module, the job's name, trigger, arguments and metadata."""
    if job_id is not None:
        try:
            return check_name(job_id)
        except ScheduleError as exc:
            raise ScheduleError(str(exc).replace("name=", "job_id=", 1)) from None
        except TypeError:
            raise TypeError(f"job_id must be a string, not {type(job_id).__name__}.") from None
    asked: dict[str, Any] = {**options}
    keys = ("every", "cron", "at", "timezone", "args", "kwargs", "metadata", "description")
    known = [module, *([key, asked.get(key)] for key in keys)]
    text = json.dumps(known, sort_keys=True, default=str)
    slug = re.sub(r"[^A-Za-z0-9]+", "-", fn_name).strip("-")[:_ID_CHARACTERS] or "job"
    return f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _name(name: object, fn_name: str) -> str:
    if name is None:
        return re.sub(r"[\W_]+", " ", re.split(r"[.:]", fn_name)[-1]).strip().title()
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, not {type(name).__name__}.")
    return name


def _missed(policy: object, trigger: ScheduleOptions) -> str:
    if policy is None:
        return trigger["missed"]
    if not isinstance(policy, str) or policy not in MISSED:
        known = ", ".join(MISSED)
        raise ScheduleError(f"if_missed must be one of: {known}; not {brief(policy)}.")
    return MISSED[policy]
