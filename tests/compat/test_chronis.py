"""Chronis' verbs on Kron: jobs come, run, fail, pause, go, and survive a restart."""

import asyncio
import logging
import re
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime, timedelta

import pytest

from kron import Scheduler
from kron.compat.chronis import (
    FunctionNotRegisteredError,
    InMemoryLock,
    InMemoryLockAdapter,
    InMemoryStorage,
    InMemoryStorageAdapter,
    Job,
    JobInfo,
    JobNotFoundError,
    JobStatus,
    PollingScheduler,
    SchedulerError,
)
from kron.compat.chronis.adapters import lock, locks, storage
from kron.core.errors import DataDirLocked, InsideEventLoop
from tests.waiting import eventually

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def nothing():
    """A function of a job."""


def broken():
    raise RuntimeError("broken")


# -- the scheduler --------------------------------------------------------------------------------


def test_the_names_of_chronis_are_there():
    assert storage.InMemoryStorageAdapter is InMemoryStorageAdapter is InMemoryStorage
    assert locks.InMemoryLockAdapter is lock.InMemoryLock is InMemoryLockAdapter is InMemoryLock
    assert JobInfo is Job


def test_keywords_that_mean_nothing_here_are_accepted_within_their_bounds():
    PollingScheduler(
        storage_adapter=InMemoryStorageAdapter(),
        lock_adapter=InMemoryLockAdapter(),
        polling_interval_seconds=10,
        lock_ttl_seconds=20,
        max_workers=4,
        max_queue_size=20,
        executor_interval_seconds=5,
        verbose=True,
        logger=logging.getLogger("mine"),
        on_failure=print,
        on_success=print,
        store="somewhere",
    )
    PollingScheduler(InMemoryStorageAdapter(), InMemoryLockAdapter(), 10)


@pytest.mark.parametrize(
    ("keyword", "value", "error"),
    [
        ("polling_interval_seconds", 0.05, ValueError),
        ("polling_interval_seconds", 3601, ValueError),
        ("polling_interval_seconds", "1", TypeError),
        ("polling_interval_seconds", True, TypeError),
        ("lock_ttl_seconds", 1.5, ValueError),
        ("max_workers", 0, ValueError),
        ("max_workers", 2.5, TypeError),
        ("max_queue_size", 0, ValueError),
        ("executor_interval_seconds", -1, ValueError),
        ("verbose", "yes", TypeError),
        ("logger", object(), TypeError),
        ("on_failure", "log", TypeError),
        ("store", 7, TypeError),
    ],
)
def test_a_keyword_out_of_bounds_is_named(keyword, value, error):
    with pytest.raises(error, match=keyword):
        PollingScheduler(**{keyword: value})


def test_another_adapter_is_refused_and_store_is_named():
    class RedisStorageAdapter:
        pass

    for keywords in (
        {"storage_adapter": RedisStorageAdapter()},
        {"storage_adapter": "redis://"},
        {"lock_adapter": RedisStorageAdapter()},
        {"lock_adapter": InMemoryStorageAdapter()},
    ):
        with pytest.raises(TypeError, match="store="):
            PollingScheduler(**keywords)


def test_an_unknown_keyword_is_a_type_error_that_names_the_one_that_was_meant(polling):
    with pytest.raises(TypeError, match="Did you mean max_workers"):
        PollingScheduler(max_worker=3)
    with pytest.raises(TypeError, match="Did you mean seconds"):
        polling.create_interval_job(func=nothing, second=3)
    with pytest.raises(TypeError, match="Did you mean day_of_week"):
        polling.create_cron_job(func=nothing, dayofweek=3)
    with pytest.raises(TypeError, match=r"create_interval_job\(\) missing .* 'func'"):
        polling.create_interval_job(seconds=3)
    with pytest.raises(TypeError, match=r"create_date_job\(\) missing .* 'run_date'"):
        polling.create_date_job(func=nothing)


def test_the_function_and_the_date_may_come_by_position(polling):
    assert polling.create_interval_job(nothing, seconds=5).trigger_args == {"seconds": 5}
    assert polling.create_cron_job(nothing, hour=9).trigger_args == {"hour": 9}
    by_position = polling.create_date_job(nothing, "2030-01-01 10:00:00")
    by_keyword = polling.create_date_job(func=nothing, run_date="2030-01-01 10:00:00")
    assert by_position == by_keyword
    for create in (polling.create_interval_job, polling.create_cron_job):
        with pytest.raises(TypeError, match="positional"):
            create(nothing, "an-id", hour=9)


def test_a_second_start_is_an_error_and_stop_says_what_became_of_the_jobs(polling):
    assert not polling.is_running()
    polling.start()
    assert polling.is_running()
    with pytest.raises(SchedulerError, match="running already"):
        polling.start()
    done = {"sync_jobs_completed": True, "async_jobs_completed": True}
    assert polling.stop() == {**done, "was_running": True}
    assert not polling.is_running()
    assert polling.stop() == {**done, "was_running": False}


def test_stop_waits_for_a_running_job(polling, gate):
    polling.create_date_job(job_id="slow", func=gate.wait, run_date=datetime.now(UTC))
    polling.start()
    eventually(lambda: polling.get_job("slow").status is JobStatus.RUNNING)
    threading.Timer(0.1, gate.set).start()
    assert polling.stop()["sync_jobs_completed"]


def test_a_job_that_does_not_end_is_reported_by_stop(polling, gate):
    polling.create_date_job(job_id="stuck", func=gate.wait, run_date=datetime.now(UTC))
    polling.start()
    eventually(lambda: polling.get_job("stuck").status is JobStatus.RUNNING)
    report = polling.stop(timeout_seconds=0)
    assert not report["sync_jobs_completed"]
    assert report["async_jobs_completed"]


def test_jobs_go_on_when_a_stopped_scheduler_starts_again(program):
    program.jobs.create_interval_job(job_id="beat", func=program.note, seconds=10)
    program.jobs.start()
    program.advance("20s")
    program.jobs.stop()
    program.advance("3s")
    assert program.jobs.get_job("beat").status is JobStatus.SCHEDULED
    program.jobs.start()
    program.advance("17s")
    assert len(program.ran) == 4


def test_the_scheduler_behind_it_is_the_way_out(polling):
    assert isinstance(polling.kron, Scheduler)
    polling.create_interval_job(job_id="beat", func=nothing, seconds=10)
    polling.start()
    polling.kron.trigger("beat")
    eventually(lambda: polling.kron.history("beat"))
    polling.kron.schedule("cadence", nothing, every="day")
    polling.kron.schedule("text", nothing, cron="0 3 * * *")
    kinds = {job.job_id: job.trigger_type for job in polling.query_jobs()}
    assert kinds == {"beat": "interval", "cadence": "interval", "text": "cron"}


def test_timers_of_plain_kron_are_shown_before_the_start_too(polling):
    schedule = polling.kron.schedule
    schedule("cadence", nothing, every="day")
    schedule("text", nothing, cron="0 3 * * *", timezone="Asia/Seoul", exclude="sat-sun")
    schedule("later", nothing, after="1h")
    before = {job.job_id: job for job in polling.query_jobs()}
    polling.start()
    after = {job.job_id: job for job in polling.query_jobs()}
    assert before.keys() == after.keys() == {"cadence", "text", "later"}
    for job_id in ("cadence", "text"):
        assert before[job_id].next_run_time == after[job_id].next_run_time
    assert after["later"].trigger_type == "date"


def test_another_process_on_the_directory_is_named_not_raced(polling, place):
    polling.start()
    with pytest.raises(DataDirLocked, match="in use by process"):
        PollingScheduler(store=place).start()


# -- functions ------------------------------------------------------------------------------------


def test_a_callable_needs_no_registration(program):
    program.jobs.create_interval_job(job_id="beat", func=program.note, minutes=1, args=[1, "two"])
    program.jobs.start()
    program.advance("1m")
    assert program.ran == [(1, "two")]


def test_a_function_may_be_registered_after_the_job_that_names_it(program):
    program.jobs.create_interval_job(job_id="beat", func="later", minutes=1)
    with pytest.raises(FunctionNotRegisteredError, match=r"'beat' calls 'later'"):
        program.jobs.start()
    assert not program.jobs.is_running()

    async def later():
        program.note("async")

    program.jobs.register_job_function("later", later)
    program.jobs.start()
    program.advance("1m")
    program.jobs.register_job_function("later", lambda: program.note("sync"))
    program.advance("1m")
    assert program.ran == [("async",), ("sync",)]


def test_a_name_that_nobody_has_registered_is_refused_at_once_after_the_start(polling):
    polling.start()
    with pytest.raises(ValueError, match=r"job 'beat' calls 'nobody'") as raised:
        polling.create_interval_job(job_id="beat", func="nobody", seconds=1)
    assert isinstance(raised.value, FunctionNotRegisteredError)
    assert polling.get_job("beat") is None


def test_a_job_that_was_deleted_needs_no_function_any_more(polling):
    polling.create_interval_job(job_id="beat", func="nobody", seconds=1)
    polling.delete_job("beat")
    polling.start()


def test_a_function_may_be_named_by_its_module(polling):
    polling.create_interval_job(job_id="beat", func="math:floor", seconds=60, args=[1.5])
    with pytest.raises(ValueError, match="math"):
        polling.create_interval_job(job_id="beat", func="math:nothing_there", seconds=60)
    polling.start()
    polling.kron.trigger("beat")
    eventually(lambda: polling.get_job("beat").last_status == "OK")


def test_what_is_no_function_is_refused(polling):
    def generator():
        yield

    for func in (None, 7, generator):
        with pytest.raises(TypeError, match="function"):
            polling.create_interval_job(func=func, seconds=1)
        with pytest.raises(TypeError, match="function"):
            polling.register_job_function("name", func)


def test_a_function_gets_its_arguments_and_nothing_else(program):
    def context_free(context, *, key):
        program.note(context, key)

    asked = {"args": ["mine"], "kwargs": {"key": 1}}
    program.jobs.create_interval_job(job_id="beat", func=context_free, minutes=1, **asked)
    program.jobs.start()
    program.advance("1m")
    assert program.ran == [("mine", 1)]


def test_a_function_that_its_arguments_do_not_fit_is_warned_of(polling, caplog):
    polling.create_interval_job(job_id="beat", func=nothing, seconds=1, args=[1])
    assert "job beat: nothing cannot be called: too many positional arguments" in caplog.text


def test_an_async_job_is_told_how_to_change_jobs_there(polling):
    verbs = [
        (polling.create_interval_job, {"func": nothing, "hours": 1}),
        (polling.create_cron_job, {"func": nothing, "hour": 1}),
        (polling.create_date_job, {"func": nothing, "run_date": "2100-01-01"}),
        (polling.pause_job, {"job_id": "first"}),
        (polling.resume_job, {"job_id": "first"}),
        (polling.delete_job, {"job_id": "first"}),
        (polling.stop, {}),
    ]
    seen = []

    async def chain():
        seen.append(polling.get_job("first").status)
        for verb, keywords in verbs:
            hint = rf"await asyncio\.to_thread\(scheduler\.{verb.__name__}, \.\.\.\)"
            with pytest.raises(InsideEventLoop, match=hint):
                verb(**keywords)
            if verb != polling.stop:
                await asyncio.to_thread(verb, **keywords)
        seen.append(len(polling.query_jobs()))

    polling.create_date_job(chain, datetime.now(UTC), job_id="first")
    polling.start()
    eventually(lambda: len(seen) == 2)
    assert seen == ["running", 3]


# -- creating -------------------------------------------------------------------------------------


def test_a_job_shows_its_next_run_before_and_after_the_start(program):
    create = program.jobs.create_interval_job
    job = create(job_id="beat", func=nothing, minutes=1, seconds=30, timezone="Asia/Seoul")
    assert job == program.jobs.get_job("beat")
    assert job.status is JobStatus.SCHEDULED
    assert job.next_run_time == NEW_YEAR + timedelta(seconds=90)
    assert job.next_run_time_local.isoformat() == "2027-01-01T09:01:30+09:00"
    assert (job.trigger_type, job.trigger_args) == ("interval", {"seconds": 90})
    program.advance("60s")
    assert program.jobs.get_job("beat").next_run_time == job.next_run_time
    program.jobs.start()
    assert program.jobs.get_job("beat").next_run_time == job.next_run_time
    cron = program.jobs.create_cron_job(job_id="daily", func=nothing, hour=9, timezone="Asia/Seoul")
    assert cron.trigger_args == {"hour": 9}
    assert cron.next_run_time == NEW_YEAR + timedelta(days=1)


def test_an_interval_needs_a_length(polling):
    for length in ({}, {"seconds": 0}, {"hours": 0, "minutes": 0}, {"minutes": -1}):
        with pytest.raises(ValueError, match=r"seconds|minutes"):
            polling.create_interval_job(func=nothing, **length)
    for length in ({"weeks": 10**9}, {"weeks": 10**30}, {"days": float("inf")}, {"seconds": 1e-9}):
        with pytest.raises(ValueError, match=r"weeks|days|every"):
            polling.create_interval_job(func=nothing, **length)
    with pytest.raises(TypeError, match="hours"):
        polling.create_interval_job(func=nothing, hours="1")
    job = polling.create_interval_job(func=nothing, weeks=1, days=1, hours=1, minutes=1, seconds=1)
    assert job.trigger_args == {"seconds": 694_861}
    assert polling.create_interval_job(func=nothing, days=36_525).trigger_type == "interval"


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ({"seconds": -5}, "seconds=-5 must be a finite number, 0 or more."),
        ({"seconds": float("nan")}, "seconds=nan must be a finite number, 0 or more."),
        ({"days": 36_525, "seconds": 1}, "seconds=1, days=36525: an interval must be at most 100"),
        ({"weeks": 10**400, "seconds": 0.5}, "an interval must be at most 100 years."),
    ],
)
def test_a_length_out_of_bounds_is_told_in_words(polling, length, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        polling.create_interval_job(nothing, **length)


@pytest.mark.parametrize(
    ("keyword", "value", "error"),
    [
        ("job_id", "", ValueError),
        ("job_id", "two words", ValueError),
        ("job_id", 7, TypeError),
        ("name", 7, TypeError),
        ("timezone", "Mars/Olympus", ValueError),
        ("timezone", 9, TypeError),
        ("args", "text", TypeError),
        ("args", [object()], TypeError),
        ("kwargs", [1], TypeError),
        ("metadata", {"at": datetime(2027, 1, 1, tzinfo=UTC)}, TypeError),
        ("max_retries", -1, ValueError),
        ("max_retries", 1.5, TypeError),
        ("retry_delay_seconds", -1, ValueError),
        ("timeout_seconds", 0, ValueError),
        ("priority", 11, ValueError),
        ("if_missed", "always", ValueError),
        ("misfire_threshold_seconds", 0, ValueError),
        ("on_failure", 7, TypeError),
        ("on_success", "log", TypeError),
    ],
)
def test_a_bad_value_is_named_and_nothing_is_created(polling, keyword, value, error):
    with pytest.raises(error, match=keyword):
        polling.create_interval_job(func=nothing, seconds=1, **{keyword: value})
    assert polling.query_jobs() == []


def test_the_keywords_of_chronis_are_krons(polling):
    polling.create_cron_job(
        job_id="full",
        name="Everything",
        func=nothing,
        hour=3,
        timezone="Asia/Seoul",
        metadata={"org": {"team": "web"}},
        max_retries=4,
        retry_delay_seconds=90,
        timeout_seconds=2.5,
        priority=9,
        if_missed="skip",
        misfire_threshold_seconds=300,
    )
    status = polling.kron.status("full")
    assert {key: status[key] for key in ("description", "schedule", "timezone", "priority")} == {
        "description": "Everything",
        "schedule": "cron hour=3",
        "timezone": "Asia/Seoul",
        "priority": 9,
    }
    assert (status["max_attempts"], status["retry_delay"], status["timeout"]) == (
        5,
        "1m30s",
        "2.5s",
    )
    assert (status["missed_policy"], status["grace"]) == ("skip", "5m")
    job = polling.get_job("full")
    assert (job.max_retries, job.timeout_seconds, job.if_missed) == (4, 2.5, "skip")
    assert (job.retry_delay_seconds, job.misfire_threshold_seconds) == (90, 300)
    plain = polling.create_interval_job(nothing, hours=1, retry_delay_seconds=0)
    assert (plain.retry_delay_seconds, plain.misfire_threshold_seconds) == (0, None)
    assert polling.create_interval_job(nothing, hours=2).retry_delay_seconds == 60


def test_each_kind_has_its_policy_for_missed_runs(polling):
    interval = polling.create_interval_job(func=nothing, seconds=1)
    cron = polling.create_cron_job(func=nothing, hour=1)
    date = polling.create_date_job(func=nothing, run_date=NEW_YEAR)
    assert [job.if_missed for job in (interval, cron, date)] == ["run_once", "skip", "run_once"]


def test_without_an_id_the_same_call_gives_the_same_job(polling):
    def create(**besides):
        return polling.create_interval_job(func=nothing, **{"seconds": 5, **besides})

    first = create()
    assert first.job_id.startswith("nothing-")
    assert first.name == "Nothing"
    assert create().job_id == first.job_id
    others = [{"seconds": 6}, {"kwargs": {"a": 1}}, {"args": [1]}, {"metadata": {"tenant": "a"}}]
    assert len({create(**other).job_id for other in others} | {first.job_id}) == 5
    assert polling.create_interval_job(func=lambda: None, seconds=5).name == "Lambda"


def test_the_same_id_again_updates_the_job(program):
    program.jobs.create_interval_job(job_id="job", func=nothing, seconds=5)
    program.jobs.start()
    job = program.jobs.create_cron_job(job_id="job", func=nothing, hour=9, name="Other")
    assert (job.trigger_type, job.name) == ("cron", "Other")
    assert [each.job_id for each in program.jobs.query_jobs()] == ["job"]


# -- dates ----------------------------------------------------------------------------------------


def test_a_date_is_read_in_its_zone(polling):
    def at(run_date, **zone):
        job = polling.create_date_job(job_id="date", func=nothing, run_date=run_date, **zone)
        return job.next_run_time.isoformat()

    assert at("2100-01-01 10:00:00", timezone="Asia/Seoul") == "2100-01-01T01:00:00+00:00"
    assert at("2100-01-01T10:00:00") == "2100-01-01T10:00:00+00:00"
    assert at("2100-01-01T10:00:00Z", timezone="Asia/Seoul") == "2100-01-01T10:00:00+00:00"
    assert at("2100-01-01T10:00:00+02:00") == "2100-01-01T08:00:00+00:00"
    naive = datetime(2100, 1, 1, 10)  # noqa: DTZ001  # that is the point
    assert at(naive, timezone="Asia/Seoul") == "2100-01-01T01:00:00+00:00"
    assert at(naive.replace(tzinfo=UTC), timezone="Asia/Seoul") == "2100-01-01T10:00:00+00:00"
    for bad in ("tomorrow", "2100-13-01"):
        with pytest.raises(ValueError, match="run_date"):
            at(bad)
    with pytest.raises(TypeError, match="run_date"):
        at(4_102_444_800)
    with pytest.raises(ValueError, match="Nowhere"):
        at(naive, timezone="Nowhere/Land")


DATES = """
from datetime import datetime
from kron.compat.chronis import PollingScheduler

polling = PollingScheduler()
naive = datetime(2100, 1, 1, 10)
for run_date, zone in ((naive, {}), (naive, {"timezone": "Asia/Seoul"}), (str(naive), {})):
    job = polling.create_date_job(job_id="x", func=print, run_date=run_date, **zone)
    print(job.next_run_time.isoformat())
"""


@pytest.mark.parametrize(
    ("host", "local"), [("America/New_York", "15"), ("Asia/Seoul", "01"), ("UTC", "10")]
)
def test_only_a_datetime_without_any_zone_follows_the_host(host, local):
    printed = run(DATES, TZ=host)
    assert printed == [
        f"2100-01-01T{local}:00:00+00:00",
        "2100-01-01T01:00:00+00:00",
        "2100-01-01T10:00:00+00:00",
    ]


MOMENTS = """
from datetime import datetime
from kron.compat.chronis import PollingScheduler

polling = PollingScheduler()
polling.create_date_job(print, "2100-01-01T00:30:00Z", job_id="x")
for minute in (29, 30):
    for moment in (datetime(2100, 1, 1, 9, minute), f"2100-01-01T00:{minute}"):
        print(len(polling.query_jobs({"next_run_time_lte": moment})))
"""


def test_the_datetime_of_a_filter_is_read_as_a_run_date_is():
    assert run(MOMENTS, TZ="Asia/Tokyo") == ["0", "0", "1", "1"]


@pytest.mark.parametrize("host", ["America/New_York", "Asia/Seoul"])
def test_a_datetime_at_the_end_of_time_is_out_of_bounds_on_any_host(host):
    program = """
    from datetime import datetime
    from kron.compat.chronis import PollingScheduler

    for moment in (datetime.min, datetime.max):
        try:
            PollingScheduler().query_jobs({"next_run_time_lte": moment})
        except ValueError as error:
            print(str(error).partition("=")[0])
    """
    assert run(program, TZ=host) == ["next_run_time_lte", "next_run_time_lte"]


def test_a_past_date_is_recorded_and_warned_of(program, caplog):
    create = program.jobs.create_date_job
    job = create(job_id="past", func=program.note, run_date="2026-12-31T23:00")
    assert (job.status, job.next_run_time) == (JobStatus.PENDING, None)
    program.jobs.start()
    program.advance("1h")
    assert program.ran == []
    assert program.jobs.get_job("past").status is JobStatus.PENDING
    assert program.jobs.get_job("past").last_status == "MISSED: past"
    (row,) = program.jobs.kron.history("past")
    assert (row["status"], row["reason"]) == ("MISSED", "past")
    assert "past: its moment had passed" in caplog.text
    found = program.jobs.query_jobs({"status": "pending", "trigger_type": "date"})
    assert [(job.job_id, job.last_status) for job in found] == [("past", "MISSED: past")]
    assert program.jobs.delete_job("past") is True
    assert program.jobs.query_jobs() == []


def test_a_date_of_the_last_minute_still_runs(program):
    create = program.jobs.create_date_job
    job = create(job_id="now", func=program.note, run_date=NEW_YEAR - timedelta(seconds=30))
    assert job.status is JobStatus.SCHEDULED
    program.jobs.start()
    program.settle()
    assert program.ran == [()]


def test_a_date_job_is_gone_after_success_and_does_not_run_again(program):
    def create(run_date="2027-01-01T01:00"):
        return program.jobs.create_date_job(job_id="once", func=program.note, run_date=run_date)

    create()
    program.jobs.start()
    program.advance("1h")
    assert len(program.ran) == 1
    assert program.jobs.get_job("once") is None
    assert program.jobs.query_jobs() == []
    assert program.jobs.delete_job("once") is False
    with pytest.raises(JobNotFoundError):
        program.jobs.pause_job("once")
    assert create().next_run_time is None  # as a restart does it
    program.advance("1h")
    assert len(program.ran) == 1
    create("2027-01-01T05:00")  # another date is another wish
    program.advance("4h")
    assert len(program.ran) == 2


def test_a_date_job_that_failed_stays(program):
    program.jobs.create_date_job(job_id="once", func=broken, run_date="2027-01-01T01:00")
    program.jobs.start()
    program.advance("2h")
    job = program.jobs.get_job("once")
    assert (job.status, job.next_run_time) == (JobStatus.FAILED, None)
    assert job.last_status == "DEAD: RuntimeError: broken"
    assert program.jobs.query_jobs(filters={"status": "failed"}) == [job]


# -- running --------------------------------------------------------------------------------------


def test_a_job_that_fails_once_runs_at_its_next_slot(program):
    def fails_first():
        program.note()
        if len(program.ran) == 1:
            raise RuntimeError("once")

    program.jobs.create_interval_job(job_id="beat", func=fails_first, minutes=1)
    program.jobs.start()
    program.advance("1m")
    job = program.jobs.get_job("beat")
    assert job.status is JobStatus.FAILED
    assert job.next_run_time == NEW_YEAR + timedelta(minutes=2)
    program.advance("1m")
    assert len(program.ran) == 2
    assert program.jobs.get_job("beat").status is JobStatus.SCHEDULED


def test_retries_come_after_twice_the_delay_each_time(program):
    def fails():
        program.note(program.clock.datetime.timestamp() - NEW_YEAR.timestamp() - 3600)
        raise RuntimeError("again")

    retries = {"max_retries": 3, "retry_delay_seconds": 10}
    program.jobs.create_interval_job(job_id="beat", func=fails, hours=1, **retries)
    program.jobs.start()
    program.advance("1h")
    job = program.jobs.get_job("beat")
    assert (job.status, job.retry_count) == (JobStatus.SCHEDULED, 1)
    program.advance("10m")
    assert program.jobs.get_job("beat").retry_count == 0
    assert [since for (since,) in program.ran] == pytest.approx([0, 10, 30, 70], rel=0.2)
    assert program.jobs.get_job("beat").status is JobStatus.FAILED


def test_an_interval_does_not_drift_and_does_not_overlap(program):
    def slow():
        program.note(program.clock.datetime)
        program.clock.sleep_sync("15s")

    program.jobs.create_interval_job(job_id="beat", func=slow, seconds=10)
    program.jobs.start()
    program.advance("60s")
    assert [(at - NEW_YEAR).seconds for (at,) in program.ran] == [10, 30, 50]


def test_a_job_says_that_it_is_running(polling, gate):
    polling.create_interval_job(job_id="slow", func=gate.wait, hours=1)
    polling.start()
    polling.kron.trigger("slow")
    eventually(lambda: polling.get_job("slow").status is JobStatus.RUNNING)
    gate.set()
    eventually(lambda: polling.get_job("slow").status is JobStatus.SCHEDULED)


@pytest.mark.parametrize(
    ("policy", "runs"), [("run_all", 5), ("run_once", 1), ("skip", 0), (None, 0)]
)
def test_a_cron_job_catches_up_by_its_policy(program, policy, runs):
    def note():
        program.note()

    program.jobs.create_cron_job(job_id="hourly", func=note, minute=0, if_missed=policy)
    program.jobs.start()
    program.jobs.stop()
    program.advance("5h30m")
    program.jobs.start()
    program.settle()
    assert len(program.ran) == runs
    program.advance("30m")
    assert len(program.ran) == runs + 1


def test_an_interval_job_catches_up_with_one_run_or_all(program):
    create = program.jobs.create_interval_job
    create(job_id="one", func=lambda: program.note("one"), hours=1)
    create(job_id="all", func=lambda: program.note("all"), hours=1, if_missed="run_all")
    program.jobs.start()
    program.jobs.stop()
    program.advance("3h30m")
    program.jobs.start()
    program.settle()
    assert sorted(what for (what,) in program.ran) == ["all", "all", "all", "one"]


def test_a_date_that_passed_while_nobody_was_there(program):
    create = program.jobs.create_date_job
    create(job_id="run", func=lambda: program.note("run"), run_date="2027-01-01T01:00")
    skip = {"run_date": "2027-01-01T01:00", "if_missed": "skip"}
    create(job_id="skip", func=lambda: program.note("skip"), **skip)
    program.jobs.start()
    program.jobs.stop()
    program.advance("3h")
    program.jobs.start()
    program.settle()
    assert program.ran == [("run",)]
    assert program.jobs.get_job("run") is None
    assert program.jobs.get_job("skip").status is JobStatus.PENDING


# -- steering -------------------------------------------------------------------------------------


def test_a_paused_job_does_not_run_until_it_is_resumed(program):
    jobs = program.jobs
    jobs.create_interval_job(job_id="beat", func=program.note, minutes=1)
    jobs.start()
    assert jobs.pause_job("beat") is True
    assert jobs.pause_job("beat") is True
    program.advance("5m")
    assert (jobs.get_job("beat").status, program.ran) == (JobStatus.PAUSED, [])
    jobs.stop()
    assert jobs.get_job("beat").status is JobStatus.PAUSED
    jobs.start()
    assert jobs.get_job("beat").status is JobStatus.PAUSED
    assert jobs.resume_job("beat") is True
    program.advance("1m")
    assert len(program.ran) == 1


def test_a_pause_before_the_start_is_carried_out_after_it(program):
    jobs = program.jobs
    for job_id in ("stays", "goes on", "deleted"):
        jobs.create_interval_job(job_id=job_id.replace(" ", "-"), func=program.note, minutes=1)
    for job_id in ("stays", "goes-on", "deleted"):
        assert jobs.pause_job(job_id) is True
        assert jobs.get_job(job_id).status is JobStatus.PAUSED
        assert jobs.get_job(job_id).next_run_time is None
    assert jobs.resume_job("goes-on") is True
    assert jobs.delete_job("deleted") is True
    jobs.start()
    program.advance("1m")
    assert len(program.ran) == 1
    assert [job.job_id for job in jobs.query_jobs({"status": "paused"})] == ["stays"]


def test_a_job_that_is_not_there_cannot_be_steered(polling):
    for _ in range(2):
        for verb in (polling.pause_job, polling.resume_job):
            with pytest.raises(JobNotFoundError, match="'nobody'") as raised:
                verb("nobody")
            assert isinstance(raised.value, SchedulerError | LookupError)
        assert polling.delete_job("nobody") is False
        assert polling.get_job("nobody") is None
        if not polling.is_running():
            polling.start()


def test_a_deleted_job_is_gone(polling):
    polling.create_interval_job(job_id="beat", func=nothing, seconds=1)
    polling.start()
    assert polling.delete_job("beat") is True
    assert polling.delete_job("beat") is False
    assert polling.query_jobs() == []


# -- a restart ------------------------------------------------------------------------------------

FIRST = """
from kron.compat.chronis import PollingScheduler

def report(**about): ...

polling = PollingScheduler(store="store")
polling.register_job_function("report", report)
polling.create_interval_job(job_id="kept", func="report", hours=3, metadata={"tenant": "acme"})
polling.create_cron_job(
    job_id="named", func="report", day_of_week="mon", hour=9, timezone="Asia/Seoul",
    kwargs={"a": [1]}, max_retries=2, retry_delay_seconds=90, timeout_seconds=1.5, priority=7,
    if_missed="run_all", name="A report", metadata={"tenant": "acme"},
)
polling.create_date_job(job_id="dated", func="report", run_date="2100-01-01T10:00")
polling.create_interval_job(job_id="callable", func=report, hours=1)
polling.create_interval_job(job_id="unwanted", func="report", hours=1)
polling.create_interval_job(job_id="lost", func=lambda: None, hours=1)
polling.start()
"""


def test_a_second_process_creates_the_same_jobs_again_and_adopts_the_others(place):
    run(FIRST, cwd=place.parent)
    polling = PollingScheduler(store=place.parent / "store")
    polling.register_job_function("report", nothing)
    before = read_created(place.parent / "store")
    polling.create_interval_job(job_id="kept", func="report", hours=3, metadata={"tenant": "acme"})
    polling.create_interval_job(job_id="unwanted", func="report", hours=1)
    polling.delete_job("unwanted")
    polling.start()
    jobs = {job.job_id: job for job in polling.query_jobs()}
    assert jobs.keys() == {"kept", "named", "dated", "callable", "lost"}
    statuses = {job_id: job.status.value for job_id, job in jobs.items()}
    assert statuses.pop("lost") == "pending"
    assert set(statuses.values()) == {"scheduled"}
    assert {job_id: job.created_at for job_id, job in jobs.items()} == before
    events = [row["status"] for row in polling.kron.history()]
    assert events == []
    status = polling.kron.status("named")
    assert (status["schedule"], status["kwargs"]) == ("cron day_of_week=mon hour=9", {"a": [1]})
    mine = polling.query_jobs({"metadata.tenant": "acme"})
    assert {job.job_id for job in mine} == {"kept", "named"}
    polling.stop()


def test_adoption_changes_nothing_of_a_job(place):
    run(FIRST, cwd=place.parent)
    store = place.parent / "store"
    before = described(store)
    polling = PollingScheduler(store=store)
    polling.register_job_function("report", nothing)
    polling.start()
    polling.stop()
    assert described(store) == before


def test_a_job_of_an_earlier_process_goes_on_once_its_function_is_registered(place):
    run(FIRST, cwd=place.parent)
    polling = PollingScheduler(store=place.parent / "store")
    polling.start()
    job = polling.get_job("kept")
    assert (job.status, job.next_run_time, job.func) == (JobStatus.PENDING, None, "report")
    polling.register_job_function("report", nothing)
    assert polling.get_job("kept").status is JobStatus.SCHEDULED
    polling.stop()


def read_created(store):
    return {
        job_id: datetime.fromisoformat(status["created_at"])
        for job_id, status in described(store).items()
        if job_id != "unwanted"
    }


def described(store):
    """What Kron has of each job, without what differs with time and process."""
    scheduler = Scheduler()
    scheduler.start(store)
    statuses = scheduler.list()
    scheduler.shutdown()
    return {
        status["id"]: {key: status[key] for key in status if key not in ("state", "fn_name")}
        for status in statuses
    }


def run(program, cwd=None, **environment):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
