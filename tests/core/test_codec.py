"""Records as bytes: round trips, older and newer writers, and what is no record."""

from __future__ import annotations

import orjson
import pytest

from kron.core.codec import FORMAT, decode, encode
from kron.core.errors import LogCorrupt, LogTooNew
from kron.core.events import (
    EVENTS,
    RunDue,
    RunMissed,
    RunStarted,
    SchedulerStarted,
    TimerCreated,
    Unknown,
)
from kron.core.machine import Machine
from kron.core.model import Definition, Kind, Overlap, Terms

FULL = Definition(
    Kind.CRON,
    "0 8 * * *",
    Terms(
        timezone="Asia/Tokyo",
        overlap=Overlap.SKIP,
        max_attempts=7,
        retry_delay_us=5,
        args=(1, [2.5, None], "\u2028 \U0001f600"),
        kwargs={"a": {"b": [True]}},
        metadata={"team": "x"},
        description="d",
        fn_name="f",
    ),
)


def record(*rows: object, version: int = FORMAT) -> bytes:
    return orjson.dumps([{"v": version, "t": 1}, *rows])


@pytest.mark.parametrize("definition", [FULL, Definition(Kind.EVERY, 10), Definition(Kind.AT, -5)])
def test_a_record_reads_back_as_it_was(definition: Definition) -> None:
    events = [
        SchedulerStarted(1, "boot", 2, "0.1"),
        TimerCreated("a", definition, 1, 2, None, "cmd"),
        RunDue("a", 3, 4, None),
        RunStarted("a", 4096, 1, 4),
    ]
    payload = encode(events, 99)
    header, again = decode(payload, 1)
    assert header == {"v": FORMAT, "t": 99}
    assert again == events and [type(each) for each in again] == [type(each) for each in events]
    assert again[1].definition.terms.fn_name == definition.terms.fn_name
    assert b"\n" not in payload and encode(again, 99) == payload


def test_every_event_reads_back() -> None:
    for kind in EVENTS.values():
        fields = [FULL if name == "definition" else 1 for name in kind._fields]
        assert decode(encode([kind(*fields)], 0), 1).events == [kind(*fields)]


def test_a_newer_version_is_refused_with_both_versions() -> None:
    with pytest.raises(LogTooNew, match=r"record 7 .* version 9; this Kron reads up to 1"):
        decode(record(["WHATEVER"], version=9), 7)


def test_an_unknown_event_keeps_its_place_and_changes_nothing() -> None:
    rows = [
        ["TIMER_CREATED", "a", {"every": 10}, 0, 0, 10],
        ["RUN_BLESSED", "a", 5],
        ["RUN_DUE", "a", 10, 10, None],
    ]
    events = decode(record(*rows), 1).events
    assert events[1] == Unknown("RUN_BLESSED", ["a", 5])
    machine = Machine()
    machine.replay(1, events)
    assert list(machine.state.runs) == [4096 + 2]


def test_additional_fields_and_keys_are_passed_over() -> None:
    rows = [
        ["TIMER_CREATED", "a", {"every": 10, "mood": "good"}, 0, 0, 10, "", "new", 5],
        ["RUN_MISSED", "a", 10, 20, 2, "down", 30, -1, 0, "new"],
    ]
    assert decode(record(*rows), 1).events == [
        TimerCreated("a", Definition(Kind.EVERY, 10), 0, 0, 10),
        RunMissed("a", 10, 20, 2, "down", 30),
    ]


def test_fields_an_older_writer_did_not_have_take_their_defaults() -> None:
    assert decode(record(["RUN_DUE", "a", 10, 10, None]), 1).events == [
        RunDue("a", 10, 10, None, "schedule", 0, "")
    ]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b"5",
        b"[1]",
        b'[{"t":1}]',
        b'[{"v":"x"}]',
        b'[{"v":1},5]',
        b'[{"v":1},[]]',
        b'[{"v":1},{}]',
        b'[{"v":1},["RUN_DUE"]]',
        b'[{"v":1},["TIMER_CREATED"]]',
        b'[{"v":1},["TIMER_CREATED","a",{},0,0,1]]',
        b'[{"v":1},["TIMER_CREATED","a",{"every":1,"overlap":"nap"},0,0,1]]',
        b'[{"v":1}',
    ],
)
def test_what_is_no_record_is_corrupt(payload: bytes) -> None:
    with pytest.raises(LogCorrupt, match="record 3 is not a list of events"):
        decode(payload, 3)


def test_a_record_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="record 2 cannot follow record 0"):
        Machine().replay(2, [])
