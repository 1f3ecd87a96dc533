"""The listener of the door: uvicorn's HTTP protocol class on a UNIX socket that is ours.

Not `uvicorn.Server`: that one polls ten times a second, takes the signals, and needs a tenth of a
second to stop. What is used of uvicorn is `Config` (which touches no global logging when it gets
no `log_config` and keeps `access_log`), `ServerState` and `H11Protocol`; they tick only while a
connection is open (its keep-alive timer).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import sys
from contextlib import suppress
from functools import partial
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from kron.storage.fork import close_in_child

from .address import SOCKET_NAME, reachable

GRACE_SECONDS = 0.5
"""How long an answer that is on its way may take when the door closes."""
_BACKLOG = 64


class Connection(H11Protocol):
    """One connection; its requests carry the user at the other end as `state["peer_uid"]`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = logging.getLogger("kron.door")
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self.app_state = {"peer_uid": peer_uid(transport.get_extra_info("socket"))}


def peer_uid(connection: Any) -> int:
    """The user id of the process at the other end of a UNIX socket, by the kernel's word."""
    if sys.platform == "darwin":  # LOCAL_PEERCRED: struct xucred {u_int version; uid_t uid; ...}
        return int(struct.unpack("=II", connection.getsockopt(0, 1, 8))[1])
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("=iII", credentials)[1])


class Listener:
    """Serves one ASGI app on `directory`/kron.sock between `open` and `close`."""

    def __init__(self, directory: str, app: ASGIApp) -> None:
        self._path = os.path.join(directory, SOCKET_NAME)
        self._socket, self._inode = _bind(directory)
        self._state = ServerState()
        config = Config(
            app, http=Connection, ws="none", lifespan="off", interface="asgi3",
            log_config=None, proxy_headers=False, server_header=False, date_header=False,
        )  # fmt: skip
        config.load()
        self._make = partial(Connection, config=config, server_state=self._state, app_state={})
        self._server: asyncio.AbstractServer | None = None
        close_in_child(self)

    async def open(self) -> None:
        """From now on connections are answered, on the running loop."""
        loop = asyncio.get_running_loop()
        make = partial(self._make, _loop=loop)
        self._server = await loop.create_unix_server(make, sock=self._socket)

    async def close(self) -> None:
        """Remove the socket file, let answers that are on their way out, end every connection."""
        with suppress(OSError):
            if os.lstat(self._path).st_ino == self._inode:
                os.unlink(self._path)
        if self._server is not None:
            self._server.close()
        self._socket.close()
        if self._state.tasks:
            _, late = await asyncio.wait(set(self._state.tasks), timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
        for connection in list(self._state.connections):
            connection.transport.close()
        await asyncio.sleep(0)
        for connection in list(self._state.connections):
            connection.transport.abort()

    def close_fds(self) -> None:
        """In a forked child: the door and whoever stands in it are the parent's."""
        fds = [self._socket.detach()] if self._socket.fileno() >= 0 else []
        fds += [_fd(connection) for connection in self._state.connections]
        for fd in fds:
            with suppress(OSError):
                os.close(fd)


def _fd(connection: Any) -> int:
    return int(connection.transport.get_extra_info("socket").fileno())


def _bind(directory: str) -> tuple[socket.socket, int]:
    """A listening socket, and its inode. The file is private before anybody can connect, and
    takes the place of one that a dead process left: the caller holds the lock."""
    name = SOCKET_NAME + ".tmp"
    temporary = os.path.join(directory, name)
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reachable(directory, name) as path:
            listener.bind(path)
        os.chmod(temporary, 0o600)
        listener.listen(_BACKLOG)
        inode = os.lstat(temporary).st_ino
        os.rename(temporary, os.path.join(directory, SOCKET_NAME))
    except BaseException:
        listener.close()
        raise
    return listener, inode
