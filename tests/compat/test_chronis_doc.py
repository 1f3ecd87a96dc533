"""docs/coming-from-chronis.md does what it shows: its program runs, and in each row of its table
both sides are one timer, or answer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import kron
from kron.compat.chronis import PollingScheduler
from kron.compat.chronis.adapters.locks import InMemoryLockAdapter
from kron.compat.chronis.adapters.storage import InMemoryStorageAdapter
from kron.compat.chronis.filters import KNOWN

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/coming-from-chronis.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.S | re.M)
ROWS = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", GUIDE, re.M)
CREATING = [row for row in ROWS if "create_" in row[0]]
OTHERS = [row for row in ROWS if "create_" not in row[0] and not row[1].startswith("kron runtime")]


def report(tenant="nobody"):
    """The function of the rows."""


@pytest.fixture
def names(polling):
    adapters = {"storage": InMemoryStorageAdapter(), "lock": InMemoryLockAdapter()}
    known = {"PollingScheduler": PollingScheduler, "kron": kron, "report": report}
    return {"scheduler": polling, **adapters, **known}


def test_its_blocks_run_in_order_in_one_process(tmp_path):
    assert len(BLOCKS) >= 5
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(BLOCKS)],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "scheduled 20" in done.stdout
    assert "has no filter 'metadata_tenant_id'" in done.stdout


@pytest.mark.parametrize(("theirs", "ours"), CREATING)
def test_both_sides_of_a_row_are_one_timer(names, theirs, ours):
    def described(call):
        evaluate(call, names)
        status = names["scheduler"].kron.status("x")
        left_out = ("description", "grace", *["retry_delay"][: status["max_attempts"] == 1])
        said = {key: status[key] for key in status if key not in left_out}
        return said, status["missed_policy"] == "skip" and (status["grace"] or "1m")

    assert described(theirs) == described(ours)


@pytest.mark.parametrize(("theirs", "ours"), OTHERS)
def test_both_sides_of_a_row_work(names, theirs, ours):
    scheduler = names["scheduler"]
    scheduler.create_interval_job(job_id="x", func=report, hours=1)
    if "start()" not in ours:
        scheduler.start()
    evaluate(theirs, names)
    if "start()" in ours:
        scheduler.stop()
        names["scheduler"] = PollingScheduler(store=scheduler._store)
        names["scheduler"].kron.start(scheduler._store)
    elif "remove" in ours:
        scheduler.create_interval_job(job_id="x", func=report, hours=1)
        evaluate(ours, names)
    else:
        evaluate(ours, names)
    names["scheduler"].stop()


def test_the_table_has_the_calls_and_the_text_the_filters():
    public = {name for name in vars(PollingScheduler) if not name.startswith("_")}
    assert {name for name in public if f"scheduler.{name}(" not in GUIDE} == set()
    assert [name for name in KNOWN if f"`{name}`" not in GUIDE] == []


def test_the_files_it_links_to_exist():
    linked = re.findall(r"\]\(([^)#:]+)\)", GUIDE)
    assert [name for name in linked if not (ROOT / "docs" / name).exists()] == []


def evaluate(call, names):
    exec(compile(call, "docs/coming-from-chronis.md", "exec"), names)  # noqa: S102  # our own text
