"""An independent judge of a log: did every due moment run, or is there a reason why not?

It shares no code with Kron. It reads records as plain JSON lists, recomputes every timer's moments
by brute force over dates, and follows each timer with a cursor: what the log says next about a
timer (a run, a skip, a missed range) must begin exactly at the timer's next moment, so that nothing
is left out and nothing is said twice. `check` returns what is wrong, in words.

The log does not say when a process was killed, which callables were registered again, how much may
run at once, or what needs a thread; the caller does, with `end_us` (until then the scheduler was
awake), `orphans`, `limits` and `threaded`. Nor does it say whether an attempt that failed by its
timeout has ended, or goes on in a thread: what would be wrong in one case only is no fault.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar
from zlib import crc32
from zoneinfo import ZoneInfo

S = 1_000_000
DRIFT = 100_000
"""Wall and elapsed time may differ by this much without a CLOCK_STEP (microseconds)."""
ERA = 3 * 3600 * S
"""A larger step back of the wall clock begins a new era."""
HOUR = 3600 * S
"""Moments that are left out are told of together, but no later than this."""
CAP = 100
"""`missed="all"` runs at most so many."""
SKIP_GRACE = 60 * S
LATE = 1 * S
"""A run that is later than this says why."""
UNSAID = -1
POLICY = ("grace", "cap")
LIMITS = ("excluded", "bounds")
BESIDES = ("changed", "past", "paused", "delayed")
COUNTED = 10_000
"""Backfills of more moments need not say exactly how many are to run."""
"""Reasons of ranges that no run stands for."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIELDS = {
    "TIMER_CREATED": "timer definition at anchor next cmd",
    "TIMER_UPDATED": "timer definition at anchor next cmd",
    "TIMER_REMOVED": "timer at cmd reason",
    "TIMER_PAUSED": "timer at cmd until is_elapsed reason who",
    "TIMER_RESUMED": "timer at next cmd reason who",
    "RUN_DUE": "timer scheduled at next cause missed cmd late jitter",
    "RUN_STARTED": "timer run attempt at",
    "RUN_SUCCEEDED": "timer run attempt at scheduled started took next cause",
    "RUN_FAILED": "timer run attempt at scheduled started took error reason exit_code cause",
    "RUN_RETRYING": "timer run attempt retry",
    "RUN_DEAD": "timer run attempt at scheduled started error next cause exit_code reason",
    "RUN_SKIPPED_OVERLAP": "timer scheduled at next by cause cmd",
    "RUN_MISSED": "timer first last moments reason at next run",
    "RUN_STOPPING": "timer run at reason cmd",
    "RUN_CANCELLED": "timer run attempt at scheduled started reason next cmd cause",
    "BACKFILL_STARTED": "timer at since until next moments concurrency is_forced cmd done",
    "BACKFILL_ENDED": "timer at reason",
    "SCHEDULER_STARTED": "at boot pid version unknown",
    "SCHEDULER_STOPPED": "at boot since",
    "CLOCK_STEP": "at delta era",
    "TIMER_MOVED": "timer at next reason",
    "TAIL_CUT": "at file offset size kept",
}
ENDS = ("RUN_SUCCEEDED", "RUN_DEAD", "RUN_CANCELLED")
MOMENTS = ("RUN_DUE", "RUN_SKIPPED_OVERLAP", "RUN_MISSED")
RUNS = ("RUN_DUE", "RUN_SKIPPED_OVERLAP")
WAITING = ("due", "retrying")
RUN_OF_MISSED = 1 + FIELDS["RUN_MISSED"].split().index("run")

LOG = "kron.aof"

# -- reading a file ---------------------------------------------------------------------------


def read_records(path: str | Path) -> list[list[Any]]:
    """The records of a kron.aof: `[header, [tag, field, ...], ...]` each, up to the torn tail.

    Raises ValueError if the file is no log, or a whole record follows a broken one.
    """
    _, records, _ = _read_file(Path(path))
    return records


def read_log(data_dir: str | Path) -> list[list[Any]]:
    """The records of a whole log, from the first: of its sealed files, and of the one that grows.

    Raises ValueError as above, if a file is missing, or a sealed one does not end with its record.
    """
    sealed = [path for path in Path(data_dir).glob("kron.aof.*") if path.suffix[1:].isdigit()]
    records: list[list[Any]] = []
    for path in [*sorted(sealed, key=lambda path: int(path.suffix[1:])), Path(data_dir, LOG)]:
        base, more, is_whole = _read_file(path)
        if base != len(records):
            raise ValueError(f"{path} begins after record {base}, not {len(records)}")
        records += more
        if path.name != LOG and (len(records) != int(path.suffix[1:]) or not is_whole):
            raise ValueError(f"{path} ends with record {len(records)}")
    return records


def _read_file(path: Path) -> tuple[int, list[list[Any]], bool]:
    """The index before the first record, the records, and whether nothing follows them."""
    head, *lines = path.read_bytes().split(b"\n")
    if int(head[:8], 16) != crc32(head[9:], crc32(b"kron-log")):
        raise ValueError(f"{path}: the first line is broken")
    header = json.loads(head.split(b" ", 2)[2])
    base, seed = header["base"], crc32(header["log_id"].encode())
    records: list[list[Any]] = []
    broken = False
    for line in lines:
        try:
            is_whole = int(line[:8], 16) == crc32(line[9:], seed)
        except ValueError:
            is_whole = False
        if not is_whole:
            broken = True
        elif broken:
            raise ValueError(f"{path}: a whole record follows a broken one")
        else:
            _, index, payload = line.split(b" ", 2)
            records.append(json.loads(payload))
            if int(index) != base + len(records):
                place = base + len(records)
                raise ValueError(f"{path}: record {int(index)} stands in place {place}")
    return base, records, lines[-1:] == [b""] and len(records) == len(lines) - 1


# -- moments, by brute force over dates ---------------------------------------------------------

NAMES = {
    name: number
    for names in (
        "sun mon tue wed thu fri sat".split(),
        ". jan feb mar apr may jun jul aug sep oct nov dec".split(),
    )
    for number, name in enumerate(names)
}
NICK = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def _number(text: str) -> int:
    return NAMES[text.lower()] if text.lower() in NAMES else int(text)


def _values(text: str, low: int, high: int, *, wraps: bool = False) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = low, high
        elif "-" in span:
            first, last = (_number(each) for each in span.split("-"))
        else:
            first = _number(span)
            last = high if step else first
        if last < first and wraps:
            last += 7
        found |= set(range(first, last + 1, int(step or 1)))
    return {value % 7 for value in found} if wraps else found


class CronDays:
    """A cron expression in a zone: the moments of one local date, and what follows from them."""

    def __init__(self, text: str, zone: str, dst: str = "once") -> None:
        self.zone, self.dst = ZoneInfo(zone), dst
        self._days: dict[date, frozenset[int]] = {}
        self.times: list[timedelta] = []
        self.is_fixed = False
        self.read(text)

    def read(self, text: str) -> None:
        parts = NICK.get(text.lower(), text).split()
        parts = ["0", *parts] if len(parts) == 5 else parts
        seconds, minutes, hours, self.dom, months, self.dow = parts
        self.months = _values(months, 1, 12)
        self.set_times(hours, minutes, seconds)

    def set_times(self, hours: str, minutes: str, seconds: str) -> None:
        self.is_fixed = not any(each.startswith("*") for each in (seconds, minutes, hours))
        self.times = [
            timedelta(hours=h, minutes=m, seconds=s)
            for h in sorted(_values(hours, 0, 23))
            for m in sorted(_values(minutes, 0, 59))
            for s in sorted(_values(seconds, 0, 59))
        ]

    def next_after(self, us: int) -> int | None:
        """None: there is none within 12 years."""
        day = self._date(us) - timedelta(days=1)
        for _ in range(366 * 12):
            near = [t for d in range(3) for t in self.moments_on(day + timedelta(days=d)) if t > us]
            if near:
                return min(near)
            day += timedelta(days=1)
        return None

    def count(self, first: int, last: int) -> int:
        return sum(1 for _ in self.between(first, last))

    def between(self, first: int, last: int) -> Iterator[int]:
        """All moments from `first` to `last`, date by date."""
        day, end = self._date(first) - timedelta(days=1), self._date(last) + timedelta(days=1)
        before = frozenset[int]()
        while day <= end:
            today = self.moments_on(day)
            yield from (t for t in today - before if first <= t <= last)
            day, before = day + timedelta(days=1), today

    def has(self, us: int) -> bool:
        return self.count(us, us) == 1

    def _date(self, us: int) -> date:
        return (EPOCH + timedelta(microseconds=us)).astimezone(self.zone).date()

    def moments_on(self, day: date) -> frozenset[int]:
        if day not in self._days:
            instants = self._instants(day) if self._is_day(day) else ()
            self._days[day] = frozenset(instants)
        return self._days[day]

    def _is_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        is_dom, is_dow = _is_day_of_month(self.dom, day), _is_weekday(self.dow, day)
        if self.dom.startswith(("*", "?")) or self.dow.startswith(("*", "?")):
            return is_dom and is_dow
        return is_dom or is_dow

    def _instants(self, day: date) -> Iterator[int]:
        midnight = datetime.combine(day, time())
        offset = self._quiet_offset(midnight)
        if offset is not None:
            start = _us(midnight.replace(tzinfo=UTC)) - offset // timedelta(microseconds=1)
            yield from (start + clock // timedelta(microseconds=1) for clock in self.times)
            return
        for clock in self.times:
            shown = midnight + clock
            real = sorted({_us(shown.replace(tzinfo=self.zone, fold=f)) for f in (0, 1)})
            valid = [us for us in real if self._shows(us) == shown]
            if valid:
                yield from valid[:1] if self.is_fixed else valid
            elif self.is_fixed and self.dst == "once":
                yield self._gap_end(*real)

    def _quiet_offset(self, midnight: datetime) -> timedelta | None:
        """The zone's offset, if nobody sets the clock from the day before to the day after."""
        hours = range(-24, 49, 12)
        shown = (midnight + timedelta(hours=each) for each in hours)
        offsets = {
            each.replace(tzinfo=self.zone, fold=f).utcoffset() for each in shown for f in (0, 1)
        }
        return offsets.pop() if len(offsets) == 1 else None

    def _shows(self, us: int) -> datetime:
        return (EPOCH + timedelta(microseconds=us)).astimezone(self.zone).replace(tzinfo=None)

    def _gap_end(self, before: int, after: int) -> int:
        """The first instant with the later offset, second by second of a bisection."""
        low, high = before // S, after // S
        offset = self._shows(after) - self._shows(before) - timedelta(microseconds=after - before)
        assert offset > timedelta(0)
        while high - low > 1:
            mid = (low + high) // 2
            drift = self._shows(mid * S) - self._shows(before)
            if drift > timedelta(microseconds=mid * S - before):
                high = mid
            else:
                low = mid
        return high * S


def _us(moment: datetime) -> int:
    return (moment.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


def _last_day(day: date) -> int:
    return ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day


def _is_day_of_month(text: str, day: date) -> bool:
    last = _last_day(day)
    workdays = [d for d in range(1, last + 1) if day.replace(day=d).weekday() < 5]
    for part in text.upper().split(","):
        if part == "L":
            hit = last
        elif part == "LW":
            hit = workdays[-1]
        elif part.startswith("L-"):
            hit = last - int(part[2:])
        elif part.endswith("W"):
            wanted = int(part[:-1])
            near = [d for d in workdays if wanted <= last]
            hit = min(near, key=lambda d: (abs(d - wanted), d), default=0)
        elif day.day in _values(part, 1, 31):
            return True
        else:
            continue
        if day.day == hit:
            return True
    return False


def _is_weekday(text: str, day: date) -> bool:
    weekday = day.isoweekday() % 7
    for part in text.upper().split(","):
        if "#" in part:
            name, nth = part.split("#")
            if weekday == _number(name) % 7 and (day.day - 1) // 7 + 1 == int(nth):
                return True
        elif len(part) > 1 and part.endswith("L"):
            if weekday == _number(part[:-1]) % 7 and day.day > _last_day(day) - 7:
                return True
        elif weekday in _values(part, 0, 6, wraps=True):
            return True
    return False


class FieldDays(CronDays):
    """Named fields ("day_of_week=mon hour=9"): all of them have to match, as in APScheduler."""

    LEAST: ClassVar = {"month": "1", "day": "1", "hour": "0", "minute": "0", "second": "0"}
    ORDER = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
    WEEKDAYS = ("", "mon", "tue", "wed", "thu", "fri", "sat", "sun")

    def read(self, text: str) -> None:
        given = dict(part.split("=") for part in text.split())
        finest = max(self.ORDER.index(name) for name in given)
        for place, name in enumerate(self.ORDER):
            given.setdefault(name, "*" if place < finest else self.LEAST.get(name, "*"))
        self.fields = given
        self.years = None if given["year"] == "*" else _values(given["year"], 1970, 9999)
        self.months, self.weeks = _values(given["month"], 1, 12), _values(given["week"], 1, 53)
        self.set_times(given["hour"], given["minute"], given["second"])

    def _is_day(self, day: date) -> bool:
        if self.years is not None and day.year not in self.years:
            return False
        if day.month not in self.months or day.isocalendar().week not in self.weeks:
            return False
        days = ",".join("L" if e == "last" else e for e in self.fields["day"].split(","))
        return _is_day_of_month(days, day) and any(
            self._is_weekday(part, day) for part in self.fields["day_of_week"].split(",")
        )

    def _is_weekday(self, part: str, day: date) -> bool:
        today = day.isoweekday()
        if "#" in part:
            name, nth = part.split("#")
            return self.WEEKDAYS[today] == name and (day.day - 1) // 7 + 1 == int(nth)
        if len(part) == 4 and part.endswith("l"):
            return self.WEEKDAYS[today] == part[:3] and day.day > _last_day(day) - 7
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if first == "*":
            low, high = 1, 7
        else:
            low = self.WEEKDAYS.index(first)
            high = self.WEEKDAYS.index(last) if last else 7 if step else low
        high += 7 if high < low else 0
        return today in {(n - 1) % 7 + 1 for n in range(low, high + 1, int(step or 1))}


class SlotDays(CronDays):
    """A cadence ("week sun 15:12"): one slot in each minute, hour, day, week or month of UTC."""

    def read(self, text: str) -> None:
        self.unit, *self.where, clock = text.split()
        hour, minute = clock.split(":")
        if self.unit == "minute":
            self.set_times("*", "*", minute)
        else:
            self.set_times("*" if self.unit == "hour" else hour, minute, "0")

    def _is_day(self, day: date) -> bool:
        if self.unit == "week":
            return FieldDays.WEEKDAYS[day.isoweekday()] == self.where[0]
        return self.unit != "month" or day.day == int(self.where[0])


DAYS = {"cron": CronDays, "fields": FieldDays, "cadence": SlotDays}


def cron_days(text: str, zone: str, dst: str = "once") -> CronDays:
    return days_of("cron", text, zone, dst)


@lru_cache(maxsize=256)
def days_of(kind: str, text: str, zone: str, dst: str) -> CronDays:
    return DAYS[kind](text, zone, dst)


# -- what a definition leaves out -----------------------------------------------------------


@lru_cache(maxsize=1024)
def day_starts(zone: str, day: date) -> int:
    """The first instant of a local date (of the next one, if the zone leaves the date out)."""
    return _us(datetime.combine(day, time(), ZoneInfo(zone)))


@lru_cache(maxsize=4096)
def is_excluded(day: date, exclude: tuple[str, ...]) -> bool:
    for item in exclude:
        first, _, last = item.partition("..")
        if item == FieldDays.WEEKDAYS[day.isoweekday()]:
            return True
        if item[0].isdigit() and first <= day.isoformat() <= (last or first):
            return True
    return False


# -- how long a run is tried ----------------------------------------------------------------


def window_end(unit: str, us: int) -> int:
    """The end of the minute, hour, day, week (from Monday) or month (UTC) that it is in."""
    if unit in ("minute", "hour"):
        length = 60 * S if unit == "minute" else HOUR
        return us - us % length + length
    day = (EPOCH + timedelta(microseconds=us)).date() + timedelta(days=1)
    while (unit == "week" and day.isoweekday() > 1) or (unit == "month" and day.day > 1):
        day += timedelta(days=1)
    return _us(datetime.combine(day, time(), UTC))


def longest_wait(run: Run) -> int:
    """How long the wait for the next attempt is at most."""
    definition = run.timer.definition
    base, most = int(definition.get("retry_delay_us", 30 * S)), HOUR
    if definition.get("retry_until"):
        unit = str(run.timer.value).split()[0]
        most = {"minute": 60 * S // 24, "hour": HOUR // 24}.get(unit, HOUR)
    return min(base * 2 ** (run.attempt - 1), max(base, most)) * 11 // 10 + 1


# -- following one log ----------------------------------------------------------------------


Instant = tuple[int, int]
"""On the wall clock, and without the steps that it made."""


@dataclass
class Held:
    """What an attempt that is under way has taken."""

    weight: int
    key: str


@dataclass
class Backfill:
    """`left`: all its moments, of which those that have had no run are to run (all, if it is
    forced); None: they are not known. `is_at_last`: its last run is due; a moment that is set free
    after that is for a later one."""

    since: int
    until: int
    left: list[int] | None
    concurrency: int
    is_forced: bool
    latest: int | None = None
    is_at_last: bool = False


@dataclass
class Run:
    timer: Timer
    scheduled: int
    cause: str
    shift: int
    due: int
    state: str = "due"
    began: int = 0
    timeout: int | None = None
    is_forced: bool = False
    attempt: int = 1
    is_left: bool = False
    not_before: int = 0
    started: int | None = None
    reason: str = ""
    swallowed: int | None = None  # the latest slot that was skipped because of it


@dataclass
class Timer:
    """`cursor`: the next moment nothing was said about, on the timer's own clock. None: there is
    none, or the end of the run `chain` decides it."""

    name: str
    definition: dict[str, Any] = field(default_factory=dict)
    anchor: int = 0
    cursor: int | None = None
    chain: int | None = None
    claimed: int | None = None
    paused: bool = False
    removed: bool = False
    mixed: bool = False
    past: bool = False
    before_era: int | None = None
    is_settled: bool = False
    is_waiting: bool = False
    bound: Instant | None = None
    freed: int | None = None
    paused_at: int = 0
    until: int | None = None
    is_until_elapsed: bool = False
    shown: int = 0  # what the wall clock has to show at the end of the pause
    resumed: int | None = None
    was_chain: bool = False
    open: list[int] = field(default_factory=list)
    lingers: dict[tuple[int, int], Held] = field(default_factory=dict)
    backfills: list[Backfill] = field(default_factory=list)
    ran: dict[bool, set[int]] = field(default_factory=lambda: {True: set(), False: set()})
    unsure: set[int] = field(default_factory=set)

    @property
    def kind(self) -> str:
        kinds = ("cron", "fields", "cadence", "every", "after", "at")
        return next(kind for kind in kinds if kind in self.definition)

    @property
    def value(self) -> Any:
        return self.definition[self.kind]

    @property
    def zone(self) -> str:
        return str(self.definition.get("timezone", "UTC"))

    @property
    def overlap(self) -> str:
        return str(self.definition.get("overlap", "delay"))

    @property
    def policy(self) -> str:
        return str(self.definition.get("missed", "once"))

    @property
    def grace(self) -> int | None:
        default = SKIP_GRACE if self.policy == "skip" else None
        return self.definition.get("grace_us", default)

    @property
    def weight(self) -> int:
        return int(self.definition.get("weight", 1))

    @property
    def priority(self) -> int:
        return int(self.definition.get("priority", 5))

    @property
    def key(self) -> str:
        command = self.definition.get("command")
        return self.definition.get("key") or ("" if command is None else json.dumps(command))

    @property
    def key_limit(self) -> int:
        return int(self.definition.get("key_limit", 1))

    @property
    def is_key_bound(self) -> bool:
        return bool(self.definition.get("key") or (self.key and self.overlap != "allow"))

    @property
    def is_vague(self) -> bool:
        """Whether the log does not tell exactly which moments of the past have had a run: those of
        a fixed delay are on no grid, and a clock step moves the limits of an interval."""
        is_moved = self.is_elapsed and self.definition.keys() & {
            "exclude", "not_before_us", "not_after_us",
        }  # fmt: skip
        return bool(self.was_chain or is_moved)

    @property
    def jitter(self) -> int:
        return int(self.definition.get("jitter_us", 0))

    @property
    def selector(self) -> tuple[Any, ...]:
        keys = ("dst", "jitter_us", "not_before_us", "not_after_us", "exclude")
        return self.kind, self.value, self.zone, *map(self.definition.get, keys)

    @property
    def is_elapsed(self) -> bool:
        return self.kind in ("every", "after")

    @property
    def is_one_shot(self) -> bool:
        return self.kind in ("after", "at")

    @property
    def is_calendar(self) -> bool:
        return self.kind in DAYS

    @property
    def is_retried_on(self) -> bool:
        return self.kind == "cadence" and self.definition.get("retry_until") == "window"

    @property
    def gives_way(self) -> bool:
        """Whether a slot replaces a run that waits for its retry."""
        return self.is_retried_on and self.overlap == "skip"

    @property
    def is_chain(self) -> bool:
        return self.kind == "every" and self.overlap == "delay"

    @property
    def days(self) -> CronDays:
        zone = "UTC" if self.kind == "cadence" else self.zone
        return days_of(self.kind, self.value, zone, self.definition.get("dst", "once"))

    def next_after(self, us: int) -> int | None:
        if self.is_calendar:
            return self.days.next_after(us)
        if self.kind == "every":
            return self.anchor + (max(us - self.anchor, 0) // self.value + 1) * self.value
        return None

    def has(self, us: int) -> bool:
        return not self.is_calendar or self.days.has(us)

    def grid(self, first: int, last: int) -> list[int] | None:
        """All moments from `first` to `last`, ascending; None: too many."""
        if self.is_calendar:
            found: list[int] = []
            for us in self.days.between(first, last):
                found.append(us)
                if len(found) > COUNTED:
                    return None
            return sorted(found)
        start = first + (self.anchor - first) % self.value
        return (
            list(range(start, last + 1, self.value))
            if last - first < COUNTED * self.value
            else None
        )

    # -- what is left out: `shift` leads from the timer's own clock to the wall -----------------

    def left_out(self, us: int, shift: int) -> str:
        """Why a moment is left out: "bounds", "excluded", or "" if it is not."""
        wall = us + (shift if self.is_elapsed else 0)
        first, last = self.definition.get("not_before_us"), self.definition.get("not_after_us")
        if (first is not None and wall < first) or (last is not None and wall > last):
            return "bounds"
        if "exclude" not in self.definition:
            return ""
        day = (EPOCH + timedelta(microseconds=wall)).astimezone(ZoneInfo(self.zone)).date()
        return "excluded" if is_excluded(day, tuple(self.definition["exclude"])) else ""

    def is_early(self, us: int, shift: int) -> bool:
        """Whether it lies before the bounds."""
        first = self.definition.get("not_before_us")
        return first is not None and us + (shift if self.is_elapsed else 0) < first

    def is_over(self, us: int, shift: int) -> bool:
        """Whether it lies behind the bounds."""
        last = self.definition.get("not_after_us")
        return last is not None and us + (shift if self.is_elapsed else 0) > last

    def waits_for(self, shift: int) -> int | None:
        """The moment it waits for: those before the bounds are told of with the first in them."""
        if self.cursor is None or not self.left_out(self.cursor, shift):
            return self.cursor
        if not self.is_early(self.cursor, shift):  # others are told of once for those of an hour
            if self.is_over(self.cursor, shift):
                return self.cursor
            return self.first_allowed(self.cursor, self.cursor + HOUR, shift)
        first = self.definition["not_before_us"] - (shift if self.is_elapsed else 0)
        return self.next_after(first - 1)

    def first_allowed(self, first: int, last: int, shift: int) -> int:
        """The first moment from `first` on that is not left out, or `last`."""
        if self.is_calendar:
            good = (t for t in self.days.between(first, last) if not self.left_out(t, shift))
        else:
            steps = range(first, last, self.value)
            good = (t for t in steps if not self.left_out(t, shift))
        return min(good, default=last)

    def moments(self, first: int, last: int) -> int:
        """How many moments there are from `first` (one itself) to `last`; 0 if `last` is none."""
        if first == last:
            return 1
        if self.is_calendar:
            return self.days.count(first, last) if self.days.has(last) else 0
        if self.kind == "every" and last > first and (last - first) % self.value == 0:
            return (last - first) // self.value + 1
        return 0

    def allowed(self, first: int, last: int, shift: int) -> tuple[int, int | None]:
        """How many moments from `first` (one itself) to `last` are not left out; the latest."""
        if first == last:
            return (0, None) if self.left_out(first, shift) else (1, first)
        if self.is_calendar:
            good = [t for t in self.days.between(first, last) if not self.left_out(t, shift)]
            return len(good), max(good, default=None)
        return self._allowed_of_every(first, last, shift)

    def _allowed_of_every(self, first: int, last: int, shift: int) -> tuple[int, int | None]:
        early, late = self.definition.get("not_before_us"), self.definition.get("not_after_us")
        low = first if early is None else max(first, early - shift)
        high = last if late is None else min(last, late - shift)
        total, latest = 0, None
        for start, end in self._open_days(low, high, shift):
            least, most = -(-(start - first) // self.value), (end - first) // self.value
            if least <= most:
                total, latest = total + most - least + 1, first + most * self.value
        return total, latest

    def _open_days(self, low: int, high: int, shift: int) -> Iterator[tuple[int, int]]:
        """The parts of the own clock from `low` to `high` that no excluded day covers."""
        exclude = tuple(self.definition.get("exclude", ()))
        if not exclude:
            yield low, high
            return
        zone = ZoneInfo(self.zone)
        day = (EPOCH + timedelta(microseconds=low + shift)).astimezone(zone).date()
        while (start := day_starts(self.zone, day) - shift) <= high:
            end = day_starts(self.zone, day + timedelta(days=1)) - shift - 1
            if not is_excluded(day, exclude):
                yield max(start, low), min(end, high)
            day += timedelta(days=1)


@dataclass
class Life:
    """One process, as far as the log knows it."""

    started: Instant
    unknown: tuple[str, ...] = ()
    ended: Instant | None = None
    stop_began: Instant | None = None

    def until(self, at: int) -> Life:
        """The same by a wall clock that was set back to `at`: all of it was before that."""
        times = (self.started, self.ended, self.stop_began)
        started, *rest = ((min(t[0], at), t[1]) if t else None for t in times)
        assert started is not None
        return Life(started, self.unknown, *rest)


@dataclass
class Ranges:
    """What a decision has let go so far: the latest moment that might have run."""

    latest: int | None = None
    reasons: list[str] = field(default_factory=list)


class Judge:
    """Folds a log event by event and writes down what is wrong."""

    def __init__(
        self, limits: Mapping[int, int | None] | None = None, threaded: Collection[str] = ()
    ) -> None:
        self.limits, self.threaded = limits or {}, threaded
        self.limit: int | None = None
        self.held: dict[tuple[int, int], Held] = {}
        self.gone: dict[tuple[int, int], Held] = {}
        self.line: list[int] = []
        self.redefined: set[str] = set()
        self.faults: list[str] = []
        self.timers: dict[str, Timer] = {}
        self.runs: dict[int, Run] = {}
        self.touched: list[Timer] = []
        self.row: list[tuple[str, dict[str, Any]]] = []
        self.rows: list[list[Any]] = []
        self.given_up: list[tuple[int, str]] = []
        self.place = self.era_place = 0
        self.shift = 0
        self.lives: list[Life] = []
        self.jitters: dict[tuple[Any, ...], int] = {}
        self.ranges: dict[str, Ranges] = {}
        self.stepped: Instant | None = None
        self.looks: list[tuple[int, int]] = []
        self.high, self.steady, self.era_began = 0, 0, 0
        self.is_up = False
        self.has_era = False
        self.known: set[str] = set()

    @property
    def started(self) -> int | None:
        """When the latest process started (wall time), in the present era."""
        return self.lives[-1].started[0] if self.lives else None

    def fault(self, text: str) -> None:
        index, position = divmod(self.place, 4096)
        self.faults.append(f"record {index}, event {position}: {text}")

    def own(self, timer: Timer, wall: int) -> int:
        return wall - self.shift if timer.is_elapsed else wall

    def both(self, wall: int) -> Instant:
        return wall, wall - self.shift

    def record(self, index: int, record: list[Any]) -> None:
        self.touched, self.rows, self.ranges = [], record[1:], {}
        self.line, self.redefined = self.waiting(), set()
        self.row = [
            (tag, dict(zip(FIELDS[tag].split(), fields, strict=False)))
            for tag, *fields in record[1:]
            if tag in FIELDS
        ]
        for position, (tag, *fields) in enumerate(self.rows):
            self.place = index * 4096 + position
            if tag in FIELDS:
                event = dict(zip(FIELDS[tag].split(), fields, strict=False))
                self.event(tag, event, [each[0] for each in self.rows[position + 1 :]])
        self.place += 1
        for timer in self.touched:
            self.verify(timer)
            self.settle(timer)
        for at in [event["at"] for _, event in self.row if "at" in event][-1:]:
            self.looks = [*self.looks[-63:], self.both(at)]
            self.high, self.steady = max(self.high, at), max(self.steady, at - self.shift)

    def verify(self, timer: Timer) -> None:
        """What was last said to come next is what comes next."""
        # A run that ends between the step and its TIMER_MOVED says what was.
        is_so = timer.claimed in (None, timer.cursor, timer.before_era)
        if not is_so and timer.claimed != timer.waits_for(self.shift):
            self.fault(f"{timer.name}: next is said to be {timer.claimed}, not {timer.cursor}")
        timer.claimed = None

    def event(self, tag: str, event: dict[str, Any], rest: list[str]) -> None:
        handler = getattr(self, f"on_{tag.lower()}", None)
        if tag == "TIMER_CREATED":
            self.on_timer_created(event)
        elif tag.startswith(("TIMER_", "BACKFILL_")) or (tag in MOMENTS and not event.get("run")):
            timer = self.timers.get(event["timer"])
            if timer is None:
                self.fault(f"{tag} of the unknown timer {event['timer']}")
                return
            self.touched.append(timer)
            handler(timer, event)
        elif tag.startswith("RUN_"):
            run = self.runs.get(event["run"])
            if run is None or run.timer.name != event["timer"]:
                self.fault(f"{tag} of the unknown run {event['run']}")
                return
            self.touched.append(run.timer)
            if tag == "RUN_FAILED" and rest[:1] not in (["RUN_RETRYING"], ["RUN_DEAD"]):
                self.fault(f"RUN_FAILED of run {event['run']} decides nothing")
            (self.on_no_room if tag == "RUN_MISSED" else handler)(run, event)
        elif handler:
            handler(event)

    def passed_by(self, timer: Timer, wall: int) -> int:
        """Up to which moment of the timer all has certainly come at `wall`."""
        return self.own(timer, wall) - DRIFT - timer.jitter

    # -- the scheduler ---------------------------------------------------------------------

    def on_scheduler_started(self, event: dict[str, Any]) -> None:
        at = event["at"]
        if at - self.shift < self.steady - DRIFT:
            self.fault("the clock went back while nobody was there, and nothing says so")
        for life in self.lives[-1:]:
            if life.ended is None:  # it died
                seen = self.looks[-1] if self.looks else self.both(at)
                life.ended = (min(seen[0], at), max(seen[1], self.steady))
        self.given_up = []
        unknown = tuple((event.get("unknown") or "").split())
        self.lives = [*self.lives[-63:], Life(self.both(at), unknown)]
        self.stepped, self.is_up = None, True
        self.has_era = any(each.get("era") for _, each in self.row)
        self.limit, self.held, self.gone = self.limits.get(event["pid"]), {}, {}
        for timer in self.timers.values():
            timer.bound = timer.freed = None
            timer.is_settled = False
            timer.lingers = {}
        for run in self.runs.values():
            run.is_left = run.state in ("running", "stopping")

    def on_scheduler_stopped(self, event: dict[str, Any]) -> None:
        self.is_up = False
        self.blame_given_up(event["since"])
        for life in self.lives[-1:]:
            life.ended, life.stop_began = self.both(event["at"]), self.both(event["since"])
        left = [id_ for id_, run in self.runs.items() if run.state in ("running", "stopping")]
        if left:
            self.fault(f"the scheduler stopped while runs {left} were carried out")

    def blame_given_up(self, until: int | None = None) -> None:
        """What was given up for a new schedule might have run, if the process was there and not
        about to stop. Both are known afterwards: so it was `until` then (None: until now)."""
        told, self.given_up = self.given_up, []
        self.faults += [text for at, text in told if until is None or at < until]

    def on_clock_step(self, event: dict[str, Any]) -> None:
        self.shift += event["delta"]
        self.stepped = self.both(event["at"])
        is_era = bool(event.get("era"))
        if is_era != (event["delta"] < -ERA):
            self.fault("a new era begins after a step back of more than 3 h, and only then")
        for timer in self.timers.values():
            until = None if timer.is_until_elapsed or not timer.is_elapsed else timer.until
            if until is not None and event["at"] - event["delta"] < until <= event["at"]:
                # The step has ended its pause: in elapsed time that is now.
                timer.until, timer.is_until_elapsed = event["at"] - self.shift, True
        if event["delta"] < 0:
            self.lives = [life.until(event["at"]) for life in self.lives]
        if is_era:
            self.begin_era(event["at"])

    def begin_era(self, at: int) -> None:
        """The calendar starts anew: what has not come by the new time comes (again)."""
        self.high, self.has_era, self.era_began = at, True, at - self.shift
        for timer in self.timers.values():
            for backfill in timer.backfills:
                backfill.left = None
            has_come = timer.cursor is not None and timer.cursor <= at
            since = self.outlived_an_era(timer)
            if not timer.is_calendar or (has_come and since is None):
                continue
            cursor = timer.next_after(at if since is None else min(at, since))
            is_over = cursor is not None and timer.is_over(cursor, self.shift)
            timer.before_era = timer.cursor
            timer.cursor = None if is_over and timer.cursor is None else cursor
            timer.claimed = None
        self.era_place = self.place

    def outlived_an_era(self, timer: Timer) -> int | None:
        """The moment of the run that keeps it waiting since before the latest era. What that one,
        whose clock was wrong too, has passed before it need not be told of."""
        old = [self.runs[run] for run in timer.open if run < self.era_place]
        old = [run for run in old if run.cause == "schedule" and timer.is_waiting]
        return max((run.scheduled for run in old), default=None)

    def on_timer_moved(self, timer: Timer, event: dict[str, Any]) -> None:
        tags = [tag for tag, _ in self.row]
        if event["reason"] == "clock_step":
            is_so = timer.is_calendar and self.has_era
        else:
            is_so = event["reason"] == "zone" and "SCHEDULER_STARTED" in tags
            cursor = timer.cursor
            if is_so and cursor is not None and cursor > event["at"] and not timer.has(cursor):
                timer.cursor = timer.next_after(max(event["at"], self.high))
        if not is_so:
            self.fault(f"{timer.name}: moved ({event['reason']}) for no reason")
        timer.before_era = None
        self.claim(timer, event)

    def is_unknown(self, timer: Timer, life: Life) -> bool:
        """Whether the timer could not be told the time in that life."""
        needs = timer.kind in ("cron", "fields") or bool(timer.definition.get("exclude"))
        return needs and timer.zone in life.unknown

    # -- timers ----------------------------------------------------------------------------

    def on_timer_created(self, event: dict[str, Any]) -> None:
        name = event["timer"]
        if name in self.timers:
            self.fault(f"{name} is created and was there")
        timer = self.timers[name] = Timer(name)
        self.touched.append(timer)
        timer.bound = self.both(event["at"]) if self.is_up else None
        self.define(timer, event)
        self.known.add(name)

    def define(self, timer: Timer, event: dict[str, Any]) -> None:
        timer.definition = event["definition"]
        timer.mixed |= timer.overlap == "allow"
        timer.was_chain |= timer.is_chain
        timer.anchor = self.own(timer, event["anchor"])
        timer.chain, timer.past = None, False
        if timer.kind == "after":
            timer.cursor = timer.anchor + timer.value
        elif timer.kind == "at":
            timer.past = timer.value < event["anchor"] - 60 * S
            timer.cursor = timer.value
        else:
            # Of the calendar no moment comes again that this era has seen with that name.
            is_again = timer.is_calendar and timer.name in self.known
            ran = [each["scheduled"] for each in self.ran_here(timer)] if is_again else []
            timer.cursor = timer.next_after(max(timer.anchor, self.high if is_again else 0, *ran))
        self.claim(timer, event)

    def on_timer_updated(self, timer: Timer, event: dict[str, Any]) -> None:
        old, was_chain = timer.selector, timer.is_chain
        self.settle(timer)
        self.redefined.add(timer.name)
        self.take_key(timer, Timer("", event["definition"]).key)
        if self.is_up and timer.bound is None:
            timer.bound = self.both(event["at"])
        new = Timer("", event["definition"])
        if new.selector != old:
            is_same = timer.kind == "at" == new.kind and timer.value == new.value
            was_pending = timer.cursor is not None
            if not is_same:
                self.all_said(timer, event["at"])
                self.verify(timer)
            if timer.backfills:
                self.fault(f"{timer.name}: a backfill goes on, though the moments are others")
            self.define(timer, event)
            if is_same:  # it fires once ever
                timer.cursor, timer.past = timer.value if was_pending else None, False
            return
        timer.definition = event["definition"]
        timer.mixed |= timer.overlap == "allow"
        timer.was_chain |= timer.is_chain
        anchor = self.own(timer, event["anchor"])
        follows = timer.cursor is not None and timer.cursor - anchor == timer.value
        late = abs(anchor - self.own(timer, event["at"]))
        # Nothing is pending: an open run was to decide it, or it was given up just now.
        waits = timer.chain is not None or (was_chain and timer.cursor is None)
        begins = waits and late <= DRIFT
        is_rate = was_chain and not timer.is_chain
        is_anchored = timer.kind in ("every", "after")  # to the others it means nothing
        if is_anchored and anchor != timer.anchor and not (is_rate and (follows or begins)):
            self.fault(f"{timer.name}: the anchor moved")
        timer.anchor = anchor
        if is_rate and waits:
            timer.chain, timer.cursor = None, anchor + timer.value
        self.claim(timer, event)

    def all_said(self, timer: Timer, at: int) -> None:
        cursor = timer.waits_for(self.shift)
        if cursor is not None and cursor <= self.passed_by(timer, at) and not timer.past:
            self.fault(f"{timer.name}: nothing is said about {cursor}, and now it is too late")

    def on_timer_removed(self, timer: Timer, event: dict[str, Any]) -> None:
        self.all_said(timer, event["at"])
        self.verify(timer)
        timer.removed = True
        self.gone |= timer.lingers
        self.known.discard(timer.name)
        timer.cursor = timer.chain = None
        del self.timers[timer.name]

    def on_timer_paused(self, timer: Timer, event: dict[str, Any]) -> None:
        until, is_elapsed = event.get("until"), bool(event.get("is_elapsed"))
        if timer.paused and until is None and not event.get("reason"):
            self.fault(f"{timer.name}: paused twice")
        if not timer.paused:
            timer.paused, timer.paused_at = True, event["at"] - self.shift
        timer.until = until - self.shift if until is not None and is_elapsed else until
        timer.is_until_elapsed = is_elapsed
        timer.shown = 0 if until is None or is_elapsed else until

    def until(self, timer: Timer) -> int | None:
        """When the pause of the timer ends by itself, on the timer's own clock."""
        if timer.until is None:
            return None
        wall = timer.until + (self.shift if timer.is_until_elapsed else 0)
        return self.own(timer, wall)

    def pause_end(self, timer: Timer, at: int) -> int:
        """When the pause ended that is ended at `at`: nobody may have been there in time."""
        until, now = self.until(timer), self.own(timer, at)
        return now if until is None else min(until, now)

    def on_timer_resumed(self, timer: Timer, event: dict[str, Any]) -> None:
        if not timer.paused:
            self.fault(f"{timer.name}: resumed without a pause")
        until = self.until(timer)
        if event.get("reason") == "until" and (
            until is None or until > self.own(timer, event["at"]) + DRIFT
        ):
            self.fault(f"{timer.name}: its pause is not over")
        timer.resumed = self.pause_end(timer, event["at"])
        timer.paused, timer.until = False, None
        self.claim(timer, event)
        cursor, at = timer.waits_for(self.shift), timer.resumed - DRIFT - timer.jitter
        waits = timer.is_one_shot or (event["next"] is None and timer.open)
        waits = waits or bool(timer.cursor and timer.left_out(timer.cursor, self.shift))
        if cursor is not None and not waits and cursor <= at:
            self.fault(f"{timer.name}: resumed with {cursor} unexplained")

    def claim(self, timer: Timer, event: dict[str, Any]) -> None:
        """An event says what comes next; at the end of the record it must be so.

        Where the next moment counts from the event itself, what it says is taken if it is near.
        """
        if event.get("next") not in (None, UNSAID):
            timer.is_waiting = False
            timer.claimed = self.own(timer, event["next"])
            near = timer.cursor is not None and abs(timer.claimed - timer.cursor) <= DRIFT
            counts_from = event["at"] + timer.value if timer.is_chain else None
            if near and counts_from and timer.cursor == self.own(timer, counts_from):
                timer.cursor = timer.claimed

    # -- moments ---------------------------------------------------------------------------

    def say(self, timer: Timer, wall: int, what: str) -> int:
        """Something is said about the moment at `wall`: it must be the timer's next one."""
        us = self.own(timer, wall)
        if what != "a delay of":  # the end of the run, just before, has said what follows it
            self.verify(timer)
        if us != timer.cursor:
            self.fault(f"{timer.name}: {what} {us}, but its next moment is {timer.cursor}")
        timer.cursor = timer.next_after(us)
        return us

    def on_run_due(self, timer: Timer, event: dict[str, Any]) -> None:
        said = (event["scheduled"], event["cause"], self.shift, event["at"])
        run = self.runs[self.place] = Run(timer, *said)
        run.not_before = event["at"] - self.shift
        jitter = event.get("jitter", 0)
        is_past = run.cause == "backfill"  # it was, when it was asked for
        if event["at"] < event["scheduled"] + jitter - self.tolerance(timer) and not is_past:
            self.fault(f"{timer.name}: a run is early")
        if not self.is_up and run.cause == "schedule":
            self.fault(f"{timer.name}: a moment runs while nobody is there")
        others = [each for each in timer.open if not self.is_of_this_decision(each)]
        others = [each for each in others if self.runs[each].cause != "backfill"]
        if run.cause == "backfill":
            self.check_backfill(timer, run, event)
        elif timer.overlap == "skip" and others:
            self.fault(f"{timer.name}: a run is due while one is open")
        elif timer.overlap == "restart" and any(self.runs[o].state != "stopping" for o in others):
            self.fault(f"{timer.name}: a run is due, and {others} are not stopped")
        timer.open.append(self.place)
        if run.cause != "schedule":
            if jitter or event.get("late"):
                self.fault(f"{timer.name}: a run that is asked for is not late")
            return
        if timer.paused or timer.past or self.is_unknown(timer, self.lives[-1]):
            self.fault(f"{timer.name}: a run is due that must not be")
        if timer.overlap == "delay" and others and not self.is_there("TIMER_UPDATED", timer):
            self.fault(f"{timer.name}: a run is due while one is open")
        us = self.say(timer, event["scheduled"], "a run for")
        timer.ran[timer.is_elapsed].add(us)
        self.check_delay(timer, us, event)
        self.check_policy(timer, us, event, jitter)
        wanted = 0 if timer.policy == "all" else self.just_missed(timer)
        if event["missed"] != wanted:
            self.fault(f"{timer.name}: a run stands for {event['missed']} missed moments")
        if timer.bound is None:
            timer.bound = self.both(event["at"])
        self.check_next(timer, event)

    def tolerance(self, timer: Timer) -> int:
        return DRIFT if timer.is_elapsed else 0

    def is_of_this_decision(self, run: int) -> bool:
        return run // 4096 == self.place // 4096 and self.runs[run].cause == "schedule"

    def ran_here(self, timer: Timer, *tags: str) -> list[dict[str, Any]]:
        """The scheduled moments of the timer that run (or are skipped) in this record, by what it
        is before the present event, or at it."""
        position = self.place % 4096
        changes = [i for i, row in enumerate(self.rows) if row[:2] == ["TIMER_UPDATED", timer.name]]
        start = max((place for place in changes if place < position), default=0)
        end = min((place for place in changes if place >= position), default=len(self.rows))
        mine = (
            dict(zip(FIELDS[row[0]].split(), row[1:], strict=False))
            for row in self.rows[start:end]
            if row[0] in (tags or RUNS) and row[1] == timer.name
        )
        return [event for event in mine if event["cause"] == "schedule"]

    def check_delay(self, timer: Timer, us: int, event: dict[str, Any]) -> None:
        """What was asked for of a delay, and a reason for the rest of it."""
        jitter, late = event.get("jitter", 0), event.get("late", "")
        if not 0 <= jitter <= timer.jitter:
            self.fault(f"{timer.name}: jitter {jitter} of at most {timer.jitter}")
        if self.jitters.setdefault((timer.name, us, timer.jitter), jitter) != jitter:
            self.fault(f"{timer.name}: another jitter for the same moment")
        by, tolerance = self.own(timer, event["at"]) - us - jitter, self.tolerance(timer)
        if (by > LATE + tolerance and not late) or (by <= LATE - tolerance and late):
            self.fault(f"{timer.name}: a run is {by} late ({late})")
        if late and not self.explains(timer, late, event["scheduled"], event["scheduled"], event):
            self.fault(f"{timer.name}: late ({late}) is not plausible")

    def check_policy(self, timer: Timer, us: int, event: dict[str, Any], jitter: int) -> None:
        """The moment may be run (or skipped), and it is the one that should be."""
        out, now = timer.left_out(us, self.shift), self.own(timer, event["at"])
        if out:
            self.fault(f"{timer.name}: {us} runs, but is left out ({out})")
        if timer.grace is not None and now - us - jitter > timer.grace + self.tolerance(timer):
            self.fault(f"{timer.name}: {us} runs, later than its grace")
        if timer.policy != "all":
            self.all_come(timer, us, event["at"])
        elif len(self.ran_here(timer)) > CAP:
            self.fault(f"{timer.name}: more than {CAP} moments are caught up")
        self.ranges.pop(timer.name, None)

    def all_come(self, timer: Timer, us: int, at: int) -> None:
        """After the last run of a decision there is no moment left that has come and may run."""
        following, horizon = timer.next_after(us), self.passed_by(timer, at)
        if timer.is_chain or following is None or following > horizon:
            return
        if timer.allowed(following, max(horizon, following), self.shift)[0]:
            self.fault(f"{timer.name}: {us} runs, but later ones have passed")

    def check_next(self, timer: Timer, event: dict[str, Any]) -> None:
        """Under `delay` the end of a single run says what comes next; of several runs each does."""
        several = len(self.ran_here(timer, "RUN_DUE")) > 1
        waits = timer.overlap == "delay" and (timer.is_chain or not several)
        timer.is_waiting = waits
        if event["next"] is not None and (waits or timer.is_one_shot):
            self.fault(f"{timer.name}: next is said too soon")
        if timer.is_chain:
            timer.cursor, timer.chain = None, self.place
            return
        if event["next"] is None and not waits and timer.cursor is not None:
            self.fault(f"{timer.name}: nothing says that {timer.cursor} is next")
        self.claim(timer, event)

    def settle(self, timer: Timer) -> None:
        """At the end of a record, or of what the timer is: what is caught up one by one is caught
        up to the end."""
        ran = self.ran_here(timer)
        tags = [tag for tag, event in self.row if event.get("timer") == timer.name]
        timer.is_settled |= bool(ran) or (self.is_up and "TIMER_CREATED" in tags)
        if ran and timer.policy == "all" and not timer.removed and not timer.is_one_shot:
            self.all_come(timer, self.own(timer, ran[-1]["scheduled"]), ran[-1]["at"])

    def just_missed(self, timer: Timer) -> int:
        """How many moments the ranges right before this event count that a run stands for."""
        total, position = 0, self.place % 4096
        while position and is_restart(self.rows[position - 1], timer.name):
            position -= 1
        while position and self.rows[position - 1][0] == "RUN_MISSED":
            position -= 1
            if is_end(self.rows[position]):
                break
            name, _, _, moments, reason = self.rows[position][1:6]
            if name == timer.name and reason not in (*BESIDES, *LIMITS):
                total += moments
        return total

    def on_run_skipped_overlap(self, timer: Timer, event: dict[str, Any]) -> None:
        if timer.overlap != "skip" or not self.is_in_the_way(timer, event["by"]):
            self.fault(f"{timer.name}: skipped, but no run was in the way")
        if event["cause"] == "schedule":
            self.check_swallowed(timer, event)
            us = self.say(timer, event["scheduled"], "a skip of")
            self.check_policy(timer, us, event, timer.jitter)
            if event["next"] is None and timer.cursor is not None:
                self.fault(f"{timer.name}: nothing says that {timer.cursor} is next")
            self.claim(timer, event)

    def check_swallowed(self, timer: Timer, event: dict[str, Any]) -> None:
        """A slot that is retried on is skipped because of a run that waits for its retry only if
        something else was in its way, too. The run stands for the slot."""
        by = self.runs.get(event["by"])
        if by is None or event["by"] not in timer.open:
            return
        by.swallowed = event["scheduled"]
        open_ = [self.runs[each] for each in timer.open]
        is_waiting = {each.state for each in open_ if each.cause != "backfill"} == {"retrying"}
        has_it = [*self.held.values(), *self.lingering().values()]
        others = [each for each in self.timers.values() if each is not timer and each.open]
        is_taken = any(each.key == timer.key for each in (*has_it, *others)) and timer.is_key_bound
        if timer.gives_way and is_waiting and not timer.lingers and not is_taken:
            self.fault(f"{timer.name}: skipped by run {event['by']}, which only waits for a retry")

    def on_run_missed(self, timer: Timer, event: dict[str, Any]) -> None:
        reason, is_end = event["reason"], self.follows_end(timer)
        is_behind_end = reason == "delayed" or self.follows_end(timer, is_anywhere=True)
        if is_behind_end and timer.claimed == timer.cursor:
            timer.claimed = None  # the end of the run has said it, and this goes on from there
        what = "a delay of" if is_behind_end else "a miss of"
        first, last = self.say(timer, event["first"], what), self.own(timer, event["last"])
        now = self.own(timer, event["at"])
        # Before a fixed delay begins its moments are those of a fixed rate.
        is_early = reason in LIMITS and bool(timer.left_out(first, self.shift))
        is_late = timer.is_chain and now - last > timer.value  # it was told of with others
        is_early = is_early and (last > first or is_late or timer.is_early(last, self.shift))
        single = timer.is_one_shot or (timer.is_chain and not is_early)
        total = int(first == last) if single else timer.moments(first, last)
        if last > now + self.tolerance(timer):
            self.fault(f"{timer.name}: a moment is missed before it comes")
        latest = self.check_count(timer, first, last, total, event) if total else None
        if not total:
            self.fault(f"{timer.name}: no range of moments ends with {last}")
        is_said = event.get("next", UNSAID) != UNSAID
        timer.cursor = timer.next_after(last)
        if (
            timer.paused
            and reason == "paused"
            and last > self.pause_end(timer, event["at"]) + DRIFT
        ):
            self.fault(f"{timer.name}: {last} is missed in a pause that was over")
        is_over = self.is_followed_by_resume(timer)
        if timer.is_chain and timer.paused and is_over:
            timer.cursor = self.pause_end(timer, event["at"]) + timer.value
        elif timer.is_chain:
            timer.cursor = (last if is_early else now) + timer.value if is_said else None
        if timer.is_over(last, self.shift) and not (timer.is_chain and is_over):
            timer.cursor = None
        self.is_plausible(timer, event)
        timer.past = False
        if reason not in BESIDES and (not is_end or is_said):
            ranges = self.ranges.setdefault(timer.name, Ranges())
            ranges.latest = latest or ranges.latest
            self.check_range(timer, event, first, last, latest)
        if is_said:
            self.nothing_runs(timer, event, now)

    def is_followed_by_resume(self, timer: Timer) -> bool:
        """Whether what comes next of the timer in this record is the end of its pause."""
        rows = self.rows[self.place % 4096 + 1 :]
        return next((row[0] for row in rows if row[1:2] == [timer.name]), "") == "TIMER_RESUMED"

    def follows_end(self, timer: Timer, *, is_anywhere: bool = False) -> bool:
        """Whether the event before says that a run of the timer has ended; or, before it, the one
        that other ranges follow: it has said what comes after all of them."""
        position = self.place % 4096
        while is_anywhere and position and self.is_told_of(self.rows[position - 1], timer):
            position -= 1
        before = self.rows[position - 1] if position else [""]
        return is_end(before) and before[1] == timer.name

    def is_told_of(self, row: list[Any], timer: Timer) -> bool:
        """Whether a row of a record is a range of the timer that leaves open what is next."""
        event = dict(zip(FIELDS["RUN_MISSED"].split(), row[1:], strict=False))
        is_range = row[:2] == ["RUN_MISSED", timer.name] and not is_end(row)
        return is_range and event.get("next", UNSAID) == UNSAID

    def check_count(
        self, timer: Timer, first: int, last: int, total: int, event: dict[str, Any]
    ) -> int | None:
        """A range counts what might have run; or all of it, if nothing might. The latest of it."""
        good, latest = timer.allowed(first, last, self.shift)
        if event["moments"] != (good or total):
            self.fault(f"{timer.name}: {event['moments']} missed moments are {good or total}")
        reasons = {timer.left_out(us, self.shift) for us in (first, last)}
        is_so = event["reason"] in reasons if not good else event["reason"] not in LIMITS
        if not is_so:
            self.fault(f"{timer.name}: {good} of {total} moments run, not {event['reason']}")
        return latest

    def check_range(
        self, timer: Timer, event: dict[str, Any], first: int, last: int, latest: int | None
    ) -> None:
        """What the policy lets go, and whether it does."""
        reason, late = event["reason"], self.own(timer, event["at"]) - (latest or last)
        is_wanted = timer.policy == "all" and not self.is_paused_here(timer)
        if is_wanted and reason not in (*POLICY, *LIMITS):
            self.fault(f"{timer.name}: missed ({reason}) though each is to be caught up")
        if reason == "cap" and (timer.policy != "all" or len(self.ran_here(timer)) != CAP):
            self.fault(f"{timer.name}: missed (cap), but fewer are caught up")
        if reason != "grace":
            return
        is_one = timer.allowed(first, last, self.shift)[0] == 1
        if timer.policy == "skip" or (timer.policy == "once" and not is_one):
            self.fault(f"{timer.name}: missed (grace) is not plausible")
        if timer.grace is None or late <= timer.grace - self.tolerance(timer):
            self.fault(f"{timer.name}: missed (grace) is only {late} late")

    def nothing_runs(self, timer: Timer, event: dict[str, Any], now: int) -> None:
        """A decision in which nothing runs: nothing might have."""
        latest = self.ranges.pop(timer.name, Ranges()).latest
        is_late = (
            timer.grace is not None
            and latest is not None
            and (now - latest > timer.grace - self.tolerance(timer))
        )
        if latest is not None and not is_late and not self.is_paused_here(timer):
            self.fault(f"{timer.name}: nothing runs, though {latest} may")
        if event["reason"] in ("changed", "past", "paused") and not timer.is_one_shot:
            self.fault(f"{timer.name}: missed ({event['reason']}) decides what is next")
        if event["next"] is None and timer.cursor is not None:
            self.fault(f"{timer.name}: nothing is next, but {timer.cursor} is")
        if event["next"] is not None and timer.cursor is None:
            self.fault(f"{timer.name}: {event['next']} is next, but nothing is")
        if event["next"] is not None and timer.is_chain and timer.cursor is not None:
            near = self.own(timer, event["next"])
            timer.cursor = near if abs(near - timer.cursor) <= DRIFT else timer.cursor
        self.claim(timer, event)

    def is_paused_here(self, timer: Timer) -> bool:
        """True if a pause of the timer begins in this record: what is overdue then never runs."""
        return self.is_there("TIMER_PAUSED", timer)

    def is_there(self, tag: str, timer: Timer) -> bool:
        """True if an event of that tag about the timer is in this record."""
        return any(each[0] == tag and each[1]["timer"] == timer.name for each in self.row)

    def is_held_back(self, timer: Timer) -> bool:
        """True if what a pause begins with could not run before a run that is open ends."""
        return self.is_paused_here(timer) and timer.overlap == "delay" and bool(timer.open)

    def is_plausible(self, timer: Timer, event: dict[str, Any]) -> None:
        reason, first, last = event["reason"], event["first"], event["last"]
        tags = [tag for tag, each in self.row if each.get("timer", timer.name) == timer.name]
        has_ended = any(is_end(each) and each[1] == timer.name for each in self.rows)
        has_ended = has_ended or "TIMER_UPDATED" in tags or bool(timer.lingers)
        besides = {
            "paused": timer.paused or self.explains(timer, reason, first, last, event),
            "delayed": has_ended or self.is_held_back(timer),
            "past": timer.past,
            "changed": bool({"TIMER_UPDATED", "TIMER_REMOVED"} & set(tags)),
        }
        if reason == "changed" and "TIMER_REMOVED" not in tags:
            self.may_give_up(timer, event)
        is_so = reason in (*POLICY, *LIMITS)  # judged elsewhere
        is_so = is_so or besides.get(reason, False)
        is_so = is_so or self.explains(timer, reason, first, last, event)
        if not is_so or timer.past != (reason == "past"):
            self.fault(f"{timer.name}: missed ({reason}) is not plausible")

    def may_give_up(self, timer: Timer, event: dict[str, Any]) -> None:
        """What has come when the timer gets another schedule is decided by the one it had, unless
        it could not run just then."""
        if not self.is_up or timer.paused or timer.is_one_shot:
            return
        others = [each for each in timer.open if self.runs[each].cause != "backfill"]
        is_behind = timer.overlap == "delay" and bool(others or timer.lingers)
        us = self.own(timer, event["first"])
        is_early = us > self.passed_by(timer, event["at"]) or bool(timer.left_out(us, self.shift))
        if not (is_behind or is_early or self.is_unknown(timer, self.lives[-1])):
            told = f"record {self.place // 4096}: {timer.name}: {us} is given up, and might run"
            self.given_up.append((event["at"], told))

    def explains(
        self, timer: Timer, reason: str, first: int, last: int, event: dict[str, Any]
    ) -> bool:
        """Whether something kept the moments from `first` to `last` (wall time) from running."""
        is_quiet = not self.was_looked_at(timer, first, event["at"])
        was_late = timer.kind == "at" and last <= timer.anchor  # already when it was asked for
        if was_late and reason in ("orphaned", "past"):
            return True
        started = self.lives[-1].started[int(timer.is_elapsed)] if self.lives else 0
        if reason == "down" and abs(self.own(timer, first) - started) <= DRIFT:
            return True  # at the very instant of the start
        if reason == "down" and self.is_paused_here(timer):
            return True  # the process may have died, and the pause have come from outside
        is_looked_after = timer.is_settled and not was_late and not timer.jitter
        if is_looked_after and reason in ("down", "stopped", "orphaned", "invalid"):
            return False
        if timer.paused and not timer.is_one_shot and first - self.shift > timer.paused_at + DRIFT:
            return False  # the pause did
        clock, slack = int(timer.is_elapsed), self.tolerance(timer)
        first, last = self.own(timer, first), self.own(timer, last)
        started = self.lives[-1].started[clock] if self.lives else 0
        # After a step back the wall shows times again that were before the start of this process.
        steady = last if timer.is_elapsed else last - self.shift
        is_since = last >= started - slack or steady >= self.lives[-1].started[1]
        over = [life for life in self.lives[:-1] if life.ended is not None]
        around = [
            life
            for life in over
            if life.started[clock] <= last + slack and first <= life.ended[clock] + slack
        ]
        if reason == "orphaned":
            bound = timer.bound and timer.bound[clock] + DRIFT
            return (
                not started or bool(around) or (first >= started and not (bound and last > bound))
            )
        return {
            "down": last <= started + slack,
            "stopped": reason == "stopped" and self.was_stopping(timer, first, last),
            "blocked": is_since and is_quiet,
            # Under `delay` it may be said long after, when the run that was open has ended.
            "suspended": is_since and (is_quiet or timer.overlap == "delay"),
            "delayed": bool(timer.lingers)
            or (timer.freed is not None and last <= timer.freed)
            or (self.is_there("TIMER_UPDATED", timer) and timer.overlap == "delay" and timer.open),
            "clock_step": self.stepped is not None and last <= self.stepped[clock] + DRIFT,
            "paused": timer.resumed is not None and last <= timer.resumed,
            "invalid": any(self.is_unknown(timer, life) for life in around),
        }.get(reason, False)

    def was_stopping(self, timer: Timer, first: int, last: int) -> bool:
        """Whether each moment from `first` to `last` came while a process was about to stop; that
        may have been more than one."""
        clock, slack = int(timer.is_elapsed), self.tolerance(timer)
        spans = [
            (life.stop_began[clock] - slack, life.ended[clock] + slack)
            for life in self.lives
            if life.stop_began is not None and life.ended is not None
        ]
        moments = (None if first == last else timer.grid(first, last)) or [first, last]
        return all(any(began <= us <= ended for began, ended in spans) for us in moments)

    def was_looked_at(self, timer: Timer, moment: int, at: int) -> bool:
        """Whether something was said while the moment was due, a good while before `at`."""
        due, until = moment + timer.jitter - self.shift, at - 60 * S - self.shift
        looks = [
            steady
            for wall, steady in self.looks
            if timer.is_elapsed or (wall - steady == self.shift and steady > self.era_began)
        ]
        return any(due < each < until for each in looks)

    # -- runs ------------------------------------------------------------------------------

    def move(self, run: Run, event: dict[str, Any], *allowed: str) -> None:
        if run.state not in allowed:
            self.fault(f"run {event['run']} is {run.state}, and then this")
        if "scheduled" in event and event["scheduled"] != run.scheduled:
            self.fault(f"run {event['run']} forgot its moment")
        if "started" in event and event["started"] != run.started:
            self.fault(f"run {event['run']} forgot when it started")
        if event["attempt"] != run.attempt:
            self.fault(f"run {event['run']}: attempt {event['attempt']}, not {run.attempt}")

    def on_run_started(self, run: Run, event: dict[str, Any]) -> None:
        self.move(run, event, "due", "retrying")
        self.blame_given_up()
        timer = run.timer
        if event["at"] - self.shift + DRIFT < run.not_before or not self.is_up:
            self.fault(f"run {event['run']} starts too soon")
        busy = [o for o in timer.open if self.runs[o].state in ("running", "stopping")]
        if busy and timer.overlap != "allow" and not timer.mixed:
            self.fault(f"run {event['run']} starts while {busy} run")
        if timer.overlap != "allow" and not timer.mixed and timer.open[:1] != [event["run"]]:
            self.fault(f"run {event['run']} starts before {timer.open[:1]}")
        if timer.overlap != "allow" and not timer.mixed:
            timer.lingers = {}  # it has ended, then
        timer.lingers = {key: each for key, each in timer.lingers.items() if key[0] != event["run"]}
        self.check_room(run, event)
        run.state, run.started, run.is_left = "running", event["at"], False
        run.began, run.timeout = event["at"] - self.shift, timer.definition.get("timeout_us")
        self.held[event["run"], run.attempt] = Held(timer.weight, timer.key)

    def on_run_stopping(self, run: Run, event: dict[str, Any]) -> None:
        reason = event["reason"]
        comes_back = run.state == "stopping" and run.reason in ("shutdown", "timeout")
        if run.state != "running" and not (comes_back and reason not in ("shutdown", "timeout")):
            self.fault(f"run {event['run']} is {run.state}, and then this")
        took = event["at"] - self.shift - run.began
        if reason == "timeout" and (run.timeout is None or took < run.timeout - DRIFT):
            self.fault(f"run {event['run']} is stopped after {took}, before its time is up")
        if reason == "restart" and not self.is_replaced(event["run"], run):
            self.fault(f"run {event['run']} is stopped, and nothing takes its place")
        run.state, run.reason = "stopping", reason

    def is_replaced(self, id_: int, run: Run) -> bool:
        """Whether a run of the same timer is due in this record, or one waits for the key."""
        is_regular = run.timer.overlap == "restart" and run.cause != "backfill"
        if is_regular and self.is_there("RUN_DUE", run.timer):
            return True
        held = self.held.get((id_, run.attempt), Held(0, ""))
        waiting = [each.timer for each in self.runs.values() if each.state in WAITING]
        return any(each.key == held.key != "" and each.overlap == "restart" for each in waiting)

    def on_run_failed(self, run: Run, event: dict[str, Any]) -> None:
        self.move(run, event, "running", "stopping")
        is_timeout = run.state == "stopping" and run.reason == "timeout"
        is_so = is_timeout == (event["reason"] == "timeout")
        if not is_so and not (is_timeout and self.was_in_time(run, event)):
            self.fault(f"run {event['run']} has failed ({event['reason']}), and not so")
        held = self.held.pop((event["run"], run.attempt), None)
        if is_timeout and held is not None:
            lingers = self.gone if run.timer.removed else run.timer.lingers
            lingers[event["run"], run.attempt] = held
        run.state, run.reason = "failed", event["reason"]

    def was_in_time(self, run: Run, event: dict[str, Any]) -> bool:
        """Whether an attempt was over by itself when its time was up, as its executor says; the
        timer may have got another timeout meanwhile."""
        timeouts = (run.timeout, run.timer.definition.get("timeout_us"))
        return any(each is not None and event["took"] < each for each in timeouts)

    def on_run_retrying(self, run: Run, event: dict[str, Any]) -> None:
        if run.state != "failed":
            self.fault(f"run {event['run']} is {run.state}, and then this")
        wanted = run.attempt + (run.reason != "shutdown")
        if event["attempt"] != wanted:
            self.fault(f"run {event['run']}: attempt {event['attempt']} follows {run.attempt}")
        is_over = run.reason != "shutdown" and not self.has_another(run, event["retry"])
        if is_over or run.timer.removed:
            self.fault(f"run {event['run']} is tried again, and must not be")
        run.state, run.attempt = "retrying", event["attempt"]
        run.not_before = event["retry"] - self.shift

    def on_run_dead(self, run: Run, event: dict[str, Any]) -> None:
        self.move(run, event, "failed")
        if not run.timer.removed and self.has_another(run, event["at"] + longest_wait(run)):
            self.fault(f"run {event['run']} is dead after {run.attempt} attempts, too few")
        self.over(run, event, "dead")

    def has_another(self, run: Run, retry: int) -> bool:
        """Whether a run that has failed is tried again, if that would be then. What an attempt has
        done that crashed is not known: its start counts."""
        timer = run.timer
        is_left = run.attempt < timer.definition.get("max_attempts", 3)
        if not timer.is_retried_on:
            return bool(is_left)
        begins = run.started if run.reason == "crashed" else retry
        assert begins is not None
        unit, slots = timer.value.split()[0], list[int]()
        if run.swallowed is not None:
            slots = [run.swallowed]
        elif run.cause == "schedule":
            slots = [run.scheduled]
        came_late = run.cause != "schedule" or run.due >= window_end(unit, run.scheduled)
        return any(begins < window_end(unit, each) for each in slots) or (is_left and came_late)

    def on_run_succeeded(self, run: Run, event: dict[str, Any]) -> None:
        self.move(run, event, "running", "stopping")
        is_timeout = run.state == "stopping" and run.reason == "timeout"
        if is_timeout and not self.was_in_time(run, event):
            self.fault(f"run {event['run']} has succeeded, though its time was up")
        self.over(run, event, "succeeded")

    def on_run_cancelled(self, run: Run, event: dict[str, Any]) -> None:
        self.move(run, event, "due", "running", "stopping", "retrying")
        if event["reason"] == "timeout":
            self.fault(f"run {event['run']} is cancelled, and its time was up")
        is_restart = run.state in WAITING and event["reason"] == "restart"
        if is_restart and not (self.is_there("RUN_DUE", run.timer)):
            self.fault(f"run {event['run']} is cancelled, and nothing takes its place")
        gives_way = run.timer.gives_way and run.state == "retrying" and run.cause != "backfill"
        is_for_slot = gives_way and self.ran_here(run.timer, "RUN_DUE")
        if is_restart and run.timer.overlap != "restart" and not is_for_slot:
            self.fault(f"run {event['run']} is cancelled, and does not give way")
        if run.started is None:
            self.take_back(run)
        self.over(run, event, "cancelled")

    def on_no_room(self, run: Run, event: dict[str, Any]) -> None:
        """A run ends that found no room within its grace."""
        timer, scheduled = run.timer, run.scheduled
        if (run.state, run.cause, run.started) != ("due", "schedule", None):
            self.fault(f"run {event['run']} is {run.state}, and then misses its moment")
        if timer.grace is None or event["at"] < scheduled + timer.grace:
            self.fault(f"run {event['run']} has not waited for as long as its grace")
        said = [event[name] for name in ("first", "last", "moments", "reason")]
        if said != [scheduled, scheduled, 1, "capacity"]:
            self.fault(f"run {event['run']} misses {said}")
        if self.limit is None and not timer.is_key_bound and timer.name not in self.threaded:
            self.fault(f"run {event['run']} finds no room, though there is no limit")
        self.take_back(run)
        self.over(run, event | {"attempt": run.attempt}, "missed")

    def take_back(self, run: Run) -> None:
        """The run has not begun: its moment has had none."""
        if run.cause == "manual":
            return
        us, timer = self.own(run.timer, run.scheduled), run.timer
        if run.is_forced:
            timer.unsure.add(us)
        else:
            other = us + (self.shift if timer.is_elapsed else -self.shift)
            timer.ran[timer.is_elapsed].discard(us)
            timer.ran[not timer.is_elapsed].discard(other)

    def over(self, run: Run, event: dict[str, Any], state: str) -> None:
        timer, id_ = run.timer, event["run"]
        run.state = state
        self.held.pop((id_, run.attempt), None)
        timer.freed = self.own(timer, event["at"])
        if id_ in timer.open:
            timer.open.remove(id_)
        if timer.removed:
            if event["next"] not in (None, UNSAID):
                self.fault(f"{timer.name} is gone and has a next moment")
            return
        if timer.chain == id_:
            timer.chain = None
            timer.cursor = self.own(timer, event["at"]) + timer.value
        self.claim(timer, event)

    # -- room ------------------------------------------------------------------------------

    def take_key(self, timer: Timer, key: str) -> None:
        """A timer gets another key: its runs that are under way have it."""
        for (id_, attempt), held in self.held.items():
            run = self.runs[id_]
            if run.timer is timer and run.attempt == attempt and key:
                held.key = key
        for held in timer.lingers.values():
            held.key = key or held.key

    def lingering(self) -> dict[tuple[int, int], Held]:
        """What may still go on in a thread."""
        here = {key: held for each in self.timers.values() for key, held in each.lingers.items()}
        return here | self.gone

    def is_in_the_way(self, timer: Timer, by: int) -> bool:
        """Whether a moment of the timer may be skipped by that run."""
        if by in timer.open:
            return self.runs[by].cause != "backfill"
        if any(by == run for run, _ in timer.lingers):
            return self.runs[by].cause != "backfill"
        if not timer.is_key_bound:
            return False
        has_it = [*self.held.items(), *self.lingering().items()]
        others = [run for (run, _), held in has_it if held.key == timer.key]
        others += [
            id_
            for each in self.timers.values()
            for id_ in each.open
            if each.is_key_bound and each.key == timer.key and self.runs[id_].state in WAITING
        ]
        return (
            by in others
            and len([id_ for id_ in others if id_ not in timer.open]) >= timer.key_limit
        )

    def check_room(self, run: Run, event: dict[str, Any]) -> None:
        """A run that starts has room for its weight and key, and it is its turn."""
        timer, id_ = run.timer, event["run"]
        used = sum(held.weight for held in self.held.values())
        if self.limit is not None and used + timer.weight > self.limit:
            self.fault(f"run {id_} of weight {timer.weight} starts beside {used} of {self.limit}")
        sharing = [each for (each, _), held in self.held.items() if held.key == timer.key]
        if timer.is_key_bound and len(sharing) >= timer.key_limit:
            self.fault(f"run {id_} starts, and {sharing} have its key")
        if self.limit is None or timer.name in self.threaded or run.shift != self.shift:
            return
        before = [each for each in self.line if self.is_before(each, id_)]
        is_same = [each for each in before if self.runs[each].timer.name not in self.redefined]
        before = [each for each in is_same if self.is_in_line(each) and each != id_]
        if before and timer.name not in self.redefined:
            self.fault(f"run {id_} overtakes {before}")

    def place_of(self, id_: int) -> tuple[int, int, int]:
        run = self.runs[id_]
        return -run.timer.priority, run.not_before, id_

    def is_before(self, one: int, other: int) -> bool:
        """Whether the one certainly goes first: what is ready at nearly the same time may not."""
        first, second = self.place_of(one), self.place_of(other)
        is_close = first[0] == second[0] and abs(first[1] - second[1]) <= DRIFT
        return first < second and not (is_close and first[1] != second[1])

    def waiting(self) -> list[int]:
        """The runs that wait for room alone, as of the last record."""
        if self.limit is None or not self.looks:
            return []
        ids = [id_ for timer in self.timers.values() for id_ in timer.open]
        now = self.looks[-1][1]
        ids = [id_ for id_ in ids if self.runs[id_].not_before + DRIFT <= now]
        return [id_ for id_ in ids if self.is_in_line(id_)]

    def is_in_line(self, id_: int) -> bool:
        """Whether nothing but the weights keeps a run waiting."""
        run, timer = self.runs[id_], self.runs[id_].timer
        if run.state not in WAITING or timer.bound is None or run.shift != self.shift:
            return False
        is_first = timer.overlap == "allow" or timer.open[:1] == [id_]
        is_alone = not timer.lingers and timer.name not in self.threaded
        return is_first and is_alone and self.is_key_free(timer)

    def is_key_free(self, timer: Timer) -> bool:
        has_it = [*self.held.values(), *self.lingering().values()]
        sharing = sum(held.key == timer.key for held in has_it)
        return not timer.is_key_bound or sharing < timer.key_limit

    # -- backfills -------------------------------------------------------------------------

    def has_run(self, timer: Timer, us: int) -> bool:
        """Whether a moment has had a run, also by what the timer was before."""
        other = us + (self.shift if timer.is_elapsed else -self.shift)
        return us in timer.ran[timer.is_elapsed] or other in timer.ran[not timer.is_elapsed]

    def on_backfill_started(self, timer: Timer, event: dict[str, Any]) -> None:
        since, until = self.own(timer, event["since"]), self.own(timer, event["until"])
        if timer.is_one_shot or event["until"] > event["at"] or event["moments"] < 1:
            self.fault(f"{timer.name}: {event['moments']} moments are to be backfilled")
        if event["concurrency"] > 1 and timer.overlap != "allow":
            self.fault(f"{timer.name}: a backfill of {event['concurrency']} at once")
        end = until if timer.cursor is None else min(until, timer.cursor)
        moments, is_forced = timer.grid(since, until - 1), bool(event.get("is_forced"))
        backfill = Backfill(since, until, None, event["concurrency"], is_forced)
        timer.backfills.append(backfill)
        if moments is None or timer.is_vague or timer.unsure:
            return
        good = [us for us in moments if not timer.left_out(us, self.shift)]
        backfill.left = good
        good = [us for us in good if us < end]
        left = [us for us in good if is_forced or not self.has_run(timer, us)]
        told = (event["moments"], event.get("done", 0), self.own(timer, event["next"]))
        if told != (len(left), len(good) - len(left), left[0] if left else None):
            self.fault(f"{timer.name}: a backfill of {told}, not of {len(left)} of {len(good)}")

    def check_backfill(self, timer: Timer, run: Run, event: dict[str, Any]) -> None:
        """A run of a backfill is for the next moment that has had none."""
        us = self.own(timer, event["scheduled"])
        if not timer.backfills or timer.paused:
            self.fault(f"{timer.name}: {us} is backfilled, and must not be")
            return
        backfill = timer.backfills[0]
        running = [each for each in timer.open if self.runs[each].cause == "backfill"]
        if len(running) >= (backfill.concurrency if timer.overlap == "allow" else 1):
            self.fault(f"{timer.name}: {us} is backfilled beside {running}")
        is_behind = backfill.latest is None or us > backfill.latest
        if not (backfill.since <= us < backfill.until and is_behind):
            self.fault(f"{timer.name}: {us} is backfilled, after {backfill.latest}")
        if timer.left_out(us, self.shift) or not timer.has(us):
            self.fault(f"{timer.name}: {us} is backfilled, and is no moment")
        run.is_forced = backfill.is_forced
        if not run.is_forced and self.has_run(timer, us) and us not in timer.unsure:
            self.fault(f"{timer.name}: {us} is backfilled, and had a run")
        left = self.left_of(timer, backfill)
        if left is not None:
            following = left[1] if len(left) > 1 else None
            said = None if event["next"] is None else self.own(timer, event["next"])
            if left[:1] != [us] or said != following:
                self.fault(f"{timer.name}: {us} is backfilled, then {said}; left are {left[:2]}")
        timer.ran[timer.is_elapsed].add(us)
        backfill.latest, backfill.is_at_last = us, event["next"] is None

    def left_of(self, timer: Timer, backfill: Backfill) -> list[int] | None:
        """What is still to be backfilled; None: that is not known."""
        if backfill.is_at_last:
            return []
        if backfill.left is None or timer.unsure:
            return None
        low = backfill.since if backfill.latest is None else backfill.latest + 1
        high = timer.cursor  # what is pending is not the past, until it is missed
        todo = [us for us in backfill.left if us >= low and (high is None or us < high)]
        return [us for us in todo if backfill.is_forced or not self.has_run(timer, us)]

    def on_backfill_ended(self, timer: Timer, event: dict[str, Any]) -> None:
        if not timer.backfills:
            self.fault(f"{timer.name}: a backfill ends that never began")
            return
        backfill, reason = timer.backfills.pop(0), event.get("reason", "")
        if reason == "":
            running = [each for each in timer.open if self.runs[each].cause == "backfill"]
            if running or self.left_of(timer, backfill):
                self.fault(f"{timer.name}: a backfill ends before its last run")
        elif reason != "cancelled" and not (
            reason == "changed" and self.is_there("TIMER_UPDATED", timer)
        ):
            self.fault(f"{timer.name}: a backfill ends ({reason}) for no reason")

    # -- the end ---------------------------------------------------------------------------

    def end(self, end_us: int, orphans: Collection[str]) -> None:
        self.blame_given_up(end_us)
        for id_, run in self.runs.items():
            if run.is_left and run.state in ("running", "stopping") and end_us > self.started:
                self.fault(f"run {id_} was left by a dead process, and nothing says so")
            if self.should_run(id_, run, end_us, orphans):
                self.fault(f"run {id_} waits for nothing, and does not start")
            is_up = self.is_up and not run.is_left and run.state == "running"
            if is_up and run.timeout and end_us - self.shift > run.began + run.timeout + DRIFT:
                self.fault(f"run {id_} goes on after its time is up")
        for timer in self.timers.values():
            if timer.past:
                self.fault(f"{timer.name}: its moment was long past, and nothing says so")
            self.end_of_timer(timer, end_us, orphans)
            cursor = timer.waits_for(self.shift)
            if cursor is None or cursor > self.passed_by(timer, end_us):
                continue
            is_behind = bool(timer.open or timer.lingers) and timer.overlap == "delay"
            waits = timer.chain is not None or is_behind
            is_excused = timer.paused or timer.name in orphans or waits or not self.is_up
            is_excused = is_excused or self.is_unknown(timer, self.lives[-1])
            if not is_excused:
                self.fault(f"{timer.name}: nothing is said about {cursor}")

    def end_of_timer(self, timer: Timer, end_us: int, orphans: Collection[str]) -> None:
        """A pause that is over has ended, and a backfill goes on."""
        if not self.is_up or timer.name in orphans or self.is_unknown(timer, self.lives[-1]):
            return
        until = self.until(timer) if timer.paused else None
        is_shown = timer.shown <= end_us
        if until is not None and until <= self.passed_by(timer, end_us) and is_shown:
            self.fault(f"{timer.name}: its pause is over, and nothing says so")
        runs = [each for each in timer.open if self.runs[each].cause == "backfill"]
        if timer.backfills and not runs and not timer.paused and end_us > (self.started or 0):
            self.fault(f"{timer.name}: nothing goes on with its backfill")

    def has_room(self, id_: int, run: Run) -> bool:
        """Whether a run that waits could start, as far as the log tells."""
        timer = run.timer
        if timer.lingers or timer.name in self.threaded or not self.is_key_free(timer):
            return False
        if self.limit is None:
            return True
        used = sum(held.weight for held in (*self.held.values(), *self.lingering().values()))
        ids = [each for other in self.timers.values() for each in other.open]
        ids = [each for each in ids if self.runs[each].state in WAITING]
        if any(self.runs[each].shift != self.shift for each in ids):
            return False  # since when they are ready is not quite known after a clock step
        is_first = all(self.place_of(id_) <= self.place_of(each) for each in ids)
        return is_first and used + timer.weight <= self.limit

    def should_run(self, id_: int, run: Run, end_us: int, orphans: Collection[str]) -> bool:
        timer = run.timer
        if run.state not in ("due", "retrying") or run.reason == "shutdown" or not self.is_up:
            return False
        is_first = timer.overlap == "allow" or timer.open[:1] == [id_]
        is_time = run.not_before + DRIFT <= end_us - self.shift and end_us > self.started
        is_time = is_time and timer.name not in orphans
        return is_first and is_time and self.has_room(id_, run)


def is_restart(row: list[Any], timer: str) -> bool:
    """Whether a row of a record is the end of a run of the timer which a new one replaces."""
    if row[0] not in ("RUN_STOPPING", "RUN_CANCELLED"):
        return False
    return row[1] == timer and row[1 + FIELDS[row[0]].split().index("reason")] == "restart"


def is_end(row: list[Any]) -> bool:
    """Whether a row of a record is the end of a run."""
    return row[0] in ENDS or (row[0] == "RUN_MISSED" and any(row[RUN_OF_MISSED:]))


def check(
    records: list[list[Any]],
    *,
    end_us: int,
    orphans: Collection[str] = (),
    limits: Mapping[int, int | None] | None = None,
    threaded: Collection[str] = (),
) -> list[str]:
    """What is wrong with a log, in words; an empty list if nothing is.

    `records[0]` is the log's first record. Moments up to `end_us` (wall clock, microseconds) must
    be accounted for, unless their timer is paused, waits for an open run, or is one of `orphans`
    (callables that the last process has not registered). After a kill, `end_us` is the time of the
    last record: a step says all that is due before it says anything later.

    `limits` are the `max_concurrency` of processes, by their pid; `threaded` are timers whose runs
    may have to wait for a thread.
    """
    judge = Judge(limits, threaded)
    for index, record in enumerate(records, 1):
        judge.record(index, record)
    judge.end(end_us, orphans)
    return judge.faults
