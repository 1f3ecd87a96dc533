"""A timer's course: its moments, what leaves some of them out, and what delays each a little.

The *moments* of a selector are all due moments there are; every one of them runs or is in the
ledger with a reason. `Course` adds the limits (which are left out) and the jitter (when each is
really due). Instants are on the timer's own clock; `shift_us` leads from there to the wall.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from .limits import Limits
from .model import Reason
from .moments import Moments

HOUR_US = 3_600_000_000
_STRETCHES = 3_000
"""Half a century of weekends; who looks for a moment beyond that is told there is none."""


class NoMoments:
    """The moments of a timer whose zone this machine does not know."""

    def next_after(self, after_us: int) -> int | None:
        """None."""
        return None

    def last_until(self, until_us: int) -> int | None:
        """None."""
        return None

    def count(self, first_us: int, last_us: int) -> int:
        """0."""
        return 0


class Course(NamedTuple):
    """The moments of one timer, and the rules for them. A pure value."""

    moments: Moments
    limits: Limits | None = None
    shift_us: int = 0
    name: str = ""
    jitter_us: int = 0

    def due_us(self, moment_us: int) -> int:
        """When the moment is really due: up to `jitter_us` later, always the same for it."""
        if not self.jitter_us:
            return moment_us
        return moment_us + jitter_of(self.name, moment_us, self.jitter_us)

    def left_out(self, moment_us: int) -> Reason | None:
        """Why the moment is left out; None: it is not."""
        if self.limits is None:
            return None
        return self.limits.stretch(moment_us + self.shift_us).reason

    def look_us(self, moment_us: int) -> int:
        """When there is something to do about a pending moment: when it is really due. Of moments
        that are left out, at the begin of the bounds, or once for those of an hour."""
        if self.limits is None:
            return self.due_us(moment_us)
        reason, start_us, end_us = self.limits.stretch(moment_us + self.shift_us)
        if reason is None:
            return self.due_us(moment_us)
        if end_us is None:
            return moment_us
        if start_us is None:
            return end_us - self.shift_us
        until_us = min(moment_us + HOUR_US, end_us - self.shift_us - 1)
        return max(self.moments.last_until(until_us) or moment_us, moment_us)

    def last_alike(self, moment_us: int, now_us: int) -> int:
        """Of the stretch that a moment that is left out belongs to, the last moment until now."""
        assert self.limits is not None
        _, _, end_us = self.limits.stretch(moment_us + self.shift_us)
        until_us = now_us if end_us is None else min(end_us - self.shift_us - 1, now_us)
        return max(self.moments.last_until(until_us) or moment_us, moment_us)

    def next_after(self, moment_us: int) -> int | None:
        """The moment after one; None after the first that lies behind the bounds for good."""
        return None if self.is_over(moment_us) else self.moments.next_after(moment_us)

    def is_over(self, moment_us: int) -> bool:
        """True for a moment that lies behind the bounds, as all do that come after it."""
        if self.limits is None:
            return False
        reason, _, end_us = self.limits.stretch(moment_us + self.shift_us)
        return reason is Reason.BOUNDS and end_us is None

    def next_allowed(self, after_us: int) -> int | None:
        """The first moment strictly after `after_us` that is not left out; None if there is none,
        or none behind thousands of exclusions."""
        moment_us = self.moments.next_after(after_us)
        for _ in range(_STRETCHES if self.limits else 0):
            assert self.limits is not None
            if moment_us is None:
                return None
            reason, _, end_us = self.limits.stretch(moment_us + self.shift_us)
            if reason is None:
                return moment_us
            if end_us is None:
                return None
            moment_us = self.moments.next_after(end_us - self.shift_us - 1)
        return None if self.limits else moment_us

    def last_allowed(self, first_us: int, last_us: int) -> int | None:
        """The latest moment in `first_us <= t <= last_us` that is not left out."""
        moment_us = self.moments.last_until(last_us)
        while self.limits and moment_us is not None and moment_us >= first_us:
            reason, start_us, _ = self.limits.stretch(moment_us + self.shift_us)
            if reason is None:
                return moment_us
            if start_us is None:
                return None
            moment_us = self.moments.last_until(start_us - self.shift_us - 1)
        return moment_us if moment_us is not None and moment_us >= first_us else None

    def count_allowed(self, first_us: int, last_us: int) -> int:
        """How many moments in `first_us <= t <= last_us` are not left out."""
        if self.limits is None:
            return self.moments.count(first_us, last_us)
        total = 0
        while first_us <= last_us:
            reason, _, end_us = self.limits.stretch(first_us + self.shift_us)
            until_us = last_us if end_us is None else min(end_us - self.shift_us - 1, last_us)
            if reason is None:
                total += self.moments.count(first_us, until_us)
            first_us = until_us + 1
        return total

    def latest_come(self, first_us: int, now_us: int) -> int:
        """The latest moment that is really due by `now_us`, as all from `first_us` on are up to it
        (one itself, which has come and is not behind the bounds); none behind the bounds."""
        end_us = now_us
        if self.limits is not None and self.limits.not_after_us is not None:
            end_us = min(now_us, self.limits.not_after_us - self.shift_us)
        latest_us = self.moments.last_until(min(now_us - self.jitter_us, end_us))
        latest_us = first_us if latest_us is None else max(latest_us, first_us)
        while self.jitter_us:  # no moment overtakes one that its own jitter still holds back
            following_us = self.moments.next_after(latest_us)
            if following_us is None or following_us > end_us or self.due_us(following_us) > now_us:
                break
            latest_us = following_us
        return latest_us


def jitter_of(name: str, moment_us: int, jitter_us: int) -> int:
    """From 0 to `jitter_us`: the same for a timer and a moment on every machine."""
    digest = blake2b(f"{name}@{moment_us}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (jitter_us + 1)
