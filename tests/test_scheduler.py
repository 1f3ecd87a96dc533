"""The Python surface: every verb, its async twin, and what it says to wrong input."""

import asyncio
import enum
import functools
import gc
import inspect
import logging
import os
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

import kron
from kron.core.definition import SELECTORS
from kron.core.terms import READ, ScheduleOptions
from kron.opening import StartOptions
from kron.runtime.hook_set import HookSet
from kron.scheduler import Scheduler
from tests.waiting import eventually

VERBS = (
    "schedule start shutdown status list history why trigger cancel remove pause resume backfill"
).split()


def soon(milliseconds):
    return datetime.now(UTC) + timedelta(milliseconds=milliseconds)


@pytest.fixture
def scheduler(tmp_path):
    scheduler = Scheduler()
    scheduler.data_dir = tmp_path / ".kron"
    yield scheduler
    scheduler.shutdown(0.2)


@pytest.fixture
def started(scheduler):
    scheduler.start(scheduler.data_dir)
    return scheduler


def statuses(scheduler, name):
    return [row["status"] for row in scheduler.history(name)]


# -- the surface as a whole --------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_async_twin_with_the_same_signature(verb):
    plain, twin = getattr(Scheduler, verb), getattr(Scheduler, "a" + verb)
    assert inspect.iscoroutinefunction(twin)
    assert not inspect.iscoroutinefunction(plain)
    assert inspect.signature(plain).parameters == inspect.signature(twin).parameters
    assert (twin.__doc__ or "").startswith("As `")


def test_what_subscribe_returns_is_iterated_either_way_so_it_has_no_twin():
    assert not hasattr(Scheduler, "asubscribe")
    assert kron.subscribe == kron.scheduler.default.subscribe
    returned = inspect.signature(Scheduler.subscribe, eval_str=True).return_annotation
    assert {"__iter__", "__next__", "__aiter__", "__anext__"} <= set(dir(returned))


def test_wait_has_an_async_twin_whose_name_is_no_keyword():
    assert inspect.signature(Scheduler.wait) == inspect.signature(Scheduler.await_)


def test_the_package_has_the_verbs_of_one_default_scheduler():
    from kron.scheduler import default

    for verb in VERBS:
        assert getattr(kron, verb) == getattr(default, verb)
        assert getattr(kron, "a" + verb) == getattr(default, "a" + verb)
    assert set(kron.__all__) <= set(dir(kron))
    with pytest.raises(AttributeError):
        kron.nothing_of_that_name  # noqa: B018


def test_every_keyword_of_schedule_is_read():
    hooks = HookSet._fields
    assert set(ScheduleOptions.__annotations__) == {*SELECTORS, "timezone", *READ, *hooks}


def test_every_keyword_of_start_stands_in_its_docstring():
    for keyword in StartOptions.__annotations__:
        assert f"{keyword}=" in Scheduler.start.__doc__ or f"`{keyword}`" in Scheduler.start.__doc__


# -- how much runs at once -----------------------------------------------------------------------


def test_a_weight_above_what_may_run_at_once_is_refused_when_that_is_known(scheduler):
    limited = Scheduler(max_concurrency=4)
    with pytest.raises(
        kron.ScheduleError, match=r"weight=8 of 'report' is above max_concurrency=4"
    ):
        limited.schedule("report", print, every="1h", weight=8)
    assert limited.list() == []
    scheduler.schedule("report", print, every="1h", weight=8)
    with pytest.raises(
        kron.ScheduleError, match=r"weight=8 of 'report' is above max_concurrency=4"
    ):
        scheduler.start(scheduler.data_dir, max_concurrency=4)
    assert not scheduler.data_dir.exists()
    scheduler.start(scheduler.data_dir, max_concurrency=8)
    with pytest.raises(kron.ScheduleError, match=r"weight=9 of 'other' is above max_concurrency=8"):
        scheduler.schedule("other", print, every="1h", weight=9)
    assert [timer["id"] for timer in scheduler.list()] == ["report"]


def test_what_a_start_says_stands_in_for_what_the_scheduler_was_made_with(tmp_path):
    running, most, let_go = set(), [0], threading.Event()

    def heavy(context):
        running.add(context["run_id"])
        most[0] = max(most[0], len(running))
        let_go.wait(10)
        running.discard(context["run_id"])

    scheduler = Scheduler(max_concurrency=1)
    for number in range(4):
        scheduler.schedule(f"t{number}", heavy, every="1h")
    scheduler.start(tmp_path / "d", max_concurrency=2)
    try:
        for number in range(4):
            scheduler.trigger(f"t{number}")
        eventually(lambda: len(running) == 2)
        (waiting,) = scheduler.status("t3")["runs"]
        assert waiting["waiting_for"].startswith("capacity: 2 of 2")
        let_go.set()
        eventually(lambda: all(timer["succeeded"] == 1 for timer in scheduler.list()))
        assert most == [2]
    finally:
        let_go.set()
        scheduler.shutdown(1)


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "4"])
def test_max_concurrency_is_a_number_from_one_on(scheduler, limit):
    with pytest.raises(kron.ScheduleError, match=r"max_concurrency=.* from 1 on"):
        Scheduler(max_concurrency=limit)
    with pytest.raises(kron.ScheduleError, match=r"max_concurrency=.* from 1 on"):
        scheduler.start(scheduler.data_dir, max_concurrency=limit)


def test_an_unknown_keyword_of_start_opens_nothing(scheduler):
    with pytest.raises(TypeError, match=r"start\(\) has no keyword 'fsynk'. Did you mean fsync\?"):
        scheduler.start(scheduler.data_dir, fsynk="never")
    with pytest.raises(kron.ScheduleError, match="keep_output='long' is not a duration"):
        scheduler.start(scheduler.data_dir, keep_output="long")
    assert not scheduler.data_dir.exists()


# -- registering -------------------------------------------------------------------------------


def test_a_method_needs_its_object(scheduler):
    class Office:
        def close(self):
            pass

    with pytest.raises(TypeError, match=r"Office.close is a method, and there is no object"):
        scheduler.schedule("close", Office.close, every="1h")
    with pytest.raises(TypeError, match="schedule that of an object"):
        scheduler.schedule("close", every="1h")(Office.close)
    scheduler.schedule("close", Office().close, every="1h")


async def test_what_a_call_returned_is_no_function(scheduler):
    with pytest.raises(TypeError, match="fn must be callable, not NoneType"):
        scheduler.schedule("typo", print(), every="1h")
    with pytest.raises(TypeError, match="fn must be callable, not NoneType"):
        await scheduler.aschedule("typo", None, every="1h")
    with pytest.raises(TypeError, match="aschedule\\(\\) needs fn"):
        await scheduler.aschedule("typo", every="1h")


def test_a_one_shot_that_has_ended_needs_no_callable(tmp_path):
    def bad():
        raise ValueError

    scheduler = Scheduler()
    for _ in range(2):
        if not scheduler.list():
            scheduler.schedule("bad", bad, after=0, max_attempts=1)
            scheduler.schedule("fine", print, after=0)
        scheduler.start(tmp_path / "d")
        eventually(lambda: all(timer["finished"] for timer in scheduler.list()))
        assert {timer["id"]: timer["state"] for timer in scheduler.list()} == {
            "bad": "dead",
            "fine": "scheduled",
        }
        assert [timer["id"] for timer in scheduler.list(state="dead")] == ["bad"]
        assert scheduler.list(state="orphaned") == []
        scheduler.shutdown()


def test_before_start_timers_wait_in_memory(scheduler):
    scheduler.schedule("backup", print, every="1h")
    status = scheduler.status("backup")
    assert (status["state"], status["next_run_at"]) == ("scheduled", None)
    assert [timer["id"] for timer in scheduler.list()] == ["backup"]
    assert scheduler.status("nothing") is None


def test_start_makes_registrations_durable_and_gives_them_a_next_run(scheduler):
    scheduler.schedule("backup", print, every="1h", metadata={"team": "ops"}, description="nightly")
    scheduler.start(scheduler.data_dir)
    status = scheduler.status("backup")
    assert status["next_run_at"].endswith("+00:00")
    assert status["fn_name"] == "print"
    assert (status["metadata"], status["description"]) == ({"team": "ops"}, "nightly")
    assert b"TIMER_CREATED" in (scheduler.data_dir / "kron.aof").read_bytes()


def test_the_decorator_returns_the_function_unchanged(started):
    @started.schedule("beat", every="1h")
    def beat():
        return 7

    assert beat() == 7
    assert started.status("beat")["fn_name"].endswith("beat")


def test_a_function_may_be_named_and_a_command_given(started):
    started.schedule("named", "platform:node", every="1h")
    assert started.status("named")["fn_name"] == "node"
    started.trigger("named")
    started.schedule("command", kron.command(["true"]), every="1h")
    started.trigger("command")
    for name in ("named", "command"):
        eventually(lambda name=name: statuses(started, name) == ["OK"])
    assert started.status("command")["command"] == "true"
    with pytest.raises(kron.ScheduleError, match="cannot be imported"):
        started.schedule("lost", "no_such_module:f", every="1h")
    assert started.status("lost") is None


def test_the_same_definition_again_changes_nothing(started):
    for _ in range(3):
        started.schedule("beat", print, every="60s", metadata={"a": [1, {"b": None}]})
        started.schedule("beat", len, every=60, metadata={"a": [1, {"b": None}]}, args=())
    content = (started.data_dir / "kron.aof").read_bytes()
    assert content.count(b"TIMER_CREATED") == 1
    assert content.count(b"TIMER_UPDATED") == 0
    assert started.status("beat")["fn_name"] == "len"


def test_another_definition_is_an_update(started):
    started.schedule("beat", print, every="60s")
    before = started.status("beat")["next_run_at"]
    started.schedule("beat", print, every="60s", max_attempts=5)
    assert started.status("beat")["next_run_at"] == before
    started.schedule("beat", print, every="2h")
    assert started.status("beat")["next_run_at"] > before
    assert (started.data_dir / "kron.aof").read_bytes().count(b"TIMER_UPDATED") == 2


def test_registering_again_over_restarts_moves_no_anchor_and_rearms_no_one_shot(scheduler):
    ran = []
    for _ in range(3):
        scheduler.schedule("hourly", print, every="1h")
        scheduler.schedule("once", ran.append, args=["once"], after="20ms")
        scheduler.start(scheduler.data_dir)
        eventually(lambda: scheduler.status("once")["finished"])
        anchors = {scheduler.status("hourly")["next_run_at"]}
        assert scheduler.shutdown()["stopped"]
        anchors.add(scheduler.status("hourly")["next_run_at"] or anchors.copy().pop())
    assert ran == ["once"]


def test_a_one_shot_that_ended_here_is_not_handed_to_the_next_start(scheduler, tmp_path):
    ran = []
    scheduler.schedule("once", lambda: ran.append(1), after=0)
    scheduler.start(scheduler.data_dir)
    eventually(lambda: ran and scheduler.status("once")["finished"])
    scheduler.shutdown()
    scheduler.start(tmp_path / "other")
    assert scheduler.status("once") is None


def test_a_timer_due_before_a_slow_start_still_fires_once(scheduler):
    ran = []
    scheduler.schedule("once", lambda: ran.append(1), at=soon(100))
    time.sleep(0.2)
    scheduler.start(scheduler.data_dir)
    eventually(lambda: statuses(scheduler, "once") == ["OK"])
    assert ran == [1]


def test_an_at_long_past_never_runs_and_is_said(started, caplog):
    with caplog.at_level(logging.WARNING, "kron"):
        started.schedule("late", print, at="2020-01-01T00:00:00Z")
    assert "late" in caplog.text
    status = started.status("late")
    assert (status["finished"], status["last_status"]) == (True, "MISSED: past")
    assert started.history("late")[0]["reason"] == "past"


def test_remove_forgets_the_timer(started):
    started.schedule("beat", print, every="1h")
    started.remove("beat")
    assert started.status("beat") is None
    with pytest.raises(kron.UnknownTimer, match="beat"):
        started.remove("beat")


def test_a_callback_may_remove_its_own_timer(started):
    ran = []

    def last_time():
        ran.append(1)
        started.remove("beat")

    started.schedule("beat", last_time, every="20ms")
    eventually(lambda: ran and started.status("beat") is None)
    eventually(lambda: [row["status"] for row in started.history()] == ["OK"])


# -- running -----------------------------------------------------------------------------------


class Callable:
    def __init__(self, seen):
        self.seen = seen

    def __call__(self, context):
        self.seen.append(context["timer_id"])

    def method(self, context):
        self.seen.append(context["timer_id"])

    async def async_method(self):
        self.seen.append(kron.current_run()["timer_id"])


def test_all_kinds_of_callables_are_called(started):
    seen = []
    thing = Callable(seen)

    async def coroutine_function(context):
        await asyncio.sleep(0)
        seen.append(context["timer_id"])

    async def record(name):
        seen.append(name)

    kinds = {
        "object": thing,
        "method": thing.method,
        "async_method": thing.async_method,
        "coroutine": coroutine_function,
        "partial": functools.partial(seen.append, "partial"),
        "async_partial": functools.partial(record, "async_partial"),
        "lambda": lambda ctx: seen.append(ctx["timer_id"]),
        "lambda_of_coroutine": lambda: record("lambda_of_coroutine"),
        "default": lambda x="default": seen.append(x),
    }
    for name, fn in kinds.items():
        started.schedule(name, fn, after=0)
    eventually(lambda: sorted(seen) == sorted(kinds))
    for name in kinds:
        eventually(lambda name=name: statuses(started, name) == ["OK"])


def test_arguments_follow_the_context(started):
    seen = []
    started.schedule(
        "a", lambda ctx, x, *, y: seen.append((x, y)), after=0, args=[1], kwargs={"y": 2}
    )
    started.schedule("b", lambda x, y: seen.append((x, y)), after=0, args=[3, 4])
    eventually(lambda: sorted(seen) == [(1, 2), (3, 4)])


def test_the_context_tells_of_the_run(started):
    seen = []
    started.schedule("job", seen.append, after=0, metadata={"tenant": "acme"})
    context = eventually(lambda: seen and seen[0])
    assert context["timer_id"] == "job"
    assert context["run_id"].startswith("run_") and len(context["run_id"]) == 30
    assert (context["attempt"], context["max_attempts"], context["missed"]) == (1, 3, 0)
    assert context["idempotency_key"] == f"job:{context['scheduled_at']}"
    assert context["metadata"] == {"tenant": "acme"}
    row = eventually(lambda: started.history("job"))[0]
    assert (row["run_id"], row["scheduled_at"]) == (context["run_id"], context["scheduled_at"])
    assert kron.current_run() is None


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def exits():
    raise SystemExit(3)


def interrupts():
    raise KeyboardInterrupt


def unprintable():
    raise Unprintable


def enormous():
    raise ValueError("x" * 100_000_000)


def surrogate():
    raise ValueError("\ud800 half")


def group():
    raise BaseExceptionGroup("several", [ValueError(1), KeyboardInterrupt()])


async def awaits_cancelled():
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def async_exit():
    raise SystemExit(4)


@pytest.mark.parametrize(
    ("fn", "text"),
    [
        (exits, "SystemExit: 3"),
        (interrupts, "KeyboardInterrupt"),
        (unprintable, "Unprintable: <str() of the exception raised RuntimeError>"),
        (enormous, "ValueError: xxx"),
        (surrogate, "ValueError: \\ud800 half"),
        (group, "BaseExceptionGroup: several"),
        (awaits_cancelled, "CancelledError"),
        (async_exit, "SystemExit: 4"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_whatever_a_callback_raises_is_a_recorded_failure(started, fn, text, caplog):
    started.schedule("bad", fn, after=0, max_attempts=1)
    status = eventually(lambda: (s := started.status("bad"))["state"] == "dead" and s)
    assert status["last_status"].startswith(f"DEAD: {text}")
    assert len(status["last_status"]) < 9_000
    started.schedule("good", print, after=0)
    eventually(lambda: statuses(started, "good") == ["OK"])


def test_a_failure_is_logged_once_with_its_traceback(started, caplog):
    def bad():
        raise ValueError("seen")

    started.schedule("bad", bad, after=0, max_attempts=1)
    eventually(lambda: started.status("bad")["state"] == "dead")
    [record] = [r for r in caplog.records if r.name == "kron.runs" and "seen" in r.getMessage()]
    assert "Traceback" in record.getMessage() and "in bad" in record.getMessage()
    row = started.history("bad")[0]
    assert (record.timer, record.run, record.attempt) == ("bad", row["run_id"], 1)


def test_retries_stop_at_max_attempts(started):
    attempts = []

    def bad(context):
        attempts.append((context["run_id"], context["attempt"]))
        raise ValueError("no")

    started.schedule("bad", bad, after=0, max_attempts=3, retry_delay=0)
    eventually(lambda: started.status("bad")["state"] == "dead")
    assert [attempt for _, attempt in attempts] == [1, 2, 3]
    assert len({run for run, _ in attempts}) == 1
    assert statuses(started, "bad") == ["DEAD", "FAILED", "FAILED", "FAILED"]
    assert started.status("bad")["retries_last_7d"] == 2


def test_many_blocking_callbacks_run_at_once(started):
    barrier = threading.Barrier(60, timeout=20)
    for i in range(60):
        started.schedule(f"t{i}", barrier.wait, after=0)
    eventually(lambda: all(statuses(started, f"t{i}") == ["OK"] for i in range(60)), 20)


def test_a_callback_may_schedule_and_read_from_its_thread(started):
    seen = []

    def parent():
        started.schedule("child", lambda: seen.append(started.status("parent")["state"]), after=0)

    started.schedule("parent", parent, after=0)
    eventually(lambda: seen)


# -- trigger, cancel, pause --------------------------------------------------------------------


def test_trigger_runs_now_and_returns_the_run(started):
    started.schedule("job", print, every="1h")
    before = started.status("job")["next_run_at"]
    run_id = started.trigger("job")
    row = eventually(lambda: started.history("job"))[0]
    assert (row["run_id"], row["status"]) == (run_id, "OK")
    assert started.status("job")["next_run_at"] == before
    with pytest.raises(kron.UnknownTimer, match="nothing"):
        started.trigger("nothing")


def test_cancel_by_name_and_by_run_id(started):
    async def forever():
        await asyncio.sleep(1000)

    started.schedule("job", forever, every="1h", overlap="allow")
    first, second = started.trigger("job"), started.trigger("job")
    eventually(lambda: len(started.status("job")["open_runs"]) == 2)
    assert started.cancel(first) == 1
    eventually(lambda: started.status("job")["open_runs"] == [second])
    assert started.cancel("job") == 1
    eventually(lambda: statuses(started, "job") == ["CANCELLED", "CANCELLED"])
    assert started.cancel("job") == 0
    assert started.cancel(first) == 0
    assert started.status("job")["state"] == "scheduled"
    with pytest.raises(kron.UnknownTimer):
        started.cancel("nothing")


def test_a_cancelled_one_shot_says_so(started):
    async def forever():
        await asyncio.sleep(1000)

    started.schedule("once", forever, after=0)
    eventually(lambda: started.status("once")["state"] == "running")
    started.cancel("once")
    eventually(lambda: started.status("once")["state"] == "cancelled")


def test_pause_and_resume(started):
    ran = []
    started.schedule("beat", lambda: ran.append(1), every="20ms", overlap="skip")
    eventually(lambda: ran)
    assert started.pause("beat") is True
    assert started.pause("beat") is False
    assert started.status("beat")["state"] == "paused"
    eventually(lambda: not started.status("beat")["open_runs"])
    count = len(ran)
    time.sleep(0.1)
    assert len(ran) == count
    assert started.resume("beat") is True
    assert started.resume("beat") is False
    eventually(lambda: len(ran) > count)
    assert "paused" in {row["reason"] for row in started.history("beat")}


# -- start, shutdown ---------------------------------------------------------------------------


def test_a_second_start_says_already_started(started):
    with pytest.raises(RuntimeError, match="already started"):
        started.start(started.data_dir)


def test_shutdown_when_not_started_does_nothing(scheduler):
    assert scheduler.shutdown()["stopped"] is True


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5", None, True])
def test_a_timeout_that_is_no_time_is_refused_and_nothing_is_lost(started, timeout):
    with pytest.raises(ValueError, match="timeout"):
        started.shutdown(timeout)
    started.schedule("beat", print, every="1h")
    assert started.status("beat")["state"] == "scheduled"


def test_start_and_shutdown_fifty_times(scheduler):
    others = threading.active_count()  # threads of tests before, which nothing could stop
    ran = []
    scheduler.schedule("beat", lambda: ran.append(1), every="1ms")
    for _ in range(50):
        scheduler.start(scheduler.data_dir, fsync="never")
        assert scheduler.shutdown()["stopped"]
    assert threading.active_count() < others + 20


def test_shutdown_reports_what_became_of_the_runs(scheduler):
    release = threading.Event()

    async def forever():
        await asyncio.sleep(1000)

    scheduler.schedule("async", forever, after=0)
    scheduler.schedule("thread", release.wait, after=0)
    scheduler.start(scheduler.data_dir)
    eventually(lambda: {t["state"] for t in scheduler.list()} == {"running"})
    runs = {t["id"]: t["open_runs"][0] for t in scheduler.list()}
    report = scheduler.shutdown(0.05)
    release.set()
    assert sorted(report["interrupted"]) == sorted(runs.values())
    assert report["abandoned"] == [runs["thread"]]
    ran = []
    scheduler.schedule("async", lambda ctx: ran.append(ctx), after=0)
    scheduler.schedule("thread", lambda ctx: ran.append(ctx), after=0)
    scheduler.start(scheduler.data_dir)
    eventually(lambda: len(ran) == 2)
    assert {(c["run_id"], c["attempt"]) for c in ran} == {(run, 1) for run in runs.values()}


def test_shutdown_waits_for_running_callbacks(scheduler):
    done = []
    scheduler.schedule("slow", lambda: (time.sleep(0.3), done.append(1)), after=0)
    scheduler.start(scheduler.data_dir)
    eventually(lambda: scheduler.status("slow")["state"] == "running")
    report = scheduler.shutdown(10)
    assert done and len(report["finished"]) == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_shutdown_inside_a_callback_does_not_wait_for_it(scheduler, kind):
    reports = []

    def stop():
        reports.append(scheduler.shutdown())

    async def astop():
        reports.append(await scheduler.ashutdown())

    scheduler.schedule("stop", stop if kind == "sync" else astop, after=0)
    scheduler.start(scheduler.data_dir)
    report = eventually(lambda: reports)[0]
    assert report["stopped"] is False and len(report["pending"]) == 1
    eventually(lambda: scheduler._control.host is None or scheduler._control.host.over.done())
    scheduler.start(scheduler.data_dir)
    assert statuses(scheduler, "stop") == ["OK"]


def test_after_shutdown_verbs_say_not_started(started):
    started.schedule("beat", print, every="1h")
    started.shutdown()
    for call in (started.trigger, started.pause, started.resume, started.cancel):
        with pytest.raises(kron.NotStarted, match=r"start\(\)"):
            call("beat")
    assert [t["id"] for t in started.list()] == ["beat"]


def test_the_data_dir_comes_from_argument_environment_or_here(scheduler, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scheduler.start()
    scheduler.shutdown()
    monkeypatch.setenv("KRON_HOME", str(tmp_path / "home"))
    scheduler.start()
    scheduler.shutdown()
    scheduler.start(os.fsencode(tmp_path / "bytes").decode())
    assert {path.name for path in tmp_path.iterdir()} == {".kron", "home", "bytes"}


def test_a_locked_data_dir_names_the_process_and_the_socket(started):
    other = Scheduler()
    with pytest.raises(kron.DataDirLocked, match=rf"process {os.getpid()} .*kron\.sock"):
        other.start(started.data_dir)
    assert isinstance(kron.DataDirLocked(), RuntimeError)


def test_start_and_status_from_many_threads_at_once(scheduler):
    scheduler.schedule("beat", print, every="1h")
    errors = []

    def start():
        try:
            scheduler.start(scheduler.data_dir)
        except kron.AlreadyStarted:
            pass
        except Exception as exc:
            errors.append(exc)

    def status():
        try:
            assert scheduler.status("beat")["state"] == "scheduled"
        except Exception as exc:
            errors.append(exc)

    threads = [threading.Thread(target=fn) for fn in (start, status) * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []


# -- on an event loop --------------------------------------------------------------------------


async def test_astart_runs_on_the_callers_loop(scheduler):
    seen = []

    async def callback():
        seen.append(asyncio.get_running_loop())

    await scheduler.astart(scheduler.data_dir)
    await scheduler.aschedule("job", callback, after=0)
    async with asyncio.timeout(10):
        while not seen:
            await asyncio.sleep(0.005)
    assert seen == [asyncio.get_running_loop()]
    assert (await scheduler.alist())[0]["id"] == "job"
    report = await scheduler.ashutdown()
    assert report["stopped"]


async def test_sync_verbs_on_the_loops_own_thread_name_the_async_one(scheduler):
    await scheduler.astart(scheduler.data_dir)
    await scheduler.aschedule("job", print, every="1h")
    calls = {
        "aschedule": lambda: scheduler.schedule("other", print, every="1h"),
        "apause": lambda: scheduler.pause("job"),
        "aresume": lambda: scheduler.resume("job"),
        "atrigger": lambda: scheduler.trigger("job"),
        "acancel": lambda: scheduler.cancel("job"),
        "aremove": lambda: scheduler.remove("job"),
        "ashutdown": lambda: scheduler.shutdown(),
        "await_": lambda: scheduler.wait(),
    }
    for name, call in calls.items():
        with pytest.raises(RuntimeError, match=rf"use: await kron\.{name}\("):
            call()
    assert [t["id"] for t in scheduler.list()] == ["job"]
    assert scheduler.status("job")["state"] == "scheduled"
    assert scheduler.history("job") == []
    await scheduler.ashutdown()


async def test_the_async_verbs_reach_a_scheduler_in_a_thread(scheduler):
    scheduler.start(scheduler.data_dir)
    await scheduler.aschedule("job", print, every="1h")
    assert await scheduler.apause("job") and await scheduler.aresume("job")
    run_id = await scheduler.atrigger("job")
    assert run_id is not None
    assert await scheduler.acancel(run_id) in (0, 1)
    assert (await scheduler.astatus("job"))["id"] == "job"
    await scheduler.aremove("job")
    assert await scheduler.alist() == []
    assert (await scheduler.ashutdown())["stopped"]


def test_the_end_of_asyncio_run_interrupts_without_counting_an_attempt(scheduler):
    began = []

    async def forever():
        began.append(1)
        await asyncio.sleep(1000)

    async def main():
        scheduler.schedule("job", forever, after=0, max_attempts=1)
        await scheduler.astart(scheduler.data_dir)
        while not began:
            await asyncio.sleep(0.005)

    asyncio.run(main())
    ran = []
    scheduler.schedule("job", ran.append, after=0, max_attempts=1)
    scheduler.start(scheduler.data_dir)
    assert eventually(lambda: ran)[0]["attempt"] == 1
    assert b"SCHEDULER_STOPPED" in (scheduler.data_dir / "kron.aof").read_bytes()


def test_a_loop_closed_by_hand_gives_the_directory_back(scheduler):
    loop = asyncio.new_event_loop()
    scheduler.schedule("beat", print, every="1h")
    loop.run_until_complete(scheduler.astart(scheduler.data_dir))
    loop.close()
    with pytest.raises(kron.KronStopped):
        scheduler.trigger("beat")
    scheduler.start(scheduler.data_dir)
    assert scheduler.status("beat")["state"] == "scheduled"


# -- wrong input -------------------------------------------------------------------------------


def two(a, b):
    """Takes two."""


def generator():
    yield 1


@pytest.mark.parametrize(
    ("name", "fn", "options", "error", "text"),
    [
        ("x", print, {"every": "1h", "colour": "red"}, TypeError, "colour"),
        ("x", print, {}, ValueError, "exactly one of cron, every, after, at"),
        ("x", print, {"every": "1h", "after": 3}, ValueError, "exactly one of"),
        ("x", print, {"cron": "61 * * * *"}, ValueError, r"minute 61 is outside 0-59"),
        ("x", print, {"cron": "* * * *"}, ValueError, "fields"),
        ("x", print, {"cron": "0 8 * * *", "timezone": "Mars/Base"}, ValueError, "Mars/Base"),
        ("x", print, {"at": "2027-01-01T00:00:00"}, ValueError, "timezone="),
        ("x", print, {"at": 17}, TypeError, "at"),
        ("x", print, {"every": 0}, ValueError, "every"),
        ("x", print, {"every": -1}, ValueError, "every"),
        ("x", print, {"every": float("nan")}, ValueError, "every"),
        ("x", print, {"every": float("inf")}, ValueError, "every"),
        ("x", print, {"every": 2**64}, ValueError, "every"),
        ("x", print, {"every": "10 parsecs"}, ValueError, "every"),
        ("", print, {"every": 1}, ValueError, "name"),
        ("x" * 129, print, {"every": 1}, ValueError, "name"),
        ("a\nb", print, {"every": 1}, ValueError, "name"),
        ("naïve", print, {"every": 1}, ValueError, "name"),
        (7, print, {"every": 1}, TypeError, "name"),
        ("x", print, {"every": 1, "max_attempts": 0}, ValueError, "max_attempts"),
        ("x", print, {"every": 1, "max_attempts": "3"}, TypeError, "max_attempts"),
        ("x", print, {"every": 1, "overlap": "queue"}, ValueError, "overlap must be one of"),
        ("x", 3, {"every": 1}, TypeError, "callable"),
        ("x", two, {"every": 1}, TypeError, "two"),
        ("x", two, {"every": 1, "kwargs": {"c": 1}}, TypeError, "two"),
        ("x", generator, {"every": 1}, TypeError, "generator"),
        ("x", print, {"every": 1, "args": [{1}]}, TypeError, r"args\[0\]"),
        ("x", print, {"every": 1, "kwargs": {"end": [float("nan")]}}, TypeError, "kwargs"),
        ("x", print, {"every": 1, "metadata": {"a": {"b": 2**70}}}, TypeError, r"metadata\['a'\]"),
        ("x", print, {"every": 1, "description": "x" * 300_000}, ValueError, "262144"),
    ],
)
def test_wrong_input_is_refused_at_the_call(scheduler, name, fn, options, error, text):
    for is_started in (False, True):
        if is_started:
            scheduler.start(scheduler.data_dir)
        with pytest.raises(error, match=text):
            scheduler.schedule(name, fn, **options)
        assert scheduler.list() == []


def test_a_thread_or_a_loop_that_cannot_be_made_is_a_failed_start(scheduler, monkeypatch):
    def refuse(*args):
        raise OSError("no more of them")

    for place in ("kron.runtime.control.run_in_thread", "kron.runtime.program._loop_factory"):
        with monkeypatch.context() as patch:
            patch.setattr(place, refuse)
            with pytest.raises(OSError, match="no more of them"):
                scheduler.start(scheduler.data_dir)
        scheduler.start(scheduler.data_dir)
        assert scheduler.shutdown()["stopped"]


async def test_a_cancelled_astart_gives_everything_back(scheduler):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await scheduler.astart(scheduler.data_dir)
    await scheduler.astart(scheduler.data_dir)
    assert (await scheduler.ashutdown())["stopped"]


async def test_a_shutdown_before_the_host_has_begun_is_heard(scheduler):
    starting = asyncio.create_task(scheduler.astart(scheduler.data_dir))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert (await scheduler.ashutdown())["stopped"]
        await asyncio.wait({starting})
    await scheduler.astart(scheduler.data_dir)
    await scheduler.ashutdown()


async def test_two_callbacks_that_shut_down_do_not_wait_for_each_other(scheduler):
    reports = []

    async def stop():
        await asyncio.sleep(0.05)
        reports.append(await scheduler.ashutdown(30))

    for name in "ab":
        await scheduler.aschedule(name, stop, after=0)
    async with asyncio.timeout(10):
        await scheduler.astart(scheduler.data_dir)
        while len(reports) < 2:
            await asyncio.sleep(0.01)
    assert all(report["pending"] and not report["stopped"] for report in reports)
    await scheduler.ashutdown()


def test_text_that_is_an_enum_is_kept_as_its_text(started):
    class Colour(str, enum.Enum):  # noqa: UP042 (StrEnum has no such trap)
        RED = "red"

    seen = []
    started.schedule("job", seen.append, args=[{Colour.RED: Colour.RED}], after=0)
    eventually(lambda: seen == [{"red": "red"}])


# -- what belongs to the timer, and what to the caller --------------------------------------------


def test_a_callback_and_a_reader_change_only_their_own_copies(started):
    def job(ctx, items, table):
        items.append("mine")
        table["mine"] = True
        ctx["metadata"]["team"].append("mine")

    options = {"args": [[]], "kwargs": {"table": {}}, "metadata": {"team": ["web"]}}
    started.schedule("job", job, every="1h", **options)
    for _ in range(2):
        started.trigger("job")
        eventually(lambda: statuses(started, "job") and not started.status("job")["open_runs"])
    started.status("job")["metadata"]["team"].append("reader's")
    status = started.status("job")
    assert {name: status[name] for name in options} == options
    before = started.status("job")["created_at"], started.status("job")["succeeded"]
    started.schedule("job", job, every="1h", **options)
    assert before == (started.status("job")["created_at"], 2)


def test_a_cancel_while_a_thread_hands_its_coroutine_over_ends_the_run(started):
    may_return = threading.Event()

    async def for_ever():
        await asyncio.sleep(3600)

    def job():
        may_return.wait(10)
        return for_ever()

    started.schedule("job", job, every="1h")
    started.trigger("job")
    eventually(lambda: started.status("job")["state"] == "running")
    assert started.cancel("job") == 1
    may_return.set()
    eventually(lambda: statuses(started, "job") == ["CANCELLED"])
    assert started.cancel("job") == 0 and started.status("job")["state"] == "scheduled"


def test_a_cancel_before_a_task_has_begun_ends_the_run(started):
    begun = []

    async def job():
        begun.append(True)

    def stop_at_once():
        started._control.host.engine.tasks._start = start_and_cancel

    tasks = started._control.host.engine.tasks
    start = tasks._start

    def start_and_cancel(its_job, awaitable):
        start(its_job, awaitable)
        started._control.host.engine.submit(kron.core.commands.Cancel("job"))
        tasks.cancel(its_job.run)

    stop_at_once()
    started.schedule("job", job, every="1h")
    started.trigger("job")
    eventually(lambda: statuses(started, "job"))
    assert not tasks._tasks and not begun
    assert started.status("job")["state"] != "running"


def test_another_directory_knows_nothing_of_the_time_before_this_program(scheduler, tmp_path):
    """Timers that are old in one directory are new in the next one of the same program."""
    scheduler.schedule("tick", print, cron="* * * * *")
    scheduler.start(scheduler.data_dir)
    host = scheduler._control.host
    old_us = 300 * 86_400_000_000
    scheduler.shutdown()
    (timer,) = host.engine.machine.state.timers.values()
    timer.anchor_us -= old_us
    scheduler.start(tmp_path / "other")
    assert scheduler.history("tick") == [] and not scheduler.status("tick")["open_runs"]


# -- the garbage collector ------------------------------------------------------------------------


def test_the_collector_is_on_again_when_the_last_pause_ends():
    from kron.runtime.collector import paused

    first, second = paused(), paused()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_a_forked_child_has_its_collector_on():
    from kron.runtime.collector import paused

    with paused():
        child = os.fork()
        if child == 0:
            os._exit(0 if gc.isenabled() else 1)
        assert os.waitpid(child, 0)[1] == 0 and not gc.isenabled()
    assert gc.isenabled()


def test_what_one_scheduler_set_apart_stays_so_when_another_ends(monkeypatch):
    from kron.runtime import collector

    monkeypatch.setattr(collector, "LARGE", 1)
    before = gc.get_freeze_count()
    assert collector.set_apart(1) and collector.set_apart(1)
    collector.give_back()
    assert gc.get_freeze_count() > before
    collector.give_back()
    assert gc.get_freeze_count() == 0
