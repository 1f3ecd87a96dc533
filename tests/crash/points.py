"""A program that forks a child for each case; the child kills itself at an exact point.

It is asked over stdin, one JSON object a line, and answers how the child ended. Forking from here
is quick and safe: this process has loaded everything and has no threads.

    {"data_dir": ..., "record": ..., "point": [call, nth, when, bytes], "do": [[verb, name], ...],
     "keep_history": ...}

The child starts a scheduler on `data_dir`, makes the calls of `do` in order, writes `ask` and `ack`
to `record` around each, and dies in the nth `call` of its disk: `before` it, `after` it, or, for a
write, `after` the first `bytes` of it (a fraction). The count begins with the call that `do` marks
"armed" (at the very start if none is), and is over with the one that it marks "disarmed".
"""

import asyncio
import json
import logging
import os
import signal
import sys

from kron.scheduler import Scheduler
from kron.storage.disk import Disk
from kron.storage.file import FileLog


class LethalDisk(Disk):
    """Kills its process at one point."""

    def __init__(self, call, nth, when, part):
        self.target, self.left, self.when, self.part = call, nth, when, part
        self.is_armed = False

    def _point(self, name, carry_out, partly=None):
        if not self.is_armed or self.target not in (name, "any"):
            return carry_out()
        self.left -= 1
        if self.left:
            return carry_out()
        if self.when == "before":
            die()
        try:
            carry_out() if partly is None else partly()
        finally:  # an unlink of what is not there counts too
            die()

    def open(self, path, flags, mode=0o600):
        opened = super().open
        if not flags & os.O_CREAT:
            return opened(path, flags, mode)
        return self._point("open", lambda: opened(path, flags, mode))

    def write(self, fd, content):
        kept = content[: int(len(content) * (1 if self.part is None else self.part))]
        write = super().write
        return self._point("write", lambda: write(fd, content), lambda: write(fd, kept))

    def fdatasync(self, fd):
        sync = super().fdatasync
        self._point("fdatasync", lambda: sync(fd))

    def fsync(self, fd):
        sync = super().fsync
        self._point("fsync", lambda: sync(fd))

    def fsync_dir(self, path):
        sync = super().fsync_dir
        self._point("fsync_dir", lambda: sync(path))

    def truncate(self, fd, size):
        cut = super().truncate
        self._point("truncate", lambda: cut(fd, size))

    def rename(self, old, new):
        rename = super().rename
        self._point("rename", lambda: rename(old, new))

    def unlink(self, path):
        unlink = super().unlink
        self._point("unlink", lambda: unlink(path))

    def mkdir(self, path, mode):
        mkdir = super().mkdir
        self._point("mkdir", lambda: mkdir(path, mode))


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def child(data_dir, record, point, do, keep_history):
    disk = LethalDisk(*point)
    scheduler = Scheduler(open_log=lambda place, fsync, _: FileLog(place, fsync=fsync, disk=disk))
    record_fd = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    disk.is_armed = all(verb != "armed" for verb, _ in do)
    for verb, name in do:
        if verb in ("armed", "disarmed"):
            let_indexes_be_made(scheduler)  # so that the calls in between are the same each time
            disk.is_armed = verb == "armed"
            continue
        os.write(record_fd, f"ask {verb} {name}\n".encode())
        if verb == "start":
            scheduler.start(data_dir, keep_history=keep_history)
        else:
            call(scheduler, verb, name, record_fd)
        os.write(record_fd, f"ack {verb} {name}\n".encode())
    scheduler.shutdown()


def let_indexes_be_made(scheduler):
    host = scheduler._control.host
    if host is not None:
        host.log._parts.indexer.wait()


def call(scheduler, verb, name, record_fd):
    def ran():
        os.write(record_fd, f"ran {name}\n".encode())

    if verb == "compact":
        host = scheduler._control.host
        compact = host.compaction.compact()
        report = asyncio.run_coroutine_threadsafe(compact, host.loop).result()
        os.write(record_fd, f"compacted {report['record']} {report['removed']}\n".encode())
    elif verb == "schedule":
        scheduler.schedule(name, ran, every="1h")
    elif verb == "change":
        scheduler.schedule(name, ran, every="1h", description="changed")
    else:
        getattr(scheduler, verb)(name)


def main():
    logging.disable()
    for line in sys.stdin:
        case = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                child(**case)
                os._exit(0)
            finally:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


main()
