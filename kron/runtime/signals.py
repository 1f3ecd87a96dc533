"""SIGINT and SIGTERM, while a program waits for its scheduler to end."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any

NUMBERS = (signal.SIGINT, signal.SIGTERM)
EXIT_CODE = 130
MOMENT_SECONDS = 0.05


class Ear:
    """Hears both signals from now on, in the main thread; nothing is interrupted for them, nor
    ended by a SIGHUP. Two at one moment are one: `timeout` sends its own to the child and to the
    group of both.

    (A handler that raises leaves a lock behind wherever it strikes: of the import system, say.
    test_as_process_one_a_signal_drains.) A second one that nobody is told of ends the program.
    """

    def __init__(self) -> None:
        self.heard = 0
        self._told = 0
        self._heard_s = -math.inf
        self._tell: Callable[[], object] | None = None
        for number in NUMBERS:
            signal.signal(number, lambda *_: self.hear())
        signal.signal(signal.SIGHUP, lambda *_: None)  # until somebody wants to hear it

    def hand_to(self, tell: Callable[[], object]) -> None:
        """Whoever is told of each signal: those to come, and now those that were heard."""
        self._tell = tell
        self._pass_on(tell)

    def hear(self) -> None:
        """One has come."""
        before_s, self._heard_s = self._heard_s, time.monotonic()
        if self._heard_s - before_s < MOMENT_SECONDS:
            return
        self.heard += 1
        if self._tell is not None:
            self._pass_on(self._tell)
        elif self.heard > 1:
            os._exit(EXIT_CODE)

    def _pass_on(self, tell: Callable[[], object]) -> None:
        while self._told < self.heard:
            self._told += 1
            tell()


def wait_until(done: Future[Any], on_signal: Callable[[], object]) -> None:
    """Block this thread until `done`; in the main thread both signals call `on_signal` meanwhile.

    The thread sleeps on a socket that Python's own C handler writes to. A lock would not do: of
    two signals at once the kernel gives the second to any thread, and nothing would interrupt the
    lock (test_two_signals_at_once_are_two_signals).
    """
    if threading.current_thread() is not threading.main_thread():
        wait({done})
        return
    ear, bell = socket.socketpair()
    with ear, bell:
        bell.setblocking(False)
        done.add_done_callback(lambda _: _ring(bell))
        old_fd = signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
        before = [signal.signal(number, lambda *_: on_signal()) for number in NUMBERS]
        try:
            while not done.done():
                ear.recv(4096)
        finally:
            signal.set_wakeup_fd(old_fd)
            _restore(before)


async def await_until(done: Future[Any], on_signal: Callable[[], object]) -> None:
    """As `wait_until`, on the running loop."""
    loop = asyncio.get_running_loop()
    waiter = asyncio.shield(asyncio.wrap_future(done))
    if threading.current_thread() is not threading.main_thread():
        await waiter
        return
    before = [signal.getsignal(number) for number in NUMBERS]
    for number in NUMBERS:
        loop.add_signal_handler(number, on_signal)
    try:
        await waiter
    finally:
        for number in NUMBERS:
            loop.remove_signal_handler(number)
        _restore(before)


def _ring(bell: socket.socket) -> None:
    with suppress(OSError):  # closed already, or full: then it rings anyhow
        bell.send(b"\0")


def _restore(handlers: list[Any]) -> None:
    for number, handler in zip(NUMBERS, handlers, strict=True):
        signal.signal(number, handler)
