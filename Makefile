# Two commands do everything on a machine that has Python 3.11 to 3.13, git and make: make repro, make test.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: repro test test-fast lint bench clean

repro: .venv/installed
	dvc repro
	audiocnn results
	audiocnn report

test: .venv/installed-dev lint
	pytest -q

test-fast: .venv/installed-dev lint
	pytest -q -m "not slow"

lint: .venv/installed-dev
	ruff check .
	ruff format --check .
	mypy

# The stamps make a second call install nothing, and a changed requirement install again.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[report]"
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@ .venv/installed

# Minutes of both cores: measurements, not tests. benchmarks/RESULTS.md holds what they gave.
bench: .venv/installed-dev
	python -m benchmarks.run
	python -m benchmarks.whole ../shared/data/esc10 --folds 5
	python -m benchmarks.whole ../shared/data/fsdd --folds 10

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
