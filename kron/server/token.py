"""The bearer token of the local door, in `kron.token`: made once, kept over restarts."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress

from kron.storage.datadir import DataDir

TOKEN_NAME = "kron.token"
_FORM = re.compile(rb"[0-9a-f]{64}")


def read_token(data_dir: DataDir) -> str | None:
    """The token, or None if there is no usable one. Raises UnsafeDataDir, OSError."""
    try:
        fd = data_dir.open_file(TOKEN_NAME, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        text = data_dir.disk.pread(fd, 128, 0).strip()
    finally:
        data_dir.disk.close(fd)
    return text.decode() if _FORM.fullmatch(text) else None


def ensure_token(data_dir: DataDir) -> str:
    """The token; a new one (256 bits, 0600, whole or not there at all) if there is none.

    The caller holds the lock of the directory. Raises UnsafeDataDir, OSError.
    """
    token = read_token(data_dir)
    if token is None:
        token = secrets.token_hex(32)
        _write(data_dir, token)
    else:
        os.chmod(data_dir.path_of(TOKEN_NAME), 0o600)
    return token


def _write(data_dir: DataDir, token: str) -> None:
    disk, temporary = data_dir.disk, TOKEN_NAME + ".tmp"
    with suppress(FileNotFoundError):
        disk.unlink(data_dir.path_of(temporary))
    fd = data_dir.open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        disk.write(fd, token.encode() + b"\n")
        disk.fsync(fd)
    finally:
        disk.close(fd)
    disk.rename(data_dir.path_of(temporary), data_dir.path_of(TOKEN_NAME))
