"""What is started for a job: a command, or an interpreter that calls a function."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import IO, NamedTuple

from kron.core.command import KILL_AFTER_US
from kron.core.errors import KronError

from . import child
from .command import Command, importable_name
from .context import Job
from .environment import Providers, environment, run_variables

_SHELL = "/bin/sh"
_RESULT_BYTES = 64 * 1024


class CannotStart(KronError):
    """A process could not be started; the text says why in plain words."""


class Launch(NamedTuple):
    """A process to be started. A function's error text comes back through the file `result`."""

    argv: list[str]
    env: dict[str, str]
    cwd: str | None = None
    stdin: IO[bytes] | None = None
    result: IO[bytes] | None = None

    def close(self) -> None:
        """Give the files back."""
        for file in (self.stdin, self.result):
            if file is not None:
                file.close()

    def error(self) -> str:
        """What the function raised, "" if nothing (or if it is a command)."""
        if self.result is None:
            return ""
        return os.pread(self.result.fileno(), _RESULT_BYTES, 0).decode("utf-8", "replace")


def launch_of(job: Job, providers: Providers) -> Launch:
    """What is to be started for this job. Raises ProviderFailed, ScheduleError, or OSError."""
    target = job.target.fn
    if isinstance(target, Command):
        spec = target.spec
        argv = [_SHELL, "-c", spec.shell] if spec.shell else list(spec.argv)
        variables = environment(spec, providers.variables(target), job.context())
        return Launch(argv, variables, spec.cwd or None)
    return _function(job)


def kill_after_s(job: Job) -> float:
    """How long its group has from TERM to KILL."""
    target = job.target.fn
    after_us = target.spec.kill_after_us if isinstance(target, Command) else KILL_AFTER_US
    return after_us / 1_000_000


def spawn(launch: Launch) -> subprocess.Popen[bytes]:
    """Start it, with stdout and stderr in one pipe. Raises CannotStart.

    It leads a session of its own, not only a group: without a terminal a program that would ask for
    a password fails at once, where one in the background of a terminal would be stopped for ever.
    """
    try:
        return subprocess.Popen(
            launch.argv,
            stdin=launch.stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            cwd=launch.cwd,
            env=launch.env,
            pass_fds=(launch.result.fileno(),) if launch.result is not None else (),
            start_new_session=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        raise CannotStart(_why(exc, launch)) from exc


def _why(exc: Exception, launch: Launch) -> str:
    program, cwd = launch.argv[0], launch.cwd
    if isinstance(exc, OSError) and cwd is not None and exc.filename == cwd:
        if isinstance(exc, FileNotFoundError):
            return f"cwd {cwd!r} does not exist"
        return f"cwd {cwd!r} cannot be entered: {exc.strerror}"
    if isinstance(exc, FileNotFoundError):
        if os.sep in program and os.path.exists(os.path.join(cwd or "", program)):
            return f"program {program!r}: the interpreter in its first line was not found"
        where = "" if os.sep in program else " on the PATH of the run"
        return f"program {program!r} was not found{where}"
    if isinstance(exc, PermissionError):
        return f"program {program!r} may not be executed"
    reason = exc.strerror if isinstance(exc, OSError) else str(exc)
    return f"program {program!r} could not be started: {reason}"


def _function(job: Job) -> Launch:
    """Files, not pipes: neither side can come to wait for the other one."""
    context, target = job.context(), job.target
    if not sys.executable:
        raise CannotStart("the Python interpreter is not known (sys.executable is empty)")
    request = {
        "name": importable_name(target.fn),
        "args": target.args,
        "kwargs": target.kwargs,
        "wants_context": target.wants_context,
        "context": context,
        "path": [*(entry for entry in sys.path if isinstance(entry, str)), child.ROOT],
    }
    stdin, result = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
    try:
        stdin.write(json.dumps({**request, "result_fd": result.fileno()}).encode())
        stdin.seek(0)
    except BaseException:
        stdin.close()
        result.close()
        raise
    # -P: the folder of that file is no place to import from.
    argv = [sys.executable, "-P", child.__file__]
    return Launch(argv, {**os.environ, **run_variables(context)}, None, stdin, result)
