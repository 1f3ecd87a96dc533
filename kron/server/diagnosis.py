"""What is wrong with a data directory, what it means, and what a repair would do about it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple, TypedDict

from kron.core.errors import StorageError
from kron.storage.datadir import DataDir
from kron.storage.indexer import TEMPORARY_NAME as INDEX_TEMPORARY
from kron.storage.lines import MAX_RECORD_BYTES, Header
from kron.storage.lock import LOCK_NAME
from kron.storage.segments import LOG_NAME, NEXT_NAME
from kron.storage.snapshots import TEMPORARY_NAME as SNAPSHOT_TEMPORARY

from .access import lacks_access, may_read, may_write, why_not_writable
from .address import SOCKET_NAME
from .survey import Flaw, Stop, Survey
from .tail import NOTE

OPEN_TO_OTHERS = 0o077
RESTORE = "nothing: restore the directory from a copy"
_KEPT = re.compile(r"kron\.aof\.torn-\d+-\d+|kron\.repair-\w+")
_TEMPORARY = {
    NEXT_NAME: "a new log file that was not used yet",
    SNAPSHOT_TEMPORARY: "a snapshot whose writing was cut short",
    INDEX_TEMPORARY: "an index whose making was cut short",
}


class Problem(TypedDict):
    """One thing that is wrong. `repair` says what `kron doctor --repair` does about it, None = it
    can do nothing; a `harmless` one neither stops a start nor loses anything."""

    what: str
    where: str
    meaning: str
    repair: str | None
    harmless: bool


# -- the steps of a repair ---------------------------------------------------------------------


class SetMode(NamedTuple):
    """chmod; an empty name is the directory itself."""

    name: str
    mode: int


class SetAside(NamedTuple):
    """Take a file out; its copy stays."""

    name: str


class CutOff(NamedTuple):
    """Take away what a file has from byte `offset` on, where there should be nothing."""

    name: str
    offset: int


class GiveUp(NamedTuple):
    """Let the log end before record `record`: at byte `offset` of `name`, which becomes kron.aof;
    without a `name`, kron.aof begins anew with `header`. `note` goes where the log was cut."""

    record: int
    name: str | None
    offset: int
    header: Header
    note: str


Step = SetMode | SetAside | CutOff | GiveUp


class Finding(NamedTuple):
    """A problem, and the steps that its repair takes."""

    problem: Problem
    steps: list[Step]


def findings(place: DataDir, found: Survey) -> list[Finding]:
    """What a survey means; in the order in which the steps have to be taken."""
    if found.sealed_later is not None:  # all else follows from which of the two is the right one
        return [_older(place, found, found.sealed_later)]
    return [*_snapshots(place, found), *_history(place, found), *_log(place, found)]


def fixed(problem: Problem) -> Finding:
    """A problem that no step mends."""
    return Finding(problem, [])


# -- files as such -----------------------------------------------------------------------------


def open_files(place: DataDir) -> list[Finding]:
    """A directory that everybody can write, and files that others can read. Raises OSErrors."""
    found = []
    if is_open_to_all(place):
        problem = problem_of(
            "the directory can be written by everybody",
            place.shown,
            "others can replace the files; a start is refused",
            f"chmod 700 {place.shown}",
        )
        found.append(Finding(problem, [SetMode("", 0o700)]))
    path = place.path_of("")
    if os.path.isdir(path) and not (may_read(path) and may_write(path)):
        meaning = f"a start is refused; {why_not_writable(place)}"
        what = f"the directory cannot be {'written' if may_read(path) else 'read'}"
        found.append(fixed(problem_of(what, place.shown, meaning, None)))
        if not may_read(path):
            return found
    names = sorted(os.listdir(path))
    found += [_closed(place, name) for name in names if lacks_access(place, name)]
    for name in names:
        if not is_open(place, name) or lacks_access(place, name):
            continue
        problem = problem_of(
            f"the file is open to others (mode {_mode(place, name):04o})",
            place.show(name),
            "others can read what the timers are called with, or change it",
            f"chmod 600 {place.show(name)}",
        )
        found.append(Finding(problem, [SetMode(name, 0o600)]))
    return found


def _closed(place: DataDir, name: str) -> Finding:
    where, remedy = place.show(name), f"chmod 600 {place.show(name)}"
    what = f"the file cannot be read and written by its owner (mode {_mode(place, name):04o})"
    if name == LOCK_NAME:  # no repair without the lock
        return fixed(problem_of(what, where, f"a start is refused; run: {remedy}", None))
    return Finding(problem_of(what, where, "a start is refused", remedy), [SetMode(name, 0o600)])


def leftovers(place: DataDir, *, is_between: bool) -> list[Finding]:
    """Temporary files of a process that was killed; for a directory that nobody uses."""
    found = []
    for name, kind in _TEMPORARY.items():
        if not place.exists(name) or (name == NEXT_NAME and is_between):
            continue
        problem = problem_of(
            f"{kind}: the process was killed then",
            place.show(name),
            "nothing is lost, no record is in it; the next start or compaction removes it",
            f"remove {name}",
            is_harmless=True,
        )
        found.append(Finding(problem, [SetAside(name)]))
    return found


def has_whole_line(place: DataDir, name: str) -> bool:
    """Whether what a start cut off is more than an unfinished record. Raises OSErrors."""
    if ".torn-" not in name:
        return False
    fd = place.disk.open(place.path_of(name), os.O_RDONLY)
    try:
        return b"\n" in place.disk.pread(fd, MAX_RECORD_BYTES, 0)
    finally:
        place.disk.close(fd)


def kept_aside(place: DataDir) -> list[str]:
    """What starts and repairs have kept: unfinished records, copies. All of it may be deleted."""
    return sorted(name for name in os.listdir(place.path_of("")) if _KEPT.fullmatch(name))


def is_open_to_all(place: DataDir) -> bool:
    """Whether everybody can write the directory. Raises OSErrors."""
    state = os.lstat(place.path_of(""))
    return stat.S_ISDIR(state.st_mode) and bool(state.st_mode & stat.S_IWOTH)


def is_open(place: DataDir, name: str) -> bool:
    """Whether a file of Kron's can be read or written by others. Raises OSErrors."""
    try:
        state = os.lstat(place.path_of(name))
    except FileNotFoundError:  # a living runtime has renamed it meanwhile
        return False
    if not stat.S_ISREG(state.st_mode) and name != SOCKET_NAME:
        return False
    return name.startswith("kron.") and bool(state.st_mode & OPEN_TO_OTHERS)


def _mode(place: DataDir, name: str) -> int:
    return stat.S_IMODE(os.lstat(place.path_of(name)).st_mode)


# -- snapshots ---------------------------------------------------------------------------------


def _snapshots(place: DataDir, found: Survey) -> Iterator[Finding]:
    for seen in found.snapshots:
        is_late = seen.record is not None and seen.problem is None and seen.record > found.end
        if is_late:
            yield fixed(
                problem_of(
                    f"it stands for record {seen.record:,}, but the log ends at {found.end:,}",
                    place.show(seen.name),
                    "records are missing, perhaps an older log was put here; a start is refused",
                    None,
                )
            )
        elif seen.problem is not None:
            yield _damaged(place, found, seen.name, seen.problem)


def _damaged(place: DataDir, found: Survey, name: str, why: str) -> Finding:
    where = f"{place.show(name)}{_byte_in(why)}"
    if found.begins_at is None:
        meaning = "no other whole snapshot stands for the records that are gone: no start"
        return fixed(problem_of("the snapshot is damaged", where, meaning, None))
    begins = found.snapshot or "record 1"
    meaning = f"a start uses {begins} and reads {found.tip - found.begins_at:,} records from there"
    step = [SetAside(name)]
    return Finding(
        problem_of("the snapshot is damaged", where, meaning, f"move {name} away"), [*step]
    )


# -- records that the state does not need ------------------------------------------------------


def _history(place: DataDir, found: Survey) -> Iterator[Finding]:
    for flaw in found.trailing:
        problem = problem_of(
            f"something follows record {flaw.record - 1:,}, the last of this sealed file",
            f"{place.show(flaw.name)}, byte {flaw.offset:,}",
            "no record is lost; but the file cannot be read to its end",
            f"cut {flaw.name} at byte {flaw.offset:,}",
        )
        yield Finding(problem, [CutOff(flaw.name, flaw.offset)])
    begins_at = found.begins_at or 0
    unreadable = [each for each in found.unreadable if 0 < each.record <= begins_at]
    if bad := [*found.history, *unreadable]:
        yield _old_damage(place, found, bad)
    elif names := _below_a_gap(found):
        state = "; the state is complete" if found.stop is None else ""
        problem = problem_of(
            f"not part of the log any more: a file between them and {LOG_NAME} is gone",
            ", ".join(map(place.show, names)),
            f"the history up to record {found.base:,} cannot be shown{state}",
            f"move {_listed(names)} away",
            is_harmless=True,
        )
        yield Finding(problem, [SetAside(name) for name in names])


def _below_a_gap(found: Survey) -> list[str]:
    """The files that are not part of the log, nor will be after the repair."""
    names = [each.name for each in found.unreachable]
    if found.stop is None:
        return names
    is_kept = found.stop.segment is not None and found.stop.segment not in found.unreachable
    if not is_kept or (found.begins_at or 0) < found.base:
        return []
    return [name for name in names if name not in found.stop.later]


def _old_damage(place: DataDir, found: Survey, bad: list[Flaw]) -> Finding:
    """All files up to the last damaged one go: what lies below a gap is out of reach."""
    last = max(_last_of(flaw) for flaw in bad)
    names = [*(each.name for each in found.segments if each.last and each.last <= last)]
    names += [flaw.name for flaw in bad if flaw.name not in names]
    first = bad[0]
    is_refused = any(flaw in found.unreadable for flaw in bad)
    problem = problem_of(
        f"a sealed file is damaged: {_reason(first.why)}",
        f"{place.show(first.name)}, byte {first.offset:,}, record {first.record:,}",
        f"{'a start is refused, though ' if is_refused else ''}the state does not need it:"
        f" {found.snapshot or 'it'} stands for record {found.begins_at or 0:,}; the history in it"
        " cannot be read",
        f"move {_listed(names)} away: history then begins after record {last:,}",
    )
    return Finding(problem, [SetAside(name) for name in names])


def _last_of(flaw: Flaw) -> int:
    return int(flaw.name.removeprefix(f"{LOG_NAME}."))


# -- the records that it needs -----------------------------------------------------------------


def _log(place: DataDir, found: Survey) -> Iterator[Finding]:
    if found.begins_at is None:
        meaning = "no start: what these records said is nowhere else"
        what = f"the records up to {found.base:,} are gone, and no whole snapshot stands for them"
        where = place.shown
        if not found.segments and found.unreadable:
            what, where = _reason(found.unreadable[-1].why), place.show(found.unreadable[-1].name)
        yield fixed(problem_of(what, where, meaning, None))
    elif found.stop is not None:
        yield _given_up(place, found, found.stop)


def _older(place: DataDir, found: Survey, later: str) -> Finding:
    base = next(each.base for each in reversed(found.segments) if not each.is_sealed)
    meaning = (
        f"a start is refused: an older {LOG_NAME} was put here, or its newer one was lost; a repair"
        " cannot know which of the two holds your records, and moves neither. Put the newer"
        f" {LOG_NAME} back"
    )
    what = f"it begins after record {base:,}, but {later} was sealed later"
    return fixed(problem_of(what, place.show(LOG_NAME), meaning, None))


def _given_up(place: DataDir, found: Survey, stop: Stop) -> Finding:
    flaw = stop.flaw
    where = f"{place.show(flaw.name)}, byte {flaw.offset:,}, record {flaw.record:,}"
    is_there = place.exists(flaw.name)
    is_empty = flaw.name == LOG_NAME and _is_empty(place, LOG_NAME)
    if stop.segment is None and is_there and not is_empty and flaw.name not in stop.later:
        meaning = "a start is refused; the records in it may be whole, but not whose they are"
        return fixed(problem_of(_reason(flaw.why), where, meaning, None))
    lost = _lost(stop)
    what = f"the log is damaged: {_reason(flaw.why)}" if is_there else "a file of the log is gone"
    meaning = f"a start is refused; the state can be followed up to record {flaw.record - 1:,}"
    header = Header(found.log_id, flaw.record - 1)
    note = f"{NOTE}{lost}; {stop.lost_bytes} bytes from here on"
    name = None if stop.segment is None else stop.segment.name
    steps: list[Step] = [SetAside(each) for each in reversed(stop.later)]
    steps.append(GiveUp(flaw.record, name, flaw.offset, header, note))
    return Finding(problem_of(what, where, meaning, f"{_how(stop, name)}; {lost}"), steps)


def _is_empty(place: DataDir, name: str) -> bool:
    return place.exists(name) and os.lstat(place.path_of(name)).st_size == 0


def _lost(stop: Stop) -> str:
    first, highest = stop.flaw.record, stop.highest
    if highest < first:
        return f"what followed record {first - 1:,}, if anything did, is lost"
    count = highest - first + 1
    if count == 1:
        return f"record {first:,} is given up"
    return f"{count:,} records are given up, {first:,} to {highest:,}"


def _how(stop: Stop, name: str | None) -> str:
    moved = [each for each in stop.later if each != LOG_NAME or name is None]
    move = f"move {_listed(stop.later)} away, " if moved else ""
    if name is None:
        return f"{move}begin {LOG_NAME} anew after record {stop.flaw.record - 1:,}"
    cut = f"cut {name} at byte {stop.flaw.offset:,}"
    return f"{move}{cut}" + ("" if name == LOG_NAME else f" and go on in it as {LOG_NAME}")


# -- words -------------------------------------------------------------------------------------


def problem_of(
    what: str, where: str, meaning: str, repair: str | None, *, is_harmless: bool = False
) -> Problem:
    """A problem as a dict."""
    return Problem(what=what, where=where, meaning=meaning, repair=repair, harmless=is_harmless)


def _reason(why: str) -> str:
    """An error's text without its place and its remedy, which stand elsewhere here."""
    text = re.sub(r"^.*?: (?=the header at byte)", "", why)
    text = re.sub(r"^.*?: damaged at byte \d+(: |, )(where record \d+ should be: )?", "", text)
    return re.split(r"\.? Nothing was changed|; nothing was changed|\. Restore|\. Use", text)[0]


def _byte_in(why: str) -> str:
    found = re.search(r"at byte (\d+)", why)
    return f", byte {int(found[1]):,}" if found else ""


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def unusable(exc: StorageError | OSError, place: DataDir) -> Finding:
    """What is not ours to judge or cannot be read: nothing here is repaired."""
    what, where = str(exc), place.shown
    if isinstance(exc, OSError):
        what, where = exc.strerror or str(exc), exc.filename or where
    return fixed(problem_of(what, where, "a start is refused", None))
