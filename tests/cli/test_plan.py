"""`kron plan`: what it says, and how it exits."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

import kron
from kron.cli.plan_text import Clock, _backfilled
from kron.core.steering import Backfill
from kron.sources.plan import FieldChange, NextRun, PlanDocument, TimerChange
from kron.sources.reading import read_files
from kron.testing.clock import VirtualClock
from kron.testing.scheduler import VirtualScheduler

from .conftest import Kron, files_of, until

FAR_HOUR = (datetime.now(UTC).hour + 12) % 24
"""No moment of this hour comes while the tests run, nor was there one a few hours ago."""

BEFORE = f"""
[timers.report]
cron = "0 * * * *"
command = "true"

[timers.same]
every = "day"
command = "true"

[timers.old]
cron = "0 {FAR_HOUR} * * *"
command = "true"
"""
AFTER = """
[timers.report]
cron = "30 9 * * mon"
command = "true"
description = "\\u001b[31mred"

[timers.same]
every = "day"
command = "true"

[timers.new]
cron = "0 3 * * *"
command = "true"
"""


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kron:
    """In a folder with AFTER as its kron.toml; sys.path is put back in the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "kron.toml").write_text(AFTER)
    return Kron(tmp_path / "d")


def write(cli: Kron, text: str) -> None:
    (cli.directory.parent / "kron.toml").write_text(text)


def lived(cli: Kron, text: str, since: timedelta, lasts: str) -> None:
    """What `kron up` of such a file has left, which began so long ago."""
    write(cli, text)
    clock = VirtualClock(datetime.now(UTC) - since)
    scheduler = VirtualScheduler(clock, data_dir=cli.directory)
    scheduler._enrolment.declare(read_files(["kron.toml"]).declarations())
    scheduler.start()
    scheduler.advance(lasts)
    scheduler.shutdown(0)


def test_without_a_data_directory_all_is_to_be_added(cli: Kron) -> None:
    lines = cli("plan", code=2).stdout.splitlines()
    assert lines[:2] == ["+ report  kron.toml:2", "    at 09:30 on Mondays"]
    assert re.fullmatch(r"    first run Mon( \w+ \d\d)? 09:30 UTC", lines[2])
    assert lines[-2:] == ["", "3 to add; 0 unchanged"]
    assert not cli.directory.exists()


def test_nothing_to_do_exits_with_0(cli: Kron) -> None:
    lived(cli, AFTER, timedelta(minutes=3), "1m")
    assert cli("plan").stdout == "nothing to do; 3 unchanged\n"
    assert cli("plan", "kron.toml").stdout == "nothing to do; 3 unchanged\n"


def test_each_change_is_told_with_what_it_does_to_the_next_run(cli: Kron) -> None:
    lived(cli, BEFORE, timedelta(hours=2, minutes=2), "1m")
    write(cli, AFTER)
    before = files_of(cli.directory)
    text = cli("plan", code=2).stdout
    assert files_of(cli.directory) == before
    report, new, old, summary = re.split(r"\n(?=[+-] |\n)", text)
    assert report.startswith(
        "~ report  kron.toml:2\n"
        "    cron         0 * * * * -> 30 9 * * MON\n"
        '    description  "" -> \\x1b[31mred\n'
        "    next run moves from "
    )
    told = " ".join(report.split())
    assert re.search(r"from \w{3} \d\d:00 to Mon( \w+ \d\d)? 09:30 UTC; the overdue run of", told)
    assert re.search(r"UTC is kept and stands for \d more$", told)
    assert new.startswith("+ new  kron.toml:11\n    at 03:00 every day\n    first run ")
    assert old.startswith(f"- old\n    at {FAR_HOUR:02}:00 every day\n")
    assert summary == "\n1 to add, 1 to change, 1 to remove; 1 unchanged\n"


def test_at_60_columns_no_line_is_longer(cli: Kron) -> None:
    lived(cli, BEFORE, timedelta(hours=2, minutes=2), "1m")
    write(cli, AFTER.replace('"true"', f'"echo {"x" * 99} tail"'))
    text = cli("plan", code=2, columns=60).stdout
    assert max(map(len, text.splitlines())) <= 60
    assert "…" in text


def test_long_values_are_cut_to_where_they_differ(cli: Kron) -> None:
    command = f'"backup --to={"x" * 200} --format=custom"'
    lived(cli, BEFORE.replace('"true"', command), timedelta(minutes=2), "1m")
    write(cli, BEFORE.replace('"true"', command.replace("custom", "plain")))
    lines = cli("plan", code=2).stdout.splitlines()
    assert lines[1].endswith("xxx --format=custom")
    assert lines[2].endswith("xxx --format=plain")
    assert lines[2].lstrip().startswith("-> …")


def test_json_has_every_field_that_is_promised(cli: Kron) -> None:
    lived(cli, BEFORE, timedelta(hours=2, minutes=2), "1m")
    write(cli, AFTER)
    result = cli("plan", "--json", code=2)
    document: PlanDocument = orjson.loads(result.stdout)
    assert document.keys() == PlanDocument.__annotations__.keys()
    assert [document[key] for key in ("live", "pid", "added", "changed", "removed")] == [
        *(False, None, 1, 1, 1)
    ]
    assert document["files"] == ["kron.toml"]
    for change in document["changes"]:
        assert change.keys() == TimerChange.__annotations__.keys()
        assert all(each.keys() == FieldChange.__annotations__.keys() for each in change["fields"])
        coming = [each for each in (change["next_before"], change["next_after"]) if each]
        assert all(each.keys() == NextRun.__annotations__.keys() for each in coming)
    assert [each["change"] for each in document["changes"]] == ["changed", "added", "removed"]
    assert document["changes"][0]["effects"][0]["fate"] == "kept"


def test_mistakes_are_told_all_at_once(cli: Kron) -> None:
    write(cli, '[timers.a]\ncron = "61 * * * *"\ncommand = "true"\n[timers.b]\nevry = "1h"\n')
    result = cli("plan", code=1)
    assert result.stdout == ""
    for mistake in read_files(["kron.toml"]).mistakes:
        assert str(mistake) in result.stderr
    assert "kron.toml:2: a: " in result.stderr
    assert not cli.directory.exists()


@pytest.mark.parametrize(
    "args",
    [("plan",), ("up",), ("up", "--check"), ("up", "--dry-run"), ("up", "--once")],
    ids=" ".join,
)
def test_with_json_mistakes_are_a_document(cli: Kron, args: tuple[str, ...]) -> None:
    write(cli, '[timers.a]\ncron = "61 * * * *"\ncommand = "true"\n')
    result = cli(*args, "--json", "kron.toml", "nowhere.toml", code=1)
    (mistake,) = read_files(["kron.toml"]).mistakes
    assert orjson.loads(result.stdout) == {
        "files": ["kron.toml", "nowhere.toml"],
        "timers": [],
        "notes": [],
        "mistakes": [
            {"file": "kron.toml", "line": 2, "id": "a", "text": mistake.text},
            {
                "file": "nowhere.toml",
                "line": None,
                "id": None,
                "text": "cannot be read: No such file or directory.",
            },
        ],
    }
    assert result.stderr == ""
    assert not cli.directory.exists()


def test_a_file_that_is_not_there_is_a_mistake(cli: Kron) -> None:
    assert "cannot be read" in cli("plan", "nowhere.toml", code=1).stderr


def test_where_no_file_is_found_it_says_so(cli: Kron, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert "Name a file" in cli("plan", code=1).stderr


def test_a_damaged_log_is_an_error(cli: Kron) -> None:
    cli.directory.mkdir(mode=0o700)
    (cli.directory / "kron.aof").write_bytes(b"something else\n")
    result = cli("plan", code=1)
    assert (result.stdout, result.stderr[:6]) == ("", "kron: ")


def test_while_a_process_is_alive_it_tells_what_taking_the_files_does(cli: Kron) -> None:
    write(cli, BEFORE.replace('"true"', '"sleep 60"'))
    scheduler = kron.Scheduler()
    scheduler._enrolment.declare(read_files(["kron.toml"]).declarations())
    scheduler.start(cli.directory)
    try:
        scheduler.trigger("report")
        until(lambda: (scheduler.status("report") or {})["state"] == "running")
        write(cli, AFTER.replace('"true"', '"sleep 60"'))
        result = cli("plan", code=2, columns=200)
        told = f"is in use by process {os.getpid()}; this is what taking these files now would"
        assert told in result.stderr
        assert "is under way and ends by itself" in result.stdout
        assert "overdue" not in result.stdout
        assert scheduler.status("new") is None
    finally:
        scheduler.shutdown(0)


def test_what_a_file_takes_over_is_said(cli: Kron) -> None:
    scheduler = VirtualScheduler(data_dir=cli.directory)
    scheduler.schedule("new", lambda: None, cron="0 3 * * *")
    scheduler.start()
    scheduler.shutdown(0)
    text = " ".join(cli("plan", code=2).stdout.split())
    assert "a program has scheduled it until now, and this file takes it over" in text


def test_a_dry_run_tells_what_starts_at_once_and_next(cli: Kron) -> None:
    lived(cli, BEFORE, timedelta(hours=3), "1m")
    text = cli("up", "--dry-run").stdout
    now, _, later = text.partition("\n\n")
    assert now.startswith("would run at once\n")
    assert re.search(r"\n  report +the run of .*, which stands for \d more", now)
    assert later.startswith("would run next\n")
    assert sorted(line.split()[0] for line in later.splitlines()[1:]) == ["old", "report", "same"]
    document = cli.json("up", "--dry-run")
    assert "report" in {run["timer"] for run in document["runs"]}
    assert {each["timer"] for each in document["timers"]} == {"report", "same", "old"}


def test_a_retry_that_is_waited_for_is_the_next_start(cli: Kron) -> None:
    failing = '[timers.bad]\ncron = "* * * * *"\noverlap = "skip"\nretry_delay = "9m"\n'
    failing += 'entrypoint = "always_fails:fail"\n'
    write(cli, failing)
    (cli.directory.parent / "always_fails.py").write_text("def fail():\n    raise ValueError\n")
    lived(cli, failing, timedelta(minutes=2), "61s")
    (row,) = cli.json("up", "--dry-run")["timers"]
    retry_at = cli.json("job", "status", "bad")["next_run_at"]
    assert (row["next_run"]["at"], cli.json("job", "list")[0]["state"]) == (retry_at, "retrying")
    write(cli, failing.replace("* * * * *", "*/2 * * * *"))
    text = " ".join(cli("plan", code=2).stdout.split())
    assert re.search(r"the waiting run of [\d:]+ UTC is kept and tried again at [\d:]+", text)
    (change,) = orjson.loads(cli("plan", "--json", code=2).stdout)["changes"]
    assert [each["retry_at"] for each in change["effects"] if each["fate"] == "waits"] == [retry_at]


def test_a_dry_run_tells_what_would_be_backfilled(cli: Kron) -> None:
    lived(cli, BEFORE, timedelta(hours=3), "1m")
    longest = "n" * 128
    write(cli, f'{BEFORE}[timers.{longest}]\nevery = "1m"\ncommand = "true"\n')
    result = cli("up", "--dry-run", "--since", "2d")
    titles = [block.partition("\n")[0] for block in result.stdout.split("\n\n")]
    assert titles == ["would run at once", "would be backfilled", "would run next"]
    lines = result.stdout.split("\n\n")[1].splitlines()[1:]
    assert max(map(len, result.stdout.splitlines())) <= 80
    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    assert re.fullmatch(r"4\d moments, \w{3} \d\d:00 to .*\d\d:00 UTC", told["report"])
    at = f"{FAR_HOUR:02}:00"
    assert re.fullmatch(rf"2 moments, \w{{3}} {at} to .*{at} UTC", told["old"])
    assert re.fullmatch(r"2,8\d\d moments, from \w{3} [\d:]+ UTC", lines[-1].split(maxsplit=1)[1])
    assert not cli("up", "--dry-run", "--since", "0.001s").stdout.count("moment")
    begun = {
        each["timer"]: each for each in cli.json("up", "--dry-run", "--since", "2d")["backfills"]
    }
    assert begun["old"].keys() == Backfill.__annotations__.keys()
    assert begun["old"]["moments"] == 2
    assert cli.json("up", "--dry-run")["backfills"] == []


def test_nothing_to_backfill_is_said_too(cli: Kron) -> None:
    text = cli("up", "--dry-run", "--since", "1ms").stdout
    assert "would be backfilled\n  (nothing)\n" in text
    assert cli.json("up", "--dry-run", "--since", "1ms")["backfills"] == []


def test_a_dry_run_refuses_a_since_as_up_does(cli: Kron) -> None:
    dry = cli("up", "--dry-run", "--since", "2999-01-01T00:00:00Z", code=1)
    assert (dry.stdout, dry.stderr.count("\n")) == ("", 1)
    assert dry.stderr.startswith("kron: since=")
    assert not cli.directory.exists()


def test_since_is_read_as_by_job_backfill(cli: Kron) -> None:
    assert "not a date and time" in cli("up", "--dry-run", "--since", "soon", code=2).stderr
    local = cli.json("up", "--dry-run", "--since", "2026-01-01T00:00")["backfills"]
    assert {each["since"] for each in local} == {datetime(2026, 1, 1).astimezone().isoformat()}


def test_a_backfill_in_words() -> None:
    clock = Clock(UTC, datetime(2027, 1, 4, 8, 30, tzinfo=UTC))
    moments = [f"2027-01-04T0{hour}:00:00+00:00" for hour in range(3)]
    backfill: Backfill = {
        **{"timer": "a", "since": moments[0], "until": moments[-1], "dry_run": True, "done": 0},
        **{"moments": 3, "scheduled_at": moments},
    }
    assert _backfilled(backfill, clock) == "3 moments, 00:00 to 02:00 UTC"
    days: Backfill = {**backfill, "scheduled_at": ["2027-01-03T09:00:00+00:00", *moments[1:]]}
    assert _backfilled(days, clock) == "3 moments, Sun 09:00 to Mon 02:00 UTC"
    one: Backfill = {**backfill, "moments": 1, "scheduled_at": moments[:1]}
    assert _backfilled(one, clock) == "1 moment, 00:00 UTC"
    more: Backfill = {**backfill, "moments": 1234}
    assert _backfilled(more, clock) == "1,234 moments, from 00:00 UTC"


def test_an_instant_has_its_weekday_and_a_date_where_that_is_not_enough() -> None:
    clock = Clock(UTC, datetime(2027, 1, 4, 8, 30, tzinfo=UTC))
    assert clock.at("2027-01-04T09:00:00+00:00") == "Mon 09:00"
    assert clock.at("2027-01-10T09:00:05+00:00") == "Sun 09:00:05"
    assert clock.at("2027-01-11T09:00:00+00:00") == "Mon Jan 11 09:00"
    assert clock.at("2028-01-10T09:00:00+00:00") == "Mon 2028-01-10 09:00"
    assert clock.of_today("2027-01-04T08:00:00+00:00") == "08:00"
    assert clock.of_today("2027-01-03T08:00:00+00:00") == "Sun 08:00"
