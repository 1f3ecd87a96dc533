"""What a service manager is told: systemd's readiness protocol, one datagram a word (sd_notify(3)).

Nothing of it stays in the environment, so no command that a timer starts can speak in our name.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, MutableMapping

logger = logging.getLogger("kron.up")


class Notifier:
    """Speaks to whoever is at `address` (a path, or "@name" in the abstract namespace); to nobody,
    without one. It raises nothing: what cannot be told is logged, once."""

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self._address = address
        self._watchdog_s = watchdog_s
        self._has_failed = False

    def ready(self, status: str) -> None:
        """The timers run (again, after `reloading`), or another process has them run for us."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """The files are being read again; `ready` follows."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now_us}")

    def stopping(self) -> None:
        """Running runs may end, then the program does."""
        self._tell("STOPPING=1", "STATUS=draining")

    def watch(self, is_well: Callable[[], bool]) -> None:
        """Have a thread tell the watchdog, as often as it wants, as long as `is_well()` says so; it
        may block. Without a watchdog nothing is done."""
        if self._watchdog_s is not None and self._address:
            asked = (is_well, self._watchdog_s)
            threading.Thread(
                target=self._watch, args=asked, name="kron-watchdog", daemon=True
            ).start()

    def _watch(self, is_well: Callable[[], bool], watchdog_s: float) -> None:
        while is_well():
            self._tell("WATCHDOG=1")
            time.sleep(watchdog_s / 2)

    def _tell(self, *words: str) -> None:
        if not self._address:
            return
        name = self._address
        place = f"\0{name[1:]}" if name.startswith("@") else name
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto("\n".join(words).encode(), place)
        except OSError as exc:
            if not self._has_failed:
                logger.warning("the service manager at %s is not reached: %s", name, exc)
            self._has_failed = True


def take_notifier(environ: MutableMapping[str, str]) -> Notifier:
    """What the service manager asks for in the environment, which it is taken out of."""
    address = environ.pop("NOTIFY_SOCKET", "")
    usec, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    is_for_us = usec.isdecimal() and int(usec) > 0 and pid in ("", str(os.getpid()))
    return Notifier(address, int(usec) / 1_000_000 if is_for_us else None)
