"""Commands: timers that start programs, what these print, and how the ones that hang are ended.

You see a command that fails once, one that takes too long (it and what it has started are killed,
so its file never appears), and one command on two timers, which runs once at a time.

    python examples/commands.py [DATA_DIR]
"""

import os
import subprocess
import sys
import tempfile
import time

import kron

FLAKY = 'echo "attempt $KRON_ATTEMPT for $KRON_SCHEDULED_AT"; [ $KRON_ATTEMPT = 2 ]'
HANGING = "(sleep 2; touch never) & sleep 2; touch never"
SYNC = "sleep 1.5"


def shell(text, **options):
    return kron.command(text, shell=True, **options)


def kron_job_logs(data_dir, name):
    print(f"\n$ kron job logs {name}", flush=True)
    command = (sys.executable, "-m", "kron", "--data-dir", data_dir, "job", "logs", name)
    subprocess.run(command, check=True)


def main(data_dir):
    with tempfile.TemporaryDirectory() as folder:
        kron.start(data_dir)
        kron.schedule("flaky", shell(FLAKY, inherit="safe"), after="0s", retry_delay="200ms")
        hanging = shell(HANGING, cwd=folder)
        kron.schedule("hanging", hanging, after="0s", timeout="500ms", max_attempts=1)
        kron.schedule("sync", kron.command(SYNC), after="0s")
        kron.schedule("sync-too", kron.command(SYNC.split()), after="200ms", overlap="skip")

        time.sleep(2.6)
        while not all(timer["finished"] for timer in kron.list()):
            time.sleep(0.1)

        for row in reversed(kron.history()):
            print(f"{row['timer']:8} {row['status']:15} {row['error'] or ''}".rstrip())
        print("the file of hanging is there:", os.path.exists(os.path.join(folder, "never")))
        print(*kron.why("sync-too")["text"][:1])
        kron_job_logs(data_dir, "flaky")
        kron.shutdown()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(sys.argv[1] if sys.argv[1:] else scratch)
