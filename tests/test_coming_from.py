"""docs/coming-from-*.md and docs/no-lock-adapter.md do what they show: each block, each row.

In a table the left column is the other system's way, the second one is Kron's: code, which is run
here, or a command, which is typed.
"""

import asyncio
import re
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import kron
from kron.testing import (
    VirtualClock,
    VirtualScheduler,
    assert_missed,
    assert_not_ran,
    assert_ran,
)
from tests.sources import cronie
from tests.test_guides import Reader, ask

ROOT = Path(__file__).parents[1]
PAGES = {
    page: (ROOT / "docs" / page).read_text("utf-8")
    for page in (
        "coming-from-apscheduler.md",
        "coming-from-celery.md",
        "coming-from-cron.md",
        "no-lock-adapter.md",
    )
}
WHEN = {
    "coming-from-apscheduler.md": "Triggers",
    "coming-from-celery.md": "Schedules",
    "coming-from-cron.md": "When",
}
BEGIN = datetime(2027, 1, 1, tzinfo=UTC)
END = datetime(2028, 1, 1, tzinfo=UTC)

# By the left column: the first three moments of 2027 after its first midnight, how many there are,
# and the CRC-32 of all of them in ISO 8601, a line each.

# APScheduler 3.11.3: trigger.get_next_fire_time(previous, now), each trigger with timezone="UTC".
# fmt: off
APSCHEDULER = {
    "CronTrigger(hour=9)": (
        ["01-01T09:00", "01-02T09:00", "01-03T09:00"], 365, 0x98E9113D,
    ),
    'CronTrigger(hour=9, minute=30, day_of_week="mon-fri")': (
        ["01-01T09:30", "01-04T09:30", "01-05T09:30"], 261, 0x02DFBC5D,
    ),
    "CronTrigger(hour=9, day_of_week=0)": (
        ["01-04T09:00", "01-11T09:00", "01-18T09:00"], 52, 0xCC2982EB,
    ),
    'CronTrigger(day_of_week="*/2")': (
        ["01-03T00:00", "01-04T00:00", "01-06T00:00"], 208, 0x65A6E22D,
    ),
    'CronTrigger(minute="*/15")': (
        ["01-01T00:15", "01-01T00:30", "01-01T00:45"], 35039, 0x1E590016,
    ),
    'CronTrigger(hour=9, second="*/20")': (
        ["01-01T09:00", "01-01T09:00:20", "01-01T09:00:40"], 65700, 0xC9BE68E6,
    ),
    'CronTrigger(day="last", hour=18)': (
        ["01-31T18:00", "02-28T18:00", "03-31T18:00"], 12, 0x9004227B,
    ),
    'CronTrigger(day="1st mon", hour=9)': (
        ["01-04T09:00", "02-01T09:00", "03-01T09:00"], 12, 0x0A4DDF1A,
    ),
    'CronTrigger(day="last fri", hour=9)': (
        ["01-29T09:00", "02-26T09:00", "03-26T09:00"], 12, 0x82A5404E,
    ),
    'CronTrigger(day=13, day_of_week="fri")': (
        ["08-13T00:00"], 1, 0xE7CEC9CB,
    ),
    'CronTrigger(month="1-6/2", day=1)': (
        ["03-01T00:00", "05-01T00:00"], 2, 0xF62EAF2A,
    ),
    'CronTrigger(week="10-12", day_of_week="tue")': (
        ["03-09T00:00", "03-16T00:00", "03-23T00:00"], 3, 0x222A0E3E,
    ),
    'CronTrigger.from_crontab("0 9 * * 1")': (
        ["01-05T09:00", "01-12T09:00", "01-19T09:00"], 52, 0xDB2DE5E7,
    ),
    'CronTrigger.from_crontab("0 0 13 * fri")': (
        ["08-13T00:00"], 1, 0xE7CEC9CB,
    ),
    'CronTrigger(hour=9, start_date="2027-01-04 09:00:00", end_date="2027-03-31 09:00:00")': (
        ["01-04T09:00", "01-05T09:00", "01-06T09:00"], 87, 0xDF221DB5,
    ),
    'CalendarIntervalTrigger(months=1, hour=9, start_date="2027-01-15")': (
        ["01-15T09:00", "02-15T09:00", "03-15T09:00"], 12, 0x5F6C5739,
    ),
    "IntervalTrigger(minutes=30)": (
        ["01-01T00:30", "01-01T01:00", "01-01T01:30"], 17519, 0x4AF5D55B,
    ),
    "IntervalTrigger(days=1)": (
        ["01-02T00:00", "01-03T00:00", "01-04T00:00"], 364, 0xD2E6A52F,
    ),
    'DateTrigger("2027-06-01 12:00:00")': (
        ["06-01T12:00"], 1, 0x8EE66540,
    ),
}
# Celery 5.7.0: schedule.is_due(last), asked as beat asks, conf.timezone = "UTC".
CELERY = {
    "crontab(minute=0, hour=9)": (
        ["01-01T09:00", "01-02T09:00", "01-03T09:00"], 365, 0x98E9113D,
    ),
    "crontab(hour=9)": (
        ["01-01T09:00", "01-01T09:01", "01-01T09:02"], 21900, 0xE851D09E,
    ),
    'crontab(minute="*/15", hour="8-17", day_of_week="mon-fri")': (
        ["01-01T08:00", "01-01T08:15", "01-01T08:30"], 10440, 0x6A486ACC,
    ),
    "crontab(minute=[0, 30], hour={9, 17})": (
        ["01-01T09:00", "01-01T09:30", "01-01T17:00"], 1460, 0x163F72CE,
    ),
    'crontab(minute=0, hour="22-2")': (
        ["01-01T01:00", "01-01T02:00", "01-01T22:00"], 1824, 0xA77DDFAB,
    ),
    "crontab(minute=0, hour=9, day_of_week=1)": (
        ["01-04T09:00", "01-11T09:00", "01-18T09:00"], 52, 0xCC2982EB,
    ),
    'crontab(minute=0, hour=0, day_of_week="*/2")': (
        ["01-02T00:00", "01-03T00:00", "01-05T00:00"], 208, 0xF106681A,
    ),
    'crontab(minute=0, hour=0, day_of_month=13, day_of_week="fri")': (
        ["08-13T00:00"], 1, 0xE7CEC9CB,
    ),
    'crontab.from_string("0 0 13 * 5")': (
        ["08-13T00:00"], 1, 0xE7CEC9CB,
    ),
    'crontab(minute=0, hour=0, day_of_month=1, month_of_year="*/3")': (
        ["04-01T00:00", "07-01T00:00", "10-01T00:00"], 3, 0x362116BC,
    ),
    'crontab(minute=0, hour=6, day_of_month="2-30/2")': (
        ["01-02T06:00", "01-04T06:00", "01-06T06:00"], 179, 0x02AA5F1F,
    ),
    "schedule(timedelta(minutes=30))": (
        ["01-01T00:30", "01-01T01:00", "01-01T01:30"], 17519, 0x4AF5D55B,
    ),
    "schedule(timedelta(hours=1), relative=True)": (
        ["01-01T01:00", "01-01T02:00", "01-01T03:00"], 8759, 0xB61190FA,
    ),
}
# fmt: on

# Of 02:30 in Berlin, the first three moments after noon of the day before the clocks change (UTC):
# APScheduler's CronTrigger(hour=2, minute=30), Celery's crontab(minute=30, hour=2).
THEIR_SPRING = {
    "APScheduler": ["28T01:30", "29T00:30", "30T00:30"],
    "Celery": ["28T01:30", "29T00:30", "30T00:30"],
}
THEIR_AUTUMN = {
    "APScheduler": ["31T00:30", "31T01:30", "01T01:30"],
    "Celery": ["31T00:30", "01T01:30", "02T01:30"],
}
# Of crontab(minute=0) after 2027-10-30T22:15Z; APScheduler's CronTrigger(minute=0) has each hour.
CELERY_HOURLY = ["30T23:00", "31T00:00", "31T02:00", "31T03:00"]


class Front:
    """The module `kron`, with another scheduler behind its functions."""

    def __init__(self, scheduler):
        self._scheduler = scheduler

    def __getattr__(self, name):
        return getattr(self._scheduler, name if hasattr(self._scheduler, name) else "", None) or (
            getattr(kron, name)
        )


def section(page, title):
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGES[page], re.S | re.M)
    return found[1]


def rows(text):
    """The first two cells of each row of each table with a column for Kron."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        head, _, *lines = ([*map(str.strip, line[1:-2].split(" |"))] for line in table.splitlines())
        assert head[1] == "Kron"
        yield from ((left, right) for left, right, _ in lines)


def code(cell):
    assert re.fullmatch(r"`[^`]+`", cell), cell
    return cell.strip("`")


MOMENTS = [
    (page, left, right)
    for page, title in WHEN.items()
    for left, right in rows(section(page, title))
]
CELLS = [
    (page, code(right))
    for page, text in PAGES.items()
    for left, right in rows(text)
    if (page, left, right) not in MOMENTS
]
TYPED = [each for each in CELLS if each[1].startswith("kron ")]
HOOKS = [each for each in CELLS if re.search(r"\bon_(failure|success|missed)=", each[1])]
SUBSCRIBED = [each for each in CELLS if each[1].startswith("async for ")]
CALLED = [each for each in CELLS if each not in TYPED + HOOKS + SUBSCRIBED]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# -- the blocks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_shows(page):
    reader = Reader()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGES[page], re.S | re.M)
    assert blocks
    try:
        for language, block in blocks:
            if language == "python":
                reader.run(block)
            elif language == "toml":
                Path(block.splitlines()[0].removeprefix("# ")).write_text(block, "utf-8")
            elif language == "console":
                command, *shown = block.removeprefix("$ ").splitlines()
                reader.type(command, shown)
            else:
                assert language == "text"
        reader.stop()
    finally:
        if reader.program is not None:
            reader.program.kill()
            reader.program.communicate()


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page):
    named = re.findall(r"\bkron\.([A-Za-z_]+)\b(?!/)", PAGES[page])
    files = {"toml", "sock", "lock", "testing"}
    assert {name for name in named if name not in files and not hasattr(kron, name)} == set()


# -- when ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "theirs", "ours"), MOMENTS)
def test_it_is_due_when_theirs_is(page, theirs, ours):
    options = eval(f"dict({code(ours)})", {"kron": kron})  # noqa: S307
    moments = year_of(options)
    if page == "coming-from-cron.md":
        (job,) = cronie.load(f"CRON_TZ=UTC\n{code(theirs)} x\n")
        readings = job.next(BEGIN.replace(tzinfo=None), len(moments) + 1)
        assert [each.replace(tzinfo=UTC) for each in readings[:-1]] == moments
        assert readings[-1].year > 2027
    else:
        known = APSCHEDULER if "apscheduler" in page else CELERY
        first, count, crc = known[code(theirs)]
        assert [shown(each) for each in moments[:3]] == first
        assert len(moments) == count
        assert zlib.crc32("\n".join(each.isoformat() for each in moments).encode()) == crc


def test_what_is_known_of_others_has_a_row_each():
    left = [code(theirs) for page, theirs, _ in MOMENTS if page != "coming-from-cron.md"]
    assert left == [*APSCHEDULER, *CELERY]


def year_of(options):
    """The moments of 2027 of a timer that was scheduled at its beginning."""
    with VirtualScheduler(VirtualClock(BEGIN)) as scheduler:
        scheduler.schedule("report", print, **options)
        first = datetime.fromisoformat(scheduler.status("report")["next_run_at"])
    if "at" in options:
        return [first]
    moments = [BEGIN]
    asked = {name: value for name, value in options.items() if name != "overlap"}
    while moments[-1] < END and len(more := kron.preview(**asked, after=moments[-1], n=1000)):
        moments += more
    assert moments[1] == first
    return [each for each in moments[1:] if each < END]


def shown(moment):
    return f"{moment:%m-%dT%H:%M:%S}".removesuffix(":00")


@pytest.mark.parametrize("system", ["APScheduler", "Celery"])
def test_where_the_clocks_change_they_differ_as_it_is_said(system):
    spring = berlin("30 2 * * *", "2027-03-27T11:00Z", 3)
    autumn = berlin("30 2 * * *", "2027-10-30T10:00Z", 3)
    assert spring == ["28T01:00", *THEIR_SPRING[system][1:]]
    assert THEIR_SPRING[system][0] == "28T01:30"
    assert autumn == ["31T00:30", "01T01:30", "02T01:30"]
    assert THEIR_AUTUMN[system].count("31T01:30") == (system == "APScheduler")


def test_an_hourly_crontab_of_celery_leaves_out_an_hour_and_kron_does_not():
    ours = berlin("0 * * * *", "2027-10-30T22:15Z", 5)
    assert ours == ["30T23:00", "31T00:00", "31T01:00", "31T02:00", "31T03:00"]
    assert [each for each in ours if each not in CELERY_HOURLY] == ["31T01:00"]


def berlin(cron, after, n):
    moments = kron.preview(cron=cron, timezone="Europe/Berlin", after=after, n=n)
    return [f"{each.astimezone(UTC):%dT%H:%M}" for each in moments]


# -- the rows ------------------------------------------------------------------------------------


def prepared(scheduler, **names):
    """What a cell may use."""
    return {"kron": Front(scheduler), "report": lambda *args, **kwargs: None, **names}


def with_timers(scheduler):
    """What a row that is no registration is about."""
    for name in ("report", "warm-up"):
        scheduler.schedule(name, lambda: None, cron="0 3 * * *")
    return scheduler


@pytest.mark.parametrize(("page", "cell"), CALLED)
def test_a_row_is_code_that_runs(page, cell):
    scheduler = with_timers(VirtualScheduler())
    names = prepared(scheduler)
    if "start(" not in cell:
        scheduler.start()
    try:
        exec(cell + "\ndef fn(): pass" * cell.startswith("@"), names)  # noqa: S102
        if "start(" in cell:
            assert names.get("other", scheduler).history() == []
        if re.match(r"@?kron\.schedule", cell):
            name = re.search(r'"([\w-]+)"', cell)[1]
            status = scheduler.status(name)
            assert status["state"] in ("scheduled", "running")
            assert status["next_run_at"] or status["open_runs"] or status["finished"]
    finally:
        if "other" in names:
            names["other"].shutdown(0)
        scheduler.shutdown(0)


@pytest.mark.parametrize(("page", "cell"), HOOKS)
def test_a_row_with_a_hook_calls_it(page, cell, monkeypatch, tmp_path):
    (tmp_path / "backup").write_text("#!/bin/sh\nexit $CODE\n")
    (tmp_path / "backup").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    hook = re.search(r"on_(failure|success|missed)=", cell)[1]
    monkeypatch.setenv("CODE", str(int(hook == "failure")))
    told = []

    def report():
        if hook == "failure":
            raise RuntimeError("no paper")

    with VirtualScheduler() as scheduler:
        exec(cell, {**prepared(scheduler), "report": report, "notify": told.append})  # noqa: S102
        (timer,) = scheduler.list()
        if hook == "missed":
            scheduler.clock.suspend("34h")
            scheduler.settle()
        else:
            scheduler.advance("65m" if timer["schedule"].startswith("every") else "24h5m")
        assert len(told) == 1  # of three attempts that failed, too
        assert isinstance(told[0], dict)
        assert told[0]["timer"] == timer["id"]
        assert told[0]["metadata"] == {}
        ends = {"failure": ("FAILED", "DEAD"), "success": ("OK",), "missed": ("MISSED",)}
        assert told[0]["status"] in ends[hook]


@pytest.mark.parametrize(("page", "cell"), SUBSCRIBED)
def test_a_row_that_subscribes_is_told(page, cell):
    scheduler, told = kron.Scheduler(), []
    scheduler.schedule("report", lambda: None, cron="0 3 * * *")
    scheduler.start(".kron")
    names = {**prepared(scheduler), "print": told.append}
    exec(f"async def listen():\n    {cell}", names)  # noqa: S102

    async def until_told():
        async with asyncio.timeout(10):
            listening = asyncio.ensure_future(names["listen"]())
            while not told and not listening.done():
                await scheduler.atrigger("report")
                await asyncio.sleep(0.05)
            assert told, await listening
            listening.cancel()
            await asyncio.wait([listening])

    try:
        asyncio.run(until_told())
    finally:
        scheduler.shutdown(0)


@pytest.fixture
def running():
    """A program that has run its timers once, and a file that says something else."""
    Path("kron.toml").write_text('[timers.backup]\ncron = "@daily"\ncommand = "echo saved"\n')
    scheduler = kron.Scheduler()
    for name in ("report", "backup"):
        scheduler.schedule(name, kron.command("echo saved"), cron="0 3 * * *", overlap="allow")
    scheduler.start(".kron")
    for name in ("report", "backup"):
        scheduler.trigger(name)
        while scheduler.status(name)["open_runs"]:
            pass
    yield scheduler
    scheduler.shutdown(0)


def test_a_row_is_a_command_that_works(running):
    said = {cell: ask(cell) for _, cell in TYPED}
    assert len(said) > 4
    codes = {cell: code for cell, (code, _) in said.items() if code != 0}
    assert codes == {"kron plan": 2}  # there is something to do
    assert "saved" in said["kron job logs backup"][1]
    assert " OK " in said["kron job history backup"][1]
    assert "RUN_SUCCEEDED" in said["kron log tail"][1]
    assert running.status("backup")["state"] == "paused"


# -- what the prose says -------------------------------------------------------------------------


def test_late_is_missed_with_the_grace_of_apscheduler_and_runs_without():
    with VirtualScheduler() as scheduler:
        scheduler.schedule("kron", lambda: None, cron="0 * * * *")
        scheduler.schedule("theirs", lambda: None, cron="0 * * * *", grace="1s")
        scheduler.schedule("vixie", lambda: None, cron="0 * * * *", missed="skip")
        scheduler.schedule("all", lambda: None, cron="0 * * * *", missed="all")
        scheduler.clock.suspend("3h30s")
        scheduler.settle()
        assert_ran(scheduler, "kron", times=1, at="2027-01-01T03:00Z")
        assert_missed(scheduler, "kron", count=2)
        assert_not_ran(scheduler, "theirs")
        assert_missed(scheduler, "theirs", count=3)
        assert_ran(scheduler, "vixie", times=1)  # it is half a minute late
        assert_ran(scheduler, "all", times=3)
        scheduler.clock.suspend("1h2m")
        scheduler.settle()
        assert_ran(scheduler, "vixie", times=1)
        assert_ran(scheduler, "kron", times=2)


def test_a_moment_long_past_does_not_run():
    with VirtualScheduler() as scheduler:
        scheduler.schedule("new-year", lambda: None, at="2026-12-31T23:58:00Z")
        scheduler.settle()
        assert_missed(scheduler, "new-year", reason="past", count=1)


def test_the_same_definition_again_moves_nothing_and_another_one_is_an_update():
    with VirtualScheduler() as scheduler:
        scheduler.schedule("report", lambda: None, every="30m")
        scheduler.advance("10m")
        scheduler.schedule("report", lambda: None, every="30m")
        assert scheduler.status("report")["next_run_at"] == "2027-01-01T00:30:00+00:00"
        scheduler.schedule("report", lambda: None, cron="0 10 * * *")
        assert scheduler.status("report")["next_run_at"] == "2027-01-01T10:00:00+00:00"


def test_a_one_shot_that_has_run_does_not_run_again():
    with VirtualScheduler() as scheduler:
        for _ in range(3):
            scheduler.schedule("report-1", lambda: None, after="0s")
            scheduler.settle()
        assert_ran(scheduler, "report-1", times=1)


def test_three_instances_run_and_the_fourth_waits():
    with VirtualScheduler() as scheduler:

        async def report():
            await scheduler.clock.sleep("3m30s")

        scheduler.schedule(
            "report", report, cron="* * * * *", overlap="allow", key="report", key_limit=3
        )
        scheduler.advance("4m10s")
        states = [run["state"] for run in scheduler.status("report")["runs"]]
        assert len(states) == 4
        assert states.count("running") == 3
        assert scheduler.status("report")["skipped"] == 0


def test_four_attempts_are_three_retries_and_one_is_none():
    with VirtualScheduler() as scheduler:
        began = {"four": [], "one": []}

        def fail(name):
            began[name].append(scheduler.clock.datetime)
            raise RuntimeError(name)

        for name, attempts in (("four", 4), ("one", 1)):
            scheduler.schedule(
                name, fail, args=[name], after="0s", max_attempts=attempts, retry_delay="30s"
            )
        scheduler.advance("1h")
        gaps = [b - a for a, b in zip(began["four"], began["four"][1:], strict=False)]
        assert len(gaps) == 3
        for gap, nominal_s in zip(gaps, (30, 60, 120), strict=True):
            assert abs(gap - timedelta(seconds=nominal_s)) <= timedelta(seconds=nominal_s / 10 + 1)
        assert len(began["one"]) == 1


def test_a_run_that_waits_longer_than_its_grace_expires():
    with VirtualScheduler() as scheduler:

        async def occupy():
            await scheduler.clock.sleep("2h")

        scheduler.schedule("holder", occupy, cron="59 8 * * *", key="db")
        scheduler.schedule("report", lambda: None, cron="0 9 * * *", grace="1h", key="db")
        scheduler.advance("12h")
        assert_not_ran(scheduler, "report")
        assert_missed(scheduler, "report", count=1)


def test_a_cron_line_is_as_cron_does_it():
    with VirtualScheduler() as scheduler:

        async def backup():
            await scheduler.clock.sleep("90m")
            raise RuntimeError("disk full")

        scheduler.schedule(
            "backup", backup, cron="@hourly", overlap="allow", max_attempts=1, missed="skip"
        )
        scheduler.advance("3h45m")
        assert len(scheduler.status("backup")["open_runs"]) == 1  # of 03:00; 02:00 ended at 03:30
        ended = scheduler.history("backup")
        assert {row["attempt"] for row in ended} == {1}
        assert {row["status"] for row in ended} <= {"FAILED", "DEAD"}
        scheduler.clock.suspend("2h")
        scheduler.settle()
        assert_missed(scheduler, "backup", reason="suspended", count=2)
