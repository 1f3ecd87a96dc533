"""The door: the control socket of a running scheduler, from recovery to shutdown."""

from __future__ import annotations

import asyncio

from anyio import CancelScope

from kron.runtime.host import Host
from kron.storage.blocking import in_thread
from kron.storage.datadir import DataDir

from .app import Reads, make_app
from .listen import Listener
from .token import ensure_token


async def serve(scheduler: Reads, data_dir: str, host: Host) -> None:
    """Answer on kron.sock in `data_dir` (absolute) until cancelled; then the socket file goes.

    It opens when the registrations are durable, so nobody is shown half of them. The caller runs
    it while the host holds the lock. Raises OSError or UnsafeDataDir if it cannot open.
    """
    await asyncio.wait({asyncio.shield(asyncio.wrap_future(host.started))})
    if host.started.exception() is not None:
        return
    token = await in_thread(lambda: ensure_token(DataDir(data_dir)))
    listener = Listener(data_dir, make_app(scheduler, host, data_dir, token))
    try:
        await listener.open()
        await asyncio.Event().wait()
    finally:
        with CancelScope(shield=True):
            await listener.close()
