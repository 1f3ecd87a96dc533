"""`kron doctor --repair`: every kind of damage is named, put right as promised, and kept."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

import kron
import kron.server.verify as verification
from kron.cli.findings import doctor_block
from kron.server import access
from kron.server.checkup import diagnose
from kron.server.repair import repair
from kron.storage.datadir import DataDir
from kron.storage.disk import Disk
from kron.storage.file import FileLog
from kron.storage.lines import Header, encode_header, encode_record, seed_of
from kron.storage.lock import DirLock
from kron.storage.reader import LogReader
from kron.storage.snapshot import Framing

from .conftest import Kron, files_of

KEPT = {"kron.lock", "kron.sock", "kron.token", ".gitignore"}


def compact(scheduler: kron.Scheduler) -> None:
    host = scheduler._control.host
    assert host is not None and host.loop is not None and host.compaction is not None
    asyncio.run_coroutine_threadsafe(host.compaction.compact(), host.loop).result(10)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sealed files (A, B, C), the snapshots after B and C, and some records behind."""
    directory = tmp_path_factory.mktemp("made") / "d"
    scheduler = kron.Scheduler()
    scheduler.schedule("tick", threading.Event().wait, every="1h", overlap="skip")
    scheduler.schedule("late", print, cron="0 8 * * *")
    scheduler.start(directory)
    for sealed in range(4):
        for number in range(5):
            scheduler.pause("late")
            scheduler.resume("late")
            scheduler.schedule(f"t{sealed}{number}", print, every="1h")
        if sealed < 3:
            compact(scheduler)
    scheduler.shutdown()
    return directory


@pytest.fixture
def made(made_once: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "d"
    shutil.copytree(made_once, copy, ignore=shutil.ignore_patterns("*.sock"))
    return copy


@pytest.fixture
def doctor(made: Path) -> Kron:
    return Kron(made)


def sealed(directory: Path) -> list[Path]:
    found = [path for path in directory.glob("kron.aof.*") if path.suffix[1:].isdigit()]
    return sorted(found, key=lambda path: int(path.suffix[1:]))


def last(path: Path) -> int:
    return int(path.suffix[1:])


def flip(path: Path, line: int, column: int = 40) -> int:
    """Flip a bit on a line (0 = the header); returns the byte where the line begins."""
    lines = path.read_bytes().splitlines(keepends=True)
    offset = sum(map(len, lines[:line]))
    content = bytearray(path.read_bytes())
    content[offset + min(column, len(lines[line]) - 3)] ^= 1
    path.write_bytes(content)
    return offset


def log_id(directory: Path) -> str:
    return LogReader(directory).log_id


def timers(directory: Path) -> set[str]:
    return {timer["id"] for timer in Kron(directory).json("job", "list")}


def words(text: str) -> str:
    return " ".join(text.split())


def problems(doctor: Kron, code: int = 1) -> list[dict[str, Any]]:
    found = orjson.loads(doctor("doctor", "--json", code=code).stdout)["problems"]
    assert isinstance(found, list)
    return found


def check_refused(doctor: Kron) -> None:
    """Nothing changes without --repair, and nothing without a yes."""
    before = files_of(doctor.directory)
    doctor("doctor", code=1)
    doctor("doctor", "--repair", code=2)
    doctor("log", "verify", code=1)
    assert files_of(doctor.directory) == before


def repaired(doctor: Kron, code: int = 0) -> set[str]:
    """Repair it; the copies are what was there. Returns their names."""
    before = files_of(doctor.directory)
    doctor("doctor", "--repair", "--yes", code=code)
    kept: dict[str, bytes | None] = {}
    for copies in doctor.directory.glob("kron.repair-*"):
        assert copies.stat().st_mode & 0o777 == 0o700 and not kept
        kept = files_of(copies)
    assert all(before[name] == content for name, content in kept.items())
    after = files_of(doctor.directory)
    changed = {name for name in before.keys() - KEPT if after.get(name) != before[name]}
    assert changed <= kept.keys()
    return set(kept)


def check_start(directory: Path) -> list[str]:
    """It starts, on the records that are left; returns the events that the start wrote."""
    scheduler = kron.Scheduler()
    scheduler.start(directory)
    scheduler.shutdown()
    Kron(directory)("doctor")
    Kron(directory)("log", "verify")
    return [entry["event"] for entry in Kron(directory).json("log", "tail", "-n", "3")]


def becomes_of_a_start(directory: Path) -> int | None:
    """On a copy: None if it is refused, else the last record before it."""
    copy = directory.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("*.sock"))
    scheduler = kron.Scheduler()
    try:
        scheduler.start(copy)
    except kron.KronError:
        return None
    scheduler.shutdown()
    events = Kron(copy).json("log", "tail", "-n", "3")
    return int(next(e["record"] for e in events if e["event"] == "TAIL_CUT")) - 1


# -- a healthy one ----------------------------------------------------------------------------


def test_a_healthy_directory_needs_no_repair(doctor: Kron) -> None:
    before = files_of(doctor.directory)
    assert doctor("doctor").stdout == doctor("doctor", "--repair").stdout
    assert doctor.json("doctor")["problems"] == []
    assert doctor.json("doctor", "--repair")["repaired"] is None
    assert files_of(doctor.directory) == before


# -- records above the snapshots --------------------------------------------------------------


def test_a_damaged_record_costs_what_follows_it(doctor: Kron) -> None:
    log = doctor.directory / "kron.aof"
    offset = flip(log, 4)
    base = last(sealed(doctor.directory)[-1])
    tip = base + len(log.read_bytes().splitlines()) - 1
    (problem,) = problems(doctor)
    assert problem["where"].endswith(f"kron.aof, byte {offset:,}, record {base + 4}")
    assert "checksum" in problem["what"]
    lost = f"{tip - base - 3} records are given up, {base + 4} to {tip}"
    assert problem["repair"] == f"cut kron.aof at byte {offset:,}; {lost}"
    check_refused(doctor)
    assert repaired(doctor) == {"kron.aof"}
    assert problems(doctor, code=0) == []
    assert doctor.json("log", "verify")["records"] == base + 3
    assert check_start(doctor.directory) == ["TAIL_CUT", "SCHEDULER_STARTED", "SCHEDULER_STOPPED"]
    note = next(doctor.directory.glob("kron.aof.torn-*")).read_text()
    assert lost in note and "kron.repair-" in note


def test_a_record_that_contradicts_is_cut_with_what_follows(doctor: Kron) -> None:
    log = doctor.directory / "kron.aof"
    lines = log.read_bytes().splitlines(keepends=True)
    index = last(sealed(doctor.directory)[-1]) + 2
    wrong = encode_record(
        seed_of(log_id(doctor.directory)), index, b'[{"v":1},["TIMER_PAUSED","x",5]]'
    )
    log.write_bytes(b"".join([*lines[:2], wrong, *lines[3:]]))
    (problem,) = problems(doctor)
    assert f"record {index} cannot follow" in problem["what"]
    check_refused(doctor)
    repaired(doctor)
    assert doctor.json("log", "verify")["records"] == index - 1
    assert "TAIL_CUT" in check_start(doctor.directory)


def damage_sealed_above(directory: Path) -> int:
    """The newest snapshot is gone, and the file it stood for is damaged."""
    (directory / "kron.snapshot").unlink()
    flip(sealed(directory)[2], 3)
    return last(sealed(directory)[1]) + 2


def lose_sealed_above(directory: Path) -> int:
    (directory / "kron.snapshot").unlink()
    sealed(directory)[2].unlink()
    return last(sealed(directory)[1])


def damage_both_snapshots(directory: Path) -> int:
    for name in ("kron.snapshot", "kron.snapshot.old"):
        flip(directory / name, 1)
    flip(sealed(directory)[0], 7)
    return 6


def swap_two_names(directory: Path) -> int:
    """What one says in its header contradicts its name; what it has would be newer than the log."""
    _, second, third = sealed(directory)
    for name in ("kron.snapshot", "kron.snapshot.old"):
        flip(directory / name, 1)
    second.rename(directory / "x")
    third.rename(second)
    (directory / "x").rename(third)
    return last(second)


def lose_the_growing_file(directory: Path) -> int:
    (directory / "kron.aof").unlink()
    return last(sealed(directory)[2])


def lose_all_but_the_snapshot(directory: Path) -> int:
    tip = last(sealed(directory)[2])
    for path in [*sealed(directory), directory / "kron.aof"]:
        path.unlink()
    return tip


@pytest.mark.parametrize(
    "harm",
    [
        damage_sealed_above,
        lose_sealed_above,
        damage_both_snapshots,
        swap_two_names,
        lose_the_growing_file,
        lose_all_but_the_snapshot,
    ],
)
def test_the_log_ends_before_what_is_gone(doctor: Kron, harm: Callable[[Path], int]) -> None:
    tip = harm(doctor.directory)
    found = problems(doctor)
    text = found[-1]["where"] + found[-1]["meaning"]
    assert f"record {tip + 1}" in text and f"up to record {tip}" in text
    before = files_of(doctor.directory)
    doctor("doctor", "--repair", code=2)
    assert files_of(doctor.directory) == before
    with pytest.raises(kron.KronError):
        kron.Scheduler().start(doctor.directory)
    repaired(doctor)
    assert doctor.json("log", "verify")["records"] == tip
    assert "TAIL_CUT" in check_start(doctor.directory)


# -- what the state does not need -------------------------------------------------------------


@pytest.mark.parametrize("line", [0, 3])
def test_a_damaged_file_below_the_snapshots_costs_history_only(doctor: Kron, line: int) -> None:
    files = sealed(doctor.directory)
    tip = doctor.json("log", "verify")["records"]
    flip(files[1], line)
    (problem,) = problems(doctor)
    assert "sealed file is damaged" in problem["what"] and files[1].name in problem["where"]
    assert f"after record {last(files[1])}" in problem["repair"]
    check_refused(doctor)
    assert {files[0].name, files[1].name} <= repaired(doctor)
    assert doctor.json("log", "verify")["records"] == tip
    assert "TAIL_CUT" not in check_start(doctor.directory)
    assert "t00" in timers(doctor.directory)


def test_what_follows_the_last_record_of_a_sealed_file_is_cut(doctor: Kron) -> None:
    file = sealed(doctor.directory)[2]
    was = file.read_bytes()
    file.write_bytes(was + b"something")
    (problem,) = problems(doctor)
    assert problem["repair"] == f"cut {file.name} at byte {len(was):,}"
    check_refused(doctor)
    repaired(doctor)
    assert file.read_bytes() == was
    check_start(doctor.directory)


# -- snapshots --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["kron.snapshot", "kron.snapshot.old"])
@pytest.mark.parametrize("line", [0, 1])
def test_a_damaged_snapshot_is_moved_away(doctor: Kron, name: str, line: int) -> None:
    flip(doctor.directory / name, line)
    (problem,) = problems(doctor)
    assert problem["what"] == "the snapshot is damaged" and name in problem["where"]
    other = "kron.snapshot.old" if name == "kron.snapshot" else "kron.snapshot"
    assert f"a start uses {other} " in problem["meaning"]
    check_refused(doctor)
    assert repaired(doctor) == {name}
    assert "TAIL_CUT" not in check_start(doctor.directory)
    assert "t34" in timers(doctor.directory)


def test_a_state_that_is_nowhere_else_is_not_repaired(doctor: Kron) -> None:
    sealed(doctor.directory)[0].unlink()
    for name in ("kron.snapshot", "kron.snapshot.old"):
        flip(doctor.directory / name, 1)
    before = files_of(doctor.directory)
    assert any(problem["repair"] is None for problem in problems(doctor))
    assert "nothing was changed" in doctor("doctor", "--repair", "--yes", code=1).stderr
    assert files_of(doctor.directory) == before


def test_a_snapshot_that_is_newer_than_the_log_is_not_repaired(
    doctor: Kron, made_once: Path
) -> None:
    newest = sealed(doctor.directory)[-1]
    shutil.copyfile(newest, doctor.directory / "kron.aof")
    newest.unlink()
    content = (doctor.directory / "kron.aof").read_bytes().splitlines(keepends=True)
    (doctor.directory / "kron.aof").write_bytes(b"".join(content[:4]))
    assert any("but the log ends at" in problem["what"] for problem in problems(doctor))
    doctor("doctor", "--repair", "--yes", code=1)


# -- files ------------------------------------------------------------------------------------


def test_leftovers_are_harmless_and_removed(doctor: Kron) -> None:
    for name in ("kron.snapshot.tmp", "kron.aof.tmp"):
        (doctor.directory / name).write_bytes(b"half of it")
        (doctor.directory / name).chmod(0o600)
    (doctor.directory / "kron.aof.torn-512-1").write_bytes(b"half")
    (doctor.directory / "kron.aof.torn-512-1").chmod(0o600)
    found = problems(doctor, code=0)
    assert len(found) == 2 and all(problem["harmless"] for problem in found)
    assert "torn-512-1: Kron does not need it, it may be deleted" in words(doctor("doctor").stdout)
    assert repaired(doctor) == {"kron.snapshot.tmp", "kron.aof.tmp"}
    assert not list(doctor.directory.glob("*.tmp"))
    check_start(doctor.directory)


def test_open_files_are_made_private(doctor: Kron) -> None:
    doctor.directory.chmod(0o777)
    (doctor.directory / "kron.aof").chmod(0o644)
    doctor("doctor", "--repair", code=2)
    doctor("doctor", "--repair", "--yes")
    assert doctor.directory.stat().st_mode & 0o777 == 0o700
    assert (doctor.directory / "kron.aof").stat().st_mode & 0o777 == 0o600
    assert not list(doctor.directory.glob("kron.repair-*"))


@pytest.mark.parametrize("content", [b'{"v":1,"ts":"2026"}\n', b"something else\n", b"newer"])
def test_what_is_not_ours_is_never_repaired(doctor: Kron, content: bytes) -> None:
    if content == b"newer":
        header = encode_header(Header("0" * 32, 0)).replace(b'"format":1', b'"format":9')
        payload = header.split(b" ", 2)[2].strip()
        from zlib import crc32

        content = encode_record(crc32(b"kron-log"), 0, payload)
    (doctor.directory / "kron.aof").write_bytes(content)
    (doctor.directory / "kron.lock").chmod(0o644)
    before = files_of(doctor.directory)
    doctor("doctor", "--repair", "--yes", code=1)
    assert files_of(doctor.directory) == before


def test_a_repair_is_refused_while_somebody_has_the_directory(doctor: Kron) -> None:
    flip(doctor.directory / "kron.snapshot", 1)
    lock = DirLock(DataDir(doctor.directory))
    lock.acquire()
    before = files_of(doctor.directory)
    try:
        assert "is in use by" in doctor("doctor", "--repair", "--yes", code=1).stderr
    finally:
        lock.release()
    assert files_of(doctor.directory) == before


def test_a_repair_is_refused_if_the_files_have_changed_meanwhile(doctor: Kron) -> None:
    directory = str(doctor.directory)
    flip(doctor.directory / "kron.snapshot", 1)
    agreed = diagnose(directory)
    flip(doctor.directory / "kron.snapshot.old", 1)
    before = files_of(doctor.directory)
    with pytest.raises(kron.KronError, match="has changed since"):
        repair(directory, lambda: diagnose(directory, has_lock=True), agreed)
    assert {**files_of(doctor.directory), "kron.lock": b""} == {**before, "kron.lock": b""}


class FailsOnce(Exception):
    """The power is gone: whoever repaired is not there any more."""


@pytest.mark.parametrize("harm", [damage_sealed_above, lose_sealed_above, damage_both_snapshots])
def test_a_repair_that_is_cut_short_can_be_made_again(
    made_once: Path, tmp_path: Path, harm: Callable[[Path], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each step a start is refused, or finds the promised records and says TAIL_CUT."""
    calls = 0
    for nth in range(3, 40):  # the first two are those of the lock file
        directory = tmp_path / f"d{nth}"
        shutil.copytree(made_once, directory, ignore=shutil.ignore_patterns("*.sock"))
        tip, calls = harm(directory), 0

        def cut_short(real: Any, *args: Any, nth: int = nth) -> Any:
            nonlocal calls
            calls += 1
            if calls == nth:
                raise FailsOnce
            return real(*args)

        agreed = diagnose(str(directory))
        with monkeypatch.context() as patch:
            for name in ("unlink", "truncate", "rename", "write"):
                patch.setattr(Disk, name, bound(getattr(Disk, name), cut_short))
            with suppress(FailsOnce):
                repair(str(directory), partial(diagnose, str(directory), has_lock=True), agreed)
        assert becomes_of_a_start(directory) in (None, tip)
        Kron(directory)("doctor", "--repair", "--yes")
        assert becomes_of_a_start(directory) == tip
        if calls < nth:
            break
    assert 5 < calls < 39


def bound(real: Any, cut_short: Any) -> Any:
    return lambda self, *args: cut_short(real, self, *args)


# -- what no repair can know, and what one leaves ---------------------------------------------


@pytest.mark.parametrize("snapshots", [2, 1, 0])
def test_an_older_log_put_back_is_named_and_nothing_is_moved(doctor: Kron, snapshots: int) -> None:
    newest = sealed(doctor.directory)[-1]
    shutil.copyfile(newest, doctor.directory / "kron.aof")
    for name in ("kron.snapshot", "kron.snapshot.old")[: 2 - snapshots]:
        (doctor.directory / name).unlink()
    (problem,) = problems(doctor)
    assert f"but {newest.name} was sealed later" in problem["what"]
    assert problem["repair"] is None and not problem["harmless"]
    before = files_of(doctor.directory)
    doctor("doctor", "--repair", "--yes", code=1)
    assert files_of(doctor.directory) == before
    with pytest.raises(kron.KronError, match="was sealed later"):
        kron.Scheduler().start(doctor.directory)


def test_an_empty_log_file_is_begun_anew(doctor: Kron) -> None:
    tip = last(sealed(doctor.directory)[-1])
    (doctor.directory / "kron.aof").write_bytes(b"")
    (problem,) = problems(doctor)
    assert problem["what"].count("header") == 1 and "kron.aof:" not in problem["what"]
    assert f"begin kron.aof anew after record {tip}" in problem["repair"]
    check_refused(doctor)
    assert repaired(doctor) == {"kron.aof"}
    assert doctor.json("log", "verify")["records"] == tip
    assert "TAIL_CUT" in check_start(doctor.directory)


def test_the_note_of_a_repair_is_not_an_unfinished_record(doctor: Kron) -> None:
    flip(doctor.directory / "kron.aof", 4)
    text = words(doctor("doctor", "--repair", "--yes").stdout)
    text += words(doctor("log", "verify").stdout)
    assert text.count("the note of a repair") == 2 and "unfinished" not in text


def test_a_last_line_with_a_wrong_checksum_is_not_called_unfinished(doctor: Kron) -> None:
    log = doctor.directory / "kron.aof"
    flip(log, len(log.read_bytes().splitlines()) - 1)
    if problems(doctor, code=0):
        pytest.fail("a torn tail is no problem")
    text = words(doctor("doctor").stdout)
    assert "its checksum does not match (a torn write, or damage)" in text
    check_start(doctor.directory)
    text = words(doctor("doctor").stdout)
    assert "look at it before you delete it" in text and "may be deleted" not in text


def test_files_below_a_gap_are_tidied_up_and_wrong_in_verify(doctor: Kron) -> None:
    oldest, middle, newest = sealed(doctor.directory)
    middle.unlink()
    text = words(doctor("doctor").stdout)
    assert "all is well" not in text
    assert "nothing keeps a start from working; kron doctor --repair tidies" in text
    text = words(doctor("log", "verify", code=1).stdout)
    assert f"{oldest.name}: not part of the log" in text and newest.name in text
    assert f"{oldest.name} 1 to {last(oldest)} " in text
    assert oldest.name in repaired(doctor)
    check_start(doctor.directory)


def test_one_repair_is_enough_where_the_log_ends_at_the_older_snapshot(doctor: Kron) -> None:
    _, middle, newest = sealed(doctor.directory)
    flip(middle, 3)
    flip(doctor.directory / "kron.snapshot", 1)
    newest.unlink()
    repaired(doctor)
    assert problems(doctor, code=0) == []
    check_start(doctor.directory)


def test_a_repair_that_uncovers_more_says_that_another_is_needed() -> None:
    problem = {"what": "w", "where": "x", "meaning": "m", "repair": "r", "harmless": False}
    check = {"check": "log", "ok": False, "detail": "d"}
    report: Any = {"checks": [check], "data_dir": "d", "problems": [problem]}
    end = doctor_block(report, is_after_repair=True).renderables[-1]
    assert "run kron doctor --repair again" in str(end)


def test_damage_below_the_snapshot_in_a_file_that_goes_on_keeps_the_state(doctor: Kron) -> None:
    directory = doctor.directory
    _, second, third = sealed(directory)
    behind = third.read_bytes().split(b"\n", 1)[1]
    third.write_bytes(second.read_bytes() + behind)
    second.unlink()
    (directory / "kron.snapshot").unlink()
    flip(third, 4)
    (problem,) = problems(doctor)
    assert f"begin kron.aof anew after record {last(second)}" in problem["repair"]
    assert third.name in repaired(doctor)
    assert doctor.json("doctor")["log"]["records"] == last(second)
    scheduler = kron.Scheduler()
    scheduler.start(directory)
    scheduler.shutdown()


def test_one_repair_also_tidies_up_below_a_gap(doctor: Kron) -> None:
    oldest, middle, _ = sealed(doctor.directory)
    middle.unlink()
    flip(doctor.directory / "kron.aof", 4)
    assert {"kron.aof", oldest.name} <= repaired(doctor)
    assert problems(doctor, code=0) == []
    check_start(doctor.directory)


def test_verify_says_how_many_records_it_read(doctor: Kron) -> None:
    oldest = sealed(doctor.directory)[0]
    first, tip = last(oldest) + 1, doctor.json("log", "verify")["records"]
    assert f"all is well: {tip:,} records" in words(doctor("log", "verify").stdout)
    oldest.unlink()
    text = words(doctor("log", "verify").stdout)
    assert f"all is well: {tip - first + 1:,} records, {first:,} to {tip:,}" in text


def test_verify_takes_a_file_that_was_let_go_meanwhile_for_gone(
    doctor: Kron, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = verification.offsets_in
    path = sealed(doctor.directory)[0]

    def trimmed(*args: Any) -> Any:
        path.unlink(missing_ok=True)
        return real(*args)

    Path(f"{path}.index").touch(mode=0o600)
    monkeypatch.setattr(verification, "offsets_in", trimmed)
    assert verification.verify(str(doctor.directory))["ok"]


def test_a_snapshot_that_gets_its_name_while_verify_looks_for_it_is_not_blamed(
    doctor: Kron, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest, aside = doctor.directory / "kron.snapshot", doctor.directory / "kron.snapshot.tmp"
    newest.rename(aside)
    real = DataDir.open_file

    def committed_just_after(self: DataDir, name: str, flags: int) -> int:
        try:
            return real(self, name, flags)
        finally:
            if name == newest.name and aside.exists():
                aside.rename(newest)

    monkeypatch.setattr(DataDir, "open_file", committed_just_after)
    assert verification.verify(str(doctor.directory))["ok"]
    assert newest.exists()


# -- what the owner may do --------------------------------------------------------------------


@pytest.fixture
def owned(doctor: Kron) -> Iterator[Kron]:
    """A copy of somebody whom permissions bind; root steps down, and cannot import any more."""
    doctor("doctor")
    doctor("doctor", "--repair", "--yes")
    root = os.geteuid()
    user = 65534 if root == 0 else root
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        os.chmod(home, 0o755)
        directory = Path(home) / "d"
        shutil.copytree(doctor.directory, directory)
        for path in (directory, *directory.iterdir()):
            os.chown(path, user, -1)
        os.seteuid(user)
        try:
            yield Kron(directory)
        finally:
            os.seteuid(root)
            directory.chmod(0o700)


def wrong(doctor: Kron) -> dict[str, str]:
    report = orjson.loads(doctor("doctor", "--json", code=1).stdout)
    return {each["check"]: each["detail"] for each in report["checks"] if not each["ok"]}


@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_directory_that_its_owner_cannot_use_is_one_wrong_line(owned: Kron, mode: int) -> None:
    owned.directory.chmod(mode)
    found = wrong(owned)
    assert list(found) == ["directory"] and f"chmod 700 {owned.directory}" in found["directory"]
    assert "Errno" not in owned("doctor", code=1).stdout


@pytest.mark.parametrize("mode", [0o400, 0o000])
def test_a_log_that_its_owner_cannot_write_is_made_accessible(owned: Kron, mode: int) -> None:
    log = owned.directory / "kron.aof"
    log.chmod(mode)
    assert f"chmod 600 {log}" in wrong(owned)["files"]
    (problem,) = problems(owned)
    assert problem["repair"] == f"chmod 600 {log}"
    owned("doctor", "--repair", "--yes")
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_lock_file_that_its_owner_cannot_write_is_named(owned: Kron) -> None:
    (owned.directory / "kron.lock").chmod(0o400)
    (problem,) = problems(owned)
    assert problem["repair"] is None and "run: chmod 600" in problem["meaning"]


def test_a_read_only_file_system_is_to_be_remounted(
    doctor: Kron, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.access
    monkeypatch.setattr(access, "may", lambda path, how: not how & os.W_OK and real(path, how))
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert "remount" in wrong(doctor)["directory"]


def test_errors_of_the_system_are_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for args in (["doctor"], ["doctor", "--json"]):
        text = Kron(tmp_path / "file" / "d")(*args, code=1).stdout
        assert "Not a directory" in words(text) and "Errno" not in text


# -- verify, compact --------------------------------------------------------------------------


def test_verify_names_the_timer_whose_snapshot_differs(doctor: Kron) -> None:
    reader = LogReader(doctor.directory)
    newest, _ = reader.snapshots()
    framing = Framing(reader.log_id, newest.index)
    parts = [part.replace(b'"t21"', b'"t2x"') for part in reader.read_snapshot(newest.index)]
    lines = [framing.part(number, part) for number, part in enumerate(parts, 1)]
    content = [framing.header(), *lines, framing.end(len(lines) + 1)]
    (doctor.directory / "kron.snapshot").write_bytes(b"".join(content))
    doctor("doctor")
    text = words(doctor("log", "verify", code=1).stdout)
    assert "timer 't2x': name is t2x in the snapshot, t21 by the records" in text
    result = {
        each["file"]: each["result"]
        for each in orjson.loads(doctor("log", "verify", "--json", code=1).stdout)["files"]
    }
    assert [name for name, word in result.items() if word == "wrong"] == ["kron.snapshot"]


def test_verify_reads_every_file_and_every_index(doctor: Kron) -> None:
    proof = doctor.json("log", "verify")
    assert [each["result"] for each in proof["files"]] == ["ok"] * 6
    index = doctor.directory / f"{sealed(doctor.directory)[1].name}.index"
    if index.exists():
        flip(index, 1)
        assert "is not its index" in words(doctor("log", "verify", code=1).stdout)
        index.unlink()
    sealed(doctor.directory)[0].unlink()
    results = [each["result"] for each in doctor.json("log", "verify")["files"]]
    assert results == ["ok", "ok", "ok", "ok", "whole"]  # the older one is where it begins
    flip(sealed(doctor.directory)[1], 2)
    text = doctor("log", "verify", code=1).stdout
    assert f"{sealed(doctor.directory)[1].name}: " in text and "1 file is wrong" in text


def test_compact_offline_leaves_a_snapshot_and_all_history(doctor: Kron) -> None:
    tip = doctor.json("log", "verify")["records"]
    text = doctor("log", "compact").stdout
    assert f"snapshot of record {tip:,}: " in text and "no history was let go" in text
    report = doctor.json("log", "compact")
    assert report["record"] == tip and report["removed"] == []
    assert len(sealed(doctor.directory)) == 4
    doctor("log", "verify")
    doctor("doctor")


def test_compact_makes_no_directory(tmp_path: Path) -> None:
    result = Kron(tmp_path / "none")("log", "compact", code=1)
    assert "no Kron data" in result.stderr and not (tmp_path / "none").exists()


def test_compact_cuts_a_torn_tail_and_says_so(cli: Kron) -> None:
    cli("log", "compact")
    assert b'"TAIL_CUT"' in sealed(cli.directory)[-1].read_bytes()
    assert (cli.directory / "kron.snapshot").exists()
    cli("log", "verify")


def test_compact_and_verify_beside_a_living_runtime(cli: Kron, live: kron.Scheduler) -> None:
    for name in ("tick", "paused"):
        live.pause(name)
        report = cli.json("log", "compact")
        assert report["snapshot_bytes"] == (cli.directory / "kron.snapshot").stat().st_size
        cli("log", "verify")
        cli("doctor")
    assert "is in use" in cli("doctor", "--repair", "--yes", code=1).stderr


def test_verify_while_the_log_is_compacted_again_and_again(cli: Kron, live: kron.Scheduler) -> None:
    is_over = threading.Event()

    def churn() -> None:
        while not is_over.is_set():
            live.pause("tick")
            live.resume("tick")
            compact(live)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(5):
            cli("log", "verify")
            cli("doctor")
    finally:
        is_over.set()
        thread.join()


# -- a scheduler that has failed --------------------------------------------------------------


class FullDisk(Disk):
    """No file gets longer, but what it has can be overwritten: as a full disk is."""

    is_full = False

    def write(self, fd: int, content: bytes) -> int:
        if self.is_full and self.is_log(fd):
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(fd, content)

    def is_log(self, fd: int) -> bool:
        return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND)


def test_why_a_scheduler_stopped_is_seen_from_another_shell(tmp_path: Path) -> None:
    disk = FullDisk()
    directory = tmp_path / "d"
    scheduler = kron.Scheduler(
        open_log=lambda d, f, i: FileLog(d, fsync=f, interval_s=i, disk=disk)  # type: ignore[arg-type]
    )
    scheduler.start(directory)
    host = scheduler._control.host
    disk.is_full = True
    with pytest.raises(kron.KronStopped):
        scheduler.schedule("lost", print, every="1h")
    assert host is not None
    host.over.result(10)
    shell = Kron(directory)
    for _ in range(2):
        why = f"process {os.getpid()} stopped at"
        assert why in words(shell("doctor", code=1).stdout)
        assert why in shell("runtime", "status", code=1).stderr
        disk.is_full = False
        shell("log", "compact")  # who only visits does not take the word back
    scheduler.shutdown()
    scheduler = kron.Scheduler()
    scheduler.start(directory)
    shell("doctor")
    scheduler.shutdown()
    shell("doctor")
