"""Projects that declare timers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources.project import Project, project_in


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty one, in the current directory."""
    with project_in(tmp_path) as project:
        yield project
