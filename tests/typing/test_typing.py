"""What `mypy --strict` says of programs that use Kron, which is installed, with its py.typed.

program.py is right, and runs; it has every public name and every keyword of `schedule`. In wrong.py
each wrong line ends with the beginning or the heart of the message that is due there.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kron
from kron.core.model import Missed, Overlap
from kron.core.terms import EXECUTORS, READ, ScheduleOptions

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".mypy_cache" / "programs"  # cold it takes three seconds, warm none


@pytest.fixture(scope="module")
def complaints():
    """Errors of mypy by file and line, as `message  [code]`."""
    options = ["--strict", "--config-file=", f"--cache-dir={CACHE}", "--no-error-summary"]
    files = ["program.py", "wrong.py"]
    done = run("-m", "mypy", *options, "--no-pretty", *files, cwd=HERE)
    assert done.returncode < 2 and not done.stderr, done.stdout + done.stderr
    found = {file: {} for file in files}
    for line in done.stdout.splitlines():
        file, number, message = re.fullmatch(r"([^:]+):(\d+): (\w+: .*)", line).groups()
        if not message.startswith("note: "):
            found[file].setdefault(int(number), []).append(message.removeprefix("error: "))
    return found


def run(*words, cwd):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MYPY"))}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, timeout=100)


def test_the_program_is_right(complaints):
    assert complaints["program.py"] == {}


def test_each_wrong_use_is_found_and_nothing_else(complaints):
    lines = (HERE / "wrong.py").read_text("utf-8").splitlines()
    due = {
        n: line.split("  # error: ")[1] for n, line in enumerate(lines, 1) if "  # error" in line
    }
    told = complaints["wrong.py"]
    assert len(due) > 40 and told.keys() == due.keys()
    for number, words in due.items():
        assert any(words in message for message in told[number]), (number, words, told[number])


def test_the_program_runs(tmp_path):
    done = run(str(HERE / "program.py"), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "True 8\n"), done.stderr


def test_the_program_has_the_whole_public_surface():
    tree = ast.parse((HERE / "program.py").read_text("utf-8"))
    names = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "kron"
    }
    assert set(kron.__all__) <= names
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    scheduled = [call for call in calls if ast.unparse(call.func) == "kron.schedule"]
    keywords = {keyword.arg for call in scheduled for keyword in call.keywords}
    assert keywords == ScheduleOptions.__annotations__.keys()


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ("overlap", [word.value for word in Overlap]),
        ("missed", [word.value for word in Missed]),
        ("executor", [*EXECUTORS]),
        ("dst", ["once", "skip"]),
    ],
)
def test_an_editor_completes_the_words_that_there_are(keyword, words):
    annotation = str(ScheduleOptions.__annotations__[keyword])
    literal = re.search(r"Literal\[(.*?)\]", annotation).group(1)
    assert sorted(ast.literal_eval(f"[{literal}]")) == sorted(words)
    _, read = READ[keyword]
    for word in words:
        assert read(word, keyword, None) == word
