"""A run's variables: which one wins, what is left out, and providers asked once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kron.core.command import CommandSpec
from kron.runtime.command import Command, command
from kron.runtime.context import RunContext
from kron.runtime.environment import ProviderFailed, Providers, environment

CONTEXT: RunContext = {
    "timer_id": "backup",
    "run_id": "run_01k0",
    "attempt": 2,
    "max_attempts": 3,
    "scheduled_at": "2026-11-21T03:00:00+00:00",
    "idempotency_key": "backup:2026-11-21T03:00:00+00:00",
    "missed": 0,
    "manual": False,
    "backfill": True,
    "metadata": {},
}
OF_THE_RUN = {
    "KRON_TIMER": "backup",
    "KRON_RUN_ID": "run_01k0",
    "KRON_SCHEDULED_AT": "2026-11-21T03:00:00+00:00",
    "KRON_ATTEMPT": "2",
    "KRON_BACKFILL": "true",
}
OURS = {
    "PATH": "/bin", "LANG": "C", "LC_ALL": "C", "LC_TIME": "de", "HOME": "/h", "USER": "u",
    "PWD": "/before", "TZ": "UTC", "SECRET": "s3cret", "LCX": "x", "KRON_TIMER": "outer",
}  # fmt: skip


def variables(provided: dict[str, str] | None = None, **options: Any) -> dict[str, str]:
    return environment(command("x", **options).spec, provided or {}, CONTEXT, OURS)


def test_a_command_inherits_all_and_learns_of_its_run() -> None:
    assert variables() == {**OURS, **OF_THE_RUN}
    first: RunContext = {**CONTEXT, "backfill": False}
    assert environment(CommandSpec(), {}, first, {})["KRON_BACKFILL"] == "false"


def test_safe_leaves_secrets_out() -> None:
    names = {"PATH", "LANG", "LC_ALL", "LC_TIME", "HOME", "USER", "PWD", "TZ"}
    assert variables(inherit="safe") == {name: OURS[name] for name in names} | OF_THE_RUN


def test_none_inherits_nothing() -> None:
    assert variables(inherit="none", env={"A": "1"}) == {"A": "1", **OF_THE_RUN}


def test_what_is_declared_wins_over_what_is_inherited() -> None:
    assert variables(env={"HOME": "/other", "PWD": "/mine"}, cwd="/tmp")["HOME"] == "/other"
    assert variables(env={"PWD": "/mine"}, cwd="/tmp")["PWD"] == "/mine"
    assert variables({"HOME": "/provided"})["HOME"] == "/provided"


def test_the_working_directory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert variables(cwd="/tmp")["PWD"] == "/tmp"
    assert variables(cwd="sub")["PWD"] == str(tmp_path / "sub")
    assert "PWD" not in variables(cwd="/tmp", inherit="none")


# -- providers ----------------------------------------------------------------------------------


class Counting:
    """Gives what it is told to, and counts."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_a_provider_is_asked_once_for_all_timers_and_runs() -> None:
    provider, providers = Counting({"A": "1"}), Providers()
    commands = [command("x", env=provider), command("y", env=provider)]
    assert [dict(providers.variables(each)) for each in commands * 2] == [{"A": "1"}] * 4
    assert provider.calls == 1
    assert Providers().variables(commands[0]) == {"A": "1"} and provider.calls == 2


def test_two_runs_at_once_wait_for_one_answer() -> None:
    begun, go = threading.Event(), threading.Event()
    calls = []

    def slow() -> dict[str, str]:
        calls.append(1)
        begun.set()
        assert go.wait(10)
        return {"A": "1"}

    providers, made = Providers(), command("x", env=slow)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(providers.variables, made) for _ in range(2)]
        assert begun.wait(10)
        assert providers.variables(command("y", env=lambda: {"B": "2"})) == {"B": "2"}
        go.set()
        assert [answer.result(10) for answer in answers] == [{"A": "1"}] * 2
    assert len(calls) == 1


def test_two_providers_of_one_name_are_two() -> None:
    providers = Providers()
    made = [command("x", env=lambda n=n: {"A": n}) for n in "12"]
    assert [providers.variables(each)["A"] for each in made] == ["1", "2"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (RuntimeError("no vault"), "RuntimeError: no vault"),
        (SystemExit(3), "SystemExit: 3"),
        (["s3cret"], "TypeError: it returned list, not a mapping of str to str"),
        (None, "TypeError: it returned NoneType, not a mapping of str to str"),
        ({"A": 3141}, "TypeError: env['A'] must be a str, not int."),
        ({"KRON_TIMER": "s3cret"}, "ScheduleError: env has the name 'KRON_TIMER', which"),
        ({"A": "s3cret\0"}, "ScheduleError: env['A'] holds a NUL"),
    ],
)
def test_a_failure_is_kept_and_shows_no_value(answer: Any, error: str) -> None:
    provider, providers = Counting(answer), Providers()
    made = Command(CommandSpec(argv=("x",), provider="secrets"), provider)
    texts = set()
    for _ in range(2):
        with pytest.raises(ProviderFailed) as caught:
            providers.variables(made)
        texts.add(str(caught.value))
    assert provider.calls == 1
    text = texts.pop()
    assert text.startswith(f"environment provider secrets failed: {error}") and not texts
    assert "s3cret" not in text and "3141" not in text


def test_a_coroutine_is_no_answer() -> None:
    async def variables() -> dict[str, str]:
        return {}

    with pytest.raises(ProviderFailed, match="it returned coroutine"):
        Providers().variables(command("x", env=lambda: variables()))  # type: ignore[arg-type]


def test_a_name_and_its_function_are_one_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vault_of_test.py").write_text(
        "calls = []\ndef variables():\n    calls.append(1)\n    return {'A': '1'}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    providers, name = Providers(), "vault_of_test:variables"
    by_log = Command(CommandSpec(argv=("x",), provider=name))  # nobody has registered it again
    assert providers.variables(by_log) == {"A": "1"}
    assert providers.variables(command("x", env=name)) == {"A": "1"}
    import vault_of_test  # type: ignore[import-not-found]

    assert vault_of_test.calls == [1]


def test_a_name_that_leads_nowhere_fails_the_run() -> None:
    missing = Command(CommandSpec(argv=("x",), provider="no_such_module:variables"))
    with pytest.raises(ProviderFailed, match="no_such_module:variables failed: ScheduleError"):
        Providers().variables(missing)
