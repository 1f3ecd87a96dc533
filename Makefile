# `make demo` and `make test` are all a fresh machine needs: Python 3.11+, pip and make.
# PYTHON=... chooses the interpreter the first time; ARGS=... goes to pytest or to the benchmark.

VENV := .venv
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --no-input
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11 python)
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help demo test test-long check bench clean

help:
	@echo "make demo        kill a program in the middle of a run, and see that nothing is lost"
	@echo "make test        the tests (ARGS='-k ledger' goes to pytest)"
	@echo "make test-long   the tests that take minutes"
	@echo "make check       ruff, mypy and the house rules"
	@echo "make bench       the benchmarks beside other schedulers: JSON, and a table on stderr"
	@echo "                 (about 12 minutes; ARGS='--quick', '--table', '--only NAME', '--list')"
	@echo "make clean       remove .venv, caches and build results"

demo: $(VENV)/.installed
	@$(PY) examples/crash_demo.py

test: $(VENV)/.installed-dev
	@$(PY) -m pytest $(ARGS)

test-long: $(VENV)/.installed-dev
	@$(PY) -m pytest -m long $(ARGS)

check: $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --strict kron
	$(PY) -m pytest -q tests/test_house.py

bench: $(VENV)/.installed
	@$(PY) benchmarks/run.py $(ARGS)

clean:
	rm -rf $(VENV) .venv-bench .venv-bench-rust build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find kron tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: an installation is made again only when pyproject.toml has changed.

$(VENV)/.installed: pyproject.toml | $(PY)
	@echo "installing Kron into $(VENV) ..." >&2
	@$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(PY)
	@echo "installing Kron and its development tools into $(VENV) ..." >&2
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $(VENV)/.installed $@

# Debian's Python may come with pip and without ensurepip (python3-venv): the second way.
$(PY):
	@python=; \
	for each in $(CANDIDATES); do \
	    if $$each -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1; then python=$$each; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "Kron needs Python 3.11 or newer; looked for: $(CANDIDATES)." >&2; \
	    echo "Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; \
	    exit 1; \
	fi; \
	if $$python -m venv --clear $(VENV) >/dev/null 2>&1; then exit 0; fi; \
	if $$python -m venv --clear --without-pip $(VENV) && \
	    $$python -m pip --quiet --disable-pip-version-check --python $(PY) install pip; \
	then exit 0; fi; \
	rm -rf $(VENV); \
	echo "$$python cannot make a virtual environment; it lacks venv or pip" >&2; \
	echo "(on Debian and Ubuntu: apt install python3-venv)." >&2; \
	exit 1
