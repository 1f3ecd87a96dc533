"""A directory or file that others can reach is refused by name, and the remedy is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kron.core.errors import StorageError, UnsafeDataDir
from kron.storage.file import FileLog
from kron.storage.reader import LogReader

OPEN = """
import asyncio, sys
from kron.core.errors import StorageError
from kron.storage.file import FileLog
try:
    asyncio.run(FileLog(sys.argv[1]).open())
except StorageError as exc:
    print(type(exc).__name__, exc)
"""
READ = """
import sys
from kron.storage.reader import LogReader
print(len(list(LogReader(sys.argv[1]))))
"""


async def refused(data_dir: Path, words: str) -> None:
    with pytest.raises(UnsafeDataDir, match=words):
        await FileLog(data_dir).open()


async def test_a_directory_that_is_a_link_is_refused(tmp_path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    await refused(tmp_path / "link", "is a symbolic link")
    await refused(f"{tmp_path}/link/", "is a symbolic link")
    assert not list((tmp_path / "real").iterdir())


async def test_a_link_above_the_directory_is_fine(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    log = FileLog(tmp_path / "link" / "kron")
    await log.open()
    await log.close()


async def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path) -> None:
    (tmp_path / "file").touch()
    await refused(tmp_path / "file", "is not a directory")
    with pytest.raises(StorageError, match="cannot be created"):
        await FileLog(tmp_path / "file" / "kron").open()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
async def test_a_world_writable_directory_is_refused(data_dir, mode) -> None:
    data_dir.mkdir()
    data_dir.chmod(mode)
    await refused(data_dir, "can be written by everybody. Run: chmod 700")
    assert not list(data_dir.iterdir())


@pytest.mark.parametrize("name", ["kron.aof", "kron.lock"])
async def test_a_file_that_is_a_link_or_has_two_names_is_refused(
    data_dir, written, tmp_path, name
) -> None:
    await written()
    path, away = data_dir / name, tmp_path / "away"
    os.link(path, away)
    content = away.read_bytes()
    await refused(data_dir, f"{name} has 2 hard links")
    path.unlink()
    path.symlink_to(away)
    await refused(data_dir, f"{name} is a symbolic link")
    path.unlink()
    os.mkfifo(path)
    await refused(data_dir, f"{name} is not a regular file")
    assert away.read_bytes() == content


async def test_a_stale_temporary_file_is_replaced_and_no_link_followed(data_dir, tmp_path) -> None:
    data_dir.mkdir(mode=0o700)
    (data_dir / "kron.aof.tmp").symlink_to(tmp_path / "victim")
    log = FileLog(data_dir)
    await log.open()
    await log.close()
    assert not (tmp_path / "victim").exists() and not (data_dir / "kron.aof.tmp").is_symlink()


async def test_a_gitignore_of_the_user_is_left_alone(data_dir) -> None:
    data_dir.mkdir(mode=0o700)
    (data_dir / ".gitignore").write_text("mine\n")
    log = FileLog(data_dir)
    await log.open()
    await log.close()
    assert (data_dir / ".gitignore").read_text() == "mine\n"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A place that every user can enter."""
    for path in (tmp_path, *tmp_path.parents[:3]):
        if path.stat().st_uid == os.geteuid() and str(path).count("/") > 1:
            path.chmod(path.stat().st_mode | 0o755)
    return tmp_path


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_another_users_directory_is_refused(shared, run_python) -> None:
    (shared / "kron").mkdir(mode=0o755)
    out = run_python(OPEN, shared / "kron", as_nobody=True)
    assert "UnsafeDataDir" in out and "belongs to user 0, this process runs as user 65534" in out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_another_users_log_is_refused_but_can_be_read(shared, run_python) -> None:
    place = shared / "kron"
    place.mkdir()
    os.chown(place, 65534, 65534)
    assert run_python(OPEN, place, as_nobody=True) == ""
    os.chown(place / "kron.aof", 0, 0)
    out = run_python(OPEN, place, as_nobody=True)
    assert "UnsafeDataDir" in out and "kron.aof belongs to user 0" in out
    assert run_python(READ, place) == "0\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_directory_that_cannot_be_made_or_written_is_named(shared, run_python) -> None:
    out = run_python(OPEN, shared / "sub" / "kron", as_nobody=True)
    assert f"StorageError {shared}/sub/kron cannot be created (Permission denied" in out
    place = shared / "kron"
    place.mkdir()
    os.chown(place, 65534, 65534)
    place.chmod(0o500)
    assert f"{place} cannot be written. Run: chmod" in run_python(OPEN, place, as_nobody=True)


def test_reading_where_nothing_is_creates_nothing(data_dir) -> None:
    with pytest.raises(StorageError, match="no Kron data in"):
        LogReader(data_dir)
    assert not data_dir.exists()
    data_dir.mkdir(mode=0o700)
    with pytest.raises(StorageError, match="no Kron data in"):
        LogReader(data_dir)
    assert not list(data_dir.iterdir())
