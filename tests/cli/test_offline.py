"""The CLI on the files of a program that was killed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import kron
from kron.storage.lock import DirLock

from .conftest import LONG_NAME, Kron, environment, files_of

READS = [
    ["job", "list"],
    ["job", "status", "bad"],
    ["job", "history", "bad"],
    ["log", "tail"],
    ["doctor"],
]


@pytest.mark.parametrize("args", READS)
def test_reading_leaves_no_trace(cli: Kron, args: list[str]) -> None:
    before = files_of(cli.directory)
    cli(*args)
    cli(*args, "--json")
    assert files_of(cli.directory) == before


def test_reading_says_that_no_runtime_is_alive(cli: Kron) -> None:
    for args in READS[:3]:
        assert cli(*args).stderr == "no runtime is alive; read from the files\n"
        assert cli(*args, "--json").stderr == "no runtime is alive; read from the files\n"


def test_the_states_are_what_the_program_left(cli: Kron) -> None:
    states = {timer["id"]: timer["state"] for timer in cli.json("job", "list")}
    assert states == {
        "tick": "scheduled",
        "bad": "dead",
        "retrying": "retrying",
        "hang": "running",
        "paused": "paused",
        LONG_NAME: "scheduled",
    }


@pytest.mark.parametrize("args", READS)
def test_a_directory_that_cannot_be_written_is_read(
    args: list[str], as_ordinary_user: Path
) -> None:
    with pytest.raises(PermissionError):
        (as_ordinary_user / "x").touch()
    code = int(args[0] == "doctor")  # no start would take it
    assert Kron(as_ordinary_user)(*args, code=code).stdout


@pytest.fixture
def as_ordinary_user(killed: Path) -> Iterator[Path]:
    """A copy that cannot be written. Permissions do not bind root, so root steps down."""
    for args in READS:  # all is imported: the user may not read the interpreter's files
        Kron(killed)(*args)
    root = os.geteuid()
    user = 65534 if root == 0 else root
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        os.chmod(home, 0o755)
        directory = Path(home) / "d"
        shutil.copytree(killed, directory)
        for path in (directory, *directory.iterdir()):
            os.chown(path, user, -1)
        directory.chmod(0o500)
        os.seteuid(user)
        try:
            yield directory
        finally:
            os.seteuid(root)
            directory.chmod(0o700)


def test_reading_offline_loads_neither_server_nor_client(cli: Kron) -> None:
    program = (
        "import sys; from kron.cli.main import app\n"
        f"app(['--data-dir', {str(cli.directory)!r}, 'job', 'list'], standalone_mode=False)\n"
        "assert not {'uvicorn', 'starlette', 'httpx2'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_help_and_version_load_nothing_heavy() -> None:
    program = (
        "import sys; from kron.cli.main import app\n"
        "app(['--version'], standalone_mode=False)\n"
        "assert not {'asyncio', 'anyio', 'orjson', 'httpx2', 'starlette'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True)
    assert (done.returncode, done.stdout.decode()) == (0, f"kron {kron.__version__}\n"), done.stderr


# -- changing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "answer", "line"),
    [
        (["pause", "tick"], {"changed": True}, "tick: paused"),
        (["pause", "paused"], {"changed": False}, "paused: was paused already"),
        (["resume", "paused"], {"changed": True}, "paused: resumed"),
        (["resume", "tick"], {"changed": False}, "tick: was not paused"),
        (["remove", "tick"], {"removed": True}, "tick: removed"),
        (["cancel", "tick"], {"cancelled": 0}, "tick: no run is open, and no backfill goes on"),
        (
            ["cancel", "hang"],
            {"cancelled": 1},
            "hang: 1 open run(s) or backfill(s) stopped, or asked to stop",
        ),
        (["trigger", "hang"], {"run_id": None}, "hang: skipped, a run is open (overlap=skip)"),
    ],
)
def test_a_verb_takes_effect_on_the_files(
    cli: Kron, killed_once: Path, args: list[str], answer: object, line: str
) -> None:
    result = cli("job", *args)
    assert result.stdout == line + "\n"
    assert result.stderr == "no runtime is alive; takes effect at the next start\n"
    shutil.copyfile(killed_once / "kron.aof", cli.directory / "kron.aof")
    assert cli.json("job", *args) == answer


def test_a_run_is_cancelled_by_its_id(cli: Kron) -> None:
    (run_id,) = cli.json("job", "status", "hang")["open_runs"]
    assert cli.json("job", "cancel", run_id) == {"cancelled": 1}
    assert cli("job", "cancel", run_id).stdout == f"{run_id}: is not open any more\n"
    assert cli.json("job", "history", "hang")[0]["status"] == "CANCELLED"


def test_what_was_changed_offline_is_there_at_the_next_start(cli: Kron) -> None:
    run_id = cli.json("job", "trigger", "tick")["run_id"]
    cli("job", "pause", "bad")
    cli("job", "remove", "paused")
    cli("job", "cancel", "hang")
    scheduler, ran = kron.Scheduler(), []
    scheduler.schedule("tick", lambda ctx: ran.append(ctx["run_id"]), every="1h")
    scheduler.start(cli.directory)
    try:
        while not ran:
            os.sched_yield()
        assert ran == [run_id]
        assert scheduler.status("bad")["state"] == "paused"
        assert scheduler.status("paused") is None
        assert scheduler.status("hang")["open_runs"] == []
    finally:
        scheduler.shutdown()


def test_the_first_change_notes_the_torn_tail_it_cut(cli: Kron) -> None:
    assert cli.json("doctor")["log"]["torn_bytes"] == 19
    cli("job", "pause", "tick")
    assert cli.json("doctor")["log"]["torn_bytes"] == 0
    (cut, paused) = cli.json("log", "tail", "-n", "2")
    assert (cut["event"], cut["size_bytes"]) == ("TAIL_CUT", 19)
    assert paused["event"] == "TIMER_PAUSED"


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", "status history trigger pause resume cancel remove".split())
@pytest.mark.parametrize("name", ["nope", "", "..", "a/b", "run_x", "x\x1b[31m", "run_" + "0" * 26])
def test_an_unknown_name_is_one_line_and_changes_nothing(cli: Kron, verb: str, name: str) -> None:
    before = files_of(cli.directory)
    result = cli("job", verb, name, code=1)
    kind = "run" if verb == "cancel" and len(name) == 30 else "timer"
    assert result.stderr == f"kron: {kind} {name!r} not found\n"
    assert files_of(cli.directory) == before


@pytest.mark.parametrize(
    "args",
    [["job", "list"], ["job", "pause", "x"], ["log", "tail"], ["runtime", "status"], ["doctor"]],
)
def test_a_missing_directory_is_an_error_and_is_not_made(tmp_path: Path, args: list[str]) -> None:
    Kron(tmp_path / "nowhere")(*args, code=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "args",
    [
        ["job"],
        ["job", "status"],
        ["job", "history", "tick", "--limit", "-1"],
        ["job", "list", "--metadata", "acme"],
        ["job", "nope"],
        ["--nope"],
        ["log", "tail", "-n", "-1"],
        ["runtime", "shutdown", "--timeout", "nan"],
        ["runtime", "shutdown", "--timeout", "-1"],
    ],
)
def test_wrong_usage_is_exit_code_2(cli: Kron, args: list[str]) -> None:
    cli(*args, code=2)


def test_global_options_may_stand_anywhere(cli: Kron, monkeypatch: pytest.MonkeyPatch) -> None:
    kron_at_home = Kron(Path("/nowhere"))
    directory = str(cli.directory)
    assert kron_at_home.json("job", "list", "--data-dir", directory) == cli.json("job", "list")
    assert kron_at_home.json("job", f"--data-dir={directory}", "list") == cli.json("job", "list")
    cli("job", "status", "--", "--json", code=1)
    cli("job", "list", "--data-dir", code=2)


def test_a_lock_without_a_door_is_a_clear_error(cli: Kron, monkeypatch: pytest.MonkeyPatch) -> None:
    from kron.cli import source
    from kron.storage.datadir import DataDir

    monkeypatch.setattr(source, "DOOR_SECONDS", 0.05)
    lock = DirLock(DataDir(cli.directory))
    lock.acquire()
    try:
        for args in (["job", "list"], ["job", "pause", "tick"], ["runtime", "status"]):
            error = cli(*args, code=1).stderr.replace("\n", " ")
            assert f"is in use by process {os.getpid()}, but nobody answers on" in error
            assert "kron.sock" in error
        report = cli("doctor", "--json", code=1).stdout
        assert f'"holder_pid": {os.getpid()},' in report
        cli("log", "tail")
    finally:
        lock.release()
    cli("job", "list")


# -- the doctor -------------------------------------------------------------------------------


def test_the_doctor_is_content_with_a_torn_tail(cli: Kron) -> None:
    text = cli("doctor").stdout
    assert "all is well" in text
    assert re.search(r"unfinished\s+record\s+of\s+19\s+bytes", text)


def test_the_doctor_names_file_and_byte_of_corruption(cli: Kron) -> None:
    log = cli.directory / "kron.aof"
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 1
    log.write_bytes(content)
    text = " ".join(cli("doctor", code=1).stdout.split())
    assert re.search(r"WRONG log \S.*kron\.aof, byte [\d,]+, record \d+", text)
    assert "failed" in text
    assert re.match(r"kron: \S+kron\.aof: damaged at byte \d+", cli("job", "list", code=1).stderr)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"v":1,"ts":"2026-01-01T00:00:00Z"}\n', "Rust"),
        (b"hello\n", "not a Kron log"),
        (b"", "missing"),
    ],
)
def test_the_doctor_names_a_foreign_log(cli: Kron, content: bytes, words: str) -> None:
    (cli.directory / "kron.aof").write_bytes(content)
    assert words in " ".join(cli("doctor", code=1).stdout.split())
    cli("job", "pause", "tick", code=1)
    assert (cli.directory / "kron.aof").read_bytes() == content


def test_the_doctor_finds_open_permissions(cli: Kron) -> None:
    (cli.directory / "kron.token").chmod(0o644)
    assert "kron.token" in "".join(cli("doctor", code=1).stdout.split())
    (cli.directory / "kron.token").chmod(0o600)
    cli("doctor")
    cli.directory.chmod(0o777)
    assert "chmod 700" in " ".join(cli("doctor", code=1).stdout.split())
