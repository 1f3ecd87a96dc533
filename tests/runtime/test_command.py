"""`kron.command`, functions by name, and what a timer can call or start."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kron.core.command import CommandSpec
from kron.core.errors import ScheduleError
from kron.runtime.callables import Target, callable_name
from kron.runtime.command import command, importable_name, resolve


def variables() -> dict[str, str]:
    return {"A": "1"}


async def later() -> dict[str, str]:
    return {}


class Later:
    async def __call__(self) -> dict[str, str]:
        return {}


def test_a_string_is_split_as_a_shell_would() -> None:
    assert command("echo 'a b' $HOME").spec == CommandSpec(argv=("echo", "a b", "$HOME"))
    assert command("a | b", shell=True).spec == CommandSpec(shell="a | b")


def test_paths_are_words(tmp_path: Path) -> None:
    made = command([Path("/bin/ls"), tmp_path], cwd=tmp_path)
    assert made.spec == CommandSpec(argv=("/bin/ls", str(tmp_path)), cwd=str(tmp_path))


def test_all_that_is_said_is_in_the_spec() -> None:
    made = command("x", env={"B": "2", "A": "1"}, inherit="none", kill_after=1.5)
    assert made.spec == CommandSpec(
        argv=("x",), env=(("A", "1"), ("B", "2")), inherit="none", kill_after_us=1_500_000
    )
    assert command("x", kill_after=0).spec.kill_after_us == 0


def test_a_repr_shows_the_line_and_no_variable() -> None:
    made = command("x 'y z'", env={"A": "s3cret"})
    assert repr(made) == str(made) == "<kron.command: x 'y z'>"


@pytest.mark.parametrize("kill_after", [-1, "soon", float("nan")])
def test_kill_after_is_a_duration(kill_after: Any) -> None:
    with pytest.raises(ScheduleError, match="kill_after"):
        command("x", kill_after=kill_after)


def test_a_provider_is_a_function_or_its_name() -> None:
    by_name, by_itself = command("x", env="os:getcwd"), command("x", env=json.loads)
    assert by_name.spec.provider == "os:getcwd" and by_name.provider is resolve("os:getcwd")
    assert by_itself.spec.provider == "json:loads" and by_itself.provider is json.loads
    assert command("x", env=lambda: {"A": "1"}).spec.provider.endswith("<lambda>")


@pytest.mark.parametrize("provider", [later, Later(), functools.partial(later)])
def test_a_provider_that_has_to_be_awaited_is_refused(provider: Any) -> None:
    with pytest.raises(TypeError, match="coroutine function"):
        command("x", env=provider)


def test_a_provider_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match=r"env must be a mapping.*not list"):
        command("x", env=[("A", "s3cret")])  # type: ignore[arg-type]


# -- functions by name --------------------------------------------------------------------------


def test_a_name_may_have_dots_on_both_sides() -> None:
    assert resolve("os.path:join") is __import__("os").path.join
    assert resolve("pathlib:Path.cwd").__name__ == "cwd"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("os.getcwd", 'Write "module:function"'),
        ("os:", 'Write "module:function"'),
        (":getcwd", 'Write "module:function"'),
        ("os:path..join", 'Write "module:function"'),
        (".os:getcwd", 'Write "module:function"'),
        ("no_such_module:f", "cannot be imported: ModuleNotFoundError: No module named"),
        ("os:no_such_function", "os has no no_such_function"),
        ("os:sep", "'os:sep' is '/', which cannot be called"),
    ],
)
def test_a_name_that_names_nothing(name: str, words: str) -> None:
    with pytest.raises(ScheduleError, match=words):
        resolve(name)


def test_a_modules_own_error_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_on_import.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ScheduleError, match="ZeroDivisionError: division by zero") as caught:
        command("x", env="broken_on_import:variables")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_function_of_a_module_has_a_name() -> None:
    assert importable_name(json.loads) == "json:loads"
    assert importable_name(Path.exists) == "pathlib:Path.exists"
    assert resolve(importable_name(json.loads)) is json.loads


def in_main() -> None: ...


def replaced() -> None: ...


@pytest.mark.parametrize(
    "fn",
    [
        lambda: None,
        functools.partial(json.loads, "1"),
        Path("/").exists,
        json.JSONDecoder,
        len,
        test_a_function_of_a_module_has_a_name.__call__,
    ],
)
def test_what_another_process_cannot_find_is_refused(fn: Any) -> None:
    with pytest.raises(ScheduleError, match='name it "module:function"'):
        importable_name(fn)


def test_a_function_within_a_function_is_refused() -> None:
    def inner() -> None: ...

    with pytest.raises(ScheduleError, match="it is no plain function of a module"):
        importable_name(inner)


def test_a_function_of_the_main_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_main, "__module__", "__main__")
    with pytest.raises(ScheduleError, match="another __main__"):
        importable_name(in_main)


def test_a_name_that_leads_to_another_object_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaced, "__module__", "json")
    monkeypatch.setattr(replaced, "__qualname__", "loads")
    with pytest.raises(ScheduleError, match="json:loads is another object"):
        importable_name(replaced)


# -- targets ------------------------------------------------------------------------------------


def test_the_lane_follows_from_the_function_and_the_executor() -> None:
    assert Target(variables, (), {}).lane == "thread"
    assert Target(variables, (), {}, "thread").lane == "thread"
    assert Target(later, (), {}).lane == "task" and Target(later, (), {}).is_async
    assert Target(json.loads, ("1",), {}, "process").lane == "process"
    assert Target(command("x"), (), {}).lane == "process"


def test_a_target_of_a_command_is_named_by_its_line() -> None:
    made = command(["x", "y z"])
    assert Target(made, (), {}).name == callable_name(made) == "x 'y z'"


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(TypeError, match="takes no args= and kwargs="):
        Target(command("x"), (1,), {})
    with pytest.raises(TypeError, match="takes no args= and kwargs="):
        Target(command("x"), (), {"a": 1})
    with pytest.raises(TypeError, match="leave executor= out"):
        Target(command("x"), (), {}, "process")
    with pytest.raises(TypeError, match=r"coroutine function.*thread"):
        Target(later, (), {}, "thread")
    with pytest.raises(ScheduleError, match='name it "module:function"'):
        Target(lambda: None, (), {}, "process")
    with pytest.raises(TypeError, match="does not fit"):
        Target(Path.exists, (), {"nope": 1}, "process")


def test_a_target_is_known_again() -> None:
    target = Target(json.dumps, (1,), {}, "process")
    plain = Target(variables, (), {})
    assert plain.is_for(variables, (), {}) and not plain.is_for(variables, (), {}, "thread")
    assert not plain.is_for(in_main, (), {}) and not target.is_for(json.dumps, (1,), {}, "process")


def test_the_child_imports_no_scheduler() -> None:
    import subprocess

    program = (
        "import sys, kron.runtime.command, kron.runtime.context, kron.runtime.failures\n"
        "print([name for name in sys.modules if name in ('asyncio', 'orjson', 'anyio')"
        " or name.startswith(('kron.storage', 'kron.scheduler', 'kron.core.machine'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
