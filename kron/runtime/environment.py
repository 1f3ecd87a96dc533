"""The environment of a run: what is inherited, what is declared, and what Kron says of the run."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

from kron.core.command import CommandSpec, read_env
from kron.core.errors import KronError

from .command import Command, resolve
from .context import RunContext
from .failures import describe

_SAFE = frozenset(("PATH", "LANG", "HOME", "USER", "PWD", "TZ"))
_SAFE_PREFIX = "LC_"


class ProviderFailed(KronError):
    """An environment provider raised, or returned no variables. It shows no value."""


def environment(
    spec: CommandSpec,
    provided: Mapping[str, str],
    context: RunContext,
    inherited: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """All variables of a run of this command; `inherited` is the scheduler's own environment.

    What is declared wins over what is provided, that over what is inherited, and what Kron says
    of the run over all.
    """
    variables = _inherit(spec.inherit, os.environ if inherited is None else inherited)
    if spec.cwd and "PWD" in variables:
        variables["PWD"] = os.path.abspath(spec.cwd)
    variables.update(provided)
    variables.update(spec.env)
    variables.update(run_variables(context))
    return variables


def run_variables(context: RunContext) -> dict[str, str]:
    """What Kron tells a process about the run it belongs to."""
    return {
        "KRON_TIMER": context["timer_id"],
        "KRON_RUN_ID": context["run_id"],
        "KRON_SCHEDULED_AT": context["scheduled_at"],
        "KRON_ATTEMPT": str(context["attempt"]),
        "KRON_BACKFILL": "true" if context["backfill"] else "false",
    }


class Providers:
    """Asks each provider of variables once, at the first run that needs it. Thread-safe.

    What it returned, or that it failed, holds until the scheduler starts again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[object, _Answer] = {}

    def variables(self, command: Command) -> Mapping[str, str]:
        """What the provider of this command gives; nothing if it has none.

        Raises ProviderFailed. Other commands with the same provider wait for the one answer.
        """
        provider = command.spec.provider if command.provider is None else command.provider
        if provider == "":
            return {}
        # By the object: two lambdas have one name. An answer keeps its object, so no other one
        # gets its id.
        key = provider if isinstance(provider, str) else id(provider)
        with self._lock:
            answer = self._answers.setdefault(key, _Answer(command.spec.provider, provider))
        return answer.get(self)

    def of_name(self, name: str) -> Mapping[str, str]:
        """The same for a provider that is known by its name alone."""
        return self.variables(Command(CommandSpec(provider=name), resolve(name)))


class _Answer:
    """One provider and what became of asking it."""

    def __init__(self, name: str, provider: Any) -> None:
        self._name = name
        self._provider = provider
        self._lock = threading.Lock()
        self._variables: Mapping[str, str] | None = None
        self._error = ""

    def get(self, providers: Providers) -> Mapping[str, str]:
        with self._lock:
            if self._variables is None and not self._error:
                self._ask(providers)
            if self._variables is None:
                raise ProviderFailed(self._error)
            return self._variables

    def _ask(self, providers: Providers) -> None:
        try:
            if isinstance(self._provider, str):
                self._variables = providers.of_name(self._provider)
            else:
                self._variables = _checked(self._provider())
        except ProviderFailed as exc:  # of the function that the name stands for
            self._error = str(exc)
        except BaseException as exc:
            self._error = f"environment provider {self._name} failed: {describe(exc)}"


def _checked(answer: object) -> dict[str, str]:
    if not isinstance(answer, Mapping):
        getattr(answer, "close", lambda: None)()  # a coroutine that nobody awaits
        raise TypeError(f"it returned {type(answer).__name__}, not a mapping of str to str")
    return dict(read_env(answer))


def _inherit(which: str, inherited: Mapping[str, str]) -> dict[str, str]:
    if which == "none":
        return {}
    if which == "all":
        return dict(inherited)
    return {
        name: value
        for name, value in inherited.items()
        if name in _SAFE or name.startswith(_SAFE_PREFIX)
    }
