"""The repair: copies what it will touch, then does what the diagnosis named, and nothing else.

Each step leaves a log that a start refuses, until the last one leaves a log that it takes: a repair
that is killed half-way has lost nothing, and can be made again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, TypedDict

from kron.core.errors import StorageError
from kron.storage.datadir import DataDir
from kron.storage.lines import encode_header
from kron.storage.lock import DirLock, locked_by
from kron.storage.new_file import make_file, write_all
from kron.storage.segments import LOG_NAME, NEXT_NAME

from .diagnosis import CutOff, Finding, GiveUp, SetAside, SetMode, Step


class RepairReport(TypedDict):
    """What a repair did; `copies` is the directory with what the files were before, or None."""

    copies: str | None
    done: list[str]


def repair(
    data_dir: str, diagnose: Callable[[], list[Finding]], agreed: list[Finding]
) -> RepairReport:
    """Mend what was `agreed` on, under the lock, if `diagnose` still finds just that.

    Raises DataDirLocked if a runtime has the directory, StorageError if it is not any more as it
    was when that was agreed, or if the copies cannot be made: then nothing has been changed.
    """
    place = DataDir(data_dir)
    lock = DirLock(place)
    lock.acquire()
    try:
        with ExitStack() as held:
            _lock_log(place, held, agreed)
            if diagnose() != agreed:
                raise StorageError(
                    f"{data_dir} has changed since it was examined. Nothing was repaired; look"
                    " again."
                )
            return _carry_out(place, agreed)
    except OSError as exc:
        where = exc.filename or data_dir
        raise StorageError(f"{where}: {exc.strerror}. The repair is not complete.") from exc
    finally:
        lock.release()


def _lock_log(place: DataDir, held: ExitStack, agreed: list[Finding]) -> None:
    """Who removes `kron.lock` does not let a second writer in; see storage/recovery.py."""
    if place.exists(LOG_NAME):
        try:
            fd = place.open_file(LOG_NAME, os.O_RDWR)
        except PermissionError:
            if any(SetMode(LOG_NAME, 0o600) in each.steps for each in agreed):
                return  # to be made accessible: nothing in it is changed before
            raise
        held.callback(place.disk.close, fd)
        if not place.disk.try_lock(fd):
            raise locked_by(place, None)


def _carry_out(place: DataDir, agreed: list[Finding]) -> RepairReport:
    steps = [step for finding in agreed for step in finding.steps]
    touched = {name for step in steps for name in _touched(place, step)}
    copies = _copy(place, sorted(touched)) if touched else None
    for step in steps:
        _STEPS[type(step)](place, step, copies)
    place.sync()
    done = [str(each.problem["repair"]) for each in agreed if each.steps]
    return RepairReport(copies=copies and place.show(copies), done=done)


def _touched(place: DataDir, step: Step) -> Iterable[str]:
    names: list[str | None] = []
    match step:
        case SetAside(name) | CutOff(name, _):
            names = [name, f"{name}.index"]
        case GiveUp():
            names = [step.name, LOG_NAME, step.name and f"{step.name}.index"]
        case SetMode():
            pass
    return [name for name in names if name and place.exists(name)]


# -- copies ------------------------------------------------------------------------------------


def _copy(place: DataDir, names: list[str]) -> str:
    """Copy files into a new directory beside them, all of it on the medium; returns its name."""
    directory = f"kron.repair-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    aside = DataDir(place.path_of(directory), disk=place.disk)
    place.disk.mkdir(place.path_of(directory), 0o700)
    try:
        for name in names:
            _copy_file(place, aside, name)
        aside.sync()
        place.sync()
    except OSError as exc:
        shutil.rmtree(place.path_of(directory), ignore_errors=True)
        raise StorageError(
            f"{place.show(directory)}: the copies could not be made ({exc.strerror}). Nothing was"
            " changed; make room."
        ) from exc
    return directory


def _copy_file(place: DataDir, aside: DataDir, name: str) -> None:
    with ExitStack() as opened:
        source = place.open_file(name, os.O_RDONLY)
        opened.callback(place.disk.close, source)
        target = make_file(aside, name)
        opened.callback(place.disk.close, target)
        offset = 0
        while content := place.disk.pread(source, 1 << 20, offset):
            write_all(place.disk, target, content)
            offset += len(content)
        place.disk.fsync(target)


# -- the steps ---------------------------------------------------------------------------------


def _set_mode(place: DataDir, step: SetMode, copies: str | None) -> None:
    os.chmod(place.path_of(step.name), step.mode)


def _set_aside(place: DataDir, step: SetAside, copies: str | None) -> None:
    for name in _touched(place, step):
        place.disk.unlink(place.path_of(name))
    place.sync()


def _cut_off(place: DataDir, step: CutOff, copies: str | None) -> None:
    _end_with(place, step.name, step.offset, b"")


def _give_up(place: DataDir, step: GiveUp, copies: str | None) -> None:
    """The note is an unfinished record: the next start, whoever makes it, keeps it aside, cuts it
    and says so in a TAIL_CUT."""
    note = f"{step.note}; the files are in {copies}".encode()
    if step.name is None:
        fd = make_file(place, NEXT_NAME)
        try:
            write_all(place.disk, fd, encode_header(step.header) + note)
            place.disk.fsync(fd)
        finally:
            place.disk.close(fd)
        _rename(place, NEXT_NAME)
        return
    _end_with(place, step.name, step.offset, note)
    if step.name != LOG_NAME:
        _rename(place, step.name)


def _end_with(place: DataDir, name: str, offset: int, note: bytes) -> None:
    """Until the file is shorter the damage is as good as it was: whole records are behind it."""
    fd = place.open_file(name, os.O_WRONLY)
    try:
        if note:
            os.pwrite(fd, note, offset)
        place.disk.truncate(fd, offset + len(note))
        place.disk.fsync(fd)
    finally:
        place.disk.close(fd)


def _rename(place: DataDir, name: str) -> None:
    place.sync()
    place.disk.rename(place.path_of(name), place.path_of(LOG_NAME))
    place.sync()


_STEPS: dict[type, Callable[[DataDir, Any, str | None], None]] = {
    SetMode: _set_mode,
    SetAside: _set_aside,
    CutOff: _cut_off,
    GiveUp: _give_up,
}
