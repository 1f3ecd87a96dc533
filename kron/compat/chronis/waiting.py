"""Jobs while no scheduler runs: as they were when it stopped, and as they are asked to be.

What is asked of them is shown at once, and carried out after the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from kron.core.commands import Remove
from kron.core.duration import parse_duration
from kron.core.errors import KronStopped, UnknownTimer
from kron.core.instants import text, to_us
from kron.core.preview import preview
from kron.core.timer_query import read_timer_query
from kron.core.views import WAITING, TimerStatus
from kron.runtime.host import Host
from kron.runtime.listing import run_out
from kron.runtime.reading import Reading
from kron.scheduler import Scheduler

from .adoption import options_of

_OF_PREVIEW = {"cron", "every", "timezone", "dst", "not_before", "not_after", "exclude"}
_JUST_NOW_US = 60_000_000
"""So long ago may a date be that still runs."""


class Waiting:
    """The statuses of jobs, whether the scheduler runs or not; and wishes that Kron takes only
    while it runs."""

    def __init__(self, kron: Scheduler) -> None:
        self._kron = kron
        self._created_us: dict[str, int] = {}
        self._pauses: dict[str, bool] = {}
        self._gone: set[str] = set()
        self._latest: Reading | None = None

    @property
    def is_over(self) -> bool:
        """Whether the scheduler runs, so that there is nothing to wait for."""
        host = self._kron._control.host
        return host is not None and not host.over.done()

    def note_created(self, job_id: str) -> None:
        """A job was created, or again."""
        if not self.is_over:
            self._created_us[job_id] = self._now_us()

    def forget(self, job_id: str) -> None:
        """A job was deleted; there may be one of that id in the directory."""
        if not self.is_over:
            self._gone.add(job_id)
            self._created_us.pop(job_id, None)
            self._pauses.pop(job_id, None)

    def steer(self, job_id: str, *, is_pause: bool) -> None:
        """Pause or resume the job, after the start if need be. Raises UnknownTimer."""
        if not self.is_over:
            self._pauses[job_id] = is_pause
        elif is_pause:
            self._kron.pause(job_id)
        else:
            self._kron.resume(job_id)

    def remember(self) -> None:
        """The scheduler is about to stop: what it knows in the end is shown until the start."""
        self._latest = self._reading() or self._latest

    def hand_over(self, host: Host) -> None:
        """The scheduler is about to start: what was deleted goes before anything is registered."""
        host.first += [Remove(job_id) for job_id in self._gone]

    def carry_out(self) -> None:
        """The scheduler has started."""
        pauses = self._pauses
        self._gone, self._pauses, self._created_us, self._latest = set(), {}, {}, None
        for job_id, is_pause in pauses.items():
            with suppress(UnknownTimer):  # removed meanwhile
                self.steer(job_id, is_pause=is_pause)

    def status(self, job_id: str) -> TimerStatus | None:
        """The status of a job, also if it waits for the start."""
        status = self._kron.status(job_id)
        if not self.is_over and self._is_as_it_was(job_id) and self._latest is not None:
            status = self._latest.status(job_id) or status
        return status and self._as_it_will_be(status)

    def statuses(self, metadata: Mapping[str, Any]) -> Iterable[TimerStatus]:
        """Those of all jobs with this metadata."""
        found = {status["id"]: status for status in self._kron.list(metadata=metadata)}
        if not self.is_over and self._latest is not None:
            latest = run_out(self._latest.list(read_timer_query({"metadata": metadata})))
            found |= {each["id"]: each for each in latest if self._is_as_it_was(each["id"])}
        return map(self._as_it_will_be, found.values())

    def status_in_callback(self, job_id: str) -> TimerStatus | None:
        """The status, also while the scheduler comes to its end, or has failed."""
        with suppress(KronStopped):
            return self.status(job_id)
        reading = self._reading()  # nothing changes any more
        return None if reading is None else reading.status(job_id)

    def _reading(self) -> Reading | None:
        host = self._kron._control.host
        return host.engine.reading if host is not None and host.engine is not None else None

    def _is_as_it_was(self, job_id: str) -> bool:
        return job_id not in self._created_us and job_id not in self._gone

    def _as_it_will_be(self, status: TimerStatus) -> TimerStatus:
        job_id, was_paused = status["id"], status["state"] == "paused"
        if self.is_over:
            return status
        if self._pauses.get(job_id, was_paused):
            return {**status, "state": "paused", "next_run_at": None}
        if self._latest is not None and self._is_as_it_was(job_id) and not was_paused:
            return status
        state = WAITING if was_paused else status["state"]
        return {**status, "state": state, "next_run_at": text(self._next_us(status))}

    def _next_us(self, status: TimerStatus) -> int | None:
        now_us = self._now_us()
        kind, _, value = status["schedule"].partition(" ")
        if kind == "at":
            at_us = to_us(datetime.fromisoformat(value))
            return at_us if at_us >= now_us - _JUST_NOW_US else None
        created_us = self._created_us.get(status["id"], now_us)
        if kind == "after":
            return created_us + parse_duration(value, argument=kind, allow_zero=True)
        if kind == "every" and " " not in value:
            every_us = parse_duration(value, argument=kind)
            return created_us + every_us * ((now_us - created_us) // every_us + 1)
        options: dict[str, Any] = {**options_of(status)}
        asked = {key: options[key] for key in _OF_PREVIEW & options.keys()}
        coming = preview(now_us, name=status["id"], n=1, **asked)
        return to_us(coming[0]) if coming else None

    def _now_us(self) -> int:
        return self._kron._clock.now().wall_us
