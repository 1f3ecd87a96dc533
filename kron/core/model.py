"""The words of Kron: what a timer is, how its runs may overlap, why a moment did not run."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from .command import CommandSpec

SECOND_US = 1_000_000
DEFAULT_RETRY_DELAY_US = 30 * SECOND_US
DEFAULT_PRIORITY = 5


class Now(NamedTuple):
    """One reading of both clocks, in microseconds.

    `wall_us` counts from the epoch (UTC) and may step; `elapsed_us` never steps and counts
    suspend, from an arbitrary origin that is the same during one process. `asleep_us` is the part
    of it that the machine was suspended.
    """

    wall_us: int
    elapsed_us: int
    asleep_us: int = 0


class Kind(StrEnum):
    """How a timer's moments are given. EVERY and AFTER follow elapsed time, the others the wall."""

    CRON = "cron"
    FIELDS = "fields"
    CADENCE = "cadence"
    EVERY = "every"
    AFTER = "after"
    AT = "at"


ELAPSED_KINDS = frozenset({Kind.EVERY, Kind.AFTER})
ONE_SHOT_KINDS = frozenset({Kind.AFTER, Kind.AT})
ZONED_KINDS = frozenset({Kind.CRON, Kind.FIELDS})
"""Their moments are readings of a local clock."""
CALENDAR_KINDS = ZONED_KINDS | {Kind.CADENCE}
"""Recurring, on the wall clock."""


class Overlap(StrEnum):
    """What happens when a timer falls due while one of its runs is open."""

    DELAY = "delay"
    SKIP = "skip"
    ALLOW = "allow"
    RESTART = "restart"


class Missed(StrEnum):
    """What happens to moments that passed while nothing could fire."""

    ONCE = "once"
    ALL = "all"
    SKIP = "skip"


class Reason(StrEnum):
    """Why a due moment did not run (RUN_MISSED), or ran late (RUN_DUE)."""

    DOWN = "down"
    BLOCKED = "blocked"
    SUSPENDED = "suspended"
    CLOCK_STEP = "clock_step"
    PAUSED = "paused"
    CAPACITY = "capacity"
    DELAYED = "delayed"
    GRACE = "grace"
    CAP = "cap"
    ORPHANED = "orphaned"
    INVALID = "invalid"
    EXCLUDED = "excluded"
    BOUNDS = "bounds"
    PAST = "past"
    CHANGED = "changed"
    STOPPED = "stopped"


class Cause(StrEnum):
    """Why a run is due."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    BACKFILL = "backfill"


class Stop(StrEnum):
    """Why a run was asked to stop, or ended without a word of its own."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
    RESTART = "restart"
    SHUTDOWN = "shutdown"
    CRASHED = "crashed"
    REMOVED = "removed"


class RunState(StrEnum):
    """Where a run is in its life; `transitions.py` has the table."""

    DUE = "due"
    RUNNING = "running"
    STOPPING = "stopping"
    FAILED = "failed"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"
    MISSED = "missed"


class Mark(StrEnum):
    """What a timer's last run or its removal has left on it."""

    NONE = ""
    DEAD = "dead"
    CANCELLED = "cancelled"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a definition says besides its selector. `fn_name` is for people and is not part of the
    comparison.

    `source` is what kind of file declares the timer, "" if a program schedules it. `retry_until`
    "window" keeps the runs of a cadence's moments from being given up before their window ends.
    `lock_key` is what runs share that must not run at once (more than `key_limit` of them): the
    `key`, or the hash of the command. `allow` ignores one that nobody gave (`is_key_bound`).
    """

    timezone: str = "UTC"
    dst: str = "once"
    jitter_us: int = 0
    not_before_us: int | None = None
    not_after_us: int | None = None
    exclude: tuple[str, ...] = ()
    missed: Missed = Missed.ONCE
    grace_us: int | None = None
    overlap: Overlap = Overlap.DELAY
    max_attempts: int = 3
    retry_delay_us: int = DEFAULT_RETRY_DELAY_US
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    description: str = ""
    timeout_us: int | None = None
    weight: int = 1
    priority: int = DEFAULT_PRIORITY
    key: str = ""
    key_limit: int = 1
    executor: str = ""
    command: CommandSpec | None = None
    source: str = ""
    retry_until: str = ""
    fn_name: str = field(default="", compare=False)

    is_particular: bool = field(init=False, compare=False, default=False)
    """A moment needs more than "it has come, so it runs"."""
    lock_key: str = field(init=False, compare=False, default="")
    is_key_bound: bool = field(init=False, compare=False, default=False)

    def __post_init__(self) -> None:
        is_limited = self.not_before_us is not None or self.not_after_us is not None
        has_policy = self.missed is not Missed.ONCE or self.grace_us is not None
        is_particular = is_limited or has_policy or bool(self.exclude or self.jitter_us)
        object.__setattr__(self, "is_particular", is_particular)
        lock_key = self.key or ("" if self.command is None else self.command.hash)
        is_key_bound = bool(self.key) or (bool(lock_key) and self.overlap is not Overlap.ALLOW)
        object.__setattr__(self, "lock_key", lock_key)
        object.__setattr__(self, "is_key_bound", is_key_bound)


_DEFAULTS = {field.name: field.default for field in fields(Terms) if field.init}
_OPEN = {"args", "kwargs", "metadata"}
_PLAIN = Terms()


@dataclass(frozen=True, slots=True)
class Definition:
    """What `schedule()` was asked for, normalised. Two equal definitions are one timer unchanged.

    `value` is the cron text for CRON, the fields of a `kron.Cron` as text for FIELDS, unit and
    slot ("day 15:12") for CADENCE, microseconds for EVERY and AFTER, an instant (epoch
    microseconds) for AT.
    """

    kind: Kind
    value: str | int
    terms: Terms = _PLAIN

    @property
    def is_one_shot(self) -> bool:
        """True for AFTER and AT: the timer fires once ever."""
        return self.kind in ONE_SHOT_KINDS

    @property
    def is_elapsed(self) -> bool:
        """True for EVERY and AFTER: a step of the wall clock does not move the timer."""
        return self.kind in ELAPSED_KINDS

    @property
    def is_fixed_delay(self) -> bool:
        """True if the interval counts from the end of a run: each moment follows from the last."""
        return self.kind is Kind.EVERY and self.terms.overlap is Overlap.DELAY

    @property
    def is_single(self) -> bool:
        """True if only one moment can be pending."""
        return self.kind in ONE_SHOT_KINDS or self.is_fixed_delay

    @property
    def is_retried_on(self) -> bool:
        """True if no run of its moments is given up before the window of the moment ends, unless
        the next moment takes its place."""
        return self.kind is Kind.CADENCE and self.terms.retry_until == "window"

    @property
    def gives_way(self) -> bool:
        """True if the next moment replaces a run that only waits for a retry, and is skipped by any
        other."""
        return self.is_retried_on and self.terms.overlap is Overlap.SKIP

    @property
    def needs_zone(self) -> bool:
        """True if the moments cannot be told without the rules of the time zone."""
        return self.kind in ZONED_KINDS or bool(self.terms.exclude)

    def has_same_moments(self, other: Definition) -> bool:
        """True if both definitions name the same due moments: selector, zone, and what moves or
        leaves some out."""
        is_same = (self.kind, self.value) == (other.kind, other.value)
        return is_same and _course(self.terms) == _course(other.terms)

    def to_json(self) -> dict[str, Any]:
        """The definition as a JSON object: the selector and whatever is not its default."""
        out: dict[str, Any] = {self.kind.value: self.value}
        if self.terms is not _PLAIN:
            given = {name: getattr(self.terms, name) for name in _DEFAULTS}
            out |= {name: value for name, value in given.items() if value != _DEFAULTS[name]}
            if self.terms.command is not None:
                out["command"] = self.terms.command.to_json()
        return out

    @classmethod
    def of(cls, kind: Kind, value: str | int, given: dict[str, Any]) -> Definition:
        """The definition whose terms are `given` or have their defaults.

        Equal ones without arguments and metadata are mostly one object, which a million timers
        share, and so are their terms.
        """
        given = {name: value for name, value in given.items() if value != _DEFAULTS[name]}
        if given.keys() & _OPEN:
            return cls(kind, value, Terms(**given))
        return _shared(kind, value, **given)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Definition:
        """The inverse of `to_json`; keys of a later minor version are ignored."""
        kind = next(_KINDS[name] for name in row if name in _KINDS)
        if len(row) == 1:
            return _shared(kind, row[kind])
        given = {name: row[name] for name in _DEFAULTS if name in row}
        if "args" in given:
            given["args"] = tuple(given["args"])
        if "exclude" in given:
            given["exclude"] = tuple(given["exclude"])
        if "overlap" in given:
            given["overlap"] = Overlap(given["overlap"])
        if "missed" in given:
            given["missed"] = Missed(given["missed"])
        if "command" in given:
            given["command"] = CommandSpec.from_json(given["command"])
        return cls.of(kind, row[kind], given)


_course = attrgetter("timezone", "dst", "jitter_us", "not_before_us", "not_after_us", "exclude")


@lru_cache(maxsize=4096)
def _shared(kind: Kind, value: str | int, **given: Any) -> Definition:
    return Definition(kind, value, _shared_terms(**given))


@lru_cache(maxsize=1024)
def _shared_terms(**given: Any) -> Terms:
    return Terms(**given) if given else _PLAIN


_KINDS = {kind.value: kind for kind in Kind}
