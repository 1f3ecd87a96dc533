"""Where the keys of a TOML file stand, and which line is none."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kron.sources.toml import NoToml, read_toml


def line_of(text: str, *path: str) -> int:
    return read_toml(dedent(text).encode()).line_of(*path)


# -- where it stands ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("[tool.x]\na = 1\nb = 2", ["tool", "x", "b"], 3),
        ("# [tool.x]\n\n[tool.x]", ["tool", "x"], 3),
        ("[tool . 'x' . \"y\\u0021\"]  # so\n\ta = 1", ["tool", "x", "y!", "a"], 2),
        ("tool.x.a.every = 1\ntool.x.a.entrypoint = 2", ["tool", "x", "a", "entrypoint"], 2),
        ("[tool]\nx.a = { every = 1,\tentrypoint = 2 }", ["tool", "x", "a", "every"], 2),
        ("[x]\n[x.a]\nb = 1\n[x.c]\nb = 1", ["x", "c", "b"], 5),
        ("[[x]]\na = 1\n[[x]]\na = 2\n[y]\na = 3", ["y", "a"], 6),
        ("\n'a=b' = 1\n\"c # d\" = 2", ["c # d"], 3),
        ("\n''=1", [""], 2),
        ("  [x]\n  a=1", ["x", "a"], 2),
    ],
)
def test_each_way_to_write_a_key(text: str, path: list[str], line: int) -> None:
    assert line_of(text, *path) == line


def test_what_a_string_over_several_lines_says_is_no_key() -> None:
    text = '''
        [x]
        text = """
        [y]
        a = 1 \\""" [y]
        """""
        literal = \'\'\'
        [y]
        a = 1 """
        \'\'\'
        empty = """"""
        [y]
        a = 2
        '''
    assert line_of(text, "y") == 12
    assert line_of(text, "y", "a") == 13
    assert line_of(text, "x", "empty") == 11


def test_what_a_list_over_several_lines_holds_is_no_header() -> None:
    text = """
        [x]
        exclude = [
          ["a"],  # ]
          ['b', "]"],
          [1],
          { a = [
            2,
          ] },
        ]
        a = 1
        [a]
        b = 1
        """
    assert [line_of(text, "x", "a"), line_of(text, "a"), line_of(text, "a", "b")] == [11, 12, 13]
    assert line_of(text, "x", "b") == 2


def test_what_stands_nowhere_by_itself_stands_where_its_table_does() -> None:
    text = "[x]\na = { b = { c = 1 } }\n"
    assert line_of(text, "x", "a", "b", "c") == 2
    assert line_of(text, "x", "z") == 1
    assert line_of("\n\n[x]", "y", "z") == 1
    deep = ".".join("abcdefghijkl")
    assert line_of(f"\n\n{deep} = 1", *"abcdefghijkl") == 3


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_ways_of_other_editors(newline: str, mark: bytes) -> None:
    lines = ["# ä", "[x]", 'a = """', "[y]", '"""', "\tb\t=\t1\t# c", "[y]"]
    document = read_toml(mark + newline.join(lines).encode())
    assert (document.line_of("x", "b"), document.line_of("y")) == (6, 7)
    assert document.values == {"x": {"a": "[y]\n", "b": 1}, "y": {}}


# -- what is no TOML ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (b"[tool.x\n", 1, "no valid TOML: Expected ']' at the end of a table declaration"),
        (b'[x]\na = "b\n', 2, "no valid TOML: Illegal character '\\n' (column 7)."),
        (b"[x]\na = 1\na = 2\n", 3, "no valid TOML: Cannot overwrite a value"),
        (b"[x]\n\n[x]\n", 3, "no valid TOML: Cannot declare ('x',) twice (column 3)."),
        (b"a = 1\nevery\n", 2, "no valid TOML: Expected '=' after a key"),
        (b"a = day\n", 1, "no valid TOML: Invalid value (column 5)."),
        (b'a = """\n\nb\n\n\n', 3, "no valid TOML: Unterminated string (at end of document)."),
        (b"a = [1,\n2,\n\n", 2, "no valid TOML: Invalid value (at end of document)."),
        (b"a = 1\n\n# \xff\n", 3, "this line is not UTF-8."),
        (b"\xef\xbb\xbf\n\nb = '\xe4'\n", 3, "this line is not UTF-8."),
        ("a = 1".encode("utf-16"), 1, "this line is not UTF-8."),
        (b"a = 1\x00", 1, "no valid TOML: "),
        (b"\na = " + b"9" * 5000, 2, "no valid TOML: a number of too many digits."),
        (b"a = " + b"[" * 100_000, 1, "no valid TOML: values are nested too deep."),
        (b"#" * (16 << 20) + b"#", 1, "the file has 16,777,217 bytes; at most 16,777,216 are"),
    ],
)
def test_a_text_that_is_no_toml_names_the_line(content: bytes, line: int, why: str) -> None:
    with pytest.raises(NoToml) as caught:
        read_toml(content)
    assert caught.value.line == line
    assert str(caught.value).startswith(why)


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_any_bytes_are_a_document_or_none(content: bytes) -> None:
    try:
        document = read_toml(content)
    except NoToml as exc:
        assert 1 <= exc.line <= content.count(b"\n") + 1
    else:
        assert all(1 <= line <= content.count(b"\n") + 1 for line in document.lines.values())


SYNTAX = st.sampled_from(
    [*"[]{}=.,#'\"\\\n\t a1", '"""', "'''", "\r\n", "a.b", "[x]", "1979-05-27", "\ufeff", "ä"]
)


@given(st.lists(SYNTAX, max_size=25).map("".join))
@settings(max_examples=500)
def test_whatever_looks_like_toml_is_a_document_or_none(text: str) -> None:
    try:
        document = read_toml(text.encode())
    except NoToml as exc:
        assert 1 <= exc.line <= text.count("\n") + 1
        return
    assert {path[0] for path in document.lines} == document.values.keys()
    for path in document.lines:
        assert is_in(document.values, path)


def is_in(value: Any, path: tuple[str, ...]) -> bool:
    if not path:
        return True
    if isinstance(value, list):
        return any(is_in(item, path) for item in value)
    return path[0] in value and is_in(value[path[0]], path[1:])


# -- any document -------------------------------------------------------------------------------

WORDS = st.text("ab-_ .#=[]{}'\"\\äß\t", min_size=0, max_size=6)


@st.composite
def keys(draw: st.DrawFn, number: int) -> tuple[str, str]:
    """A key that no other number gives, and one way to write it."""
    key = f"{draw(WORDS)}{number}"
    ways = ['"' + key.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"']
    if "'" not in key:
        ways.append(f"'{key}'")
    if all(each.isascii() and (each.isalnum() or each in "-_") for each in key):
        ways.append(key)
    return key, draw(st.sampled_from(ways))


VALUES = st.sampled_from(
    [
        "1",
        '"[x]"',
        '\'a = 1 # """\'',
        '"a\\"[b]"',
        '"""\n[x]\na = 1\n# \'\'\'\n""""',
        "'''\n\"\"\"\n[[y]]\nb = 2\n'''",
        '""""""',
        '""',
        '[\n  ["a"],\n  # ]\n  [1], [\n"b"],\n]',
        "{ a = 1, b = [\n1,\n[2]\n] }",
        "1979-05-27T07:32:00Z",
    ]
)
NOISE = st.sampled_from(["", "\n", "# [x]\n", "  # a = '''\n", "\t\n\n", '# """\n'])
TAILS = st.sampled_from(["", "  ", " # [x]", "\t# a = 1 '''"])


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[tuple[str, ...], int]]:
    """A text, and the line of each of its keys."""
    text, lines = "", {}
    table: tuple[str, ...] = ()
    for number in range(draw(st.integers(0, 8))):
        text += draw(NOISE) + draw(st.sampled_from(["", " ", "\t"]))
        line = text.count("\n") + 1
        first, written = draw(keys(2 * number))
        path: tuple[str, ...] = (first,)
        if draw(st.booleans()):
            second, more = draw(keys(2 * number + 1))
            path, written = (first, second), written + draw(st.sampled_from([".", " . "])) + more
        if draw(st.booleans()):
            table = path
            text += draw(st.sampled_from(["[{}]", "[ {} ]", "[[{}]]"])).format(written)
        else:
            path = (*table, *path)
            text += f"{written} = {draw(VALUES)}"
        for length in range(1, len(path) + 1):
            lines.setdefault(path[:length], line)
        text += draw(TAILS) + "\n"
    return text, lines


@given(documents(), st.booleans())
@settings(max_examples=300)
def test_every_key_of_any_document_has_its_line(
    document: tuple[str, dict[tuple[str, ...], int]], is_windows: bool
) -> None:
    text, lines = document
    if is_windows:
        text = text.replace("\n", "\r\n")
    assert read_toml(text.encode()).lines == lines
