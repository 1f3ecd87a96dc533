"""The pytest plugin, in test runs of its own."""

import subprocess
import sys

import pytest

SYNC = """
def test_it(kron_scheduler, kron_clock):
    ran = []
    kron_scheduler.schedule("beat", lambda: ran.append(1), every="1h", overlap="skip")
    kron_scheduler.advance("3h")
    assert ran == [1, 1, 1]
    assert kron_clock is kron_scheduler.clock
"""

ASYNC = """
import asyncio

async def test_it(kron_scheduler, kron_clock):
    done, loops = asyncio.Event(), []

    async def callback():
        loops.append(asyncio.get_running_loop())
        done.set()

    await kron_scheduler.aschedule("beat", callback, every="1h", overlap="skip")
    await kron_scheduler.aadvance("3h")
    assert loops == [asyncio.get_running_loop()] * 3 and done.is_set()
"""


@pytest.fixture
def outcomes(pytester):
    """Run a file of tests in this process; what became of them."""

    def run(text, *arguments):
        pytester.makepyfile(text)
        if "no:asyncio" not in arguments:
            pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)
        return result, result.parseoutcomes()

    return run


def test_a_synchronous_test(outcomes):
    assert outcomes(SYNC)[1] == {"passed": 1}


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_an_async_test_has_it_on_its_own_loop(outcomes, mode):
    text = f"import pytest\npytestmark = pytest.mark.asyncio\n{ASYNC}"
    assert outcomes(text if mode == "strict" else ASYNC, f"--asyncio-mode={mode}")[1] == {
        "passed": 1
    }


def test_an_async_test_under_anyio(outcomes):
    text = f"""
import pytest
pytestmark = pytest.mark.anyio
@pytest.fixture
def anyio_backend():
    return "asyncio"
{ASYNC}"""
    assert outcomes(text, "-p", "no:asyncio")[1] == {"passed": 1}


def test_timers_of_fixtures_come_before_the_start(outcomes):
    text = """
import pytest

@pytest.fixture
def ran(kron_scheduler):
    ran = []
    kron_scheduler.schedule("sync", lambda: ran.append("sync"), every="1h", overlap="skip")
    return ran

@pytest.fixture
async def began(kron_scheduler, ran):
    await kron_scheduler.aschedule("async", lambda: ran.append("async"), every="1h")

async def test_async(kron_scheduler, began, ran):
    await kron_scheduler.aadvance("1h")
    assert sorted(ran) == ["async", "sync"]

def test_sync(kron_scheduler, ran):
    kron_scheduler.advance("2h")
    assert ran == ["sync", "sync"]

@pytest.fixture
async def started(kron_scheduler):
    await kron_scheduler.astart()

async def test_started_by_a_fixture(ran, started, kron_scheduler):
    await kron_scheduler.aadvance("1h")
    assert ran == ["sync"]

class TestMethods:
    async def test_async(self, kron_scheduler, ran):
        await kron_scheduler.aadvance("1h")
        assert ran == ["sync"]

    @pytest.mark.parametrize("hours", [1, 2])
    async def test_with_parameters(self, kron_scheduler, ran, hours):
        await kron_scheduler.aadvance(3600 * hours)
        assert len(ran) == hours
"""
    assert outcomes(text, "--asyncio-mode=auto")[1] == {"passed": 6}


def test_it_is_shut_down_after_the_test(outcomes):
    text = """
import threading
import pytest
import kron

schedulers = []

def test_sync(kron_scheduler):
    schedulers.append(kron_scheduler)

async def test_async(kron_scheduler):
    schedulers.append(kron_scheduler)
    async def long():
        await kron_scheduler.clock.sleep("8h")
    await kron_scheduler.aschedule("long", long, after="1h")
    await kron_scheduler.aadvance("2h")

async def test_that_fails(kron_scheduler):
    schedulers.append(kron_scheduler)
    assert False

def test_all_are_over():
    assert len(schedulers) == 3
    for scheduler in schedulers:
        with pytest.raises(kron.NotStarted):
            scheduler.history()
    assert not [thread for thread in threading.enumerate() if thread.name == "kron"]
"""
    assert outcomes(text, "--asyncio-mode=auto")[1] == {"passed": 3, "failed": 1}


def test_the_marker_says_when_it_starts_and_how_it_goes(outcomes):
    text = """
import pytest

pytestmark = pytest.mark.kron(start="2027-03-28T00:00:00Z")

def test_start(kron_clock):
    assert kron_clock.datetime.isoformat() == "2027-03-28T00:00:00+00:00"

@pytest.mark.kron(autojump=True)
def test_both(kron_clock, kron_scheduler):
    kron_clock.sleep_sync("1d")
    assert kron_clock.datetime.isoformat() == "2027-03-29T00:00:00+00:00"

@pytest.mark.kron(start="2030-01-01", data_dir="there")
def test_nearer(kron_clock, kron_scheduler, request):
    assert kron_clock.datetime.year == 2030
    assert (request.config.invocation_params.dir / "there" / "kron.aof").exists()
"""
    assert outcomes(text, "--strict-markers")[1] == {"passed": 3}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("begin='2027-01-01'", "does not take begin; it takes start="),
        ("'2027-01-01'", "does not take '2027-01-01'; it takes start="),
        ("start='soon'", "start='soon' is not an ISO 8601 date"),
    ],
)
def test_a_wrong_marker_is_an_error_that_says_so(outcomes, arguments, complaint):
    text = f"import pytest\n@pytest.mark.kron({arguments})\ndef test_it(kron_clock): pass\n"
    result, counts = outcomes(text)
    assert counts == {"errors": 1}
    result.stdout.fnmatch_lines([f"*{complaint}*"])


def test_a_failed_assertion_shows_the_test_and_the_story_alone(outcomes):
    text = """
from kron.testing import assert_ran

def test_it(kron_scheduler):
    kron_scheduler.schedule("beat", print, every="1h")
    assert_ran(kron_scheduler, "beat")
"""
    result, counts = outcomes(text)
    assert counts == {"failed": 1}
    result.stdout.fnmatch_lines(["E *'beat' ran never.", "E *history, newest first: nothing"])
    assert "assertions.py" not in result.stdout.str()


def test_a_project_without_asyncio_plugins_is_not_hurt(outcomes):
    quiet = ("-p", "no:asyncio", "-p", "no:anyio")
    assert outcomes(SYNC, *quiet)[1] == {"passed": 1}


def test_loading_the_plugin_loads_nothing_heavy():
    program = (
        "import sys, pytest; before = set(sys.modules); import kron.testing.plugin;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["kron"], done.stderr
