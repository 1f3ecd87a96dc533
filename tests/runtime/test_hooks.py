"""`on_success`, `on_failure`, `on_missed`: who is told of what, when, and what that cannot do."""

from __future__ import annotations

import asyncio
import functools
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import kron
from kron.core.row_views import Outcome
from kron.runtime import engine, hooks
from kron.testing import VirtualScheduler
from tests.waiting import eventually


def fine() -> None:
    pass


def bad() -> None:
    raise ValueError("no")


class Told(list[tuple[str, Any]]):
    """What hooks of several names were told, in order."""

    def hook(self, name: str) -> Any:
        return lambda outcome: self.append((name, outcome))

    def ahook(self, name: str) -> Any:
        async def tell(outcome: Outcome) -> None:
            await asyncio.sleep(0)
            self.append((name, outcome))

        return tell

    def names(self) -> list[str]:
        return [name for name, _ in self]


@pytest.fixture
def told() -> Told:
    return Told()


def started(**options: Any) -> VirtualScheduler:
    scheduler = VirtualScheduler()
    scheduler.start(**options)
    return scheduler


# -- who is told of what ---------------------------------------------------------------------------


def test_a_success_is_told_with_its_line_of_history_and_the_metadata(told: Told) -> None:
    with VirtualScheduler() as scheduler:
        metadata = {"tenant_id": "acme", "deep": {"n": 1}}
        hook = told.hook("ok")
        scheduler.schedule("job", fine, every="1m", on_success=hook, metadata=metadata)
        scheduler.advance("1m")
        ((_, outcome),) = told
        assert outcome == {**scheduler.history("job")[0], "metadata": metadata}
        assert outcome.keys() == Outcome.__annotations__.keys()


def test_a_failure_is_told_when_no_attempt_is_left(told: Told) -> None:
    with VirtualScheduler() as scheduler:
        options = {"on_failure": told.hook("dead"), "on_success": told.hook("ok")}
        scheduler.schedule("job", bad, every="1h", max_attempts=3, retry_delay="1m", **options)
        scheduler.advance("1h1m30s")
        assert told == []
        scheduler.advance("3m")
        ((name, outcome),) = told
        assert (name, outcome["attempt"], outcome["status"]) == ("dead", 3, "DEAD")
        assert outcome["error"] == "ValueError: no"
        assert outcome["run_id"] == scheduler.history("job")[0]["run_id"]


def test_missed_moments_are_told_by_count_and_reason(told: Told, tmp_path: Path) -> None:
    for _ in range(2):  # the second start tells what the first one's end has left
        scheduler = VirtualScheduler(data_dir=tmp_path / "d")
        scheduler.schedule("job", fine, cron="* * * * *", on_missed=told.hook("missed"))
        scheduler.schedule("late", fine, at="2020-01-01T00:00:00Z", on_missed=told.hook("late"))
        with scheduler:
            scheduler.clock.step("10m")
            scheduler.settle()
    told.sort(key=lambda each: each[0])
    reasons = [(name, outcome["reason"], outcome["count"]) for name, outcome in told]
    assert ("late", "past", 1) in reasons
    assert ("missed", "clock_step", 9) in reasons
    assert told.names().count("late") == 1


def test_a_skip_and_a_cancel_are_neither(told: Told, place: Path) -> None:
    gate = threading.Event()
    scheduler = kron.Scheduler(
        on_success=told.hook("ok"), on_failure=told.hook("dead"), on_missed=told.hook("missed")
    )
    scheduler.schedule("job", lambda: gate.wait(10), every="1h", overlap="skip")
    scheduler.schedule("sleep", asyncio.sleep, args=[60], every="1h")
    scheduler.start(place)
    assert scheduler.trigger("job") is not None
    assert scheduler.trigger("job") is None
    scheduler.trigger("sleep")
    eventually(lambda: scheduler.status("sleep")["state"] == "running")
    scheduler.cancel("sleep")
    gate.set()
    eventually(lambda: scheduler.status("sleep")["outcomes"] == ["CANCELLED"])
    eventually(lambda: told)
    scheduler.shutdown()
    assert told.names() == ["ok"]


@pytest.mark.parametrize("is_async", [True, False])
def test_the_timers_hook_comes_before_the_schedulers(told: Told, is_async: bool) -> None:
    make = told.ahook if is_async else told.hook
    other = told.hook if is_async else told.ahook
    scheduler = VirtualScheduler()
    scheduler.schedule("job", fine, every="1m", on_success=make("own"))
    scheduler.start(on_success=other("all"))
    scheduler.advance("10m")
    scheduler.shutdown(0)
    assert told.names() == ["own", "all"] * 10
    moments = [outcome["scheduled_at"] for _, outcome in told[::2]]
    assert moments == sorted(moments)


def test_each_hook_gets_a_dict_of_its_own(told: Told) -> None:
    def spoil(outcome: Any) -> None:
        outcome["metadata"]["deep"]["n"] = 2
        outcome.clear()

    scheduler = started(on_success=told.hook("all"))
    scheduler.schedule("job", fine, every="1m", metadata={"deep": {"n": 1}}, on_success=spoil)
    scheduler.advance("2m")
    assert [outcome["metadata"] for _, outcome in told] == [{"deep": {"n": 1}}] * 2
    assert scheduler.status("job")["metadata"] == {"deep": {"n": 1}}
    scheduler.shutdown(0)


def test_the_decorator_takes_hooks_and_a_start_stands_in_for_the_scheduler(
    told: Told, place: Path
) -> None:
    scheduler = kron.Scheduler(on_success=told.hook("made"), on_failure=told.hook("dead"))

    @scheduler.schedule("job", every="1h", on_success=told.hook("own"), max_attempts=1)
    def job() -> None:
        if told:
            raise ValueError

    scheduler.start(place, on_success=told.hook("start"))
    scheduler.trigger("job")
    eventually(lambda: len(told) == 2)
    scheduler.trigger("job")
    eventually(lambda: len(told) == 3)
    scheduler.shutdown()
    assert told.names() == ["own", "start", "dead"]


async def test_it_works_on_the_programs_own_loop(told: Told, place: Path) -> None:
    scheduler = kron.Scheduler(on_success=told.hook("thread"), on_failure=told.ahook("task"))
    await scheduler.astart(place, on_success=told.ahook("loop"))
    await scheduler.aschedule("job", fine, every="1h")
    await scheduler.aschedule("bad", bad, every="1h", max_attempts=1)
    await scheduler.atrigger("job")
    await scheduler.atrigger("bad")
    while len(told) < 2:
        await asyncio.sleep(0.01)
    await scheduler.ashutdown()
    assert sorted(told.names()) == ["loop", "task"]


def test_the_hooks_of_a_removed_timer_are_told_of_its_last_run(told: Told, place: Path) -> None:
    gate = threading.Event()
    scheduler = kron.Scheduler(on_success=told.hook("all"))
    scheduler.schedule(
        "job", lambda: gate.wait(10), every="1h", on_success=told.hook("own"), metadata={"n": 1}
    )
    scheduler.start(place)
    scheduler.trigger("job")
    eventually(lambda: scheduler.status("job")["state"] == "running")
    scheduler.remove("job")
    scheduler.schedule("job", fine, every="2h", on_success=told.hook("new"), metadata={"n": 2})
    gate.set()
    eventually(lambda: len(told) == 2)
    scheduler.shutdown()
    assert [(name, outcome["metadata"]) for name, outcome in told] == [
        ("own", {"n": 1}),
        ("all", {"n": 1}),
    ]


def test_the_latest_registration_says_which_hook(told: Told) -> None:
    with VirtualScheduler() as scheduler:
        for hook in (told.hook("first"), told.hook("second"), None):
            scheduler.schedule("job", fine, every="1m", on_success=hook)
            scheduler.advance("1m")
        assert told.names() == ["first", "second"]


# -- what a hook may be ----------------------------------------------------------------------------


class Callable_:
    """An object that can be called."""

    def __init__(self, told: Told) -> None:
        self.told = told

    async def __call__(self, outcome: Any) -> None:
        self.told.append(("object", outcome))


def test_anything_that_takes_one_argument_or_none(told: Told) -> None:
    mock, without, words = Mock(return_value=None), Mock(return_value=None), []

    async def coroutine(outcome: Any = None) -> None:
        told.append(("default", outcome))

    made = [
        mock,
        lambda: without(),
        words.append,
        functools.partial(lambda name, outcome: told.append((name, outcome)), "partial"),
        Callable_(told),
        coroutine,
        lambda outcome: coroutine(outcome),  # returns something to await
    ]
    with VirtualScheduler() as scheduler:
        for number, hook in enumerate(made):
            scheduler.schedule(f"job-{number}", fine, every="1m", on_success=hook)
        scheduler.advance("1m")
    mock.assert_called_once()
    without.assert_called_once_with()
    assert [outcome["timer"] for outcome in words] == ["job-2"]
    assert sorted(told.names()) == ["default", "default", "object", "partial"]
    assert all(outcome["status"] == "OK" for _, outcome in told)


@pytest.mark.parametrize(
    ("hook", "kind", "words"),
    [
        (3, TypeError, "on_failure must be a function, not 3"),
        (kron.command("true"), TypeError, "on_failure must be a function"),
        (lambda one, two: None, TypeError, "on_failure: .* must take one argument, or none"),
        ("nowhere:fn", ValueError, "on_failure 'nowhere:fn': nowhere cannot be imported"),
        ("nonsense", ValueError, 'on_failure .*Write "module:function"'),
    ],
)
def test_what_cannot_be_a_hook_is_refused_at_once(
    hook: Any, kind: type[Exception], words: str, place: Path
) -> None:
    scheduler = kron.Scheduler()
    with pytest.raises(kind, match=words):
        scheduler.schedule("job", fine, every="1h", on_failure=hook)
    with pytest.raises(kind, match=words):
        scheduler.schedule("job", every="1h", on_failure=hook)
    with pytest.raises(kind, match=words):
        kron.Scheduler(on_failure=hook)
    with pytest.raises(kind, match=words):
        scheduler.start(place, on_failure=hook)
    assert scheduler.list() == [] and not place.exists()


def test_a_generator_function_is_refused() -> None:
    def generator(outcome: Any) -> Any:
        yield outcome

    with pytest.raises(TypeError, match=r"on_missed: .*generator is a generator function"):
        kron.Scheduler(on_missed=generator)


# -- what it cannot do -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError]
)
@pytest.mark.parametrize("is_async", [True, False])
def test_a_hook_that_raises_is_logged_and_changes_nothing(
    error: type[BaseException],
    is_async: bool,
    told: Told,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def raises(outcome: Any) -> None:
        raise error("from the hook")

    async def araises(outcome: Any) -> None:
        raise error("from the hook")

    scheduler = started(on_success=told.hook("all"))
    hook = araises if is_async else raises
    scheduler.schedule("job", fine, every="1m", on_success=hook)
    with caplog.at_level(logging.ERROR, "kron.hooks"):
        scheduler.advance("2m")
    assert told.names() == ["all", "all"]  # the next in line is told all the same
    assert [row["status"] for row in scheduler.history("job")] == ["OK", "OK"]
    records = [record for record in caplog.records if record.name == "kron.hooks"]
    assert len(records) == 2
    about = vars(records[0])
    assert (about["timer"], about["run"]) == ("job", told[0][1]["run_id"])
    assert "raises failed" in records[0].getMessage()
    assert "from the hook" in records[0].getMessage()
    scheduler.shutdown(0)


def test_an_exception_that_cannot_be_printed_is_logged(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    class Shy(Exception):
        def __str__(self) -> str:
            raise ValueError

    def raises(outcome: Any) -> None:
        raise Shy

    scheduler = started(on_success=raises)
    scheduler.schedule("job", fine, every="1m")
    scheduler.advance("1m")
    assert "Shy" in caplog.text
    scheduler.shutdown(0)


def test_a_slow_hook_holds_up_its_own_timers_hooks_and_nothing_else(
    told: Told, place: Path
) -> None:
    gate = threading.Event()

    def slow(outcome: Any) -> None:
        gate.wait(10)
        told.append(("slow", outcome))

    scheduler = kron.Scheduler()
    scheduler.schedule("slow", fine, every="1h", on_success=slow)
    scheduler.schedule("quick", fine, every="1h", on_success=told.hook("quick"))
    scheduler.start(place)
    try:
        for _ in range(5):
            scheduler.trigger("slow")
            scheduler.trigger("quick")
        eventually(lambda: scheduler.status("slow")["succeeded"] == 5)
        eventually(lambda: told.names() == ["quick"] * 5)
        gate.set()
        eventually(lambda: told.names()[5:] == ["slow"] * 5)
        runs = [outcome["run_id"] for name, outcome in told if name == "slow"]
        assert runs == [row["run_id"] for row in reversed(scheduler.history("slow"))]
    finally:
        gate.set()
        scheduler.shutdown()


def test_more_than_can_be_told_of_one_timer_is_left_out_and_said(
    told: Told,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(hooks, "MOST_OWED", 3)
    gate = threading.Event()

    def slow(outcome: Any) -> None:
        gate.wait(10)
        told.append(("slow", outcome))

    scheduler = kron.Scheduler()
    scheduler.schedule("job", fine, every="1h", on_success=slow)
    scheduler.schedule("other", fine, every="1h", on_success=told.hook("other"))
    scheduler.start(place)
    for _ in range(10):
        scheduler.trigger("job")
        scheduler.trigger("other")
    eventually(lambda: scheduler.status("job")["succeeded"] == 10)
    eventually(lambda: told.names() == ["other"] * 10)
    assert "timer job: 3 outcomes wait for its hooks" in caplog.text  # before it is over
    gate.set()
    eventually(lambda: "timer job: its hooks were not told of 6 outcomes" in caplog.text)
    scheduler.trigger("job")
    eventually(lambda: told.names().count("slow") == 5)
    scheduler.shutdown()


def test_hooks_that_hang_take_the_threads_and_that_is_said(
    told: Told,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(hooks, "THREADS", 2)
    monkeypatch.setattr(hooks, "BUSY_SECONDS", 0.05)
    gate = threading.Event()
    scheduler = kron.Scheduler()
    for number in range(3):
        scheduler.schedule(f"slow-{number}", fine, after=0, on_success=lambda _: gate.wait(10))
    scheduler.schedule("quick", fine, after=0, on_success=told.ahook("quick"))
    scheduler.start(place)
    eventually(lambda: told.names() == ["quick"])  # it needs no thread
    eventually(lambda: "all 2 threads for hooks are busy" in caplog.text)
    gate.set()
    scheduler.shutdown()


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, GeneratorExit])
def test_a_plain_hook_may_raise_what_no_future_takes(
    error: type[BaseException], told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    def raises(outcome: Any) -> None:
        raise error

    scheduler = started(on_success=told.hook("all"))
    scheduler.schedule("job", fine, every="1m", on_success=raises)
    scheduler.advance("3m")
    assert told.names() == ["all"] * 3
    assert caplog.text.count("raises failed") == 3
    scheduler.shutdown(0)


def test_a_logging_filter_that_raises_breaks_nothing(
    told: Told, capfd: pytest.CaptureFixture[str]
) -> None:
    def bad_filter(record: logging.LogRecord) -> bool:
        raise ValueError("from the filter")

    def raises(outcome: Any) -> None:
        raise ValueError("from the hook")

    logger = logging.getLogger("kron.hooks")
    logger.addFilter(bad_filter)
    try:
        scheduler = started(on_success=told.hook("all"))
        scheduler.schedule("job", fine, every="1m", on_success=raises)
        scheduler.advance("3m")
        scheduler.shutdown(0)
    finally:
        logger.removeFilter(bad_filter)
    assert told.names() == ["all"] * 3
    assert "from the filter" in capfd.readouterr().err


async def test_a_hook_may_sleep_on_a_virtual_clock(told: Told) -> None:
    scheduler = VirtualScheduler()

    async def nap(outcome: Any) -> None:
        await scheduler.clock.sleep("10m")
        told.append(("async", outcome))

    def plain_nap(outcome: Any) -> None:
        scheduler.clock.sleep_sync("20m")
        told.append(("thread", outcome))

    scheduler.schedule("async", fine, after="1h", on_success=nap)
    scheduler.schedule("thread", fine, after="1h", on_success=plain_nap)
    async with scheduler:
        await scheduler.aadvance("1h5m")
        assert told == []
        await scheduler.aadvance("1h")
        assert told.names() == ["async", "thread"]


# -- what a crash has left -------------------------------------------------------------------------


def crashed(place: Path) -> None:
    """A process that was killed while a run went on that has no other attempt."""
    program = f"""
import os, kron
def die():
    os.kill(os.getpid(), 9)
kron.schedule("job", die, after=0, max_attempts=1)
kron.start({str(place)!r})
kron.wait()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr


@pytest.mark.parametrize("is_late", [False, True], ids=["before the start", "after it"])
def test_a_timers_hook_is_told_of_the_run_that_a_crash_has_left(
    is_late: bool, told: Told, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "FEED", 10)  # it is registered records after the start
    crashed(place)
    scheduler = kron.Scheduler()
    for number in range(50):
        scheduler.schedule(f"other-{number}", fine, every="1h")
    options: Any = {"after": 0, "max_attempts": 1, "on_failure": told.hook("own")}
    if not is_late:
        scheduler.schedule("job", fine, **options)
    scheduler.start(place)
    if is_late:
        scheduler.schedule("job", fine, **options)
    eventually(lambda: told)
    scheduler.shutdown()
    ((name, outcome),) = told
    assert (name, outcome["status"], outcome["reason"]) == ("own", "DEAD", "crashed")


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [True, False])
def test_a_hook_may_shut_the_scheduler_down(is_async: bool, told: Told, place: Path) -> None:
    scheduler = kron.Scheduler()

    def stop(outcome: Any) -> None:
        told.append(("stopped", scheduler.shutdown(60)["stopped"]))

    async def astop(outcome: Any) -> None:
        told.append(("stopped", (await scheduler.ashutdown(60))["stopped"]))

    scheduler.schedule("job", fine, after=0, on_success=astop if is_async else stop)
    scheduler.start(place)
    eventually(lambda: told == [("stopped", True)])
    scheduler.start(place)  # all of it was given back
    scheduler.shutdown()


@pytest.mark.parametrize("how", ["plain", "async", "to_thread"])
def test_the_hooks_behind_one_that_ends_the_scheduler_are_told_too(
    how: str, told: Told, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = kron.Scheduler()

    async def in_thread() -> None:
        await asyncio.to_thread(scheduler.shutdown, 60)

    made: dict[str, Any] = {
        "plain": lambda: scheduler.shutdown(60),
        "async": lambda: scheduler.ashutdown(60),
        "to_thread": in_thread,
    }
    scheduler.schedule("job", fine, after=0, on_success=made[how])
    scheduler.start(place, on_success=told.hook("default"))
    eventually(lambda: told.names() == ["default"])
    eventually(lambda: scheduler._control.host is None)
    assert caplog.text == ""


def test_two_hooks_may_shut_the_scheduler_down(told: Told, place: Path) -> None:
    """Neither waits for the other, nor does the program that asks for the end, too."""
    gate = threading.Event()
    scheduler = kron.Scheduler()

    def stop(outcome: Any) -> None:
        gate.wait(10)
        told.append((outcome["timer"], scheduler.shutdown(60)["stopped"]))

    for name in ("one", "two"):
        scheduler.schedule(name, fine, after=0, on_success=stop)
    scheduler.start(place)
    eventually(lambda: all(timer["succeeded"] for timer in scheduler.list()))
    ending = threading.Thread(target=scheduler.shutdown, args=(60,), daemon=True)
    ending.start()
    gate.set()
    ending.join(20)
    assert not ending.is_alive()
    eventually(lambda: sorted(told) == [("one", True), ("two", True)])


def test_a_later_request_shortens_the_wait_for_hooks(place: Path) -> None:
    gate = threading.Event()
    scheduler = kron.Scheduler()
    scheduler.schedule("job", fine, after=0, on_success=lambda _: gate.wait(60))
    scheduler.start(place)
    eventually(lambda: scheduler.status("job")["succeeded"] == 1)
    patient = threading.Thread(target=scheduler.shutdown, args=(60,), daemon=True)
    patient.start()
    eventually(lambda: scheduler._control.host._requests)
    scheduler.shutdown(0)
    patient.join(20)
    gate.set()
    assert not patient.is_alive()


def test_a_hook_may_use_the_scheduler_while_it_drains(place: Path) -> None:
    """What it asks for is durable before the end is."""
    scheduler = kron.Scheduler()
    gate = threading.Event()

    def follow(outcome: Any) -> None:
        scheduler.schedule("next", fine, every="1h", metadata={"behind": outcome["run_id"]})

    scheduler.schedule("job", lambda: gate.wait(10), after=0, on_success=follow)
    scheduler.start(place)
    eventually(lambda: scheduler.status("job")["state"] == "running")
    ending = threading.Thread(target=scheduler.shutdown, args=(60,), daemon=True)
    ending.start()
    eventually(lambda: scheduler._control.host.engine.machine.draining_us is not None)
    gate.set()
    ending.join(20)
    again = kron.Scheduler()
    again.start(place)
    assert again.status("next")["state"] == "orphaned"
    again.shutdown()


def test_what_the_end_of_asyncio_run_leaves_is_said(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        scheduler = kron.Scheduler(on_success=lambda _: time.sleep(0.2))
        await scheduler.astart(place)
        await scheduler.aschedule("job", fine, every="1h", overlap="allow")
        for _ in range(5):
            await scheduler.atrigger("job")
        while (await scheduler.astatus("job"))["succeeded"] < 5:
            await asyncio.sleep(0.01)

    asyncio.run(main())
    assert "timer job: its hooks were not told of" in caplog.text


def test_a_shutdown_waits_for_the_hooks_of_the_last_runs(told: Told, place: Path) -> None:
    def slow(outcome: Any) -> None:
        time.sleep(0.3)
        told.append(("slow", outcome))

    scheduler = kron.Scheduler()
    scheduler.schedule("job", fine, after="0s", on_success=slow)
    scheduler.start(place)
    eventually(lambda: scheduler.status("job")["succeeded"] == 1)
    scheduler.shutdown()
    assert told.names() == ["slow"]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_hook_that_does_not_end_is_cut_short(
    is_async: bool, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()

    async def ahang(outcome: Any) -> None:
        await asyncio.sleep(60)

    hook = ahang if is_async else lambda outcome: gate.wait(60)
    scheduler = kron.Scheduler()
    scheduler.schedule("job", fine, after="0s", on_success=hook)
    scheduler.start(place)
    eventually(lambda: scheduler.status("job")["succeeded"] == 1)
    scheduler.shutdown(0.1)
    gate.set()
    assert "timer job: a hook is cut short by the shutdown" in caplog.text
    scheduler.start(place)  # everything was given back
    scheduler.shutdown()


def test_a_hook_may_use_the_scheduler(place: Path) -> None:
    scheduler = kron.Scheduler()

    def chain(outcome: Any) -> None:
        scheduler.trigger("second")

    async def achain() -> None:
        await scheduler.atrigger("third")

    scheduler.schedule("first", fine, every="1h", on_success=chain)
    scheduler.schedule("second", fine, every="1h", on_success=achain)
    scheduler.schedule("third", fine, every="1h")
    scheduler.start(place)
    scheduler.trigger("first")
    eventually(lambda: scheduler.status("third")["succeeded"] == 1)
    scheduler.shutdown()


def test_nobody_is_told_twice_over_a_restart(told: Told, place: Path) -> None:
    for _ in range(2):
        scheduler = kron.Scheduler()
        scheduler.schedule("job", fine, after="0s", on_success=told.hook("ok"))
        scheduler.start(place)
        eventually(lambda scheduler=scheduler: scheduler.status("job")["succeeded"] == 1)
        scheduler.shutdown()
    assert told.names() == ["ok"]


# -- in files --------------------------------------------------------------------------------------


def test_a_file_names_hooks(tmp_path: Path) -> None:
    (tmp_path / "alerts.py").write_text(
        "def page(outcome):\n    print('page', outcome['timer'], outcome['metadata'], flush=True)\n"
        "def job(): raise ValueError\n"
    )
    (tmp_path / "kron.toml").write_text(
        'on_failure = "alerts:page"\n[timers.job]\nafter = "0s"\nentrypoint = "alerts:job"\n'
        'max_attempts = 1\non_failure = "alerts:page"\nmetadata = { tenant_id = "acme" }\n'
    )
    command = [sys.executable, "-m", "kron", "up", "--once"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["page job {'tenant_id': 'acme'}"] * 2, done.stderr
    (tmp_path / "kron.toml").write_text(
        '[timers.job]\nafter = "0s"\nentrypoint = "alerts:job"\non_failure = "alerts:nobody"\n'
    )
    done = subprocess.run(
        [*command[:-1], "--check"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "kron.toml:4" in done.stdout + done.stderr
    assert "alerts has no nobody" in done.stdout + done.stderr
