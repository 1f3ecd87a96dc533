"""What another definition of a timer says otherwise, keyword by keyword."""

from __future__ import annotations

from typing import Any, TypedDict

from kron.core.duration import format_duration
from kron.core.model import Definition
from kron.core.views import describe

HIDDEN = "***"
"""Stands for the value of a variable: it may be a secret."""


class FieldChange(TypedDict):
    """What a keyword says in the data directory, and in the files. None: nothing. The members of
    `kwargs`, `metadata` and `env` are fields of their own ("kwargs.path")."""

    field: str
    before: Any
    after: Any


def changed_fields(before: Definition, after: Definition) -> list[FieldChange]:
    """The keywords that say something else, in the order of `TimerStatus`."""
    old, new = _asked(before), _asked(after)
    return [
        {"field": name, "before": _shown(name, old), "after": _shown(name, new)}
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _asked(definition: Definition) -> dict[str, Any]:
    """What a definition says, by keyword."""
    terms = definition.terms
    said: dict[str, Any] = {**describe(definition)}
    kind, _, value = said.pop("schedule").partition(" ")
    kwargs, metadata = said.pop("kwargs"), said.pop("metadata")
    said |= {"missed": said.pop("missed_policy"), "key": terms.key or None}
    if terms.command is None:
        said["entrypoint"] = terms.fn_name or None
    else:
        spec = terms.command
        said |= {"shell": bool(spec.shell), "cwd": spec.cwd or None, "inherit": spec.inherit}
        said |= {"kill_after": format_duration(spec.kill_after_us), "env": spec.provider or None}
        said |= {f"env.{name}": secret for name, secret in spec.env}
    said |= {f"kwargs.{name}": each for name, each in kwargs.items()}
    said |= {f"metadata.{name}": each for name, each in metadata.items()}
    del said["command_hash"]
    return {kind: value, **said}


def _shown(name: str, said: dict[str, Any]) -> Any:
    return HIDDEN if name.startswith("env.") and name in said else said.get(name)
