"""The rules of a time zone change between two starts, or the machine does not know the zone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zoneinfo
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import json, sys
import kron

data_dir, *names = sys.argv[1:]
scheduler = kron.Scheduler()
if "daily" in names:
    scheduler.schedule("daily", print, cron="0 9 * * *", timezone="Test/Zone")
if "utc" in names:
    scheduler.schedule("utc", print, cron="0 9 * * *")
scheduler.schedule("beat", print, every="1h", overlap="skip")
scheduler.start(data_dir)
print(json.dumps({row["id"]: row for row in scheduler.list()}))
scheduler.shutdown()
"""


@pytest.fixture
def zones(tmp_path):
    """`zones("Europe/Berlin")` is a directory in which Test/Zone has those rules."""

    def make(rules):
        place = tmp_path / "zones" / (rules or "none").replace("/", "-")
        (place / "Test").mkdir(parents=True, exist_ok=True)
        if rules:
            (place / "Test" / "Zone").write_bytes(rules_of(rules))
        return place

    return make


def rules_of(name):
    for place in zoneinfo.TZPATH:
        if (Path(place) / name).is_file():
            return (Path(place) / name).read_bytes()
    package, _, file = f"tzdata.zoneinfo.{name.replace('/', '.')}".rpartition(".")
    return (files(package) / file).read_bytes()


def start(zone_dir, data_dir, *names):
    """What a program shows of its timers on a machine with those zones."""
    env = {**os.environ, "PYTHONTZPATH": str(zone_dir), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, data_dir, *names],
        env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def events_of(data_dir, tag):
    lines = (data_dir / "kron.aof").read_text().splitlines()[1:]
    records = [json.loads(line.split(" ", 2)[2]) for line in lines]
    return [event for record in records for event in record[1:] if event[0] == tag]


def test_a_timer_follows_the_new_rules_of_its_zone(zones, tmp_path):
    data_dir = tmp_path / "kron"
    before = start(zones("Asia/Tokyo"), data_dir, "daily", "utc")
    assert before["daily"]["next_run_at"].endswith("T00:00:00+00:00")
    after = start(zones("Asia/Kathmandu"), data_dir, "daily", "utc")
    assert after["daily"]["next_run_at"].endswith("T03:15:00+00:00")
    assert after["utc"]["next_run_at"] == before["utc"]["next_run_at"]
    (moved,) = events_of(data_dir, "TIMER_MOVED")
    assert moved[1] == "daily"
    assert moved[-1] == "zone"
    again = start(zones("Asia/Kathmandu"), data_dir, "daily", "utc")
    assert again["daily"]["next_run_at"] == after["daily"]["next_run_at"]
    assert len(events_of(data_dir, "TIMER_MOVED")) == 1


def test_a_timer_in_an_unknown_zone_is_invalid_and_the_others_go_on(zones, tmp_path):
    data_dir = tmp_path / "kron"
    start(zones("Asia/Tokyo"), data_dir, "daily")
    rows = start(zones(None), data_dir, "utc")
    assert rows["daily"]["state"] == "invalid"
    assert "Test/Zone" in rows["daily"]["invalid"]
    assert not rows["daily"]["finished"]
    assert rows["utc"]["state"] == rows["beat"]["state"] == "scheduled"
    back = start(zones("Asia/Tokyo"), data_dir, "daily", "utc")
    assert back["daily"]["state"] == "scheduled"
    assert back["daily"]["invalid"] is None
    assert back["daily"]["next_run_at"].endswith("T00:00:00+00:00")


def test_the_files_alone_say_what_a_start_would_find(zones, tmp_path):
    data_dir = tmp_path / "kron"
    start(zones("Asia/Tokyo"), data_dir, "daily")
    env = {**os.environ, "PYTHONTZPATH": str(zones(None)), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "kron", "--data-dir", data_dir, "--json"]
    shown = subprocess.run([*command, "job", "list"], env=env, capture_output=True, text=True)
    states = {row["id"]: row["state"] for row in json.loads(shown.stdout)}
    assert states == {"daily": "invalid", "beat": "scheduled"}
    doctor = subprocess.run([*command, "doctor"], env=env, capture_output=True, text=True)
    assert doctor.returncode == 1
    assert "Test/Zone" in doctor.stdout
