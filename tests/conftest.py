"""What every test relies on: no KRON_* of the developer's shell, and no time limits."""

from __future__ import annotations

import os

from hypothesis import settings

for name in [name for name in os.environ if name.startswith("KRON_")]:
    del os.environ[name]

# Tests count work, they do not time; a slow machine is no failure.
settings.register_profile("kron", deadline=None)
settings.load_profile("kron")
