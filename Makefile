# Two commands do everything on a machine that has Python 3.11 to 3.13, git and make: make repro, make test.
# It works with GNU make 3.81, which macOS has: what runs is named below .venv/bin, not looked for on an exported PATH.
PYTHON ?= python3
# Where torch's build for the CPU alone comes from where there is no NVIDIA GPU; empty: from pip's own index.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin
INSTALL := TORCH_INDEX="$(TORCH_INDEX)" GOALS="$(MAKECMDGOALS)" $(PYTHON) install.py
# For commands that start others by name.
ON_PATH := PATH="$(CURDIR)/.venv/bin:$$PATH"

.PHONY: repro test test-fast lint nox coverage constraints bench docs clean environment environment-dev

# 130: Ctrl-C, which the stage has answered with a line.
repro: environment
	@trap : INT; $(BIN)/python -m stages && $(BIN)/audiocnn results && $(BIN)/audiocnn report || test $$? = 130

# Two tests at a time, those of a file one after the other: they share what was made for them.
test: environment-dev lint
	$(ON_PATH) $(BIN)/pytest -q -n 2 --dist loadfile

test-fast: environment-dev lint
	$(ON_PATH) $(BIN)/pytest -q -n 2 --dist loadfile -m "not slow"

# .pre-commit-config.yaml has the same four commands.
lint: environment-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# noxfile.py says what it runs. A Python that this machine lacks is left out.
nox: environment-dev
	$(ON_PATH) $(BIN)/nox

# As long as make test, and longer: its tests, and how much of audiocnn/ and stages/ they run. A process that a test
# kills reports nothing, so code that only such processes run counts as not run.
coverage: environment-dev
	$(BIN)/coverage erase
	$(ON_PATH) $(BIN)/coverage run -m pytest -q
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# install.py says which Python works, mends .venv, and installs nothing where it is complete.
environment:
	@$(INSTALL)

environment-dev:
	@$(INSTALL) dev

# uv reads what each package says of itself, for every Python that pyproject.toml allows, and installs nothing. A
# version in constraints.txt stays, unless UPGRADE=1 asks for newer ones. torch stays even then, because another torch
# gives other results: to move it, change its line first. The list has none of CUDA's libraries: they belong to the
# builds of torch for CUDA, which say themselves which they need.
constraints: environment-dev
	cp constraints.txt .venv/resolved.txt
	grep '^torch==' constraints.txt > .venv/torch.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate --no-header \
		--constraint .venv/torch.txt $(if $(UPGRADE),--upgrade) --output-file .venv/resolved.txt pyproject.toml > /dev/null
	sed -n '/^[^#]/q; p' constraints.txt > .venv/constraints.txt
	sed -E '/^(cuda|nvidia)-|^triton==/d' .venv/resolved.txt >> .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt

# Minutes of both cores: measurements, not tests. benchmarks/RESULTS.md holds what they gave.
bench: environment-dev
	$(ON_PATH) python -m benchmarks.run
	$(ON_PATH) python -m benchmarks.whole ../shared/data/esc10 --folds 5
	$(ON_PATH) python -m benchmarks.whole ../shared/data/fsdd --folds 10

# README.md, docs/ and the API as pages below site/. --strict: a link that leads nowhere is an error.
docs: environment-dev
	$(BIN)/mkdocs build --strict --quiet --site-dir site
	@echo "site/index.html: open it in a browser"

clean:
	rm -rf site .venv .mypy_cache .nox .pytest_cache .ruff_cache
