# Two commands do everything on a machine that has Python 3.11 to 3.13, git and make: make repro, make test.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: repro test test-fast lint nox coverage constraints bench docs clean

repro: .venv/installed
	dvc repro
	audiocnn results
	audiocnn report

test: .venv/installed-dev lint
	pytest -q

test-fast: .venv/installed-dev lint
	pytest -q -m "not slow"

# .pre-commit-config.yaml has the same four commands.
lint: .venv/installed-dev
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache

# noxfile.py says what it runs. A Python that this machine lacks is left out.
nox: .venv/installed-dev
	nox

# As long as make test, and longer: its tests, and how much of audiocnn/ and stages/ they run. A process that a test
# kills reports nothing, so code that only such processes run counts as not run.
coverage: .venv/installed-dev
	coverage erase
	coverage run -m pytest -q
	coverage combine --quiet
	coverage report

# The stamps make a second call install nothing, and a changed requirement install again.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[report]"
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@ .venv/installed

# uv reads what each package says of itself, for every Python that pyproject.toml allows, and installs nothing. A
# version in constraints.txt stays, unless UPGRADE=1 asks for newer ones. torch stays even then, because another torch
# gives other results: to move it, change its line first. The list has none of CUDA's libraries: they belong to the
# builds of torch for CUDA, which say themselves which they need.
constraints: .venv/installed-dev
	cp constraints.txt .venv/resolved.txt
	grep '^torch==' constraints.txt > .venv/torch.txt
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate --no-header \
		--constraint .venv/torch.txt $(if $(UPGRADE),--upgrade) --output-file .venv/resolved.txt pyproject.toml > /dev/null
	sed -n '/^[^#]/q; p' constraints.txt > .venv/constraints.txt
	sed -E '/^(cuda|nvidia)-|^triton==/d' .venv/resolved.txt >> .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt

# Minutes of both cores: measurements, not tests. benchmarks/RESULTS.md holds what they gave.
bench: .venv/installed-dev
	python -m benchmarks.run
	python -m benchmarks.whole ../shared/data/esc10 --folds 5
	python -m benchmarks.whole ../shared/data/fsdd --folds 10

# README.md, docs/ and the API as pages below site/. --strict: a link that leads nowhere is an error.
docs: .venv/installed-dev
	mkdocs build --strict --quiet --site-dir site
	@echo "site/index.html: open it in a browser"

clean:
	rm -rf site .venv .mypy_cache .nox .pytest_cache .ruff_cache
