"""What `start()` is told about how long things are kept, checked."""

from __future__ import annotations

from kron.core.duration import parse_duration
from kron.core.errors import ScheduleError
from kron.core.terms import Duration

from .compaction import Retention
from .host import Keeping


def keeping(history: Duration, history_bytes: int, finished: Duration, output: Duration) -> Keeping:
    """From `keep_history`, `keep_history_bytes`, `keep_finished` and `keep_output`; ScheduleError
    names one."""
    if isinstance(history_bytes, bool) or not isinstance(history_bytes, int) or history_bytes < 0:
        raise ScheduleError(
            f"keep_history_bytes={history_bytes!r} must be a whole number of bytes from 0 on."
        )
    keep_us = parse_duration(history, argument="keep_history", allow_zero=True)
    finished_us = parse_duration(finished, argument="keep_finished", allow_zero=True)
    output_us = parse_duration(output, argument="keep_output", allow_zero=True)
    return Keeping(Retention(history_bytes, keep_us / 1_000_000), finished_us, output_us)
