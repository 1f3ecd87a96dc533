"""The proof of a log: every file read to its end, every snapshot compared with the records."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TypedDict

from kron.core.cut import restore
from kron.core.errors import LogTruncated, StorageError
from kron.core.ledger import LedgerAudit
from kron.core.machine import Machine
from kron.core.state import State
from kron.runtime.recovery import fold
from kron.storage.datadir import DataDir
from kron.storage.log import Record
from kron.storage.reader import LogReader
from kron.storage.row_index import encode_index, framing_of, index_name, offsets_in
from kron.storage.segments import Segment, look_at, sealed_lasts, sealed_name
from kron.storage.snapshot import looked_at_snapshots

from .differences import differences
from .tail import tail_in_words

ATTEMPTS = 5
"""How often it begins anew because a living runtime has let go of what it was to begin from."""


class FileProof(TypedDict):
    """One file: the records it has or stands for (a snapshot: `first` is 0), and what was found.

    `result` is "ok", "wrong", "start" (the snapshot that the proof begins from, which nothing
    older can prove), or "unread" (behind the damage of another file, or gone meanwhile).
    """

    file: str
    first: int
    last: int | None
    size_bytes: int
    result: str
    problems: list[str]


class Proof(TypedDict):
    """`ok` is false if anything is wrong. The records `first` to `records` were read (none if
    `first` is above). `torn_bytes` is an unfinished record at the end, which is nothing wrong: the
    next start cuts it; `torn` says what it is in words."""

    ok: bool
    data_dir: str
    log_id: str
    first: int
    records: int
    torn_bytes: int
    torn: str | None
    files: list[FileProof]


def verify(data_dir: str) -> Proof:
    """Read-only, also beside a living runtime; changes and creates nothing.

    From record 1, or from the oldest whole snapshot if older records are gone, it folds every
    record, looks whether each due moment has one event, and compares each snapshot at its place.
    Raises StorageError for a directory without a log, and for one whose files do not fit together
    by their first lines.
    """
    for _ in range(ATTEMPTS):
        with suppress(LogTruncated):
            return _Verification(data_dir).carry_out()
    raise StorageError(f"{data_dir} changes faster than it can be read. Try again.")


class _Verification:
    """One attempt, through all records in order.

    `_machine` has folded those up to `_index`; it is None while there is nothing to fold them
    into: before the first snapshot if older records are gone, and behind damage.
    """

    def __init__(self, data_dir: str) -> None:
        self._dir = DataDir(data_dir, read_only=True)
        self._reader = LogReader(data_dir)
        self._index = self._base = self._reader.base
        self._machine = None if self._index else Machine()
        self._audit = LedgerAudit(State())
        self._proofs: list[FileProof] = []
        self._at: dict[int, FileProof] = {}
        """The snapshots still to be looked at, by the record they stand for."""

    def carry_out(self) -> Proof:
        """The whole. Raises LogTruncated if it has to begin anew."""
        snapshots = self._find_snapshots()
        self._look_at_snapshot()
        while (segment := self._next()) is not None:
            is_read = self._read_if_there(segment)
            if is_read and not segment.is_sealed:
                break
        for index, proof in self._at.items():
            if index > self._index:
                _blame(proof, f"it stands for record {index:,}; the log ends at {self._index:,}")
            elif self._restore(index, proof) is not None:
                proof["result"] = "whole"
        files = [*self._proofs, *snapshots, *self._find_orphans()]
        torn_bytes = self._reader.torn_bytes
        return {
            "ok": all(each["result"] != "wrong" for each in files),
            "data_dir": self._dir.shown,
            "log_id": self._reader.log_id,
            "first": self._base + 1,
            "records": self._index,
            "torn_bytes": torn_bytes,
            "torn": tail_in_words(self._dir, torn_bytes) if torn_bytes else None,
            "files": files,
        }

    # -- records -----------------------------------------------------------------------------

    def _next(self) -> Segment | None:
        """The file that has the next record, or that will."""
        files = self._reader.files
        return next((each for each in files if each.last is None or each.last > self._index), None)

    def _read_if_there(self, segment: Segment) -> bool:
        """Read one file to its end; False if it has gone or has another name now."""
        proof = _proof(segment.name, self._index + 1, segment.last, segment.size_bytes)
        try:
            self._read(segment, proof)
        except FileNotFoundError:
            self._reader = LogReader(self._dir.shown)
            if self._reader.base > self._index:
                raise LogTruncated(f"{self._dir.shown}: older records were let go") from None
            return False
        if segment.last is None:
            proof["last"] = self._index
        elif proof["result"] == "ok":
            with suppress(FileNotFoundError):  # let go just now, after it was read
                self._check_index(segment, proof)
        self._proofs.append(proof)
        return True

    def _read(self, segment: Segment, proof: FileProof) -> None:
        try:
            for record in self._reader.records_in(segment, self._index):
                self._take(record, proof)
        except FileNotFoundError:
            raise
        except (StorageError, OSError) as exc:
            _blame(proof, str(exc))
            self._machine = None
            self._index = segment.last or self._index
            self._look_at_snapshot()

    def _take(self, record: Record, proof: FileProof) -> None:
        try:
            if self._machine is not None:
                fold(self._machine, [record])
                for problem in self._audit.read(*record):
                    _blame(proof, problem)
        except StorageError as exc:
            _blame(proof, str(exc))
            self._machine = None
        self._index = record.index
        self._look_at_snapshot()

    def _check_index(self, segment: Segment, proof: FileProof) -> None:
        """The index beside a sealed file is exactly what it should be. Raises FileNotFoundError if
        there is none, or the file has gone."""
        name, log_id = index_name(segment), self._reader.log_id
        fd = self._dir.open_file(name, os.O_RDONLY)
        with open(fd, "rb") as file:
            found = offsets_in(self._dir, log_id, segment, lambda: None)
            lines = encode_index(framing_of(log_id, segment), found)
            is_right = all(file.read(len(line)) == line for line in lines) and not file.read(1)
        if not is_right:
            _blame(proof, f"{self._dir.show(name)} is not its index; remove it, it is made anew")

    def _find_orphans(self) -> list[FileProof]:
        """Sealed files below a gap: history that is there, and that nothing can read any more. What
        a living runtime lets go meanwhile, the oldest first, leaves no gap."""
        lasts = sealed_lasts(self._dir)
        in_chain = {segment.last for segment in LogReader(self._dir.shown).files}
        found = []
        for name, last in ((sealed_name(last), last) for last in lasts if last not in in_chain):
            with suppress(FileNotFoundError):
                size_bytes = os.lstat(self._dir.path_of(name)).st_size
                found.append(_proof(name, 0, None, size_bytes))
                with suppress(StorageError, OSError):
                    header, _ = look_at(self._dir, name, last)
                    found[-1].update({"first": header.base + 1, "last": last})
                _blame(found[-1], "not part of the log: a file that follows it is gone")
        return found

    # -- snapshots ---------------------------------------------------------------------------

    def _find_snapshots(self) -> list[FileProof]:
        """What is there; those that can be looked at wait in `_at`."""
        proofs: list[FileProof] = []
        for name, found, size_bytes in looked_at_snapshots(self._dir, self._reader.log_id):
            if found is not None and found.index in self._at:
                continue  # a living runtime has given it its other name meanwhile
            proofs.append(_proof(name, 0, None if found is None else found.index, size_bytes))
            if found is None:
                _blame(proofs[-1], "its first line is damaged, or of another log (byte 0)")
            else:
                self._at[found.index] = proofs[-1]
        return proofs

    def _look_at_snapshot(self) -> None:
        """Compare the snapshot that stands for what has been read, if there is one."""
        proof = self._at.pop(self._index, None)
        state = None if proof is None else self._restore(self._index, proof)
        if proof is None or state is None:
            return
        if self._machine is None:
            proof["result"] = "whole"
            self._machine = Machine(state)
            self._audit = LedgerAudit(state)
            return
        for difference in differences(state, self._machine.state):
            _blame(proof, difference)

    def _restore(self, index: int, proof: FileProof) -> State | None:
        """The state that a snapshot says; None if it cannot be believed."""
        try:
            state = restore(self._reader.read_snapshot(index))
        except StorageError as exc:
            if index in {file.index for file in self._reader.snapshots()}:
                _blame(proof, str(exc))
            else:
                proof["result"] = "gone"
            return None
        if state.index != index:
            _blame(proof, f"it says inside that it is of record {state.index:,}")
        return state


def _proof(name: str, first: int, last: int | None, size_bytes: int) -> FileProof:
    return {
        "file": name,
        "first": first,
        "last": last,
        "size_bytes": size_bytes,
        "result": "ok",
        "problems": [],
    }


def _blame(proof: FileProof, problem: str) -> None:
    proof["result"] = "wrong"
    proof["problems"].append(problem)
