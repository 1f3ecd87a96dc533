"""The time vectors beyond cron: what is missed, clocks, one-shots, intervals and overlaps.

Each kind is read from the fields of its entries (and the few words that they use), so that other
entries of the same kinds can stand in the file.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kron.core import commands as c
from kron.core import decide_clock, moments
from kron.core.catch_up import Plan, catch_up
from kron.core.course import Course
from kron.core.definition import define
from kron.core.duration import parse_duration
from kron.core.errors import ScheduleError
from kron.core.events import ClockStep, Event, RunDue, RunMissed, RunStarted
from kron.core.instants import parse_instant, text
from kron.core.model import Missed, Overlap
from kron.core.moments import IntervalMoments, cron_moments
from kron.core.views import TimerStatus, timer_status
from kron.testing.player import BASE_US, Player
from tests.ledger import check

VECTORS = json.loads(Path(__file__).with_name("time_vectors.json").read_text())
SECOND = 1_000_000
DAY = 86_400 * SECOND


def vectors(kind: str) -> Any:
    found = [each for each in VECTORS[kind] if "needs" not in each]
    needy = [
        pytest.param(each, marks=pytest.mark.skip(reason=f"needs {each['needs']}"))
        for each in VECTORS[kind]
        if "needs" in each
    ]
    return pytest.mark.parametrize("vector", [*found, *needy], ids=lambda vector: vector["id"])


def us(when: str, date: str = "2026-11-21", tz: str = "UTC") -> int:
    """An ISO instant, or a time of that date."""
    if "T" not in when:
        when = f"{date}T{when}"
    return parse_instant(when, ZoneInfo(tz), argument="vector")


# -- a world that begins at any time ------------------------------------------------------------


def world(now: str | int) -> Player:
    """A scheduler that has just started, at that wall time."""
    player = Player()
    player.stepped_us = (us(now) if isinstance(now, str) else now) - BASE_US
    player.start()
    return player


def until(player: Player, wall_us: int) -> list[Event]:
    """What happens up to a wall time, that included."""
    events = player.advance(player.us + wall_us - player.wall_us)
    return events + player.turn()


def status_of(player: Player, name: str) -> TimerStatus:
    machine = player.machine
    timer = machine.state.timers[name]
    live = machine.is_live
    capacity = machine.capacity if live else None
    return timer_status(
        machine.state, timer, machine.now, "0" * 32, capacity=capacity, fn_name=None
    )


def dues(events: list[Event]) -> list[int]:
    return [event.scheduled_us for event in events if isinstance(event, RunDue)]


def missed(events: list[Event]) -> list[tuple[str, int]]:
    return [(each.reason, each.moments) for each in events if isinstance(each, RunMissed)]


def assert_whole(player: Player) -> None:
    records = [json.loads(payload) for payload in player.log]
    orphans = set(player.shadow.state.timers) - player.bound
    assert check(records, end_us=player.end_us, orphans=orphans) == []


# -- missed moments -----------------------------------------------------------------------------


@vectors("misfire")
def test_misfire_vectors(vector: dict[str, Any]) -> None:
    if "at" in vector:
        one_shot_over_downtime(vector)
        return
    plan, course = plan_of(vector)
    left_out = sum(course.count_allowed(left.first_us, left.last_us) for left in plan.left)
    assert left_out == vector["missed"]
    if "runs" in vector:
        expected = [us(run, vector["date"], vector["tz"]) for run in vector["runs"]]
        assert plan.runs == expected
    if "runs_count" in vector:
        assert len(plan.runs) == vector["runs_count"]
    if "next" in vector:
        assert plan.next_us == us(vector["next"], vector["date"], vector["tz"])


def plan_of(vector: dict[str, Any]) -> tuple[Plan, Course]:
    date, tz = vector["date"], vector["tz"]
    high_us = us(vector.get("high_water", "00:00:00"), date, tz)
    if "down_seconds" in vector:
        now_us = high_us + round(vector["down_seconds"] * SECOND)
    else:
        now_us = us(vector["now"], date, tz)
    if "every_seconds" in vector:
        interval_us = round(vector["every_seconds"] * SECOND)
        course = Course(IntervalMoments(us(vector.get("anchor", text(high_us))), interval_us))
    else:
        course = Course(cron_moments(vector["cron"], tz, vector.get("dst", "once")))
    first_us = course.next_after(high_us)
    assert first_us is not None and first_us <= now_us
    grace_us = round(vector["grace_seconds"] * SECOND) if "grace_seconds" in vector else None
    cap = vector.get("max_catch_up", 100)
    policy = Missed(vector.get("policy", "once"))
    return catch_up(course, first_us, now_us, policy, grace_us, cap), course


def one_shot_over_downtime(vector: dict[str, Any]) -> None:
    days = re.search(r"(\d+) days of downtime", vector["at"])
    assert days is not None
    terms = {"grace": vector["grace_seconds"]} if "grace_seconds" in vector else {}
    player, events = over_downtime(int(days[1]), **terms)
    assert len(dues(events)) == vector["runs_count"]
    status, words = status_of(player, "once"), vector["state"]
    assert ("finished" in words) == status["finished"]
    if "MISSED" in words:
        assert str(status["last_status"]).startswith("MISSED")
    if "recorded" in words:
        assert missed(events)


def over_downtime(days: int, **terms: Any) -> tuple[Player, list[Event]]:
    """A one-shot that falls due early in a downtime; what its next process says."""
    player = world("2026-11-21T10:00:00Z")
    player.turn(player.schedule("once", at=text(player.wall_us + 3600 * SECOND), **terms))
    player.crash()
    player.us += days * DAY
    events = player.start()
    assert_whole(player)
    return player, events


# -- one-shots ----------------------------------------------------------------------------------


@vectors("oneshot")
def test_oneshot_vectors(vector: dict[str, Any]) -> None:
    at, expect = vector.get("at", ""), vector["expect"]
    if "after" in vector:
        player = world("2026-11-21T10:00:00Z")
        events = player.turn(player.schedule("once", after=vector["after"]))
        assert "fires at once" in expect
        assert dues(events) == [player.wall_us]
    elif "downtime" in at:
        days = re.search(r"(\d+) days", at)
        assert days is not None and "exactly once" in expect
        player, events = over_downtime(int(days[1]))
        assert [each.late for each in events if isinstance(each, RunDue)] == ["down"]
        assert dues(until(player, player.wall_us + 30 * DAY)) == []
    elif "now" in vector:
        from_now_on(vector)
    elif expect in ("accepted", "refused"):
        refused = expect == "refused"
        try:
            define(at=at)
        except ScheduleError:
            assert refused
        else:
            assert not refused
    else:
        instant = re.match(r"\S+Z", expect)
        assert instant is not None, f"{vector['id']} is not understood"
        assert define(at=local(at))[0].value == us(instant[0])


def from_now_on(vector: dict[str, Any]) -> None:
    """Given at `now`; then time passes until it must have fired."""
    player, expect = world(vector["now"]), vector["expect"]
    at_us, now_us = us(vector["at"]), us(vector["now"])
    events = player.turn(player.schedule("once", at=vector["at"]))
    events += until(player, max(at_us, now_us) + DAY)
    if "not run" in expect:
        assert dues(events) == []
        assert missed(events) == [("past", 1)]
    else:
        fires = re.search(r"at (\S+Z)", expect)
        assert dues(events) == [us(fires[1]) if fires else at_us]
        due = next(event for event in events if isinstance(event, RunDue))
        assert abs(due.at_us - max(at_us, now_us)) < SECOND
    player.turn(*(c.FinishRun(run, 1, c.Outcome.SUCCEEDED, 1, "") for run in player.runs))
    assert status_of(player, "once")["finished"]
    assert_whole(player)


def local(words: str) -> datetime:
    """ "2026-11-01T01:30 America/New_York fold=0" as an aware datetime."""
    shown, zone, *rest = words.split()
    fold = 1 if "fold=1" in rest else 0
    return datetime.fromisoformat(shown).replace(tzinfo=ZoneInfo(zone), fold=fold)


# -- intervals and overlaps ---------------------------------------------------------------------


@vectors("interval")
def test_interval_vectors(vector: dict[str, Any]) -> None:
    """Given at the anchor; the process is down until `now`."""
    player, expected = world(vector["anchor"]), [us(each) for each in vector["expect"]]
    every = vector["every_seconds"]
    player.turn(player.schedule("tick", every=every, overlap="allow", missed="once"))
    player.crash()
    player.us += us(vector["now"]) - player.wall_us
    player.start()
    assert player.machine.state.timers["tick"].next_us == expected[0]
    assert dues(until(player, expected[-1])) == expected
    assert player.machine.state.index < 12, "years of moments are a few events"
    assert_whole(player)


@vectors("overlap")
def test_overlap_vectors(vector: dict[str, Any]) -> None:
    if vector["overlap"] not in list(Overlap):
        pytest.skip(f"overlap={vector['overlap']} is for a later version")
    given = re.search(r"registered at (\d\d:\d\d:\d\d)", vector.get("note", ""))
    start_us = us(vector["start"])
    begin_us = us(given[1]) if given else start_us - round(vector["every_seconds"] * SECOND)
    run_us = round(vector["run_seconds"] * SECOND)
    player, starts = world(begin_us), list[int]()
    ends: dict[int, int] = {}
    events = player.turn(
        player.schedule("tick", every=vector["every_seconds"], overlap=vector["overlap"])
    )
    while len(starts) < len(vector["expect_starts"]):
        for event in events:
            if isinstance(event, RunStarted):
                starts.append(event.at_us)
                ends[event.run] = player.us + run_us
        over = [run for run, end_us in ends.items() if end_us <= player.us]
        for run in over:
            del ends[run]
        if over:
            done = (c.FinishRun(run, 1, c.Outcome.SUCCEEDED, 1, "") for run in over)
            events = player.turn(*done)
            continue
        player.us = min(us for us in (player.due(), *ends.values()) if us is not None)
        events = [] if player.us in ends.values() else player.turn()
    expected = [us(each) for each in vector["expect_starts"]]
    assert starts[: len(expected)] == expected
    assert_whole(player)


# -- clocks -------------------------------------------------------------------------------------


@vectors("clock")
def test_clock_vectors(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    event = vector["event"]
    if "zone name unknown" in event:
        a_zone_that_is_unknown(monkeypatch)
    elif "clock stuck" in event:
        a_clock_that_stands_still(vector)
    elif (step := re.match(r"wall ([+-])(\d+) (h|min)(?: at (\S+))?", event)) is not None:
        a_step(vector, step)
    else:
        pytest.fail(f"{vector['id']} is not understood")


def a_step(vector: dict[str, Any], step: re.Match[str]) -> None:
    sign, number, unit, when = step.groups()
    delta_us = int(f"{sign}{number}") * (3600 if unit == "h" else 60) * SECOND
    at_us, expect = us(when or "10:02:00"), vector["expect"]
    player = world(at_us - 60 * SECOND)
    selector = vector["timer"].split(",")[0]
    every = re.match(r"every (\S+)", selector)
    terms = dict(each.split("=") for each in re.findall(r"\w+=\w+", vector["timer"]))
    given: dict[str, Any] = {"every": every[1]} if every else {"cron": selector}
    player.turn(player.schedule("tick", **given, **terms, overlap="skip"))
    until(player, at_us)
    player.stepped_us += delta_us
    events = player.turn()
    assert [each.delta_us for each in events if isinstance(each, ClockStep)] == [delta_us]
    timer = player.machine.state.timers["tick"]
    if "real minutes" in expect:
        assert every is not None and dues(events) == []
        events = player.advance(player.us + 3600 * SECOND)
        interval_us = parse_duration(every[1], argument="every")
        steady = [each.at_us for each in events if isinstance(each, RunDue)]
        begin_us = at_us - 60 * SECOND + delta_us
        assert steady[:1] == [begin_us + interval_us]
    if (run := re.search(r"one run \(nominal (\S+)\)", expect)) is not None:
        assert dues(events) == [us(run[1])]
    if (number_missed := re.search(r"(\d+) missed", expect)) is not None:
        assert sum(moments for _, moments in missed(events)) == int(number_missed[1])
    if (following := re.search(r"next (\d\S*?)(?=[;,\s]|$)", expect)) is not None:
        assert timer.next_us == us(following[1])
    assert_whole(player)


def a_clock_that_stands_still(vector: dict[str, Any]) -> None:
    """The wall shows the same for a minute; the scheduler looks no more often than it has to."""
    seconds = re.search(r"for (\d+) s", vector["event"])
    every = re.match(r"every (\S+)", vector["timer"])
    assert seconds is not None and every is not None
    player = world("2026-11-21T10:00:00Z")
    player.turn(player.schedule("tick", every=every[1], overlap="allow"))
    player.turn(player.schedule("mail", cron="* * * * *", overlap="allow"))
    end_us, looks, starts = player.us + int(seconds[1]) * SECOND, 0, 0
    while (due_us := player.due()) is not None and due_us <= end_us:
        before = player.us
        player.us = max(player.us, due_us)
        player.stepped_us -= player.us - before
        starts += len(dues(player.turn()))
        looks += 1
    interval_us = parse_duration(every[1], argument="every")
    assert starts == int(seconds[1]) * SECOND // interval_us
    assert looks <= 2 * starts + 60
    assert_whole(player)


def a_zone_that_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known to the process that writes the log, and not to the next one."""
    player = world("2026-11-21T10:00:00Z")
    terms = {"cron": "*/7 * * * *", "timezone": "Asia/Kathmandu", "overlap": "allow"}
    player.turn(player.schedule("local", **terms))
    player.turn(player.schedule("other", cron="*/5 * * * *", overlap="allow"))
    known = decide_clock.zone

    def zone(name: str) -> ZoneInfo:
        if name == "Asia/Kathmandu":
            raise ScheduleError("timezone='Asia/Kathmandu' is not a known time zone.")
        return known(name)

    with monkeypatch.context() as patch:
        for module in (decide_clock, moments):
            patch.setattr(module, "zone", zone)
        moments.cron_moments.cache_clear()
        player.start({"other"})
        status = status_of(player, "local")
        assert status["state"] == "invalid"
        assert "Asia/Kathmandu" in str(status["invalid"])
        events = until(player, player.wall_us + 3600 * SECOND)
        assert {each.timer for each in events if isinstance(each, RunDue)} == {"other"}
        assert len(dues(events)) == 12
    moments.cron_moments.cache_clear()
    events = player.start()
    late = [each.late for each in events if isinstance(each, RunDue) and each.timer == "local"]
    assert late == ["invalid"]
    assert_whole(player)


def test_every_entry_has_an_id_of_its_own() -> None:
    kinds = ("misfire", "clock", "oneshot", "interval", "overlap")
    ids = [each["id"] for kind in kinds for each in VECTORS[kind]]
    assert len(ids) == len(set(ids)) >= 28


def test_a_time_of_day_is_read_in_its_zone() -> None:
    assert us("10:00:00") == us("2026-11-21T10:00:00+00:00")
    assert us("10:00:00", "2026-07-01", "Europe/Berlin") == us("2026-07-01T08:00:00Z")
    assert datetime.fromtimestamp(us("00:00:00") / 1e6, UTC).day == 21
