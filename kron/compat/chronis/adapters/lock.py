"""The later name of `locks`."""

from __future__ import annotations

from .locks import InMemoryLock, InMemoryLockAdapter

__all__ = ["InMemoryLock", "InMemoryLockAdapter"]
