"""What a plan says of a data directory, and that it is what `up` then does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kron
from kron.core.errors import LogCorrupt, ScheduleError, StorageError
from kron.core.instants import text
from kron.runtime.enrolment import Declaration
from kron.runtime.registry import Origin, Registry
from kron.sources.declared import Declared, Place, Timer
from kron.sources.plan import Plan, TimerChange, make_plan
from kron.testing.clock import VirtualClock
from kron.testing.scheduler import VirtualScheduler

START = "2027-01-04T06:30:00Z"
"""A Monday."""


def job() -> None:
    pass


def other() -> None:
    pass


def declared(timers: dict[str, dict[str, Any]], fn: Any = job, **options: Any) -> Declared:
    """What a kron.toml would declare, a timer on each line."""
    found = Declared(["kron.toml"], settings=options)
    for line, (name, terms) in enumerate(timers.items(), 1):
        place = Place("kron.toml", line)
        terms = dict(terms)
        target = terms.pop("fn", fn)
        declaration = Declaration(name, target, terms, Origin("kron", str(place)))
        found.timers.append(Timer(name, place, declaration))
    return found


class World:
    """A data directory and a clock, on which one scheduler after the other has it."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)
        self.clock = VirtualClock(START)
        self.hangs = False
        self.scheduler: VirtualScheduler | None = None

    async def slow(self) -> None:
        """A callback that goes on as long as the world hangs."""
        if self.hangs:
            await self.clock.sleep("3000d")

    def up(
        self,
        found: Declared,
        own: Callable[[VirtualScheduler], None] | None = None,
        since: str | None = None,
    ) -> None:
        """What `kron up` does; `own` schedules what the program has itself."""
        self.scheduler = VirtualScheduler(self.clock, data_dir=self.place)
        if own is not None:
            own(self.scheduler)
        self.scheduler._enrolment.declare(found.declarations())
        self.scheduler.start(since=since, **found.settings)
        self.scheduler._enrolment.undeclare(found.by_name())

    def down(self) -> None:
        assert self.scheduler is not None
        self.scheduler.shutdown(0)
        self.scheduler = None

    def lived(self, found: Declared, lasts: str, own: Any = None) -> None:
        """A process that came, lived and ended."""
        self.up(found, own)
        assert self.scheduler is not None
        self.scheduler.advance(lasts)
        self.down()

    def later(self, duration: str) -> None:
        """Time passes while no process is there."""
        asyncio.run(self.clock.advance(duration))

    def plan(self, found: Declared, since: str | None = None) -> Plan:
        return make_plan(self.place, found, self.clock.now(), since=since)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "d")


def only(plan: Plan) -> TimerChange:
    (change,) = plan.changes
    return change


def fates(change: TimerChange) -> list[tuple[str, int, str]]:
    """Fate, how many, and the time of the first, of each effect."""
    return [
        (each["fate"], each["runs"], (each["scheduled_at"] or "")[11:16])
        for each in change["effects"]
    ]


def at(coming: Any) -> str:
    """`Mon 09:00` would be "04 09:00"."""
    return (coming["at"] or coming["reason"] or "")[8:16].replace("T", " ") or coming["reason"]


HOURLY = {"cron": "0 * * * *"}


# -- what is added, changed, removed --------------------------------------------------------------


def test_without_a_data_directory_everything_is_added_and_nothing_is_made(world: World) -> None:
    plan = world.plan(declared({"report": HOURLY, "tick": {"every": "90m"}}))
    assert [each["change"] for each in plan.changes] == ["added", "added"]
    assert [at(each["next_after"]) for each in plan.changes] == ["04 07:00", "04 08:00"]
    assert [each["place"] for each in plan.changes] == ["kron.toml:1", "kron.toml:2"]
    assert (plan.count("added"), plan.count("changed"), plan.unchanged) == (2, 0, 0)
    assert not Path(world.place).exists()


def test_an_empty_directory_is_one_where_nothing_was(world: World) -> None:
    Path(world.place).mkdir(mode=0o700)
    assert world.plan(declared({"report": HOURLY})).count("added") == 1
    assert [*Path(world.place).iterdir()] == []


def test_what_is_as_it_was_is_nothing_to_do(world: World) -> None:
    world.lived(declared({"report": HOURLY}), "1h")
    world.later("5h")
    plan = world.plan(declared({"report": HOURLY}))
    assert plan.is_empty
    assert plan.unchanged == 1
    assert [(run["timer"], run["stands_for"], run["starts"]) for run in plan.runs] == [
        ("report", 4, True)
    ]


def test_a_changed_timer_says_which_keywords_and_what_becomes_of_its_next_run(
    world: World,
) -> None:
    world.lived(declared({"report": HOURLY}), "1h")
    terms = {"cron": "0 10 * * mon", "missed": "all", "kwargs": {"to": "us"}, "fn": bare}
    change = only(world.plan(declared({"report": terms})))
    assert change["fields"] == [
        {"field": "cron", "before": "0 * * * *", "after": "0 10 * * MON"},
        {"field": "missed", "before": "once", "after": "all"},
        {"field": "entrypoint", "before": "job", "after": "bare"},
        {"field": "kwargs.to", "before": None, "after": "us"},
    ]
    assert (at(change["next_before"]), at(change["next_after"])) == ("04 08:00", "04 10:00")
    assert change["words"] == "at 10:00 on Mondays"
    assert change["effects"] == []


def bare(**_: Any) -> None:
    pass


def test_another_selector_is_another_keyword(world: World) -> None:
    world.lived(declared({"report": HOURLY}), "1m")
    change = only(world.plan(declared({"report": {"every": "2h"}})))
    assert change["fields"] == [
        {"field": "cron", "before": "0 * * * *", "after": None},
        {"field": "every", "before": None, "after": "2h"},
    ]


def test_the_variables_of_a_command_are_named_and_not_shown(world: World) -> None:
    before = kron.command(["true"], env={"HOST": "a", "SECRET": "s3cret"})
    after = kron.command(["true", "-v"], env={"HOST": "a", "SECRET": "s4cret", "LANG": "C"})
    world.lived(declared({"backup": HOURLY}, before), "1m")
    change = only(world.plan(declared({"backup": HOURLY}, after)))
    assert change["fields"] == [
        {"field": "command", "before": "true", "after": "true -v"},
        {"field": "env.SECRET", "before": "***", "after": "***"},
        {"field": "env.LANG", "before": None, "after": "***"},
    ]


def test_another_function_of_the_same_terms_is_no_change(world: World) -> None:
    """As for `schedule()`: the same definition only binds it again."""
    world.lived(declared({"report": HOURLY}), "1m")
    assert world.plan(declared({"report": HOURLY}, other)).is_empty


def test_a_timer_that_is_declared_no_more_is_removed(world: World) -> None:
    world.lived(declared({"report": HOURLY, "old": HOURLY}), "1m")
    world.later("3h")
    change = only(world.plan(declared({"report": HOURLY})))
    assert (change["timer"], change["change"], change["place"]) == ("old", "removed", None)
    assert (at(change["next_before"]), change["next_after"]) == ("04 10:00", None)
    assert fates(change) == [("given_up", 3, "07:00")]


def test_what_a_program_has_scheduled_stays(world: World) -> None:
    world.lived(declared({}), "1m", own=lambda its: its.schedule("mine", job, every="1h"))
    plan = world.plan(declared({"report": HOURLY}))
    assert only(plan)["timer"] == "report"


def test_a_file_takes_over_what_a_program_has_scheduled(world: World) -> None:
    world.lived(declared({}), "1m", own=lambda its: its.schedule("mine", job, **HOURLY))
    change = only(world.plan(declared({"mine": HOURLY})))
    assert change["change"] == "changed"
    assert change["fields"] == [{"field": "source", "before": None, "after": "kron"}]


def test_what_the_modules_schedule_themselves_comes_along(world: World) -> None:
    world.lived(declared({"mine": HOURLY}), "1m")
    own = [Registry().registration("mine", job, {"every": "1h"}, 0)]
    plan = make_plan(world.place, declared({}), world.clock.now(), own)
    change = only(plan)
    assert (change["change"], change["source"]) == ("changed", None)
    assert (change["place"] or "").startswith("tests/sources/test_plan.py:")
    assert at(change["next_after"]) == "04 07:31"


# -- what has come --------------------------------------------------------------------------------


def test_the_overdue_run_of_a_changed_timer_is_kept(world: World) -> None:
    world.lived(declared({"report": {"cron": "0 8 * * *"}}), "1h")
    world.later("1h")
    plan = world.plan(declared({"report": {"cron": "0 10 * * *"}}))
    change = only(plan)
    assert (at(change["next_before"]), at(change["next_after"])) == ("05 08:00", "04 10:00")
    assert fates(change) == [("kept", 1, "08:00")]
    assert [run["scheduled_at"] for run in plan.runs] == ["2027-01-04T08:00:00+00:00"]


def test_with_missed_all_every_overdue_run_is_kept(world: World) -> None:
    world.lived(declared({"report": {**HOURLY, "missed": "all"}}), "10m")
    world.later("3h")
    change = only(world.plan(declared({"report": {"cron": "30 * * * *", "missed": "all"}})))
    assert fates(change) == [("kept", 3, "07:00")]


def test_with_missed_skip_the_overdue_run_is_given_up(world: World) -> None:
    world.lived(declared({"report": {**HOURLY, "missed": "skip"}}), "10m")
    world.later("3h")
    change = only(world.plan(declared({"report": {"cron": "30 * * * *", "missed": "skip"}})))
    assert fates(change) == [("given_up", 3, "07:00")]
    assert change["effects"][0]["reason"] == "down"


def test_a_time_that_has_passed_never_runs(world: World) -> None:
    change = only(world.plan(declared({"launch": {"at": "2026-01-01T00:00:00Z"}})))
    assert (change["next_after"], change["effects"][0]["reason"]) == (
        {"at": None, "reason": "finished"},
        "past",
    )


def test_an_interrupted_run_begins_again_and_that_of_a_removed_timer_is_cancelled(
    world: World,
) -> None:
    world.hangs = True
    world.lived(declared({"report": HOURLY, "old": HOURLY}, world.slow), "1h")
    plan = world.plan(declared({"report": {**HOURLY, "overlap": "skip"}}, world.slow))
    report, old = plan.changes
    assert fates(report) == [("again", 1, "07:00")]
    assert fates(old) == [("cancelled", 1, "07:00")]
    assert [(run["timer"], run["attempt"]) for run in plan.runs] == [("report", 1)]


def test_a_run_that_waits_for_its_retry_goes_on_waiting(world: World) -> None:
    found = declared({"report": {**HOURLY, "retry_delay": "3h"}}, fails)
    world.lived(found, "1h")
    plan = world.plan(declared({"report": {"cron": "30 * * * *", "retry_delay": "3h"}}, fails))
    assert fates(only(plan)) == [("waits", 1, "07:00")]
    assert plan.runs == []


def fails() -> None:
    raise ValueError


def test_a_paused_timer_has_no_next_run(world: World) -> None:
    world.up(declared({"report": HOURLY}))
    assert world.scheduler is not None
    world.scheduler.pause("report")
    world.down()
    change = only(world.plan(declared({"report": {"every": "1h"}})))
    assert change["next_before"] == change["next_after"] == {"at": None, "reason": "paused"}


def test_a_backfill_of_other_moments_goes_no_further(world: World) -> None:
    world.hangs = True
    world.up(declared({"report": HOURLY}, world.slow))
    assert world.scheduler is not None
    world.scheduler.backfill("report", since="2027-01-04T00:00:00Z")
    world.scheduler.advance("1m")
    world.down()
    change = only(world.plan(declared({"report": {"cron": "30 * * * *"}}, world.slow)))
    assert ("backfill_over", 6, "01:00") in fates(change)


def test_only_so_many_runs_as_the_settings_allow_start_at_once(world: World) -> None:
    found = declared({"a": HOURLY, "b": HOURLY, "c": HOURLY}, max_concurrency=2)
    world.lived(found, "10m")
    world.later("1h")
    assert [run["starts"] for run in world.plan(found).runs] == [True, True, False]


def test_a_one_shot_that_ended_long_ago_is_let_go_and_no_change(world: World) -> None:
    found = declared({"launch": {"after": "1h"}, "report": HOURLY}, keep_finished="1d")
    world.lived(found, "2h")
    world.later("2d")
    for _ in range(2):  # the second start creates it no more, either
        plan = world.plan(found)
        assert plan.is_empty
        assert plan.prospects[0]["next_run"] == {"at": None, "reason": "finished"}
        world.lived(found, "1m")


# -- what it backfills ----------------------------------------------------------------------------

SINCE = "2027-01-04T03:30:00Z"


def test_a_backfill_is_told_of_each_timer_that_recurs(world: World) -> None:
    found = declared({"new": HOURLY, "launch": {"after": "1h"}, "daily": {"cron": "0 12 * * *"}})
    new, daily = world.plan(found, SINCE).backfills
    assert (new["timer"], new["moments"], new["done"], new["dry_run"]) == ("new", 3, 0, True)
    assert [each[11:16] for each in new["scheduled_at"]] == ["04:00", "05:00", "06:00"]
    assert (new["since"][11:16], new["until"][11:16]) == ("03:30", "06:30")
    assert (daily["timer"], daily["moments"], daily["scheduled_at"]) == ("daily", 0, [])
    assert [each["timer"] for each in world.plan(found, SINCE).begun()] == ["new"]
    assert world.plan(found).backfills == []


def test_the_backfill_of_the_plan_is_that_of_the_start(world: World) -> None:
    world.lived(declared({"report": HOURLY, "old": HOURLY, "same": {"every": "20m"}}), "2h")
    world.later("3h")
    found = declared(
        {
            "report": {"cron": "*/30 * * * *", "missed": "all"},
            "same": {"every": "20m"},
            "new": {"every": "hour", "missed": "skip"},
        },
        world.slow,
    )
    plan = world.plan(found, SINCE)
    assert [each["timer"] for each in plan.begun()] == ["report", "same", "new"]
    world.hangs = True
    world.up(found, since=SINCE)
    assert world.scheduler is not None
    for each in plan.backfills:
        status = world.scheduler.status(each["timer"])
        assert status is not None
        assert status["backfill"] is not None
        assert status["backfill"]["moments"] == each["moments"]
        assert status["backfill"]["since"] == each["since"]
    world.down()


@pytest.mark.parametrize("since", ["2027-01-04T06:30:01Z", "2027-01-04T03:30:00", "soon", "-1h"])
def test_a_wrong_since_is_an_error_as_at_the_start(world: World, since: str) -> None:
    found = declared({"report": HOURLY})
    with pytest.raises(ScheduleError) as planned:
        world.plan(found, since)
    with pytest.raises(ScheduleError) as started:
        world.up(found, since=since)
    assert str(planned.value) == str(started.value)
    assert "since=" in str(planned.value)


# -- a runtime that lives, a log that cannot be read ----------------------------------------------


def test_while_a_process_runs_nothing_starts_by_the_plan(world: World) -> None:
    world.hangs = True
    world.up(declared({"report": HOURLY, "old": HOURLY}, world.slow))
    assert world.scheduler is not None
    world.scheduler.advance("1h")
    plan = world.plan(declared({"report": {"cron": "0 10 * * *"}}, world.slow), SINCE)
    report, old = plan.changes
    assert plan.holder.is_held
    assert plan.backfills == []
    assert plan.document()["pid"] is not None
    assert fates(report) == fates(old) == [("under_way", 1, "07:00")]
    assert (at(report["next_before"]), at(report["next_after"])) == ("04 08:00", "04 10:00")
    assert plan.runs == []
    world.down()


def test_a_damaged_log_is_an_error(world: World) -> None:
    scheduler = kron.Scheduler()
    scheduler.start(world.place)
    for name in "abcdef":
        scheduler.schedule(name, job, **HOURLY)
    scheduler.shutdown()
    log = Path(world.place) / "kron.aof"
    damaged = bytearray(log.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    log.write_bytes(damaged)
    with pytest.raises(LogCorrupt):
        world.plan(declared({"report": HOURLY}))
    assert log.read_bytes() == damaged


def test_a_place_that_can_be_no_directory_is_an_error(world: World) -> None:
    Path(world.place).touch()
    with pytest.raises(StorageError):
        make_plan(f"{world.place}/below", declared({"report": HOURLY}), world.clock.now())


def test_a_plan_changes_no_byte(world: World) -> None:
    world.lived(declared({"report": HOURLY}), "5h")
    world.later("5h")
    before = {each.name: each.read_bytes() for each in Path(world.place).iterdir()}
    world.plan(declared({"new": HOURLY}))
    assert {each.name: each.read_bytes() for each in Path(world.place).iterdir()} == before


# -- it is what then happens ----------------------------------------------------------------------

selectors = st.sampled_from(
    [
        {"every": "7m"},
        {"every": "1h"},
        {"every": "hour"},
        {"every": "day"},
        {"cron": "0 * * * *"},
        {"cron": "*/10 * * * *"},
        {"cron": "0 9 * * mon", "timezone": "Europe/Berlin"},
        {"at": "2027-01-04T08:15:00Z"},
        {"at": "2027-01-05T08:15:00Z"},
        {"after": "45m"},
    ]
)
rules = st.fixed_dictionaries(
    {},
    optional={
        "overlap": st.sampled_from(["delay", "skip", "allow", "restart"]),
        "missed": st.sampled_from(["once", "all", "skip"]),
        "grace": st.sampled_from(["5m", "2h"]),
    },
)
limits = st.fixed_dictionaries(
    {},
    optional={
        "jitter": st.just("6m"),
        "exclude": st.just("tue"),
        "not_after": st.just("2027-01-04T09:05:00Z"),
        "not_before": st.just("2027-01-04T08:25:00Z"),
    },
)
terms = st.builds(
    lambda selector, rule, limit: {**selector, **rule, **({} if _is_single(selector) else limit)},
    selectors,
    rules,
    limits,
)
files = st.dictionaries(st.sampled_from("abcdef"), terms, max_size=5)
spans = st.sampled_from(["1m", "40m", "3h", "26h"])


def _is_single(selector: dict[str, Any]) -> bool:
    return "at" in selector or "after" in selector


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=files,
    own=files,
    after=files,
    lasts=spans,
    away=spans,
    hangs=st.booleans(),
    pauses=st.sampled_from([None, {}, {"for_": "2h"}]),
    is_live=st.booleans(),
)
def test_what_the_plan_says_is_what_up_does(
    before: dict[str, Any],
    own: dict[str, Any],
    after: dict[str, Any],
    lasts: str,
    away: str,
    hangs: bool,
    pauses: dict[str, str] | None,
    is_live: bool,
) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder) / "d")
        world.hangs = hangs
        try:
            world.up(declared(before, world.slow), lambda its: _schedule(its, world, own, before))
            assert world.scheduler is not None
            if pauses is not None and (name := next(iter(before), None)):
                world.scheduler.pause(name, **pauses)
            world.scheduler.advance(lasts)
            found = declared(after, world.slow)
            if is_live:
                _compare_live(world, found, own)
                return
            world.down()
            world.later(away)
            world.hangs = False
            _compare_cold(world, found, has_hung=hangs)
        finally:
            if world.scheduler is not None:
                world.down()


def _schedule(its: VirtualScheduler, world: World, own: Any, before: Any) -> None:
    for name, each in own.items():
        if name not in before:
            its.schedule(name, world.slow, **each)


def _compare_cold(world: World, found: Declared, *, has_hung: bool) -> None:
    plan = world.plan(found)
    ran = _ran(world)
    world.up(found)
    assert world.scheduler is not None
    world.scheduler.settle()
    _compare(world, found, plan)
    count = _ran(world) - ran
    # The end of an interrupted run may let in a moment that has come behind it.
    assert count >= len(plan.runs) if has_hung else count == len(plan.runs)
    world.down()
    assert world.plan(found).is_empty


def _compare_live(world: World, found: Declared, own: Any) -> None:
    """Of what the running program does not schedule itself: a file cannot take that over."""
    assert world.scheduler is not None
    found.timers = [each for each in found.timers if each.name not in own]
    plan = world.plan(found)
    became = world.scheduler._enrolment.declare(found.declarations())
    removed = world.scheduler._enrolment.undeclare(found.by_name())
    words = {"added": "created", "changed": "updated"}
    by_name = {each["timer"]: words.get(each["change"]) for each in plan.changes}
    assert became == [by_name.get(each.name) or "unchanged" for each in found.timers]
    assert sorted(removed) == [each["timer"] for each in plan.changes if not each["next_after"]]
    _compare(world, found, plan)


def _compare(world: World, found: Declared, plan: Plan) -> None:
    assert world.scheduler is not None
    statuses = {each["id"]: each for each in world.scheduler.list()}
    now_us = world.clock.now().wall_us
    for each in plan.prospects:
        status, coming = statuses.get(each["timer"]), each["next_run"]
        if status is None:
            assert coming["reason"] == "finished"
            continue
        # What limits and jitter make of the end of a run or a pause is beyond this test.
        is_plain = each["words"].endswith("the end of each run") or (coming["at"] is not None)
        is_spread = "delayed" in each["words"] and status["paused"] is not None
        if status["open_runs"] or is_spread or not is_plain:
            continue
        expected = coming["at"]
        if coming["reason"] == "after_run":
            minutes = {"every 7m": 7, "every 1h": 60}[each["schedule"]]
            expected = text(now_us + minutes * 60_000_000)
        assert status["next_run_at"] == expected, each
    for each in plan.changes:
        assert (each["timer"] in statuses) == (each["change"] != "removed")


def _ran(world: World) -> int:
    """How many runs have ended well."""
    return (Path(world.place) / "kron.aof").read_bytes().count(b"RUN_SUCCEEDED")
