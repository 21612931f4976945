# Everything that people and CI do. `make` alone says what there is. PYTHON=python3.12 chooses an interpreter.

VENV := .venv
PY := $(VENV)/bin/python
TESTS ?= tests
# One worker more than the smallest machine that this is meant for has cores: many tests wait for a time.
JOBS ?= 3

.PHONY: help venv demo guests decoders test check lint types layers format bench wheel clean

help: ## show this
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

venv: $(VENV)/.ready ## make .venv with everything that development needs

$(VENV)/.ready: pyproject.toml tools/bootstrap
	tools/bootstrap $(VENV)
	$(PY) -m pip install --quiet --editable '.[guest,test,dev]'
	@touch $@

demo: venv ## run real programs on every engine and natively; compare and time them
	$(PY) -m conformance.demo

guests: venv ## compile the example guests to build/guests
	$(PY) -m conformance.guests

decoders: venv ## build the decoders of archives and the plug-ins of the PKI, where they are not up to date
	$(PY) -m vx32py.decoders

test: lint types layers check ## lint, types, layers, tests

check: venv ## only the tests; TESTS=tests/vx32py chooses, JOBS=1 runs them one by one
	@$(PY) -m vx32py.decoders || echo "without decoders: their tests are skipped, or fail where CI is set"
	$(PY) -m pytest -n $(JOBS) $(TESTS)

lint: venv ## ruff: rules and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: venv ## mypy --strict
	$(PY) -m mypy

layers: venv ## imports point one way
	$(VENV)/bin/lint-imports

format: venv ## let ruff rewrite what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: venv ## the evaluation against native programs
	$(VENV)/bin/vx32py bench

wheel: decoders ## build/wheel/*.whl
	$(PY) -m pip wheel --quiet --no-deps --wheel-dir build/wheel .

clean: ## remove what was built, .venv included
	rm -rf build dist $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
