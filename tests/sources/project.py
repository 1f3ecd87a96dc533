"""A folder with a project in it: files that declare timers, and the modules that they name."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

from kron.sources.declared import Declared
from kron.sources.reading import read_files


class Project:
    """It is the current directory, too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str | bytes) -> str:
        """A file in the folder; returns its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
        return name

    def declares(self, text: str | bytes, name: str = "pyproject.toml") -> Declared:
        """What a file of that text declares."""
        return read_files([self.write(name, text)])

    def mistakes(self, text: str | bytes, name: str = "pyproject.toml") -> list[str]:
        """A line of text for each."""
        return [str(mistake) for mistake in self.declares(text, name).mistakes]


@contextmanager
def project_in(folder: Path) -> Iterator[Project]:
    """Nothing of what was imported from there is left afterwards."""
    before, path = Path.cwd(), [*sys.path]
    os.chdir(folder)
    try:
        yield Project(folder)
    finally:
        os.chdir(before)
        sys.path[:] = path
        for name, module in [*sys.modules.items()]:
            places = [vars(module).get("__file__"), *vars(module).get("__path__", [])]
            if any(str(place).startswith(str(folder)) for place in places):
                del sys.modules[name]
