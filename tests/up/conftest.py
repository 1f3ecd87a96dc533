"""A folder with the jobs of the tests."""

import pytest

from tests.foreground import JOBS, Project


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "project")
    project.write("app/jobs.py", JOBS)
    return project
