"""Who has the lock, by the kernel's list and without it."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from kron.core.errors import UnsafeDataDir
from kron.server import holder
from kron.server.holder import Holder, find_holder
from kron.storage.datadir import DataDir
from kron.storage.lock import DirLock


@pytest.mark.parametrize("has_list", [True, False])
def test_a_lock_is_seen_while_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_list: bool
) -> None:
    if not has_list:
        monkeypatch.setattr(holder, "_listed", lambda *_: None)
    place = DataDir(tmp_path / "d")
    place.prepare()
    assert find_holder(place) == Holder(False, None)
    lock = DirLock(place)
    lock.acquire()
    assert find_holder(place) == Holder(True, os.getpid())
    lock.release()
    assert find_holder(place) == Holder(False, os.getpid())


def test_a_directory_that_is_not_there_is_held_by_nobody(tmp_path: Path) -> None:
    assert find_holder(DataDir(tmp_path / "no")) == Holder(False, None)
    (tmp_path / "file").touch()
    assert find_holder(DataDir(tmp_path / "file")) == Holder(False, None)


def test_a_linked_lock_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kron.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeDataDir):
        find_holder(DataDir(tmp_path))


def test_where_the_list_leaves_out_other_containers_the_lock_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says what the list would have told: it is empty."""
    monkeypatch.setattr(holder, "_listed", lambda *_: set())
    place = DataDir(tmp_path / "d")
    place.prepare()
    lock = DirLock(place)
    lock.acquire()
    monkeypatch.setattr(holder, "_lists_everybody", lambda: False)
    assert find_holder(place) == Holder(True, os.getpid())
    monkeypatch.setattr(holder, "_lists_everybody", lambda: True)
    assert not find_holder(place).is_held
    lock.release()


def test_a_holder_in_another_container_has_the_id_that_it_has_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holder, "_listed", lambda *_: {4711})
    place = DataDir(tmp_path / "d")
    place.prepare()
    lock = DirLock(place)
    lock.acquire()
    assert find_holder(place) == Holder(True, 4711)
    lock.release()


def test_a_look_at_the_lock_fails_nobody_who_starts(tmp_path: Path) -> None:
    place = DataDir(tmp_path / "d")
    place.prepare()
    lock = DirLock(place)
    lock.acquire()
    lock.release()
    fd = place.open_file("kron.lock", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    threading.Timer(0.01, os.close, [fd]).start()
    lock.acquire()
    lock.release()
