"""`kron crontab`: what people type, and what they see."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import kron as package
from kron.cli.main import app

from .conftest import Kron

SERVERS = Path(__file__).parents[1] / "sources/servers.crontab"


@pytest.fixture
def kron(tmp_path: Path) -> Kron:
    return Kron(tmp_path / "d")


@pytest.fixture
def filled(kron: Kron) -> Kron:
    """Timers of all kinds, one of them paused."""
    scheduler = package.Scheduler()
    scheduler.schedule("b", package.command("b --all"), cron="0 9 * * MON", weight=2)
    scheduler.schedule(
        "a", package.command("a | b", shell=True), cron="@daily", timezone="Asia/Seoul"
    )
    scheduler.schedule("c", print, every="1h")
    scheduler.schedule("p", package.command("p"), cron="@hourly")
    scheduler.start(kron.directory)
    scheduler.pause("p")
    scheduler.shutdown()
    return kron


def pasted(text: str | bytes, *args: str, code: int = 0) -> Any:
    """`kron crontab import` with a crontab as its input."""
    result = CliRunner().invoke(app, ["crontab", "import", *args], input=text, env={"TZ": "UTC"})
    assert result.exit_code == code, result.output + result.stderr
    assert "Traceback" not in result.output + result.stderr
    return result


def test_a_pasted_crontab_is_a_kron_toml() -> None:
    result = pasted("MAILTO=me\n@daily x\n", "--timezone", "Asia/Seoul")
    (timer,) = tomllib.loads(result.stdout)["timers"].values()
    assert (timer["cron"], timer["timezone"], timer["command"]) == ("@daily", "Asia/Seoul", "x")
    assert "# stdin:1: MAILTO=me is not carried out" in result.stdout
    assert result.stderr.startswith("stdin:1: MAILTO=me is not carried out")


def test_json_has_the_same(tmp_path: Path) -> None:
    cli = Kron(tmp_path)
    found = cli.json("crontab", "import", str(SERVERS), "--timezone", "UTC")
    plain = tomllib.loads(cli("crontab", "import", str(SERVERS), "--timezone", "UTC").stdout)
    assert found["timers"] == plain["timers"]
    assert len(found["timers"]) == 50
    assert len(found["notes"]) == 2


def test_all_mistakes_come_on_stderr() -> None:
    result = pasted("61 * * * * a\nnonsense\n@daily b\n", code=1)
    assert result.stdout == ""
    assert [line[:13] for line in result.stderr.splitlines()] == ["kron: stdin:1", "kron: stdin:2"]


def test_with_json_the_mistakes_are_a_document() -> None:
    result = pasted("61 * * * * a\n@daily b\nnonsense\n", "--json", code=1)
    found = json.loads(result.stdout)
    assert found.keys() == {"files", "timers", "mistakes", "notes"}
    assert found["files"] == ["stdin"]
    assert [(each["file"], each["line"]) for each in found["mistakes"]] == [
        ("stdin", 1),
        ("stdin", 3),
    ]
    assert all(each.keys() == {"file", "line", "id", "text"} for each in found["mistakes"])
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["/nonexistent/crontab"], "kron: /nonexistent/crontab cannot be read: No such file"),
        (["/"], "kron: / cannot be read: Is a directory"),
        (["--timezone", "Mars/Olympus"], "Mars/Olympus"),
    ],
)
def test_what_cannot_be_read(args: list[str], said: str) -> None:
    assert said in pasted("@daily x\n", *args, code=1).stderr


def test_a_name_that_two_comments_give_is_a_mistake() -> None:
    text = "# kron: name=a shell=true\n@daily x\n# kron: name=a shell=true\n@daily y\n"
    assert "declared in stdin:2 already" in pasted(text, code=1).stderr


def test_a_binary_file_ends_in_one_line() -> None:
    result = pasted(Path(sys.executable).read_bytes()[:100_000], code=1)
    assert len(result.stderr.splitlines()) == 1


def test_a_terminal_is_not_steered_by_a_crontab() -> None:
    result = pasted("# \x1b[31mred\x9b\u202e\nMAILTO=\x1b[1m\n\x1b]0;x * * * * y\n", code=1)
    result2 = pasted("A=\x1b[31m\x9b\nMAILTO=\x1b[1m\n# \u202ered\n@daily x \x1b[1m\n")
    for text in (result.stderr, result2.stdout, result2.stderr):
        assert not set(text) & set("\x1b\x9b\u202e")
    assert tomllib.loads(result2.stdout)["timers"]


def test_the_proof(tmp_path: Path) -> None:
    assert pasted("", "--compare").stdout == "(no lines)\n"
    good = pasted("30 2 * * 1-5 x\n# kron: name=b every=day\nCRON_TZ=UTC\n@daily y\n", "--compare")
    assert good.stdout.count(": 100 moments equal, until ") == 2
    bad = pasted("0 6 */2 * mon x\n0 6 L * * y\n", "--compare", code=1).stdout
    first, kron, croniter, *_ = bad.splitlines()
    assert first.startswith("stdin:1 cron-fa3b2c9b5bee: moment ")
    assert first.endswith("differs (0 6 */2 * MON, UTC)")
    assert [kron[:11], croniter[:11]] == ["  Kron     ", "  croniter "]
    assert all(len(line) <= 80 for line in bad.splitlines())
    path = tmp_path / "crontab"
    path.write_text("0 6 */2 * mon x\n@daily x\n")
    result = Kron(tmp_path)("crontab", "import", str(path), "--compare", "--json", code=1)
    assert '"agrees": false' in result.stdout
    assert '"agrees": true' in result.stdout


def test_every_timer_of_a_directory_is_exported(filled: Kron) -> None:
    result = filled("crontab", "export")
    assert "2 of 4 timer(s) commented out" in result.stderr
    active = [line for line in result.stdout.splitlines() if line and line[0] != "#"]
    assert active == ["CRON_TZ=Asia/Seoul", "@daily a | b", "CRON_TZ=UTC", "0 9 * * MON b --all"]
    assert result.stdout.index("name=a ") < result.stdout.index("name=b ")
    assert "# left out: it calls a Python function (print)" in result.stdout
    assert "# left out: it is paused since 20" in result.stdout
    again = pasted(result.stdout, "--json")
    assert '"a"' in again.stdout
    assert ": c: left out: it calls a Python function" in again.stdout
    rows = filled.json("crontab", "export")
    assert [(row["name"], bool(row["left_out"])) for row in rows] == [
        *(("a", False), ("b", False), ("c", True), ("p", True)),
    ]
    assert [row["command"] for row in rows] == [None] * 4


def test_a_timer_without_a_line_is_exported_with_its_command(kron: Kron) -> None:
    scheduler = package.Scheduler()
    scheduler.schedule("once", package.command("x 'y z'"), after="1d")
    scheduler.start(kron.directory)
    scheduler.shutdown()
    assert kron("crontab", "export").stdout.endswith("\n# left out: its command is x 'y z'\n")
    (row,) = kron.json("crontab", "export")
    assert (row["line"], row["command"]) == (None, "x 'y z'")


def test_a_living_directory_is_exported_too(live: package.Scheduler, killed: Path) -> None:
    live.schedule("x", package.command("x y"), cron="@weekly")
    assert "\n@weekly x y\n" in Kron(killed)("crontab", "export").stdout


def test_a_directory_without_a_log_is_an_error(kron: Kron) -> None:
    assert kron("crontab", "export", code=1).stderr.startswith("kron: ")
    assert not kron.directory.exists()


def test_it_works_as_a_pipe(filled: Kron) -> None:
    kron = [sys.executable, "-m", "kron"]
    exported = subprocess.run(
        [*kron, "--data-dir", str(filled.directory), "crontab", "export"],
        capture_output=True,
        timeout=30,
        check=True,
    )
    imported = subprocess.run(
        [*kron, "crontab", "import"], input=exported.stdout, stdout=subprocess.PIPE, timeout=30
    )
    assert set(tomllib.loads(imported.stdout.decode())["timers"]) == {"a", "b"}
