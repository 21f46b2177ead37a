"""The tests on every Python that pyproject.toml allows and this machine has.

'nox', or 'make nox', runs the fast tests; 'nox -- -q' runs all; 'nox -s tests-3.12 -- tests/model' those of one folder
on one Python. A Python that is not there is skipped; pyenv's are there where 'pyenv local 3.11 3.12 3.13' names them.
Each Python has its own environment below .nox, with the versions in constraints.txt. 'nox -s lint' is 'make lint'.
"""

import nox

nox.needs_version = ">=2026"
nox.options.sessions = ["tests"]
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # on a CI server too, where nox's default is another
nox.options.reuse_venv = "yes"  # torch is large; the install below brings an old environment up to date


# pip and not uv: pip's own settings say where torch's build for the CPU comes from, and uv does not read them.
@nox.session(python=["3.11", "3.12", "3.13"], venv_backend="virtualenv")
def tests(session: nox.Session) -> None:
    """The fast tests; with arguments behind '--', pytest gets these instead."""
    session.install("--constraint", "constraints.txt", "--editable", ".[dev]")
    session.run("pytest", *(session.posargs or ["-q", "-m", "not slow"]))


# One Python is enough: mypy is told which one to check for, and ruff and import-linter only read the code.
@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """What 'make lint' runs, in the environment that make installs."""
    session.run("make", "lint", external=True)
