"""A running scheduler whose log is compacted, and one that is started again and again."""

import asyncio
import errno
import logging
import os
import threading
import time
from functools import partial

import pytest

import kron
from kron.core.cut import restore
from kron.core.errors import (
    KronStopped,
    LogCorrupt,
    LogFailed,
    StorageError,
    UnknownTimer,
)
from kron.core.machine import Machine
from kron.runtime import compaction
from kron.runtime.compaction import Retention, compact_idle
from kron.runtime.recovery import fold
from kron.scheduler import Scheduler
from kron.server.facts import runtime_facts
from kron.storage.disk import Disk
from kron.storage.file import FileLog
from kron.storage.memory import MemoryLog
from kron.storage.reader import LogReader
from kron.testing import VirtualClock
from kron.testing.player import fold_image


class HookedDisk(Disk):
    """Calls `hook(call, name)` before each change; the name is that of the file."""

    def __init__(self):
        self._name_of = {}
        self.hook = lambda call, name: None

    def open(self, path, flags, mode=0o600):
        name = os.path.basename(path)
        if flags & os.O_CREAT:
            self.hook("open", name)
        fd = super().open(path, flags, mode)
        self._name_of[fd] = name
        return fd

    def write(self, fd, content):
        self.hook("write", self._name_of[fd])
        return super().write(fd, content)

    def fdatasync(self, fd):
        self.hook("fdatasync", self._name_of[fd])
        super().fdatasync(fd)

    def fsync(self, fd):
        self.hook("fsync", self._name_of[fd])
        super().fsync(fd)

    def fsync_dir(self, path):
        self.hook("fsync_dir", "")
        super().fsync_dir(path)

    def rename(self, old, new):
        self.hook("rename", os.path.basename(old))
        super().rename(old, new)
        names = os.path.basename(old), os.path.basename(new)
        for fd, name in list(self._name_of.items()):
            if name == names[0]:
                self._name_of[fd] = names[1]

    def unlink(self, path):
        self.hook("unlink", os.path.basename(path))
        super().unlink(path)


SNAPSHOT = "kron.snapshot.tmp"
NEXT = "kron.aof.tmp"


class Gate:
    """A hook that holds one call up until it is opened."""

    def __init__(self, call, name):
        self.point = call, name
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, call, name):
        if (call, name) == self.point:
            self.reached.set()
            assert self.open.wait(30)


def failing(call, name, times=1):
    """A hook that fails that call, so many times."""
    left = [times]

    def hook(*point):
        if point == (call, name) and left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")

    return hook


class World:
    def __init__(self, place):
        self.disk = HookedDisk()
        self.place = place
        self.scheduler = Scheduler(
            open_log=lambda d, f, i: FileLog(d, fsync=f, interval_s=i, disk=self.disk)
        )

    @property
    def host(self):
        return self.scheduler._control.host

    @property
    def problem(self):
        return runtime_facts(self.host, "")["compaction_problem"]

    def compacted_above(self, index):
        """The record of the newest snapshot, if it is above that one."""
        newest = runtime_facts(self.host, "")["snapshot_record"] or 0
        return newest if newest > index else None

    async def start(self, **options):
        await self.scheduler.astart(self.place, **options)

    async def compact(self):
        return await self.host.compaction.compact()

    async def schedule(self, *names):
        for name in names:
            await self.scheduler.aschedule(name, print, every="1h")

    def files(self):
        return {path.name for path in self.place.iterdir()}

    def sealed(self):
        return sorted(self.place.glob("kron.aof.*[0-9]"), key=lambda path: int(path.suffix[1:]))

    def shown(self):
        """What a start shows that finds the directory as it is."""
        fresh = Scheduler()
        fresh.start(self.place)
        rows = {row["id"] for row in fresh.list()}
        fresh.shutdown()
        return rows


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path / ".kron")
    yield world
    await world.scheduler.ashutdown(0)


async def eventually(condition):
    end = time.monotonic() + 20
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.005)
    return value


# -- when, and while -----------------------------------------------------------------------------


async def test_the_log_is_compacted_when_it_has_grown(world, monkeypatch):
    monkeypatch.setattr(compaction, "GROWN_BYTES", 5_000)
    monkeypatch.setattr(compaction, "SNAPSHOTS", 0)
    await world.start()
    assert runtime_facts(world.host, "")["snapshot_record"] is None
    compacted = 0
    for number in range(5):
        await world.schedule(*(f"t{number}-{n}" for n in range(60)))
        compacted = await eventually(partial(world.compacted_above, compacted))
    facts = runtime_facts(world.host, "")
    assert facts["compaction_problem"] is None and facts["compacted_at"] is not None
    assert len(world.sealed()) >= 5
    assert world.files() >= {"kron.aof", "kron.snapshot", "kron.snapshot.old"}


async def test_a_log_is_left_alone_until_it_is_much_larger_than_its_snapshot(world, monkeypatch):
    monkeypatch.setattr(compaction, "GROWN_BYTES", 1_000)
    await world.start()
    await world.schedule(*(f"t{n}" for n in range(100)))
    await eventually(lambda: world.host.log.snapshots())
    size_bytes = world.host.log.snapshots()[0].size_bytes
    before = world.host.log.snapshots()[0].index
    while world.host.log.size_bytes < size_bytes:
        await world.scheduler.apause("t1")
        await world.scheduler.aresume("t1")
    await asyncio.sleep(0.05)
    assert world.host.log.size_bytes >= 1_000
    assert world.host.log.snapshots()[0].index - before < 400


async def test_calls_and_runs_go_on_meanwhile_and_the_snapshot_is_that_of_its_beginning(world):
    await world.start()
    ran = []

    async def callback():
        ran.append(1)

    await world.schedule("kept", "removed", "paused")
    gate = world.disk.hook = Gate("write", SNAPSHOT)
    compacting = asyncio.create_task(world.compact())
    await eventually(gate.reached.is_set)
    state, tip = world.host.engine.machine.state, world.host.log.tip
    assert state.cut is not None
    await world.scheduler.aschedule("new", callback, every="1h")
    await world.scheduler.aremove("removed")
    await world.scheduler.apause("paused")
    await world.scheduler.atrigger("new")
    await eventually(lambda: ran)
    assert not compacting.done()
    gate.open.set()
    report = await compacting
    assert report["record"] == tip and state.cut is None
    restored = restore(LogReader(world.place).read_snapshot(tip))
    assert restored.timers.keys() == {"kept", "removed", "paused"}
    assert restored.timers["paused"].paused is None
    await world.scheduler.ashutdown()
    assert world.shown() == {"kept", "paused", "new"}


async def quick():
    pass


async def test_under_a_virtual_clock_it_says_when_it_was():
    clock = VirtualClock("2026-11-21T10:00:00Z")
    log = MemoryLog()
    scheduler = Scheduler(clock=clock, open_log=lambda *_: log)
    await scheduler.astart()
    await scheduler.aschedule("beat", quick, every="10s")
    await clock.advance("65s")
    host = scheduler._control.host
    task = asyncio.create_task(host.compaction.compact())
    await clock.settle()
    assert (await task)["record"] == log.tip
    assert runtime_facts(host, "")["compacted_at"] == "2026-11-21T10:01:05+00:00"
    await clock.advance("20s")
    await scheduler.ashutdown()
    # The next process has only what the snapshot and the records above it say.
    kept = log.kept[0]
    later = MemoryLog(log.records[kept[0] :], log_id=log.log_id, kept=[kept])
    again = Scheduler(clock=clock, open_log=lambda *_: later)
    again.schedule("beat", quick, every="10s")
    await again.astart()
    assert (await again.astatus("beat"))["succeeded"] == 8
    await again.ashutdown()


async def test_two_at_once_are_one_after_the_other(world):
    await world.start()
    await world.schedule("a", "b")
    gate = world.disk.hook = Gate("write", SNAPSHOT)
    first = asyncio.create_task(world.compact())
    await eventually(gate.reached.is_set)
    second = asyncio.create_task(world.compact())
    await world.schedule("c")
    gate.open.set()
    reports = await first, await second
    assert reports[0]["record"] < reports[1]["record"]
    indices = [file.index for file in LogReader(world.place).snapshots()]
    assert indices == [reports[1]["record"], reports[0]["record"]]


async def test_with_nothing_new_it_seals_nothing(world):
    await world.start()
    first = await world.compact()
    sealed = world.sealed()
    assert len(sealed) == 1 and first["record"] == 1
    second = await world.compact()
    assert second["record"] == first["record"] and world.sealed() == sealed
    await world.scheduler.ashutdown()
    assert world.shown() == set()


async def test_an_empty_log_can_be_compacted_too(tmp_path):
    log = FileLog(tmp_path / ".kron")
    await log.open()
    report = await compact_idle(log, Machine(), Retention())
    assert report["record"] == 0 and report["removed"] == []
    await log.close()
    world = World(tmp_path / ".kron")
    assert world.sealed() == [] and world.shown() == set()


@pytest.mark.parametrize("what", ["arguments", "failures"])
async def test_timers_of_which_a_slice_is_over_a_mebibyte_are_compacted(world, what):
    """250 timers are one part; with 5 kB of arguments or of a traceback each it is too long for
    one line."""
    await world.start()
    for n in range(300):
        if what == "arguments":
            await world.scheduler.aschedule(f"t{n}", print, every="1h", args=["x" * 5_000])
        else:
            await world.scheduler.aschedule(f"t{n}", fail_at_length, after=0, max_attempts=1)
    await eventually(lambda: not world.host.engine.machine.state.runs)
    await world.compact()
    assert world.problem is None
    await world.scheduler.ashutdown()
    assert len(world.shown()) == 300


async def fail_at_length():
    raise ValueError("x" * 7_000)


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point",
    [
        ("open", NEXT),
        ("write", NEXT),
        ("fsync", NEXT),
        ("open", SNAPSHOT),
        ("write", SNAPSHOT),
        ("fsync", SNAPSHOT),
        ("rename", SNAPSHOT),
    ],
    ids=lambda point: f"{point[0]} {point[1]}",
)
async def test_a_failure_is_shown_and_the_next_one_works(world, point):
    await world.start()
    await world.schedule("before")
    await world.compact()
    await world.schedule("then")
    world.disk.hook = failing(*point)
    with pytest.raises(StorageError, match="No space left on device"):
        await world.compact()
    assert "No space left on device" in world.problem
    await world.schedule("after")
    assert await world.scheduler.apause("then")
    report = await world.compact()
    assert world.problem is None and report["record"] == world.host.log.tip
    assert not world.files() & {SNAPSHOT, NEXT}
    await world.scheduler.ashutdown()
    assert world.shown() == {"before", "then", "after"}


async def test_a_failure_of_the_automatic_one_is_logged_and_tried_again_later(
    world, monkeypatch, caplog
):
    monkeypatch.setattr(compaction, "GROWN_BYTES", 2_000)
    monkeypatch.setattr(compaction, "SNAPSHOTS", 0)
    await world.start()
    world.disk.hook = failing("write", SNAPSHOT)
    with caplog.at_level(logging.ERROR, "kron"):
        await world.schedule(*(f"t{n}" for n in range(30)))
        await eventually(lambda: world.problem or world.host.log.snapshots())
    assert "the log could not be compacted" in caplog.text
    await world.schedule(*(f"more{n}" for n in range(60)))
    await eventually(lambda: world.host.log.snapshots() and world.problem is None)
    await world.scheduler.ashutdown()
    assert len(world.shown()) == 90


@pytest.mark.parametrize("is_automatic", [False, True])
@pytest.mark.parametrize("point", [("rename", NEXT), ("fdatasync", "kron.aof")])
async def test_a_change_over_that_failed_halfway_stops_the_scheduler(
    world, monkeypatch, point, is_automatic
):
    """Which name the log has on the medium cannot be known: nothing more is acknowledged."""
    await world.start()
    await world.schedule("kept")
    host = world.host
    world.disk.hook = failing(*point, times=99)
    if is_automatic:
        host.engine.grown_bytes = 0
        with pytest.raises(KronStopped):
            await world.schedule(*(f"t{n}" for n in range(1_000)))
    else:
        with pytest.raises(LogFailed, match="No space left"):
            await world.compact()
    with pytest.raises(KronStopped, match="No space left"):
        await world.schedule("late")
    with pytest.raises(KronStopped):
        await host.compaction.compact()
    assert "No space left" in (await world.scheduler.ashutdown())["error"]
    world.disk.hook = lambda *_: None
    assert world.shown() >= {"kept"}


async def test_a_shutdown_in_the_middle_gives_the_snapshot_up(world):
    await world.start()
    await world.schedule("kept")
    gate = world.disk.hook = Gate("write", SNAPSHOT)
    world.host.engine.on_grown()
    await eventually(gate.reached.is_set)
    stopping = asyncio.create_task(world.scheduler.ashutdown(1))
    await asyncio.sleep(0.05)
    gate.open.set()
    report = await asyncio.wait_for(stopping, 20)
    assert report["stopped"] and report["error"] is None
    assert "kron.snapshot" not in world.files()
    assert world.shown() == {"kept"}


async def test_a_compaction_that_was_asked_for_ends_with_the_scheduler(world):
    """Its caller hears of it: one way or the other, and soon."""
    await world.start()
    await world.schedule("kept")
    gate = world.disk.hook = Gate("write", SNAPSHOT)
    compacting = asyncio.create_task(world.compact())
    await eventually(gate.reached.is_set)
    stopping = asyncio.create_task(world.scheduler.ashutdown(1))
    await asyncio.sleep(0.05)
    gate.open.set()
    await asyncio.wait_for(stopping, 20)
    with pytest.raises((StorageError, KronStopped)):
        await asyncio.wait_for(compacting, 20)
    assert world.shown() == {"kept"}


async def test_who_stops_waiting_for_a_compaction_leaves_no_cut_behind(world):
    await world.start()
    await world.schedule("kept")
    state = world.host.engine.machine.state
    for point in [("fsync", NEXT), ("write", SNAPSHOT)]:
        gate = world.disk.hook = Gate(*point)
        compacting = asyncio.create_task(world.compact())
        await eventually(gate.reached.is_set)
        compacting.cancel()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await compacting
        await world.schedule("another")  # a step of the engine, behind the errand
        assert state.cut is None
    await world.compact()
    await world.scheduler.ashutdown()
    assert world.shown() == {"kept", "another"}


# -- recovery --------------------------------------------------------------------------------------


async def filled(world, rounds=3, **options):
    """Three rounds of timers, each compacted, and one timer behind the last snapshot."""
    await world.start(**options)
    for number in range(rounds):
        await world.schedule(*(f"t{number}-{n}" for n in range(3)))
        await world.compact()
    await world.schedule("last")
    names = {row["id"] for row in await world.scheduler.alist()}
    await world.scheduler.ashutdown()
    return names


async def test_a_start_needs_no_sealed_file_below_the_older_snapshot(world):
    names = await filled(world)
    *_, older = LogReader(world.place).snapshots()
    gone = [path for path in world.sealed() if int(path.suffix[1:]) <= older.index]
    assert len(gone) == 2
    for path in gone:
        path.unlink()
    assert LogReader(world.place).base == older.index
    assert world.shown() == names


async def test_a_start_reads_no_record_below_the_snapshot_it_begins_from(world, monkeypatch):
    """Recovery does not become longer with the log."""
    names = await filled(world)
    newest = LogReader(world.place).snapshots()[0]
    folded, replay = [], Machine.replay

    def noted(machine, index, events):
        folded.append(index)
        replay(machine, index, events)

    monkeypatch.setattr(Machine, "replay", noted)
    assert world.shown() == names
    assert folded and min(folded) == newest.index + 1


async def test_without_history_old_files_go(world):
    names = await filled(world, rounds=5, keep_history="0s")
    assert len(world.sealed()) == 1 and LogReader(world.place).base > 0
    assert world.shown() == names


async def test_history_is_kept_up_to_so_many_bytes(world):
    names = await filled(world, rounds=5, keep_history_bytes=1)
    assert len(world.sealed()) == 1
    assert world.shown() == names


async def test_a_damaged_snapshot_is_passed_over_with_a_warning(world, caplog):
    names = await filled(world)
    flip(world.place / "kron.snapshot")
    with caplog.at_level(logging.WARNING, "kron"):
        assert world.shown() == names
    assert "a snapshot is passed over" in caplog.text and "damaged at byte" in caplog.text


async def test_both_snapshots_damaged_all_records_are_folded(world):
    names = await filled(world)
    flip(world.place / "kron.snapshot")
    flip(world.place / "kron.snapshot.old")
    assert world.shown() == names


async def test_without_a_whole_snapshot_and_without_the_records_a_start_is_refused(world):
    await filled(world, rounds=5, keep_history="0s")
    flip(world.place / "kron.snapshot")
    flip(world.place / "kron.snapshot.old")
    before = {path.name: path.read_bytes() for path in world.place.iterdir()}
    for _ in range(2):
        with pytest.raises(LogCorrupt, match="no whole snapshot stands for them"):
            world.shown()
    assert {path.name: path.read_bytes() for path in world.place.iterdir()} == before


async def test_the_state_from_a_snapshot_is_that_of_all_records(world):
    await filled(world)
    reader = LogReader(world.place)
    whole = Machine()
    fold(whole, reader)
    for file in reader.snapshots():
        machine = Machine(restore(reader.read_snapshot(file.index)))
        fold(machine, reader.records_after(file.index))
        assert {**fold_image(machine.state), "ring": []} == {**fold_image(whole.state), "ring": []}


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# -- registrations outlive a shutdown --------------------------------------------------------------


@pytest.fixture
def scheduler(tmp_path):
    scheduler = Scheduler()
    yield scheduler
    scheduler.shutdown(0.2)


def until(condition):
    end = time.monotonic() + 20
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)
    return value


def test_what_was_registered_runs_again_after_a_shutdown_and_a_start(scheduler, tmp_path):
    ran = []
    scheduler.schedule("before", lambda: ran.append("before"), every="1h")
    scheduler.start(tmp_path / "kron")
    scheduler.schedule("during", lambda: ran.append("during"), every="1h")
    for _ in range(3):
        scheduler.shutdown()
        scheduler.start(tmp_path / "kron")
        ran.clear()
        for name in ("before", "during"):
            assert scheduler.status(name)["state"] == "scheduled", "it is no orphan"
            scheduler.trigger(name)
        until(lambda: len(ran) == 2)


def test_on_another_data_dir_they_are_made_anew(scheduler, tmp_path):
    scheduler.schedule("a", print, every="1h", description="mine")
    scheduler.start(tmp_path / "one")
    scheduler.schedule("b", print, cron="0 8 * * *", args=[1], metadata={"k": "v"})
    scheduler.pause("a")
    before = {row["id"]: row for row in scheduler.list()}
    scheduler.shutdown()
    scheduler.start(tmp_path / "two")
    after = {row["id"]: row for row in scheduler.list()}
    assert after.keys() == {"a", "b"} and after["a"]["state"] == "scheduled"
    for name in after:
        for key in ("schedule", "args", "metadata", "description", "fn_name"):
            assert after[name][key] == before[name][key]
    scheduler.shutdown()
    scheduler.start(tmp_path / "one")
    assert scheduler.status("a")["state"] == "paused"


def test_a_one_shot_that_ended_is_not_handed_on(scheduler, tmp_path):
    ran = []
    scheduler.schedule("once", lambda: ran.append(1), after=0)
    scheduler.schedule("later", lambda: ran.append(2), after="1h")
    scheduler.start(tmp_path / "one")
    until(lambda: scheduler.status("once")["finished"])
    scheduler.shutdown()
    assert {row["id"] for row in scheduler.list()} == {"later"}
    scheduler.start(tmp_path / "two")
    assert {row["id"] for row in scheduler.list()} == {"later"}
    scheduler.shutdown()
    scheduler.start(tmp_path / "one")
    assert scheduler.status("once")["finished"]
    time.sleep(0.05)
    assert ran == [1]


def test_a_start_that_failed_keeps_them(scheduler, tmp_path):
    holder = Scheduler()
    holder.start(tmp_path / "kron")
    names = {f"t{n}" for n in range(5_000)}
    for name in names:
        scheduler.schedule(name, print, every="1h")
    for _ in range(2):
        with pytest.raises(kron.DataDirLocked):
            scheduler.start(tmp_path / "kron")
        assert {row["id"] for row in scheduler.list()} == names
    scheduler.schedule("more", print, every="1h")
    scheduler.remove("t7")
    holder.shutdown()
    scheduler.start(tmp_path / "kron")
    assert {row["id"] for row in scheduler.list()} == names - {"t7"} | {"more"}


def test_a_start_whose_log_fails_on_the_way_keeps_them(tmp_path):
    disk = HookedDisk()
    scheduler = Scheduler(open_log=lambda d, f, i: FileLog(d, fsync=f, interval_s=i, disk=disk))
    names = {f"t{n}" for n in range(9_000)}
    for name in names:
        scheduler.schedule(name, print, every="1h")
    writes = []

    def hook(call, name):
        if (call, name) == ("write", "kron.aof"):
            writes.append(1)
            if len(writes) == 3:
                raise OSError(errno.ENOSPC, "No space left on device")

    disk.hook = hook
    with pytest.raises(LogFailed):
        scheduler.start(tmp_path / "kron")
    assert {row["id"] for row in scheduler.list()} == names
    scheduler.start(tmp_path / "kron")
    assert {row["id"] for row in scheduler.list()} == names
    assert {row["state"] for row in scheduler.list()} == {"scheduled"}, "none is an orphan"
    scheduler.shutdown()


def test_a_restart_with_very_many_timers_takes_no_nap(tmp_path):
    """Nothing changes by them, so no record is filled: the next batch is fed all the same."""
    for _ in range(2):
        scheduler = Scheduler()
        for n in range(9_000):
            scheduler.schedule(f"t{n}", print, every="1h")
        began = time.monotonic()
        scheduler.start(tmp_path / "kron")
        scheduler.shutdown()
        assert time.monotonic() - began < 20


def test_what_was_removed_while_it_ran_is_gone(scheduler, tmp_path):
    scheduler.schedule("a", print, every="1h")
    scheduler.schedule("b", print, every="1h")
    scheduler.start(tmp_path / "one")
    scheduler.remove("a")
    scheduler.shutdown()
    assert [row["id"] for row in scheduler.list()] == ["b"]
    scheduler.start(tmp_path / "two")
    assert [row["id"] for row in scheduler.list()] == ["b"]


def test_before_a_start_and_after_a_shutdown_list_and_status_show_what_waits(scheduler, tmp_path):
    assert scheduler.list() == [] and scheduler.status("a") is None
    scheduler.schedule("a", print, every="30m", description="mine")
    waiting = scheduler.status("a")
    assert (waiting["schedule"], waiting["state"]) == ("every 30m", "scheduled")
    assert (waiting["next_run_at"], waiting["created_at"]) == (None, None)
    assert waiting["fn_name"] == "print" and scheduler.list() == [waiting]
    scheduler.start(tmp_path / "kron")
    assert scheduler.status("a")["next_run_at"] is not None
    scheduler.shutdown()
    assert scheduler.status("a") == waiting and scheduler.list() == [waiting]
    scheduler.remove("a")
    assert scheduler.list() == []
    with pytest.raises(UnknownTimer):
        scheduler.remove("a")
    scheduler.start(tmp_path / "kron")
    assert scheduler.status("a")["state"] == "orphaned", "the log still has it"


def test_what_is_scheduled_between_two_starts_takes_the_place_of_what_was(scheduler, tmp_path):
    scheduler.schedule("a", print, every="1h")
    scheduler.start(tmp_path / "kron")
    scheduler.shutdown()
    scheduler.schedule("a", repr, every="2h")
    assert scheduler.status("a")["schedule"] == "every 2h"
    scheduler.start(tmp_path / "kron")
    shown = scheduler.status("a")
    assert (shown["schedule"], shown["fn_name"]) == ("every 2h", "repr")


def test_a_change_while_it_ran_is_what_waits_afterwards(scheduler, tmp_path):
    scheduler.schedule("a", print, every="1h")
    scheduler.start(tmp_path / "one")
    scheduler.schedule("a", repr, every="2h")
    scheduler.shutdown()
    assert scheduler.status("a")["schedule"] == "every 2h"
    scheduler.start(tmp_path / "two")
    assert scheduler.status("a")["fn_name"] == "repr"


def test_after_a_failed_log_they_are_there_for_the_next_start(tmp_path):
    disk = HookedDisk()
    scheduler = Scheduler(open_log=lambda d, f, i: FileLog(d, fsync=f, interval_s=i, disk=disk))
    scheduler.schedule("a", print, every="1h")
    scheduler.start(tmp_path / "kron")
    disk.hook = failing("write", "kron.aof")
    with pytest.raises(KronStopped):
        scheduler.schedule("b", print, every="1h")
    scheduler.start(tmp_path / "other")
    # `b` was refused, and its caller knows.
    assert {row["id"] for row in scheduler.list()} == {"a"}
    scheduler.shutdown()
