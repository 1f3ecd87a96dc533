"""Timers that files declare: pyproject.toml, kron.toml, crontab."""
