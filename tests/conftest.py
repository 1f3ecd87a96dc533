"""What every test relies on: no KRON_* of the developer's shell, and no time limits."""

from __future__ import annotations

import os

from hypothesis import settings

pytest_plugins = "pytester"  # for tests/testing; only this conftest may ask for it

for name in [name for name in os.environ if name.startswith("KRON_")]:
    del os.environ[name]

# Tests count work, they do not time; a slow machine is no failure.
settings.register_profile("kron", deadline=None)
settings.load_profile("kron")
