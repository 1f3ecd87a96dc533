"""The pytest plugin: the fixtures `kron_clock` and `kron_scheduler`, and the marker `kron`.

pytest loads it in every project that has Kron installed, so it imports the test kit only when a
test asks for it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .clock import VirtualClock
    from .scheduler import VirtualScheduler

OPTIONS = ("start", "autojump", "patience", "data_dir")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "kron(start=None, autojump=False, patience=10.0, data_dir=None): when the test's"
        " `kron_clock` starts, how it goes, and where `kron_scheduler` keeps its log (in memory)",
    )


@pytest.fixture
def kron_clock(request: pytest.FixtureRequest) -> VirtualClock:
    """A `kron.testing.VirtualClock`, as `@pytest.mark.kron(start=...)` wants it."""
    from .clock import VirtualClock

    options = _options(request)
    options.pop("data_dir", None)
    return VirtualClock(**options)


@pytest.fixture
def kron_scheduler(
    request: pytest.FixtureRequest, kron_clock: VirtualClock
) -> Iterator[VirtualScheduler]:
    """A `kron.testing.VirtualScheduler` on `kron_clock`: started, and shut down after the test.

    In an `async def` test it runs on the test's loop, from the first line of the test to the last;
    in any other test in a thread of its own.
    """
    from .scheduler import VirtualScheduler

    scheduler = VirtualScheduler(kron_clock, data_dir=_options(request).get("data_dir"))
    test = getattr(request.node, "obj", None)
    if inspect.iscoroutinefunction(test):
        # No fixture can start it: this one is not async, since not everybody has a plugin for
        # that, and the loop is not there yet. So the test itself does.
        request.node.obj = _within(scheduler, test)
        yield scheduler
        request.node.obj = test
    else:
        with scheduler:
            yield scheduler


def _within(scheduler: VirtualScheduler, test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    async def started(*args: Any, **kwargs: Any) -> None:
        async with scheduler:
            await test(*args, **kwargs)

    return started


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the marker says; the one nearest to the test wins, option by option."""
    options: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("kron"))):
        unknown = sorted(marker.kwargs.keys() - set(OPTIONS))
        if unknown or marker.args:
            what = ", ".join([*map(repr, marker.args), *unknown])
            known = ", ".join(f"{name}=" for name in OPTIONS)
            pytest.fail(f"@pytest.mark.kron does not take {what}; it takes {known}", pytrace=False)
        options |= marker.kwargs
    return options
