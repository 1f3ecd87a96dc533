"""A door on a real scheduler, and a client that knocks at it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

import kron


async def until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(0.002)


async def door_of(directory: Path) -> httpx2.AsyncClient:
    """A client with the token, once the door is open."""
    await until((directory / "kron.sock").exists)
    token = (directory / "kron.token").read_text().strip()
    transport = httpx2.AsyncHTTPTransport(
        uds=str(directory / "kron.sock"),
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        trust_env=False,
    )
    headers = {"authorization": f"Bearer {token}"}
    return httpx2.AsyncClient(
        transport=transport, base_url="http://kron", trust_env=False, headers=headers
    )


@pytest.fixture
async def scheduler(tmp_path: Path) -> AsyncIterator[kron.Scheduler]:
    scheduler = kron.Scheduler()
    scheduler.schedule("backup", hang, every="1h", overlap="skip", metadata={"team": "data"})
    await scheduler.astart(tmp_path / "d")
    yield scheduler
    await scheduler.ashutdown(0)


@pytest.fixture
async def door(scheduler: kron.Scheduler, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    async with await door_of(tmp_path / "d") as client:
        yield client


async def hang() -> Any:
    await asyncio.Event().wait()
