"""Runs that are stopped: by their timeout, a cancel, a restart or a shutdown, of every kind."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

import kron
from kron.runtime.groups import is_alive
from kron.scheduler import Scheduler
from tests.ledger import read_log
from tests.waiting import eventually
from tests.witness import KINDS, LONG_S, judged, rows, until_ended, until_idle

ROOT = Path(__file__).parents[1]
STOPPABLE = ("command", "process", "task")


def the_run(scheduler, name):
    """The oldest open run of a timer, as `status` tells of it."""
    return scheduler.status(name)["runs"][0]


def took_s(row):
    """From the start of an attempt to its end, by the log's own times."""
    ended, started = datetime.fromisoformat(row["at"]), datetime.fromisoformat(row["started_at"])
    return (ended - started).total_seconds()


# -- timeouts ------------------------------------------------------------------------------------


def test_a_command_that_takes_too_long_has_no_effect_any_more(scheduler, tmp_path):
    """Nor has what it has started."""
    began_s = time.monotonic()
    for name, text in (
        ("leader", "sleep 2; touch leader"),
        ("child", "(sleep 2; touch child) & sleep 2; touch child"),
        ("grandchild", "sh -c '(sleep 2; touch grandchild) & sleep 2' & wait; touch grandchild"),
        ("deaf", "trap '' TERM; sleep 2; touch deaf"),
    ):
        command = kron.command(text, shell=True, cwd=tmp_path, kill_after="100ms")
        scheduler.schedule(name, command, every="1h", timeout=1, max_attempts=1)
        scheduler.trigger(name)
    for name in ("leader", "child", "grandchild", "deaf"):
        assert until_ended(scheduler, name, 2) == [("FAILED", "timeout", 1), ("DEAD", "timeout", 1)]
        _, failed = scheduler.history(name)
        assert failed["error"] == "timed out after 1s"
        assert took_s(failed) >= 1.0
    time.sleep(max(0.0, began_s + 2.5 - time.monotonic()))
    assert {path.name for path in tmp_path.iterdir()} == {"kron"}


@pytest.mark.parametrize("kind", STOPPABLE)
def test_what_timed_out_is_over_before_it_is_tried_again(scheduler, witness, kind):
    fn, options = witness.waiting(kind)
    timeout = "600ms" if kind == "process" else "250ms"
    terms = {"timeout": timeout, "max_attempts": 3, "retry_delay": 0}
    scheduler.schedule("slow", fn, every="1h", **options, **terms)
    scheduler.trigger("slow")
    assert until_ended(scheduler, "slow", 4) == [
        *[("FAILED", "timeout", attempt) for attempt in (1, 2, 3)], ("DEAD", "timeout", 3),
    ]  # fmt: skip
    assert len({row["run_id"] for row in scheduler.history("slow")}) == 1
    assert witness.began() and witness.lines("together", "end") == []


def test_a_thread_that_takes_too_long_has_failed_and_keeps_its_place(witness, place):
    """Nothing can stop a thread: the retry waits for it, and so does everybody else."""
    scheduler = Scheduler(max_concurrency=2)
    scheduler.start(place)
    try:
        terms = {"timeout": "200ms", "retry_delay": 0, "max_attempts": 2, "key": "db"}
        scheduler.schedule(
            "slow", "tests.witness:wait", args=[str(witness.place)], every="1h", **terms
        )
        scheduler.schedule("heavy", print, every="1h", weight=2)
        scheduler.schedule("same-key", print, every="1h", key="db")
        run_id = scheduler.trigger("slow")
        assert until_ended(scheduler, "slow") == [("FAILED", "timeout", 1)]
        (failed,) = scheduler.history("slow")
        assert failed["error"] == "timed out after 200ms"
        run = the_run(scheduler, "slow")
        assert (run["run_id"], run["state"], run["attempt"]) == (run_id, "retrying", 2)
        assert run["waiting_for"].startswith("thread: ")
        scheduler.trigger("heavy")
        scheduler.trigger("same-key")
        assert the_run(scheduler, "heavy")["waiting_for"].startswith("capacity: 1 of 2")
        assert the_run(scheduler, "same-key")["waiting_for"] == "key: db is taken"
        later = scheduler.trigger("slow")
        assert [run["run_id"] for run in scheduler.status("slow")["runs"]] == [run_id, later]
        assert len(witness.began()) == 1
        witness.open()
        eventually(lambda: scheduler.status("slow")["succeeded"] == 2, LONG_S)
        for name in ("heavy", "same-key"):
            eventually(lambda name=name: scheduler.status(name)["succeeded"] == 1, LONG_S)
        assert [(line.run_id, line.attempt) for line in witness.began()] == [
            (run_id, 1), (run_id, 2), (later, 1),
        ]  # fmt: skip
        assert witness.lines("together") == []
    finally:
        witness.open()
        scheduler.shutdown(1)


@pytest.mark.parametrize("overlap", ["skip", "restart"])
def test_a_thread_that_goes_on_is_in_the_way_of_later_moments(scheduler, witness, overlap):
    scheduler.schedule(
        "slow", "tests.witness:wait", args=[str(witness.place)], every="150ms",
        timeout="50ms", max_attempts=1, overlap=overlap,
    )  # fmt: skip
    until_ended(scheduler, "slow", 2)
    assert rows(scheduler, "slow")[:2] == [("FAILED", "timeout", 1), ("DEAD", "timeout", 1)]
    if overlap == "skip":
        eventually(lambda: scheduler.status("slow")["skipped"] >= 2, LONG_S)
    else:
        eventually(lambda: len(scheduler.history("slow")) >= 4, LONG_S)
        assert {row[0] for row in rows(scheduler, "slow")[2:]} == {"CANCELLED"}
    assert len(witness.began()) == 1
    witness.open()
    eventually(lambda: any(row[0] == "OK" for row in rows(scheduler, "slow")), LONG_S)
    assert witness.lines("together") == []
    scheduler.remove("slow")


def test_a_task_that_will_not_be_cancelled_keeps_its_place_until_it_ends(scheduler, witness):
    let_go, attempts, swallowed = threading.Event(), [], threading.Event()

    async def stubborn(context):
        attempts.append(context["attempt"])
        while not let_go.is_set():
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                swallowed.set()

    scheduler.schedule("deaf", stubborn, every="1h", timeout="100ms", retry_delay=0, max_attempts=2)
    scheduler.trigger("deaf")
    assert swallowed.wait(LONG_S)
    assert the_run(scheduler, "deaf")["state"] == "stopping"
    assert rows(scheduler, "deaf") == [] and attempts == [1]
    let_go.set()
    assert until_ended(scheduler, "deaf", 2) == [("FAILED", "timeout", 1), ("OK", None, 2)]


def test_what_is_done_in_time_is_left_alone(scheduler):
    async def quick():
        await asyncio.sleep(0)

    kinds = {
        "task": quick, "thread": time.monotonic, "process": "platform:node",
        "command": kron.command(["true"]),
    }  # fmt: skip
    for kind, fn in kinds.items():
        executor = "process" if kind == "process" else None
        scheduler.schedule(kind, fn, every="1h", timeout="30s", executor=executor)
        scheduler.trigger(kind)
    for kind in kinds:
        assert until_ended(scheduler, kind) == [("OK", None, 1)]


def test_a_timeout_fires_while_the_scheduler_drains(witness, place):
    scheduler = Scheduler()
    scheduler.start(place)
    fn, _ = witness.waiting("command")
    scheduler.schedule("slow", fn, every="1h", timeout="300ms", max_attempts=1)
    scheduler.trigger("slow")
    witness.until_began("slow")
    report = scheduler.shutdown(LONG_S)
    assert (len(report["finished"]), report["interrupted"]) == (1, [])
    assert not is_alive(witness.began()[0].pid)
    assert [event[0] for record in read_log(place) for event in record[1:]][-4:] == [
        "RUN_STOPPING", "RUN_FAILED", "RUN_DEAD", "SCHEDULER_STOPPED",
    ]  # fmt: skip


# -- cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["run id", "name"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_cancelled_and_the_timer_stays(scheduler, witness, kind, by):
    fn, options = witness.waiting(kind)
    scheduler.schedule("t", fn, every="1h", **options)
    run_id = scheduler.trigger("t")
    line = witness.until_began("t")
    assert scheduler.cancel(run_id if by == "run id" else "t") == 1
    assert scheduler.cancel("t") in (0, 1), "it may be about to end"
    if kind == "thread":
        assert the_run(scheduler, "t")["state"] == "stopping"
        witness.open()
        assert until_ended(scheduler, "t") == [("OK", None, 1)], "it was done after all"
    else:
        assert until_ended(scheduler, "t") == [("CANCELLED", "cancel", 1)]
        assert len(witness.lines("stopped")) == 1
        assert kind == "task" or not is_alive(line.pid)
        witness.open()
    status = scheduler.status("t")
    assert status["open_runs"] == [] and status["next_run_at"] is not None
    assert scheduler.cancel("t") == 0
    scheduler.trigger("t")
    eventually(lambda: rows(scheduler, "t")[1:] == [("OK", None, 1)], LONG_S)


def test_a_cancel_takes_all_open_runs_of_a_timer(scheduler, witness):
    fn, options = witness.waiting("task")
    scheduler.schedule("t", fn, every="1h", **options)
    ids = [scheduler.trigger("t") for _ in range(3)]
    witness.until_began("t")
    assert scheduler.cancel(ids[1]) == 1
    assert rows(scheduler, "t") == [("CANCELLED", "cancel", None)] or rows(scheduler, "t") == [
        ("CANCELLED", "cancel", 1)
    ]
    assert scheduler.cancel("t") == 2
    until_ended(scheduler, "t", 3)
    assert {row[0] for row in rows(scheduler, "t")} == {"CANCELLED"}
    assert len(witness.began()) == 1


def test_what_was_never_begun_leaves_no_process(scheduler, witness):
    """The cancel may come before, while or after the process is started."""
    fn, _ = witness.waiting("command")
    scheduler.schedule("t", fn, every="1h", overlap="allow", key="own", key_limit=100)
    for number in range(30):
        run_id = scheduler.trigger("t")
        if number % 3:
            time.sleep(number / 10_000)
        assert scheduler.cancel(run_id) == 1
    until_ended(scheduler, "t", 30)
    assert {row[0] for row in rows(scheduler, "t")} == {"CANCELLED"}
    assert not any(is_alive(line.pid) for line in witness.began())


def test_a_waiting_retry_is_cancelled_at_once(scheduler):
    scheduler.schedule("t", kron.command(["false"]), every="1h", retry_delay="1h")
    run_id = scheduler.trigger("t")
    until_ended(scheduler, "t")
    assert scheduler.cancel(run_id) == 1
    assert rows(scheduler, "t")[-1][:2] == ("CANCELLED", "cancel")
    assert scheduler.status("t")["open_runs"] == []


def test_a_run_may_cancel_itself(scheduler):
    async def gives_up():
        await scheduler.acancel("task")
        await asyncio.sleep(LONG_S)

    def goes_on():
        scheduler.cancel(kron.current_run()["run_id"])

    scheduler.schedule("task", gives_up, every="1h")
    scheduler.schedule("thread", goes_on, every="1h")
    scheduler.trigger("task")
    scheduler.trigger("thread")
    assert until_ended(scheduler, "task") == [("CANCELLED", "cancel", 1)]
    assert until_ended(scheduler, "thread") == [("OK", None, 1)]


def test_a_cancel_takes_the_place_of_a_timeout(scheduler, tmp_path):
    """Stopped for good while it takes its time to end: there is no retry."""
    text = "trap 'touch termed' TERM; touch begun; while :; do sleep 0.02; done"
    command = kron.command(text, shell=True, cwd=tmp_path, kill_after="700ms")
    scheduler.schedule("t", command, every="1h", timeout="200ms", retry_delay=0)
    scheduler.trigger("t")
    eventually((tmp_path / "termed").exists, LONG_S)
    assert scheduler.cancel("t") == 1
    assert until_ended(scheduler, "t") == [("CANCELLED", "cancel", 1)]
    assert scheduler.status("t")["open_runs"] == []


@pytest.mark.parametrize("name", ["nothing", "run_00000000000000000000000000", ""])
def test_there_must_be_something_to_cancel(scheduler, name):
    with pytest.raises(kron.UnknownTimer):
        scheduler.cancel(name)


def test_a_run_that_has_ended_cannot_be_cancelled(scheduler):
    scheduler.schedule("t", time.monotonic, every="1h")
    run_id = scheduler.trigger("t")
    until_ended(scheduler, "t")
    assert scheduler.cancel(run_id) == 0
    with pytest.raises(TypeError, match=r"cancel\(\) takes a timer's name or a run id"):
        scheduler.cancel(7)


# -- restart -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STOPPABLE)
def test_a_restart_begins_when_the_old_one_is_gone(scheduler, witness, kind):
    fn, options = witness.waiting(kind)
    scheduler.schedule("t", fn, every="1h", overlap="restart", **options)
    for count in range(1, 5):
        scheduler.trigger("t")
        witness.until_began("t", count)
    witness.open()
    assert until_ended(scheduler, "t", 4) == [*[("CANCELLED", "restart", 1)] * 3, ("OK", None, 1)]
    assert witness.lines("together") == []
    words = [line.word for line in witness.lines()]
    assert words == ["begin", "stopped"] * 3 + ["begin", "end"]


def test_the_next_moment_restarts_a_command(scheduler, witness):
    fn, _ = witness.waiting("command")
    scheduler.schedule("t", fn, every="400ms", overlap="restart")
    witness.until_began("t", 3)
    scheduler.pause("t")
    witness.open()
    until_idle(scheduler)
    ended = rows(scheduler, "t")
    assert ended[0] == ("CANCELLED", "restart", 1) and ended[-1][0] in ("OK", "MISSED")
    assert witness.lines("together") == []


def test_a_whole_tree_of_processes_is_gone_before_the_new_one_begins(scheduler, witness):
    """The lock is held by the children too; they do not listen to TERM."""
    body = "(trap '' TERM; while :; do sleep 0.02; done) & (trap '' TERM; sleep 60) & wait"
    command = witness.command(body, kill_after="150ms")
    scheduler.schedule("t", command, every="1h", overlap="restart")
    for count in range(1, 4):
        scheduler.trigger("t")
        witness.until_began("t", count)
    scheduler.cancel("t")
    until_ended(scheduler, "t", 3)
    assert witness.lines("together") == []
    assert not any(is_alive(line.pid) for line in witness.began())


def test_a_thread_is_waited_for_by_the_one_that_replaces_it(scheduler, witness):
    fn, options = witness.waiting("thread")
    scheduler.schedule("t", fn, every="1h", overlap="restart", **options)
    first = scheduler.trigger("t")
    witness.until_began("t")
    second, third = scheduler.trigger("t"), scheduler.trigger("t")
    states = {run["run_id"]: run["state"] for run in scheduler.status("t")["runs"]}
    assert states == {first: "stopping", third: "due"}
    assert the_run(scheduler, "t")["waiting_for"] is None
    assert scheduler.status("t")["runs"][1]["waiting_for"].startswith("turn: ")
    witness.open()
    until_idle(scheduler)
    assert [line.run_id for line in witness.began()] == [first, third]
    (replaced,) = [row for row in scheduler.history("t") if row["run_id"] == second]
    assert (replaced["status"], replaced["reason"]) == ("CANCELLED", "restart")
    assert witness.lines("together") == []


# -- shutdown ------------------------------------------------------------------------------------


def test_a_shutdown_ends_commands_which_are_due_again(witness, place):
    scheduler = Scheduler()
    command, _ = witness.waiting("command")
    fn, options = witness.waiting("process")
    other = kron.command("trap '' TERM; sleep 60 & wait; sleep 60", shell=True, kill_after="60s")
    scheduler.schedule("command", command, every="1h", key="own")
    scheduler.schedule("process", fn, every="1h", **options)
    scheduler.schedule("deaf", other, every="1h")
    scheduler.start(place)
    names = ("command", "process", "deaf")
    ids = {name: scheduler.trigger(name) for name in names}
    witness.until_began("command")
    witness.until_began("process")
    report = scheduler.shutdown(0.1)
    assert report["stopped"] and report["abandoned"] == []
    assert sorted(report["interrupted"]) == sorted(ids.values())
    assert children() == []
    assert not any(is_alive(line.pid) for line in witness.began())
    assert list((place / "output").glob("*.pid")) == []
    witness.open()
    scheduler.schedule("deaf", kron.command(["true"]), every="1h")
    scheduler.start(place)
    try:
        for name in names:
            eventually(lambda name=name: scheduler.status(name)["succeeded"] == 1, LONG_S)
            first, last = reversed(scheduler.history(name))
            assert (first["status"], first["reason"]) == ("FAILED", "shutdown")
            assert first["run_id"] == last["run_id"] == ids[name]
            assert first["attempt"] == last["attempt"] == 1, "it was not counted"
    finally:
        scheduler.shutdown(1)
    assert judged(place) == []


def test_a_shutdown_waits_for_commands_that_end_by_themselves(witness, place):
    scheduler = Scheduler()
    scheduler.start(place)
    fn, _ = witness.waiting("command")
    scheduler.schedule("t", fn, every="1h")
    run_id = scheduler.trigger("t")
    witness.until_began("t")
    threading.Timer(0.2, witness.open).start()
    report = scheduler.shutdown(LONG_S)
    assert (report["finished"], report["interrupted"]) == ([run_id], [])
    assert [line.word for line in witness.lines()] == ["begin", "end"]


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_a_callback_may_shut_down_while_commands_run(witness, place, kind):
    scheduler, reports = Scheduler(), []
    scheduler.start(place)

    def stop():
        reports.append(scheduler.shutdown(0.2))

    async def astop():
        reports.append(await scheduler.ashutdown(0.2))

    fn, _ = witness.waiting("command")
    scheduler.schedule("command", fn, every="1h")
    scheduler.schedule("stop", stop if kind == "thread" else astop, every="1h")
    scheduler.trigger("command")
    line = witness.until_began("command")
    stops = scheduler.trigger("stop")
    eventually(lambda: reports, LONG_S)
    assert stops in reports[0]["pending"] and not reports[0]["stopped"]
    eventually(lambda: not is_alive(line.pid), LONG_S)
    scheduler.shutdown(LONG_S)
    with pytest.raises(kron.NotStarted):
        scheduler.history()
    events = [event for record in read_log(place) for event in record[1:]]
    assert events[-1][0] == "SCHEDULER_STOPPED"
    assert [event[0] for event in events if event[1] == "command"][-3:] == [
        "RUN_STOPPING", "RUN_FAILED", "RUN_RETRYING",
    ]  # fmt: skip


def test_a_shutdown_waits_for_a_thread_that_timed_out_too(witness, place):
    """Else a start in the same process would run it beside its former self."""
    scheduler = Scheduler()
    fn, options = witness.waiting("thread")
    scheduler.schedule("t", fn, every="1h", timeout="50ms", retry_delay=0, **options)
    scheduler.start(place)
    run_id = scheduler.trigger("t")
    assert until_ended(scheduler, "t") == [("FAILED", "timeout", 1)]
    report = scheduler.shutdown(0.05)
    assert (report["abandoned"], report["interrupted"]) == ([run_id], []), "it is told of"
    witness.open()
    eventually(lambda: witness.lines("end"), LONG_S)
    witness.close()
    scheduler.start(place)
    witness.until_began("t", 2)
    until_ended(scheduler, "t", 2)
    threading.Timer(0.1, witness.open).start()
    assert scheduler.shutdown(LONG_S)["finished"] == [run_id]
    assert [line.word for line in witness.lines()] == ["begin", "end"] * 2
    scheduler.start(place)
    try:
        eventually(lambda: scheduler.status("t")["succeeded"] == 1, LONG_S)
    finally:
        scheduler.shutdown(1)
    assert judged(place) == []


def test_one_that_timed_out_may_shut_down_itself(place):
    """It waits for itself no more than any other callback that does."""
    scheduler, reports, let_go = Scheduler(), [], threading.Event()

    def stop():
        let_go.wait(LONG_S)
        reports.append(scheduler.shutdown(LONG_S))

    scheduler.start(place)
    scheduler.schedule("t", stop, every="1h", timeout="50ms", max_attempts=1)
    run_id = scheduler.trigger("t")
    until_ended(scheduler, "t", 2)
    let_go.set()
    eventually(lambda: reports, LONG_S)
    assert (reports[0]["pending"], reports[0]["stopped"]) == ([run_id], False)
    scheduler.shutdown(LONG_S)


PROGRAM = """
import sys
import kron
from pathlib import Path
from tests.witness import Witness

place = Path(sys.argv[1])
for kind in ("command", "process"):
    fn, options = Witness(place).waiting(kind)
    kron.schedule(kind, fn, every="1h", **options)
kron.start(place / "kron")
kron.trigger("command")
kron.trigger("process")
print("up", flush=True)
kron.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_is_told_to_stop_takes_its_commands_along(witness, place, number):
    """At the first signal they have their time, at the second it is over."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(witness.place)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as program:  # fmt: skip
        try:
            assert program.stdout.readline() == "up\n"
            lines = [witness.until_began(kind) for kind in ("command", "process")]
            while program.poll() is None:  # when it hears them is its own affair
                program.send_signal(number)
                time.sleep(0.05)
        finally:
            program.kill()
    assert not any(is_alive(line.pid) for line in lines)
    assert len(witness.lines("stopped")) == 2, "they could clean up"
    events = [event for record in read_log(place) for event in record[1:]]
    assert sum(event[0] == "RUN_STOPPING" for event in events) == 2
    assert events[-1][0] == "SCHEDULER_STOPPED"
    assert judged(place) == []


def test_commands_end_with_the_loop_that_they_were_started_from(witness, place):
    """`asyncio.run` cancels whatever its program has left; a command is no less left."""
    scheduler = Scheduler()
    fn, _ = witness.waiting("command")

    async def program():
        await scheduler.astart(place)
        await scheduler.aschedule("t", fn, every="1h")
        await scheduler.atrigger("t")
        while not witness.began():
            await asyncio.sleep(0.01)

    asyncio.run(program())
    assert [line.word for line in witness.lines()] == ["begin", "stopped"]
    assert not is_alive(witness.began()[0].pid)
    assert judged(place) == []


def test_commands_of_a_loop_that_was_closed_by_hand_end_at_the_next_start(witness, place):
    scheduler = Scheduler()
    fn, _ = witness.waiting("command")

    async def program():
        await scheduler.astart(place)
        await scheduler.aschedule("t", fn, every="1h", retry_delay=0)
        await scheduler.atrigger("t")
        while not witness.began():
            await asyncio.sleep(0.01)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(program())
    loop.close()
    first = witness.began()[0]
    assert is_alive(first.pid)
    scheduler.start(place)
    second = witness.until_began("t", 2)
    assert not is_alive(first.pid) and witness.lines("together") == []
    assert (second.run_id, second.attempt) == (first.run_id, 2)
    witness.open()
    until_idle(scheduler)
    scheduler.shutdown(1)
    assert judged(place) == []


def children():
    """The processes that this one has started and not reaped."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                found.append(int(entry))
    return found
