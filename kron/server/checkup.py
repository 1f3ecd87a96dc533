"""The doctor: looks at a data directory and says, check by check, what is right and what is not."""

from __future__ import annotations

import os
import stat
from typing import TypedDict

from kron.core.errors import StorageError
from kron.core.machine import Machine
from kron.runtime.recovery import fold
from kron.storage.datadir import DataDir
from kron.storage.reader import LogReader

from .address import SOCKET_NAME
from .facts import RuntimeFacts
from .holder import find_holder

OPEN_TO_OTHERS = 0o077


class Check(TypedDict):
    """One thing looked at. `ok` false is a problem; `detail` says what was found, and the
    remedy."""

    check: str
    ok: bool
    detail: str


class LogReport(TypedDict):
    """What a read of the whole log found. `torn_bytes` is an unfinished record at the end, which
    the next start cuts off; `problem` names file and byte if the log cannot be used."""

    log_id: str | None
    size_bytes: int
    records: int
    torn_bytes: int
    timers: int
    open_runs: int
    problem: str | None


class DoctorReport(TypedDict):
    """`ok` is false if any check is. `runtime` is the living scheduler's own word, or None."""

    ok: bool
    data_dir: str
    holder_pid: int | None
    checks: list[Check]
    log: LogReport
    runtime: RuntimeFacts | None


def examine(data_dir: str) -> DoctorReport:
    """Read everything, change nothing, create nothing, raise nothing (OSErrors are findings)."""
    place = DataDir(data_dir, read_only=True)
    log = _read(place)
    checks = [_directory(place)]
    lock, pid = _lock(place)
    if os.path.lexists(place.path_of("")):
        checks += [_files(place), lock, _log(log), _state(log)]
    return {
        "ok": all(check["ok"] for check in checks),
        "data_dir": data_dir,
        "holder_pid": pid,
        "checks": checks,
        "log": log,
        "runtime": None,
    }


def with_runtime(
    report: DoctorReport, facts: RuntimeFacts | None, problem: str | None = None
) -> DoctorReport:
    """The report with the check of the runtime: its facts, or the problem of reaching it."""
    if facts is None:
        detail = problem or "none is alive"
        check = Check(check="runtime", ok=problem is None, detail=detail)
    else:
        answers = f"process {facts['pid']} answers (Kron {facts['version']})"
        detail = f"process {facts['pid']}: {facts['failure']}" if facts["failure"] else answers
        check = Check(check="runtime", ok=facts["failure"] is None, detail=detail)
    checks = [*report["checks"], check]
    ok = all(each["ok"] for each in checks)
    return {**report, "ok": ok, "checks": checks, "runtime": facts}


def _read(place: DataDir) -> LogReport:
    report = LogReport(
        log_id=None, size_bytes=0, records=0, torn_bytes=0, timers=0, open_runs=0, problem=None
    )
    machine = Machine()
    try:
        reader = LogReader(place.shown)
        report["log_id"] = reader.log_id
        report["size_bytes"] = os.stat(place.path_of("kron.aof")).st_size
        for record in reader:
            fold(machine, [record])
        report["torn_bytes"] = reader.torn_bytes
    except (StorageError, OSError) as exc:
        report["problem"] = str(exc)
    report["records"] = machine.state.index
    report["timers"], report["open_runs"] = len(machine.state.timers), len(machine.state.runs)
    return report


def _directory(place: DataDir) -> Check:
    try:
        place.prepare()
        state = os.stat(place.path_of(""))
    except FileNotFoundError:
        return _bad("directory", "it does not exist; is it the right one (--data-dir, KRON_HOME)?")
    except (StorageError, OSError) as exc:
        return _bad("directory", str(exc))
    mode = stat.S_IMODE(state.st_mode)
    if state.st_uid != os.geteuid():
        return _bad("directory", f"it belongs to user {state.st_uid}; run as its owner")
    if mode & OPEN_TO_OTHERS:
        return _good("directory", f"mode {mode:04o}; private would be: chmod 700 {place.shown}")
    return _good("directory", f"mode {mode:04o}")


def _files(place: DataDir) -> Check:
    """Every file in the directory is private, and what it should be."""
    try:
        names = sorted(os.listdir(place.path_of("")))
        wrong = [name for name in names if _is_open(place, name)]
    except (StorageError, OSError) as exc:
        return _bad("files", str(exc))
    if wrong:
        paths = " ".join(place.show(name) for name in wrong)
        return _bad("files", f"open to others; run: chmod 600 {paths}")
    return _good("files", f"{len(names)}, all private")


def _is_open(place: DataDir, name: str) -> bool:
    state = os.lstat(place.path_of(name))
    if not stat.S_ISREG(state.st_mode) and name != SOCKET_NAME:
        return False
    return name.startswith("kron.") and bool(state.st_mode & OPEN_TO_OTHERS)


def _log(log: LogReport) -> Check:
    if log["problem"] is not None:
        return _bad("log", log["problem"])
    text = f"{log['records']:,} records, {log['size_bytes']:,} bytes, readable to the end"
    if log["torn_bytes"]:
        text += f"; an unfinished record of {log['torn_bytes']} bytes, cut at the next start"
    return _good("log", text)


def _state(log: LogReport) -> Check:
    text = f"{log['timers']:,} timers, {log['open_runs']:,} open runs"
    if log["problem"] is not None:
        return _bad("state", text + f" up to record {log['records']:,}")
    return _good("state", text)


def _lock(place: DataDir) -> tuple[Check, int | None]:
    try:
        is_held, pid = find_holder(place)
    except StorageError as exc:
        return _bad("lock", str(exc)), None
    who = "another process" if pid is None else f"process {pid}"
    if is_held:
        return _good("lock", f"held by {who}, which is alive"), pid
    return _good("lock", f"free; the last holder was {who}" if pid else "free"), None


def _good(name: str, detail: str) -> Check:
    return Check(check=name, ok=True, detail=detail)


def _bad(name: str, detail: str) -> Check:
    return Check(check=name, ok=False, detail=detail)
