"""Retries: one timer that succeeds at the third attempt, and one that never does.

You see attempts with growing pauses between them. `flaky` ends well. `broken` goes dead after two
attempts, and, being a recurring timer, tries again at its next moment. The tracebacks on stderr
come from the logger named `kron`: a failure is never silent.

    python examples/retries.py [DATA_DIR]
"""

import sys
import tempfile
import time

import kron


def flaky(context):
    print(f"flaky: attempt {context['attempt']} of {context['max_attempts']}")
    if context["attempt"] < 3:
        raise ConnectionError("the other side is away")


def broken():
    raise RuntimeError("this will not work")


def main(data_dir):
    kron.schedule("flaky", flaky, after="100ms", max_attempts=5, retry_delay="300ms")
    kron.schedule("broken", broken, every="1s", max_attempts=2, retry_delay="200ms")

    kron.start(data_dir)
    time.sleep(3.2)

    for name in ("flaky", "broken"):
        print(f"\n{name} is {kron.status(name)['state']}, oldest first:")
        for row in reversed(kron.history(name)):
            print(f"  {row['at'][17:22]} s  attempt {row['attempt']}  {row['status']}")
    kron.shutdown()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(sys.argv[1] if sys.argv[1:] else scratch)
