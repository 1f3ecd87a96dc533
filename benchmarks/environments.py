"""The virtual environments of the peers: made when they are first wanted, kept, git-ignored.

A peer that cannot be installed here is absent for a reason; that is no error.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
INSTALL_TIMEOUT_S = 300

VERSIONS = """
import json, sys
from importlib.metadata import version
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""


class Environment(NamedTuple):
    """Packages, as pip takes them, for an interpreter; `python` is a version or "" for this one."""

    folder: Path
    packages: tuple[str, ...]
    python: str = ""
    flags: tuple[str, ...] = ()

    @property
    def interpreter(self) -> Path:
        """Of the environment."""
        return self.folder / "bin" / "python"

    @property
    def wanted(self) -> str:
        """What stands in the stamp once all of it is installed."""
        return json.dumps([self.python, *self.packages])


class Absent(Exception):
    """The peer cannot be had; the text says why."""


PYTHON_PEERS = Environment(
    ROOT / ".venv-bench",
    ("APScheduler>=3.11,<4", "SQLAlchemy>=2.0,<3", "huey>=3.0,<4", "cronsim>=2.6,<3"),
)
RUST_KRON = Environment(
    ROOT / ".venv-bench-rust",
    ("kron-scheduler==0.1.1",),
    python="3.12",  # the only one it has a wheel for
    flags=("--only-binary", ":all:"),
)


def clean_environ() -> dict[str, str]:
    """This process's, without what would lead another interpreter to our packages."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def ready(environment: Environment) -> Path:
    """The interpreter of the environment, with everything installed. Raises Absent."""
    stamp = environment.folder / ".installed"
    if stamp.exists() and stamp.read_text() == environment.wanted:
        return environment.interpreter
    print(f"installing {', '.join(environment.packages)} ...", file=sys.stderr)
    _run([find_python(environment.python), "-m", "venv", "--clear", str(environment.folder)])
    options = ["--quiet", "--disable-pip-version-check", "--no-input", *environment.flags]
    pip = [str(environment.interpreter), "-m", "pip", "install", *options]
    _run([*pip, *environment.packages])
    stamp.write_text(environment.wanted)
    return environment.interpreter


def versions(interpreter: Path, names: tuple[str, ...]) -> dict[str, str]:
    """What is installed under these names."""
    found: dict[str, str] = json.loads(_run([str(interpreter), "-c", VERSIONS, *names]))
    return found


def find_python(version: str) -> str:
    """An interpreter of that version that runs. Raises Absent."""
    if not version:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *pyenv.glob(f"{version}.*/bin/python")]
    for candidate in candidates:
        asked = [str(candidate), "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
        if candidate and subprocess.run(asked, capture_output=True, text=True).stdout == (
            f"{version}\n"
        ):
            return str(candidate)
    raise Absent(f"it needs Python {version}, and there is none here")


def _run(argv: list[str]) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, env=clean_environ(), timeout=INSTALL_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Absent(str(exc)) from exc
    if done.returncode:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no message"]
        errors = [line for line in lines if line.startswith("ERROR")]
        raise Absent((errors or lines)[-1])
    return done.stdout
