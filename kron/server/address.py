"""Where the door of a data directory is: its socket's name, and a path short enough to use it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SOCKET_NAME = "kron.sock"
PATH_BYTES = 107 if sys.platform == "linux" else 103
"""What fits into sockaddr_un beside the final zero."""


@contextmanager
def reachable(directory: str, name: str = SOCKET_NAME) -> Iterator[str]:
    """A path of `name` in `directory` for bind() or connect(), valid while the block runs.

    A path that is too long goes through the descriptor of the directory. Raises OSError.
    """
    path = os.path.join(os.path.abspath(directory), name)
    if len(os.fsencode(path)) <= PATH_BYTES:
        yield path
        return
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)
