"""What runs printed: one file a run, the last 64 KiB of it, which grows while the run goes on.

A file that has become too long is replaced by its end, with a first line that says how much is
gone. So a reader without a lock always has one consistent file open, and a position that counts all
bytes ever written means the same before and after.
"""

from __future__ import annotations

import codecs
import logging
import os
import re
import threading
from collections.abc import Iterable
from contextlib import suppress

from kron.core.errors import ScheduleError, StorageError, brief
from kron.storage.datadir import DataDir
from kron.storage.new_file import make_file, remove_leftover, write_all

logger = logging.getLogger("kron.log")

FOLDER = "output"
KEEP_BYTES = 64 * 1024
KEEP_AGE_S = 30 * 86_400.0
KEEP_TOTAL_BYTES = 256 * 1024 * 1024
SWEEP_FILES = 200
"""So many new files, or a tenth of those that are kept, until old ones are looked for again."""

_LOG, _MARK, _NEW = ".log", ".pid", ".new"
_LEAST_BYTES = 4096  # what the shortest file takes on a disk
_LINE_BYTES = 4096  # a cut looks so far for the end of a line
_RUN_ID = re.compile(r"run_[0-9a-z]{26}")
_CUT = re.compile(rb"\[kron: ([0-9,]{1,30}) bytes before this were cut\]\n")


class OutputStore:
    """The outputs in `<data dir>/output/`, of the one scheduler that holds the directory.

    Any thread. Beside the outputs are marks: a few bytes a run that outlive a killed process.
    """

    def __init__(
        self,
        place: DataDir,
        *,
        keep_age_s: float = KEEP_AGE_S,
        keep_total_bytes: int = KEEP_TOTAL_BYTES,
    ) -> None:
        self._dir = DataDir(place.path_of(FOLDER), disk=place.disk)
        self._keep_age_s = keep_age_s
        self._keep_total_bytes = keep_total_bytes
        self._lock = threading.Lock()
        self._open: set[str] = set()
        self._begun = 0
        self._next_sweep = SWEEP_FILES

    def prepare(self, now_s: float) -> None:
        """Make the directory if need be, and let go what is too old at the wall time `now_s`.

        Raises StorageError (UnsafeDataDir is one), as `DataDir.prepare` does. Only whoever holds
        the lock of the data directory may call it.
        """
        self._dir.prepare()
        self.sweep(now_s)

    def begin(self, timer: str, run_id: str, attempt: int, now_s: float) -> FileOutput:
        """What this attempt prints goes here, behind what earlier attempts did."""
        with self._lock:
            self._open.add(run_id)
            self._begun += 1
            is_time = self._begun >= self._next_sweep
            if is_time:
                self._begun = 0
        if is_time:
            self.sweep(now_s)
        return FileOutput(self, self._dir, timer, run_id, attempt)

    def read(self, run_id: str, offset: int = 0) -> tuple[str, int]:
        """See `read_output`, of a run that may go on."""
        return _read(self._dir, run_id, offset, is_over=False)

    def mark(self, run_id: str, text: str) -> None:
        """Leave a mark for whoever comes after a crash, in place of an earlier one. OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        fd = self._dir.open_file(run_id + _MARK, flags)
        try:
            write_all(self._dir.disk, fd, text.encode())
        finally:
            self._dir.disk.close(fd)

    def unmark(self, run_id: str) -> None:
        """Take it away."""
        remove_leftover(self._dir, run_id + _MARK)

    def marks(self) -> dict[str, str]:
        """All of them, by run id. OSError."""
        found = {}
        for run_id in _run_ids(self._dir.disk.names(self._dir.path_of("")), _MARK):
            with suppress(FileNotFoundError):
                found[run_id] = _whole(self._dir, run_id + _MARK).decode(errors="replace")
        return found

    def sweep(self, now_s: float) -> None:
        """Let go of what is too old or too much; never of a run that goes on."""
        try:
            kept = self._sweep(now_s)
        except OSError as exc:
            logger.warning("old outputs in %s cannot be looked for: %s", self._dir.shown, exc)
            return
        with self._lock:
            self._next_sweep = max(SWEEP_FILES, kept // 10)

    def ended(self, run_id: str) -> None:
        """The attempt prints nothing more."""
        with self._lock:
            self._open.discard(run_id)

    def _sweep(self, now_s: float) -> int:
        names = self._dir.disk.names(self._dir.path_of(""))
        with self._lock:
            in_use = set(self._open)
        for run_id in _run_ids(names, _NEW):
            if run_id not in in_use:
                remove_leftover(self._dir, run_id + _NEW)
        files = sorted(self._states(_run_ids(names, _LOG)), reverse=True)
        total_bytes = kept = 0
        for written_s, size_bytes, run_id in files:
            total_bytes += max(size_bytes, _LEAST_BYTES)
            is_past = total_bytes > self._keep_total_bytes or written_s < now_s - self._keep_age_s
            if is_past and run_id not in in_use:
                remove_leftover(self._dir, run_id + _LOG)
            else:
                kept += 1
        return kept

    def _states(self, run_ids: Iterable[str]) -> Iterable[tuple[float, int, str]]:
        for run_id in run_ids:
            with suppress(FileNotFoundError):
                state = self._dir.disk.lstat(self._dir.path_of(run_id + _LOG))
                yield state.st_mtime, state.st_size, run_id


class FileOutput:
    """What one attempt prints. One thread; it opens the file for each write and holds nothing."""

    def __init__(
        self, store: OutputStore, data_dir: DataDir, timer: str, run_id: str, attempt: int
    ) -> None:
        self._store = store
        self._dir = data_dir
        self._run_id = run_id
        self._about = {"timer": timer, "run": run_id, "attempt": attempt}
        self._name = run_id + _LOG
        self._failure = ""
        self._size_bytes = 0
        if attempt > 1:
            self._begin_further(attempt)

    def write(self, chunk: bytes) -> None:
        """Add to it. Nothing is raised: the first failure is the last, and `close` tells it."""
        if self._failure:
            return
        try:
            self._append(chunk)
            if self._size_bytes > 2 * KEEP_BYTES:
                self._cut()
        except (OSError, StorageError) as exc:
            self._fail(exc)

    def close(self) -> str:
        """The end of it; "" or why not all of it was kept."""
        try:
            if not self._failure and self._size_bytes > KEEP_BYTES:
                self._cut()
        except (OSError, StorageError) as exc:
            self._fail(exc)
        self._store.ended(self._run_id)
        return self._failure

    def _begin_further(self, attempt: int) -> None:
        earlier = b""
        with suppress(OSError, StorageError):  # the write will say so
            earlier = _whole(self._dir, self._name)
        self.write(_attempt_line(earlier, attempt))

    def _append(self, chunk: bytes) -> None:
        disk = self._dir.disk
        fd = self._dir.open_file(self._name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            write_all(disk, fd, chunk)
            self._size_bytes = disk.fstat(fd).st_size
        finally:
            disk.close(fd)

    def _cut(self) -> None:
        """Replace the file by its end if it is too long."""
        cut, content = _parts(_whole(self._dir, self._name))
        if len(content) <= KEEP_BYTES:
            return
        gone = _cut_at(content)
        disk, new = self._dir.disk, self._run_id + _NEW
        fd = make_file(self._dir, new)
        try:
            write_all(disk, fd, _cut_line(cut + gone) + content[gone:])
        finally:
            disk.close(fd)
        disk.rename(self._dir.path_of(new), self._dir.path_of(self._name))

    def _fail(self, exc: OSError | StorageError) -> None:
        self._failure = getattr(exc, "strerror", None) or str(exc)
        remove_leftover(self._dir, self._run_id + _NEW)
        text = "the output of %s is not kept any further: %s"
        logger.error(text, self._run_id, exc, extra=self._about)
        with suppress(OSError, StorageError):  # said already
            self._append(f"\n[kron: the rest could not be kept: {self._failure}]\n".encode())


class MemoryOutputs:
    """The same for a scheduler without a directory: the latest runs, as long as it lives."""

    RUNS = 1_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outputs: dict[str, MemoryOutput] = {}
        self._marks: dict[str, str] = {}

    def prepare(self, now_s: float) -> None:
        """Nothing is to be done."""

    def begin(self, timer: str, run_id: str, attempt: int, now_s: float) -> MemoryOutput:
        """As `OutputStore.begin`."""
        with self._lock:
            output = self._outputs.pop(run_id, None) or MemoryOutput()
            self._outputs[run_id] = output  # the latest is last
            while len(self._outputs) > self.RUNS:
                del self._outputs[next(iter(self._outputs))]
        if attempt > 1:
            output.begin_further(attempt)
        return output

    def read(self, run_id: str, offset: int = 0) -> tuple[str, int]:
        """As `OutputStore.read`."""
        with self._lock:
            output = self._outputs.get(run_id)
        return ("", offset) if output is None else output.read(offset)

    def mark(self, run_id: str, text: str) -> None:
        """As `OutputStore.mark`."""
        self._marks[run_id] = text

    def unmark(self, run_id: str) -> None:
        """As `OutputStore.unmark`."""
        self._marks.pop(run_id, None)

    def marks(self) -> dict[str, str]:
        """As `OutputStore.marks`."""
        return dict(self._marks)


class MemoryOutput:
    """As `FileOutput`, over all attempts of a run."""

    def __init__(self) -> None:
        self._kept: tuple[int, bytes] = (0, b"")

    def begin_further(self, attempt: int) -> None:
        """Another attempt prints behind the earlier ones."""
        self.write(_attempt_line(self._kept[1], attempt))

    def write(self, chunk: bytes) -> None:
        """As `FileOutput.write`."""
        cut, content = self._kept
        content += chunk
        gone = _cut_at(content) if len(content) > 2 * KEEP_BYTES else 0
        self._kept = cut + gone, content[gone:]

    def close(self) -> str:
        """As `FileOutput.close`."""
        cut, content = self._kept
        gone = _cut_at(content) if len(content) > KEEP_BYTES else 0
        self._kept = cut + gone, content[gone:]
        return ""

    def read(self, offset: int) -> tuple[str, int]:
        """As `read_output`."""
        return _from(*self._kept, offset, is_over=False)


def read_output(
    place: DataDir, run_id: str, offset: int = 0, *, is_over: bool = True
) -> tuple[str, int]:
    """What a run printed from `offset` on, and the offset to read on from; needs no lock.

    An offset counts all bytes the run ever printed. If some behind it are gone, the text begins
    with a line that says how many. What is no UTF-8 becomes U+FFFD; while the run goes on (not
    `is_over`), half a character at the end waits for its rest. ("", offset) if the run printed
    nothing, or its output was let go. Raises ScheduleError for what is no run id, and
    UnsafeDataDir or OSError for a file that cannot be read.
    """
    folder = DataDir(place.path_of(FOLDER), disk=place.disk, read_only=True)
    return _read(folder, run_id, offset, is_over=is_over)


def _read(folder: DataDir, run_id: str, offset: int, *, is_over: bool) -> tuple[str, int]:
    if not _RUN_ID.fullmatch(run_id):
        raise ScheduleError(f"{brief(run_id)} is no run id. Run ids are in `kron job history`.")
    try:
        cut, content = _parts(_whole(folder, run_id + _LOG))
    except (FileNotFoundError, NotADirectoryError):
        return "", offset
    return _from(cut, content, offset, is_over=is_over)


def _from(cut: int, content: bytes, offset: int, *, is_over: bool) -> tuple[str, int]:
    lost = max(cut - offset, 0)
    fresh = content[max(offset - cut, 0) :]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(fresh, final=is_over)
    waiting = len(decoder.getstate()[0])
    head = _cut_line(lost).decode() if lost else ""
    return head + text, max(offset, cut) + len(fresh) - waiting


def _whole(folder: DataDir, name: str) -> bytes:
    """The bytes of a file as it is now; one that is replaced meanwhile stays what it was."""
    disk = folder.disk
    fd = folder.open_file(name, os.O_RDONLY)
    try:
        pieces, size_bytes = [], 0
        while piece := disk.pread(fd, 4 * KEEP_BYTES, size_bytes):
            pieces.append(piece)
            size_bytes += len(piece)
    finally:
        disk.close(fd)
    return b"".join(pieces)


def _parts(whole: bytes) -> tuple[int, bytes]:
    """How many bytes are gone, as the first line says, and the others."""
    line = _CUT.match(whole)
    if line is None:
        return 0, whole
    return int(line[1].replace(b",", b"") or b"0"), whole[line.end() :]


def _cut_at(content: bytes) -> int:
    """Where what is kept begins: with a whole line, unless lines are very long."""
    start = len(content) - KEEP_BYTES
    end_of_line = content.find(b"\n", start - 1, start + _LINE_BYTES)
    return start if end_of_line < 0 else end_of_line + 1


def _attempt_line(earlier: bytes, attempt: int) -> bytes:
    is_open = earlier and not earlier.endswith(b"\n")
    return (b"\n" if is_open else b"") + b"[kron: attempt %d]\n" % attempt


def _cut_line(size_bytes: int) -> bytes:
    return f"[kron: {size_bytes:,} bytes before this were cut]\n".encode()


def _run_ids(names: Iterable[str], ending: str) -> list[str]:
    """The runs that have a file of this kind; other files are not ours."""
    stems = [name.removesuffix(ending) for name in names if name.endswith(ending)]
    return [stem for stem in stems if _RUN_ID.fullmatch(stem)]
