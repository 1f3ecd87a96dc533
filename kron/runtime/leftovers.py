"""Processes that a killed scheduler left behind: marked while they run, ended at the next start.

Without it a run that is due again would overlap its former self.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from typing import NamedTuple

from .groups import (
    boot_id,
    has_members,
    has_variable,
    is_alive,
    process_of,
    processes,
    signal_group,
)
from .logger import tell
from .output import Marks

logger = logging.getLogger("kron.engine")

END_SECONDS = 5.0
_HAS_PROC = os.path.exists("/proc/self/stat")


class Mark(NamedTuple):
    """Who carries a run out: the leader of its group; pid 0 while it is being started."""

    pid: int = 0
    started: str = ""
    boot: str = ""

    def text(self) -> str:
        """As it is kept."""
        return json.dumps(self._asdict())

    @classmethod
    def of_text(cls, text: str) -> Mark:
        """The way back; of a torn mark the one without a pid."""
        try:
            fields = json.loads(text)
            return cls(int(fields["pid"]), str(fields["started"]), str(fields["boot"]))
        except (ValueError, KeyError, TypeError):
            return cls(boot=boot_id())


def starting() -> str:
    """The mark of a run whose process is about to be started."""
    return Mark(boot=boot_id()).text()


def started(pid: int) -> str:
    """The mark of a run whose process was started, and is not reaped."""
    process = process_of(pid)
    return Mark(pid, "" if process is None else process.started, boot_id()).text()


def end_leftovers(marks: Marks) -> list[str]:
    """Kill what the marks of a former scheduler lead to, wait until it is gone, and remove them.

    Blocks, for 5 s at most. Returns the run ids of which something was still there. A process that
    merely has the pid of a former one is left alone. Raises OSError if marks cannot be read.
    """
    groups = {}
    for run_id, text in marks.marks().items():
        group = _group_of(run_id, Mark.of_text(text))
        if group is not None:
            groups[run_id] = group
            text = "%s: its process group %d was left by a scheduler that was killed; it is ended"
            tell(logging.WARNING, text, run_id, group, run=run_id)
            signal_group(group, signal.SIGKILL)
    _await_end(groups)
    for run_id in marks.marks():
        marks.unmark(run_id)
    return sorted(groups)


def _group_of(run_id: str, mark: Mark) -> int | None:
    """The group that carries this run out, if it is there."""
    if mark.boot != boot_id():
        return None
    variable = f"KRON_RUN_ID={run_id}"
    if mark.pid == 0:
        return _by_variable(variable)
    leader = process_of(mark.pid)
    if leader is not None:
        return mark.pid if leader.started == mark.started else None
    if not has_members(mark.pid):
        return None
    # The leader is gone. Another one may have had its pid, and a group, since then.
    return _by_variable(variable, mark.pid) if _HAS_PROC else mark.pid


def _by_variable(variable: str, group: int = 0) -> int | None:
    """The group (or this one) of which a process was told that it belongs to the run."""
    if not _HAS_PROC:
        return None
    own = os.getpgid(0)
    for process in processes():
        is_wanted = process.group == group if group else process.group != own
        if is_wanted and has_variable(process.pid, variable):
            return process.group
    return None


def _await_end(groups: dict[str, int]) -> None:
    end_s = time.monotonic() + END_SECONDS
    while left := {run_id for run_id, group in groups.items() if is_alive(group)}:
        if time.monotonic() > end_s:
            logger.error("these do not end although they were killed: %s", ", ".join(sorted(left)))
            return
        time.sleep(0.01)
