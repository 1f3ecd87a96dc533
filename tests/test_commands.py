"""Commands and process functions on a schedule: what they get, what they print, how they end."""

import json
import os
import sys
import textwrap
import threading
from importlib import invalidate_caches

import pytest
from typer.testing import CliRunner

import kron
from kron.cli.main import app
from kron.scheduler import Scheduler
from tests.waiting import eventually
from tests.witness import LONG_S, judged, rows, until_ended, until_idle

PYTHON = sys.executable


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module that this process and its children can import; its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names = []

    def write(text):
        names.append(f"jobs_{tmp_path.name.replace('-', '_')}_{len(names)}")
        (tmp_path / f"{names[-1]}.py").write_text(textwrap.dedent(text))
        invalidate_caches()
        return names[-1]

    yield write
    for name in names:
        sys.modules.pop(name, None)


def shell(text, **options):
    return kron.command(text, shell=True, **options)


def run(scheduler, name, command, **options):
    """Schedule it, run it once, wait for its end; its latest row of history."""
    scheduler.schedule(name, command, every="1h", **{"max_attempts": 1, **options})
    run_id = scheduler.trigger(name)
    eventually(lambda: run_id not in scheduler.status(name)["open_runs"], LONG_S)
    # Before the row of RUN_DEAD, which ends a run that has failed, is that of the attempt.
    return next(row for row in scheduler.history(name, limit=2) if row["status"] != "DEAD")


def cli(place, *arguments, code=0):
    result = CliRunner().invoke(app, ["--data-dir", str(place), *arguments])
    assert result.exit_code == code, result.output + result.stderr
    return result.stdout


def logs(place, name, *arguments):
    """What the latest run of it printed."""
    return json.loads(cli(place, "--json", "job", "logs", name, *arguments))["text"]


# -- what it prints, and how it ends -------------------------------------------------------------


def test_a_megabyte_on_stderr_alone_completes(scheduler, place):
    text = "import sys; sys.stderr.write('x' * (1 << 20) + 'the end')"
    row = run(scheduler, "loud", kron.command([PYTHON, "-c", text]), timeout="60s")
    assert (row["status"], row["exit_code"]) == ("OK", None)
    kept = logs(place, "loud")
    cut, _, rest = kept.partition("\n")
    assert rest.endswith("xthe end") and len(rest) <= 64 * 1024
    assert cut == f"[kron: {(1 << 20) + len('the end') - len(rest):,} bytes before this were cut]"


def test_both_streams_are_kept_with_every_attempt_of_a_run(scheduler, place):
    text = "echo try $KRON_ATTEMPT; echo to stderr >&2; test $KRON_ATTEMPT -eq 2"
    scheduler.schedule("t", shell(text), every="1h", retry_delay=0)
    scheduler.trigger("t")
    assert until_ended(scheduler, "t", 2) == [("FAILED", None, 1), ("OK", None, 2)]
    printed = logs(place, "t")
    assert printed.count("to stderr\n") == 2 and "try 1\n" in printed and "try 2\n" in printed


def test_an_exit_code_stands_in_the_log_the_history_and_the_command_line(scheduler, place):
    row = run(scheduler, "t", shell("echo working; echo no space left >&2; exit 3"))
    assert (row["status"], row["exit_code"]) == ("FAILED", 3)
    assert row["error"] == "exit code 3: no space left"
    shown = json.loads(cli(place, "--json", "job", "history", "t"))
    assert [each["exit_code"] for each in shown if each["status"] == "FAILED"] == [3]
    assert "exit code 3: no space left" in cli(place, "job", "history", "t").replace("\n", " ")
    assert run(scheduler, "killed", shell("kill -9 $$"))["error"] == "killed by SIGKILL"


def test_a_status_shows_the_command_and_its_hash(scheduler, place, tmp_path):
    scheduler.schedule("t", kron.command("echo 'to tape'", cwd=tmp_path), every="1h")
    scheduler.schedule("same", kron.command(["echo", "to tape"], cwd=tmp_path), every="2h")
    scheduler.schedule("other", kron.command(["echo", "to tape"]), every="2h")
    status = scheduler.status("t")
    assert status["command"] == "echo 'to tape'"
    assert len(status["command_hash"]) == 12 and int(status["command_hash"], 16)
    assert status["key"] == status["command_hash"] == scheduler.status("same")["command_hash"]
    assert status["command_hash"] != scheduler.status("other")["command_hash"]
    shown = cli(place, "job", "status", "t")
    assert "echo 'to tape'" in shown and status["command_hash"] in shown


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (kron.command(["no-such-program"]), "'no-such-program' was not found on the PATH"),
        (kron.command(["true"], cwd="/no/such/place"), "cwd '/no/such/place' does not exist"),
        (kron.command(["/etc/passwd"]), "'/etc/passwd' may not be executed"),
    ],
)
def test_what_cannot_be_started_has_failed_and_the_others_run(scheduler, command, error):
    row = run(scheduler, "t", command)
    assert row["status"] == "FAILED" and error in row["error"]
    assert run(scheduler, "other", kron.command(["true"]))["status"] == "OK"


def test_commands_fire_by_their_schedule_and_pass_a_restart(place, tmp_path):
    def schedule(scheduler):
        scheduler.schedule("beat", shell("echo beat >> beats", cwd=tmp_path), every="50ms")

    beats = tmp_path / "beats"
    beats.touch()
    scheduler = Scheduler()
    for count in (3, 6):
        schedule(scheduler)
        scheduler.start(place)
        eventually(lambda n=count: beats.read_text().count("\n") >= n, LONG_S)
        scheduler.shutdown()
    content = (place / "kron.aof").read_bytes()
    assert content.count(b"TIMER_CREATED") == 1 and b"TIMER_UPDATED" not in content
    assert judged(place) == []


# -- what it gets --------------------------------------------------------------------------------

VARIABLES = "KRON_TIMER KRON_RUN_ID KRON_SCHEDULED_AT KRON_ATTEMPT KRON_BACKFILL".split()
TELLS = "echo " + " ".join(f"${name}" for name in VARIABLES) + " >> said"


def said(place):
    """What the runs have told of themselves, as dicts."""
    lines = (place / "said").read_text().splitlines() if (place / "said").exists() else []
    return [dict(zip(VARIABLES, line.split(), strict=True)) for line in lines]


def test_a_command_is_told_its_nominal_moment_exactly(scheduler, tmp_path):
    scheduler.schedule("t", shell(TELLS, cwd=tmp_path), cron="* * * * * *", jitter="200ms")
    eventually(lambda: len(said(tmp_path)) >= 2, LONG_S)
    scheduler.pause("t")
    until_idle(scheduler)
    told = {each["KRON_RUN_ID"]: each for each in said(tmp_path)}
    ended = [row for row in scheduler.history("t") if row["status"] == "OK"]
    assert len(ended) == len(told) >= 2
    for row in ended:
        assert told[row["run_id"]] == {
            "KRON_TIMER": "t", "KRON_RUN_ID": row["run_id"], "KRON_ATTEMPT": "1",
            "KRON_SCHEDULED_AT": row["scheduled_at"], "KRON_BACKFILL": "false",
        }  # fmt: skip
        assert len(row["scheduled_at"]) == len("2027-01-01T00:00:00+00:00"), "a whole second"
        assert row["started_at"] > row["scheduled_at"]


def test_a_backfill_runs_each_moment_with_its_label_under_skip(scheduler, tmp_path):
    scheduler.schedule("t", shell(TELLS, cwd=tmp_path), cron="0 * * * *", overlap="skip")
    begun = scheduler.backfill("t", since="2024-03-01T05:00Z", until="2024-03-01T10:00Z")
    assert begun["moments"] == 5
    eventually(lambda: scheduler.status("t")["backfill"] is None, LONG_S)
    moments = [each["KRON_SCHEDULED_AT"] for each in said(tmp_path)]
    assert [moment[11:16] for moment in moments] == ["05:00", "06:00", "07:00", "08:00", "09:00"]
    assert {each["KRON_BACKFILL"] for each in said(tmp_path)} == {"true"}
    backfilled = [row for row in scheduler.history("t") if row["cause"] == "backfill"]
    assert [row["scheduled_at"] for row in reversed(backfilled)] == moments
    again = scheduler.backfill("t", since=begun["since"], until=begun["until"])
    assert (again["moments"], again["done"]) == (0, 5)


def test_safe_hides_a_secret_and_what_is_declared_wins(scheduler, place, monkeypatch):
    monkeypatch.setenv("SECRET", "hush")
    monkeypatch.setenv("LANG", "C.UTF-8")
    text = 'echo "secret=$SECRET path=$PATH lang=$LANG"'
    path = os.environ["PATH"]
    for name, options, shown in (
        ("safe", {"inherit": "safe"}, f"secret= path={path} lang=C.UTF-8"),
        ("all", {}, f"secret=hush path={path} lang=C.UTF-8"),
        ("env", {"inherit": "safe", "env": {"SECRET": "own", "LANG": "de"}},
         f"secret=own path={path} lang=de"),
    ):  # fmt: skip
        assert run(scheduler, name, shell(text, **options))["status"] == "OK"
        assert logs(place, name) == f"{shown}\n"
    only = kron.command(["/usr/bin/env"], inherit="none", env={"ONE": "1"})
    run(scheduler, "none", only)
    names = {line.partition("=")[0] for line in logs(place, "none").splitlines()}
    assert names == {"ONE", *VARIABLES}


def test_a_provider_is_asked_once_a_start_and_nowhere_written_down(place):
    asked = []

    def provider():
        asked.append(threading.get_ident())
        return {"TOKEN": f"token-{len(asked)}"}

    scheduler = Scheduler()
    for start in (1, 2):
        for name in ("a", "b"):
            scheduler.schedule(name, shell(f"echo $TOKEN # {name}", env=provider), every="1h")
        scheduler.start(place)
        for name in ("a", "b", "a"):
            before = scheduler.status(name)["succeeded"]
            scheduler.trigger(name)
            eventually(lambda n=name, b=before: scheduler.status(n)["succeeded"] == b + 1, LONG_S)
            assert logs(place, name) == f"token-{start}\n"
        scheduler.shutdown()
        assert len(asked) == start
    assert threading.get_ident() not in asked, "it may take its time"
    assert b"token-1" not in (place / "kron.aof").read_bytes()


def test_a_provider_that_raises_is_a_failure_of_its_timer_alone(place, module):
    name = module("""
        is_broken = True
        def variables():
            if is_broken:
                raise OSError("no vault here")
            return {"TOKEN": "from the vault"}
    """)
    scheduler = Scheduler()
    scheduler.schedule(
        "broken", shell("echo $TOKEN", env=f"{name}:variables"), every="1h", retry_delay="1h"
    )
    scheduler.schedule("fine", shell("echo fine"), every="1h")
    scheduler.start(place)
    try:
        scheduler.trigger("broken")
        scheduler.trigger("fine")
        assert until_ended(scheduler, "fine") == [("OK", None, 1)]
        assert until_ended(scheduler, "broken") == [("FAILED", None, 1)]
        (row,) = scheduler.history("broken")
        assert f"{name}:variables failed: OSError: no vault here" in row["error"]
        scheduler.cancel("broken")
        scheduler.shutdown()
        sys.modules[name].is_broken = False
        scheduler.start(place)
        scheduler.trigger("broken")
        eventually(lambda: scheduler.status("broken")["succeeded"] == 1, LONG_S)
        assert logs(place, "broken") == "from the vault\n"
    finally:
        scheduler.shutdown(1)


# -- many ----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_two_hundred_at_once_leave_nothing_behind(scheduler, place):
    gate = place / "gate"
    run(scheduler, "warm", kron.command(["true"]))
    fds, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    text = f"echo begun; until test -e {gate}; do sleep 0.5; done; echo $((2 * $0))"
    for number in range(200):
        command = kron.command(["sh", "-c", text, str(number)])
        scheduler.schedule(f"t{number}", command, every="1h", max_attempts=1)
    ids = [scheduler.trigger(f"t{number}") for number in range(200)]
    eventually(lambda: len(list((place / "output").glob("*.log"))) == 200, LONG_S)
    gate.touch()
    until_idle(scheduler)
    for number, run_id in enumerate(ids):
        assert (place / "output" / f"{run_id}.log").read_text() == f"begun\n{2 * number}\n"
    assert {timer["last_status"] for timer in scheduler.list()} == {"OK"}
    assert children() == [] and list((place / "output").glob("*.pid")) == []
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= fds, LONG_S)
    eventually(lambda: threading.active_count() <= threads, LONG_S)


def children():
    """The processes that this one has started and not reaped, zombies too."""
    found = []
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
            found += [int(pid) for pid in file.read().split()]
    return found


# -- functions by name, and in a process of their own --------------------------------------------

FUNCTIONS = """
    import asyncio, json, os, pathlib
    import kron

    def note(place, *args, **kwargs):
        told = {"context": kron.current_run(), "args": args, "kwargs": kwargs, "pid": os.getpid()}
        pathlib.Path(place).write_text(json.dumps(told))

    def with_context(context, place):
        assert context == kron.current_run()
        note(place)

    async def awaits(place):
        await asyncio.sleep(0)
        note(place)

    def raises():
        raise LookupError("nothing of that kind")

    class Namespace:
        @staticmethod
        def inner(place):
            note(place)

    number = 7
"""


@pytest.mark.parametrize("executor", [None, "process"])
@pytest.mark.parametrize("function", ["note", "with_context", "awaits", "Namespace.inner"])
def test_a_function_is_called_by_its_name(scheduler, module, tmp_path, function, executor):
    name = module(FUNCTIONS)
    place = tmp_path / "told"
    more = {"args": [str(place), 1, {"a": None}], "kwargs": {"key": [True]}}
    given = more if function == "note" else {"args": [str(place)]}
    row = run(scheduler, "t", f"{name}:{function}", executor=executor, **given)
    assert row["status"] == "OK", row["error"]
    told = json.loads(place.read_text())
    assert (told["pid"] == os.getpid()) == (executor is None)
    context = told["context"]
    assert (context["timer_id"], context["run_id"]) == ("t", row["run_id"])
    assert (context["scheduled_at"], context["manual"]) == (row["scheduled_at"], True)
    if function == "note":
        assert (told["args"], told["kwargs"]) == ([1, {"a": None}], {"key": [True]})
    assert scheduler.status("t")["executor"] == executor


def test_an_error_in_a_process_reads_like_one_in_a_thread(scheduler, module):
    name = module(FUNCTIONS)
    in_thread = run(scheduler, "thread", f"{name}:raises")
    in_process = run(scheduler, "process", f"{name}:raises", executor="process")
    assert in_thread["error"] == in_process["error"] == "LookupError: nothing of that kind"
    assert rows(scheduler, "process") == [("FAILED", None, 1), ("DEAD", None, 1)]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("{}:nothing", "has no nothing"),
        ("{}:number", "cannot be called"),
        ("{}:Namespace.nothing", "has no Namespace.nothing"),
        ("no_such_module:f", "no_such_module cannot be imported: ModuleNotFoundError"),
        ("{}", "names no function"),
        ("{}:", "names no function"),
        (":f", "names no function"),
        ("echo hello", "names no function"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_at_the_call(scheduler, module, target, text):
    with pytest.raises(kron.ScheduleError, match=text):
        scheduler.schedule("t", target.format(module(FUNCTIONS)), every="1h")
    assert scheduler.list() == []


def test_a_module_with_an_error_of_its_own_says_it(scheduler, module):
    name = module("raise RuntimeError('not today')")
    with pytest.raises(kron.ScheduleError, match="RuntimeError: not today"):
        scheduler.schedule("t", f"{name}:f", every="1h")


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: kron.command([]), kron.ScheduleError, "names no program"),
        (lambda: kron.command(""), kron.ScheduleError, "names no program"),
        (lambda: kron.command("echo 'open"), kron.ScheduleError, "cannot be split into words"),
        (lambda: kron.command(["echo", 7]), TypeError, r"argv\[1\] must be a str, not int"),
        (lambda: kron.command(["echo"], shell=True), TypeError, "one string with shell=True"),
        (lambda: kron.command("env", inherit="some"), kron.ScheduleError, "all, safe, none"),
        (lambda: kron.command("env", env={"A": 1}), TypeError, r"env\['A'\] must be a str"),
        (lambda: kron.command("env", env={"KRON_TIMER": "x"}), kron.ScheduleError, "sets itself"),
        (lambda: kron.command("env", env="nowhere:f"), kron.ScheduleError, "cannot be imported"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_meant_is_refused_at_the_call(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_a_command_takes_neither_arguments_nor_an_executor(scheduler):
    command = kron.command(["true"])
    with pytest.raises(TypeError, match="no args= and kwargs="):
        scheduler.schedule("t", command, every="1h", args=["x"])
    with pytest.raises(TypeError, match="leave executor= out"):
        scheduler.schedule("t", command, every="1h", executor="process")
    assert scheduler.list() == []
