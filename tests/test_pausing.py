"""Pausing and resuming: one timer, some or all, for a while or until a moment."""

import asyncio

import pytest

import kron
from kron.core.errors import ScheduleError, UnknownTimer
from kron.testing import VirtualScheduler, assert_missed


def quick():
    pass


@pytest.fixture
def scheduler():
    with VirtualScheduler() as scheduler:
        scheduler.schedule("report", quick, cron="0 * * * *")
        scheduler.schedule("backup", kron.command(["echo", "to tape"]), every="1d")
        scheduler.schedule("cleanup", quick, every="1h", overlap="skip")
        yield scheduler


def states(scheduler):
    return {timer["id"]: timer["state"] for timer in scheduler.list()}


def paused(scheduler):
    return {name for name, state in states(scheduler).items() if state == "paused"}


# -- for how long ------------------------------------------------------------------------------


def test_a_pause_for_a_while_ends_by_itself(scheduler):
    assert scheduler.pause("report", for_="150m") is True
    scheduler.advance("149m")
    assert states(scheduler)["report"] == "paused"
    scheduler.advance("2m")
    assert states(scheduler)["report"] == "scheduled"
    assert_missed(scheduler, "report", reason="paused", count=2)
    scheduler.advance("30m")
    (latest,) = scheduler.history("report", limit=1)
    assert (latest["status"], latest["scheduled_at"]) == ("OK", "2027-01-01T03:00:00+00:00")


def test_a_pause_until_a_moment_ends_then(scheduler):
    scheduler.pause("report", until="2027-01-01T05:30:00+01:00", reason="deploy", who="ada")
    assert scheduler.status("report")["paused"] == {
        "since": "2027-01-01T00:00:00+00:00",
        "until": "2027-01-01T04:30:00+00:00",
        "reason": "deploy",
        "who": "ada",
    }
    scheduler.advance_to("2027-01-01T04:31:00Z")
    assert scheduler.status("report")["paused"] is None


def test_a_pause_goes_on_over_a_restart_and_ends_while_nothing_runs():
    scheduler = VirtualScheduler()
    scheduler.schedule("a", quick, every="1h")
    scheduler.schedule("b", quick, every="1h")
    with scheduler:
        scheduler.pause("a", for_="10h")
        scheduler.pause("b", for_="2h")
    scheduler.advance("5h")
    with scheduler:
        scheduler.settle()
        assert paused(scheduler) == {"a"}


def test_without_an_end_it_lasts_until_it_is_resumed(scheduler):
    assert scheduler.pause("report") is True
    assert scheduler.pause("report") is False
    scheduler.advance("30d")
    assert scheduler.status("report")["paused"]["until"] is None
    assert scheduler.resume("report") is True
    assert scheduler.resume("report") is False


# -- whom --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "names"),
    [
        ("^re", {"report"}),
        ("up$", {"backup", "cleanup"}),
        ("to tape", {"backup"}),
        ("r.p|tape", {"report", "backup"}),
        ("", None),
    ],
)
def test_a_pattern_finds_names_and_command_lines(scheduler, match, names):
    if names is None:
        with pytest.raises(ScheduleError, match="1 to 256"):
            scheduler.pause(match=match)
        return
    assert scheduler.pause(match=match) == len(names)
    assert paused(scheduler) == names
    assert scheduler.pause(match=match) == 0
    assert scheduler.resume(match=match) == len(names)
    assert paused(scheduler) == set()


def test_a_pattern_finds_the_hash_of_a_command(scheduler):
    command_hash = scheduler.status("backup")["command_hash"]
    assert scheduler.pause(match=f"^{command_hash}$") == 1
    assert paused(scheduler) == {"backup"}


def test_with_neither_name_nor_pattern_all_pause(scheduler):
    scheduler.pause("backup")
    assert scheduler.pause(for_="1h", reason="inventory") == 3
    assert {each["paused"]["reason"] for each in scheduler.list()} == {"inventory"}
    assert scheduler.resume(who="ada") == 3
    assert scheduler.resume() == 0


def test_a_pattern_that_fits_nothing_is_an_error_and_changes_nothing(scheduler):
    with pytest.raises(UnknownTimer, match=r"^no timer matches 'x'\.$"):
        scheduler.pause(match="x")
    with pytest.raises(UnknownTimer, match="no timer matches"):
        scheduler.resume(match="x")
    assert paused(scheduler) == set()


@pytest.mark.parametrize(
    ("name", "options", "error", "text"),
    [
        ("report", {"match": "r"}, ScheduleError, "not both"),
        ("report", {"for_": "1h", "until": "2028-01-01T00:00Z"}, ScheduleError, "not both"),
        ("report", {"for_": "soon"}, ScheduleError, "for_='soon' is not a duration"),
        ("report", {"until": "2026-12-31T00:00Z"}, ScheduleError, "lies in the past"),
        ("report", {"until": "2028-01-01T00:00"}, ScheduleError, "no time zone"),
        ("report", {"reason": "x" * 1001}, ScheduleError, "at most 1000"),
        ("report", {"who": 7}, TypeError, "who must be a string"),
        ("report", {"reason": "\ud800"}, TypeError, "surrogate"),
        ("report", {"unitl": "x"}, TypeError, "Did you mean until"),
        (None, {"match": "("}, ScheduleError, "not a regular expression"),
        (None, {"match": "a" * 257}, ScheduleError, "257 characters"),
        (None, {"match": 7}, TypeError, "match must be a string"),
        ("nope", {}, UnknownTimer, "nope"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(scheduler, name, options, error, text):
    with pytest.raises(error, match=text):
        scheduler.pause(name, **options)
    assert paused(scheduler) == set()


def test_the_async_forms_do_the_same():
    async def program():
        async with VirtualScheduler() as scheduler:
            await scheduler.aschedule("a", quick, every="1h")
            await scheduler.aschedule("b", quick, every="1h")
            assert await scheduler.apause("a", for_="2h") is True
            with pytest.raises(kron.InsideEventLoop):
                scheduler.pause(match="b")
            assert await scheduler.apause(match="a|b") == 1
            assert paused(scheduler) == {"a", "b"}
            assert await scheduler.aresume("a", who="ada") is True
            assert await scheduler.aresume() == 1

    asyncio.run(program())


def test_what_a_pause_lets_run_first_is_told_with_its_jitter(scheduler):
    for number in range(20):
        scheduler.schedule(f"t{number}", quick, every="7m", overlap="skip", jitter="6m")
    scheduler.pause(for_="31m")
    told = {timer["id"]: timer["next_run_at"] for timer in scheduler.list()}
    scheduler.advance("31m1ms")
    assert told == {timer["id"]: timer["next_run_at"] for timer in scheduler.list()}
