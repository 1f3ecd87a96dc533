"""What is shown of jobs after `stop`, and after the next start in the same process."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from kron.compat.chronis import JobNotFoundError, JobStatus
from tests.waiting import eventually

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def nothing():
    """A function of a job."""


def broken():
    raise RuntimeError("broken")


@pytest.fixture
def stopped(program):
    """A scheduler that is stopped after two hours in which jobs ran; `before`: what it showed."""
    jobs = program.jobs
    jobs.create_interval_job(nothing, job_id="beat", minutes=50, metadata={"tenant": "acme"})
    jobs.create_date_job(broken, "2027-01-01T01:00", job_id="failed")
    jobs.create_date_job(nothing, "2027-01-01T01:00", job_id="done")
    jobs.create_date_job(nothing, "2026-01-01", job_id="past")
    jobs.create_interval_job(nothing, job_id="held", minutes=50)
    jobs.start()
    jobs.pause_job("held")
    program.advance("2h")
    program.before = jobs.query_jobs()
    jobs.stop()
    return program


def ids(jobs, filters=None):
    return sorted(job.job_id for job in jobs.query_jobs(filters))


def test_what_was_known_is_shown_until_the_next_start(stopped):
    jobs = stopped.jobs
    assert {job.job_id: job.status.value for job in stopped.before} == {
        "beat": "scheduled",
        "failed": "failed",
        "past": "pending",
        "held": "paused",
    }
    stopped.advance("3h")
    assert jobs.query_jobs() == stopped.before
    beat = jobs.get_job("beat")
    assert (beat.last_status, beat.created_at) == ("OK", NEW_YEAR)
    assert beat.last_run_time == NEW_YEAR + timedelta(minutes=100)
    assert jobs.get_job("failed").last_status == "DEAD: RuntimeError: broken"
    assert jobs.get_job("done") is None
    assert ids(jobs, {"metadata.tenant": "acme"}) == ["beat"]
    assert ids(jobs, {"status": "failed"}) == ["failed"]
    jobs.stop()
    assert jobs.query_jobs() == stopped.before
    jobs.start()
    stopped.settle()
    assert jobs.get_job("beat").last_run_time == NEW_YEAR + timedelta(hours=5)


def test_a_date_job_that_failed_is_failed_after_a_restart_too(stopped):
    stopped.jobs.start()
    job = stopped.jobs.get_job("failed")
    assert (job.status, job.next_run_time) == (JobStatus.FAILED, None)
    assert job.last_status == "DEAD: RuntimeError: broken"
    assert ids(stopped.jobs, {"status": "failed"}) == ["failed"]


def test_what_is_deleted_meanwhile_is_gone(stopped):
    jobs = stopped.jobs
    for job_id in ("beat", "failed"):
        assert jobs.delete_job(job_id) is True
        assert jobs.delete_job(job_id) is False
        with pytest.raises(JobNotFoundError):
            jobs.pause_job(job_id)
    assert ids(jobs) == ["held", "past"]
    jobs.start()
    assert ids(jobs) == ["held", "past"]


def test_what_is_created_meanwhile_is_shown_as_it_will_be(stopped):
    jobs = stopped.jobs
    jobs.create_interval_job(nothing, job_id="beat", hours=9, metadata={"tenant": "blue"})
    jobs.create_interval_job(nothing, job_id="new", hours=1)
    jobs.delete_job("failed")
    jobs.create_date_job(nothing, "2027-01-02", job_id="failed")
    for _ in range(2):
        assert ids(jobs) == ["beat", "failed", "held", "new", "past"]
        assert ids(jobs, {"metadata.tenant": "acme"}) == []
        assert ids(jobs, {"metadata.tenant": "blue"}) == ["beat"]
        assert jobs.get_job("beat").trigger_args == {"seconds": 32_400}
        assert jobs.get_job("failed").status is JobStatus.SCHEDULED
        assert jobs.get_job("failed").next_run_time == NEW_YEAR + timedelta(days=1)
        if not jobs.is_running():
            jobs.start()


def test_what_is_paused_and_resumed_meanwhile(stopped):
    jobs = stopped.jobs
    jobs.resume_job("held")
    jobs.pause_job("beat")
    for _ in range(2):
        held, beat = jobs.get_job("held"), jobs.get_job("beat")
        assert held.status is JobStatus.SCHEDULED
        assert held.next_run_time > NEW_YEAR + timedelta(hours=2)
        assert (beat.status, beat.next_run_time) == (JobStatus.PAUSED, None)
        assert beat.last_status == "OK"
        if not jobs.is_running():
            jobs.start()


def test_a_run_that_ends_while_stop_waits_for_it_has_ended(polling, gate):
    polling.create_interval_job(gate.wait, job_id="slow", hours=1)
    polling.start()
    polling.kron.trigger("slow")
    eventually(lambda: polling.get_job("slow").status is JobStatus.RUNNING)
    threading.Timer(0.1, gate.set).start()
    polling.stop()
    job = polling.get_job("slow")
    assert (job.status, job.last_status) == (JobStatus.SCHEDULED, "OK")


def test_a_run_that_fails_while_stop_waits_is_told_with_its_job(polling, gate):
    def fails():
        gate.wait()
        raise RuntimeError("late")

    told = []
    polling.create_interval_job(
        fails, job_id="slow", hours=1, on_failure=lambda _, error, job: told.append((error, job))
    )
    polling.start()
    polling.kron.trigger("slow")
    eventually(lambda: polling.get_job("slow").status is JobStatus.RUNNING)
    threading.Timer(0.1, gate.set).start()
    polling.stop()
    ((error, job),) = told
    assert str(error) == "RuntimeError: late"
    assert (job.status, job.last_status) == (JobStatus.FAILED, "DEAD: RuntimeError: late")


def test_jobs_of_an_earlier_process_are_shown_after_a_stop_too(polling, place):
    polling.create_interval_job(nothing, job_id="beat", hours=1)
    polling.start()
    polling.stop()
    other = type(polling)(store=place)
    other.start()
    (before,) = other.query_jobs()
    other.stop()
    assert other.query_jobs() == [before]
    assert before.status is JobStatus.PENDING


def test_what_was_deleted_and_created_again_is_new(stopped):
    jobs = stopped.jobs
    for job_id in ("failed", "held", "beat"):
        assert jobs.delete_job(job_id)
        jobs.create_interval_job(nothing, job_id=job_id, hours=5)
    shown = {job.job_id: (job.status.value, job.last_status) for job in jobs.query_jobs()}
    assert {each for job_id, each in shown.items() if job_id != "past"} == {("scheduled", None)}
    jobs.start()
    after = {job.job_id: (job.status.value, job.last_status) for job in jobs.query_jobs()}
    assert after == shown
    stopped.advance("6h")
    assert jobs.get_job("held").last_status == "OK"
