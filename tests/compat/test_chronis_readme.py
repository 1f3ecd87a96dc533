"""A program that was written for Chronis runs on Kron by its imports alone.

It makes every call that Chronis shows to those who begin: three kinds of jobs by name and by
callable, zones, questions, deletion, async functions, tenants, a web application.
"""

import re

from fastapi.testclient import TestClient

PROGRAM = """
from datetime import datetime, timedelta
import asyncio

from chronis import PollingScheduler
from chronis.adapters.storage import InMemoryStorageAdapter
from chronis.adapters.locks import InMemoryLockAdapter

scheduler = PollingScheduler(
    storage_adapter=InMemoryStorageAdapter(),
    lock_adapter=InMemoryLockAdapter(),
    polling_interval_seconds=10,
)

def greet(): ...

scheduler.register_job_function("greet", greet)
scheduler.create_interval_job(job_id="pulse", name="Pulse", func="greet", seconds=30)
scheduler.create_cron_job(
    job_id="morning", name="Morning", func="greet", hour=9, minute=0, timezone="Asia/Seoul"
)
scheduler.create_date_job(
    job_id="hello", name="Hello", func="greet", run_date="2025-11-08 10:00:00",
    timezone="Asia/Seoul",
)
scheduler.start()
# -- a new block
scheduler.create_interval_job(job_id="pulse", name="Pulse", func=supplied, seconds=30)
scheduler.create_interval_job(
    job_id="tidy", name="Tidy", func=supplied, hours=2, timezone="Asia/Seoul"
)
scheduler.create_cron_job(
    job_id="weekly", name="Weekly", func=supplied, day_of_week="mon", hour=18, minute=0
)
scheduler.create_date_job(
    job_id="hello", name="Hello", func=supplied, run_date="2025-11-08 10:00:00",
    timezone="Asia/Seoul", kwargs={"user_id": 7},
)
scheduler.create_date_job(
    job_id="soon", name="Soon", func=supplied, run_date=datetime.now() + timedelta(hours=1)
)
scheduler.create_cron_job(
    job_id="abroad", name="Abroad", func=supplied, hour=8, minute=0, timezone="America/New_York"
)
# -- a new block
job = scheduler.get_job("morning")
seen = f"{job.status} {job.next_run_time}"
listed = [f"{job.job_id}: {job.status} - {job.trigger_type}" for job in scheduler.query_jobs()]
scheduled = scheduler.query_jobs(filters={"status": "scheduled"})
failed = scheduler.query_jobs(filters={"status": "failed"})
few = scheduler.query_jobs(limit=2)
scheduler.delete_job("morning")
# -- a new block
async def write():
    await asyncio.sleep(0)

scheduler.register_job_function("write", write)
scheduler.create_interval_job(job_id="async", name="Async", func="write", seconds=30)
scheduler.create_interval_job(
    job_id="morning", name="Morning", func=supplied, hours=24, metadata={"tenant_id": "acme"}
)
tenants = scheduler.query_jobs(filters={"metadata.tenant_id": "acme", "status": "scheduled"})
# -- a new block
from fastapi import FastAPI, Depends

app = FastAPI()

def tenant() -> str:
    return "tenant:acme"

@app.post("/create")
def create(job_id: str, hours: int, tenant: str = Depends(tenant)):
    job = scheduler.create_interval_job(
        job_id=job_id, name="Theirs", func=supplied, hours=hours, metadata={"tenant_id": tenant}
    )
    return {"status": "created", "job": job}

@app.get("/jobs")
def jobs(tenant: str = Depends(tenant)):
    return {"jobs": scheduler.query_jobs(filters={"metadata.tenant_id": tenant}, limit=100)}
"""


def test_a_program_of_chronis_runs_by_its_imports_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = re.sub(r"(?m)^from chronis\b", "from kron.compat.chronis", PROGRAM)
    names = {"supplied": lambda: None}
    try:
        for block in program.split("# -- a new block\n"):
            exec(compile(block, "program", "exec"), names)  # noqa: S102  # our own text is the test
        judge(names)
    finally:
        names["scheduler"].stop(timeout_seconds=0)
    assert (tmp_path / ".kron" / "kron.aof").exists()


def judge(names):
    assert re.fullmatch(r"scheduled \d{4}-\d\d-\d\d 00:00:00\+00:00", names["seen"])
    assert sorted(names["listed"]) == [
        "abroad: scheduled - cron",
        "hello: pending - date",
        "morning: scheduled - cron",
        "pulse: scheduled - interval",
        "soon: scheduled - date",
        "tidy: scheduled - interval",
        "weekly: scheduled - cron",
    ]
    assert len(names["scheduled"]) == 6
    assert names["failed"] == []
    assert [job.job_id for job in names["few"]] == ["pulse", "soon"]
    assert [job.trigger_type for job in names["tenants"]] == ["interval"]
    client = TestClient(names["app"])
    made = client.post("/create", params={"job_id": "theirs", "hours": 3}).json()
    assert made["status"] == "created"
    assert client.get("/jobs").json() == {"jobs": [made["job"]]}
