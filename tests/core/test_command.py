"""A command as a value: what is refused, its JSON and back, and its fingerprint."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kron.core.command import (
    COMMAND_BYTES,
    KILL_AFTER_US,
    RESERVED,
    CommandSpec,
    check_size,
    read_argv,
    read_cwd,
    read_env,
    read_inherit,
    read_shell,
)
from kron.core.errors import ScheduleError

FULL = CommandSpec(
    argv=("rsync", "-a", "from here", "to"),
    cwd="/srv",
    env=(("A", "1"), ("Ä", "ü")),
    inherit="safe",
    kill_after_us=250_000,
)


def by_hand(text: str) -> str:
    """The fingerprint of a JSON text that somebody wrote down."""
    assert json.loads(text)
    return sha256(text.encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            CommandSpec(argv=("echo", "hi")),
            '{"command":["echo","hi"],"cwd":"","env":{},"provider":""}',
        ),
        (
            CommandSpec(shell="echo hi"),
            '{"command":"echo hi","cwd":"","env":{},"provider":""}',
        ),
        (
            FULL,
            '{"command":["rsync","-a","from here","to"],"cwd":"/srv","env":{"A":"1","Ä":"ü"},'
            '"provider":""}',
        ),
        (
            CommandSpec(argv=("x",), provider="app.settings:variables"),
            '{"command":["x"],"cwd":"","env":{},"provider":"app.settings:variables"}',
        ),
    ],
)
def test_the_hash_is_that_of_its_canonical_json(spec: CommandSpec, text: str) -> None:
    assert spec.hash == by_hand(text)


def test_a_hash_is_the_same_in_every_version() -> None:
    assert CommandSpec(argv=("echo", "hi")).hash == "b95c9599ffac"


def test_the_hash_is_of_what_runs_and_not_of_how_it_is_stopped() -> None:
    same = CommandSpec(FULL.argv, "", FULL.cwd, FULL.env, "", "none", 1)
    assert same.hash == FULL.hash and same != FULL
    others = [
        CommandSpec(FULL.argv, "", "/", FULL.env),
        CommandSpec(FULL.argv, "", FULL.cwd, FULL.env[:1]),
        CommandSpec(FULL.argv, "", FULL.cwd, FULL.env, "other"),
        CommandSpec(FULL.argv[:2], "", FULL.cwd, FULL.env),
    ]
    assert len({FULL.hash, *(other.hash for other in others)}) == 5


def test_a_value_of_tuples_can_be_a_key() -> None:
    assert len({FULL, CommandSpec.from_json(FULL.to_json()), CommandSpec(shell="x")}) == 2


def test_defaults_are_left_out_of_the_json() -> None:
    assert CommandSpec(argv=("x",)).to_json() == {"argv": ["x"]}
    assert CommandSpec(shell="x").to_json() == {"shell": "x"}


TEXTS = st.text(max_size=8)


@given(
    st.builds(
        CommandSpec,
        argv=st.lists(TEXTS, max_size=3).map(tuple),
        shell=TEXTS,
        cwd=TEXTS,
        env=st.dictionaries(TEXTS, TEXTS, max_size=3).map(lambda env: tuple(sorted(env.items()))),
        provider=TEXTS,
        inherit=st.sampled_from(["all", "safe", "none"]),
        kill_after_us=st.sampled_from([0, KILL_AFTER_US, 1]),
    )
)
def test_json_and_back_is_the_same_command(spec: CommandSpec) -> None:
    fields = json.loads(json.dumps(spec.to_json()))
    assert CommandSpec.from_json({**fields, "of_a_newer_version": 1}) == spec


def test_the_line_is_what_a_shell_would_understand() -> None:
    assert FULL.line == "rsync -a 'from here' to"
    assert CommandSpec(shell="a | b").line == "a | b"
    assert read_argv(FULL.line) == FULL.argv


@pytest.mark.parametrize(
    ("argv", "error", "words"),
    [
        ("", ScheduleError, "names no program"),
        ("   ", ScheduleError, "names no program"),
        ([], ScheduleError, "names no program"),
        ([""], ScheduleError, "names no program"),
        (["", "x"], ScheduleError, "names no program"),
        ("echo 'hi", ScheduleError, "No closing quotation"),
        ("echo \\", ScheduleError, "No escaped character"),
        (["a", "b\0c"], ScheduleError, r"argv\[1\]=.* NUL"),
        ("a\0", ScheduleError, "NUL"),
        (["\udc80"], ScheduleError, r"argv\[0\]=.*half a surrogate pair"),
        (["a", 1], TypeError, r"argv\[1\] must be a str, not int"),
        (b"echo", TypeError, "argv must be a list of strings or a string, not bytes"),
        ({"a": 1}, TypeError, "argv must be .* not dict"),
        (None, TypeError, "argv must be .* not NoneType"),
    ],
)
def test_argv_that_cannot_be_used(argv: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read_argv(argv)


def test_a_shell_wants_one_text() -> None:
    assert read_shell("a | b") == "a | b"
    with pytest.raises(TypeError, match="one string with shell=True, not list"):
        read_shell(["a"])
    with pytest.raises(ScheduleError, match="is empty"):
        read_shell(" ")


@pytest.mark.parametrize(
    ("env", "error", "words"),
    [
        ({"": "x"}, ScheduleError, "''.* is empty or holds"),
        ({"A=B": "x"}, ScheduleError, "'A=B'.* is empty or holds"),
        ({"A\0": "x"}, ScheduleError, "NUL"),
        ({"A": "s3cret\0"}, ScheduleError, r"env\['A'\] holds a NUL"),
        ({"A": "s3cret\ud800"}, ScheduleError, r"env\['A'\] holds half a surrogate"),
        ({"A": 3141}, TypeError, r"env\['A'\] must be a str, not int"),
        ({"A": None}, TypeError, r"env\['A'\] must be a str, not NoneType"),
        ({1: "x"}, TypeError, "has the name 1"),
        ([("A", "s3cret")], TypeError, "env must be a mapping of str to str, not list"),
        *(({name: "x"}, ScheduleError, f"{name}.*Kron sets itself") for name in RESERVED),
    ],
)
def test_variables_that_cannot_be_set(env: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        read_env(env)
    assert "s3cret" not in str(caught.value) and "3141" not in str(caught.value)


def test_variables_are_sorted() -> None:
    assert read_env({"B": "", "A": "x=y"}) == (("A", "x=y"), ("B", ""))


def test_other_values_that_cannot_be_used() -> None:
    with pytest.raises(ScheduleError, match="inherit must be one of: all, safe, none; not 'ALL'"):
        read_inherit("ALL")
    with pytest.raises(ScheduleError, match="cwd"):
        read_cwd("")
    with pytest.raises(TypeError, match="cwd must be a str, not int"):
        read_cwd(3)
    assert read_cwd(None) == ""


def test_a_command_over_its_limit_is_refused() -> None:
    frame = len(json.dumps({"argv": ["x", ""]}, separators=(",", ":")))
    largest = CommandSpec(argv=("x", "y" * (COMMAND_BYTES - frame)))
    assert check_size(largest) is largest
    with pytest.raises(ScheduleError, match=f"is {COMMAND_BYTES + 1} bytes of JSON"):
        check_size(CommandSpec(argv=("x", largest.argv[1] + "y")))
