"""Commands and process functions as they really run: pipes, signals, groups, zombies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import eventually

from kron.core.commands import FinishRun, Outcome
from kron.core.definition import define
from kron.core.events import RunDue, TimerCreated
from kron.core.things import Run, Timer
from kron.runtime.callables import Target
from kron.runtime.command import Command, command, resolve
from kron.runtime.context import Job
from kron.runtime.environment import Providers
from kron.runtime.groups import is_alive, processes
from kron.runtime.processes import Processes
from kron.storage.output import MemoryOutputs

BASE_US = 1_800_000_000_000_000
LOG_ID = "0123456789abcdef"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Bench:
    """Processes, and what came of the jobs they were given."""

    def __init__(self) -> None:
        self.finished: dict[int, FinishRun] = {}
        self.outputs = MemoryOutputs()
        self.processes = Processes(self._finish, self.outputs, Providers())
        self.jobs: dict[int, Job] = {}

    def _finish(self, finish: FinishRun) -> None:
        assert finish.run not in self.finished, "an attempt ends once"
        self.finished[finish.run] = finish

    def start(self, target: Target | Command, run: int = 1, attempt: int = 1) -> None:
        if isinstance(target, Command):
            target = Target(target, (), {})
        definition, _ = define(every=10)
        timer = Timer(1, TimerCreated("backup", definition, BASE_US, BASE_US, None))
        due = Run(run, timer, RunDue("backup", BASE_US + run * 1000, BASE_US, None, missed=4))
        due.attempt = attempt
        self.jobs[run] = Job(due, target, LOG_ID)
        self.processes.start(self.jobs[run])

    def end(self, run: int = 1) -> FinishRun:
        return eventually(lambda: self.finished.get(run), 30)

    def run(self, target: Target | Command, run: int = 1) -> FinishRun:
        self.start(target, run)
        return self.end(run)

    def text(self, run: int = 1) -> str:
        return self.outputs.read(self.jobs[run].run_id)[0]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    fds = len(os.listdir("/dev/fd"))
    yield bench
    bench.processes.kill_all()
    eventually(lambda: not bench.processes.running(), 30)
    assert bench.outputs.marks() == {}
    assert children() == []
    eventually(lambda: len(os.listdir("/dev/fd")) <= fds)


def children() -> list[int]:
    """Children of this process, zombies too. A probe that is itself a child is none."""
    if sys.platform != "linux":
        return []
    found = []
    for process in processes():
        stat = Path(f"/proc/{process.pid}/stat")
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += [process.pid] * (parent == os.getpid())
    return found


def shell(text: str, **options: Any) -> Command:
    return command(text, shell=True, **options)


def python(program: str, **options: Any) -> Command:
    return command([sys.executable, "-c", program], **options)


# -- how a command ends -------------------------------------------------------------------------


def test_exit_0_is_a_success(bench: Bench) -> None:
    end = bench.run(command("echo hi"))
    assert end[:3] == (1, 1, Outcome.SUCCEEDED) and (end.error, end.exit_code) == ("", 0)
    assert end.took_us > 0 and bench.text() == "hi\n"


def test_another_exit_code_is_a_failure_with_the_last_line(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    end = bench.run(shell("echo begun; echo 'no space left' >&2; echo; exit 3"))
    assert (end.outcome, end.exit_code) == (Outcome.FAILED, 3)
    assert end.error == "exit code 3: no space left"
    (record,) = caplog.records
    assert record.getMessage() == "timer backup: attempt 1 failed: exit code 3: no space left"
    assert record.name == "kron.runs"
    assert (vars(record)["timer"], vars(record)["attempt"]) == ("backup", 1)
    assert vars(record)["run"].startswith("run_")


def test_a_signal_is_named(bench: Bench) -> None:
    end = bench.run(shell("kill -SEGV $$"))
    assert (end.outcome, end.exit_code, end.error) == (
        Outcome.FAILED, -signal.SIGSEGV, "killed by SIGSEGV",
    )  # fmt: skip
    assert bench.run(command("false"), 2).error == "exit code 1"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"argv": ["no-such-program"]}, "program 'no-such-program' was not found on the PATH"),
        ({"argv": ["/no/such"]}, "program '/no/such' was not found"),
        ({"argv": ["/etc/passwd"]}, "program '/etc/passwd' may not be executed"),
        ({"argv": ["ls"], "cwd": "/no/such"}, "cwd '/no/such' does not exist"),
        ({"argv": ["ls"], "cwd": "/etc/passwd"}, "cwd '/etc/passwd' cannot be entered: Not a dir"),
    ],
)
def test_what_cannot_be_started_is_a_failure_in_plain_words(
    bench: Bench, options: dict[str, Any], error: str
) -> None:
    end = bench.run(command(**options))
    assert end.outcome is Outcome.FAILED and end.exit_code is None and end.error.startswith(error)


def test_a_script_without_its_interpreter(bench: Bench, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o700)
    assert "the interpreter in its first line was not found" in bench.run(command([script])).error


@on_linux
def test_a_lost_exit_code_is_no_success(bench: Bench) -> None:
    was = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        end = bench.run(command("false"))
    finally:
        signal.signal(signal.SIGCHLD, was)
    assert end.outcome is Outcome.FAILED and "SIGCHLD is ignored" in end.error


def test_a_stdin_is_empty_and_there_is_no_terminal(bench: Bench) -> None:
    assert bench.run(shell("cat; (: </dev/tty) 2>/dev/null || echo none")).exit_code == 0
    assert bench.text() == "none\n"


# -- what it prints -----------------------------------------------------------------------------


def test_a_megabyte_on_stderr_alone_completes(bench: Bench) -> None:
    end = bench.run(python("import sys; sys.stderr.write('x' * 999_999 + '\\n')"))
    assert end.outcome is Outcome.SUCCEEDED
    assert bench.text().startswith("[kron: 934,464 bytes before this were cut]\nxxx")


def test_both_streams_are_in_order(bench: Bench) -> None:
    bench.run(shell("for i in 1 2 3; do echo out $i; echo err $i >&2; done"))
    assert bench.text().split("\n")[:4] == ["out 1", "err 1", "out 2", "err 2"]


def test_output_can_be_followed_while_the_run_goes_on(bench: Bench, tmp_path: Path) -> None:
    bench.start(shell(f"echo begun; until test -e {tmp_path}/go; do sleep 0.02; done; echo over"))
    eventually(lambda: bench.text() == "begun\n")
    (tmp_path / "go").touch()
    assert bench.end().outcome is Outcome.SUCCEEDED and bench.text() == "begun\nover\n"


def test_a_process_in_the_background_does_not_keep_the_run_open(
    bench: Bench, tmp_path: Path
) -> None:
    begun_s = time.monotonic()
    end = bench.run(shell(f"(echo $$; exec sleep 60) & echo $! >{tmp_path}/pid; echo over"))
    assert end.outcome is Outcome.SUCCEEDED and "over\n" in bench.text()
    assert time.monotonic() - begun_s < 30 and end.took_us < 1_000_000 * 30
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)  # it was left alone


def test_a_process_that_closes_its_output_runs_on(bench: Bench, tmp_path: Path) -> None:
    bench.start(shell(f"exec >&- 2>&-; until test -e {tmp_path}/go; do sleep 0.02; done; exit 7"))
    eventually(lambda: bench.processes.running() == {1})
    (tmp_path / "go").touch()
    assert bench.end().exit_code == 7


class FullOutputs(MemoryOutputs):
    """A store on a full disk."""

    def begin(self, timer: str, run_id: str, attempt: int, now_s: float) -> Any:
        output = super().begin(timer, run_id, attempt, now_s)
        vars(output)["close"] = lambda: "No space left on device"
        return output

    def mark(self, run_id: str, text: str) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_does_not_stop_a_run_and_is_told(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.processes = Processes(bench._finish, FullOutputs(), Providers())
    assert bench.run(command("true")).outcome is Outcome.SUCCEEDED
    assert "will not find its process" in caplog.text
    error = "exit code 1 (its output was not kept: No space left on device)"
    assert bench.run(command("false"), 2).error == error


# -- its environment ----------------------------------------------------------------------------


def test_a_command_learns_of_its_run(bench: Bench, tmp_path: Path) -> None:
    bench.start(shell("env | grep -e ^KRON -e ^MINE | sort; pwd", env={"MINE": "1"}, cwd=tmp_path))
    bench.end()
    context = bench.jobs[1].context()
    assert bench.text().splitlines() == [
        "KRON_ATTEMPT=1",
        "KRON_BACKFILL=false",
        f"KRON_RUN_ID={context['run_id']}",
        f"KRON_SCHEDULED_AT={context['scheduled_at']}",
        "KRON_TIMER=backup",
        "MINE=1",
        str(tmp_path),
    ]


def test_safe_hides_a_secret(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    bench.run(command("env", inherit="safe"))
    assert "s3cret" not in bench.text() and "\nPATH=" in f"\n{bench.text()}"
    bench.run(command("env"), 2)
    assert "SECRET=s3cret" in bench.text(2)


def test_a_provider_that_raises_fails_the_run(bench: Bench) -> None:
    def variables() -> dict[str, str]:
        raise TypeError("no vault")

    end = bench.run(command("true", env=variables))
    name = command("true", env=variables).spec.provider
    assert end.error == f"environment provider {name} failed: TypeError: no vault"
    assert end.outcome is Outcome.FAILED


# -- stopping -----------------------------------------------------------------------------------


def begun(bench: Bench) -> None:
    eventually(lambda: "begun" in bench.text())


def test_a_stopped_command_does_not_go_on(bench: Bench, tmp_path: Path) -> None:
    bench.start(shell(f"echo begun; sleep 60; touch {tmp_path}/f"))
    begun(bench)
    assert bench.processes.cancel(1)
    end = bench.end()
    assert (end.outcome, end.exit_code) == (Outcome.CANCELLED, -signal.SIGTERM)
    assert not (tmp_path / "f").exists() and not bench.processes.cancel(1)


@on_linux
def test_nor_does_what_it_has_started(bench: Bench, tmp_path: Path) -> None:
    bench.start(shell(f"(sleep 60; touch {tmp_path}/f) & echo begun $$; wait"))
    begun(bench)
    group = int(bench.text().split()[1])
    bench.processes.cancel(1)
    assert bench.end().outcome is Outcome.CANCELLED
    assert not is_alive(group) and not (tmp_path / "f").exists()


@on_linux
def test_one_that_ignores_term_is_killed(bench: Bench) -> None:
    text = "trap '' TERM; echo begun $$; (while :; do sleep 0.05; done) & wait"
    bench.start(shell(text, kill_after="200ms"))
    begun(bench)
    bench.processes.cancel(1)
    end = bench.end()
    assert (end.outcome, end.exit_code) == (Outcome.CANCELLED, -signal.SIGKILL)
    assert not is_alive(int(bench.text().split()[1]))


@on_linux
def test_a_child_has_its_time_although_its_parent_died_at_once(
    bench: Bench, tmp_path: Path
) -> None:
    """The group is watched, not its leader alone."""
    child = (
        "import os, signal, sys, time\n"
        "def end(*_):\n"
        "    os.write(1, b'ending\\n'); time.sleep(0.3); os.write(1, b'cleaned up\\n')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); os.write(1, b'begun\\n'); time.sleep(60)"
    )
    (tmp_path / "child.py").write_text(child)
    bench.start(shell(f"{sys.executable} {tmp_path}/child.py & wait", kill_after="20s"))
    begun(bench)
    bench.processes.cancel(1)
    assert bench.end().exit_code == -signal.SIGTERM
    assert bench.text() == "begun\nending\ncleaned up\n"


@on_linux
def test_a_child_that_ignores_term_is_killed_after_its_parent(bench: Bench) -> None:
    text = "(trap '' TERM; echo begun $$; while :; do sleep 0.05; done) & wait"
    bench.start(shell(text, kill_after="200ms"))
    begun(bench)
    bench.processes.cancel(1)
    assert bench.end().exit_code == -signal.SIGTERM
    assert not is_alive(int(bench.text().split()[1]))


def test_one_that_is_stopped_by_a_signal_hears_term(bench: Bench) -> None:
    bench.start(shell("trap 'echo heard; exit 0' TERM; echo begun; kill -STOP $$; sleep 60"))
    begun(bench)
    bench.processes.cancel(1)
    assert bench.end().outcome is Outcome.CANCELLED and "heard" in bench.text()


def test_a_cancellation_that_comes_with_the_end_is_harmless(bench: Bench) -> None:
    for run in range(40):
        bench.start(command("true"), run)
    for run in range(40):
        bench.processes.cancel(run)
    ends = [bench.end(run) for run in range(40)]
    assert {end.outcome for end in ends} <= {Outcome.CANCELLED, Outcome.SUCCEEDED}


def test_a_cancellation_before_it_begins_starts_nothing(bench: Bench, tmp_path: Path) -> None:
    asked, go = threading.Event(), threading.Event()

    def variables() -> dict[str, str]:
        asked.set()
        assert go.wait(30)
        return {}

    bench.start(command(["touch", tmp_path / "f"], env=variables))
    assert asked.wait(30)
    assert bench.processes.cancel(1)
    assert bench.end() == FinishRun(1, 1, Outcome.CANCELLED, 0, "cancelled before it began")
    go.set()
    eventually(lambda: not waiting_threads())
    assert not (tmp_path / "f").exists() and not bench.processes.cancel(1)


def waiting_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("kron-process-")]


def test_after_the_stop_nothing_begins(bench: Bench, tmp_path: Path) -> None:
    go = threading.Event()
    bench.start(command(["touch", tmp_path / "f"], env=lambda: {"WAITED": str(go.wait(30))}))
    bench.start(shell(f"echo begun; until test -e {tmp_path}/go; do sleep 0.02; done"), 2)
    eventually(lambda: bench.text(2))
    bench.processes.stop()
    go.set()
    (tmp_path / "go").touch()
    assert bench.end(2).outcome is Outcome.SUCCEEDED
    eventually(lambda: not waiting_threads())
    assert bench.finished.keys() == {2} and not (tmp_path / "f").exists()
    bench.processes.cancel(1)


@on_linux
def test_all_are_killed_at_once(bench: Bench) -> None:
    for run in range(10):
        bench.start(shell("trap '' TERM; echo begun $$; while :; do sleep 0.05; done"), run)
    eventually(lambda: all("begun" in bench.text(run) for run in range(10)))
    bench.processes.kill_all()
    assert {bench.end(run).outcome for run in range(10)} == {Outcome.CANCELLED}
    assert not any(is_alive(int(bench.text(run).split()[1])) for run in range(10))


SUBREAPER = """
import ctypes, os, sys, time
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER: as a PID 1
sys.path[:0] = ["tests", "tests/runtime"]
from waiting import eventually
from test_processes import Bench, children, shell

bench = Bench()
bench.start(shell("sleep 60 & echo begun; wait", kill_after="60s"), 1)
eventually(lambda: bench.text(1))
bench.processes.cancel(1)
bench.end(1)
assert children() == [], "the stopped one"
bench.start(shell("sleep 0.1 >/dev/null 2>&1 & echo $!"), 2)
bench.end(2)
adopted = bench.text(2).strip()
assert children() == [int(adopted)]
eventually(lambda: open(f"/proc/{adopted}/stat").read().split()[2] == "Z")
bench.run(shell("true"), 3)
assert children() == [], "the one that was left"
"""


@on_linux
def test_a_pid_1_reaps_what_commands_leave_behind() -> None:
    subprocess.run(
        [sys.executable, "-c", SUBREAPER], check=True, timeout=60, cwd=Path(__file__).parents[2]
    )


# -- many ---------------------------------------------------------------------------------------


@on_linux
def test_two_hundred_at_once(bench: Bench, tmp_path: Path) -> None:
    """Two descriptors a run while they run; none, no zombie and no lost line afterwards."""
    fds = len(os.listdir("/proc/self/fd"))
    wait = f"until test -e {tmp_path}/go; do sleep 0.5; done"
    for run in range(200):
        bench.start(shell(f"echo begun; {wait}; echo $((2 * {run}))"), run)
    eventually(lambda: all(bench.text(run) for run in range(200)), 60)
    assert len(os.listdir("/proc/self/fd")) - fds <= 2 * 200 + 4
    (tmp_path / "go").touch()
    for run in range(200):
        assert bench.end(run).outcome is Outcome.SUCCEEDED
        assert bench.text(run) == f"begun\n{2 * run}\n"
    assert children() == [] and len(os.listdir("/proc/self/fd")) <= fds


# -- functions ----------------------------------------------------------------------------------

FUNCTIONS = r"""
import asyncio, os, sys, time
import kron

def prints(*args, **kwargs):
    print(args, kwargs, os.getpid() != int(os.environ["PARENT"]))
    print("to stderr", file=sys.stderr)

def of_context(context, word):
    print(context == kron.current_run(), context["missed"], context["timer_id"], word)
    print(os.environ["KRON_RUN_ID"] == context["run_id"])

async def awaits():
    await asyncio.sleep(0)
    print(kron.current_run()["attempt"])

def awaitable():
    return awaits()

def raises():
    raise ValueError("x" * 20_000)

def exits():
    os._exit(3)

def dies():
    os.kill(os.getpid(), 11)

def cleans_up():
    try:
        os.write(1, b"begun\n")
        time.sleep(60)
    finally:
        print("cleaned up")

async def never():
    try:
        os.write(1, b"begun\n")
        await asyncio.sleep(60)
    finally:
        print("cleaned up")

def imports():
    print(sorted({"asyncio", "orjson", "anyio", "kron.scheduler"} & set(sys.modules)))

def huge(text):
    print(len(text))
"""


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Target]]:
    (tmp_path / "functions_of_test.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PARENT", str(os.getpid()))

    def make(name: str, *args: Any, **kwargs: Any) -> Target:
        return Target(resolve(f"functions_of_test:{name}"), args, kwargs, "process")

    yield make
    sys.modules.pop("functions_of_test", None)


def test_a_function_runs_in_another_process(bench: Bench, function: Callable[..., Target]) -> None:
    end = bench.run(function("prints", 1, [2, None], word="ü"))
    assert (end.outcome, end.error, end.exit_code) == (Outcome.SUCCEEDED, "", 0)
    assert bench.text() == "(1, [2, None]) {'word': 'ü'} True\nto stderr\n"


def test_a_function_has_its_context(bench: Bench, function: Callable[..., Target]) -> None:
    assert bench.run(function("of_context", "word")).error == ""
    assert bench.text() == "True 4 backup word\nTrue\n"
    bench.run(function("awaits"), 2)
    bench.run(function("awaitable"), 3)
    assert bench.text(2) == bench.text(3) == "1\n"


def test_an_error_is_told_as_that_of_a_thread_is(
    bench: Bench, function: Callable[..., Target]
) -> None:
    end = bench.run(function("raises"))
    assert end.outcome is Outcome.FAILED and end.exit_code == 1
    assert end.error == ("ValueError: " + "x" * 20_000)[: 8 * 1024]
    assert "Traceback" in bench.text() and "in raises" in bench.text()
    (exits,) = (bench.run(function("exits"), 2),)
    assert (exits.error, exits.exit_code) == ("exit code 3", 3)
    assert bench.run(function("dies"), 3).error == "killed by SIGSEGV"


def test_a_module_that_cannot_be_imported_any_more(
    bench: Bench, function: Callable[..., Target], tmp_path: Path
) -> None:
    target = function("prints")
    (tmp_path / "functions_of_test.py").write_text("1 / 0")
    end = bench.run(target)
    assert "functions_of_test cannot be imported: ZeroDivisionError" in end.error


@pytest.mark.parametrize("name", ["cleans_up", "never"])
def test_a_stopped_function_cleans_up(
    bench: Bench, function: Callable[..., Target], name: str
) -> None:
    bench.start(function(name))
    begun(bench)
    bench.processes.cancel(1)
    assert bench.end().outcome is Outcome.CANCELLED
    assert bench.text() == "begun\ncleaned up\n"


def test_a_function_is_alone_and_takes_large_arguments(
    bench: Bench, function: Callable[..., Target]
) -> None:
    bench.run(function("imports"))
    assert json.loads(bench.text().replace("'", '"')) == ["asyncio"]  # the module's own import
    bench.run(function("huge", "x" * 250_000), 2)
    assert bench.text(2) == "250000\n"
