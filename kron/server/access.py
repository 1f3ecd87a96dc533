"""Whether the owner of a data directory can do with it what a start has to do."""

from __future__ import annotations

import os
import stat

from kron.storage.datadir import DataDir
from kron.storage.lock import LOCK_NAME
from kron.storage.segments import LOG_NAME

_WRITTEN = (LOG_NAME, LOCK_NAME)
"""What a start writes; all else it only reads, or makes anew."""


def may(path: str, how: int) -> bool:
    """What the system answers for this process, with its effective ids."""
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def may_read(path: str) -> bool:
    """Whether the names in a directory can be read, and its files reached."""
    return may(path, os.R_OK | os.X_OK)


def may_write(path: str) -> bool:
    """Whether names can be made in a directory."""
    return may(path, os.W_OK | os.X_OK)


def why_not_writable(place: DataDir) -> str:
    """The remedy."""
    owner = os.stat(place.path_of("")).st_uid
    if owner != os.geteuid():
        return f"it belongs to user {owner}: run as its owner"
    if os.statvfs(place.path_of("")).f_flag & os.ST_RDONLY:
        return "it is on a read-only file system: remount that writable"
    return f"run: chmod 700 {place.shown}"


def lacks_access(place: DataDir, name: str) -> bool:
    """Whether it is only the mode of our own file that keeps a start from it. Raises OSErrors."""
    if not name.startswith(("kron.aof", "kron.snapshot")) and name not in _WRITTEN:
        return False
    needed = os.R_OK | os.W_OK if name in _WRITTEN else os.R_OK
    path = place.path_of(name)
    try:
        state = os.lstat(path)
    except FileNotFoundError:  # a living runtime has renamed it meanwhile
        return False
    bits = stat.S_IRUSR * bool(needed & os.R_OK) | stat.S_IWUSR * bool(needed & os.W_OK)
    is_ours = stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid()
    return is_ours and state.st_mode & bits != bits and not may(path, needed)
