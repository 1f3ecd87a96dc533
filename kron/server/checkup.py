"""The doctor: looks at a data directory and says, check by check, what is right and what is not."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import NamedTuple, TypedDict

from kron.core.errors import StorageError, UnsafeDataDir
from kron.storage.datadir import DataDir
from kron.storage.lock import last_word
from kron.storage.segments import LOG_NAME, NEXT_NAME

from . import diagnosis
from .access import lacks_access, may_read, may_write, why_not_writable
from .diagnosis import OPEN_TO_OTHERS, Finding, Problem
from .facts import RuntimeFacts
from .holder import Holder, find_holder
from .soundness import invalid_timers, unsound
from .survey import Survey, survey
from .tail import tail_in_words


class Check(TypedDict):
    """One thing looked at. `ok` false is a problem; `detail` says what was found, and the
    remedy."""

    check: str
    ok: bool
    detail: str


class LogReport(TypedDict):
    """What a read of all files of the log found. `records` is the last one that the state can be
    followed to; `torn_bytes` is an unfinished record at the end, which the next start cuts off;
    `problem` names file and byte if the log cannot be used."""

    log_id: str | None
    size_bytes: int
    records: int
    torn_bytes: int
    timers: int
    open_runs: int
    problem: str | None


class DoctorReport(TypedDict):
    """`ok` is false if any check is; `problems` has what is wrong, and what would be done about it
    (and harmless things too). `runtime` is the living scheduler's own word, or None."""

    ok: bool
    data_dir: str
    holder_pid: int | None
    checks: list[Check]
    problems: list[Problem]
    log: LogReport
    runtime: RuntimeFacts | None


class _Look(NamedTuple):
    """What was found, or the error that stopped the look."""

    holder: Holder | StorageError
    found: Survey | None
    findings: list[Finding]
    error: str | None


def examine(data_dir: str) -> DoctorReport:
    """Read everything, change nothing, create nothing, raise nothing (OSErrors are findings)."""
    place = DataDir(data_dir, read_only=True)
    look = _look(place)
    checks = [_directory(place)]
    if may_read(place.path_of("")) or os.path.islink(data_dir):
        checks += [
            _files(place),
            _lock(look),
            _log(place, look),
            *_beginning(look),
            *_leftovers(place),
        ]
    problems = [finding.problem for finding in look.findings]
    problems += [] if look.found is None else unsound(place, look.found)
    return {
        "ok": all(check["ok"] for check in checks),
        "data_dir": data_dir,
        "holder_pid": look.holder.pid if isinstance(look.holder, Holder) else None,
        "checks": checks,
        "problems": problems,
        "log": _report(place, look),
        "runtime": None,
    }


def diagnose(data_dir: str, *, has_lock: bool = False) -> list[Finding]:
    """The problems of a directory, and the steps of their repair, in order. Raises nothing.
    `has_lock` says that the caller is who has it locked."""
    return _look(DataDir(data_dir, read_only=True), has_lock=has_lock).findings


def with_runtime(
    report: DoctorReport, facts: RuntimeFacts | None, problem: str | None = None
) -> DoctorReport:
    """The report with the check of the runtime: its facts, or the problem of reaching it."""
    if problem is not None and len(report["checks"]) == 1:
        return report  # the directory could not be looked into: one cause, said once
    wrong = _of_runtime(report["data_dir"], facts, problem)
    if wrong:
        check = _bad("runtime", "; ".join(each["what"] for each in wrong))
    elif facts is None:
        check = _good("runtime", "none is alive")
    else:
        check = _good("runtime", f"process {facts['pid']} answers (Kron {facts['version']})")
    checks = [*report["checks"], check]
    ok = all(each["ok"] for each in checks)
    problems = [*report["problems"], *wrong]
    return {**report, "ok": ok, "checks": checks, "problems": problems, "runtime": facts}


def _look(place: DataDir, *, has_lock: bool = False) -> _Look:
    try:
        holder: Holder | StorageError = find_holder(place)
    except StorageError as exc:
        holder = exc
    found: list[Finding] = []
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            found = diagnosis.open_files(place)
        seen = survey(place)
    except FileNotFoundError:
        return _Look(holder, None, found, f"no Kron data in {place.shown}")
    except (StorageError, OSError) as exc:
        # Not ours to judge (another program's, a newer Kron's), or not to be read: hands off.
        is_named = isinstance(exc, UnsafeDataDir) and diagnosis.is_open_to_all(place)
        if not is_named and not (isinstance(exc, PermissionError) and found):
            found = [diagnosis.unusable(exc, place)]
        return _Look(holder, None, found, _said(exc))
    if has_lock or (isinstance(holder, Holder) and not holder.is_held):
        found += diagnosis.leftovers(place, is_between=seen.is_between)
    wrong = diagnosis.findings(place, seen)
    error = next((_in_short(each) for each in wrong if not each.problem["harmless"]), None)
    return _Look(holder, seen, [*found, *wrong], error)


def _in_short(finding: Finding) -> str:
    return f"{finding.problem['where']}: {finding.problem['what']}"


def _said(exc: StorageError | OSError) -> str:
    if isinstance(exc, OSError) and exc.filename:
        return f"{exc.filename}: {exc.strerror}"
    return str(exc)


def _report(place: DataDir, look: _Look) -> LogReport:
    found = look.found
    size_bytes = 0
    with suppress(OSError):
        size_bytes = os.stat(place.path_of(LOG_NAME)).st_size
    state = None if found is None else found.machine.state
    return {
        "log_id": found.log_id if found else None,
        "size_bytes": size_bytes,
        "records": state.index if state else 0,
        "torn_bytes": found.torn_bytes if found else 0,
        "timers": len(state.timers) if state else 0,
        "open_runs": len(state.runs) if state else 0,
        "problem": look.error,
    }


def _of_runtime(data_dir: str, facts: RuntimeFacts | None, problem: str | None) -> list[Problem]:
    """What is wrong with the process that runs the timers, or that did."""
    what = problem or _stopped(data_dir, facts)
    meaning = "no timer runs until the program is started again"
    if problem is not None:
        meaning = "whether its timers run cannot be said"
    if facts is not None and facts["failure"]:
        what = f"process {facts['pid']} takes nothing more: {facts['failure']}"
    elif facts is not None and facts["overdue"]:
        names = ", ".join(f"{each['timer']} ({each['since']})" for each in facts["overdue"])
        what = f"process {facts['pid']} has not begun what was due: {names}"
        meaning = "nothing keeps these timers, and they do not run; restart the program"
    elif facts is not None and facts["compaction_problem"]:
        what = f"the last compaction failed: {facts['compaction_problem']}"
        meaning = "nothing is lost, but the log grows; it is tried again when it has grown more"
    if what is None:
        return []
    remedy = diagnosis.problem_of(what, data_dir, meaning, None)
    return [remedy]


def _stopped(data_dir: str, facts: RuntimeFacts | None) -> str | None:
    """The last word of a scheduler that failed, as long as no other has started since."""
    word = None
    if facts is None:
        with suppress(StorageError, OSError):
            word = last_word(DataDir(data_dir, read_only=True))
    return None if word is None else word.sentence()


def _directory(place: DataDir) -> Check:
    path = place.path_of("")
    try:
        place.prepare()
        state = os.stat(path)
    except FileNotFoundError:
        return _bad("directory", "it does not exist; is it the right one (--data-dir, KRON_HOME)?")
    except (StorageError, OSError) as exc:
        if isinstance(exc, PermissionError) and os.path.isdir(path):
            return _bad("directory", f"it cannot be read; {why_not_writable(place)}")
        return _bad("directory", _said(exc))
    mode = stat.S_IMODE(state.st_mode)
    if state.st_uid != os.geteuid():
        return _bad("directory", f"it belongs to user {state.st_uid}; run as its owner")
    if not may_write(path):
        return _bad(
            "directory", f"mode {mode:04o}: no start can write it; {why_not_writable(place)}"
        )
    if mode & OPEN_TO_OTHERS:
        return _good("directory", f"mode {mode:04o}; private would be: chmod 700 {place.shown}")
    return _good("directory", f"mode {mode:04o}")


def _files(place: DataDir) -> Check:
    """Every file in the directory is private, and what it should be."""
    try:
        names = sorted(os.listdir(place.path_of("")))
        wrong = [name for name in names if diagnosis.is_open(place, name)]
        closed = [place.show(name) for name in names if lacks_access(place, name)]
    except (StorageError, OSError) as exc:
        return _bad("files", _said(exc))
    if closed:
        return _bad("files", f"its owner lacks access; run: chmod 600 {' '.join(closed)}")
    if wrong:
        paths = " ".join(place.show(name) for name in wrong)
        return _bad("files", f"open to others; run: chmod 600 {paths}")
    return _good("files", f"{len(names)}, all private")


def _lock(look: _Look) -> Check:
    if isinstance(look.holder, StorageError):
        return _bad("lock", str(look.holder))
    is_held, pid = look.holder
    who = "another process" if pid is None else f"process {pid}"
    if is_held:
        return _good("lock", f"held by {who}, which is alive")
    return _good("lock", f"free; the last holder was {who}" if pid else "free")


def _log(place: DataDir, look: _Look) -> Check:
    found = look.found
    if found is None:
        return _bad("log", look.error or "")
    wrong = [*found.history, *found.trailing, *found.unreadable]
    if found.stop is not None or found.begins_at is None or wrong or found.sealed_later:
        return _bad("log", look.error or "")
    sizes = [each.size_bytes for each in found.segments if each not in found.unreachable]
    records = found.tip - found.base
    text = f"{counted(records, 'record')} in {_files_in_words(len(sizes))}, {sum(sizes):,} bytes,"
    text += " readable to the end"
    if found.torn_bytes:
        text += f"; {tail_in_words(place, found.torn_bytes)}"
    if found.is_between:
        text += f"; {NEXT_NAME} becomes {LOG_NAME} at the next start"
    return _good("log", text)


def _files_in_words(count: int) -> str:
    return "one file" if count == 1 else f"{count} files"


def _beginning(look: _Look) -> list[Check]:
    """The snapshots, the state and the ledger, as far as the files could be looked at."""
    found = look.found
    return [] if found is None else [_snapshots(found), _state(found), *_ledger(found)]


def _snapshots(found: Survey) -> Check:
    parts = []
    for seen in found.snapshots:
        whose = "of ?" if seen.record is None else f"of record {seen.record:,}"
        how = "damaged" if seen.problem else "whole"
        parts.append(f"{seen.name} {whose}, {how}")
    is_fine = all(not seen.problem and (seen.record or 0) <= found.end for seen in found.snapshots)
    if not parts:
        return _good("snapshots", "none yet: a start reads the whole log")
    used = f"a start uses {found.snapshot}" if found.snapshot else "a start uses none"
    return Check(check="snapshots", ok=is_fine, detail=f"{'; '.join(parts)}; {used}")


def _state(found: Survey) -> Check:
    if found.begins_at is None:
        return _bad("state", "nothing whole to begin from")
    state = found.machine.state
    text = f"{counted(len(state.timers), 'timer')}, {counted(len(state.runs), 'open run')}"
    if found.stop is not None:
        return _bad("state", text + f" up to record {found.tip:,}")
    if invalid := invalid_timers(state):
        return _bad("state", f"{text}; {counted(len(invalid), 'timer')} invalid")
    return _good("state", text)


def _ledger(found: Survey) -> list[Check]:
    """Whether each due moment has one event, as far as the state is followed."""
    if found.begins_at is None:
        return []
    count = found.audit.count
    if count:
        return [_bad("ledger", f"{counted(count, 'due moment')} without an event, or with two")]
    since = f" since record {found.begins_at:,}" if found.begins_at else ""
    return [_good("ledger", f"no due moment without an event, none with two{since}")]


def _leftovers(place: DataDir) -> list[Check]:
    """What starts and repairs have put aside; none of it is a problem."""
    with suppress(OSError):
        names = diagnosis.kept_aside(place)
        lines = [name for name in names if diagnosis.has_whole_line(place, name)]
        parts = []
        if lines:
            parts.append(f"{', '.join(lines)}: has a whole line, look at it before you delete it")
        if others := [name for name in names if name not in lines]:
            parts.append(f"{', '.join(others)}: Kron does not need it, it may be deleted")
        return [_good("put aside", "; ".join(parts))] if parts else []
    return []


def counted(number: int, thing: str) -> str:
    """1 timer, 2 timers."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _good(name: str, detail: str) -> Check:
    return Check(check=name, ok=True, detail=detail)


def _bad(name: str, detail: str) -> Check:
    return Check(check=name, ok=False, detail=detail)
