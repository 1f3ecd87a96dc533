"""The documents say what is true: their programs run, their tables and names are those of the code.

README's blocks run in document order, in an empty directory, in a fresh environment into which
nothing was installed but this project.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kron.core.events import TAGS
from kron.core.model import Reason, Stop
from kron.core.transitions import diagram
from kron.runtime.context import RunContext

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
LEDGER = (ROOT / "docs/ledger.md").read_text("utf-8")
TIME = (ROOT / "docs/time.md").read_text("utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text("utf-8")
DOCUMENTS = {
    "README.md": README,
    "ARCHITECTURE.md": ARCHITECTURE,
    "docs/ledger.md": LEDGER,
    "docs/time.md": TIME,
    "docs/testing.md": (ROOT / "docs/testing.md").read_text("utf-8"),
    "docs/commands.md": (ROOT / "docs/commands.md").read_text("utf-8"),
    "docs/running.md": (ROOT / "docs/running.md").read_text("utf-8"),
    "docs/files.md": (ROOT / "docs/files.md").read_text("utf-8"),
    "docs/crontab.md": (ROOT / "docs/crontab.md").read_text("utf-8"),
    "docs/fastapi.md": (ROOT / "docs/fastapi.md").read_text("utf-8"),
    "docs/aiohttp.md": (ROOT / "docs/aiohttp.md").read_text("utf-8"),
    "docs/django.md": (ROOT / "docs/django.md").read_text("utf-8"),
    "docs/scripts.md": (ROOT / "docs/scripts.md").read_text("utf-8"),
    "docs/jupyter.md": (ROOT / "docs/jupyter.md").read_text("utf-8"),
    "docs/docker.md": (ROOT / "docs/docker.md").read_text("utf-8"),
    "docs/systemd.md": (ROOT / "docs/systemd.md").read_text("utf-8"),
    "docs/coming-from-apscheduler.md": (ROOT / "docs/coming-from-apscheduler.md").read_text(
        "utf-8"
    ),
    "docs/coming-from-celery.md": (ROOT / "docs/coming-from-celery.md").read_text("utf-8"),
    "docs/coming-from-cron.md": (ROOT / "docs/coming-from-cron.md").read_text("utf-8"),
    "docs/no-lock-adapter.md": (ROOT / "docs/no-lock-adapter.md").read_text("utf-8"),
}


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)


def console(text):
    """The commands of the console blocks, as words."""
    lines = [line for block in blocks(text, "console") for line in block.splitlines()]
    return [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ ")]


PROGRAMS = blocks(README, "python")
KRON = [command[1:] for command in console(README) if command[0] == "kron"]
EXIT_CODES = {"runtime status": 1, "runtime shutdown": 1, "metrics": 1, "plan": 2}
"""No runtime is there to answer; a plan with something to do says so."""


# -- README in a fresh environment ---------------------------------------------------------------


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The directory of programs of a new environment after `pip install .` and nothing else.

    This Python's pip installs into it: Debian's comes without ensurepip.
    """
    place = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", place)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
    run(*pip, "--python", place / "bin" / "python", "install", ROOT)
    return place / "bin"


@pytest.fixture(scope="session")
def after_readme(installed, tmp_path_factory):
    """The files that it shows (their first line is a comment with the name) are there, and every
    python block has run as a program of its own, one after the other: what they did."""
    place = tmp_path_factory.mktemp("empty")
    for name, block in re.findall(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```$", README, re.S | re.M):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(block)
    return place, [start(installed / "python", "-c", block, cwd=place) for block in PROGRAMS]


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_block_of_the_readme_runs(after_readme, number):
    done = after_readme[1][number]
    assert done.returncode == 0, f"{PROGRAMS[number]}\n{done.stderr}"
    assert done.stderr == ""


def test_the_first_program_is_short_and_does_what_is_said(after_readme):
    assert len(PROGRAMS[0].strip().splitlines()) <= 12
    *beats, last = after_readme[1][0].stdout.splitlines()
    assert len(beats) >= 2
    assert all(re.fullmatch(r"beat \d{4}-\d\d-\d\dT\S+\+00:00", line) for line in beats)
    assert last == "OK"


def test_the_blocks_of_the_readme_run_in_one_process_too(installed, tmp_path):
    done = start(installed / "python", "-c", "\n".join(PROGRAMS), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", KRON, ids=" ".join)
def test_a_command_of_the_readme_works(installed, after_readme, arguments):
    done = start(installed / "kron", *arguments, cwd=after_readme[0])
    assert done.returncode == EXIT_CODES.get(" ".join(arguments), 0), done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_commands_of_the_readme_are_run_here():
    assert len(KRON) > 8
    others = {tuple(command[:2]) for command in console(README) if command[0] != "kron"}
    assert others == {("pip", "install"), ("make", "demo"), ("make", "test")}
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert {"demo", "test", "bench"} <= set(targets)


@pytest.mark.parametrize("block", blocks(TIME, "python"))
def test_a_block_about_time_runs(block, tmp_path):
    done = start(sys.executable, "-c", block, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [each[1:] for each in console(TIME)], ids=" ".join)
def test_a_command_about_time_works(arguments, tmp_path):
    done = start(Path(sys.executable).with_name("kron"), *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_lifespan_of_the_readme_serves_fastapi_and_starlette(tmp_path, monkeypatch):
    client = pytest.importorskip("starlette.testclient").TestClient
    monkeypatch.chdir(tmp_path)
    for name in ("fastapi.FastAPI", "starlette.applications.Starlette"):
        module, _, kind = name.rpartition(".")
        application = getattr(pytest.importorskip(module), kind)
        with client(application(lifespan=lifespan_block()["lifespan"])):
            assert (tmp_path / ".kron" / "kron.aof").exists()


async def test_the_lifespan_of_the_readme_serves_aiohttp(tmp_path, monkeypatch):
    web = pytest.importorskip("aiohttp.web")
    monkeypatch.chdir(tmp_path)
    app = web.Application()
    app.cleanup_ctx.extend(lifespan_block()["cleanup_ctx"])
    runner = web.AppRunner(app)
    await runner.setup()
    assert (tmp_path / ".kron" / "kron.aof").exists()
    await runner.cleanup()


def lifespan_block():
    names = {}
    (block,) = [block for block in PROGRAMS if "lifespan" in block]
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102  # our own text is the test
    return names


def start(*command, cwd):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("KRON_", "PYTHON"))}
    return subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**environment, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def run(*command):
    done = start(*command, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


# -- what the documents name ---------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_files_a_document_names_exist(document):
    text = DOCUMENTS[document]
    roots = "kron|tests|examples|docs|benchmarks"
    named = re.findall(rf"`((?:{roots})/[\w./-]*)`", text)
    linked = re.findall(r"\]\(([^)#:]+)\)", text)
    base = (ROOT / document).parent
    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [name for name in linked if not (base / name).exists()]
    assert missing == []


def test_the_reading_order_names_every_module_once():
    reading = section(ARCHITECTURE, "Reading the source")
    named = re.findall(r"`(kron/[\w./]+\.py)`", reading)
    packages = {"kron/__init__.py"}
    modules = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "kron").rglob("*.py")
        if path.name != "__init__.py"
    }
    assert sorted(named) == sorted(modules | packages)


def test_the_life_of_a_run_is_the_table_in_the_code():
    between = re.search(r"<!-- diagram -->\n(.*?)<!-- /diagram -->", ARCHITECTURE, re.S)[1]
    assert between == f"```mermaid\n{diagram()}\n```\n"


def test_the_proofs_in_the_failure_table_exist():
    proofs = [row[2] for row in table(section(ARCHITECTURE, "What can fail"))]
    assert len(proofs) > 10
    named = [name for proof in proofs for name in re.findall(r"`(\w+)`", proof)]
    assert len(named) >= len(proofs)
    known = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert [name for name in named if name not in known] == []


def test_the_events_in_the_documents_are_those_of_the_code():
    assert first_column(LEDGER, "Events") == list(TAGS.values())
    words = {word for text in DOCUMENTS.values() for word in re.findall(EVENT, text)}
    assert words <= set(TAGS.values())


EVENT = r"\b(?:TIMER|RUN|BACKFILL|SCHEDULER|CLOCK|TAIL)_[A-Z]+(?:_[A-Z]+)?\b"


def test_the_fields_of_the_events_are_those_of_the_code():
    rows = table(section(LEDGER, "Events").partition("### Fields")[2])
    fields = {tag: names.split(", ") for tag, names in rows}
    assert fields == {tag: [*kind._fields] for kind, tag in TAGS.items()}


def test_the_reasons_in_the_documents_are_those_of_the_code():
    moments = first_column(LEDGER, "Why a moment did not run")
    assert {word.strip("`") for word in moments} == set(Reason)
    attempts = first_column(LEDGER, "Why an attempt ended without a word of its own")
    assert {word.strip("`") for word in attempts} == set(Stop)


def test_the_keys_of_the_context_are_those_of_the_code():
    rows = table(section(README, "Callbacks"))
    named = {key for row in rows for key in re.findall(r"`(\w+)`", row[0])}
    assert named == set(RunContext.__annotations__)


def test_the_promises_have_one_numbering():
    promised = re.findall(r"\*\*(P\d+)\*\*", section(README, "Promises"))
    assert promised == [f"P{number}" for number in range(1, 8)]
    kept = set(re.findall(r"\*\*(P\d+)\*\*", SECURITY))
    assert {"P1", "P2", "P3", "P6", "P7"} <= kept


def section(text, title):
    """From a heading to the next one of its level."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.S | re.M)[1]


def table(text):
    """The rows of the first table, without its head."""
    lines = re.search(r"(?:^\|.*\n)+", text + "\n", re.M)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines[2:]]


def first_column(text, title):
    return [row[0] for row in table(section(text, title))]
