"""The lock adapter that a program written for Chronis passes: a marker."""

from __future__ import annotations


class InMemoryLockAdapter:
    """Says nothing: a data directory has one writer, so there is nothing to lock."""


InMemoryLock = InMemoryLockAdapter
"""Its later name."""
