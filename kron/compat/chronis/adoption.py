"""Jobs of an earlier process: what Kron says of a timer, as the arguments that made it."""

from __future__ import annotations

from typing import Any, cast

from kron.core.errors import CronError
from kron.core.fields import Cron
from kron.core.terms import ScheduleOptions
from kron.core.views import TimerStatus

_SAME = (
    *("timezone", "dst", "jitter", "not_before", "not_after", "exclude", "grace", "overlap"),
    *("max_attempts", "retry_delay", "timeout", "weight", "priority", "key", "key_limit"),
    *("executor", "args", "kwargs", "metadata", "description"),
)


def options_of(status: TimerStatus) -> ScheduleOptions:
    """The keywords with which `schedule()` finds the definition unchanged."""
    said: dict[str, Any] = {**status}
    options = {name: said[name] for name in _SAME}
    kind, _, value = status["schedule"].partition(" ")
    if kind == "cron":
        options["cron"] = _cron(value)
    else:  # of a cadence, "day 15:12", the unit says it all
        options[kind] = value.partition(" ")[0]
    options["missed"] = status["missed_policy"]
    return cast(ScheduleOptions, options)


def _cron(text: str) -> str | Cron:
    try:
        return Cron.from_text(text)
    except CronError:
        return text
