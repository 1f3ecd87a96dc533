"""`list` and `history` with filters: of a running scheduler, before one, from the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import kron
from kron.cli.main import app
from kron.storage.file import FileLog
from kron.storage.reader import LogReader
from kron.testing import VirtualScheduler
from tests.waiting import eventually

TENANTS = ("acme", "beta", "gamma")


def fine() -> None:
    pass


def bad() -> None:
    raise ValueError("no")


def fill(scheduler: Any) -> None:
    for number in range(30):
        tenant = TENANTS[number % 3]
        team = {"team": "web" if number % 2 else "ops"}
        metadata = {"tenant_id": tenant, "org": team, "n": number}
        fn = bad if number % 10 == 7 else fine
        options: dict[str, Any] = {"metadata": metadata, "max_attempts": 1}
        scheduler.schedule(f"{tenant}.job-{number:02}", fn, every=60 * (1 + number), **options)
    scheduler.schedule("plain", fine, at="2020-01-01T00:00:00Z")


# -- list ----------------------------------------------------------------------------------------


def names(rows: list[Any]) -> list[str]:
    return [row["id"] for row in rows]


@pytest.fixture
def virtual():
    with VirtualScheduler() as scheduler:
        fill(scheduler)
        scheduler.settle()
        yield scheduler


def test_list_is_by_next_run_and_none_comes_last(virtual: VirtualScheduler) -> None:
    rows = virtual.list()
    times = [row["next_run_at"] for row in rows]
    assert times[:-1] == sorted(times[:-1]) and times[-1] is None
    assert names(rows)[-1] == "plain" and len(rows) == 31


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": {"tenant_id": "acme"}},
        {"metadata": {"tenant_id": "acme", "org.team": "web"}},
        {"metadata": {"tenant_id": "nobody"}},
        {"match": r"job-1\d"},
        {"state": "scheduled"},
        {"state": ["paused", "dead"]},
    ],
)
def test_list_filters_and_pages(virtual: VirtualScheduler, options: Any) -> None:
    virtual.pause("acme.job-00")
    virtual.trigger("beta.job-07")
    virtual.settle()
    whole = virtual.list()

    def fits(row: kron.TimerStatus) -> bool:
        wanted = options.get("metadata", {})
        is_team = wanted.get("org.team") in (None, row["metadata"].get("org", {}).get("team"))
        is_tenant = wanted.get("tenant_id") in (None, row["metadata"].get("tenant_id"))
        is_match = "match" not in options or "job-1" in row["id"]
        states = options.get("state", row["state"])
        return is_team and is_tenant and is_match and row["state"] in states

    expected = [row for row in whole if fits(row)]
    assert virtual.list(**options) == expected
    assert virtual.list(**options, limit=0) == []
    assert virtual.list(**options, limit=3) == expected[:3]
    pages = [virtual.list(**options, limit=4, offset=at) for at in range(0, 40, 4)]
    assert [row for page in pages for row in page] == expected


def test_a_page_that_is_wrong_is_nobodys_rows(virtual: VirtualScheduler) -> None:
    for verb in (virtual.list, virtual.history):
        with pytest.raises(TypeError, match="no keyword 'tenant_id'"):
            verb(tenant_id="acme")
        with pytest.raises(kron.ScheduleError, match="limit=-1"):
            verb(limit=-1)


async def test_the_async_twins_say_the_same() -> None:
    scheduler = VirtualScheduler()
    fill(scheduler)
    async with scheduler:
        await scheduler.aadvance("40m")
        for options in ({"metadata": {"tenant_id": "beta"}}, {"limit": 3}, {"state": "dead"}):
            assert await scheduler.alist(**options) == scheduler.list(**options)
        for options in ({"metadata": {"tenant_id": "beta"}}, {"limit": 3}, {"state": "dead"}):
            rows = await scheduler.ahistory(**options)
            assert rows == scheduler.history(**options) and rows


def test_registrations_that_wait_are_filtered_alike() -> None:
    scheduler = kron.Scheduler()
    fill(scheduler)
    assert len(scheduler.list()) == 31
    found = scheduler.list(metadata={"tenant_id": "acme"}, limit=2, offset=1)
    assert names(found) == ["acme.job-03", "acme.job-06"]
    assert scheduler.list(state="paused") == scheduler.list(limit=0) == []
    assert names(scheduler.list(match="plain")) == ["plain"]
    with pytest.raises(TypeError, match=r"no keyword 'stat'. Did you mean state"):
        scheduler.list(stat="paused")


# -- history -------------------------------------------------------------------------------------


@pytest.fixture
def lived(virtual: VirtualScheduler) -> VirtualScheduler:
    virtual.advance("1h30m")
    return virtual


HISTORIES: list[dict[str, Any]] = [
    {"limit": 7},
    {"state": "DEAD"},
    {"state": ["failed", "dead"], "limit": 3},
    {"state": "succeeded", "limit": 1_000},
    {"state": "missed"},
    {"metadata": {"tenant_id": "beta"}, "limit": 1_000},
    {"metadata": {"org.team": "ops"}, "state": "ok", "offset": 5},
    {"since": "20m", "limit": 1_000},
    {"until": "20m", "limit": 1_000},
    {"since": "2027-01-01T00:30:00Z", "until": "2027-01-01T00:40:00Z", "limit": 1_000},
    {"offset": 150, "limit": 1_000},
    {"limit": 0},
]
ALL = {"limit": 10_000}


def picked(rows: list[Any], options: dict[str, Any], timers: dict[str, Any]) -> list[Any]:
    """From all rows, by what they say."""
    words = options.get("state") or []
    states = {word.upper() for word in ([words] if isinstance(words, str) else words)}
    states = {"OK" if word == "SUCCEEDED" else word for word in states}
    now = datetime(2027, 1, 1, 1, 30, tzinfo=UTC)

    def instant(value: str) -> datetime:
        if value.endswith("m"):
            return now - timedelta(minutes=int(value[:-1]))
        return datetime.fromisoformat(value)

    def fits(row: Any) -> bool:
        known = timers[row["timer"]]["metadata"]
        flat = {"tenant_id": known.get("tenant_id"), "org.team": known.get("org", {}).get("team")}
        at = datetime.fromisoformat(row["at"])
        return (
            (not states or row["status"] in states)
            and all(flat[path] == value for path, value in options.get("metadata", {}).items())
            and ("since" not in options or at >= instant(options["since"]))
            and ("until" not in options or at < instant(options["until"]))
        )

    offset = options.get("offset", 0)
    return [row for row in rows if fits(row)][offset : offset + options.get("limit", 100)]


@pytest.mark.parametrize("options", HISTORIES, ids=str)
def test_history_filters_and_pages(lived: VirtualScheduler, options: dict[str, Any]) -> None:
    timers = {row["id"]: row for row in lived.list()}
    rows = lived.history(**ALL)
    assert len(rows) > 150
    assert lived.history(**options) == picked(rows, options, timers)
    for name in ("acme.job-00", "beta.job-07", "plain"):
        own = [row for row in rows if row["timer"] == name]
        assert lived.history(name, **options) == picked(own, options, timers)


def test_history_of_a_name_that_nobody_knows(lived: VirtualScheduler) -> None:
    for options in ({}, {"limit": 0}, {"state": "dead"}, {"metadata": {"tenant_id": "acme"}}):
        with pytest.raises(kron.UnknownTimer, match="no timer named 'nobody'"):
            lived.history("nobody", **options)
    assert lived.history("plain", state="ok") == []
    lived.remove("beta.job-07")
    assert lived.history("beta.job-07", state="dead", limit=2)  # its history stays
    assert lived.history("beta.job-07", state="cancelled") == []
    assert lived.history("beta.job-07", metadata={"tenant_id": "beta"}) == []  # it has none now


@pytest.mark.parametrize("is_in_files", [False, True], ids=["memory", "files"])
def test_what_is_in_the_log_is_filtered_alike(
    small_ring: None, tmp_path: Path, is_in_files: bool
) -> None:
    """With sealed files and their indexes, and a clock that was set back in between."""
    scheduler = VirtualScheduler(data_dir=tmp_path / "d" if is_in_files else None)
    with scheduler:
        fill(scheduler)
        scheduler.advance("40m")
        if is_in_files:
            host = scheduler._control.host
            assert host is not None and host.compaction is not None
            compaction = host.compaction
            scheduler.clock.drive(compaction.compact())
            assert isinstance(host.log, FileLog)
            host.log._parts.indexer.wait()
        scheduler.clock.step("-15m")
        scheduler.advance("65m")
        timers = {row["id"]: row for row in scheduler.list()}
        rows = scheduler.history(**ALL)
        assert len(rows) > 200
        for options in HISTORIES:
            assert scheduler.history(**options) == picked(rows, options, timers), options
            own = [row for row in rows if row["timer"] == "acme.job-00"]
            assert scheduler.history("acme.job-00", **options) == picked(own, options, timers)
        if is_in_files:
            reader = LogReader(tmp_path / "d")
            assert len(reader.rows_before(1 << 62, None, 10_000)) == len(rows)


def test_a_search_for_what_is_recent_does_not_read_what_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kron.storage.history as storage_history

    decoded = []
    plain = storage_history.decode
    monkeypatch.setattr(
        storage_history, "decode", lambda *args: decoded.append(args[1]) or plain(*args)
    )
    with VirtualScheduler(data_dir=tmp_path / "d") as scheduler:
        scheduler.schedule("tick", fine, every="1s", overlap="skip")
        scheduler.schedule("bad", bad, every="20m", max_attempts=1)
        scheduler.advance("1h")
        host = scheduler._control.host
        assert host is not None and host.engine is not None
        host.engine.machine.state.ring_floor = host.engine.machine.state.ring[-1][0]
        del host.engine.machine.state.ring[:]  # all of it is in the log now
        host.engine.machine.state._ring_mark = 0
        assert 55 < len(scheduler.history(since="1m", limit=1_000)) < 65
        assert len(decoded) < 130  # a run has two records, of 7,200
        decoded.clear()
        assert len(scheduler.history(state="dead")) == 3  # found by the word for it
        assert len(decoded) <= 3


# -- what a status says of the past ----------------------------------------------------------------


def test_nobodys_history_is_not_searched_for(
    lived: VirtualScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = lived._control.host
    assert host is not None
    monkeypatch.setattr(host.log, "rows_before", None)
    host.engine.machine.state.ring_floor = 1  # there is more in the log
    assert lived.history(metadata={"tenant_id": "nobody"}) == []


def test_durations_and_streaks(tmp_path: Path) -> None:
    outcomes = iter([0, 0, 1, 0, 0, 0, 1, 1])

    def sometimes() -> None:
        if next(outcomes):
            raise ValueError("no")

    def started() -> VirtualScheduler:
        scheduler = VirtualScheduler(data_dir=tmp_path / "d")
        scheduler.schedule("job", sometimes, every="1m", max_attempts=1)
        scheduler.start()
        return scheduler

    scheduler = started()
    fresh = scheduler.status("job")
    assert fresh["duration_p50_ms"] is None and fresh["ok_streak"] == 0
    seen = []
    for turn in range(8):
        if turn == 5:  # over a restart from a snapshot
            host = scheduler._control.host
            assert host is not None and host.compaction is not None
            scheduler.clock.drive(host.compaction.compact())
            scheduler.shutdown()
            scheduler = started()
        scheduler.advance("1m")
        status = scheduler.status("job")
        assert status is not None
        seen.append((status["ok_streak"], status["dead_streak"]))
    assert seen == [(1, 0), (2, 0), (0, 1), (1, 0), (2, 0), (3, 0), (0, 1), (0, 2)]
    assert (status["longest_ok_streak"], status["longest_dead_streak"]) == (3, 2)
    assert status["outcomes"] == ["OK", "OK", "DEAD", "OK", "OK", "OK", "DEAD", "DEAD"]
    assert (status["succeeded"], status["failed"]) == (5, 3)
    assert 0 <= status["duration_p50_ms"] <= status["duration_p95_ms"] < 10_000
    scheduler.shutdown(0)


# -- the command line ------------------------------------------------------------------------------


WRONG = [
    (["list", "-s", "asleep"], "must be one of"),
    (["list", "-m", "acme"], "is not PATH=TEXT"),
    (["list", "-m", "n:=x"], "x is not JSON"),
    (["list", "-m", "tenant_id=a", "-m", "tenant_id=b"], "tenant_id is given twice"),
    (["list", "--match", "("], "is not a regular expression"),
    (["history", "-s", "asleep"], "must be one of"),
    (["history", "--since", "1h", "--until", "2h"], "lies before"),
]


def ask(place: Path, *args: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["--data-dir", str(place), "--json", "job", *args])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if not code else done.output


@pytest.mark.parametrize("is_live", [True, False], ids=["live", "files"])
def test_kron_job_list_and_history_filter(place: Path, is_live: bool) -> None:
    scheduler = kron.Scheduler()
    fill(scheduler)
    scheduler.start(place)
    scheduler.trigger("beta.job-07")
    scheduler.trigger("acme.job-00")
    eventually(lambda: scheduler.status("beta.job-07")["failed"] == 1)
    eventually(lambda: scheduler.status("acme.job-00")["succeeded"] == 1)
    if not is_live:
        scheduler.shutdown()
    try:
        acme = ask(place, "list", "-m", "tenant_id=acme", "-m", "org.team=web", "-n", "3")
        assert names(acme) == ["acme.job-03", "acme.job-09", "acme.job-15"]
        second = ask(place, "list", "-m", "tenant_id=acme", "-n", "2", "--offset", "2")
        assert names(second) == names(ask(place, "list", "-m", "tenant_id=acme"))[2:4]
        assert names(ask(place, "list", "--match", "job-07|plain")) == ["beta.job-07", "plain"]
        assert names(ask(place, "list", "--match", "job-0", "-n", "1", "--offset", "1")) != []
        assert ask(place, "list", "-n", "0") == []
        assert names(ask(place, "list", "-s", "dead")) == ["beta.job-07"]
        rows = ask(place, "history", "-s", "dead", "-s", "ok", "--since", "1h")
        assert {row["timer"] for row in rows} == {"beta.job-07", "acme.job-00"}
        assert ask(place, "history", "--until", "1h", "-s", "dead") == []
        assert [row["status"] for row in ask(place, "history", "beta.job-07")] == ["DEAD", "FAILED"]
        of_acme = ask(place, "history", "-m", "tenant_id=acme")
        assert {row["timer"] for row in of_acme} == {"acme.job-00"}
        assert names(ask(place, "list", "-m", "n:=3")) == ["acme.job-03"]
        assert ask(place, "list", "-m", "n=3") == []  # a text
        for wrong, words in WRONG:
            assert words in " ".join(ask(place, *wrong, code=2).split()), wrong
    finally:
        scheduler.shutdown()
