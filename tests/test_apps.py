"""Kron inside other people's loops: pytest-asyncio fixtures, TestClient, a real server."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from fastapi import FastAPI
from fastapi.testclient import TestClient

from kron import Scheduler

APP = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
import kron

@kron.schedule("beat", every="50ms")
async def beat(): ...

@asynccontextmanager
async def lifespan(app):
    await kron.astart()
    yield
    await kron.ashutdown()

app = FastAPI(lifespan=lifespan)

@app.get("/")
async def index():
    return await kron.astatus("beat")
"""


@pytest_asyncio.fixture
async def running(tmp_path):
    scheduler = Scheduler()
    await scheduler.astart(tmp_path / ".kron")
    yield scheduler
    await scheduler.ashutdown()


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("round_", range(3))
async def test_an_async_fixture_serves_each_test_on_its_own_loop(running, round_):
    ran = []
    await running.aschedule("once", ran.append, args=[round_], after=0)
    await until(lambda: ran == [round_])


def make_app(scheduler, data_dir, ran):
    @asynccontextmanager
    async def lifespan(app):
        await scheduler.astart(data_dir)
        yield
        await scheduler.ashutdown()

    app = FastAPI(lifespan=lifespan)

    async def job():
        ran.append(asyncio.get_running_loop())

    scheduler.schedule("job", job, every="1h", overlap="allow")

    @app.post("/async")
    async def trigger():
        return await scheduler.atrigger("job")

    @app.post("/sync")
    def trigger_from_a_thread():
        return scheduler.trigger("job")

    return app


def test_a_lifespan_may_come_and_go_many_times_on_other_loops(tmp_path):
    scheduler, ran = Scheduler(), []
    app = make_app(scheduler, tmp_path / ".kron", ran)
    for round_ in range(1, 6):
        with TestClient(app) as client:
            run_ids = {client.post("/async").json(), client.post("/sync").json()}
            assert len(run_ids) == 2
            rows = []
            end = time.monotonic() + 10
            while len(rows) < 2 * round_ and time.monotonic() < end:
                rows = client.portal.call(scheduler.ahistory, "job")
            assert [row["status"] for row in rows] == ["OK"] * 2 * round_
    assert len(set(map(id, ran))) >= 1 and len(ran) == 10


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


def test_a_server_that_gets_sigterm_brings_its_timers_down_in_order(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)]
    server = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 30
        status = None
        while not (status and status["succeeded"] > 2):
            assert time.monotonic() < end and server.poll() is None, status
            status = ask(port)
        server.send_signal(signal.SIGTERM)
        errors = server.communicate(timeout=30)[1]
    finally:
        server.kill()
    assert "Traceback" not in errors
    last = (tmp_path / ".kron" / "kron.aof").read_text().splitlines()[-1]
    assert "SCHEDULER_STOPPED" in last
