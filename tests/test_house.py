"""The house rules that a machine can check, over every module of the package.

A failing test names file, line and rule. STYLE in short is in CONTRIBUTING.md; the import
direction is drawn in ARCHITECTURE.md.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import UnionType
from typing import NamedTuple, TypeAlias, TypeGuard, get_args

import pytest

ROOT = Path(__file__).parents[1]

FILE_LINES = 400
FUNCTION_LINES = 50
LINE_CHARACTERS = 100
NESTING = 3

VAGUE_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}

LAYERS = ["core", "storage", "runtime", "server", "opening", "answers", "scheduler"]
LAYERS += ["sources", "compat", "cli"]
"""Each may import itself and what stands before it; behind the scheduler also `kron`'s own face."""
FREE = {"", "__main__", "events", "testing"}
"""The package's own face (lazy: see `test_import_kron_loads_no_heavy_module`; and the names of
`kron.events`), `python -m kron`, and the test kit, which nobody imports."""

CORE_NEVER_IMPORTS = set(
    "aiofiles anyio asyncio concurrent ctypes fcntl importlib io logging multiprocessing os"
    " pathlib random secrets select selectors shutil signal socket subprocess sys tempfile"
    " threading time trio uuid uvloop".split()
)
CORE_NEVER_CALLS = {"now", "utcnow", "today", "input", "open", "print"}
NEVER_IMPORTED = {"cloudpickle", "dill", "marshal", "pickle", "shelve"}
NEVER_CALLED = {"__import__", "compile", "eval", "exec"}
LOADS_MODULES = {"kron/__init__.py", "kron/runtime/command.py"}
"""Where `import_module` may take a name that is no literal (promise P10)."""
MAKES_TASKS = {"kron/runtime/tasks.py", "kron/runtime/control.py"}
BROAD = {"BaseException", "BaseExceptionGroup", "Exception", "ExceptionGroup"}

HEAVY = "aiofiles anyio asyncio croniter httpx2 orjson starlette typer uvicorn uvloop".split()

EVENTS_NOW = set(
    "TIMER_CREATED TIMER_UPDATED TIMER_REMOVED TIMER_PAUSED TIMER_RESUMED TIMER_MOVED"
    " RUN_DUE RUN_STARTED RUN_SUCCEEDED RUN_FAILED RUN_RETRYING RUN_DEAD RUN_SKIPPED_OVERLAP"
    " RUN_MISSED RUN_STOPPING RUN_CANCELLED BACKFILL_STARTED BACKFILL_ENDED"
    " SCHEDULER_STARTED SCHEDULER_STOPPED CLOCK_STEP TAIL_CUT".split()
)
EVENTS_LATER = set(
    "RUN_CLAIMED RUN_LEASE_EXPIRED WORKER_REGISTERED WORKER_LOST"
    " LEADER_CLAIMED LEADER_RESIGNED LOG_MOVED".split()
)
"""WORKER_HEARTBEAT is in neither: it reaches subscribers and is not stored."""

Finding: TypeAlias = tuple[int, str]
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
COMPOUND = (
    *(ast.If, ast.For, ast.AsyncFor, ast.While, ast.Match),
    *(ast.With, ast.AsyncWith, ast.Try, ast.TryStar),
)


class Module(NamedTuple):
    """One file of the package, read once."""

    path: str
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """`kron.storage.file`, and `kron.storage` for its `__init__`."""
        return self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    @property
    def layer(self) -> str:
        return layer_of(self.name)


def layer_of(name: str) -> str:
    """The first name below `kron`: "core", "scheduler", ... or "" for `kron` itself."""
    return f"{name}.".split(".")[1]


def in_kron(name: str) -> bool:
    return name.split(".")[0] == "kron"


@cache
def module(path: str) -> Module:
    text = (ROOT / path).read_text(encoding="utf-8")
    return Module(path, text, ast.parse(text, path))


PATHS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "kron").rglob("*.py")
    if "__pycache__" not in path.parts
)
each_module = pytest.mark.parametrize("path", PATHS)


def check(path: str, rule: Callable[[Module], Iterator[Finding]]) -> None:
    found = [f"{path}:{line}: {text}" for line, text in rule(module(path))]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


# -- size ---------------------------------------------------------------------------------------


@each_module
def test_a_file_is_short(path: str) -> None:
    def rule(module: Module) -> Iterator[Finding]:
        lines = len(module.text.splitlines())
        if lines > FILE_LINES:
            yield lines, f"{lines} lines; at most {FILE_LINES}"

    check(path, rule)


@each_module
def test_a_line_is_short(path: str) -> None:
    def rule(module: Module) -> Iterator[Finding]:
        for number, line in enumerate(module.text.splitlines(), 1):
            if len(line) > LINE_CHARACTERS:
                yield number, f"{len(line)} characters; at most {LINE_CHARACTERS}"

    check(path, rule)


@each_module
def test_a_function_is_short(path: str) -> None:
    def rule(module: Module) -> Iterator[Finding]:
        for function in functions(module):
            lines = (function.end_lineno or 0) - function.lineno + 1
            if lines > FUNCTION_LINES:
                yield function.lineno, f"{function.name}: {lines} lines; at most {FUNCTION_LINES}"

    check(path, rule)


@each_module
def test_a_function_is_flat(path: str) -> None:
    """Compound statements inside each other, `try` and `with` too; `elif` stays on its level."""

    def rule(module: Module) -> Iterator[Finding]:
        for function in functions(module):
            depth = nesting(function)
            if depth > NESTING:
                yield function.lineno, f"{function.name}: nested {depth} deep; at most {NESTING}"

    check(path, rule)


def functions(module: Module) -> Iterator[Function]:
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            yield node


def nesting(node: ast.AST, depth: int = 0) -> int:
    """The deepest level under `node`; a function or class within counts for itself."""
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        is_deeper = isinstance(child, COMPOUND) and not is_elif
        deepest = max(deepest, nesting(child, depth + is_deeper))
    return deepest


# -- names and words ----------------------------------------------------------------------------


@each_module
def test_a_module_is_named_after_what_it_owns(path: str) -> None:
    def rule(module: Module) -> Iterator[Finding]:
        for part in module.name.split("."):
            if vague := VAGUE_NAMES & set(part.split("_")):
                yield 1, f"{part!r}: {min(vague)!r} says nothing; name the noun it owns"

    check(path, rule)


@each_module
def test_a_module_opens_with_one_sentence(path: str) -> None:
    def rule(module: Module) -> Iterator[Finding]:
        lines = (ast.get_docstring(module.tree) or "").splitlines()
        if not lines:
            yield 1, "no docstring; say in one sentence what the file owns"
        elif not re.fullmatch(r"\S.*[.!?]", lines[0]) or re.search(r"[.!?]\s+[A-Z]", lines[0]):
            yield 1, f"the docstring's first line is not one sentence: {lines[0]!r}"
        elif len(lines) > 1 and lines[1]:
            yield 2, "the sentence that opens the docstring goes on; an empty line belongs here"

    check(path, rule)


# -- imports ------------------------------------------------------------------------------------


@each_module
def test_imports_go_one_way(path: str) -> None:
    def rule(module: Module) -> Iterator[Finding]:
        if module.layer in FREE:
            return
        if module.layer not in LAYERS:
            yield 1, f"kron.{module.layer} has no place in the import order"
            return
        below = LAYERS[: LAYERS.index(module.layer)]
        reach = [*below, module.layer]
        for line, name in imports(module):
            is_face = layer_of(name) not in {*LAYERS, *FREE} or name == "kron"
            is_version = name == "kron.__version__" and module.layer != "core"
            is_free = layer_of(name) in reach or is_version or (is_face and "scheduler" in below)
            if in_kron(name) and not is_free:
                yield line, f"kron.{module.layer} may not import {name}"

    check(path, rule)


@each_module
def test_the_core_has_no_clock_and_no_io(path: str) -> None:
    def rule(module: Module) -> Iterator[Finding]:
        if module.layer != "core":
            return
        for line, name in imports(module):
            if name.split(".")[0] in CORE_NEVER_IMPORTS or name == "datetime.now":
                yield line, f"core may not import {name}; time and the world are arguments"
        for line, name in calls(module):
            if name.split(".")[-1] in CORE_NEVER_CALLS:
                yield line, f"core may not call {name}(); time and the world are arguments"

    check(path, rule)


@each_module
def test_the_runtime_sees_only_the_log_protocol(path: str) -> None:
    def rule(module: Module) -> Iterator[Finding]:
        for line, name in imports(module):
            is_protocol = name.startswith(("kron.storage.log", "kron.storage.blocking"))
            is_storage = in_kron(name) and layer_of(name) == "storage"
            if module.layer == "runtime" and is_storage and not is_protocol:
                yield line, f"{name}: the runtime gets its log as an argument (kron.storage.log)"

    check(path, rule)


@each_module
def test_nobody_imports_the_test_kit(path: str) -> None:
    def rule(module: Module) -> Iterator[Finding]:
        for line, name in imports(module):
            if f"{name}.".startswith("kron.testing.") and module.layer != "testing":
                yield line, f"{name} is for tests"

    check(path, rule)


def imports(module: Module) -> Iterator[Finding]:
    """Every imported name in full, wherever it stands: `from .log import Log` in storage is
    `kron.storage.log.Log`."""
    is_package = module.path.endswith("/__init__.py")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.name.split(".")
            kept = parts[: len(parts) - node.level + is_package] if node.level else []
            origin = ".".join([*kept, *filter(None, [node.module])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


# -- what nobody does ---------------------------------------------------------------------------


@each_module
def test_no_code_is_loaded_from_data(path: str) -> None:
    def rule(module: Module) -> Iterator[Finding]:
        for line, name in imports(module):
            if name.split(".")[0] in NEVER_IMPORTED:
                yield line, f"{name}: payloads are JSON (promise P10)"
        for line, name in calls(module):
            if name in NEVER_CALLED:
                yield line, f"{name}(): no code is loaded from data (promise P10)"
        for node in ast.walk(module.tree):
            if is_open_import(node) and module.path not in LOADS_MODULES:
                where = ", ".join(sorted(LOADS_MODULES))
                yield node.lineno, f"import_module() of no fixed name belongs in {where}"

    check(path, rule)


def is_open_import(node: ast.AST) -> TypeGuard[ast.Call]:
    if not isinstance(node, ast.Call) or dotted(node.func).split(".")[-1] != "import_module":
        return False
    return not (node.args and isinstance(node.args[0], ast.Constant))


@each_module
def test_tasks_are_made_in_two_places(path: str) -> None:
    def rule(module: Module) -> Iterator[Finding]:
        for line, name in calls(module):
            is_task = name.split(".")[-1] in {"create_task", "ensure_future"}
            if is_task and module.path not in MAKES_TASKS:
                yield line, f"{name}() belongs in {' or '.join(sorted(MAKES_TASKS))}"

    check(path, rule)


@each_module
def test_no_exception_is_swallowed_unnamed(path: str) -> None:
    """A broad handler raises again, or uses the exception it caught."""

    def rule(module: Module) -> Iterator[Finding]:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler):
                if node.type is None:
                    yield node.lineno, "a bare `except:`; name what you catch"
                elif is_broad(node.type) and not deals_with(node):
                    yield node.lineno, f"`except {ast.unparse(node.type)}` swallows in silence"
            elif isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "suppress":
                yield from (
                    (node.lineno, f"`{ast.unparse(node)}` swallows in silence")
                    for kind in node.args
                    if is_broad(kind)
                )

    check(path, rule)


def is_broad(kind: ast.expr) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(dotted(each).split(".")[-1] in BROAD for each in kinds)


def deals_with(handler: ast.ExceptHandler) -> bool:
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Name) and handler.name is not None and node.id == handler.name)
        for statement in handler.body
        for node in ast.walk(statement)
    )


def calls(module: Module) -> Iterator[Finding]:
    """Every call by a name: `eval`, `asyncio.create_task`, `().create_task`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield node.lineno, dotted(node.func)


def dotted(node: ast.expr) -> str:
    """`a.b.c`; what is neither a name nor an attribute becomes `()`."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "()"


# -- what loads, and what is written ------------------------------------------------------------


@cache
def loaded_by_import() -> set[str]:
    program = "import sys, json, kron; print(json.dumps([*sys.modules]))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("name", HEAVY)
def test_import_kron_loads_no_heavy_module(name: str) -> None:
    assert name not in loaded_by_import()


def test_every_event_has_its_documented_tag() -> None:
    from kron.core.events import EVENTS, TAGS, Event

    assert isinstance(Event, UnionType)
    kinds = {kind for kind in get_args(Event) if kind.__name__ != "Unknown"}
    assert kinds == set(TAGS)
    for kind, tag in TAGS.items():
        assert tag == re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).upper()
    assert {tag: kind for kind, tag in TAGS.items()} == EVENTS
    undocumented = EVENTS.keys() - EVENTS_NOW - EVENTS_LATER
    assert not {tag for tag in undocumented if not tag.startswith("NODE_")}
    assert EVENTS.keys() >= EVENTS_NOW
