"""The words for a service manager, on a socket of our own."""

import os
import socket
import threading

import pytest

from kron.sources.notify import Notifier, take_notifier


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        yield manager


def address(manager: socket.socket) -> str:
    return manager.getsockname()


def test_what_is_asked_for_is_taken_out_of_the_environment(manager):
    environ = {
        "NOTIFY_SOCKET": address(manager),
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    take_notifier(environ).ready("3 timers")
    assert environ == {"PATH": "/bin"}
    assert manager.recv(4096) == b"READY=1\nSTATUS=3 timers"


def test_each_word_is_one_datagram(manager):
    notifier = Notifier(address(manager))
    notifier.reloading()
    notifier.stopping()
    assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert manager.recv(4096) == b"STOPPING=1\nSTATUS=draining"


def test_the_watchdog_is_fed_as_long_as_all_is_well(manager):
    is_well = threading.Event()
    is_well.set()
    Notifier(address(manager), watchdog_s=0.01).watch(is_well.is_set)
    assert [manager.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    is_well.clear()
    manager.settimeout(0.5)
    with pytest.raises(TimeoutError):  # after what is on its way already
        list(iter(lambda: manager.recv(4096), b""))


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(manager, asked):
    notifier = take_notifier({"NOTIFY_SOCKET": address(manager), **asked})
    notifier.watch(lambda: True)
    manager.settimeout(0.1)
    with pytest.raises(TimeoutError):
        manager.recv(4096)


def test_without_a_manager_nobody_is_told(caplog):
    notifier = take_notifier({})
    notifier.ready("")
    notifier.stopping()
    assert caplog.text == ""


def test_a_manager_that_is_gone_is_told_of_once(tmp_path, caplog):
    notifier = Notifier(str(tmp_path / "nobody"))
    notifier.ready("")
    notifier.stopping()
    assert caplog.text.count("is not reached") == 1
