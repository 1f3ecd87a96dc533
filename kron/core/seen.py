"""What a process has seen happen to time: it explains moments that did not run in time.

Nothing of it is in the log, and nothing but words follows from it.
"""

from __future__ import annotations

from typing import NamedTuple


class Instant(NamedTuple):
    """One instant on both clocks: the wall, and steady time."""

    wall_us: int
    steady_us: int


class Gap(NamedTuple):
    """Between two looks at the clocks something happened to time."""

    since: Instant
    until: Instant

    def no_later(self, here: Instant) -> Gap:
        """The same by a wall clock that was set back."""
        return Gap(_no_later(self.since, here), _no_later(self.until, here))


class Seen(NamedTuple):
    """When the machine last woke up from suspend, when the wall clock last stepped, and when the
    pause of a one-shot (by timer id) ended in which it had fallen due."""

    slept: Gap | None = None
    stepped: Gap | None = None
    resumed: dict[int, Instant] | None = None

    def with_step(self, gap: Gap, delta_us: int) -> Seen:
        """The clock has stepped. Set back, it now shows less than it did for what came before."""
        if delta_us > 0:
            return self._replace(stepped=gap)
        here = gap.until
        slept = self.slept and self.slept.no_later(here)
        resumed = {id_: _no_later(each, here) for id_, each in (self.resumed or {}).items()}
        return Seen(slept, gap.no_later(here), resumed)

    def with_pause(self, timer_id: int, here: Instant) -> Seen:
        """A one-shot's pause has ended."""
        return self._replace(resumed={**(self.resumed or {}), timer_id: here})

    def pause_of(self, timer_id: int) -> Instant | None:
        """When a one-shot's pause ended."""
        return self.resumed.get(timer_id) if self.resumed else None


def _no_later(instant: Instant, here: Instant) -> Instant:
    return instant._replace(wall_us=min(instant.wall_us, here.wall_us))
