"""Which files are looked at, what leads sys.path, and what several files declare together."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kron.sources.reading import NothingDeclared, find_files, lead_path, read_files
from tests.sources.project import Project, project_in

TIMER = '[timers.{}]\nevery = "1h"\ncommand = "true"\n'
JOB = '[tool.scheduled.a]\nevery = "day"\nentrypoint = "jobs:f"\n'


# -- where they are -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"pyproject.toml": JOB}, ["pyproject.toml"]),
        ({"pyproject.toml": "[tool.kron]"}, ["pyproject.toml"]),
        ({"kron.toml": ""}, ["kron.toml"]),
        ({"pyproject.toml": JOB, "kron.toml": ""}, ["pyproject.toml", "kron.toml"]),
        ({"pyproject.toml": "[tool.other]", "kron.toml": ""}, ["kron.toml"]),
        ({"pyproject.toml": "[tool.other]"}, ["pyproject.toml"]),
        ({"pyproject.toml": "broken"}, ["pyproject.toml"]),
        ({"../pyproject.toml": JOB}, ["../pyproject.toml"]),
        ({"../pyproject.toml": JOB, "../../kron.toml": ""}, ["../pyproject.toml"]),
        ({"pyproject.toml": "[project]", "../kron.toml": ""}, ["../kron.toml"]),
        ({"pyproject.toml": "", "../pyproject.toml": ""}, ["pyproject.toml"]),
        ({"kron.toml/x": "", "../kron.toml": ""}, ["../kron.toml"]),
    ],
)
def test_the_nearest_folder_that_declares_something(
    project: Project, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], found: list[str]
) -> None:
    here = project.folder / "a" / "b"
    here.mkdir(parents=True)
    for name, text in files.items():
        project.write(f"a/b/{name}", text)
    monkeypatch.chdir(here)
    assert find_files() == found


def test_a_file_far_above_is_named_by_its_whole_path(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("kron.toml", "")
    here = project.folder.joinpath(*"abcdefghijklmnopqrstuvwxyz" * 4)
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert find_files() == [str(project.folder / "kron.toml")]
    assert find_files("../..") == [str(project.folder / "kron.toml")]


def test_no_file_is_an_error_that_says_where_it_was_looked(project: Project) -> None:
    with pytest.raises(NothingDeclared, match=r"no pyproject.toml and no kron.toml in /") as caught:
        find_files()
    assert str(project.folder) in str(caught.value)


def test_a_directory_that_is_gone_is_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = project.folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(NothingDeclared, match="not there any more"):
        find_files()


# -- what cannot be read ------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_a_mistake(project: Project) -> None:
    project.write("folder.toml/x", "")
    project.write("broken.toml", "\n\n[timers\n")
    declared = read_files(["nothing.toml", "folder.toml", "broken.toml"])
    assert [str(mistake) for mistake in declared.mistakes] == [
        "nothing.toml: cannot be read: No such file or directory.",
        "folder.toml: cannot be read: Is a directory.",
        "broken.toml:3: no valid TOML: Expected ']' at the end of a table declaration (column 8).",
    ]
    assert declared.files == ["nothing.toml", "folder.toml", "broken.toml"]


# -- sys.path -----------------------------------------------------------------------------------


def test_the_folders_of_the_files_and_their_src_come_first(project: Project) -> None:
    for name in ("one/src/x", "two/x"):
        project.write(name, "")
    old = [*sys.path, str(project.folder / "two")]
    sys.path[:] = old
    lead_path(["one/pyproject.toml", "two/kron.toml", "one/kron.toml"])
    first = [str(project.folder / name) for name in ("one", "one/src", "two")]
    assert sys.path == [*first, *(each for each in old if each not in first)]
    before = [*sys.path]
    lead_path(["one/pyproject.toml", "two/kron.toml"])
    assert sys.path == before


def test_modules_are_found_beside_the_file_then_in_its_src(project: Project) -> None:
    project.write("deploy/here.py", "def f(): return 'beside'\n")
    project.write("deploy/src/here.py", "def f(): return 'src'\n")
    project.write("deploy/src/package/inner.py", "def f(): return 'inner'\n")
    declared = project.declares(
        '[timers.a]\nevery = "1h"\nentrypoint = "here:f"\n'
        '[timers.b]\nevery = "1h"\nentrypoint = "package.inner:f"\n',
        "deploy/kron.toml",
    )
    assert declared.mistakes == []
    assert [timer.declaration.fn() for timer in declared.timers] == ["beside", "inner"]


def test_a_module_written_after_a_mistake_is_found(project: Project) -> None:
    """The import system remembers what a folder had within the resolution of its clock."""
    for number in range(20):
        text = f'[timers.a]\nevery = "1h"\nentrypoint = "late{number}:f"\n'
        assert project.mistakes(text, "kron.toml")
        stamp = os.stat(".").st_mtime_ns
        project.write(f"late{number}.py", "def f(): ...\n")
        os.utime(".", ns=(stamp, stamp))
        assert project.mistakes(text, "kron.toml") == []


def test_a_crontab_brings_nothing_to_sys_path(project: Project) -> None:
    project.write("etc/crontab", "")
    before = [*sys.path]
    read_files(["etc/crontab"])
    assert sys.path == before


# -- several files ------------------------------------------------------------------------------


def test_several_files_declare_together(project: Project) -> None:
    project.write("jobs.py", "def f(): ...\n")
    files = [
        project.write("pyproject.toml", "[tool.kron]\nfsync = 'never'\n" + JOB),
        project.write("kron.toml", "fsync = 'never'\nkeep_history = '1d'\n" + TIMER.format("b")),
    ]
    declared = read_files(files)
    assert declared.mistakes == []
    assert declared.files == files
    assert [*declared.by_name()] == ["scheduled:a", "b"]
    assert [each.name for each in declared.declarations()] == ["scheduled:a", "b"]
    assert declared.settings == {"fsync": "never", "keep_history": "1d"}


def test_what_two_files_say_names_both_places(project: Project) -> None:
    files = [
        project.write("one.toml", "fsync = 'never'\n" + TIMER.format("a") + TIMER.format("b")),
        project.write("two.toml", "\nfsync = 'always'\n" + TIMER.format("c") + TIMER.format("b")),
        project.write("three.toml", TIMER.format("b")),
    ]
    assert [str(mistake) for mistake in read_files(files).mistakes] == [
        "two.toml:6: b: the name 'b' is declared in one.toml:5 already. One name has one source.",
        "two.toml:2: fsync is 'always' here and 'never' in one.toml:1. Say it once.",
        "three.toml:1: b: the name 'b' is declared in one.toml:5 already. One name has one source.",
    ]


def test_the_same_mistake_is_told_once(project: Project) -> None:
    text = TIMER.format("a") + TIMER.format("a").replace("timers", "tool.kron.timers")
    files = [project.write("one.toml", ""), project.write("two.toml", text)]
    assert len(read_files(files).mistakes) == 1


def test_one_limit_is_for_the_timers_of_all_files(project: Project) -> None:
    files = [
        project.write("one.toml", TIMER.format("a") + "weight = 3\n"),
        project.write("two.toml", "max_concurrency = 2\n"),
    ]
    (mistake,) = read_files(files).mistakes
    assert str(mistake).startswith("one.toml:1: a: weight=3 of 'a' is above max_concurrency=2;")


# -- the examples -------------------------------------------------------------------------------

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["scheduled_app/pyproject.toml", "kron.toml"])
def test_an_example_has_no_mistakes(name: str) -> None:
    file = EXAMPLES / name
    with project_in(file.parent):
        declared = read_files([file.name])
    assert [str(mistake) for mistake in declared.mistakes] == []
    assert len(declared.timers) >= 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_of_somebody_else_is_used_only_if_it_is_named(project: Project) -> None:
    project.write("kron.toml", '[timers.a]\nevery = "1h"\ncommand = "true"\n')
    below = project.folder / "below"
    below.mkdir()
    os.chown("kron.toml", 4711, -1)
    assert find_files() == ["kron.toml"]  # in the very folder that somebody went to
    with pytest.raises(NothingDeclared, match=r"belongs to user 4711.*name it"):
        find_files(str(below))
    os.chown(below, 4711, -1)
    assert find_files(str(below)) == ["kron.toml"]
