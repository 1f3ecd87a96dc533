"""The pages about frameworks do what they show: their files, cells and commands are tried here.

What cannot run here (Django, Docker, systemd itself) is checked as far as it goes: it compiles, the
names of Kron in it exist, and the commands in it are such as their programs take.
"""

import ast
import asyncio
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner
from uvicorn.main import main as uvicorn

import kron
from kron.cli.main import app as cli
from kron.testing import VirtualClock, assert_missed, assert_ran, on_clock

ROOT = Path(__file__).parents[1]
PAGES = ["aiohttp", "django", "docker", "fastapi", "jupyter", "scripts", "systemd"]
EXAMPLE = ROOT / "examples" / "multitenant.py"
PATIENCE_S = 30.0

NOTEBOOK = """
import ast, asyncio, inspect, json, sys

async def carry_out(cells):
    names = {"__name__": "__main__"}
    for cell in cells:
        tree = ast.parse(cell)
        shown = isinstance(tree.body[-1], ast.Expr) and tree.body.pop().value
        for code in filter(None, (tree, shown and ast.Expression(shown))):
            mode = "exec" if code is tree else "eval"
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            value = eval(compile(code, "<cell>", mode, flags=flags), names)
            if inspect.isawaitable(value):
                value = await value
            if mode == "eval" and value is not None:
                print("->", value, flush=True)

asyncio.run(carry_out(json.load(sys.stdin)))
"""
"""What a kernel does with cells: they run on one loop, and the last value is shown."""


def text_of(page):
    return (ROOT / "docs" / f"{page}.md").read_text("utf-8")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.S | re.M)


def write_files(page, place):
    """The programs that begin with the name of a file."""
    for block in blocks(page, "python"):
        name, _, program = block.removeprefix("# ").partition("\n")
        if re.fullmatch(r"\w+\.py", name):
            (place / name).write_text(program)


def load(path):
    """A program's module, with nothing left behind in sys.modules."""
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # annotations are looked up there
    spec.loader.exec_module(module)
    return module


def until(condition):
    """What it comes to be, once it is true."""
    end_s = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end_s
        time.sleep(0.01)
    return value


# -- every page ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_the_programs_of_a_page_compile_and_name_what_kron_has(page):
    for block in blocks(page, "python"):
        if block.startswith("# examples/"):
            continue
        tree = ast.parse(block)
        named = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        names = {each.attr for each in named if getattr(each.value, "id", "") == "kron"}
        assert [name for name in sorted(names) if not hasattr(kron, name)] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_kron_on_a_page_exist(page):
    text = "".join(blocks(page, "console") + blocks(page, "dockerfile") + blocks(page, "ini"))
    lists = [json.loads(each) for each in re.findall(r"^.*CMD (\[.*\])$", text, re.M)]
    lines = re.findall(r"(?:^|[ /])kron ((?:--data-dir|job|runtime|up|metrics)\b.*)$", text, re.M)
    lists += [["kron", *shlex.split(line, comments=True)] for line in lines]
    for words in lists:
        if words[0] == "uvicorn":
            uvicorn.make_context("uvicorn", words[1:])
        else:
            assert words[0] == "kron"
            done = CliRunner().invoke(cli, [*words[1:], "--help"])
            assert done.exit_code == 0, done.output


def test_what_is_quoted_from_an_example_stands_in_it():
    quoted = [each for each in blocks("fastapi", "python") if each.startswith("# examples/")]
    assert len(quoted) == 2
    example = EXAMPLE.read_text("utf-8")
    for block in quoted:
        for part in block.partition("\n")[2].split("...\n"):
            assert part in example


# -- FastAPI and aiohttp -------------------------------------------------------------------------


def test_the_tests_of_the_pages_pass(tmp_path):
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py"]
    running = []
    for page in ("fastapi", "aiohttp"):
        place = tmp_path / page
        place.mkdir()
        write_files(page, place)
        running.append(subprocess.Popen(argv, cwd=place, stdout=subprocess.PIPE, text=True))
    for each in running:
        printed, _ = each.communicate(timeout=60)
        assert each.returncode == 0, printed


def test_a_restart_in_a_test_is_downtime(tmp_path):
    write_files("fastapi", tmp_path)
    module, clock = load(tmp_path / "app.py"), VirtualClock()
    with on_clock(clock, module.scheduler):
        with TestClient(module.app):
            clock.drive(clock.advance("1d"))
        clock.drive(clock.advance("2d"))
        with TestClient(module.app) as client:
            clock.drive(clock.settle())
            assert_missed(module.scheduler, "digest", reason="down", count=1)
            assert_ran(module.scheduler, "digest", times=2)
            assert client.get("/timers").json()[0]["succeeded"] == 2


@pytest.fixture
def orders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files("fastapi", tmp_path)
    return load(tmp_path / "orders.py")


def test_a_callback_shares_the_pool_of_the_application(orders):
    for round_ in range(1, 3):  # each with a loop and a pool of its own
        with TestClient(orders.app) as client:
            for _ in range(20):
                assert client.post("/orders").status_code == 201
            assert client.post("/billing").json()["run_id"].startswith("run_")
            until(lambda client=client: None not in client.get("/orders").json())
            bills = client.get("/orders").json()
            assert bills.count(bills[-1]) == 20
            assert len(bills) == 20 * round_
            assert bills[-1].startswith("bill:")


def test_a_run_that_is_run_again_bills_once(orders):
    with TestClient(orders.app) as client:
        for key in ("first", "first", "second"):
            client.post("/orders")
            bill = orders.bill(client.app.state.engine, {"idempotency_key": key})
            client.portal.call(lambda bill=bill: bill)
        assert client.get("/orders").json() == ["first", "second", "second"]


def test_requests_find_a_connection_while_a_thousand_timers_want_one(orders):
    scheduler, ran = orders.scheduler, []

    async def look(request_like):
        async with request_like.state.engine.connect() as connection:
            await connection.execute(orders.text("select count(*) from orders"))
            ran.append(1)

    for number in range(1_000):
        scheduler.schedule(f"look-{number}", lambda: look(orders.app), after=0)
    with TestClient(orders.app) as client:
        for _ in range(20):
            assert client.get("/orders").status_code == 200
        until(lambda: len(ran) == 1_000)


def test_the_runs_end_before_the_pool_does(orders):
    ended = []

    async def slow(app):
        async with app.state.engine.begin() as connection:
            ended.append("begun")
            await asyncio.sleep(0.3)
            await connection.execute(orders.text("insert into billing values ('slow')"))
        ended.append("committed")

    orders.scheduler.schedule("slow", lambda: slow(orders.app), after=0)
    with TestClient(orders.app):
        until(lambda: ended)
    assert ended == ["begun", "committed"]


@pytest.fixture
def standby(tmp_path):
    write_files("fastapi", tmp_path)
    port = free_port()
    (command,) = (each for each in blocks("fastapi", "console") if "--workers" in each)
    words = [*shlex.split(command[2:]), "--port", str(port)]
    argv = [sys.executable, "-m", *words]
    with (tmp_path / "stderr").open("w") as errors:
        server = subprocess.Popen(argv, cwd=tmp_path, stdout=errors, stderr=errors)
    yield tmp_path, f"http://127.0.0.1:{port}/beat", server
    server.send_signal(signal.SIGTERM)
    try:
        assert server.wait(30) in (0, -signal.SIGTERM)
    finally:
        server.kill()
    printed = (tmp_path / "stderr").read_text()
    assert "ASGI application" not in printed  # as uvicorn begins when a request has raised
    assert "startup failed" not in printed


def test_of_several_workers_one_has_the_timers_and_another_takes_over(standby):
    place, url, server = standby

    words = ["--data-dir", str(place / ".kron"), "--json", "runtime", "status"]

    def holder():
        done = CliRunner().invoke(cli, words)
        return done.exit_code == 0 and json.loads(done.stdout)["pid"]

    first = until(holder)
    assert first != server.pid
    os.kill(first, signal.SIGKILL)
    second = until(lambda: (pid := holder()) != first and pid)
    assert second not in (first, server.pid)
    codes = {until(lambda: status_code(url)) for _ in range(8)}
    assert codes <= {200, 503}


def test_a_worker_that_stands_by_serves_and_ends_without_the_timers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files("fastapi", tmp_path)
    module, other = load(tmp_path / "standby.py"), kron.Scheduler()
    try:
        other.start(".kron")
        with TestClient(module.app) as client:
            assert client.get("/beat").status_code == 503
        with TestClient(module.app) as client:
            assert client.get("/beat").status_code == 503
            other.shutdown()
            until(lambda: client.get("/beat").status_code == 200)
    finally:
        other.shutdown()
        kron.remove("beat")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def status_code(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as exc:
        return exc.code
    except OSError:
        return None


# -- tenants -------------------------------------------------------------------------------------

ACME, BOLT = {"X-API-Key": "key-of-acme"}, {"X-API-Key": "key-of-bolt"}
DAILY = {"kind": "report", "subject": "sales", "cron": "0 8 * * *"}


@pytest.fixture
def tenants():
    """The example, on a virtual clock."""
    module = load(EXAMPLE)
    module.clock = VirtualClock()
    with on_clock(module.clock, module.scheduler):
        yield module


def test_tenants_see_only_their_own_timers(tenants):
    with TestClient(tenants.app) as client:
        for headers, names in ((ACME, ["a", "b"]), (BOLT, ["a", "c"])):
            for name in names:
                answer = client.put(f"/timers/{name}", json=DAILY, headers=headers)
                assert answer.status_code == 200, answer.text
        for headers, ids in ((ACME, ["acme.a", "acme.b"]), (BOLT, ["bolt.a", "bolt.c"])):
            listed = client.get("/timers", headers=headers).json()
            assert [timer["id"] for timer in listed] == ids
        assert client.delete("/timers/a", headers=ACME).status_code == 204
        assert client.get("/timers/a", headers=BOLT).json()["id"] == "bolt.a"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/timers/{}"),
        ("GET", "/timers/{}/history"),
        ("POST", "/timers/{}/trigger"),
        ("DELETE", "/timers/{}"),
    ],
)
def test_a_foreign_timer_answers_as_one_that_never_was(tenants, method, path):
    with TestClient(tenants.app) as client:
        client.put("/timers/secret", json=DAILY, headers=BOLT)
        client.post("/timers/secret/trigger", headers=BOLT)
        foreign, absent = (
            client.request(method, path.format(name), headers=ACME) for name in ("secret", "none")
        )
        assert foreign.status_code == absent.status_code == 404
        assert foreign.json() == absent.json()
        assert foreign.headers == absent.headers
        tenants.clock.drive(tenants.clock.settle())
        assert client.get("/timers/secret", headers=BOLT).json()["succeeded"] == 1


@pytest.mark.parametrize(
    "name", ["bolt.secret", "..%2Fbolt.secret", "secret%00", "Secret", "a:b", "-a", "a" * 41, "%0A"]
)
def test_a_name_that_could_leave_its_tenant_is_refused(tenants, name):
    with TestClient(tenants.app) as client:
        client.put("/timers/secret", json=DAILY, headers=BOLT)
        assert client.put(f"/timers/{name}", json=DAILY, headers=ACME).status_code in (
            404,
            405,
            422,
        )
        assert client.get("/timers", headers=ACME).json() == []


def test_a_caller_without_a_key_gets_nothing(tenants):
    with TestClient(tenants.app) as client:
        assert client.get("/timers").status_code == 422
        assert client.get("/timers", headers={"X-API-Key": "acme"}).status_code == 401


def test_what_cannot_be_scheduled_is_the_callers_fault(tenants):
    with TestClient(tenants.app) as client:
        for wrong in ({"cron": "61 * * * *"}, {"timezone": "Mars/Olympus"}, {"kind": "os.system"}):
            answer = client.put("/timers/a", json={**DAILY, **wrong}, headers=ACME)
            assert answer.status_code == 422
        assert client.get("/timers", headers=ACME).json() == []


def test_timers_of_tenants_run_on_after_a_restart(tenants, capsys):
    clock = tenants.clock
    with TestClient(tenants.app) as client:
        client.put("/timers/daily", json=DAILY, headers=ACME)
    clock.drive(clock.advance("10h"))
    with TestClient(tenants.app) as client:
        clock.drive(clock.settle())
        rows = client.get("/timers/daily/history", headers=ACME).json()
        assert [(row["status"], row["scheduled_at"]) for row in rows] == [
            ("OK", "2027-01-01T08:00:00+00:00")
        ]
        timer = client.get("/timers/daily", headers=ACME).json()
        assert (timer["state"], timer["next_run_at"]) == ("scheduled", "2027-01-02T08:00:00+00:00")
    assert capsys.readouterr().out == "report for acme: sales\n"


def test_a_tenant_has_five_runs_at_once_and_the_others_do_not_wait_for_it(tenants, monkeypatch):
    clock, running, most = tenants.clock, [], {}

    async def report(context, subject):
        tenant = context["metadata"]["tenant_id"]
        running.append(tenant)
        most[tenant] = max(most.get(tenant, 0), running.count(tenant))
        await clock.sleep("1h")
        running.remove(tenant)

    monkeypatch.setitem(tenants.KINDS, "report", report)
    with TestClient(tenants.app) as client:
        for number in range(8):
            client.put(f"/timers/r{number}", json=DAILY, headers=ACME)
        client.put("/timers/only", json=DAILY, headers=BOLT)
        clock.drive(clock.advance("8h30m"))
        assert sorted(running) == ["acme"] * 5 + ["bolt"]
        clock.drive(clock.advance("3h"))
        assert most == {"acme": 5, "bolt": 1}
        assert len(client.get("/timers/r7/history", headers=ACME).json()) == 1


# -- a live stream of events ---------------------------------------------------------------------

EVERY_SECOND = {"kind": "report", "subject": "sales", "cron": "* * * * * *"}


@pytest.fixture
def serve(tmp_path):
    """Starts live.py, with streams of a second, in a session of its own, always on one port."""
    write_files("fastapi", tmp_path)
    live = tmp_path / "live.py"
    program = live.read_text()
    assert "\nSTREAM_S = 2 " in program
    live.write_text(program.replace("STREAM_S = 2 ", "STREAM_S = 1 "))
    shutil.copy(EXAMPLE, tmp_path)
    served, port = [], free_port()

    def start(*options):
        printed = tmp_path / f"printed-{len(served)}"
        argv = [sys.executable, "-m", "uvicorn", "live:app", "--port", str(port), *options]
        with printed.open("w") as file:
            served.append(
                subprocess.Popen(
                    argv, cwd=tmp_path, stdout=file, stderr=file, start_new_session=True
                )
            )
        until(lambda: "Uvicorn running on" in printed.read_text())
        return served[-1], printed

    yield start, f"http://127.0.0.1:{port}"
    for each in served:
        with suppress(ProcessLookupError):
            os.killpg(each.pid, signal.SIGKILL)
        each.wait(PATIENCE_S)


def event_source(url, headers, streams):
    """The events as a browser gets them: it comes back, with the last id, when a stream ends."""
    last = {}
    while True:
        request = urllib.request.Request(url, headers={**headers, **last})
        try:
            with urllib.request.urlopen(request, timeout=10) as stream:
                streams.append(last)
                fields = {}
                for line in stream:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name:
                        fields[name] = value
                        continue
                    last = {"Last-Event-ID": fields["id"]}
                    if "data" in fields:
                        yield json.loads(fields["data"])
                    fields = {}
        except urllib.error.URLError as exc:
            assert isinstance(exc.reason, ConnectionError), exc
        time.sleep(0.25)


def follow(source, streams, number):
    """Until that stream tells of a run that has succeeded. The client holds it open still."""
    seen = [next(source)]
    while len(streams) < number or seen[-1]["type"] != "RUN_SUCCEEDED":
        seen.append(next(source))
    return seen


def interrupt(server, printed):
    """One Ctrl-C, as a terminal sends it: how long it took, and nothing was amiss."""
    began_s = time.monotonic()
    os.killpg(server.pid, signal.SIGINT)
    assert server.wait(PATIENCE_S) == 0
    assert not re.search("Traceback|ERROR|Error", printed.read_text())
    return time.monotonic() - began_s


def recorded(place, timer, seen):
    """The indexes of the timer's events in the log, from the first to the last of those seen."""
    scheduler, found = kron.Scheduler(), []
    scheduler.start(place / ".kron")
    try:
        with scheduler.subscribe(after=seen[0]["index"] - 1) as subscription:
            for event in subscription:
                if event.index > seen[-1]["index"]:
                    return found
                if getattr(event, "timer", None) == timer:
                    found.append(event.index)
    finally:
        scheduler.shutdown()


def put(url, value, headers):
    body = json.dumps(value).encode()
    headers = {**headers, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT")) as answer:
        assert answer.status == 200


def test_a_live_stream_holds_up_no_end_and_loses_nothing_by_it(serve, tmp_path):
    start, url = serve
    server, printed = start()
    streams = []
    source = event_source(f"{url}/events", ACME, streams)
    for headers in (ACME, BOLT):
        put(f"{url}/timers/tick", EVERY_SECOND, headers)
    seen = follow(source, streams, 1)
    assert interrupt(server, printed) < 5

    server, printed = start("--reload")
    seen += follow(source, streams, 2)
    (tmp_path / "live.py").touch()
    until(lambda: printed.read_text().count("startup complete") == 2)
    seen += follow(source, streams, 3)
    assert interrupt(server, printed) < 5

    source.close()
    assert [event["index"] for event in seen] == recorded(tmp_path, "acme.tick", seen)


# -- Jupyter and scripts -------------------------------------------------------------------------


def test_the_cells_of_the_notebook_do_what_is_said(tmp_path):
    first, start, compute, again, start_again, restart, end = blocks("jupyter", "python")
    cells = [first, start, compute, compute.replace("1.3", "0"), again, again, start_again]
    cells += [start_again, "await kron.ahistory('prices', limit=1)", "time.sleep(0.7)"]
    cells += [restart, "kron.trigger('prices')", end]
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        input=json.dumps(cells),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "-> ['OK', 'OK']" in done.stdout
    assert "in the new way" in done.stdout
    assert "-> scheduled" in done.stdout


def test_a_script_that_ends_before_its_one_shot_says_what_the_page_shows(tmp_path):
    shown = re.search(r"<!-- ended -->\n```text\n(.*?)```", text_of("scripts"), re.S)[1]
    program = "import kron; kron.schedule('reminder', print, after='1h'); kron.start()"
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, shown)


def test_a_script_that_does_not_wait_for_sigterm_ends_as_by_a_kill(tmp_path):
    program = "import kron, time; kron.start(); print(flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
    assert "SCHEDULER_STOPPED" not in (tmp_path / ".kron" / "kron.aof").read_text()


# -- units and images ----------------------------------------------------------------------------


def test_the_units_are_such_as_systemd_takes(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = [block for block in blocks("systemd", "ini") if "ExecStart" in block]
    (hardening,) = (block for block in blocks("systemd", "ini") if "ExecStart" not in block)
    assert len(units) == 3
    units.append(units[0] + hardening)
    for number, unit in enumerate(units):
        file = tmp_path / f"recipe{number}.service"
        file.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={program}", unit, flags=re.M))
        done = subprocess.run([analyze, "verify", str(file)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), unit


def test_what_a_unit_gives_uvicorn_is_what_uvicorn_takes():
    (line,) = re.findall(r"bin/uvicorn (.*)$", text_of("systemd"), re.M)
    assert uvicorn.make_context("uvicorn", shlex.split(line)).params["app"] == "app:app"


def test_the_image_installs_this_project_for_a_user_of_its_own():
    (image,) = blocks("docker", "dockerfile")
    name = re.search(r'^name = "(.*)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)[1]
    assert f"pip install --no-cache-dir {name} " in image
    assert image.index("USER app") > image.index("COPY . .")
    home = re.search(r"KRON_HOME=(\S+)", image)[1]
    assert f"install -d -o app -m 700 {home}" in image
    assert f"VOLUME {home}" in image
    (compose,) = blocks("docker", "yaml")
    assert f":{home}" in compose
