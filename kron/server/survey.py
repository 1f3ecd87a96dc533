"""What lies in a data directory, file by file: whole, damaged, missing, or left over.

Unlike a start it does not end at the first thing that is wrong: it finds out how far the state can
be followed, and what is behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from kron.core.cut import restore
from kron.core.errors import ForeignLog, LogCorrupt, LogTooNew, StorageError
from kron.core.ledger import LedgerAudit
from kron.core.machine import Machine
from kron.core.state import State
from kron.runtime.recovery import fold
from kron.storage.datadir import DataDir
from kron.storage.lines import Header
from kron.storage.log import Record
from kron.storage.markers import marker_of
from kron.storage.scan import Scan
from kron.storage.segments import (
    LOG_NAME,
    NEXT_NAME,
    Segment,
    header_between,
    look_at,
    records_of,
    scan_of,
    sealed_lasts,
    sealed_name,
)
from kron.storage.snapshot import SNAPSHOT_NAMES, log_id_of, looked_at_snapshots, read_parts

LOOKS = 5
"""How often a directory is surveyed anew, because a living runtime has changed names meanwhile."""


class Seen(NamedTuple):
    """A snapshot file: the record it stands for (None: it does not say), and what is wrong."""

    name: str
    record: int | None
    problem: str | None


class Flaw(NamedTuple):
    """Something wrong in a file from byte `offset` on, where record `record` should be."""

    name: str
    offset: int
    record: int
    why: str


class Stop(NamedTuple):
    """Where the records end too early: record `flaw.record` cannot be had, and those behind it, up
    to `highest`, are of no use. `segment` is the file to be cut; None if it is not there, has no
    header, or is not needed up to there. `later` are the files behind, and all others that a start
    would not take beside a log that ends here; `lost_bytes` all that is given up."""

    flaw: Flaw
    segment: Segment | None
    highest: int
    later: list[str]
    lost_bytes: int


@dataclass
class Survey:
    """`begins_at` is the record after which the state begins, from `snapshot` if that is a name;
    None if there is no beginning. `machine` has folded what can be followed from there, and
    `audit` has looked at it.
    `sealed_later` is the sealed file that is newer than kron.aof, which no start takes."""

    log_id: str = ""
    segments: list[Segment] = field(default_factory=list)
    unreadable: list[Flaw] = field(default_factory=list)
    unreachable: list[Segment] = field(default_factory=list)
    snapshots: list[Seen] = field(default_factory=list)
    begins_at: int | None = None
    snapshot: str | None = None
    is_between: bool = False
    is_missing: bool = False
    sealed_later: str | None = None
    machine: Machine = field(default_factory=Machine)
    audit: LedgerAudit = field(default_factory=lambda: LedgerAudit(State()))
    torn_bytes: int = 0
    history: list[Flaw] = field(default_factory=list)
    trailing: list[Flaw] = field(default_factory=list)
    stop: Stop | None = None
    base: int = 0
    ends_at: int | None = None

    @property
    def end(self) -> int:
        """The last record that the files have; a snapshot does not count."""
        return self.tip if self.ends_at is None else self.ends_at

    @property
    def tip(self) -> int:
        """The last record that can be followed."""
        return self.machine.state.index


def survey(place: DataDir) -> Survey:
    """Read everything. Raises FileNotFoundError if there is no log, ForeignLog and LogTooNew for
    what is none of ours to judge, other StorageErrors and OSErrors for what cannot be read."""
    for _ in range(LOOKS - 1):
        before = _names(place)
        with suppress(FileNotFoundError):
            found = _Surveyor(place).survey()
            if _is_clean(found) or _names(place) == before:
                return found
    return _Surveyor(place).survey()


def _names(place: DataDir) -> list[tuple[str, int]]:
    """What a writer changes: the names of its files, and which files they are."""
    names = [name for name in os.listdir(place.path_of("")) if name.startswith("kron.")]
    with suppress(FileNotFoundError):
        return sorted((name, os.lstat(place.path_of(name)).st_ino) for name in names)
    return []


def _is_clean(found: Survey) -> bool:
    problems = [seen.problem for seen in found.snapshots if seen.problem]
    flaws = [*found.history, *found.trailing, *found.unreadable]
    return not (problems or found.stop or flaws or found.sealed_later)


class _Surveyor:
    """One look at one directory."""

    def __init__(self, place: DataDir) -> None:
        self._place = place
        self._found = Survey()

    def survey(self) -> Survey:
        """The whole. Raises as the function above."""
        found = self._found
        self._place.prepare()
        self._find_segments()
        state = self._find_snapshots()
        if found.begins_at is not None:
            found.machine = Machine() if state is None else Machine(state)
            found.audit = LedgerAudit(found.machine.state)
            self._read_history(found.begins_at)
            self._follow()
        return found

    # -- which files there are -----------------------------------------------------------------

    def _find_segments(self) -> None:
        found, place = self._found, self._place
        lasts = sealed_lasts(place)
        heads = [head for last in lasts if (head := self._look(sealed_name(last), last))]
        active = self._look(LOG_NAME, None) if place.exists(LOG_NAME) else None
        found.is_missing = not place.exists(LOG_NAME)
        if found.is_missing and lasts:
            with suppress(LogCorrupt):
                header_between(place, lasts[-1])
                active, found.is_between = look_at(place, NEXT_NAME, None), True
        if active is not None:
            heads.append(active)
            if lasts and lasts[-1] > active[0].base:
                found.sealed_later = sealed_name(lasts[-1])
        if heads:
            found.log_id = heads[-1][0].log_id
        elif not found.is_missing or any(map(place.exists, SNAPSHOT_NAMES)):
            found.log_id = self._id_of_snapshot()
        else:
            raise FileNotFoundError(f"no Kron data in {place.shown}")
        for header, segment in heads:
            if header.log_id == found.log_id:
                found.segments.append(segment)
            else:
                self._note_unreadable(segment.name, "the header at byte 0 is of another log")
        found.segments.sort(key=lambda segment: (segment.base, segment.last or segment.base))
        self._sort_out_unreachable()

    def _look(self, name: str, last: int | None) -> tuple[Header, Segment] | None:
        try:
            header, segment = look_at(self._place, name, last)
        except ForeignLog as exc:
            if last is None:
                raise
            self._note_unreadable(name, str(exc))
            return None
        except LogCorrupt as exc:
            self._note_unreadable(name, str(exc))
            return None
        if last is not None and header.base >= last:
            self._note_unreadable(name, "the header at byte 0 contradicts its name")
            return None
        return header, segment

    def _note_unreadable(self, name: str, why: str) -> None:
        last = name.removeprefix(f"{LOG_NAME}.")
        self._found.unreadable.append(Flaw(name, 0, int(last) if last.isdigit() else 0, why))

    def _id_of_snapshot(self) -> str:
        """The log that a snapshot belongs to, when no log file says it."""
        ids = (log_id_of(self._place, name) for name in SNAPSHOT_NAMES)
        return next(filter(None, ids), "")

    def _sort_out_unreachable(self) -> None:
        """The oldest file of the unbroken chain begins the log; the others are not part of it."""
        found = self._found
        chain: list[Segment] = []
        for segment in reversed(found.segments):
            if not chain or segment.last == chain[-1].base:
                chain.append(segment)
        found.base = chain[-1].base if chain else 0
        found.unreachable = [each for each in found.segments if each not in chain]

    # -- where the state begins ----------------------------------------------------------------

    def _find_snapshots(self) -> State | None:
        """Look at the snapshots; returns the state of the one that is used.

        As a start does: the newest whole one after which no record is missing, else record 1. If
        there is none, the newest whole one all the same: how far can it be followed?
        """
        found, place = self._found, self._place
        states: dict[int, tuple[str, State]] = {}
        for name, snapshot, _ in looked_at_snapshots(place, found.log_id):
            if snapshot is None:
                why = "the header at byte 0 is damaged, or of another log"
                found.snapshots.append(Seen(name, None, why))
                continue
            record = snapshot.index
            state, problem = self._restore(record)
            found.snapshots.append(Seen(name, record, problem))
            if state is not None and (record >= found.base or not states):
                states[record] = (name, state)
        usable = [record for record in states if record >= found.base]
        has_first = any(segment.base == 0 for segment in found.segments)
        if not usable and has_first and (found.base == 0 or not states):
            found.begins_at = 0
        elif states:
            found.begins_at = max(usable or states)
            found.snapshot, state = states[found.begins_at]
            return state
        return None

    def _restore(self, record: int) -> tuple[State | None, str | None]:
        try:
            state = restore(read_parts(self._place, self._found.log_id, record))
        except LogTooNew:
            raise
        except StorageError as exc:
            return None, str(exc)
        if state.index != record:
            return None, f"it says inside that it is of record {state.index}"
        return state, None

    # -- how far it can be followed ------------------------------------------------------------

    def _read_history(self, up_to: int) -> None:
        """The files that the state does not need are to be whole too; also those that a repair
        makes part of the log again, because it lets the log end where they end."""
        for segment in self._found.segments:
            is_in = up_to < self._found.base or segment not in self._found.unreachable
            if is_in and segment.last is not None and segment.last <= up_to:
                self._read(segment, None)

    def _follow(self) -> None:
        found = self._found
        while found.stop is None:
            tip = found.tip
            segment = next((each for each in found.segments if _has_next(each, tip)), None)
            if segment is None:
                self._stop_at_gap(tip)
                return
            self._read(segment, found.machine)
            if not segment.is_sealed:
                return

    def _read(self, segment: Segment, machine: Machine | None) -> None:
        """Read one file to its end, folding it if there is a machine."""
        fd = self._place.open_file(segment.name, os.O_RDONLY)
        try:
            scan = scan_of(self._place, fd, segment.name)
            if scan.header() != Header(self._found.log_id, segment.base):
                raise FileNotFoundError(f"{segment.name} has another name now")
            flaw = self._flaw_in(scan, segment, machine)
            if flaw is not None:
                self._enter(flaw, segment, scan, machine)
            elif not segment.is_sealed:
                self._found.torn_bytes, self._found.ends_at = scan.tail_bytes, scan.index
        finally:
            self._place.disk.close(fd)

    def _flaw_in(self, scan: Scan, segment: Segment, machine: Machine | None) -> Flaw | None:
        index, offset = segment.base, segment.start
        try:
            for record in records_of(scan, segment.last):
                if machine is not None and record.index > machine.state.index:
                    fold(machine, [record])
                    self._found.audit.read(*record)
                index, offset = record.index, scan.offset
        except LogCorrupt as exc:
            return Flaw(segment.name, offset, index + 1, str(exc))
        return None

    def _enter(self, flaw: Flaw, segment: Segment, scan: Scan, machine: Machine | None) -> None:
        found = self._found
        if segment.last is not None and flaw.record > segment.last:
            found.trailing.append(flaw)
        elif machine is None:
            found.history.append(flaw)
        else:
            scan.start_at(found.log_id, flaw.record - 1, flaw.offset)
            highest = max(_indices_behind(scan), default=flaw.record - 1)
            later = [each for each in found.segments if each.base >= flaw.record]
            lost = scan.end - flaw.offset
            if flaw.record > found.tip:
                found.stop = self._stop(flaw, segment, later, highest, lost)
            else:  # the damage is below the snapshot: to cut the file there would lose the state
                flaw = flaw._replace(record=found.tip + 1)
                found.stop = self._stop(flaw, None, [segment, *later], highest, 0)

    def _stop_at_gap(self, tip: int) -> None:
        """No file has the next record; that is wrong unless all ends here, in a log file."""
        found = self._found
        later = [each for each in found.segments if each.base > tip]
        if not later and not found.is_missing and LOG_NAME not in map(_name, found.unreadable):
            return
        behind = [flaw for flaw in found.unreadable if flaw.name == LOG_NAME or flaw.record > tip]
        missing = later[0].base if later else None
        if behind:
            flaw = behind[0]._replace(record=tip + 1)
        else:
            name = LOG_NAME if missing is None else sealed_name(missing)
            where = self._place.show(name)
            flaw = Flaw(name, 0, tip + 1, f"{where} is missing, with record {tip + 1}")
        found.stop = self._stop(flaw, None, later, tip, 0)

    def _stop(
        self, flaw: Flaw, segment: Segment | None, later: list[Segment], highest: int, lost: int
    ) -> Stop:
        for each in later:
            highest = max(highest, each.last or 0, *self._indices_of(each))
        names = [each.name for each in later]
        base = flaw.record - 1 if segment is None else segment.base  # that of the next kron.aof
        sealed = map(sealed_name, sealed_lasts(self._place))
        names += [name for name in sealed if _last_of(name) > base and name not in names]
        if segment is not None and segment.name in names:
            names.remove(segment.name)
        lost_bytes = lost + sum(each.size_bytes for each in later)
        return Stop(flaw, segment, highest, names, lost_bytes)

    def _indices_of(self, segment: Segment) -> list[int]:
        if segment.is_sealed:
            return []
        fd = self._place.open_file(segment.name, os.O_RDONLY)
        try:
            scan = scan_of(self._place, fd, segment.name)
            scan.header()
            with suppress(LogCorrupt):
                for _ in scan.records():
                    pass
            return [scan.index, *_indices_behind(scan)]
        finally:
            self._place.disk.close(fd)


def _indices_behind(scan: Scan) -> Iterator[int]:
    """The indices of whole records behind the place where the scan stands."""
    return (line.index for _, line in scan.valid_behind() if _is_record(line))


def _is_record(line: Record) -> bool:
    return marker_of(line) is None


def _name(flaw: Flaw) -> str:
    return flaw.name


def _last_of(name: str) -> int:
    return int(name.removeprefix(f"{LOG_NAME}."))


def _has_next(segment: Segment, tip: int) -> bool:
    return segment.base <= tip and (segment.last is None or segment.last > tip)
