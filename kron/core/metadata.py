"""What people know of a timer, `metadata=`, and which timers a question about it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .errors import ScheduleError, brief
from .json_values import json_copy


class Condition(NamedTuple):
    """At `path` there has to be `value`. `keys` are the path's parts."""

    path: str
    keys: tuple[str, ...]
    value: Any

    def is_met(self, metadata: Mapping[str, Any]) -> bool:
        """Whether it is there. A key that is written with its dots goes before a nested one; what
        is not there at all is nothing, not even None."""
        path, keys, value = self
        here: Any = metadata
        if path in metadata:
            here = metadata[path]
        else:
            for key in keys:
                if not isinstance(here, dict) or key not in here:
                    return False
                here = here[key]
        return here == value and is_same(here, value)


Conditions = tuple[Condition, ...]


def read_conditions(metadata: object) -> Conditions:
    """The conditions of a `metadata=` filter: values by dotted path. None and {} are none.

    Raises TypeError, naming the path, for what is no mapping of texts to JSON values; ScheduleError
    for an empty path.
    """
    if metadata is None:
        return ()
    if not isinstance(metadata, Mapping):
        raise TypeError(
            'metadata must be a mapping of paths to values such as {"tenant_id": "acme"}, not'
            f" {type(metadata).__name__}."
        )
    return tuple(_condition(path, value) for path, value in metadata.items())


def _condition(path: object, value: object) -> Condition:
    if not isinstance(path, str):
        raise TypeError(f"the paths of metadata= must be strings, not {brief(path)}.")
    if not path:
        raise ScheduleError('a path of metadata= must name something, such as "org.team".')
    return Condition(path, tuple(path.split(".")), json_copy(value, f"metadata[{path!r}]"))


def meets(metadata: Mapping[str, Any] | None, conditions: Conditions) -> bool:
    """Whether the metadata of a timer meets all of them; there is one at least."""
    return metadata is not None and all(each.is_met(metadata) for each in conditions)


def is_same(one: Any, other: Any) -> bool:
    """Equality of JSON: true is not 1, and 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    return bool(one == other)
