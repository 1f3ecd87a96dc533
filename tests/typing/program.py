"""A whole program with types: `mypy --strict` has no complaint, and it runs (test_typing.py)."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, assert_type

import kron
from kron import events
from kron.testing import VirtualScheduler

# -- what is scheduled -----------------------------------------------------------------------------

has_run = threading.Event()
OVERLAP = "skip"  # for a type checker any str
NOON = datetime(2099, 1, 1, 12, tzinfo=UTC)


@kron.schedule("report", every="1h", args=["weekly"], kwargs={"copies": 2}, overlap=OVERLAP)
def report(kind: str, copies: int = 1) -> list[str]:
    return [kind] * copies


@kron.schedule("fetch", cron="0 8 * * mon-fri", timezone="Europe/Berlin", dst="skip")
async def fetch(context: kron.RunContext) -> bytes:
    assert_type(context["timer_id"], str)
    assert_type(context["attempt"], int)
    assert_type(context["manual"], bool)
    return context["run_id"].encode()


class Office:
    def __init__(self, name: str) -> None:
        self.name = name

    def close(self, *, is_late: bool = False) -> str:
        return f"{self.name} is closed"

    async def open(self) -> None:
        has_run.set()

    def __call__(self) -> None:
        """A callable object can be scheduled, too."""


def note(outcome: kron.Outcome) -> None:
    assert_type(outcome["duration_ms"], float | None)
    assert_type(outcome["metadata"], dict[str, Any])


async def alert() -> None:
    """Of nothing: also good for a hook."""


def schedule_more(office: Office) -> None:
    close = kron.schedule("close", at="2099-01-01T18:00:00Z")(office.close)
    assert_type(close(is_late=True), str)
    kron.schedule("open", office.open, after=timedelta(0), executor=None)
    kron.schedule("office", office, at=NOON, timeout=30, grace="5m")
    kron.schedule("partly", partial(report, "daily"), every=timedelta(days=1), executor="thread")
    kron.schedule("named", "os.path:getsize", args=["/"], every="week", executor="process")
    tidy: kron.Command = kron.command(["true", Path("x")], cwd="/", env={"A": "b"}, inherit="safe")
    kron.schedule("tidy", tidy, cron=kron.Cron(day="last", hour=3), exclude=[date(2099, 12, 25)])
    kron.schedule(
        "everything",
        lambda: None,
        every=3600,
        jitter="1m",
        not_before="2098-01-01T00:00:00Z",
        not_after=NOON,
        exclude=("2098-12-25", ("2098-12-27", date(2098, 12, 31))),
        missed="skip",
        max_attempts=5,
        retry_delay=0.5,
        weight=2,
        priority=9,
        key="office",
        key_limit=2,
        metadata={"team": "web", "levels": [1, 2]},
        on_success=note,
        on_failure=alert,
        on_missed="os:getcwd",
        description="Every keyword that is not above.",
    )


# -- what is asked ---------------------------------------------------------------------------------


def look_around() -> None:
    timer = kron.status("report")
    assert_type(timer, kron.TimerStatus | None)
    assert timer is not None
    assert_type(timer["next_run_at"], str | None)
    assert_type(timer["succeeded"], int)
    assert_type(timer["outcomes"], list[str])
    assert timer["paused"] is None and timer["backfill"] is None
    for run in timer["runs"]:
        assert_type(run["run_id"], str)
        assert_type(run["waiting_for"], str | None)
    assert_type(kron.list(), list[kron.TimerStatus])
    names = [each["id"] for each in kron.list()]
    assert_type(names, list[str])
    of_web = kron.list(metadata={"team": "web"}, state=["scheduled"], match="^e", limit=1, offset=0)
    assert [each["id"] for each in of_web] == ["everything"]
    rows = kron.history("open", state="ok", since="1h", until=NOON, metadata={}, limit=5, offset=0)
    assert_type(rows, list[kron.HistoryRow])
    assert_type(rows[0]["duration_ms"], float | None)
    why = kron.why("open", datetime.now(UTC))
    assert_type(why, kron.Why)
    assert_type(why["text"], list[str])
    if (window := why["window"]) is not None:
        assert_type(window["from"], str | None)
    assert_type(kron.preview(every="day", name="report", n=2), list[datetime])
    assert_type(kron.current_run(), kron.RunContext | None)


def follow() -> int:
    seen: list[int] = []
    for event in kron.subscribe(after=0):
        assert_type(event, kron.Event)
        assert_type(event.at, datetime)
        seen.append(event.index)
        if isinstance(event, events.RunSucceeded):
            assert_type(event.run_id, str)
            break
    return seen[-1]


def steer() -> None:
    assert_type(kron.pause("report", for_="1h", reason="deploy", who="ada"), int)
    timer = kron.status("report")
    if timer is not None and (pause := timer["paused"]) is not None:
        assert_type(pause["until"], str | None)
    assert_type(kron.resume(match="^rep"), int)
    assert_type(kron.pause(), int)
    assert_type(kron.resume(), int)
    backfill = kron.backfill("report", since="2h", until=datetime.now(UTC), dry_run=True)
    assert_type(backfill, kron.Backfill)
    assert_type(backfill["scheduled_at"], list[str])
    assert_type(kron.trigger("report"), str | None)
    assert_type(kron.cancel("report"), int)
    kron.remove("named")


def make_mistakes() -> None:
    for wrong in (lambda: kron.preview(cron="* *"), lambda: kron.remove("nobody"), kron.start):
        try:
            wrong()
        except kron.CronError as exc:
            assert_type(exc, kron.CronError)
            assert isinstance(exc, kron.ScheduleError) and isinstance(exc, ValueError)
        except (kron.UnknownTimer, kron.AlreadyStarted) as exc:
            assert isinstance(exc, kron.KronError)
    try:
        kron.Scheduler().start(".kron")
    except kron.DataDirLocked as exc:
        assert_type(exc.pid, int | None)
        assert isinstance(exc, kron.KronError)


OF_START: tuple[type[kron.StorageError], ...] = (
    *(kron.ForeignLog, kron.LogCorrupt, kron.LogFailed, kron.LogTooNew, kron.UnsafeDataDir),
)
OF_USE: tuple[type[kron.KronError], ...] = kron.InsideEventLoop, kron.KronStopped, kron.NotStarted


# -- a scheduler of one's own, and the async verbs -------------------------------------------------


async def live() -> None:
    await kron.astart(data_dir=Path(".kron"), fsync="never", keep_history="7d")
    await kron.aschedule("later", fetch, after="1h")
    assert_type(await kron.astatus("later"), kron.TimerStatus | None)
    assert_type(await kron.alist(), list[kron.TimerStatus])
    assert_type(await kron.ahistory(), list[kron.HistoryRow])
    assert_type(await kron.awhy("later"), kron.Why)
    assert_type(await kron.apause("later"), int)
    assert_type(await kron.aresume("later"), int)
    assert_type(await kron.abackfill("report", since="2h", dry_run=True), kron.Backfill)
    assert_type(await kron.atrigger("later"), str | None)
    assert_type(await kron.acancel("later"), int)
    await kron.aremove("later")
    async with kron.subscribe(buffer=10) as subscription:
        await kron.atrigger("report")
        async for event in subscription:
            assert_type(event, kron.Event)
            break
    waiting = asyncio.ensure_future(kron.await_())
    assert_type(await kron.ashutdown(timeout=1), kron.ShutdownReport)
    await waiting


def of_my_own() -> None:
    scheduler = kron.Scheduler(max_concurrency=4, on_failure=alert, on_missed=lambda: None)

    @scheduler.schedule("count", every="1m")
    def count(step: int = 1) -> int:
        return step

    assert_type(count(step=2), int)
    assert scheduler.schedule("beat", count, every="1m") is None
    assert_type(scheduler.list()[0]["id"], str)
    assert_type(scheduler.shutdown(), kron.ShutdownReport)
    with VirtualScheduler() as virtual:
        assert_type(virtual, VirtualScheduler)
        virtual.schedule("count", count, every="1m", args=(2,))
        virtual.advance("3m")
        assert len(virtual.history("count")) == 3


def main() -> None:
    schedule_more(Office("Kontor"))
    kron.start(".kron", fsync="never", max_concurrency=8, since=None)
    assert has_run.wait(60)
    while not kron.history("open"):  # its end is durable a moment later
        time.sleep(0.01)
    look_around()
    assert follow() > 0
    steer()
    make_mistakes()
    threading.Timer(0.1, kron.shutdown).start()
    kron.wait()
    result = kron.shutdown()
    assert_type(result["interrupted"], list[str])
    assert_type(result["error"], str | None)
    asyncio.run(live())
    of_my_own()
    assert_type(kron.__version__, str)
    print(result["stopped"], len(OF_START) + len(OF_USE))


if __name__ == "__main__":
    main()
