"""Events as people get to see them, against the events of the log."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any, get_type_hints

import orjson
import pytest

import kron.events
from kron.core import announced as a
from kron.core import announcing
from kron.core import events as ev
from kron.core.announcing import Announcer
from kron.core.codec import decode, encode
from kron.core.ids import run_id_text
from kron.core.instants import to_us
from kron.core.model import Cause, Definition, Kind, Reason, Stop

AT = datetime(2027, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
AT_US = to_us(AT)
S_US = 1_000_000
LOG_ID = "cafe" * 8
RUN = 7 * ev.POSITIONS + 3
RECORD = 9
INDEX = RECORD * ev.POSITIONS
"""Of the only event of that record."""
DEFINITION = Definition.of(Kind.EVERY, 60 * S_US, {"metadata": {"team": "web"}})
OTHER = Definition.of(Kind.CRON, "0 8 * * *", {})


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp((AT_US + seconds * S_US) // S_US, UTC).replace(microsecond=123456)


def us(seconds: int) -> int:
    return AT_US + seconds * S_US


RUN_ID = run_id_text(RUN, us(-9), LOG_ID)

SAMPLES: list[tuple[ev.Event, dict[str, Any]]] = [
    (
        ev.TimerRemoved("t", AT_US, "c", "finished"),
        {"timer": "t", "reason": "finished"},
    ),
    (
        ev.TimerPaused("t", AT_US, "c", us(60), True, "deploy", "ada"),
        {"timer": "t", "until": at(60), "is_elapsed": True, "reason": "deploy", "who": "ada"},
    ),
    (
        ev.TimerResumed("t", AT_US, us(5), "c", "until", "ada"),
        {"timer": "t", "next_at": at(5), "reason": "until", "who": "ada"},
    ),
    (
        ev.TimerMoved("t", AT_US, us(5), "zone"),
        {"timer": "t", "next_at": at(5), "reason": "zone"},
    ),
    (
        ev.RunDue("t", us(-9), AT_US, us(5), Cause.BACKFILL, 3, "c", Reason.DOWN, 1_500),
        {
            **{"timer": "t", "run_id": run_id_text(INDEX, us(-9), LOG_ID), "scheduled_at": at(-9)},
            **{"next_at": at(5), "cause": "backfill", "missed": 3, "late": "down"},
            "jitter_ms": 1.5,
        },
    ),
    (
        ev.RunStarted("t", RUN, 2, AT_US),
        {"timer": "t", "run_id": RUN_ID, "attempt": 2},
    ),
    (
        ev.RunSucceeded("t", RUN, 2, AT_US, us(-9), us(-1), 2_500, us(5), "manual"),
        {
            **{"timer": "t", "run_id": RUN_ID, "attempt": 2, "scheduled_at": at(-9)},
            **{"started_at": at(-1), "duration_ms": 2.5, "next_at": at(5), "cause": "manual"},
        },
    ),
    (
        ev.RunFailed("t", RUN, 2, AT_US, us(-9), us(-1), 2_500, "no", Stop.TIMEOUT, 3, "manual"),
        {
            **{"timer": "t", "run_id": RUN_ID, "attempt": 2, "scheduled_at": at(-9)},
            **{"started_at": at(-1), "duration_ms": 2.5, "error": "no", "reason": "timeout"},
            **{"exit_code": 3, "cause": "manual"},
        },
    ),
    (
        ev.RunRetrying("t", RUN, 3, us(30)),
        {"timer": "t", "run_id": RUN_ID, "attempt": 3, "retry_at": at(30)},
    ),
    (
        ev.RunDead("t", RUN, 3, AT_US, us(-9), us(-1), "no", us(5), "manual", 3, "timeout"),
        {
            **{"timer": "t", "run_id": RUN_ID, "attempt": 3, "scheduled_at": at(-9)},
            **{"started_at": at(-1), "error": "no", "next_at": at(5), "cause": "manual"},
            **{"exit_code": 3, "reason": "timeout"},
        },
    ),
    (
        ev.RunSkippedOverlap("t", us(-1), AT_US, us(5), RUN, Cause.MANUAL, "c"),
        {
            **{"timer": "t", "scheduled_at": at(-1), "next_at": at(5), "by_run_id": RUN_ID},
            "cause": "manual",
        },
    ),
    (
        ev.RunMissed("t", us(-9), us(-1), 4, Reason.CAPACITY, AT_US, us(5), RUN),
        {
            **{"timer": "t", "scheduled_at": at(-9), "last_scheduled_at": at(-1), "count": 4},
            **{"reason": "capacity", "next_at": at(5), "run_id": RUN_ID},
        },
    ),
    (
        ev.RunStopping("t", RUN, AT_US, Stop.CANCEL, "c"),
        {"timer": "t", "run_id": RUN_ID, "reason": "cancel"},
    ),
    (
        ev.RunCancelled(
            "t", RUN, 2, AT_US, us(-9), us(-1), Stop.RESTART, us(5), "c", Cause.BACKFILL
        ),
        {
            **{"timer": "t", "run_id": RUN_ID, "attempt": 2, "scheduled_at": at(-9)},
            **{"started_at": at(-1), "reason": "restart", "next_at": at(5), "cause": "backfill"},
        },
    ),
    (
        ev.BackfillStarted("t", AT_US, us(-60), us(-9), us(-50), 7, 2, True, "c", 1),
        {
            **{"timer": "t", "since": at(-60), "until": at(-9), "next_at": at(-50), "count": 7},
            **{"concurrency": 2, "is_forced": True, "done": 1},
        },
    ),
    (
        ev.BackfillEnded("t", AT_US, "changed"),
        {"timer": "t", "reason": "changed"},
    ),
    (
        ev.SchedulerStarted(AT_US, "b00t", 42, "1.2", "Mars/Base Moon/Base"),
        {
            **{"boot": "b00t", "pid": 42, "version": "1.2"},
            "unknown_zones": ("Mars/Base", "Moon/Base"),
        },
    ),
    (
        ev.SchedulerStopped(AT_US, "b00t", us(-5)),
        {"boot": "b00t", "since": at(-5)},
    ),
    (
        ev.ClockStep(AT_US, -2_500_000, True),
        {"delta_ms": -2500.0, "is_era": True},
    ),
    (
        ev.TailCut(AT_US, "kron.aof", 100, 20, "kron.torn"),
        {"file": "kron.aof", "offset": 100, "size_bytes": 20, "kept_as": "kron.torn"},
    ),
]
DEFINED: list[ev.Event] = [
    ev.TimerCreated("t", DEFINITION, AT_US, us(-3), us(5), "c"),
    ev.TimerUpdated("t", DEFINITION, AT_US, us(-3), us(5), "c"),
]
ALL = [*DEFINED, *(event for event, _ in SAMPLES)]
by_tag = pytest.mark.parametrize("event", ALL, ids=lambda event: ev.TAGS[type(event)])


def announced(event: ev.Event, scheduled_us: int | None = us(-9)) -> a.Event:
    announcer = Announcer(LOG_ID)
    for run in announcer.unknown(RECORD, [event]):
        # A number of its own for each, so that another run shows.
        announcer.learn(run, None if scheduled_us is None else scheduled_us + run - RUN)
    (value,) = announcer.announce(RECORD, [event], AT_US)
    return value


@pytest.mark.parametrize(("event", "fields"), SAMPLES, ids=[ev.TAGS[type(e)] for e, _ in SAMPLES])
def test_an_event_says_what_the_log_says(event: ev.Event, fields: dict[str, Any]) -> None:
    value = announced(event)
    assert type(value).__name__ == type(event).__name__
    head = {"type": ev.TAGS[type(event)], "index": INDEX, "at": AT}
    assert dataclasses.asdict(value) == {**head, **fields}


@pytest.mark.parametrize("event", DEFINED, ids=["created", "updated"])
def test_a_timer_is_described_as_in_its_status(event: ev.Event) -> None:
    value: Any = announced(event)
    assert value.type == ev.TAGS[type(event)]
    assert (value.timer, value.anchor_at, value.next_at) == ("t", at(-3), at(5))
    assert value.definition["schedule"] == "every 1m"
    assert value.definition["metadata"] == {"team": "web"}


def test_there_is_a_class_for_every_event_of_the_log() -> None:
    assert {type(event) for event in ALL} == set(ev.TAGS)
    kinds = {
        kind
        for kind in vars(a).values()
        if isinstance(kind, type) and issubclass(kind, a.Event) and kind is not a.Event
    }
    ours = {a.UnknownEvent, a.EventsMissed}
    assert {kind.__name__ for kind in kinds - ours} == {kind.__name__ for kind in ev.TAGS}
    assert {kind.__name__ for kind in kinds} | {"Event", "Subscription"} == {*kron.events.__all__}


@by_tag
def test_no_field_of_an_event_is_kept_from_people(event: Any) -> None:
    """A new field of an event has to be announced: another value of it has to show."""
    value = announced(event)
    for name in event._fields:
        changed = announced(event._replace(**{name: another(getattr(event, name))}))
        assert (changed != value) is (name != "cmd"), name


def another(value: object) -> object:
    """A value of that type, and another one."""
    if isinstance(value, Definition):
        return OTHER
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"{value}x"


@by_tag
def test_what_is_read_back_is_announced_as_what_came_live(event: ev.Event) -> None:
    (read,) = decode(encode([event], AT_US), RECORD).events
    assert announced(read) == announced(event)


@by_tag
def test_an_event_is_json(event: ev.Event) -> None:
    value = announced(event)
    row = orjson.loads(orjson.dumps(value))
    assert [*row] == [field.name for field in dataclasses.fields(value)]
    assert row["type"] == ev.TAGS[type(event)]
    assert row["at"] == "2027-01-01T12:00:00.123456+00:00"


@by_tag
def test_its_values_are_of_the_types_that_it_names(event: ev.Event) -> None:
    value = announced(event)
    for name, hint in get_type_hints(type(value)).items():
        said = getattr(value, name)
        kinds = {type(None): "None", dict: "TimerDescription"}
        word = kinds.get(type(said), type(said).__name__)
        shown = hint.__name__ if isinstance(hint, type) else str(hint)
        assert word in shown, (name, said)


def test_what_an_event_does_not_say_is_none() -> None:
    plain = announced(ev.RunSucceeded("t", RUN, 1, AT_US, us(-9), us(-1), 0))
    assert isinstance(plain, a.RunSucceeded)
    assert (plain.cause, plain.next_at) == ("schedule", None)
    missed = announced(ev.RunMissed("t", us(-9), us(-9), 1, Reason.DOWN, AT_US))
    assert isinstance(missed, a.RunMissed)
    assert (missed.run_id, missed.next_at) == (None, None)
    paused = announced(ev.TimerPaused("t", AT_US))
    assert isinstance(paused, a.TimerPaused)
    assert (paused.until, paused.reason, paused.who) == (None, None, None)


def test_a_run_whose_moment_nobody_knows_has_no_id() -> None:
    value = announced(ev.RunStarted("t", RUN, 1, AT_US), None)
    assert isinstance(value, a.RunStarted)
    assert value.run_id is None


def test_an_event_of_a_newer_version_is_told_with_its_tag() -> None:
    value = announced(ev.Unknown("RUN_BLESSED", ["t", 1]))
    assert value == a.UnknownEvent(INDEX, AT, "RUN_BLESSED", ["t", 1])
    assert orjson.loads(orjson.dumps(value))["tag"] == "RUN_BLESSED"


def test_what_has_no_time_of_its_own_has_that_of_the_event_before_it() -> None:
    failed = ev.RunFailed("t", RUN, 1, us(2), us(-9), us(-1), 1, "no")
    announcer = Announcer(LOG_ID)
    announcer.learn(RUN, us(-9))
    values = [*announcer.announce(1, [failed, ev.RunRetrying("t", RUN, 2, us(30))])]
    assert [value.at for value in values] == [at(2), at(2)]


# -- whose moment is known -----------------------------------------------------------------------


def test_the_moment_of_a_run_is_kept_while_it_is_open() -> None:
    announcer = Announcer(LOG_ID)
    due = ev.RunDue("t", us(-9), AT_US, None)
    run = 5 * ev.POSITIONS
    started, done = (
        ev.RunStarted("t", run, 1, AT_US),
        ev.RunSucceeded("t", run, 1, AT_US, us(-9), AT_US, 1),
    )
    assert announcer.unknown(5, [due, started]) == []
    first = [*announcer.announce(5, [due, started])]
    assert announcer.unknown(6, [started, done]) == []
    again = [*announcer.announce(6, [started, done])]
    ids = {getattr(value, "run_id", None) for value in [*first, *again]}
    assert ids == {run_id_text(run, us(-9), LOG_ID)}
    assert announcer.unknown(7, [started]) == [run]


def test_a_run_may_be_named_behind_its_end_in_one_record() -> None:
    """The thread of an attempt that timed out goes on, and is in the way."""
    announcer = Announcer(LOG_ID)
    announcer.learn(RUN, us(-9))
    dead = ev.RunDead("t", RUN, 1, AT_US, us(-9), us(-1), "no")
    skipped = ev.RunSkippedOverlap("t", AT_US, AT_US, None, RUN)
    assert announcer.unknown(RECORD, [dead, skipped]) == []
    _, value = announcer.announce(RECORD, [dead, skipped])
    assert isinstance(value, a.RunSkippedOverlap)
    assert value.by_run_id == RUN_ID


def test_of_too_many_open_runs_the_oldest_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(announcing, "RUNS_KNOWN", 3)
    announcer = Announcer(LOG_ID)
    runs = [RUN + n for n in range(5)]
    for run in runs:
        announcer.learn(run, us(run - RUN))
    assert announcer.unknown(RECORD, [ev.RunStarted("t", run, 1, AT_US) for run in runs]) == [
        RUN,
        RUN + 1,
    ]
