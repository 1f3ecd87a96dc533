"""Questions about jobs: filters, tenants, and a web application that shows them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Header
from fastapi.testclient import TestClient

from kron.compat.chronis import Job, JobStatus, PollingScheduler


def nothing():
    """A function of a job."""


@pytest.fixture(params=["before the start", "after the start"])
def many(request, polling):
    """Jobs of two tenants."""
    create = polling.create_interval_job
    create(job_id="b", func=nothing, hours=2, metadata={"tenant": "blue", "org": {"team": "web"}})
    create(job_id="a", func=nothing, hours=1, metadata={"tenant": "green"}, name="Mine")
    polling.create_cron_job(
        job_id="c", func=nothing, minute=0, timezone="Asia/Seoul", metadata={"tenant": None}
    )
    polling.create_date_job(
        job_id="p", func=nothing, run_date="2020-01-01", metadata={"org": {"team": "web"}}
    )
    if request.param == "after the start":
        polling.start()
    return polling


def ids(polling, filters=None, limit=None):
    return [job.job_id for job in polling.query_jobs(filters=filters, limit=limit)]


def test_jobs_come_by_next_run_and_those_without_one_last(many):
    jobs = many.query_jobs()
    assert {job.job_id for job in jobs} == {"a", "b", "c", "p"}
    assert jobs[-1].next_run_time is None
    times = [job.next_run_time for job in jobs[:-1]]
    assert times == sorted(times)
    assert all(at.utcoffset() == timedelta(0) for at in times)


def test_each_filter_lets_through_what_it_says(many):
    assert ids(many, {"status": "scheduled"}) == ids(many)[:3]
    assert ids(many, {"status": JobStatus.PENDING}) == ["p"]
    assert ids(many, {"status": "failed"}) == []
    assert ids(many, {"metadata.tenant": "blue"}) == ["b"]
    assert ids(many, {"metadata.tenant": "blue", "status": "scheduled"}) == ["b"]
    assert ids(many, {"metadata.tenant": "blue", "status": "failed"}) == []
    assert ids(many, {"metadata.org.team": "web"}) == ["b", "p"]
    assert ids(many, {"metadata.org": {"team": "web"}}) == ["b", "p"]
    assert ids(many, {"metadata.tenant": "nobody"}) == []
    assert ids(many, {"job_id": "a"}) == ["a"]
    assert ids(many, {"name": "Mine"}) == ["a"]
    assert ids(many, {"func": "nothing"}) == ids(many)
    assert ids(many, {"trigger_type": "cron"}) == ["c"]
    assert ids(many, {"timezone": "Asia/Seoul"}) == ["c"]
    in_an_hour = datetime.now(UTC) + timedelta(minutes=61)
    assert sorted(ids(many, {"next_run_time_lte": in_an_hour})) == ["a", "c"]
    assert ids(many, {"next_run_time_lte": "2000-01-01T00:00:00"}) == []
    assert ids(many, {}) == ids(many)


def test_what_a_job_does_not_say_matches_nothing_not_even_none(many):
    assert ids(many, {"metadata.tenant": None}) == ["c"]
    assert ids(many, {"metadata.nothing": None}) == []


@pytest.mark.parametrize(
    "filters",
    [
        {"tenant_id": "blue"},
        {"metadata": {"tenant": "blue"}},
        {"metadata_tenant": "blue"},
        {"next_run_time_gte": "2027-01-01"},
        {"updated_at_lte": "2027-01-01"},
        {"statuss": "scheduled"},
        {7: "scheduled"},
        {"job_id": None},
        {"status": None},
        {"next_run_time_lte": 5},
        ["status"],
        "status",
    ],
)
def test_an_unknown_filter_is_an_error_and_never_everybodys_jobs(many, filters):
    with pytest.raises(TypeError, match=r"filter|next_run_time_lte"):
        many.query_jobs(filters=filters)


def test_a_filter_that_cannot_match_is_an_error_too(many):
    with pytest.raises(TypeError, match="Did you mean status"):
        many.query_jobs(filters={"statuss": "scheduled"})
    with pytest.raises(ValueError, match="Did you mean scheduled"):
        many.query_jobs(filters={"status": "shceduled"})
    with pytest.raises(ValueError, match="metadata"):
        many.query_jobs(filters={"metadata.": "blue"})


def test_a_limit_of_none_is_all_and_of_0_is_none(many):
    assert [len(ids(many, limit=limit)) for limit in (None, 0, 1, 3, 100)] == [4, 0, 1, 3, 4]
    for limit, error in ((-1, ValueError), ("1", TypeError), (True, TypeError), (1.0, TypeError)):
        with pytest.raises(error, match="limit"):
            many.query_jobs(limit=limit)


def test_what_is_shown_is_a_copy(many):
    shown = many.get_job("b")
    shown.metadata["tenant"] = "green"
    assert ids(many, {"metadata.tenant": "green"}) == ["a"]
    assert many.get_job("b").metadata["tenant"] == "blue"
    with pytest.raises(AttributeError):
        shown.name = "Other"


# -- a web application ----------------------------------------------------------------------------


def tenant(x_tenant: Annotated[str, Header()]) -> str:
    return f"tenant:{x_tenant}"


Tenant = Annotated[str, Depends(tenant)]


def web_app(polling):
    app = FastAPI()

    @app.post("/jobs")
    def create(job_id: str, hours: int, tenant: Tenant):
        about = {"metadata": {"tenant": tenant}, "timezone": "Asia/Seoul"}
        job = polling.create_interval_job(
            nothing, job_id=f"{tenant}:{job_id}", hours=hours, **about
        )
        return {"job": job}

    @app.get("/jobs")
    def own(tenant: Tenant):
        return {"jobs": polling.query_jobs(filters={"metadata.tenant": tenant}, limit=100)}

    @app.get("/job")
    async def one(job_id: str, tenant: Tenant) -> Job | None:
        return polling.get_job(f"{tenant}:{job_id}")

    return app


def test_tenants_of_a_web_application_see_their_own_jobs(polling):
    polling.start()
    polling.create_interval_job(job_id="internal", func=nothing, hours=1)
    client = TestClient(web_app(polling))

    def ask(verb, path, tenant, **query):
        answer = client.request(verb, path, params=query, headers={"X-Tenant": tenant})
        assert answer.status_code == 200
        return answer.json()

    made = ask("POST", "/jobs", "acme", job_id="report", hours=3)["job"]
    ask("POST", "/jobs", "acme", job_id="mail", hours=1)
    ask("POST", "/jobs", "other", job_id="report", hours=5)
    assert made == {
        **made,
        "job_id": "tenant:acme:report",
        "status": "scheduled",
        "trigger_type": "interval",
        "trigger_args": {"seconds": 10_800},
        "metadata": {"tenant": "tenant:acme"},
    }
    assert datetime.fromisoformat(made["next_run_time"]).utcoffset() == timedelta(0)
    local = datetime.fromisoformat(made["next_run_time_local"])
    assert local == datetime.fromisoformat(made["next_run_time"])
    assert local.utcoffset() == timedelta(hours=9)
    acme = ask("GET", "/jobs", "acme")["jobs"]
    assert [job["job_id"] for job in acme] == ["tenant:acme:mail", "tenant:acme:report"]
    assert [job["trigger_args"]["seconds"] for job in ask("GET", "/jobs", "other")["jobs"]] == [
        18_000
    ]
    assert ask("GET", "/jobs", "nobody") == {"jobs": []}
    assert ask("GET", "/job", "acme", job_id="report")["name"] == "Nothing"
    assert ask("GET", "/job", "nobody", job_id="report") is None
    assert len(polling.query_jobs()) == 4


def test_jobs_created_before_the_start_are_served_too():
    client = TestClient(web_app(PollingScheduler()))
    client.post("/jobs", params={"job_id": "report", "hours": 3}, headers={"X-Tenant": "acme"})
    jobs = client.get("/jobs", headers={"X-Tenant": "acme"}).json()["jobs"]
    assert [job["status"] for job in jobs] == ["scheduled"]
