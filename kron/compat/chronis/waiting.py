"""What is asked of jobs while no scheduler runs: shown at once, carried out after the start."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from kron.core.duration import parse_duration
from kron.core.errors import UnknownTimer
from kron.core.instants import text, to_us
from kron.core.preview import preview
from kron.core.views import TimerStatus
from kron.scheduler import Scheduler

from .adoption import options_of

_OF_PREVIEW = {"cron", "every", "timezone", "dst", "not_before", "not_after", "exclude"}
_JUST_NOW_US = 60_000_000
"""So long ago may a date be that still runs."""


class Waiting:
    """Wishes that Kron takes only while it runs, and the next runs of jobs that it does not know
    yet."""

    def __init__(self, kron: Scheduler) -> None:
        self._kron = kron
        self._created_us: dict[str, int] = {}
        self._pauses: dict[str, bool] = {}
        self._were_paused: set[str] = set()
        self._gone: set[str] = set()

    @property
    def is_over(self) -> bool:
        """Whether the scheduler runs, so that there is nothing to wait for."""
        host = self._kron._control.host
        return host is not None and not host.over.done()

    def note_created(self, job_id: str) -> None:
        """A job was created, or again."""
        if not self.is_over:
            self._gone.discard(job_id)
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

    def remember_paused(self) -> None:
        """The scheduler is about to stop: what is paused stays so, and is shown so meanwhile."""
        self._were_paused = {status["id"] for status in self._kron.list(state="paused")}

    def carry_out(self) -> None:
        """The scheduler has started."""
        gone, pauses = self._gone, self._pauses
        self._gone, self._pauses, self._created_us, self._were_paused = set(), {}, {}, set()
        for job_id in gone:
            with suppress(UnknownTimer):  # the directory had none
                self._kron.remove(job_id)
        for job_id, is_pause in pauses.items():
            with suppress(UnknownTimer):  # removed meanwhile
                self.steer(job_id, is_pause=is_pause)

    def as_it_will_be(self, status: TimerStatus) -> TimerStatus:
        """The status of a job, also if it waits for the start."""
        if self.is_over:
            return status
        job_id = status["id"]
        if self._pauses.get(job_id, job_id in self._were_paused):
            return {**status, "state": "paused"}
        return {**status, "next_run_at": text(self._next_us(status))}

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
