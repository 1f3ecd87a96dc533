"""What a forked child must let go of: a kernel lock lives on in it until it closes its copy."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet


class HoldsFds(Protocol):
    """Something that owns descriptors."""

    def close_fds(self) -> None:
        """Close them, in a child just forked.

        No lock may be taken here: the thread that held it in the parent does not exist.
        """


_holders: WeakSet[HoldsFds] = WeakSet()


def close_in_child(holder: HoldsFds) -> None:
    """From now on every forked child of this process calls `holder.close_fds()` first.

    The holder is remembered weakly, and may have closed everything itself by then.
    """
    _holders.add(holder)


def _close_all() -> None:
    for holder in _holders:
        with suppress(OSError):
            holder.close_fds()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)
