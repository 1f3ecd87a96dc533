"""A scheduler and its process: locks, forks, signals, the end of the program, closed loops."""

import asyncio
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zlib import crc32

import pytest

from kron.core.errors import (
    AlreadyStarted,
    DataDirLocked,
    ForeignLog,
    KronStopped,
    LogTooNew,
    NotStarted,
)
from kron.scheduler import Scheduler
from kron.storage.lines import encode_record, seed_of
from kron.storage.reader import LogReader

ROOT = Path(__file__).parents[1]
NOBODY = 65534
INTERRUPTED = (-signal.SIGINT, 1)
"""CPython 3.11 forgets that it was a KeyboardInterrupt if atexit functions compile something."""

PRELUDE = """
import asyncio, json, os, signal, sys, threading, time
import kron

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def until(is_true):
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
"""


class Child:
    """A program in a process of its own; its stdin stays open until `end`."""

    def __init__(self, program, cwd, *arguments, command=(sys.executable,), **environment):
        text = PRELUDE + textwrap.dedent(program)
        self.process = subprocess.Popen(
            [*command, "-c", text, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip
        self.pid = self.process.pid

    def until(self, line):
        """Read on until this line comes."""
        while (found := self.process.stdout.readline().rstrip("\n")) != line:
            if not found and self.process.poll() is not None:
                pytest.fail(f"it ended before it said {line!r}:\n{self.process.stderr.read()}")

    def until_it_waits(self, pid=None):
        """Until kron.wait() has its handlers in place: SIGTERM is the one Python leaves alone."""
        status = Path(f"/proc/{pid or self.pid}/status")
        mask = 1 << signal.SIGTERM - 1
        until(lambda: int(re.search(r"SigCgt:\s(\w+)", status.read_text())[1], 16) & mask)

    def send(self, *signals):
        for number in signals:
            self.process.send_signal(number)

    def end(self):
        """Wait for its end; returns exit code, the rest of stdout, and stderr."""
        output, errors = self.process.communicate(timeout=60)
        return self.process.returncode, output, without_door(errors)


def without_door(errors):
    """A door that is not built yet is no matter of these tests."""
    return re.sub(r"(?s)the control socket is closed.*?'kron.server.door'\n", "", errors)


@pytest.fixture
def child(tmp_path):
    """Make children whose working directory is `tmp_path`; none outlives the test."""
    children = []

    def make(program, *arguments, **options):
        children.append(Child(program, tmp_path, *arguments, **options))
        return children[-1]

    yield make
    for each in children:
        each.process.kill()
        each.process.communicate()


@pytest.fixture
def run(child):
    """Run a program to its end, which must be a good one; returns what it said."""

    def to_its_end(program, *arguments, **options):
        code, output, errors = child(program, *arguments, **options).end()
        assert code == 0, errors
        return output.splitlines()

    return to_its_end


@pytest.fixture
def scheduler():
    made = Scheduler()
    yield made
    made.shutdown(0)


def events(place, *tags):
    """The events of a log as lists, `[tag, field, ...]`; all, or those with these tags."""
    rows = [event for _, record in LogReader(place) for event in json.loads(record)[1:]]
    return [event for event in rows if not tags or event[0] in tags]


def tags(place):
    return [event[0] for event in events(place)]


def until(is_true):
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


# -- one writer per data directory -----------------------------------------------------------------


def test_a_second_process_is_told_who_has_the_directory(scheduler, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scheduler.start()
    before = (tmp_path / ".kron" / "kron.aof").read_bytes()
    program = """
    try:
        kron.start()
    except kron.DataDirLocked as exc:
        say(exc.pid)
        say(exc)
        say(isinstance(exc, RuntimeError))
    """
    me = os.getpid()
    text = f".kron is in use by process {me} (.kron/kron.sock). Stop it, or use another data dir."
    assert run(program) == [str(me), text, "True"]
    assert (tmp_path / ".kron" / "kron.aof").read_bytes() == before
    scheduler.shutdown()
    assert run("kron.start(); say(kron.list())") == ["[]"]


@pytest.mark.parametrize("content", ["", "1\n", "999999999\n", "nonsense", "\0" * 64])
def test_a_lock_file_without_a_holder_is_no_lock(scheduler, tmp_path, content):
    scheduler.start(tmp_path)
    scheduler.shutdown()
    (tmp_path / "kron.lock").write_text(content)
    scheduler.start(tmp_path)
    assert (tmp_path / "kron.lock").read_text() == f"{os.getpid()}\n"


def test_whoever_removes_the_lock_file_does_not_let_a_second_writer_in(scheduler, tmp_path):
    scheduler.start(tmp_path)
    (tmp_path / "kron.lock").unlink()
    with pytest.raises(DataDirLocked, match=r"kron\.sock"):
        Scheduler().start(tmp_path)
    scheduler.schedule("still", print, every="1h")


def test_two_schedulers_in_one_process_have_two_directories(scheduler, tmp_path):
    other = Scheduler()
    ran, ran_too = threading.Event(), threading.Event()
    scheduler.schedule("a", ran.set, every="10ms")
    other.schedule("a", ran_too.set, every="10ms")
    scheduler.start(tmp_path / "one")
    other.start(tmp_path / "two")
    assert ran.wait(60) and ran_too.wait(60)
    scheduler.pause("a")
    assert other.status("a")["state"] != "paused"
    scheduler.shutdown()
    ran_too.clear()
    assert ran_too.wait(60)
    other.shutdown()


def test_two_schedulers_in_one_process_cannot_have_one_directory(scheduler, tmp_path):
    scheduler.start(tmp_path)
    other = Scheduler()
    with pytest.raises(DataDirLocked, match=f"in use by process {os.getpid()} "):
        other.start(tmp_path)
    scheduler.schedule("a", print, every="1h")
    scheduler.shutdown()
    other.start(tmp_path)
    assert [row["id"] for row in other.list()] == ["a"]
    other.shutdown()


# -- forks -----------------------------------------------------------------------------------------


FORKS = """
kron.start("kron")
kron.schedule("a", print, every="1h")
if os.fork() == 0:
    say("forked")
    sys.stdin.read()
    os._exit(0)
"""


def test_a_forked_child_does_not_hold_the_lock_of_a_killed_parent(child, scheduler, tmp_path):
    parent = child(FORKS + "sys.stdin.read()")
    parent.until("forked")
    parent.process.kill()
    parent.process.wait()
    scheduler.start(tmp_path / "kron")
    assert [row["id"] for row in scheduler.list()] == ["a"]


def test_a_forked_child_does_not_hold_the_lock_after_a_shutdown(child, scheduler, tmp_path):
    parent = child(FORKS + "kron.shutdown(); say('down'); sys.stdin.read()")
    parent.until("down")
    scheduler.start(tmp_path / "kron")
    assert [row["id"] for row in scheduler.list()] == ["a"]


def test_a_forked_child_sees_not_started_and_may_start_elsewhere(run, tmp_path):
    program = """
    kron.schedule("kept", print, every="1h")
    kron.start("kron")
    pid = os.fork()
    if pid == 0:
        say(kron.status("kept")["next_run_at"], kron.status("other"), len(kron.list()))
        for verb in (kron.pause, kron.trigger, kron.history, kron.cancel):
            try:
                verb("kept")
            except kron.NotStarted as exc:
                say(type(exc).__name__)
        say(kron.shutdown()["stopped"])
        try:
            kron.start("kron")
        except kron.DataDirLocked as exc:
            say(exc.pid == os.getppid())
        kron.start("elsewhere")
        kron.schedule("own", lambda: say("ran"), after="1ms")
        until(lambda: kron.status("own")["finished"])
        kron.shutdown()
        os._exit(0)
    say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    say(kron.status("kept")["next_run_at"] is not None, kron.pause("kept"))
    """
    said = run(program)
    expected = ["None None 1", *["NotStarted"] * 4, "True", "True", "ran", "0", "True True"]
    assert said == expected
    assert tags(tmp_path / "kron")[-1] == "SCHEDULER_STOPPED"
    assert [event[1] for event in events(tmp_path / "elsewhere", "TIMER_CREATED")] == [
        "kept", "own",
    ]  # fmt: skip


def test_a_forked_child_that_ends_in_order_leaves_its_parents_scheduler_alone(run, tmp_path):
    """It runs the atexit functions it inherited."""
    program = """
    ran = threading.Event()
    kron.schedule("a", ran.set, every="10ms")
    kron.start("kron")
    pid = os.fork()
    if pid == 0:
        sys.exit(7)
    say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    ran.clear()
    say(ran.wait(60))
    """
    assert run(program) == ["7", "True"]
    assert tags(tmp_path / "kron").count("SCHEDULER_STOPPED") == 1


def test_forks_in_the_middle_of_everything_hurt_neither_side(run, tmp_path):
    program = """
    async def beat(): await asyncio.sleep(0.002)
    for n in range(10):
        kron.schedule(f"sync-{n}", lambda: time.sleep(0.001), every="3ms", overlap="allow")
        kron.schedule(f"async-{n}", beat, every="3ms", overlap="skip")
    kron.start("kron")
    is_over = False
    def call():
        while not is_over:
            kron.pause("sync-0"); kron.resume("sync-0"); kron.list()
    caller = threading.Thread(target=call)
    caller.start()
    for n in range(25):
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            kron.start(f"child-{n}")
            kron.schedule("mine", lambda: None, after=0)
            until(lambda: kron.status("mine")["finished"])
            os._exit(0 if kron.shutdown()["stopped"] else 1)
        say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    is_over = True
    caller.join()
    say(kron.shutdown()["error"])
    """
    assert run(program) == [*["0"] * 25, "None"]
    indices = [record.index for record in LogReader(tmp_path / "kron")]
    assert indices == [*range(1, len(indices) + 1)]


def test_a_callback_may_fork(run, tmp_path):
    program = """
    def forks():
        pid = os.fork()
        if pid == 0:
            try:
                kron.pause("forks")
            except kron.NotStarted:
                os._exit(0)
            os._exit(1)
        say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    kron.schedule("forks", forks, after=0)
    kron.start("kron")
    until(lambda: kron.status("forks")["finished"])
    say(kron.status("forks")["last_status"])
    """
    assert run(program) == ["0", "OK"]


def test_a_subprocess_inherits_no_descriptor(scheduler, tmp_path):
    def listing():
        command = ["ls", "-l", "/proc/self/fd"]
        done = subprocess.run(command, capture_output=True, text=True, close_fds=False, check=True)
        return sorted(re.findall(r"(\d+) -> (?!/proc|pipe)(.*)", done.stdout))

    before = listing()
    scheduler.start(tmp_path)
    scheduler.schedule("a", print, every="1h")
    assert any(str(tmp_path) in os.readlink(f"/proc/self/fd/{fd}") for fd in open_fds())
    assert listing() == before


# -- multiprocessing -------------------------------------------------------------------------------


def run_script(tmp_path, text):
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=90, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines(), without_door(done.stderr)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_start_at_the_import_of_a_spawned_childs_main_is_a_clear_error(tmp_path, method):
    code, said, errors = run_script(
        tmp_path,
        f"""
        import kron, multiprocessing
        def work(): print("worked", flush=True)
        kron.start("kron")
        if __name__ == "__main__":
            each = multiprocessing.get_context("{method}").Process(target=work)
            each.start()
            each.join()
            print(each.exitcode, kron.list())
        """,
    )
    assert (code, said) == (0, ["1 []"]), errors
    assert 'call under `if __name__ == "__main__":`' in errors
    assert "RuntimeError: start() was reached while a multiprocessing child imports" in errors


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_multiprocessing_child_may_start_its_own(tmp_path, method):
    code, said, errors = run_script(
        tmp_path,
        f"""
        import kron, multiprocessing, threading
        def work():
            ran = threading.Event()
            kron.start("child")
            kron.schedule("own", ran.set, after=0)
            print(ran.wait(60), kron.shutdown()["stopped"], flush=True)
        if __name__ == "__main__":
            kron.start("kron")
            each = multiprocessing.get_context("{method}").Process(target=work)
            each.start()
            each.join()
            kron.schedule("a", print, every="1h")
            print(each.exitcode, [row["id"] for row in kron.list()])
        """,
    )
    assert (code, said) == (0, ["True True", "0 ['a']"]), errors
    assert errors == ""
    assert tags(tmp_path / "child")[-1] == "SCHEDULER_STOPPED"


# -- the end of the program ------------------------------------------------------------------------


def test_a_program_that_ends_before_a_one_shot_says_which_and_when(child, tmp_path):
    program = """
    kron.start("kron")
    kron.schedule("beat", print, every="5s")
    kron.schedule("later", print, after="1h")
    kron.schedule("email_digest", print, after="9.9s")
    """
    code, output, errors = child(program).end()
    assert (code, output) == (0, "")
    assert re.sub(r"9\.[0-9] s", "N s", errors) == (
        "kron: the program ended; next run email_digest in N s; end with kron.wait() to stay\n"
    )
    assert tags(tmp_path / "kron")[-1] == "SCHEDULER_STOPPED"


@pytest.mark.parametrize(
    "program",
    [
        'kron.start("kron")',
        'kron.start("kron"); kron.schedule("beat", print, every="1h")',
        'kron.start("kron"); kron.schedule("x", print, after="1h"); kron.shutdown()',
        'kron.start("kron"); kron.schedule("x", print, after="1h"); kron.remove("x")',
        'kron.start("kron"); kron.schedule("x", lambda: None, after=0)\n'
        'until(lambda: kron.status("x")["finished"])',
    ],
    ids=["no timer", "recurring", "after shutdown", "removed", "finished"],
)
def test_a_program_that_ends_says_nothing_if_no_one_shot_is_to_come(child, tmp_path, program):
    assert child(program).end() == (0, "", "")
    assert tags(tmp_path / "kron")[-1] == "SCHEDULER_STOPPED"


def test_an_interactive_program_ends_without_a_line(child, tmp_path):
    program = 'kron.start("kron"); kron.schedule("x", print, after="1h")'
    code, _, errors = child(program, command=(sys.executable, "-i")).end()
    assert code == 0 and "kron:" not in errors
    assert tags(tmp_path / "kron")[-1] == "SCHEDULER_STOPPED"


@pytest.mark.parametrize(
    ("ending", "expected"), [("", 0), ("sys.exit(3)", 3), ("raise ValueError('mine')", 1)]
)
def test_the_end_of_the_program_waits_for_a_running_job(child, tmp_path, ending, expected):
    program = """
    started = threading.Event()
    def job():
        started.set()
        time.sleep(0.3)
        say("finished")
    async def job_too():
        await asyncio.sleep(0.3)
        say("finished")
    kron.schedule("job", job, after=0)
    kron.schedule("job_too", job_too, after=0)
    kron.start("kron")
    until(lambda: started.is_set() and kron.status("job_too")["state"] == "running")
    """
    code, output, errors = child(textwrap.dedent(program) + ending).end()
    assert (code, output) == (expected, "finished\nfinished\n")
    assert "kron:" not in errors
    assert len(events(tmp_path / "kron", "RUN_SUCCEEDED")) == 2
    assert tags(tmp_path / "kron")[-1] == "SCHEDULER_STOPPED"


def test_the_end_of_the_program_does_not_wait_for_ever_for_a_job(child, tmp_path):
    """After the 5 s it is let go; it is due again, and has not used an attempt."""
    program = """
    kron.schedule("job", lambda: (say("started"), time.sleep(3600)), after=0, max_attempts=1)
    kron.start("kron")
    sys.stdin.readline()
    """
    stuck = child(program)
    stuck.until("started")
    assert stuck.end()[0] == 0
    failed, retrying = events(tmp_path / "kron", "RUN_FAILED", "RUN_RETRYING")
    assert "shutdown" in failed and retrying[3] == 1
    assert tags(tmp_path / "kron")[-1] == "SCHEDULER_STOPPED"


WAITS = """
def job():
    say("started")
    time.sleep(0.3)
    say("finished")
kron.schedule("job", job, after=0)
kron.start("kron")
kron.wait()
say("over")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_wait_drains_at_a_signal_and_the_program_goes_on_to_its_end(child, tmp_path, number):
    waiting = child(WAITS)
    waiting.until("started")
    waiting.until_it_waits()
    waiting.send(number)
    assert waiting.end() == (0, "finished\nover\n", "")
    assert tags(tmp_path / "kron")[-2:] == ["RUN_SUCCEEDED", "SCHEDULER_STOPPED"]


def test_wait_as_process_one_drains_at_sigterm(child, tmp_path):
    """A container: the kernel gives process 1 no signal that it has no handler for."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-pf", "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us make a process namespace (unshare -pf)")
    waiting = child("say(os.getpid())" + WAITS, command=(unshare, "-pf", sys.executable))
    waiting.until("1")
    waiting.until("started")
    children = Path(f"/proc/{waiting.pid}/task/{waiting.pid}/children").read_text()
    waiting.until_it_waits(int(children))
    os.kill(int(children), signal.SIGTERM)
    assert waiting.end() == (0, "finished\nover\n", "")
    assert tags(tmp_path / "kron")[-2:] == ["RUN_SUCCEEDED", "SCHEDULER_STOPPED"]


@pytest.mark.parametrize("time", range(5))  # two signals race: the threads share their delivery
def test_a_second_signal_ends_the_wait_at_once(child, tmp_path, time):
    program = """
    kron.schedule("job", lambda: (say("started"), time.sleep(3600)), after=0)
    kron.start("kron")
    kron.wait()
    """
    waiting = child(program)
    waiting.until("started")
    waiting.until_it_waits()
    waiting.send(signal.SIGTERM, signal.SIGINT)
    assert waiting.end() == (0, "", "")
    ((_, stopped_us, _, since_us),) = events(tmp_path / "kron", "SCHEDULER_STOPPED")
    assert stopped_us - since_us < 5_000_000, "that is the time that one signal gives"


def test_a_signal_in_the_middle_of_a_signal_does_not_hang_the_wait(run):
    """The second is raised at every call that the first one's handler makes, one by one."""
    program = """
    def wait_for_signals(n):
        signal.alarm(30)  # the end of a child that hangs
        kron.start(f"kron-{n}")
        calls = 0
        def count(frame, what, _):
            nonlocal calls
            if what in ("call", "c_call"):
                calls += 1
                if calls == n:
                    signal.raise_signal(signal.SIGINT)
        def handle(number, handler):
            def profiled(*args):
                sys.setprofile(count if calls == 0 else None)
                handler(*args)
                sys.setprofile(None)
            return set_handler(number, profiled if callable(handler) else handler)
        set_handler, signal.signal = signal.signal, handle
        def interrupt():
            until(lambda: signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        threading.Thread(target=interrupt, daemon=True).start()
        kron.wait()
        return calls
    def forked(numbers):
        children = []
        for n in numbers:
            children.append(os.fork())
            if children[-1] == 0:
                calls = wait_for_signals(n)
                os._exit(0 if n else calls)
        return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    [calls] = forked([0])
    say(calls > 5)
    for first in range(1, calls + 1, 8):
        say(*set(forked(range(first, first + 8))))
    """
    said = run(program)
    assert said[0] == "True" and set(said[1:]) == {"0"}


def test_ctrl_c_ends_a_program_whose_loop_runs_an_async_callback(child, tmp_path):
    program = """
    async def job():
        say("started")
        await asyncio.sleep(3600)
    async def main():
        await kron.astart("kron")
        await kron.aschedule("job", job, after=0, max_attempts=1)
        await asyncio.sleep(3600)
    asyncio.run(main())
    """
    running = child(program)
    running.until("started")
    running.send(signal.SIGINT)
    code, _, errors = running.end()
    assert code in INTERRUPTED and errors.rstrip().endswith("KeyboardInterrupt")
    _, retrying = events(tmp_path / "kron", "RUN_FAILED", "RUN_RETRYING")
    assert retrying[3] == 1, "the interrupted attempt does not count"
    assert tags(tmp_path / "kron")[-1] == "SCHEDULER_STOPPED"


@pytest.mark.parametrize("runner", ["asyncio.run", "asyncio.new_event_loop().run_until_complete"])
def test_ctrl_c_ends_a_program_whose_async_callback_blocks_the_loop(child, tmp_path, runner):
    """It is raised in the callback; it is meant for the program."""
    program = f"""
    async def job():
        say("started")
        while True:
            time.sleep(0.1)
            say("still here")
    async def main():
        await kron.astart("kron")
        await kron.aschedule("job", job, after=0)
        await asyncio.sleep(3600)
    {runner}(main())
    """
    running = child(program)
    running.until("started")
    running.send(signal.SIGINT)
    if runner == "asyncio.run":  # it takes the first one as a wish that the loop is to carry out
        running.until("still here")
        running.send(signal.SIGINT)
    code, _, errors = running.end()
    assert code in INTERRUPTED and "KeyboardInterrupt" in errors


@pytest.mark.parametrize("how", ["thread", "loop"])
def test_sys_exit_in_a_callback_ends_the_attempt_not_the_program(run, tmp_path, how):
    program = """
    logging = __import__("logging"); logging.disable()
    async def job_too(): sys.exit(3)
    def job(): sys.exit(3)
    async def main():
        await kron.astart("kron")
        for name, fn in (("sync", job), ("async", job_too)):
            await kron.aschedule(name, fn, after=0, max_attempts=1)
            while (await kron.astatus(name))["state"] != "dead": await asyncio.sleep(0.01)
            say((await kron.astatus(name))["last_status"])
        await kron.ashutdown()
    def main_too():
        kron.start("kron")
        for name, fn in (("sync", job), ("async", job_too)):
            kron.schedule(name, fn, after=0, max_attempts=1)
            until(lambda: kron.status(name)["state"] == "dead")
            say(kron.status(name)["last_status"])
    asyncio.run(main()) if sys.argv[1] == "loop" else main_too()
    say("still here")
    """
    assert run(program, how) == ["DEAD: SystemExit: 3"] * 2 + ["still here"]


# -- a loop that is closed without a shutdown ------------------------------------------------------


async def interrupted(scheduler, place):
    """Start on the running loop, and return while a run is being carried out."""
    started = asyncio.Event()

    async def job():
        started.set()
        await asyncio.sleep(3600)

    await scheduler.astart(place)
    await scheduler.aschedule("job", job, after=0, max_attempts=2)
    await started.wait()


def run_again(scheduler, place):
    """Start anew and return the attempt that the interrupted run is now in."""
    attempts = []
    scheduler.schedule("job", lambda ctx: attempts.append(ctx["attempt"]), after=0, max_attempts=2)
    scheduler.start(place)
    until(lambda: scheduler.status("job")["finished"])
    scheduler.shutdown()
    return attempts


def test_a_program_whose_asyncio_run_returned_may_start_again(scheduler, tmp_path):
    asyncio.run(interrupted(scheduler, tmp_path))
    assert tags(tmp_path)[-1] == "SCHEDULER_STOPPED"
    assert run_again(scheduler, tmp_path) == [1], "the interruption is no failed attempt"


def test_the_lock_is_free_when_asyncio_run_has_returned(scheduler, tmp_path):
    asyncio.run(interrupted(scheduler, tmp_path))
    other = Scheduler()
    other.start(tmp_path)
    other.shutdown()


def test_a_program_whose_main_failed_under_asyncio_run_may_start_again(scheduler, tmp_path):
    async def main():
        await interrupted(scheduler, tmp_path)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(main())
    assert run_again(scheduler, tmp_path) == [1]


def test_a_program_that_closed_its_loop_by_hand_may_start_again(scheduler, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL, "asyncio")  # "Task was destroyed but it is pending!"
    loop = asyncio.new_event_loop()
    loop.run_until_complete(interrupted(scheduler, tmp_path))
    loop.close()
    with pytest.raises(KronStopped, match="its event loop was closed"):
        scheduler.pause("job")
    scheduler.start(tmp_path)
    # Nobody could say that the attempt ended: like a crash, it counts.
    until(lambda: len(events(tmp_path, "RUN_STARTED")) == 2)
    assert [event[3] for event in events(tmp_path, "RUN_STARTED")] == [1, 2]


def test_shutdown_after_a_loop_was_closed_by_hand_frees_the_lock(scheduler, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL, "asyncio")
    loop = asyncio.new_event_loop()
    loop.run_until_complete(interrupted(scheduler, tmp_path))
    loop.close()
    report = scheduler.shutdown()
    assert report["stopped"] and report["error"] == "its event loop was closed"
    other = Scheduler()
    other.start(tmp_path)
    other.shutdown()
    assert run_again(scheduler, tmp_path) == [2]


def test_a_program_that_closed_its_loop_by_hand_ends(run):
    program = """
    loop = asyncio.new_event_loop()
    loop.run_until_complete(kron.astart("kron"))
    loop.run_until_complete(kron.aschedule("a", print, every="1h"))
    loop.run_until_complete(asyncio.sleep(0.5))
    loop.close()
    say("closed")
    """
    assert run(program) == ["closed"]


def test_a_program_ends_when_ctrl_c_ends_its_loop(child):
    """The loop's last word is KeyboardInterrupt, with tasks still pending."""
    program = """
    async def main():
        await kron.astart("kron")
        await kron.aschedule("a", print, every="1h")
        say("running")
    loop = asyncio.new_event_loop()
    task = loop.create_task(main())
    try:
        loop.run_forever()
    except KeyboardInterrupt:
        loop.close()
        say("closed")
    """
    running = child(program)
    running.until("running")
    running.send(signal.SIGINT)
    code, output, _ = running.end()
    assert (code, output) == (0, "closed\n")


def test_a_program_that_only_left_its_loop_ends(run):
    program = """
    loop = asyncio.new_event_loop()
    loop.run_until_complete(kron.astart("kron"))
    loop.run_until_complete(kron.aschedule("a", print, every="1h"))
    say("left")
    """
    assert run(program) == ["left"]


# -- a process that does not get to run ------------------------------------------------------------


def test_moments_of_a_stopped_process_are_missed_because_it_was_blocked(child, tmp_path):
    program = """
    kron.schedule("beat", lambda: say("beat"), every="200ms", overlap="skip")
    kron.start("kron")
    kron.wait()
    """
    beating = child(program)
    beating.until("beat")
    beating.until_it_waits()
    beating.send(signal.SIGSTOP)
    time.sleep(2)
    beating.send(signal.SIGCONT)
    until(lambda: "RUN_MISSED" in tags(tmp_path / "kron"))
    beating.until("beat")
    beating.send(signal.SIGTERM)
    assert beating.end()[0] == 0
    found = events(tmp_path / "kron", "RUN_MISSED")
    assert {event[5] for event in found} == {"blocked"}
    assert sum(event[4] for event in found) >= 8
    ((_, _, _, _, _, first_us, _),) = events(tmp_path / "kron", "TIMER_CREATED")
    moments = [event[2] for event in events(tmp_path / "kron", "RUN_DUE")]
    moments += [event[2] for event in events(tmp_path / "kron", "RUN_SKIPPED_OVERLAP")]
    for _, _, first, last, count, *_ in found:
        moments += range(first, last + 1, 200_000)
        assert (last - first) // 200_000 + 1 == count
    assert sorted(moments) == [*range(first_us, max(moments) + 1, 200_000)]


# -- the data directory ----------------------------------------------------------------------------


def test_the_argument_comes_before_kron_home_before_dot_kron(scheduler, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def used(*arguments):
        scheduler.start(*arguments)
        scheduler.shutdown()
        found = [path.parent for path in tmp_path.rglob("kron.aof")]
        for path in found:
            shutil.rmtree(path)
        return [str(path.relative_to(tmp_path)) for path in found]

    assert used() == [".kron"]
    monkeypatch.setenv("KRON_HOME", "")
    assert used() == [".kron"]
    monkeypatch.setenv("KRON_HOME", "home/of/kron")
    assert used() == ["home/of/kron"]
    assert used("given") == ["given"]
    assert used(Path("a") / "path") == ["a/path"]


def test_a_program_may_change_its_directory_while_it_runs(scheduler, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scheduler.start("kron")
    monkeypatch.chdir("/")
    scheduler.schedule("a", print, every="1h")
    scheduler.shutdown()
    assert "TIMER_CREATED" in tags(tmp_path / "kron")


def test_an_ordinary_user_is_told_what_is_wrong_with_a_data_directory(run):
    """As nobody, if the tests run as root, to whom everything is permitted."""
    place = Path(tempfile.mkdtemp(prefix="kron-"))
    try:
        if os.geteuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        program = """
        import tempfile
        from pathlib import Path
        from kron.scheduler import Scheduler
        warm = Scheduler()  # nobody may not be able to read the interpreter's library
        with tempfile.TemporaryDirectory() as warmth:
            warm.start(warmth); warm.schedule("a", print, every="1h"); warm.shutdown()
        if os.geteuid() == 0:
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        os.chdir(sys.argv[1])
        def attempt(name):
            scheduler = Scheduler()
            try:
                scheduler.start(name)
                say(name, "started")
                scheduler.shutdown()
            except kron.StorageError as exc:
                say(type(exc).__name__, exc)
        def make(name, mode=0o700):
            Path(name).mkdir(); Path(name).chmod(mode)
        make("good"); attempt("good")
        make("unwritable", 0o500); attempt("unwritable")
        make("parent", 0o500); attempt("parent/child")
        make("open", 0o777); attempt("open")
        os.symlink("good", "link"); attempt("link")
        os.symlink("nowhere", "dangling"); attempt("dangling")
        Path("file").write_text("text"); attempt("file")
        make("linked"); os.symlink("../good/kron.aof", "linked/kron.aof"); attempt("linked")
        make("hard"); os.link("good/kron.aof", "hard/kron.aof"); attempt("hard")
        os.unlink("hard/kron.aof")
        make("secret"); Path("secret/kron.aof").touch(0); attempt("secret")
        make("locked"); os.symlink("/etc/hostname", "locked/kron.lock"); attempt("locked")
        attempt("/etc/kron-of-nobody")
        attempt("good")
        """
        said = run(program, place)
    finally:
        shutil.rmtree(place)
    for line, expected in zip(
        said,
        [
            "good started",
            "StorageError unwritable cannot be written. Run: chmod u+rwx unwritable",
            "StorageError parent/child cannot be created (Permission denied",
            "UnsafeDataDir open can be written by everybody. Run: chmod 700 open",
            "UnsafeDataDir link is a symbolic link",
            "UnsafeDataDir dangling is a symbolic link",
            "UnsafeDataDir file is not a directory",
            "UnsafeDataDir linked/kron.aof is a symbolic link",
            "UnsafeDataDir hard/kron.aof has 2 hard links",
            "StorageError ",
            "UnsafeDataDir locked/kron.lock is a symbolic link",
            "StorageError /etc/kron-of-nobody cannot be created (Permission denied",
            "good started",
        ],
        strict=True,
    ):
        assert line.startswith(expected)


def newer_file(log):
    fields = b'{"magic":"kron-log","format":2,"log_id":"%s","base":0}' % (b"a" * 32)
    log.write_bytes(encode_record(crc32(b"kron-log"), 0, fields))


def newer_record(log):
    log_id = LogReader(log.parent).log_id
    index = max(record.index for record in LogReader(log.parent)) + 1
    payload = b'[{"v":2,"t":1},["RUN_TELEPORTED","a",1]]'
    with open(log, "ab") as file:
        file.write(encode_record(seed_of(log_id), index, payload))


def rust_log(log):
    log.write_bytes(b'{"v":1,"ts":1700000000000,"ev":{"TimerCreated":{"id":"a"}}}\n')


def text_file(log):
    log.write_text("Dear diary,\n")


def rust_cluster(log):
    (log.parent / "kron.cluster.json").write_text("{}")


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (newer_file, LogTooNew, ["format 2", "formats up to 1", "nothing was changed"]),
        (newer_record, LogTooNew, ["version 2", "up to 1", "not changed"]),
        (rust_log, ForeignLog, ["Rust", "nothing was changed"]),
        (text_file, ForeignLog, ["not a Kron log", "nothing was changed"]),
        (rust_cluster, ForeignLog, ["Rust", "kron.cluster.json", "nothing was changed"]),
    ],
)
def test_a_log_that_is_not_ours_is_named_and_left_alone(scheduler, tmp_path, spoil, error, words):
    scheduler.start(tmp_path)
    scheduler.schedule("a", print, every="1h")
    scheduler.shutdown()
    spoil(tmp_path / "kron.aof")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for _ in range(5):
        with pytest.raises(error) as refused:
            scheduler.start(tmp_path)
        assert [word for word in words if word not in str(refused.value)] == []
        after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        assert {**after, "kron.lock": b""} == {**before, "kron.lock": b""}
    with pytest.raises(NotStarted):
        scheduler.pause("a")


# -- again and again -------------------------------------------------------------------------------


def open_fds():
    fds = []
    for name in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{name}"):
            fds.append(name)
    return fds


def settled(count):
    """The number once it has stopped falling: threads end a little after they were told to."""
    lowest, same = count(), 0
    while same < 40:
        time.sleep(0.005)
        now = count()
        same = same + 1 if now >= lowest else 0
        lowest = min(lowest, now)
    return lowest


def scheduler_of_two():
    async def quick():
        pass

    scheduler = Scheduler()
    scheduler.schedule("sync", lambda: None, every="1h")
    scheduler.schedule("async", quick, every="1h")
    return scheduler


def life(scheduler, place):
    scheduler.start(place)
    scheduler.trigger("sync")
    scheduler.trigger("async")
    scheduler.shutdown()


async def alife(scheduler, place):
    await scheduler.astart(place)
    await scheduler.atrigger("sync")
    await scheduler.atrigger("async")
    await scheduler.ashutdown()


@pytest.mark.parametrize("how", ["sync", "async", "one loop", "abandoned"])
def test_fifty_lives_leave_no_thread_and_no_descriptor_behind(scheduler, tmp_path, how):
    scheduler = scheduler_of_two()

    async def left_alone(scheduler, place):
        await scheduler.astart(place)
        await scheduler.atrigger("async")

    async def all_in_one_loop(times):
        for _ in range(times):
            await alife(scheduler, tmp_path)

    def live(times):
        if how == "one loop":
            asyncio.run(all_in_one_loop(times))
        for _ in range(times if how != "one loop" else 0):
            if how == "sync":
                life(scheduler, tmp_path)
            else:
                asyncio.run((alife if how == "async" else left_alone)(scheduler, tmp_path))

    live(2)
    threads, fds = settled(threading.active_count), settled(lambda: len(open_fds()))
    live(50)
    assert settled(threading.active_count) <= threads
    assert settled(lambda: len(open_fds())) <= fds
    assert tags(tmp_path).count("SCHEDULER_STOPPED") == 52
    assert tags(tmp_path).count("TIMER_CREATED") == 2


def test_start_and_reads_from_different_threads_at_the_same_moment(scheduler, tmp_path):
    scheduler.schedule("a", print, every="1h")
    for _ in range(20):
        meet = threading.Barrier(6)

        def meeting(do, meet=meet):
            meet.wait()
            try:
                return do()
            except (NotStarted, AlreadyStarted) as exc:
                return exc

        calls = [
            *[lambda: scheduler.start(tmp_path)] * 2,
            lambda: scheduler.status("a")["id"],
            lambda: [row["id"] for row in scheduler.list()],
            lambda: scheduler.history(),
            lambda: scheduler.pause("a"),
        ]
        with ThreadPoolExecutor(6) as pool:
            one, two, status, rows, history, paused = pool.map(meeting, calls)
        assert {type(one), type(two)} == {type(None), AlreadyStarted}
        assert (status, rows) == ("a", ["a"])
        assert history == [] or isinstance(history, NotStarted)
        assert paused in (True, False) or isinstance(paused, NotStarted)
        scheduler.shutdown()


def test_shutdown_and_calls_from_different_threads_at_the_same_moment(scheduler, tmp_path):
    """Each is carried out, or refused; none hangs."""
    for _ in range(20):
        scheduler.start(tmp_path)
        scheduler.schedule("a", print, every="1h")
        meet = threading.Barrier(6)

        def meeting(do, meet=meet):
            meet.wait()
            try:
                return do()
            except (NotStarted, KronStopped) as exc:
                return exc

        calls = [
            *[scheduler.shutdown] * 2,
            lambda: scheduler.trigger("a"),
            lambda: scheduler.status("a"),
            lambda: scheduler.schedule("b", print, every="1h"),
            lambda: scheduler.history(),
        ]
        with ThreadPoolExecutor(6) as pool:
            one, two, *_ = pool.map(meeting, calls)
        assert one["stopped"] and two["stopped"]


def test_a_second_start_is_refused_and_one_after_shutdown_keeps_the_registrations(
    scheduler, tmp_path
):
    scheduler.schedule("a", print, every="1h")
    scheduler.start(tmp_path / "one")
    with pytest.raises(RuntimeError, match="already started"):
        scheduler.start(tmp_path / "two")
    scheduler.shutdown()
    assert scheduler.shutdown()["stopped"]
    scheduler.start(tmp_path / "two")
    assert scheduler.status("a")["state"] == "scheduled"


def test_a_refused_start_may_be_tried_again(scheduler, tmp_path):
    life(scheduler_of_two(), tmp_path / "warm")
    fds = settled(lambda: len(open_fds()))
    holder = Scheduler()
    holder.start(tmp_path)
    for _ in range(20):
        with pytest.raises(DataDirLocked):
            scheduler.start(tmp_path)
    holder.shutdown()
    assert settled(lambda: len(open_fds())) <= fds
    scheduler.start(tmp_path)
