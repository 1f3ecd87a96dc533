"""What runs printed: cuts, reading on over them, what is let go, and disks that fail."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from kron.core.errors import ScheduleError, UnsafeDataDir
from kron.storage.datadir import DataDir
from kron.storage.disk import Disk
from kron.storage.output import (
    KEEP_BYTES,
    SWEEP_FILES,
    FileOutput,
    MemoryOutput,
    MemoryOutputs,
    OutputStore,
    read_output,
)

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0


def run_id(number: int = 1) -> str:
    return f"run_{number:026d}"


RUN = run_id()


@pytest.fixture
def place(tmp_path: Path) -> DataDir:
    place = DataDir(tmp_path / "kron")
    place.prepare()
    return place


@pytest.fixture
def store(place: DataDir) -> OutputStore:
    store = OutputStore(place)
    store.prepare(NOW_S)
    return store


@pytest.fixture(params=["file", "memory"])
def outputs(request: pytest.FixtureRequest) -> OutputStore | MemoryOutputs:
    if request.param == "memory":
        return MemoryOutputs()
    store: OutputStore = request.getfixturevalue("store")
    return store


def printed(outputs: OutputStore | MemoryOutputs, *chunks: bytes, attempt: int = 1) -> str:
    output = outputs.begin("t", RUN, attempt, NOW_S)
    for chunk in chunks:
        output.write(chunk)
    assert output.close() == ""
    return outputs.read(RUN)[0]


# -- what both kinds do -------------------------------------------------------------------------


def test_what_was_printed_is_read(outputs: OutputStore | MemoryOutputs) -> None:
    assert printed(outputs, b"one\n", "zwö\n".encode()) == "one\nzwö\n"
    assert outputs.read(RUN, 4) == ("zwö\n", 9)
    assert outputs.read(RUN, 9) == ("", 9)
    assert outputs.read(run_id(2), 7) == ("", 7)


def test_further_attempts_have_a_line_of_their_own(outputs: OutputStore | MemoryOutputs) -> None:
    printed(outputs, b"no end of line")
    assert printed(outputs, b"x\n", attempt=2) == "no end of line\n[kron: attempt 2]\nx\n"
    assert printed(outputs, attempt=3).endswith("x\n[kron: attempt 3]\n")


def test_the_end_is_kept_and_the_cut_is_told(outputs: OutputStore | MemoryOutputs) -> None:
    lines = [b"%06d\n" % number for number in range(60_000)]
    text = printed(outputs, *(b"".join(lines[at : at + 99]) for at in range(0, 60_000, 99)))
    head, _, rest = text.partition("\n")
    kept = KEEP_BYTES // 7
    assert rest == b"".join(lines[-kept:]).decode()
    assert head == f"[kron: {7 * (60_000 - kept):,} bytes before this were cut]"
    assert outputs.read(RUN)[1] == 420_000
    assert outputs.read(RUN, 420_000 - 7) == ("059999\n", 420_000)


def test_a_cut_is_made_in_a_line_that_is_too_long(outputs: OutputStore | MemoryOutputs) -> None:
    text = printed(outputs, b"x" * 1_000_000)
    assert text == f"[kron: {1_000_000 - KEEP_BYTES:,} bytes before this were cut]\n" + (
        "x" * KEEP_BYTES
    )


def test_a_cut_counts_what_earlier_attempts_lost(outputs: OutputStore | MemoryOutputs) -> None:
    printed(outputs, b"x\n" * 100_000)
    text = printed(outputs, b"y\n" * 100_000, attempt=2)
    marker = len("[kron: attempt 2]\n")
    assert text.startswith(f"[kron: {400_000 + marker - KEEP_BYTES:,} bytes before this were cut]")
    assert outputs.read(RUN)[1] == 400_000 + marker


def test_somebody_who_follows_misses_nothing(outputs: OutputStore | MemoryOutputs) -> None:
    output, offset, seen = outputs.begin("t", RUN, 1, NOW_S), 0, ""
    for number in range(40_000):
        output.write(b"%06d\n" % number)
        if number % 1_000 == 0:
            text, offset = outputs.read(RUN, offset)
            seen += text
    output.close()
    seen += outputs.read(RUN, offset)[0]
    assert seen == "".join(f"{number:06d}\n" for number in range(40_000))


def test_somebody_who_follows_too_slowly_is_told(outputs: OutputStore | MemoryOutputs) -> None:
    output = outputs.begin("t", RUN, 1, NOW_S)
    output.write(b"first\n")
    _, offset = outputs.read(RUN)
    output.write(b"y\n" * 150_000)
    text, end = outputs.read(RUN, offset)
    kept = len(text.partition("\n")[2])
    assert text.startswith(f"[kron: {300_000 - kept:,} bytes before this were cut]\ny\n")
    assert end == 300_006


def test_half_a_character_waits_for_its_rest(outputs: OutputStore | MemoryOutputs) -> None:
    output = outputs.begin("t", RUN, 1, NOW_S)
    output.write("aé".encode()[:-1])
    assert outputs.read(RUN) == ("a", 1)
    output.write("é".encode()[1:] + b"\xff.")
    assert outputs.read(RUN, 1) == ("é\ufffd.", 5)


def test_marks_are_left_replaced_and_taken_away(outputs: OutputStore | MemoryOutputs) -> None:
    outputs.mark(RUN, "one, and long")
    outputs.mark(run_id(2), "two")
    outputs.mark(RUN, "three")
    assert outputs.marks() == {RUN: "three", run_id(2): "two"}
    outputs.unmark(RUN)
    outputs.unmark(RUN)
    assert outputs.marks() == {run_id(2): "two"}


def test_memory_keeps_the_latest_runs() -> None:
    outputs = MemoryOutputs()
    for number in range(MemoryOutputs.RUNS + 1):
        outputs.begin("t", run_id(number), 1, NOW_S).write(b"x")
    assert outputs.read(run_id(0)) == ("", 0) and outputs.read(run_id(1)) == ("x", 1)


# -- files --------------------------------------------------------------------------------------


def test_nobody_else_can_read_it(store: OutputStore, place: DataDir) -> None:
    store.begin("t", RUN, 1, NOW_S).write(b"x")
    store.mark(RUN, "x")
    folder = Path(place.path_of("output"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == 2


def test_a_run_that_prints_nothing_has_no_file(store: OutputStore, place: DataDir) -> None:
    assert store.begin("t", RUN, 1, NOW_S).close() == ""
    assert os.listdir(place.path_of("output")) == []


def test_it_is_read_without_a_lock_by_the_run_id(store: OutputStore, place: DataDir) -> None:
    output = store.begin("t", RUN, 1, NOW_S)
    output.write("aé".encode()[:-1])
    reader = DataDir(place.shown, read_only=True)
    assert read_output(reader, RUN) == ("a\ufffd", 2)
    assert read_output(reader, RUN, is_over=False) == ("a", 1)
    assert read_output(reader, run_id(2)) == ("", 0)
    assert read_output(DataDir("/nonexistent", read_only=True), RUN) == ("", 0)
    for text in ("../kron.token", "run_", "run_" + "A" * 26, RUN + "\n"):
        with pytest.raises(ScheduleError, match="is no run id"):
            read_output(reader, text)


def test_a_reader_beside_cuts_sees_whole_lines_in_order(store: OutputStore, place: DataDir) -> None:
    """Each file is replaced in one step: who reads has the old one or the new one."""
    output, is_over = store.begin("t", RUN, 1, NOW_S), threading.Event()

    def write() -> None:
        for number in range(0, 400_000, 500):
            output.write(b"".join(b"%06d\n" % n for n in range(number, number + 500)))
        is_over.set()

    writer = threading.Thread(target=write)
    writer.start()
    offset, rest, seen = 0, "", [-1]
    while not is_over.is_set():
        text, offset = read_output(place, RUN, offset, is_over=False)
        head, _, behind = text.partition("\n")
        text = behind if head.startswith("[kron: ") else rest + text
        *lines, rest = text.split("\n")
        seen += map(int, lines)
    assert seen == sorted(set(seen)) and len(seen) > 1_000
    writer.join()
    assert read_output(place, RUN)[1] == 7 * 400_000


def test_a_link_in_the_way_is_not_followed(store: OutputStore, place: DataDir) -> None:
    target = Path(place.path_of("kron.token"))
    target.write_text("s3cret")
    Path(place.path_of(f"output/{RUN}.log")).symlink_to(target)
    output = store.begin("t", RUN, 1, NOW_S)
    output.write(b"x")
    assert "is a symbolic link" in output.close()
    assert target.read_text() == "s3cret"
    with pytest.raises(UnsafeDataDir):
        read_output(place, RUN)


class FullDisk(Disk):
    """Takes so many bytes more."""

    left_bytes = 1 << 40

    def write(self, fd: int, content: bytes) -> int:
        if self.left_bytes <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(fd, content[: self.left_bytes])
        self.left_bytes -= written
        return written


def test_a_full_disk_is_said_once_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk()
    store = OutputStore(DataDir(tmp_path, disk=disk))
    store.prepare(NOW_S)
    output = store.begin("t", RUN, 1, NOW_S)
    output.write(b"kept\n")
    disk.left_bytes = 4
    output.write(b"half of it\n")
    output.write(b"lost\n")
    assert output.close() == "No space left on device"
    assert [r.getMessage() for r in caplog.records] == [
        f"the output of {RUN} is not kept any further: [Errno 28] No space left on device"
    ]
    assert store.read(RUN)[0] == "kept\nhalf"
    disk.left_bytes = 1 << 40
    assert printed(store, b"again\n", attempt=2) == "kept\nhalf\n[kron: attempt 2]\nagain\n"


def test_a_cut_that_fails_leaves_what_there_was(tmp_path: Path) -> None:
    disk = FullDisk()
    store = OutputStore(DataDir(tmp_path, disk=disk))
    store.prepare(NOW_S)
    output = store.begin("t", RUN, 1, NOW_S)
    for _ in range(128):
        output.write(b"x" * 1023 + b"\n")
    disk.left_bytes = 2_000
    output.write(b"the last\n")
    assert output.close() == "No space left on device"
    assert store.read(RUN)[0].startswith("x" * 1023 + "\n")
    assert os.listdir(tmp_path / "output") == [f"{RUN}.log"]


# -- what is let go -----------------------------------------------------------------------------


def write_aged(store: OutputStore, place: DataDir, number: int, age_s: float, size: int) -> None:
    output = store.begin("t", run_id(number), 1, NOW_S)
    output.write(b"x" * size)
    output.close()
    written_s = NOW_S - age_s
    os.utime(place.path_of(f"output/{run_id(number)}.log"), (written_s, written_s))


def kept(place: DataDir) -> list[int]:
    return sorted(int(name[4:30]) for name in os.listdir(place.path_of("output")))


def test_what_is_too_old_goes_at_a_start(store: OutputStore, place: DataDir) -> None:
    for number, days in enumerate([31, 29.9, 0, 400]):
        write_aged(store, place, number, days * DAY_S, 10)
    OutputStore(place).prepare(NOW_S)
    assert kept(place) == [1, 2]
    OutputStore(place, keep_age_s=DAY_S).prepare(NOW_S)
    assert kept(place) == [2]


def test_of_too_much_the_newest_is_kept(store: OutputStore, place: DataDir) -> None:
    for number in range(6):
        write_aged(store, place, number, number * 60.0, 20_000)
    write_aged(store, place, 6, -60.0, 1)  # counts as what it takes on the disk
    OutputStore(place, keep_total_bytes=64_096).prepare(NOW_S)
    assert kept(place) == [0, 1, 2, 6]


def test_a_run_that_goes_on_keeps_its_output(store: OutputStore, place: DataDir) -> None:
    output = store.begin("t", RUN, 1, NOW_S)
    output.write(b"x")
    store.sweep(NOW_S + 3650 * DAY_S)
    assert kept(place) == [1]
    output.close()
    store.sweep(NOW_S + 3650 * DAY_S)
    assert kept(place) == []


def test_old_ones_go_while_new_ones_come(place: DataDir) -> None:
    store = OutputStore(place, keep_total_bytes=20 * 4096)
    store.prepare(NOW_S)
    for number in range(3 * SWEEP_FILES):
        write_aged(store, place, number, 1000.0 - number, 1)
    assert len(kept(place)) < SWEEP_FILES + 30


def test_what_a_crash_left_goes_and_other_files_stay(store: OutputStore, place: DataDir) -> None:
    folder = Path(place.path_of("output"))
    (folder / f"{RUN}.new").touch()
    (folder / "notes.log").touch()
    (folder / f"{RUN}.pid").touch()
    for name in ("notes.log", f"{RUN}.pid"):
        os.utime(folder / name, (1, 1))
    store.sweep(NOW_S)
    assert sorted(os.listdir(folder)) == ["notes.log", f"{RUN}.pid"]


def test_both_kinds_offer_the_same() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(MemoryOutputs) - {"RUNS"} <= public(OutputStore)
    assert public(FileOutput) <= public(MemoryOutput)
