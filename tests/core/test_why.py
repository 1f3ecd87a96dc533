"""The story of a moment: each outcome and each reason, told of transcripts that were played."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kron.core import events as ev
from kron.core.codec import decode
from kron.core.errors import LogTruncated, ScheduleError, UnknownTimer
from kron.core.instants import text
from kron.core.model import Reason
from kron.core.rows import Row
from kron.core.telling import retold, span
from kron.core.why import Why, until_of
from kron.runtime import story
from kron.runtime.story import story_of
from kron.storage.history import rows_back
from kron.storage.log import Record
from kron.testing.player import BASE_US, Player
from kron.testing.transcript import LOG_ID, play
from tests.core.test_simulation import MOVES, World

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*.txt"))
DAY = "2026-01-01 "


class PlayedLog:
    """The log of a player, of which the records up to `base` were let go."""

    log_id = LOG_ID

    def __init__(self, player: Player, base: int = 0) -> None:
        self.base = base
        self.reads = 0
        self._records = [Record(i, payload) for i, payload in enumerate(player.log, 1)][base:]

    def rows_before(self, id_: int, timer: str | None, limit: int) -> list[Row]:
        self.reads += 1
        rows = (row for record in reversed(self._records) for row in rows_back(record, timer)[1])
        return list(islice((row for row in rows if row.id < id_), limit))

    def record_at(self, index: int) -> Record:
        if index <= self.base:
            raise LogTruncated(f"record {index} was let go.")
        return self._records[index - self.base - 1]


def ask(
    player: Player,
    at: object = None,
    name: str = "tick",
    *,
    log: PlayedLog | None = None,
    is_live: bool | None = None,
) -> Why:
    """`at` is in seconds after BASE, or what `why` takes."""
    if isinstance(at, int | float):
        at = text(BASE_US + round(at * 1e6))
    state = player.machine.state
    live = player.machine.is_live if is_live is None else is_live
    capacity = player.machine.capacity if live else None
    log, now_us = log or PlayedLog(player), player.wall_us
    return story_of(state, log, name, at, now_us, is_live=live, capacity=capacity).tell()


def told(why: Why) -> str:
    return " ".join(why["text"])


DOWN = """
at 0    schedule tick every=10s overlap=skip
at 10   -> RUN_DUE 1, RUN_STARTED 1
at 11   finish 1 -> RUN_SUCCEEDED 1
at 15   crash
at 47   start -> ...
"""
ROOM = """
at 0    concurrency 1 ; start
at 0    schedule long after=1s ; schedule tick cron="* * * * *" overlap=skip {options}
at 1    -> RUN_DUE 1, RUN_STARTED 1
at 60   -> RUN_DUE 2
"""
KEY = """
at 0    schedule other after=5s key=db ; schedule tick every=10s key=db overlap={overlap}
at 5    -> RUN_DUE 1, RUN_STARTED 1
at 10
"""
TIMEOUT = """
at 0    schedule tick every=60s timeout=10s overlap=skip {options}
at 60   -> RUN_DUE 1, RUN_STARTED 1
at 70   -> RUN_STOPPING 1 reason=timeout
"""
BACKFILL = (
    DOWN
    + """
at 48   finish 2
at 49   backfill tick since=0 until=45 -> BACKFILL_STARTED tick, RUN_DUE 3, RUN_STARTED 3
"""
)
PAUSED = "at 0 schedule tick every=10s overlap=skip\nat 5 pause tick {options}\n"
MISSED_ONE = """
at 0    schedule tick cron="0 9 * * *" overlap=skip {options}
at 1    crash
at {at} start -> ...
"""

PAST: dict[str, tuple[str, Any, str, str | None, list[str]]] = {
    "on time": (
        "at 0 schedule tick every=10s\nat 10 -> ...\nat 12 finish 1 -> ...",
        None,
        "ran",
        None,
        ["tick ran at 2026-01-01 00:00:10Z, on time.", "It ended well after 1 ms.", "Next: "],
    ),
    "down": (
        DOWN,
        None,
        "running",
        "down",
        [
            "tick ran at 2026-01-01 00:00:47Z for 00:00:40Z, 7 s late: the process was down from"
            " 00:00:11Z (its last sign of life; it was killed) to 00:00:47Z.",
            "It stands for 2 moments before it, too, which did not run.",
            "It is still running.",
        ],
    ),
    "missed: down": (
        DOWN,
        25,
        "missed",
        "down",
        [
            "Nothing was due at 2026-01-01 00:00:25Z; the moment before it is 00:00:20Z.",
            "tick did not run at 00:00:20Z: the process was down from 00:00:11Z",
            "It is one of 2 moments from 00:00:20Z to 00:00:30Z.",
            "The run of 00:00:40Z stands for what was missed: run_",
        ],
    ),
    "stopped in order": (
        "at 0 schedule tick every=10s overlap=skip\nat 5 drain ; stopped -> ...\n"
        "at 15 start -> ...",
        10,
        "running",
        "down",
        ["5 s late: the process was down from 00:00:05Z to 00:00:15Z."],
    ),
    "stopped": (
        "at 0 schedule tick every=10s overlap=skip\nat 5 drain\nat 12 stopped -> ...\n"
        "at 15 start -> ...",
        10,
        "running",
        "stopped",
        [
            "the scheduler was shutting down from 00:00:05Z, ended at 00:00:12Z and was down until"
            " 00:00:15Z."
        ],
    ),
    "blocked": (
        "at 0 schedule tick every=10s overlap=skip\nat 17 blocked -> ...",
        None,
        "running",
        "blocked",
        ["7 s late: the loop was blocked until 00:00:17Z."],
    ),
    "suspended": (
        "at 0 schedule tick every=1h overlap=skip\nat 2h1m suspended -> ...",
        None,
        "running",
        "suspended",
        ["1 min late: the machine was suspended until 02:01:00Z.", "one moment before it"],
    ),
    "clock set forward": (
        'at 0 schedule tick cron="0 * * * *" overlap=skip\nat 10 wall 1h -> ...',
        None,
        "running",
        "clock_step",
        ["10 s late: the wall clock was set forward over it."],
    ),
    "orphaned": (
        "at 0 schedule tick every=10s overlap=skip\nat 1 crash\nat 2 start only -> ...\n"
        "at 15 schedule tick every=10s overlap=skip -> ...",
        None,
        "running",
        "orphaned",
        ["5 s late: its callable was not registered until 00:00:15Z."],
    ),
    "a one-shot paused": (
        "at 0 schedule tick after=10s ; pause tick -> ...\nat 30 resume tick -> ...",
        None,
        "running",
        "paused",
        ["20 s late: the timer was paused until 00:00:30Z.", "Next: nothing; it fires once."],
    ),
    "missed: paused": (
        "at 0 schedule tick every=10s overlap=skip ; pause tick -> ...\nat 25 resume tick -> ...",
        None,
        "missed",
        "paused",
        ["2 moments from 2026-01-01 00:00:10Z to 00:00:20Z did not run: the timer was paused"],
    ),
    "missed: delayed": (
        'at 0 schedule tick cron="* * * * *"\nat 60 -> ...\nat 130 finish 1 -> ...',
        None,
        "missed",
        "delayed",
        ["an earlier run was still open (overlap=delay)."],
    ),
    "missed: grace": (
        MISSED_ONE.format(options="grace=60s", at="9h5m"),
        None,
        "missed",
        "grace",
        ["it was later than its grace allows; the process was down from 00:00:00Z"],
    ),
    "missed: cap": (
        "at 0 schedule tick every=10s overlap=skip missed=all\nat 1 crash\nat 1h start -> ...",
        10,
        "missed",
        "cap",
        ['too many had passed, and missed="all" runs only the latest 100; the process was down'],
    ),
    "missed: excluded": (
        'at 0 schedule tick cron="0 9 * * *" overlap=skip exclude=2026-01-02\n'
        "at 9h -> ...\nat 10h finish 1 -> ...\nat 33h -> ...",
        None,
        "missed",
        "excluded",
        ["tick did not run at 2026-01-02 09:00:00Z: left out by exclude="],
    ),
    "excluded inside a range that was missed for another reason": (
        'at 0 schedule tick cron="0 9 * * *" overlap=skip exclude=2026-01-02\n'
        "at 1 crash\nat 80h start -> ...",
        "2026-01-02T09:00:00Z",
        "missed",
        "excluded",
        ["tick did not run at 2026-01-02 09:00:00Z: left out by exclude=."],
    ),
    "missed: bounds": (
        "at 0 schedule tick every=10s overlap=skip not_before=35\nat 35 -> ...\nat 40 -> ...",
        25,
        "missed",
        "bounds",
        ["outside not_before= and not_after=", "one of 3 moments from 00:00:10Z to 00:00:30Z"],
    ),
    "missed: past": (
        "at 100 schedule tick at=2026-01-01T00:00:10Z -> ...",
        None,
        "missed",
        "past",
        ["it was more than a minute in the past when it was scheduled", "it fires once"],
    ),
    "missed: changed": (
        "at 0 schedule tick every=10s overlap=skip\nat 1 pause tick\n"
        "at 25 schedule tick every=1h overlap=skip -> ...",
        None,
        "missed",
        "changed",
        ["2 moments from 2026-01-01 00:00:10Z to 00:00:20Z did not run: the timer got another"],
    ),
    "kept by a change": (
        "at 0 schedule tick every=10s overlap=skip\nat 1 crash\nat 22 start only -> ...\n"
        "at 25 schedule tick every=1h overlap=skip -> ...\nat 26 finish 1",
        20,
        "ran",
        "down",
        [
            "tick ran at 2026-01-01 00:00:25Z for 00:00:20Z, 5 s late: the process was down",
            "It stands for one moment before it",
        ],
    ),
    "skipped": (
        "at 0 schedule tick every=10s overlap=skip\nat 10 -> ...\nat 20 -> ...",
        None,
        "skipped",
        "overlap",
        ["tick was skipped at 2026-01-01 00:00:20Z: run_", " of 00:00:10Z was still open"],
    ),
    "a retry to come": (
        "at 0 schedule tick every=10s retry_delay=1h\nat 10 -> ...\nat 11 fail 1 -> ...",
        None,
        "waiting",
        "retry",
        [
            "Attempt 1 failed at 00:00:11Z; attempt 2 is due at 0",
            "It said: Oops",
            "Next: attempt 2",
        ],
    ),
    "behind another run": (
        "at 0 schedule tick every=10s overlap=skip missed=all\nat 1 crash\nat 25 start -> ...",
        None,
        "waiting",
        "overlap",
        ["The run of 2026-01-01 00:00:20Z is there and has not begun: run_", "It was late already"],
    ),
    "dead": (
        "at 0 schedule tick every=10s max_attempts=1\nat 10 -> ...\nat 11 fail 1 -> ...",
        None,
        "failed",
        None,
        ["The last attempt failed at 00:00:11Z, and the run is dead.", "It said: Oops"],
    ),
    "cancelled": (
        "at 0 schedule tick every=10s overlap=skip\nat 10 -> ...\nat 11 cancel tick -> ...\n"
        "at 12 cancelled 1 -> ...",
        None,
        "cancelled",
        None,
        ["It was cancelled at 00:00:12Z: kron.cancel()."],
    ),
    "cancelled before it began": (
        "at 0 schedule tick every=10s overlap=skip missed=all\nat 1 crash\nat 25 start -> ...\n"
        "at 26 cancel 2 -> ...",
        20,
        "cancelled",
        "cancel",
        ["tick did not run at 2026-01-01 00:00:20Z: its run was cancelled at 00:00:26Z"],
    ),
    "pending: paused": (
        "at 0 schedule tick every=10s overlap=skip ; pause tick -> ...\nat 25 -> ",
        None,
        "pending",
        "paused",
        ["00:00:20Z has come, and tick has not run.", "paused since", "recorded as missed"],
    ),
    "pending: orphaned": (
        "at 0 schedule tick after=10s\nat 1 crash\nat 2 start only -> ...\nat 25",
        None,
        "pending",
        "orphaned",
        ["has not been registered since the start", "It runs when it is registered again."],
    ),
    "pending: delayed": (
        'at 0 schedule tick cron="* * * * *"\nat 60 -> ...\nat 130',
        None,
        "pending",
        "delayed",
        ["00:02:00Z has come, and tick has not run: run_", "of 00:01:00Z is still open"],
    ),
    "pending: down": (
        "at 0 schedule tick every=10s overlap=skip\nat 1 crash\nat 25",
        None,
        "pending",
        "down",
        [
            "has not run: the process has been down from 00:00:00Z (its last sign of life",
            'missed="once" decides',
            "No process has carried the schedule out since 00:00:00Z",
            "Next: when a process is started.",
        ],
    ),
    "running when the process died": (
        "at 0 schedule tick every=10s overlap=skip\nat 10 -> ...\nat 15 crash",
        None,
        "waiting",
        "crashed",
        ["It was running when the process died (last sign of life 00:00:10Z)."],
    ),
    "jitter": (
        "at 0 schedule tick every=60s overlap=skip jitter=30s\nat next -> ...",
        None,
        "running",
        None,
        ["later: that is its jitter."],
    ),
    "jitter to come": (
        "at 0 schedule tick every=60s overlap=skip jitter=30s\nat 61",
        None,
        "coming",
        None,
        ["00:01:00Z has come, and tick has not run yet: its jitter delays that to 00:01:"],
    ),
    "before it was there": (
        "at 100 schedule tick every=10s",
        50,
        "none",
        None,
        ["tick did not exist at 2026-01-01 00:00:50Z: it was created at 00:01:40Z."],
    ),
    "before its first moment": (
        "at 0 schedule tick every=1h\nat 100",
        50,
        "none",
        None,
        ["Nothing was due by 2026-01-01 00:00:50Z."],
    ),
    "before not_before": (
        "at 0 schedule tick every=10s overlap=skip not_before=1h\nat 100",
        50,
        "pending",
        "bounds",
        ["tick does not run at 2026-01-01 00:00:50Z: left out by not_before=01:00:00Z."],
    ),
    "triggered": (
        "at 0 schedule tick every=1h\nat 5 trigger tick -> ...\nat 6 finish 1 -> ...",
        None,
        "ran",
        None,
        ["tick ran at 2026-01-01 00:00:05Z, triggered by hand at 00:00:05Z."],
    ),
    "a moment of the schedule before a trigger": (
        "at 0 schedule tick every=10s overlap=skip\nat 10 -> ...\nat 11 finish 1 -> ...\n"
        "at 12 trigger tick -> ...\nat 13 finish 2 -> ...",
        None,
        "ran",
        None,
        ["tick ran at 2026-01-01 00:00:10Z, on time."],
    ),
    "removed": (
        "at 0 schedule tick every=10s overlap=skip\nat 10 -> ...\nat 11 finish 1 -> ...\n"
        "at 12 remove tick -> ...",
        None,
        "ran",
        None,
        ["tick ran at 2026-01-01 00:00:10Z, on time.", "Next: nothing; the timer was removed."],
    ),
    "several processes": (
        "at 0 schedule tick every=10s overlap=skip\nat 1 crash\nat 15 start only -> ...\n"
        "at 16 crash\nat 45 start -> ...",
        None,
        "running",
        "down",
        ["5 s late: the process was down from 00:00:15Z (its last sign of life"],
    ),
    "waited for room": (
        ROOM.format(options="") + "at 100 finish 1 -> ...",
        None,
        "running",
        None,
        ["for 00:01:00Z, 40 s late: it waited 40 s for its turn.", "It is still running."],
    ),
    "waited for room after a downtime": (
        DOWN.replace("at 47 ", "at 47 concurrency 1 ; ")
        + "at 48 finish 2 ; schedule other after=1s\nat 49\nat 50\nat 56 finish 3 -> ...",
        None,
        "running",
        None,
        ["tick ran at 2026-01-01 00:00:56Z for 00:00:50Z, 6 s late: it waited 6 s"],
    ),
    "waits for room": (
        ROOM.format(options=""),
        None,
        "waiting",
        "capacity",
        [
            "The run of 2026-01-01 00:01:00Z is there and has not begun.",
            "It waits for room: 1 of max_concurrency=1 in use, and it needs 1.",
        ],
    ),
    "waits for a start": (
        ROOM.format(options="") + "at 70 crash",
        None,
        "waiting",
        None,
        ["It waits for the next start of a process.", "No process has carried the schedule out"],
    ),
    "missed: capacity": (
        ROOM.format(options="grace=10s") + "at 70 -> RUN_MISSED 2 reason=capacity",
        None,
        "missed",
        "capacity",
        ["00:01:00Z: it found no room until 00:01:10Z, when its grace was over."],
    ),
    "waits for a key": (
        KEY.format(overlap="delay"),
        None,
        "waiting",
        "key",
        ["It waits for the key db: other has it."],
    ),
    "skipped for a key": (
        KEY.format(overlap="skip"),
        None,
        "skipped",
        "key",
        ["other was ahead of it for the key, with run_", " of 00:00:05Z (overlap=skip)."],
    ),
    "waits for a thread": (
        "at 0 schedule tick after=2s thread=yes timeout=60s\nat 0 threads 0\nat 2 -> RUN_DUE 1",
        None,
        "waiting",
        "threads",
        ["It waits for a worker thread: all are busy."],
    ),
    "a retry that waits for room": (
        "at 0 concurrency 1 ; start\nat 0 schedule tick after=1s retry_delay=0s ;"
        " schedule other after=2s priority=9\nat 1 -> ...\nat 2 -> ...\nat 3 fail 1 -> ...",
        None,
        "waiting",
        "capacity",
        ["attempt 2 was due at 00:00:03Z", "in use, and it needs 1.", "as soon as it can start"],
    ),
    "stopping for its timeout": (
        TIMEOUT.format(options=""),
        None,
        "running",
        None,
        ["It is still running, asked to stop: it took longer than its timeout."],
    ),
    "timed out, to be retried": (
        TIMEOUT.format(options="retry_delay=30s") + "at 71 cancelled 1 -> ...",
        None,
        "waiting",
        "retry",
        ["Attempt 1 timed out after 10s at 00:01:11Z; attempt 2 is due at 00:01:"],
    ),
    "timed out, then it went well": (
        TIMEOUT.format(options="retry_delay=0s") + "at 71 cancelled 1 -> ...\nat 72 finish 1",
        None,
        "ran",
        None,
        ["Attempt 1 timed out after 10s at 00:01:11Z. Attempt 2, begun at 00:01:11Z, ended well"],
    ),
    "timed out for good": (
        TIMEOUT.format(options="max_attempts=1") + "at 71 finish 1 -> ...",
        None,
        "failed",
        None,
        ["The last attempt timed out after 10s at 00:01:11Z, and the run is dead. Next:"],
    ),
    "timed out in its thread": (
        TIMEOUT.format(options="max_attempts=1") + "at 71 linger 1 -> ...",
        None,
        "failed",
        None,
        ["and the run is dead.", "Its thread goes on: later runs wait."],
    ),
    "a retry behind its own thread": (
        TIMEOUT.format(options="retry_delay=0s") + "at 71 linger 1 -> ...",
        None,
        "waiting",
        "thread",
        ["attempt 2 was due at 00:01:11Z. It waits: an attempt that timed out goes on in its th"],
    ),
    "skipped behind a thread": (
        TIMEOUT.format(options="max_attempts=1") + "at 71 linger 1 -> ...\nat 120 -> ...",
        None,
        "skipped",
        "overlap",
        [" of 00:01:00Z had timed out, and went on in its thread (overlap=skip)."],
    ),
    "delayed behind a thread": (
        TIMEOUT.format(options="max_attempts=1").replace("skip", "delay")
        + "at 71 linger 1 -> ...\nat 140",
        None,
        "pending",
        "delayed",
        [
            "00:02:11Z has come, and tick has not run: an attempt that timed out goes on in",
            "Next: when the attempt that timed out leaves its thread (overlap=delay).",
        ],
    ),
    "replaced by a newer run": (
        "at 0 schedule tick every=10s overlap=restart\nat 10 -> ...\nat 20 -> ...\n"
        "at 21 trigger tick -> ...\nat 22 cancelled 1 -> ...",
        10,
        "cancelled",
        None,
        ["It was cancelled at 00:00:22Z: the newer run_", " of 00:00:20Z replaced it (overlap=res"],
    ),
    "replaced before it began": (
        "at 0 schedule tick every=10s overlap=restart\nat 10 -> ...\nat 20 -> ...\nat 30 -> ...",
        20,
        "cancelled",
        "restart",
        ["its run was cancelled at 00:00:30Z: the newer run_", " of 00:00:30Z replaced it"],
    ),
    "gave way to the next slot": (
        "at 0 schedule tick every=minute overlap=skip retry_until=window\n"
        "at 13 trigger tick -> ...\nat 14 fail 1 -> ...\nat 15 -> ...",
        13,
        "cancelled",
        None,
        ["Attempt 2 was cancelled at 00:00:15Z: the next slot came, and began anew."],
    ),
    "waits for the one that it replaces": (
        "at 0 schedule tick every=10s overlap=restart\nat 10 -> ...\nat 20 -> ...",
        None,
        "waiting",
        "overlap",
        [" of 00:00:10Z is still open, asked to stop (overlap=restart)."],
    ),
    "stopped for its key": (
        "at 0 schedule tick every=10s key=db ; schedule b after=15s key=db overlap=restart\n"
        "at 10 -> ...\nat 15 -> ...\nat 16 cancelled 1 -> ...",
        None,
        "cancelled",
        None,
        ["00:00:16Z: a run of another timer needed its key (overlap=restart)."],
    ),
    "missed: paused, and it ended by itself": (
        PAUSED.format(options="for=20s") + "at 25 -> ...",
        None,
        "missed",
        "paused",
        ["the timer was paused until 00:00:25Z, when that ended by itself.", "Next: 00:00:30Z"],
    ),
    "missed: paused, and it ended with nobody there": (
        PAUSED.format(options="for=20s") + "at 6 crash\nat 47 start -> ...",
        10,
        "missed",
        "paused",
        ["the timer was paused; by 00:00:47Z that had ended by itself. It is one of 2 moments"],
    ),
    "pending: paused until": (
        PAUSED.format(options="for=20s reason='till 09:00:00Z' who=ann") + "at 11",
        None,
        "pending",
        "paused",
        [
            "Nothing runs until 00:00:25Z: tick has been paused since 00:00:05Z.",
            "It was paused by ann: till 09:00:00Z.",
            "When the pause ends, its moments of the pause are recorded as missed.",
            "Next: 00:00:30Z, by every 10s.",
        ],
    ),
    "pending: down after a pause": (
        PAUSED.format(options="for=20s") + "at 6 crash\nat 31",
        None,
        "pending",
        "down",
        ["00:00:30Z has come, and tick has not run: the process has been down"],
    ),
    "backfilled after a downtime": (
        BACKFILL,
        20,
        "missed",
        "down",
        ["The backfill that goes on is to run it."],
    ),
    "backfilled": (
        BACKFILL + "at 49.5 finish 3 -> ...\nat 49.7 finish 4 -> ...\nat 49.8 finish 5 -> ...",
        25,
        "ran",
        "down",
        [
            "Nothing was due at 2026-01-01 00:00:25Z; the moment before it is 00:00:20Z.",
            "tick did not run at 00:00:20Z: the process was down from 00:00:11Z",
            "A backfill ran tick at 00:00:49Z for 00:00:20Z. It ended well after 1 ms.",
        ],
    ),
    "a backfill at work": (
        BACKFILL,
        0,
        "running",
        "backfill",
        ["A backfill ran tick at 2026-01-01 00:00:49Z for 00:00:00Z. It is still running."],
    ),
    "a backfill that goes on": (
        BACKFILL,
        None,
        "ran",
        "down",
        ["A backfill from 00:00:00Z to 00:00:45Z goes on (1 of 3 runs begun)."],
    ),
    "a backfill that waits": (
        BACKFILL + "at 49.2 pause tick -> ...\nat 49.3 backfill tick since=0 until=45 force=yes",
        None,
        "ran",
        "down",
        ["to 00:00:45Z waits (1 of 3 runs begun); 1 more follows."],
    ),
    "behind a backfill": (
        BACKFILL + "at 50 -> RUN_DUE 4",
        None,
        "waiting",
        "overlap",
        [" of 00:00:00Z, a backfill's, is still open."],
    ),
    "backfilled once more": (
        "at 0 schedule tick every=10s overlap=skip\nat 10 -> ...\nat 11 finish 1 -> ...\n"
        "at 12 backfill tick since=10 until=12 force=yes -> ...\nat 13 fail 2 -> ...",
        None,
        "ran",
        None,
        ["tick ran at 2026-01-01 00:00:10Z, on time.", "A backfill ran tick at 00:00:12Z for"],
    ),
}


@pytest.mark.parametrize("case", PAST)
def test_what_became_of_a_moment(case: str) -> None:
    transcript, at, outcome, because, sentences = PAST[case]
    why = ask(play(_loosely(transcript)), at)
    assert (why["outcome"], why["because"]) == (outcome, because), told(why)
    missing = [each for each in sentences if each not in told(why)]
    assert not missing, why["text"]


def _loosely(transcript: str) -> str:
    """A line that says nothing of events may have any."""
    lines = filter(None, transcript.splitlines())
    return "\n".join(line if "->" in line else f"{line} -> ..." for line in lines)


def test_every_reason_of_a_missed_moment_is_told() -> None:
    told = {because for _, _, _, because, _ in PAST.values()}
    assert set(Reason) - told == {Reason.INVALID}


def test_a_timer_in_an_unknown_zone_says_so() -> None:
    player = play('at 0 schedule tick cron="0 9 * * *" timezone=Europe/Berlin -> ...')
    state = player.machine.state
    state.lives = (state.lives[-1]._replace(unknown=("Europe/Berlin",)),)
    player.us += 9 * 3_600_000_000
    why = ask(player)
    assert (why["outcome"], why["because"]) == ("pending", "invalid")
    assert "the time zone Europe/Berlin is not known on this machine" in told(why)
    assert why["next_run_at"] is None


FUTURE: dict[str, tuple[str, Any, str, str | None, str]] = {
    "it runs": ("every=10s overlap=skip", 100, "coming", None, "to run at 2026-01-01 00:01:40Z"),
    "no moment": (
        "every=10s overlap=skip",
        105,
        "coming",
        None,
        "first moment after it: 00:01:50Z",
    ),
    "excluded": (
        'cron="0 9 * * *" exclude=fri',
        "2026-01-02T09:00:00+00:00",
        "coming",
        "excluded",
        "left out by exclude=. The first moment after it: 2026-01-03 09:00:00Z.",
    ),
    "behind not_after": (
        "every=10s overlap=skip not_after=55",
        100,
        "none",
        "bounds",
        "left out by not_after=00:00:55Z. Nothing comes after it.",
    ),
    "before not_before": (
        "every=10s overlap=skip not_before=55",
        20,
        "coming",
        "bounds",
        "left out by not_before=00:00:55Z. The first moment after it: 00:01:00Z.",
    ),
    "a gap": (
        'cron="30 2 * * *" timezone=Europe/Berlin',
        "2026-03-29T02:30:00+01:00",
        "coming",
        None,
        "02:30 does not exist on 2026-03-29: runs at 03:00 (Europe/Berlin).",
    ),
    "a fixed delay": ("every=10s", 10, "coming", None, "tick is to run at 2026-01-01 00:00:10Z"),
    "later of a fixed delay": (
        "every=10s",
        20,
        "coming",
        None,
        "at 2026-01-01 00:00:20Z cannot be",
    ),
    "a one-shot": ("after=10s", 10, "coming", None, "is to run at 2026-01-01 00:00:10Z"),
    "behind a one-shot": ("after=10s", 20, "coming", None, "does not run at 2026-01-01 00:00:20Z."),
}


@pytest.mark.parametrize("case", FUTURE)
def test_what_a_moment_to_come_will_be(case: str) -> None:
    options, at, outcome, because, sentence = FUTURE[case]
    why = ask(play(f"at 0 schedule tick {options} -> ...\nat 1"), at)
    assert (why["outcome"], why["because"]) == (outcome, because), told(why)
    assert sentence in told(why)
    assert (why["scheduled_at"] is None) == (outcome == "none")


UNTIL: dict[str, tuple[str, Any, str, str | None, str]] = {
    "in the pause": (
        "every=10s overlap=skip",
        20,
        "coming",
        "paused",
        "it is paused until 00:00:35Z. It was paused by ann. The first moment after the pause:"
        " 00:00:40Z.",
    ),
    "after the pause": (
        "every=10s overlap=skip",
        50,
        "coming",
        None,
        "is to run at 2026-01-01 00:00:50Z, by every 10s; its pause ends before that, at 00:00:35Z",
    ),
    "a one-shot": (
        "after=20s",
        20,
        "coming",
        "paused",
        "it is paused until 00:00:35Z. It was paused by ann. It runs when the pause ends, at 00:0",
    ),
    "behind a one-shot": ("after=20s", 50, "coming", None, "00:00:35Z, when its pause ends."),
    "a fixed delay": ("every=10s", 45, "coming", None, "tick is to run at 2026-01-01 00:00:45Z"),
    "a fixed delay in the pause": ("every=10s", 10, "coming", "paused", "the pause: 00:00:45Z."),
    "the last moments": (
        "every=10s overlap=skip not_after=33",
        20,
        "none",
        "paused",
        "Nothing comes after it.",
    ),
}


@pytest.mark.parametrize("case", UNTIL)
def test_what_a_moment_to_come_will_be_if_a_pause_ends_by_itself(case: str) -> None:
    options, at, outcome, because, sentence = UNTIL[case]
    line = f"at 0 schedule tick {options} -> ...\nat 5 pause tick for=30s who=ann -> ..."
    why = ask(play(line), at)
    assert (why["outcome"], why["because"]) == (outcome, because), told(why)
    assert sentence in told(why)


def test_the_end_of_a_pause_follows_elapsed_time_for_any_timer() -> None:
    text = 'at 0 schedule tick cron="* * * * *" -> ...\nat 5 pause tick for=10m -> ...\n'
    why = ask(play(text + "at 6 wall 1h -> ..."))
    assert "Nothing runs until 01:10:05Z" in told(why)
    assert why["next_run_at"] == "2026-01-01T01:11:00+00:00"


def test_a_moment_that_a_backfill_has_run_as_data() -> None:
    done = "at 49.5 finish 3 -> ...\nat 49.7 finish 4 -> ...\n"
    why = ask(play(_loosely(BACKFILL + done)), 20)
    assert (why["outcome"], why["because"], why["moments"]) == ("ran", "down", 2)
    assert (why["scheduled_at"], why["ran_at"]) == (
        "2026-01-01T00:00:20+00:00",
        "2026-01-01T00:00:49.500000+00:00",
    )
    assert (why["late_ms"], why["attempts"]) == (29_500, 1)
    assert why["run_id"] is not None
    assert why["window"] is not None


def test_a_range_of_another_definition_tells_of_the_moment_that_was_backfilled() -> None:
    text = _loosely(DOWN) + "\nat 49 schedule tick every=4s overlap=skip called=0 -> ...\n"
    player = play(text + "at 50 finish 2 ; backfill tick since=20 until=21 -> ...")
    why = ask(player, 20)
    assert (why["outcome"], why["scheduled_at"]) == ("running", "2026-01-01T00:00:20+00:00")
    assert len(why["text"]) == 3, why["text"]


def test_nothing_runs_while_it_is_paused() -> None:
    player = play("at 0 schedule tick every=10s ; pause tick -> ...\nat 1")
    why = ask(player, 10)
    assert (why["outcome"], why["because"], why["next_run_at"]) == ("none", "paused", None)


def test_the_next_moment_waits_for_the_open_run() -> None:
    why = ask(play("at 0 schedule tick every=30m -> ...\nat 30m -> ..."))
    assert why["text"][-1] == "Next: 30m after the run that is open ends (overlap=delay)."
    assert (why["next_run_at"], why["next_because"]) == (None, "overlap=delay")


def test_the_story_as_data() -> None:
    why = ask(play(_loosely(DOWN)))
    assert why["scheduled_at"] == "2026-01-01T00:00:40+00:00"
    assert why["ran_at"] == "2026-01-01T00:00:47+00:00"
    assert why["late_ms"] == 7000
    assert why["window"] == {
        "from": "2026-01-01T00:00:11+00:00",
        "to": "2026-01-01T00:00:47+00:00",
    }
    assert why["run_id"] is not None
    assert (why["attempts"], why["error"], why["ended_at"]) == (1, None, None)
    assert why["next_run_at"] == "2026-01-01T00:00:50+00:00"
    assert why["next_because"] == "every 10s"
    missed = ask(play(_loosely(DOWN)), 30)
    assert (missed["moments"], missed["run_id"]) == (2, None)
    assert missed["first_at"] == "2026-01-01T00:00:20+00:00"
    assert missed["last_at"] == missed["scheduled_at"] == "2026-01-01T00:00:30+00:00"


# -- random histories ----------------------------------------------------------------------------

ENDED = {ev.RunSucceeded: "ran", ev.RunDead: "failed", ev.RunCancelled: "cancelled"}


@pytest.mark.parametrize("seed", range(12))
def test_a_random_history_is_told_as_it_was(seed: int) -> None:
    """At each moment that has an event, the story is that of the event."""
    world = World(seed)
    world.moves = [each for each in world.moves if "step" not in each[1].__name__]
    for _ in range(MOVES):
        world.move()
    log, events = PlayedLog(world.player), events_of(world.player)
    ends = {each.run: ENDED[type(each)] for each in events.values() if type(each) in ENDED}
    accounts = {id_: each for id_, each in events.items() if is_account(each)}
    for name in {each.timer for each in accounts.values()}:
        mine = {id_: each for id_, each in accounts.items() if each.timer == name}
        again = {each.scheduled_us for each in events.values() if is_backfill(each, name)}
        for us in {span_of(each)[0] for each in mine.values()} - again:
            latest = latest_of(mine, until_of(us))
            if latest is None or us > world.player.wall_us:
                continue
            why, event = ask(world.player, text(us), name, log=log), mine[latest]
            if isinstance(event, ev.RunMissed):
                assert why["outcome"] == "missed"
                assert why["because"] in (event.reason, "excluded", "bounds")
            elif isinstance(event, ev.RunSkippedOverlap):
                assert why["outcome"] == "skipped"
            else:
                assert why["scheduled_at"] == text(event.scheduled_us)
                open_ = ("running", "waiting")
                assert why["outcome"] in ((ends[latest],) if latest in ends else open_)


def events_of(player: Player) -> dict[int, Any]:
    return {
        index * ev.POSITIONS + place: event
        for index, payload in enumerate(player.log, 1)
        for place, event in enumerate(decode(payload, index).events)
    }


def is_backfill(event: Any, name: str) -> bool:
    return isinstance(event, ev.RunDue) and (event.timer, event.cause) == (name, "backfill")


def is_account(event: Any) -> bool:
    is_run = isinstance(event, ev.RunDue | ev.RunSkippedOverlap) and event.cause == "schedule"
    return is_run or isinstance(event, ev.RunMissed)


def span_of(event: Any) -> tuple[int, int]:
    if isinstance(event, ev.RunMissed):
        return event.first_us, event.last_us
    return event.scheduled_us, event.scheduled_us


def latest_of(accounts: dict[int, Any], until_us: int) -> int | None:
    """The account of the latest moment; None if two timers of one name have the same."""
    moments = {
        id_: min(span_of(event)[1], until_us)
        for id_, event in accounts.items()
        if span_of(event)[0] <= until_us
    }
    latest_us = max(moments.values())
    found = [id_ for id_, us in moments.items() if us == latest_us]
    return found[0] if len(found) == 1 else None


# -- what is not known ---------------------------------------------------------------------------


def test_what_was_let_go_is_not_guessed() -> None:
    player = play(_loosely(DOWN))
    state = player.machine.state
    state.ring.clear()
    state.confirm(state.index, state.last_us)
    why = ask(player, 12, log=PlayedLog(player, base=len(player.log)))
    assert why["outcome"] == "unknown"
    assert "its records have been let go" in told(why)


def test_without_the_record_of_its_beginning_a_run_is_told_in_short() -> None:
    player = play(_loosely(DOWN) + "\nat 48 finish 2 -> ...")
    why = ask(player, log=PlayedLog(player, base=len(player.log) - 1))
    assert why["outcome"] == "ran"
    assert (why["because"], why["window"]) == (None, None)
    assert why["text"][0] == "tick ran at 2026-01-01 00:00:47Z for 00:00:40Z, 7 s late."


def test_a_definition_that_has_changed_is_not_asked_about_older_ranges() -> None:
    player = play(_loosely(DOWN) + "\nat 49 schedule tick every=7s overlap=skip -> ...")
    why = ask(player, 25)
    assert (why["outcome"], why["scheduled_at"]) == ("missed", None)
    assert why["text"][0].startswith("2 moments from 2026-01-01 00:00:20Z to 00:00:30Z did not run")


def test_a_name_that_was_never_there_is_unknown() -> None:
    player = play("at 0 schedule tick every=10s -> ...")
    for at in (None, 5, -5, 100):
        with pytest.raises(UnknownTimer, match="no timer named 'nix'"):
            ask(player, at, "nix")


@pytest.mark.parametrize("at", ["2026-01-01T00:00:00", "soon", datetime(2026, 1, 1)])  # noqa: DTZ001
def test_an_instant_needs_a_zone(at: object) -> None:
    with pytest.raises(ScheduleError, match="at="):
        ask(play("at 0 schedule tick every=10s -> ..."), at)


def test_an_aware_datetime_in_any_zone_is_an_instant() -> None:
    player = play(_loosely(DOWN))
    at = datetime(2026, 1, 1, 1, 0, 20, tzinfo=ZoneInfo("Europe/Berlin"))
    assert ask(player, at) == ask(player, 20)


# -- the way back --------------------------------------------------------------------------------


def test_older_rows_are_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "PAGE", 2)
    lines = ["at 0 schedule tick every=10s overlap=skip -> ..."]
    for number in range(1, 8):
        lines += [f"at {number}0 -> ...", f"at {number}1 finish {number} -> ..."]
    player = play("\n".join(lines))
    log = PlayedLog(player)
    assert ask(player, 20, log=log)["ran_at"] == "2026-01-01T00:00:20+00:00"
    assert log.reads == 3
    assert ask(player, log=log)["ran_at"] == "2026-01-01T00:01:10+00:00"
    assert log.reads == 3


def test_after_a_far_step_back_the_new_time_counts() -> None:
    player = play(
        'at 0 schedule tick cron="*/5 * * * *" overlap=skip -> ...\n'
        "at 300 -> ...\nat 301 finish 1 -> ...\nat 302 wall -24h -> ...\n"
        "at 600 -> ...\nat 601 finish 2 -> ..."
    )
    assert ask(player)["scheduled_at"] == "2025-12-31T00:10:00+00:00"
    assert ask(player, 300)["outcome"] == "coming"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_moment_of_every_scenario_has_a_story(path: Path) -> None:
    player = play(path.read_text("utf-8"))
    log = PlayedLog(player)
    rows = log.rows_before(1 << 62, None, 10_000)
    names = {row.timer for row in rows} | set(player.machine.state.timers)
    for name in names:
        moments = [row.scheduled_us for row in rows if row.timer == name]
        ahead = [player.wall_us + 10_000_000, player.wall_us + 3_600_000_000]
        for us in [None, *moments, *(us + 1_000_000 for us in moments), *ahead]:
            why = ask(player, None if us is None else text(us), name, log=log)
            assert 1 <= len(why["text"]) <= 7, why
            assert all(each.endswith((".", "Z")) or "It said" in each for each in why["text"])


# -- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("us", "words"),
    [
        (0, "0 ms"),
        (850_000, "850 ms"),
        (3_500_000, "3.5 s"),
        (40_000_000, "40 s"),
        (2_403_000_000, "40 min 3 s"),
        (7_500_000_000, "2 h 5 min"),
        (273_600_000_000, "3 d 4 h"),
        (3_600_500_000, "1 h"),
    ],
)
def test_lengths_of_time(us: int, words: str) -> None:
    assert span(us) == words


def test_instants_are_shown_in_a_zone_with_their_date_once() -> None:
    sentences = [
        "ran at 2026-03-01 23:30:00Z for 2026-03-01 22:00:00Z.",
        "It said: at 2026-03-01 22:00:00Z",
        "Next: 2026-03-02 23:30:00Z.",
    ]
    berlin: Callable[..., list[str]] = lambda **more: retold(  # noqa: E731
        sentences, ZoneInfo("Europe/Berlin"), **more
    )
    assert berlin() == [
        "ran at 2026-03-02 00:30:00 for 2026-03-01 23:00:00.",
        "It said: at 2026-03-01 22:00:00Z",
        "Next: 2026-03-03 00:30:00.",
    ]
    assert berlin(today=date(2026, 3, 2))[0] == "ran at 00:30:00 for 2026-03-01 23:00:00."
    short = retold(sentences, UTC, mark="Z")
    assert short[0] == "ran at 2026-03-01 23:30:00Z for 22:00:00Z."
    assert retold(short, ZoneInfo("Europe/Berlin")) == berlin()


def test_what_people_have_said_is_left_as_it_is() -> None:
    sentences = [f"paused until {DAY}09:00:00Z.", "It was paused by ann: till 09:00:00Z."]
    shown = retold(sentences, ZoneInfo("Europe/Berlin"))
    assert shown == ["paused until 2026-01-01 10:00:00.", sentences[1]]
