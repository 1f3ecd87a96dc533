"""Run ids as people see them: `run_` and a lower-case ULID.

Inside, a run is an int (the id of its RUN_DUE event). Its ULID is a pure function of that int, its
nominal moment and the log's id, so it needs no store: 48 bits of milliseconds, 16 bits of
the log id, 64 bits of the int. Source of the text form: the ULID specification (Crockford base32).
"""

from __future__ import annotations

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
_PREFIX = "run_"


def run_id_text(run: int, scheduled_us: int, log_id: str) -> str:
    """`run_` + 26 characters; sorts by time."""
    number = (scheduled_us // 1000 & (1 << 48) - 1) << 80 | int(log_id[:4], 16) << 64 | run
    return _PREFIX + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def run_id_number(text: str, log_id: str) -> int | None:
    """The run a text names in the log `log_id`; None if it is not a run id of that log."""
    letters = text.removeprefix(_PREFIX).lower()
    if not text.startswith(_PREFIX) or len(letters) != 26 or not set(letters) <= _VALUE.keys():
        return None
    number = 0
    for letter in letters:
        number = number << 5 | _VALUE[letter]
    return number & (1 << 64) - 1 if number >> 64 & 0xFFFF == int(log_id[:4], 16) else None
