"""The files in examples/, carried out by `kron up` as their first lines say."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.foreground import ROOT, Foreground, Project
from tests.waiting import eventually
from tests.witness import judged

EXAMPLES = ROOT / "examples"


class Example(Project):
    """A project whose timers are kept aside, and whose jobs write aside too."""

    def __init__(self, place: Path, aside: Path) -> None:
        super().__init__(place)
        self.aside = aside
        self.data_dir = aside / "kron"

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(KRON_HOME=str(self.data_dir), APP_FILES=str(self.aside), **more)


@contextmanager
def up(example: Example, *files: str) -> Iterator[Foreground]:
    with example.up(*files, place=example.aside) as running:
        running.until_up()
        yield running


def triggered(example: Example, timer: str) -> str:
    """How a run of it ended, by hand."""
    answer = example.json("job", "trigger", timer)
    ended = eventually(
        lambda: [
            row
            for row in example.json("job", "history", timer)
            if row["run_id"] == answer["run_id"] and row["status"] != "FAILED"
        ],
        60,
    )
    return ended[0]["status"]


@pytest.fixture
def aside(tmp_path):
    yield tmp_path
    assert judged(tmp_path / "kron") == []


def test_the_jobs_of_the_scheduled_app(aside):
    app = Example(EXAMPLES / "scheduled_app", aside)
    (aside / "old.tmp").touch()
    with up(app) as running:
        timers = [timer["id"] for timer in app.json("job", "list")]
        names = ("count-files", "clean-files", "send-digest")
        assert sorted(timers) == sorted(f"scheduled:{name}" for name in names)
        for timer in timers:
            assert triggered(app, timer) == "OK"
        assert running.end() == 0
    assert "Running cleanup..." in running.printed
    assert "Sent the digest." in running.printed


def test_the_timers_of_the_kron_toml(aside):
    example = Example(EXAMPLES, aside)
    with up(example, "kron.toml") as running:
        eventually(lambda: "beat " in running.printed, 60)
        assert triggered(example, "report") == "OK"
        assert triggered(example, "disk") == "OK"
        assert running.end() == 0
    assert "Sales: day sum" in running.printed
    assert "disk | " in running.printed


def test_the_lines_of_the_crontab(aside):
    example = Example(EXAMPLES, aside)
    with up(example, "crontab") as running:
        timers = example.json("job", "list")
        (sort,) = [timer["id"] for timer in timers if "pears" in timer["command"]]
        assert triggered(example, sort) == "OK"
        assert triggered(example, "greeting") == "OK"
        assert running.end() == 0
    assert f"{sort} | apples\n{sort} | pears\n" in running.printed
    assert "greeting | good morning\n" in running.printed
