"""The storage adapter that a program written for Chronis passes: a marker."""

from __future__ import annotations


class InMemoryStorageAdapter:
    """Says nothing: jobs are kept in Kron's log, in the directory that `store=` names."""


InMemoryStorage = InMemoryStorageAdapter
"""Its later name."""
