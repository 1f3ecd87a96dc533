"""A user's crontab, line by line, as timers."""

from __future__ import annotations

from .declared import Declared


def read_crontab(data: bytes, file: str, declared: Declared) -> None:
    """Add what the lines of a crontab declare, and what is wrong with them."""
    raise NotImplementedError
