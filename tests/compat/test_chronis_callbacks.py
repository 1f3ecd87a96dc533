"""`on_success` and `on_failure` are called as Chronis called them."""

import asyncio
from datetime import UTC, datetime

import pytest

from kron.compat.chronis import JobFailed, JobStatus, JobTimeoutError, PollingScheduler
from kron.testing import VirtualClock, on_clock
from tests.compat.conftest import Program
from tests.waiting import eventually


def nothing():
    """A function of a job."""


def broken():
    raise ValueError("no")


@pytest.fixture
def told():
    """A program whose scheduler has callbacks of its own, and what all callbacks were told."""
    told = []
    polling = PollingScheduler(
        on_success=lambda job_id, job: told.append(("all", job_id, job)),
        on_failure=lambda job_id, error, job: told.append(("all", job_id, error, job)),
    )
    clock = VirtualClock()
    with on_clock(clock, polling.kron):
        yield Program(polling, clock), told


def test_success_is_told_to_the_job_then_to_all(told):
    program, rows = told
    program.jobs.create_interval_job(
        job_id="beat", func=nothing, minutes=1, on_success=lambda *say: rows.append(("own", *say))
    )
    program.jobs.start()
    program.advance("1m")
    (own, ours, job), (all_, _, _) = eventually(lambda: len(rows) == 2 and rows)
    assert (own, ours, all_) == ("own", "beat", "all")
    assert (job.job_id, job.status, job.last_status) == ("beat", JobStatus.SCHEDULED, "OK")


def test_failure_is_told_once_after_the_last_attempt(told):
    program, rows = told
    program.jobs.create_interval_job(job_id="beat", func=broken, hours=1, max_retries=2)
    program.jobs.start()
    program.advance("1h")
    assert rows == []
    program.advance("20m")
    ((_, job_id, error, job),) = eventually(lambda: rows)
    assert (job_id, str(error), type(error)) == ("beat", "ValueError: no", JobFailed)
    assert isinstance(error, Exception)
    assert job.status is JobStatus.FAILED


def test_a_list_of_dead_letters_finds_its_fields(program):
    dlq = []
    program.jobs.create_interval_job(
        broken,
        job_id="beat",
        hours=1,
        max_retries=2,
        retry_delay_seconds=30,
        on_failure=lambda job_id, error, job: dlq.append(
            (job_id, str(error), job.retry_count, job.last_run_time, job.retry_delay_seconds)
        ),
    )
    program.jobs.start()
    program.advance("1h20m")
    ((job_id, error, retries, at, delay_s),) = eventually(lambda: dlq)
    assert (job_id, error, retries, delay_s) == ("beat", "ValueError: no", 2, 30)
    assert at == program.jobs.get_job("beat").last_run_time > datetime(2027, 1, 1, 1, tzinfo=UTC)


def test_a_callback_is_told_of_a_date_job_that_is_gone(told):
    program, rows = told
    program.jobs.create_date_job(job_id="once", func=nothing, run_date="2027-01-01T01:00")
    program.jobs.start()
    program.advance("1h")
    ((_, _, job),) = eventually(lambda: rows)
    assert job.name == "Nothing"
    assert program.jobs.get_job("once") is None


def test_a_callback_may_be_async_and_one_that_raises_changes_nothing(told):
    program, rows = told

    async def notify(job_id, job):
        await asyncio.sleep(0)
        rows.append(job_id)
        raise RuntimeError("the callback's own")

    program.jobs.create_interval_job(job_id="beat", func=nothing, minutes=1, on_success=notify)
    program.jobs.start()
    program.advance("2m")
    eventually(lambda: len(rows) == 4)
    assert [row for row in rows if row == "beat"] == ["beat", "beat"]
    assert program.jobs.get_job("beat").status is JobStatus.SCHEDULED


def test_a_timeout_is_an_error_of_its_own(polling):
    rows = []
    polling.create_interval_job(
        job_id="slow",
        func=asyncio.sleep,
        args=[60],
        hours=1,
        timeout_seconds=0.05,
        on_failure=lambda job_id, error, job: rows.append(error),
    )
    polling.start()
    polling.kron.trigger("slow")
    (error,) = eventually(lambda: rows)
    assert isinstance(error, JobTimeoutError)
    assert isinstance(error, JobFailed)
    assert "50ms" in str(error)


def test_a_callback_that_is_owed_at_stop_is_called(polling):
    rows = []
    polling.create_interval_job(
        job_id="beat", func=nothing, hours=1, on_success=lambda job_id, job: rows.append(job_id)
    )
    polling.start()
    polling.kron.trigger("beat")
    polling.stop()
    assert rows == ["beat"]
