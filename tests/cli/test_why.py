"""`kron job why` through the door and on files, and what `kron doctor` says of the ledger."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest

import kron
from kron.cli.words import plain
from kron.runtime import reading
from kron.server.checkup import examine, with_runtime
from kron.server.verify import verify
from kron.storage.file import FileLog
from kron.testing.transcript import play

from .conftest import Kron, environment

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*.txt"))
MISSED = """
at 0     schedule tick cron="* * * * *" overlap=skip missed=skip grace=10s -> ...
at 60    -> ...
at 61    finish 1 -> ...
at 200   blocked -> ...
at 240   -> ...
at 241   finish 2 -> ...
"""

REPORT = """
at 0         schedule report cron="0 * * * *" overlap=skip -> ...
at 1h        -> ...
at 3603      finish 1 -> ...
at 3700      crash
at 4h40m2s   start -> ...
at +3        finish 2 -> ...
"""
BUSY = """
at 0    concurrency 1 ; start -> ...
at 0    schedule tick cron="* * * * *" overlap=skip missed=skip grace=30s timeout=20s -> ...
at 0    schedule long after=110s -> ...
at 60   -> ...
at 80   -> ...
at 81   cancelled 1 -> RUN_FAILED reason=timeout, ...
at 82   cancel tick -> ...
at 110  -> ...
at 120  -> ...
at 150  -> RUN_MISSED reason=capacity
at 160  finish 2 -> ...
at 161  backfill tick since=100 until=160 -> ...
at 170  finish 4 -> ...
at 171  pause tick for=1h reason=deploy who=ann -> ...
"""
LEDGER = (Path(__file__).parents[2] / "docs/ledger.md").read_text("utf-8")


def written(directory: Path, payloads: Iterable[bytes]) -> Path:
    """A data directory with these records."""

    async def write() -> None:
        log = FileLog(directory, fsync="never")
        await log.open()
        for index, payload in enumerate(payloads, 1):
            await log.append(index, payload)
        await log.close()

    asyncio.run(write())
    return directory


def without(payloads: list[bytes], tag: str) -> list[bytes]:
    """A forger's log: the first event of that kind is replaced by one that nobody knows."""
    forged = [orjson.loads(payload) for payload in payloads]
    event = next(event for _, *events in forged for event in events if event[0] == tag)
    event[:] = ["FORGED"]
    return [orjson.dumps(record) for record in forged]


@pytest.fixture
def told(tmp_path: Path) -> Kron:
    return Kron(written(tmp_path / "d", play(MISSED).log))


# -- job why -------------------------------------------------------------------------------------


def test_the_story_from_the_files(told: Kron) -> None:
    result = told("job", "why", "tick", "--at", "2026-01-01T00:02:30")
    assert result.stdout.splitlines() == [
        "Nothing was due at 2026-01-01 00:02:30; the moment before it is 00:02:00.",
        "tick did not run at 00:02:00: the loop was blocked until 00:03:20.",
        "It is one of 2 moments from 00:02:00 to 00:03:00.",
    ]
    assert "read from the files" in result.stderr


def test_the_story_as_json_is_that_of_the_python_surface(told: Kron) -> None:
    why = told.json("job", "why", "tick", "--at", "2026-01-01T00:01:00Z")
    assert (why["outcome"], why["ran_at"]) == ("ran", "2026-01-01T00:01:00+00:00")
    assert why["text"] == [
        "tick ran at 2026-01-01 00:01:00Z, on time.",
        "It ended well after 1 ms.",
    ]
    assert set(why) == set(kron.Why.__annotations__)


def test_a_story_fits_80_columns(told: Kron) -> None:
    lines = told("job", "why", "tick").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("No process has carried the schedule out since" in line for line in lines)


def test_the_story_of_a_busy_process_fits_80_columns(tmp_path: Path) -> None:
    busy = Kron(written(tmp_path / "d", play(BUSY).log))

    def lines(*at: str) -> list[str]:
        told = busy("job", "why", "tick", *at, columns=80).stdout.splitlines()
        assert max(map(len, told)) <= 80
        return [line.rstrip() for line in told]

    assert lines("--at", "2026-01-01T00:02:00") == [
        "tick did not run at 2026-01-01 00:02:00: it found no room until 00:02:30, when",
        "its grace was over.",
        "A backfill ran tick at 00:02:41 for 00:02:00.",
        "It ended well after 1 ms.",
    ]
    assert lines("--at", "2026-01-01T00:01:00") == [
        "tick ran at 2026-01-01 00:01:00, on time.",
        "Attempt 1 timed out after 20s at 00:01:21.",
        "Attempt 2 was cancelled at 00:01:22: kron.cancel().",
    ]
    assert lines("--at", "2026-01-01T00:30:00") == [
        "2026-01-01 00:30:00 has come, and tick has not run.",
        "tick was paused from 00:02:51 to 01:02:51.",
        "It was paused by ann: deploy.",
        "When a process is started, its moments of the pause are recorded as missed.",
    ]


def test_the_tail_of_the_log_says_why_and_shows_lengths_and_ends(tmp_path: Path) -> None:
    busy = Kron(written(tmp_path / "d", play(BUSY).log))
    tail = busy("log", "tail", "-n", "100", columns=200).stdout.splitlines()
    words = (line.split(None, 3) for line in tail if " tick " in line)
    lines = {tag: rest for _, tag, _, *rest_ in words for rest in rest_}
    started = "since=00:01:40  until=00:02:40  next=00:02:00  moments=1"
    assert lines["BACKFILL_STARTED"] == started
    assert lines["TIMER_PAUSED"] == "reason=deploy  until=01:02:51  who=ann"
    missed = "reason=capacity  first=00:02:00  last=00:02:00  moments=1  run=run_"
    assert lines["RUN_MISSED"].startswith(missed)
    assert not any("1970" in line or "1969" in line for line in tail)
    events = busy.json("log", "tail", "-n", "100")
    due, ended = (
        next(each for each in events if each["event"] == event)
        for event in ("RUN_DUE", "RUN_MISSED")
    )
    assert (due["jitter_ms"], "next" in ended) == (0, False)


def test_times_are_those_of_the_local_clock(told: Kron) -> None:
    code = "import os, time; os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()"
    args = ["--data-dir", str(told.directory), "job", "why", "tick", "--at", "2026-01-01 09:01"]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nfrom kron.cli.main import app\napp({args!r})"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert "tick ran at 2026-01-01 09:01:00, on time." in done.stdout, done.stderr


def test_an_unknown_timer_is_exit_1_and_a_wrong_time_exit_2(told: Kron) -> None:
    assert "timer 'nix' not found" in told("job", "why", "nix", code=1).stderr
    assert "timer 'no name' not found" in told("job", "why", "no name", code=1).stderr
    assert "--at soon" in told("job", "why", "tick", "--at", "soon", code=2).stderr


def test_the_living_runtime_tells_the_same(live: kron.Scheduler, cli: Kron) -> None:
    live.trigger("tick")
    why = cli.json("job", "why", "tick")
    for volatile in ("asked_at", "text"):
        why.pop(volatile)
    expected: dict[str, Any] = {**live.why("tick")}
    assert why == {key: value for key, value in expected.items() if key in why}
    ahead = cli("job", "why", "tick", "--at", "2037-01-01T12:00").stdout
    assert "tick does not run at 2037-01-01 12:00:00: it is no moment of every 1h." in ahead
    assert cli("job", "why", "paused", "--at", "2037-01-01T12:00").stdout.startswith("Nothing runs")
    assert "timer 'nix' not found" in cli("job", "why", "nix", code=1).stderr


def test_another_text_is_shown_escaped(cli: Kron) -> None:
    out = cli("job", "why", "bad", columns=300).stdout
    assert r"It said: ValueError: no \x1b[31mred\x1b[0m" in out


def test_the_transcript_in_the_documents_is_real(tmp_path: Path) -> None:
    cli = Kron(written(tmp_path / "d", play(REPORT).log))
    (block,) = re.findall(r"^```console\n(\$ kron --utc job why.*?)^```$", LEDGER, re.S | re.M)
    shown = ""
    for command in re.findall(r"^\$ kron (.*)$", block, re.M):
        text = cli(*command.split()).stdout
        shown += f"$ kron {command}\n" + "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    assert without_log_id(block) == without_log_id(shown)


def without_log_id(text: str) -> str:
    """A run's id has some letters of its log's, which is another one each time."""
    return re.sub(r"(run_\w{10})\w{4}", r"\1....", text)


# -- doctor and verify ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_doctor_is_silent_about_a_healthy_log(path: Path, tmp_path: Path) -> None:
    directory = written(tmp_path / "d", play(path.read_text("utf-8")).log)
    report = examine(str(directory))
    assert report["ok"], report
    assert report["problems"] == []
    assert verify(str(directory))["ok"]


@pytest.mark.parametrize("tag", ["RUN_MISSED", "RUN_SKIPPED_OVERLAP"])
def test_a_due_moment_without_an_event_is_a_defect(tmp_path: Path, tag: str) -> None:
    text = "at 0 schedule tick every=10s overlap=skip -> ...\nat 10 -> ...\nat 20 -> ...\n"
    log = play(MISSED if tag == "RUN_MISSED" else f"{text}at 30 -> ...\n").log
    cli = Kron(written(tmp_path / "d", without(log, tag)))
    out = " ".join(cli("doctor", code=1).stdout.split())
    assert "WRONG ledger 1 due moment without an event, or with two" in out
    assert "no event says what became of it" in out
    proof = " ".join(cli("log", "verify", code=1).stdout.split())
    assert "no event says what became of it" in proof


def test_a_repair_of_something_else_is_not_refused_for_a_gap(tmp_path: Path) -> None:
    cli = Kron(written(tmp_path / "d", without(play(MISSED).log, "RUN_MISSED")))
    (cli.directory / "kron.aof").chmod(0o644)
    assert "done: chmod 600" in cli("doctor", "--repair", "--yes", code=1).stderr


def test_an_invalid_timer_is_a_defect_with_its_reason(tmp_path: Path) -> None:
    log = play('at 0 schedule daily cron="0 9 * * *" timezone=Europe/Berlin -> ...').log
    gone = [payload.replace(b"Europe/Berlin", b"Europe/Nowhere") for payload in log]
    started = orjson.loads(log[0])
    started[1][5] = "Europe/Nowhere"
    cli = Kron(written(tmp_path / "d", [*gone, orjson.dumps(started)]))
    out = " ".join(cli("doctor", code=1).stdout.split())
    assert "WRONG state 1 timer, 0 open runs; 1 timer invalid" in out
    assert "timer daily is invalid: the time zone Europe/Nowhere is not known" in out
    assert "invalid" in cli("job", "list").stdout
    status = " ".join(cli("job", "status", "daily").stdout.split())
    assert "invalid the time zone Europe/Nowhere is not known on this machine" in status
    why = cli.json("job", "why", "daily", "--at", "2037-01-01T08:00Z")
    assert (why["outcome"], why["because"]) == ("none", "invalid")


def test_an_overdue_timer_of_a_living_runtime_is_a_defect(
    live: kron.Scheduler, cli: Kron, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = examine(str(cli.directory))
    facts = cli.json("runtime", "status")
    assert facts["overdue"] == []
    assert with_runtime(report, facts)["ok"] == report["ok"]
    overdue = [{"timer": "tick", "since": "2026-01-01T00:00:00+00:00"}]
    worse = with_runtime(report, {**facts, "overdue": overdue})
    assert not worse["ok"]
    assert "has not begun what was due: tick (2026" in worse["problems"][-1]["what"]
    monkeypatch.setattr(reading, "OVERDUE_US", -36_000_000_000)  # what is due in ten hours, too
    found = [each["timer"] for each in cli.json("runtime", "status")["overdue"]]
    assert found == ["tick"]  # the others have no callable, are paused, or wait for a retry


# -- job status ----------------------------------------------------------------------------------


def test_status_shows_what_is_not_the_default(tmp_path: Path) -> None:
    options = "dst=skip jitter=5m not_before=2026-02-01T00:00Z exclude=sat missed=skip grace=2h"
    text = f'at 0 schedule weekly cron="0 9 * * 1" timezone=Europe/Berlin {options} -> ...\n'
    cli = Kron(written(tmp_path / "d", play(text + "at 1 schedule plain every=30m -> ...").log))
    rows = dict(_row(line) for line in cli("job", "status", "weekly").stdout.splitlines())
    assert rows["schedule"] == "at 09:00 on Mondays, Europe/Berlin  (cron 0 9 * * 1)"
    assert (rows["dst"], rows["jitter"], rows["exclude"]) == ("skip", "up to 5m", "sat")
    assert rows["not before"] == "2026-02-01 00:00:00 UTC"
    assert rows["missed"] == "skip, at most 2h late"
    plain = dict(_row(line) for line in cli("job", "status", "plain").stdout.splitlines())
    assert plain["schedule"] == "every 30 minutes, counted from the end of each run  (every 30m)"
    assert not plain.keys() & {"dst", "jitter", "exclude", "not before", "not after", "missed"}


def _row(line: str) -> tuple[str, str]:
    return line[:15].strip(), line[15:].strip()


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("cron hour=9 minute=0,30", "at 09:00 and 09:30 every day"),
        ("every day 15:12", "daily at 15:12 UTC"),
        ("every 1h", "every hour, counted from the end of each run"),
        ("after 10s", "once, 10 seconds after it was first scheduled"),
        ("at 2027-01-01T09:00:00+00:00", "once at 2027-01-01 09:00 UTC"),
    ],
)
def test_every_selector_has_plain_words(schedule: str, words: str) -> None:
    timer: Any = {"schedule": schedule, "timezone": "UTC", "overlap": "delay"}
    assert plain(timer) == words
