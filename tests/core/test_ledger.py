"""The ledger checker can fail: a good history that is mutilated is found out."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from kron.core.events import EVENTS
from kron.storage.lines import Header, encode_header, encode_record, seed_of
from kron.testing.player import BASE_US, Player
from kron.testing.transcript import play
from tests import ledger
from tests.ledger import FIELDS, CronDays, FieldDays, SlotDays, check, day_starts, read_records

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


# -- forged logs: at least one for each rule ------------------------------------------------------


FORGED = {
    "jitter twice": """
at 0       schedule noon cron="0 12 * * *" overlap=skip jitter=30s  -> ...
at next    -> ...
at +1      finish 1; wall -24h -> ...
at next    -> ...
""",
    "two of all": """
at 0    schedule tick cron="*/10 * * * * *" missed=all  -> ...
at 25   blocked -> ...
""",
    "an orphan": """
at 0    schedule tick every=50s overlap=skip; schedule other every=100s overlap=allow -> ...
at 5    crash; start only other -> ...
at 100  -> ...
at 200  -> ...
at 300  -> ...
at 390  schedule tick every=50s overlap=skip -> ...
""",
    "monday": """
at 0    schedule report cron="0 9 * * mon" overlap=skip -> ...
at 30d  blocked -> ...
""",
    "gap": """
at 2026-03-28T12:00:00Z  schedule a cron="30 2 * * *" timezone=Europe/Berlin overlap=skip -> ...
at 2026-03-29T02:00:00Z  blocked -> ...
""",
}


def play_file(name: str) -> tuple[Records, int]:
    records, known = played(name)
    return records, known["end_us"]


def played(name: str) -> tuple[Records, dict[str, Any]]:
    """A log, and what the judge has to be told besides."""
    player = play(FORGED.get(name) or (SCENARIOS / f"{name}.txt").read_text())
    return records_of(player), {"end_us": player.end_us, "limits": player.limits}


def edited(records: Records, tag: str, nth: int, **fields: Any) -> Records:
    """A log in which an event says something else; a function changes what it said."""
    broken = copy.deepcopy(records)
    index, position = list(places(records, tag))[nth]
    row = broken[index][position]
    for name, value in fields.items():
        place = 1 + FIELDS[tag].split().index(name)
        row[place] = value(row[place]) if callable(value) else value
    return broken


def redefined(records: Records, **keys: Any) -> Records:
    """A log whose first timer was created with other keys (None: without that one)."""
    broken = copy.deepcopy(records)
    index, position = next(places(records, "TIMER_CREATED"))
    definition = broken[index][position][2] | keys
    kept = {name: value for name, value in definition.items() if value is not None}
    broken[index][position][2] = kept
    return broken


def later(us: int) -> int:
    return us + SECOND


EDITED: list[tuple[str, str, int, dict[str, Any], str]] = [
    # Delays, and reasons for them.
    ("missed_all", "RUN_DUE", 0, {"late": ""}, "35000000 late"),
    ("missed_all", "RUN_DUE", 0, {"late": "stopped"}, "late .stopped. is not plausible"),
    ("missed_all", "RUN_DUE", 0, {"late": "delayed"}, "late .delayed. is not plausible"),
    ("missed_all", "RUN_DUE", 0, {"late": "invalid"}, "late .invalid. is not plausible"),
    ("cadence", "RUN_DUE", 0, {"late": "blocked"}, "a run is 0 late"),
    ("trigger_beside_the_schedule", "RUN_DUE", 0, {"late": "down"}, "asked for is not late"),
    ("jitter", "RUN_DUE", 0, {"jitter": 31 * SECOND}, "jitter 31000000 of at most 30000000"),
    ("jitter", "RUN_DUE", 0, {"jitter": -1}, "jitter -1"),
    ("jitter", "RUN_DUE", 0, {"jitter": later}, "a run is early"),
    ("cadence", "RUN_DUE", 0, {"jitter": 1}, "jitter 1 of at most 0"),
    ("jitter twice", "RUN_DUE", 1, {"jitter": lambda us: us - 1}, "another jitter"),
    # What is missed, and what comes then.
    ("missed_once_with_grace", "RUN_MISSED", 1, {"next": later}, "next is said to be"),
    ("missed_once_with_grace", "RUN_MISSED", 1, {"next": None}, "nothing is next, but"),
    ("bounds", "RUN_MISSED", 1, {"next": BASE_US + 70 * SECOND}, "is next, but nothing is"),
    ("pause_recurring", "RUN_MISSED", 0, {"next": BASE_US + 40 * SECOND}, "decides what is next"),
    ("missed_fixed_delay_with_grace", "RUN_MISSED", 0, {"next": later}, "next is said to be"),
    ("excluded_days_over_downtime", "RUN_MISSED", 1, {"moments": 3}, "3 missed moments are 2"),
    ("excluded_days_over_downtime", "RUN_MISSED", 1, {"reason": "down"}, "not down"),
    ("excluded_days_over_downtime", "RUN_MISSED", 0, {"reason": "excluded"}, "not excluded"),
    ("bounds", "RUN_MISSED", 0, {"reason": "excluded"}, "not excluded"),
    ("excluded_days", "RUN_MISSED", 0, {"reason": "bounds"}, "not bounds"),
    ("missed_once_with_grace", "RUN_MISSED", 0, {"reason": "grace"}, "grace. is not plausible"),
    ("missed_skip", "RUN_MISSED", 1, {"reason": "grace"}, "grace. is not plausible"),
    ("missed_once_over_downtime", "RUN_MISSED", 0, {"reason": "cap"}, "fewer are caught up"),
    ("missed_all_with_grace", "RUN_MISSED", 0, {"reason": "cap"}, "fewer are caught up"),
    ("missed_all_with_grace", "RUN_MISSED", 0, {"reason": "down"}, "each is to be caught up"),
    ("missed_all_is_capped", "RUN_MISSED", 0, {"reason": "grace"}, "grace. is only"),
    ("missed_all", "RUN_DUE", 1, {"missed": 1}, "stands for 1 missed"),
    ("excluded_days_over_downtime", "RUN_DUE", 0, {"missed": 3}, "stands for 3 missed"),
    # Who says what is next.
    ("missed_all", "RUN_DUE", 1, {"next": None}, "nothing says that"),
    ("missed_all", "RUN_SKIPPED_OVERLAP", 0, {"next": None}, "nothing says that"),
    ("two of all", "RUN_DUE", 0, {"next": None}, "nothing says that"),
    ("cadence", "RUN_DUE", 0, {"next": BASE_US + 2**37}, "next is said too soon"),
    # What kept moments from running.
    ("missed_blocked", "RUN_MISSED", 0, {"reason": "orphaned"}, "orphaned. is not plausible"),
    ("missed_blocked", "RUN_MISSED", 0, {"reason": "clock_step"}, "clock_step. is not plausible"),
    ("missed_blocked", "RUN_MISSED", 0, {"reason": "invalid"}, "invalid. is not plausible"),
    ("missed_reasons_are_split", "RUN_MISSED", 1, {"reason": "stopped"}, "is not plausible"),
    ("missed_reasons_are_split", "RUN_MISSED", 2, {"reason": "down"}, "is not plausible"),
    ("missed_reasons_are_split", "RUN_MISSED", 1, {"reason": "invalid"}, "is not plausible"),
    ("pause_recurring", "RUN_MISSED", 0, {"reason": "blocked"}, "blocked. is not plausible"),
    ("an orphan", "RUN_MISSED", 0, {"reason": "blocked"}, "blocked. is not plausible"),
    ("an orphan", "RUN_MISSED", 0, {"reason": "suspended"}, "suspended. is not plausible"),
    ("pause_after_overdue_moments", "RUN_MISSED", 0, {"reason": "delayed"}, "is not plausible"),
    ("pause_while_a_run_is_open", "RUN_MISSED", 0, {"reason": "orphaned"}, "is not plausible"),
    ("limits_move_with_the_clock", "RUN_MISSED", 0, {"reason": "delayed"}, "is not plausible"),
    ("update_overlap_gives_up_what_waits", "RUN_MISSED", 0, {"moments": 2}, "2 missed moments are"),
    ("update_overlap_gives_up_what_waits", "TIMER_UPDATED", 0, {"anchor": later}, "anchor moved"),
    ("missed_skip", "SCHEDULER_STARTED", 1, {"unknown": "UTC"}, "must not be"),
    # What fires once ever, and what a clock that is set right brings back.
    ("at_overdue_with_changed_terms_fires_once", "TIMER_UPDATED", 1, {"next": BASE_US}, "next is"),
    ("bounds_were_over_by_a_wrong_clock", "TIMER_MOVED", 0, {"next": later}, "next is said to be"),
    # Clocks.
    ("clock_far_back_begins_an_era", "CLOCK_STEP", 0, {"era": False}, "a new era begins"),
    ("clock_hour_forward", "CLOCK_STEP", 0, {"era": True}, "a new era begins"),
    ("jitter twice", "CLOCK_STEP", 0, {"era": False}, "but its next moment is"),
    ("clock_far_back_begins_an_era", "TIMER_MOVED", 0, {"next": later}, "next is said to be"),
    ("clock_far_back_begins_an_era", "TIMER_MOVED", 0, {"reason": "zone"}, "for no reason"),
    ("clock_far_back_begins_an_era", "TIMER_MOVED", 0, {"timer": "beat"}, "for no reason"),
    ("clock_far_back_over_a_restart", "TIMER_MOVED", 0, {"reason": "rain"}, "for no reason"),
]


@pytest.mark.parametrize(
    ("name", "tag", "nth", "fields", "words"),
    EDITED,
    ids=[f"{name}-{tag}-{nth}-{'-'.join(fields)}" for name, tag, nth, fields, _ in EDITED],
)
def test_an_edited_event_is_found(
    name: str, tag: str, nth: int, fields: dict[str, Any], words: str
) -> None:
    records, end_us = play_file(name)
    assert check(records, end_us=end_us) == []
    faults = check(edited(records, tag, nth, **fields), end_us=end_us)
    assert re.search(words, "; ".join(faults)), faults


SHARED: list[tuple[str, str, int, dict[str, Any], str]] = [
    # Timeouts.
    ("timeout_stops_an_attempt", "RUN_STOPPING", 0, {"at": lambda us: us - SECOND}, "before its t"),
    ("restart_running", "RUN_STOPPING", 0, {"reason": "timeout"}, "before its time"),
    ("timeout_stops_an_attempt", "RUN_FAILED", 0, {"reason": ""}, "has failed .., and not so"),
    ("timeout_stops_an_attempt", "RUN_STOPPING", 0, {"reason": "cancel"}, "and not so"),
    ("cancel_over_a_timeout", "RUN_CANCELLED", 0, {"reason": "timeout"}, "its time was up"),
    ("timeout_thread_under_skip", "RUN_FAILED", 0, {"reason": "crashed"}, "and not so"),
    ("timeout_thread_under_delay", "RUN_STOPPING", 0, {"reason": "cancel"}, "delayed. is not pla"),
    ("timeout_thread_and_fixed_delay", "RUN_DUE", 1, {"late": "paused"}, "is not plausible"),
    # Restarts.
    ("restart_retrying", "RUN_CANCELLED", 0, {"timer": "job", "run": 0}, "unknown run"),
    ("key_restart", "RUN_STOPPING", 0, {"run": lambda run: run + 4096}, "unknown run|then this"),
    # Room.
    ("capacity_grace", "RUN_MISSED", 0, {"reason": "down"}, "misses"),
    ("capacity_grace", "RUN_MISSED", 0, {"at": lambda us: us - SECOND}, "as long as its grace"),
    ("capacity_grace", "RUN_MISSED", 0, {"moments": 2}, "misses"),
    ("capacity_grace", "RUN_MISSED", 0, {"run": 0}, "its next moment is None"),
    ("capacity_grace", "RUN_MISSED", 0, {"next": later}, "next is said to be"),
    ("key_skip", "RUN_SKIPPED_OVERLAP", 0, {"by": 1}, "no run was in the way"),
    ("backfill_under_skip", "RUN_SKIPPED_OVERLAP", 0, {"by": 12289}, "no run was in the way"),
    # Pauses.
    ("pause_for", "TIMER_PAUSED", 0, {"until": later}, "its pause is not over"),
    ("pause_for", "TIMER_PAUSED", 0, {"until": None}, "its pause is not over"),
    ("pause_until", "TIMER_PAUSED", 0, {"until": lambda us: us - 60 * SECOND}, "that was over"),
    ("pause_over_downtime", "TIMER_RESUMED", 0, {"next": later}, "next is said to be"),
    ("pause_second_pause", "TIMER_PAUSED", 1, {"until": None, "reason": ""}, "paused twice"),
    ("pause_fixed_delay_downtime", "TIMER_RESUMED", 0, {"next": later}, "next is said to be"),
    # Backfills.
    ("backfill_one_after_the_other", "BACKFILL_STARTED", 0, {"moments": 4}, "not of 5 of 5"),
    ("backfill_one_after_the_other", "BACKFILL_STARTED", 0, {"next": later}, "not of 5 of 5"),
    (
        "backfill_one_after_the_other",
        "BACKFILL_STARTED",
        0,
        {"until": BASE_US + 2**40},
        "are to be",
    ),
    ("backfill_one_after_the_other", "BACKFILL_STARTED", 0, {"concurrency": 2}, "2 at once"),
    ("backfill_one_after_the_other", "RUN_DUE", 1, {"scheduled": later}, "is no moment"),
    ("backfill_one_after_the_other", "RUN_DUE", 1, {"scheduled": BASE_US}, "is backfilled, after"),
    ("backfill_one_after_the_other", "RUN_DUE", 1, {"next": None}, "left are"),
    (
        "backfill_one_after_the_other",
        "RUN_DUE",
        2,
        {"scheduled": BASE_US - 60 * SECOND},
        "left are",
    ),
    ("backfill_forced", "BACKFILL_STARTED", 0, {"done": 0}, "not of 1 of 2"),
    ("backfill_forced", "BACKFILL_STARTED", 1, {"is_forced": False}, "and had a run"),
    ("backfill_after_a_pause", "BACKFILL_STARTED", 0, {"done": 3}, "not of 4 of 6"),
    ("backfill_two_at_once", "BACKFILL_STARTED", 0, {"concurrency": 1}, "is backfilled beside"),
    ("backfill_changed", "BACKFILL_ENDED", 0, {"reason": ""}, "before its last run"),
    ("backfill_changed", "BACKFILL_STARTED", 1, {"moments": 2, "done": 0}, "not of 1 of 2"),
    ("backfill_cancel", "BACKFILL_ENDED", 0, {"reason": "rain"}, "for no reason"),
    ("backfill_cancel_run_waiting", "BACKFILL_STARTED", 1, {"done": 2}, "not of 1 of 2"),
    ("backfill_bounds", "RUN_DUE", 1, {"scheduled": BASE_US}, "is no moment"),
]


@pytest.mark.parametrize(
    ("name", "tag", "nth", "fields", "words"),
    SHARED,
    ids=[f"{name}-{tag}-{nth}-{'-'.join(fields)}" for name, tag, nth, fields, _ in SHARED],
)
def test_an_edited_event_about_what_runs_share_is_found(
    name: str, tag: str, nth: int, fields: dict[str, Any], words: str
) -> None:
    records, known = played(name)
    assert check(records, **known) == []
    faults = check(edited(records, tag, nth, **fields), **known)
    assert re.search(words, "; ".join(faults)), faults


@pytest.mark.parametrize(
    ("name", "limit", "words"),
    [
        ("capacity_weights", 3, "starts beside 3 of 3"),
        ("capacity_nobody_overtakes", 3, "starts beside 3 of 3"),
        ("capacity_grace", None, "though there is no limit"),
    ],
)
def test_another_limit_is_found(name: str, limit: int | None, words: str) -> None:
    records, known = played(name)
    assert check(records, **known) == []
    faults = check(records, **known | {"limits": {1: limit}})
    assert re.search(words, "; ".join(faults)), faults


@pytest.mark.parametrize(
    ("name", "timer", "keys", "words"),
    [
        ("capacity_weights", "b", {"weight": 4}, "weight 4 starts beside|starts beside 4 of 4"),
        ("capacity_priority", "mid", {"priority": 10}, "overtakes"),
        ("capacity_heavy_is_not_starved", "b", {"priority": 6}, "overtakes"),
        ("capacity_grace", "tick", {"grace_us": 6 * SECOND}, "as long as its grace"),
        ("capacity_grace", "tick", {"grace_us": None}, "as long as its grace"),
        ("key_limit_two", "b", {"key_limit": 1}, "have its key"),
        ("key_limits_differ", "c", {"key_limit": 1}, "have its key"),
        ("key_parked_does_not_hold_up", "c", {"key": "db"}, "have its key"),
        ("key_skip", "b", {"key_limit": 2}, "no run was in the way"),
        ("key_skip", "a", {"key": None}, "no run was in the way"),
        ("key_restart", "a", {"key": "other"}, "nothing takes its place"),
        ("restart_running", "job", {"overlap": "skip"}, "is due while one is open"),
        ("timeout_stops_an_attempt", "job", {"timeout_us": 12 * SECOND}, "before its time is up"),
        ("allow_runs_overlap", None, {"overlap": "restart"}, "are not stopped"),
        ("backfill_two_at_once", "tick", {"overlap": "delay"}, "2 at once"),
        (
            "backfill_one_after_the_other",
            "tick",
            {"not_before_us": BASE_US - 200 * SECOND},
            "is no",
        ),
    ],
    ids=str,
)
def test_other_limits_of_a_timer_are_found(
    name: str, timer: str | None, keys: dict[str, Any], words: str
) -> None:
    records, known = played(name)
    assert check(records, **known) == []
    broken = copy.deepcopy(records)
    for index, position in places(broken, "TIMER_CREATED"):
        row = broken[index][position]
        if timer in (None, row[1]):
            row[2] = {k: v for k, v in (row[2] | keys).items() if v is not None}
    faults = check(broken, **known)
    assert re.search(words, "; ".join(faults)), faults


@pytest.mark.parametrize(
    ("name", "tag", "nth", "words"),
    [
        ("backfill_one_after_the_other", "RUN_DUE", 4, "before its last run|unknown run"),
        ("backfill_one_after_the_other", "BACKFILL_ENDED", 0, "goes on with its backfill"),
        ("backfill_changed", "BACKFILL_ENDED", 0, "the moments are others"),
        ("backfill_over_a_crash", "BACKFILL_STARTED", 0, "must not be"),
        ("pause_for", "TIMER_RESUMED", 0, "its next moment|must not be|pause is over"),
        ("restart_running", "RUN_STOPPING", 0, "are not stopped"),
        ("restart_retrying", "RUN_CANCELLED", 0, "are not stopped"),
        ("capacity_weights", "RUN_SUCCEEDED", 0, "starts beside 3 of 4"),
        ("key_two_timers", "RUN_SUCCEEDED", 0, "have its key"),
        ("timeout_suspended", "RUN_STOPPING", 0, "goes on after its time is up"),
    ],
)
def test_a_dropped_event_about_what_runs_share_is_found(
    name: str, tag: str, nth: int, words: str
) -> None:
    broken, known = played(name)
    index, position = list(places(broken, tag))[nth]
    broken[index][position] = ["SOMETHING_NEW"]
    faults = check(broken, **known)
    assert re.search(words, "; ".join(faults)), faults


@pytest.mark.parametrize(
    ("name", "keys", "words"),
    [
        ("missed_skip", {"missed": None}, "nothing runs, though"),
        ("missed_once_with_grace", {"grace_us": None}, "nothing runs, though"),
        ("missed_once_with_grace", {"grace_us": 200 * SECOND}, "grace. is only 150000000 late"),
        ("missed_once_over_downtime", {"grace_us": 5 * SECOND}, "later than its grace"),
        ("missed_once_over_downtime", {"missed": "all"}, "each is to be caught up"),
        ("missed_skip_within_grace", {"grace_us": 4 * SECOND}, "later than its grace"),
        ("missed_all", {"missed": None}, "later ones have passed"),
        ("missed_once_over_downtime", {"exclude": ["thu"]}, "left out .excluded"),
        ("excluded_days_in_a_zone", {"timezone": None}, "not excluded"),
        ("excluded_days", {"exclude": ["sun"]}, "not excluded"),
        ("excluded_days", {"exclude": ["2026-01-02..2026-01-03", "sun"]}, "left out .excluded"),
        ("bounds", {"not_before_us": BASE_US + 45 * SECOND}, "left out .bounds"),
        ("bounds", {"not_after_us": BASE_US + 45 * SECOND}, "left out .bounds"),
        ("bounds", {"not_after_us": None}, "not bounds"),
        ("cadence", {"cadence": "day 15:13"}, "next is said to be"),
        ("monday", {"cron": None, "fields": "day_of_week=tue hour=9"}, "next is said to be"),
        ("gap", {"dst": "skip"}, "next is said to be"),
    ],
    ids=str,
)
def test_another_definition_is_found(name: str, keys: dict[str, Any], words: str) -> None:
    records, end_us = play_file(name)
    assert check(records, end_us=end_us) == []
    faults = check(redefined(records, **keys), end_us=end_us)
    assert re.search(words, "; ".join(faults)), faults


@pytest.mark.parametrize(
    ("name", "tag", "nth", "words"),
    [
        ("bounds", "RUN_MISSED", 0, "its next moment is"),
        ("bounds", "RUN_MISSED", 1, "nothing is said about"),
        ("missed_all", "RUN_DUE", 3, "later ones have passed"),
        ("missed_all", "RUN_DUE", 1, "but its next moment is"),
        ("excluded_days", "RUN_MISSED", 0, "but its next moment is"),
        ("clock_far_back_over_a_restart", "CLOCK_STEP", 0, "the clock went back"),
        ("clock_far_back_begins_an_era", "CLOCK_STEP", 0, "but its next moment is"),
    ],
)
def test_a_dropped_event_is_found(name: str, tag: str, nth: int, words: str) -> None:
    broken, end_us = play_file(name)
    index, position = list(places(broken, tag))[nth]
    broken[index][position] = ["SOMETHING_NEW"]
    faults = check(broken, end_us=end_us + SECOND)
    assert re.search(words, "; ".join(faults)), faults


def test_the_same_moments_in_other_words_are_the_same() -> None:
    records, end_us = play_file("monday")
    fields = {"cron": None, "fields": "day_of_week=mon hour=9"}
    assert check(redefined(records, **fields), end_us=end_us) == []


def test_more_than_a_hundred_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    records, end_us = play_file("missed_all_is_capped")
    monkeypatch.setattr(ledger, "CAP", 99)
    faults = check(records, end_us=end_us)
    assert any("more than 99 moments are caught up" in fault for fault in faults)


def test_caught_up_runs_that_start_together_are_found() -> None:
    records, end_us = play_file("missed_all")
    index, position = list(places(records, "RUN_DUE"))[1]
    run, at = (index + 1) * 4096 + position - 1, records[index][position][3]
    records[index].append(["RUN_STARTED", "tick", run, 1, at])
    faults = check(records, end_us=end_us)
    assert any(f"run {run} starts before" in fault for fault in faults)


def test_an_unknown_zone_excuses_what_does_not_run() -> None:
    """The same log, once with and once without the word that the zone was unknown."""
    player = play(FORGED["monday"].split("at 30d")[0])
    records, end_us = records_of(player), player.end_us + 30 * 86_400 * SECOND
    assert check(records, end_us=end_us)
    assert check(edited(records, "SCHEDULER_STARTED", 0, unknown="UTC"), end_us=end_us) == []


def test_fields_are_those_of_the_events() -> None:
    def bare(name: str) -> str:
        for tail in ("_us", "_run", "_bytes", "_as"):
            name = name.removesuffix(tail)
        return name

    for tag, fields in FIELDS.items():
        assert [bare(name) for name in EVENTS[tag]._fields] == fields.split(), tag
    assert FIELDS.keys() == EVENTS.keys()


def test_the_brute_force_agrees_on_known_dates() -> None:
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
    skipped = CronDays("30 2 * * *", "Europe/Berlin", "skip")
    assert skipped.next_after(us("2026-03-29T00:00+01:00")) == us("2026-03-30T02:30+02:00")
    assert day_starts("America/Santiago", date(2026, 9, 6)) == us("2026-09-06T04:00+00:00")


def test_the_brute_force_reads_fields_and_slots() -> None:
    def us(text: str) -> int:
        return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * SECOND

    friday = FieldDays("day=13 day_of_week=fri", "UTC")
    assert friday.next_after(us("2026-01-01T00:00")) == us("2026-02-13T00:00")
    week = FieldDays("week=53", "UTC")
    assert week.next_after(us("2026-01-04T00:00")) == us("2026-12-28T00:00")
    year = FieldDays("year=2026 month=2 day=last", "UTC")
    assert year.next_after(us("2026-01-01T00:00")) == us("2026-02-28T00:00")
    assert year.next_after(us("2026-02-28T00:00")) is None
    sunday = SlotDays("week sun 15:12", "UTC")
    assert sunday.next_after(us("2026-01-01T00:00")) == us("2026-01-04T15:12")
    minute = SlotDays("minute :12", "UTC")
    assert minute.next_after(us("2026-01-01T00:00")) == us("2026-01-01T00:00:12")


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
