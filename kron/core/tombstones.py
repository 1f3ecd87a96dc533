"""Tombstones: what keeps a one-shot that was let go from firing again.

`after=` fires once ever for a name and a definition, also when the same program schedules it
again years later. (`at=` needs none: its moment is long past.)
"""

from __future__ import annotations

from hashlib import blake2b

import orjson

from .model import Definition


def tombstone_of(name: str, definition: Definition) -> int:
    """63 bits that stand for a name and a definition (its `fn_name` has no part in it)."""
    meaning = {**definition.to_json(), "fn_name": ""}
    digest = blake2b(orjson.dumps([name, meaning], None, orjson.OPT_SORT_KEYS), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1
