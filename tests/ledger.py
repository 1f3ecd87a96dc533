"""An independent judge of a log: did every due moment run, or is there a reason why not?

It shares no code with Kron. It reads records as plain JSON lists, recomputes every timer's moments
by brute force over dates, and follows each timer with a cursor: what the log says next about a
timer (a run, a skip, a missed range) must begin exactly at the timer's next moment, so that nothing
is left out and nothing is said twice. `check` returns what is wrong, in words.

The log does not say when a process was killed, nor which callables were registered again; the
caller does, with `end_us` (until then the scheduler was awake) and `orphans`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

S = 1_000_000
DRIFT = 100_000
"""Wall and elapsed time may differ by this much without a CLOCK_STEP (microseconds)."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIELDS = {
    "TIMER_CREATED": "timer definition at anchor next cmd",
    "TIMER_UPDATED": "timer definition at anchor next cmd",
    "TIMER_REMOVED": "timer at cmd reason",
    "TIMER_PAUSED": "timer at cmd",
    "TIMER_RESUMED": "timer at next cmd",
    "RUN_DUE": "timer scheduled at next cause missed cmd",
    "RUN_STARTED": "timer run attempt at",
    "RUN_SUCCEEDED": "timer run attempt at scheduled started took next",
    "RUN_FAILED": "timer run attempt at scheduled started took error reason",
    "RUN_RETRYING": "timer run attempt retry",
    "RUN_DEAD": "timer run attempt at scheduled started error next",
    "RUN_SKIPPED_OVERLAP": "timer scheduled at next by cause cmd",
    "RUN_MISSED": "timer first last moments reason at",
    "RUN_STOPPING": "timer run at reason cmd",
    "RUN_CANCELLED": "timer run attempt at scheduled started reason next cmd",
    "SCHEDULER_STARTED": "at boot pid version",
    "SCHEDULER_STOPPED": "at boot since",
    "CLOCK_STEP": "at delta",
    "TAIL_CUT": "at file offset size kept",
}
ENDS = ("RUN_SUCCEEDED", "RUN_DEAD", "RUN_CANCELLED")

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

    def __init__(self, text: str, zone: str) -> None:
        parts = NICK.get(text.lower(), text).split()
        parts = ["0", *parts] if len(parts) == 5 else parts
        seconds, minutes, hours, self.dom, months, self.dow = parts
        self.zone = ZoneInfo(zone)
        self.is_fixed = not any(each.startswith("*") for each in (seconds, minutes, hours))
        self.months = _values(months, 1, 12)
        self.times = [
            timedelta(hours=h, minutes=m, seconds=s)
            for h in sorted(_values(hours, 0, 23))
            for m in sorted(_values(minutes, 0, 59))
            for s in sorted(_values(seconds, 0, 59))
        ]
        self._days: dict[date, frozenset[int]] = {}

    def next_after(self, us: int) -> int:
        day = self._date(us) - timedelta(days=1)
        for _ in range(366 * 12):
            near = [t for d in range(3) for t in self.moments_on(day + timedelta(days=d)) if t > us]
            if near:
                return min(near)
            day += timedelta(days=1)
        raise AssertionError("no moment within 12 years")

    def count(self, first: int, last: int) -> int:
        day, end = self._date(first) - timedelta(days=1), self._date(last) + timedelta(days=1)
        total, before = 0, frozenset[int]()
        while day <= end:
            today = self.moments_on(day)
            total += sum(first <= t <= last for t in today - before)
            day, before = day + timedelta(days=1), today
        return total

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
        for clock in self.times:
            shown = midnight + clock
            real = sorted({_us(shown.replace(tzinfo=self.zone, fold=f)) for f in (0, 1)})
            valid = [us for us in real if self._shows(us) == shown]
            if valid:
                yield from valid[:1] if self.is_fixed else valid
            elif self.is_fixed:
                yield self._gap_end(*real)

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


@lru_cache(maxsize=256)
def cron_days(text: str, zone: str) -> CronDays:
    return CronDays(text, zone)


# -- following one log ----------------------------------------------------------------------


@dataclass
class Run:
    timer: Timer
    scheduled: int
    cause: str
    state: str = "due"
    attempt: int = 1
    is_left: bool = False
    not_before: int = 0
    started: int | None = None
    reason: str = ""


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
    open: list[int] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return next(kind for kind in ("cron", "every", "after", "at") if kind in self.definition)

    @property
    def value(self) -> Any:
        return self.definition[self.kind]

    @property
    def overlap(self) -> str:
        return str(self.definition.get("overlap", "delay"))

    @property
    def selector(self) -> tuple[Any, ...]:
        return self.kind, self.value, self.definition.get("timezone", "UTC")

    @property
    def is_elapsed(self) -> bool:
        return self.kind in ("every", "after")

    @property
    def is_one_shot(self) -> bool:
        return self.kind in ("after", "at")

    @property
    def is_chain(self) -> bool:
        return self.kind == "every" and self.overlap == "delay"

    def next_after(self, us: int) -> int | None:
        if self.kind == "cron":
            return cron_days(self.value, self.definition.get("timezone", "UTC")).next_after(us)
        if self.kind == "every":
            return self.anchor + (max(us - self.anchor, 0) // self.value + 1) * self.value
        return None

    def count(self, first: int, last: int) -> int:
        """How many moments from `first` (one itself) to `last`; 0 if `last` is none."""
        if first == last:
            return 1
        if self.kind == "cron":
            days = cron_days(self.value, self.definition.get("timezone", "UTC"))
            return days.count(first, last) if days.has(last) else 0
        if self.kind == "every" and (last - first) % self.value == 0:
            return (last - first) // self.value + 1
        return 0


class Judge:
    """Folds a log event by event and writes down what is wrong."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.timers: dict[str, Timer] = {}
        self.runs: dict[int, Run] = {}
        self.touched: list[Timer] = []
        self.row: list[tuple[str, dict[str, Any]]] = []
        self.rows: list[list[Any]] = []
        self.place = 0
        self.shift = 0
        self.started: int | None = None
        self.stopped: int | None = None
        self.stop_began: int | None = None
        self.is_up = False

    def fault(self, text: str) -> None:
        index, position = divmod(self.place, 4096)
        self.faults.append(f"record {index}, event {position}: {text}")

    def own(self, timer: Timer, wall: int) -> int:
        return wall - self.shift if timer.is_elapsed else wall

    def record(self, index: int, record: list[Any]) -> None:
        self.touched, self.rows = [], record[1:]
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
        for timer in self.touched:
            self.verify(timer)

    def verify(self, timer: Timer) -> None:
        """What was last said to come next is what comes next."""
        if timer.claimed is not None and timer.claimed != timer.cursor:
            self.fault(f"{timer.name}: next is said to be {timer.claimed}, not {timer.cursor}")
        timer.claimed = None

    def event(self, tag: str, event: dict[str, Any], rest: list[str]) -> None:
        handler = getattr(self, f"on_{tag.lower()}", None)
        if tag == "TIMER_CREATED":
            self.on_timer_created(event)
        elif tag.startswith("TIMER_") or tag in ("RUN_DUE", "RUN_SKIPPED_OVERLAP", "RUN_MISSED"):
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
            handler(run, event)
        elif handler:
            handler(event)

    def passed_by(self, timer: Timer, wall: int) -> int:
        """Up to which moment of the timer all has certainly come at `wall`."""
        return self.own(timer, wall) - DRIFT

    # -- the scheduler ---------------------------------------------------------------------

    def on_scheduler_started(self, event: dict[str, Any]) -> None:
        self.started, self.is_up = event["at"], True
        for run in self.runs.values():
            run.is_left = run.state in ("running", "stopping")

    def on_scheduler_stopped(self, event: dict[str, Any]) -> None:
        self.stopped, self.stop_began, self.is_up = event["at"], event["since"], False
        left = [id_ for id_, run in self.runs.items() if run.state in ("running", "stopping")]
        if left:
            self.fault(f"the scheduler stopped while runs {left} were carried out")

    def on_clock_step(self, event: dict[str, Any]) -> None:
        self.shift += event["delta"]

    # -- timers ----------------------------------------------------------------------------

    def on_timer_created(self, event: dict[str, Any]) -> None:
        name = event["timer"]
        if name in self.timers:
            self.fault(f"{name} is created and was there")
        timer = self.timers[name] = Timer(name)
        self.touched.append(timer)
        self.define(timer, event)

    def define(self, timer: Timer, event: dict[str, Any]) -> None:
        timer.definition = event["definition"]
        timer.mixed |= timer.overlap == "allow"
        timer.anchor = self.own(timer, event["anchor"])
        timer.chain, timer.past = None, False
        if timer.kind == "after":
            timer.cursor = timer.anchor + timer.value
        elif timer.kind == "at":
            timer.past = timer.value < event["anchor"] - 60 * S
            timer.cursor = timer.value
        else:
            timer.cursor = timer.next_after(timer.anchor)
        self.claim(timer, event)

    def on_timer_updated(self, timer: Timer, event: dict[str, Any]) -> None:
        old, was_chain = timer.selector, timer.is_chain
        if Timer("", event["definition"]).selector != old:
            self.all_said(timer, event["at"])
            self.define(timer, event)
            return
        timer.definition = event["definition"]
        timer.mixed |= timer.overlap == "allow"
        anchor = self.own(timer, event["anchor"])
        follows = timer.cursor is not None and timer.cursor - anchor == timer.value
        late = abs(anchor - self.own(timer, event["at"]))
        begins = timer.chain is not None and late <= DRIFT
        is_rate = was_chain and not timer.is_chain
        is_anchored = timer.kind in ("every", "after")  # to the others it means nothing
        if is_anchored and anchor != timer.anchor and not (is_rate and (follows or begins)):
            self.fault(f"{timer.name}: the anchor moved")
        timer.anchor = anchor
        if is_rate and timer.chain is not None:
            timer.chain, timer.cursor = None, anchor + timer.value
        self.claim(timer, event)

    def all_said(self, timer: Timer, at: int) -> None:
        cursor = timer.cursor
        if cursor is not None and cursor <= self.passed_by(timer, at) and not timer.past:
            self.fault(f"{timer.name}: nothing is said about {cursor}, and now it is too late")

    def on_timer_removed(self, timer: Timer, event: dict[str, Any]) -> None:
        self.all_said(timer, event["at"])
        self.verify(timer)
        timer.removed = True
        timer.cursor = timer.chain = None
        del self.timers[timer.name]

    def on_timer_paused(self, timer: Timer, event: dict[str, Any]) -> None:
        if timer.paused:
            self.fault(f"{timer.name}: paused twice")
        timer.paused = True

    def on_timer_resumed(self, timer: Timer, event: dict[str, Any]) -> None:
        if not timer.paused:
            self.fault(f"{timer.name}: resumed without a pause")
        timer.paused = False
        self.claim(timer, event)
        cursor, at = timer.cursor, self.passed_by(timer, event["at"])
        waits = timer.is_one_shot or (event["next"] is None and timer.open)
        if cursor is not None and not waits and cursor <= at:
            self.fault(f"{timer.name}: resumed with {cursor} unexplained")

    def claim(self, timer: Timer, event: dict[str, Any]) -> None:
        """An event says what comes next; at the end of the record it must be so.

        Where the next moment counts from the event itself, what it says is taken if it is near.
        """
        if event.get("next") is not None:
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
        run = self.runs[self.place] = Run(timer, event["scheduled"], event["cause"])
        run.not_before = event["at"] - self.shift
        if event["at"] < event["scheduled"] - (DRIFT if timer.is_elapsed else 0):
            self.fault(f"{timer.name}: a run is early")
        if timer.overlap == "skip" and timer.open:
            self.fault(f"{timer.name}: a run is due while one is open")
        if not self.is_up and run.cause == "schedule":
            self.fault(f"{timer.name}: a moment runs while nobody is there")
        timer.open.append(self.place)
        if run.cause != "schedule":
            return
        if timer.paused or timer.past:
            self.fault(f"{timer.name}: a run is due that must not be")
        if timer.overlap == "delay" and len(timer.open) > 1:
            self.fault(f"{timer.name}: a run is due while one is open")
        us = self.say(timer, event["scheduled"], "a run for")
        if event["missed"] != self.just_missed(timer):
            self.fault(f"{timer.name}: a run stands for {event['missed']} missed moments")
        if event["next"] is not None and (timer.overlap == "delay" or timer.is_one_shot):
            self.fault(f"{timer.name}: next is said too soon")
        if timer.is_chain:
            timer.cursor, timer.chain = None, self.place
        else:
            following = timer.next_after(us)
            if following is not None and following <= self.passed_by(timer, event["at"]):
                self.fault(f"{timer.name}: {us} runs, but later ones have passed")
            self.claim(timer, event)

    def just_missed(self, timer: Timer) -> int:
        """How many moments the ranges right before this event count that a run stands for."""
        total, position = 0, self.place % 4096
        while position and self.rows[position - 1][0] == "RUN_MISSED":
            position -= 1
            name, _, _, moments, reason = self.rows[position][1:6]
            if name == timer.name and reason not in ("changed", "past", "paused", "delayed"):
                total += moments
        return total

    def on_run_skipped_overlap(self, timer: Timer, event: dict[str, Any]) -> None:
        if timer.overlap != "skip" or event["by"] not in timer.open:
            self.fault(f"{timer.name}: skipped, but no run was in the way")
        if event["cause"] == "schedule":
            self.say(timer, event["scheduled"], "a skip of")
            self.claim(timer, event)

    def on_run_missed(self, timer: Timer, event: dict[str, Any]) -> None:
        reason = event["reason"]
        what = "a delay of" if reason == "delayed" else "a miss of"
        first, last = self.say(timer, event["first"], what), self.own(timer, event["last"])
        now = self.own(timer, event["at"])
        single = timer.is_chain or timer.is_one_shot
        count = int(first == last) if single else timer.count(first, last)
        if count != event["moments"]:
            self.fault(f"{timer.name}: {event['moments']} missed moments are {count}")
        if last > now + (DRIFT if timer.is_elapsed else 0):
            self.fault(f"{timer.name}: a moment is missed before it comes")
        timer.cursor = timer.next_after(last)
        if timer.is_chain:
            timer.cursor = now + timer.value if reason == "paused" else None
        self.is_plausible(timer, event)
        timer.past = False

    def is_plausible(self, timer: Timer, event: dict[str, Any]) -> None:
        reason, first, last = event["reason"], event["first"], event["last"]
        started = self.started or 0
        tags = [tag for tag, each in self.row if each.get("timer", timer.name) == timer.name]
        is_so = {
            "down": last <= started,
            "stopped": self.stop_began is not None and self.stop_began <= first,
            "orphaned": first >= started or not self.started,
            "blocked": last >= started,
            "clock_step": "CLOCK_STEP" in tags,
            "paused": timer.paused,
            "delayed": bool({*ENDS, "TIMER_UPDATED"} & set(tags)),
            "past": timer.past,
            "changed": bool({"TIMER_UPDATED", "TIMER_REMOVED"} & set(tags)),
        }.get(reason, False)
        if not is_so or timer.past != (reason == "past"):
            self.fault(f"{timer.name}: missed ({reason}) is not plausible")

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
        timer = run.timer
        if event["at"] - self.shift + DRIFT < run.not_before or not self.is_up:
            self.fault(f"run {event['run']} starts too soon")
        busy = [o for o in timer.open if self.runs[o].state in ("running", "stopping")]
        if busy and timer.overlap != "allow" and not timer.mixed:
            self.fault(f"run {event['run']} starts while {busy} run")
        run.state, run.started, run.is_left = "running", event["at"], False

    def on_run_stopping(self, run: Run, event: dict[str, Any]) -> None:
        is_cancelled_after_all = run.state == "stopping" and run.reason == "shutdown"
        if run.state != "running" and not is_cancelled_after_all:
            self.fault(f"run {event['run']} is {run.state}, and then this")
        run.state, run.reason = "stopping", event["reason"]

    def on_run_failed(self, run: Run, event: dict[str, Any]) -> None:
        self.move(run, event, "running", "stopping")
        run.state, run.reason = "failed", event["reason"]

    def on_run_retrying(self, run: Run, event: dict[str, Any]) -> None:
        if run.state != "failed":
            self.fault(f"run {event['run']} is {run.state}, and then this")
        wanted = run.attempt + (run.reason != "shutdown")
        most = run.timer.definition.get("max_attempts", 3)
        if event["attempt"] != wanted:
            self.fault(f"run {event['run']}: attempt {event['attempt']} follows {run.attempt}")
        if event["attempt"] > max(most, run.attempt) or run.timer.removed:
            self.fault(f"run {event['run']} is tried again, and must not be")
        run.state, run.attempt = "retrying", event["attempt"]
        run.not_before = event["retry"] - self.shift

    def on_run_dead(self, run: Run, event: dict[str, Any]) -> None:
        self.move(run, event, "failed")
        most = run.timer.definition.get("max_attempts", 3)
        if run.attempt < most and not run.timer.removed:
            self.fault(f"run {event['run']} is dead after {run.attempt} of {most} attempts")
        self.over(run, event, "dead")

    def on_run_succeeded(self, run: Run, event: dict[str, Any]) -> None:
        self.move(run, event, "running", "stopping")
        self.over(run, event, "succeeded")

    def on_run_cancelled(self, run: Run, event: dict[str, Any]) -> None:
        self.move(run, event, "due", "running", "stopping", "retrying")
        self.over(run, event, "cancelled")

    def over(self, run: Run, event: dict[str, Any], state: str) -> None:
        timer, id_ = run.timer, event["run"]
        run.state = state
        if id_ in timer.open:
            timer.open.remove(id_)
        if timer.removed:
            if event["next"] is not None:
                self.fault(f"{timer.name} is gone and has a next moment")
            return
        if timer.chain == id_:
            timer.chain = None
            timer.cursor = self.own(timer, event["at"]) + timer.value
        self.claim(timer, event)

    # -- the end ---------------------------------------------------------------------------

    def end(self, end_us: int, orphans: Collection[str]) -> None:
        for id_, run in self.runs.items():
            if run.is_left and run.state in ("running", "stopping") and end_us > self.started:
                self.fault(f"run {id_} was left by a dead process, and nothing says so")
            if self.should_run(id_, run, end_us, orphans):
                self.fault(f"run {id_} waits for nothing, and does not start")
        for timer in self.timers.values():
            if timer.past:
                self.fault(f"{timer.name}: its moment was long past, and nothing says so")
            cursor = timer.cursor
            if cursor is None or cursor > self.passed_by(timer, end_us):
                continue
            waits = timer.chain is not None or (bool(timer.open) and timer.overlap == "delay")
            is_excused = timer.paused or timer.name in orphans or waits or not self.is_up
            if not is_excused:
                self.fault(f"{timer.name}: nothing is said about {cursor}")

    def should_run(self, id_: int, run: Run, end_us: int, orphans: Collection[str]) -> bool:
        timer = run.timer
        if run.state not in ("due", "retrying") or run.reason == "shutdown" or not self.is_up:
            return False
        is_first = timer.overlap == "allow" or timer.open[:1] == [id_]
        is_time = run.not_before + DRIFT <= end_us - self.shift and end_us > self.started
        return is_first and is_time and timer.name not in orphans


def check(records: list[list[Any]], *, end_us: int, orphans: Collection[str] = ()) -> list[str]:
    """What is wrong with a log, in words; an empty list if nothing is.

    `records[0]` is the log's first record. Moments up to `end_us` (wall clock, microseconds) must
    be accounted for, unless their timer is paused, waits for an open run, or is one of `orphans`
    (callables that the last process has not registered). After a kill, `end_us` is the time of the
    last record: a step says all that is due before it says anything later.
    """
    judge = Judge()
    for index, record in enumerate(records, 1):
        judge.record(index, record)
    judge.end(end_us, orphans)
    return judge.faults
