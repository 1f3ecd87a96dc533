"""docs/testing.md says what is true: each of its examples is a file of tests that passes."""

import re
from pathlib import Path

import pytest

import kron.testing
from kron.testing import VirtualClock, VirtualScheduler

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/testing.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.S | re.M)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_passes(pytester, number):
    pytester.makeini("[pytest]\nasyncio_mode=auto\nasyncio_default_fixture_loop_scope=function")
    pytester.makepyfile(EXAMPLES[number])
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert result.parseoutcomes() == {"passed": 1}


def test_the_guide_names_everything_there_is():
    assert [name for name in kron.testing.__all__ if name not in GUIDE] == []
    asked_by_the_engine = {"now", "call_at", "join", "leave", "look_us"}
    for kind, besides in ((VirtualClock, asked_by_the_engine), (VirtualScheduler, set())):
        own = {name for name in vars(kind) if not name.startswith("_")} - besides
        assert [name for name in sorted(own) if name not in GUIDE] == []


def test_the_files_that_the_guide_links_to_exist():
    linked = re.findall(r"\]\(([^)#:]+)\)", GUIDE)
    assert [name for name in linked if not (ROOT / "docs" / name).exists()] == []
