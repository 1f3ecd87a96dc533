"""The ledger checker can fail: a good history that is mutilated is found out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kron.core.events import EVENTS
from kron.storage.lines import Header, encode_header, encode_record, seed_of
from kron.testing.player import Player
from kron.testing.transcript import play
from tests.ledger import FIELDS, CronDays, check, read_records

SCENARIOS = Path(__file__).parents[1] / "scenarios"
SECOND = 1_000_000
Records = list[list[Any]]

HISTORY = """
at 0    schedule tick every=10s overlap=skip retry_delay=0s  -> ...
at 0    schedule poll every=10s; schedule mail cron="* * * * *"; schedule once after=15s -> ...
at 10   -> ...
at 11   fail 1; finish 2 -> ...
at 15   -> ...
at 20   -> ...
at 21   finish 1; finish 3 -> ...
at 22   cancel poll -> ...
at 23   cancelled 4 -> ...
at 30   -> ...
at 31   crash; start -> ...
at 90   blocked -> ...
"""


def records_of(player: Player) -> Records:
    return [json.loads(payload) for payload in player.log]


@pytest.fixture(scope="module")
def good() -> tuple[Records, int]:
    player = play(HISTORY)
    records = records_of(player)
    assert check(records, end_us=player.end_us) == []
    return records, player.end_us + SECOND  # nothing falls due in that second


def places(records: Records, *tags: str) -> Iterator[tuple[int, int]]:
    for index, record in enumerate(records):
        for position, event in enumerate(record[1:], 1):
            if event[0] in tags:
                yield index, position


MOMENTS = ("RUN_DUE", "RUN_SKIPPED_OVERLAP", "RUN_MISSED")
RUN_EVENTS = tuple(tag for tag in EVENTS if tag.startswith("RUN_"))


def test_dropping_any_event_of_a_run_is_found(good: tuple[Records, int]) -> None:
    records, end_us = good
    found = 0
    for index, position in places(records, *RUN_EVENTS):
        if records[index][position][0] == "RUN_STOPPING":
            continue  # a run may be cancelled without it, when nobody carries it out
        broken = copy.deepcopy(records)
        # Ids are positions: an event of a newer version keeps the place.
        broken[index][position] = ["SOMETHING_NEW"]
        assert check(broken, end_us=end_us), records[index][position]
        found += 1
    assert found > 25


def test_doubling_any_event_of_a_run_is_found(good: tuple[Records, int]) -> None:
    records, end_us = good
    for index, position in places(records, *RUN_EVENTS):
        broken = copy.deepcopy(records)
        broken[index].append(broken[index][position])
        assert check(broken, end_us=end_us), records[index][position]


def test_shifting_any_moment_is_found(good: tuple[Records, int]) -> None:
    records, end_us = good
    for index, position in places(records, *MOMENTS):
        broken = copy.deepcopy(records)
        broken[index][position][2] += SECOND
        assert check(broken, end_us=end_us), records[index][position]


@pytest.mark.parametrize(
    ("tag", "field", "change"),
    [
        ("RUN_MISSED", "moments", lambda n: n + 1),
        ("RUN_MISSED", "last", lambda us: us - SECOND),
        ("RUN_MISSED", "reason", lambda reason: "paused"),
        ("RUN_MISSED", "reason", lambda reason: "past"),
        ("RUN_MISSED", "reason", lambda reason: "rain"),
        ("RUN_DUE", "missed", lambda n: n + 1),
        ("RUN_DUE", "at", lambda us: us - 600 * SECOND),
        ("RUN_STARTED", "attempt", lambda n: n + 1),
        ("RUN_STARTED", "at", lambda us: us - 600 * SECOND),
        ("RUN_RETRYING", "attempt", lambda n: n + 1),
        ("RUN_SUCCEEDED", "started", lambda us: us + 1),
        ("RUN_SUCCEEDED", "attempt", lambda n: n + 1),
        ("RUN_SKIPPED_OVERLAP", "by", lambda run: run + 1),
        ("TIMER_CREATED", "next", lambda us: us + SECOND),
    ],
)
def test_a_changed_field_is_found(
    good: tuple[Records, int], tag: str, field: str, change: Callable[[Any], Any]
) -> None:
    records, end_us = good
    for index, position in places(records, tag):
        broken = copy.deepcopy(records)
        place = 1 + FIELDS[tag].split().index(field)
        broken[index][position][place] = change(broken[index][position][place])
        assert check(broken, end_us=end_us), records[index][position]


def test_an_attempt_too_many_is_found() -> None:
    player = play((SCENARIOS / "retries_run_out.txt").read_text())
    text = json.dumps(records_of(player)).replace('"max_attempts": 2', '"max_attempts": 1')
    assert any("tried again" in fault for fault in check(json.loads(text), end_us=player.end_us))


def test_a_silent_scheduler_is_found(good: tuple[Records, int]) -> None:
    records, end_us = good
    assert check(records, end_us=end_us + 3600 * SECOND)
    everyone = ["tick", "poll", "mail", "once"]
    assert check(records, end_us=end_us + 3600 * SECOND, orphans=everyone) == []


def test_fields_are_those_of_the_events() -> None:
    def bare(name: str) -> str:
        for tail in ("_us", "_run", "_bytes", "_as"):
            name = name.removesuffix(tail)
        return name

    for tag, fields in FIELDS.items():
        assert [bare(name) for name in EVENTS[tag]._fields] == fields.split(), tag
    assert FIELDS.keys() == EVENTS.keys()


def test_the_brute_force_agrees_on_known_dates() -> None:
    from datetime import UTC, datetime

    def us(text: str) -> int:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * SECOND

    berlin = CronDays("30 2 * * *", "Europe/Berlin")
    assert berlin.next_after(us("2026-03-29T00:00+01:00")) == us("2026-03-29T03:00+02:00")
    assert berlin.next_after(us("2026-10-25T00:00+02:00")) == us("2026-10-25T02:30+02:00")
    assert berlin.next_after(us("2026-10-25T02:30+02:00")) == us("2026-10-26T02:30+01:00")
    assert berlin.count(us("2026-01-01T00:00+01:00"), us("2026-12-31T23:59+01:00")) == 365
    leap = CronDays("0 0 29 2 *", "UTC")
    assert leap.next_after(us("2026-01-01T00:00+00:00")) == us("2028-02-29T00:00+00:00")
    last = CronDays("0 12 LW * *", "UTC")
    assert last.next_after(us("2026-01-01T00:00+00:00")) == us("2026-01-30T12:00+00:00")


def write_log(path: Path, payloads: list[bytes]) -> bytes:
    seed = seed_of("ab" * 16)
    lines = [encode_record(seed, index, payload) for index, payload in enumerate(payloads, 1)]
    path.write_bytes(encode_header(Header("ab" * 16, 0)) + b"".join(lines))
    return path.read_bytes()


def test_records_are_read_up_to_the_torn_tail(tmp_path: Path) -> None:
    player = play(HISTORY)
    path = tmp_path / "kron.aof"
    whole = write_log(path, player.log)
    assert read_records(path) == records_of(player)
    path.write_bytes(whole[:-20])
    assert read_records(path) == records_of(player)[:-1]
    middle = whole.index(b"RUN_DUE")
    path.write_bytes(whole[:middle] + b"x" + whole[middle + 1 :])
    with pytest.raises(ValueError, match="follows a broken one"):
        read_records(path)
