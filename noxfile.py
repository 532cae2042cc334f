"""What is checked, and how.  ``nox`` alone runs what every change must pass.

``nox --no-venv --no-install -s lint types`` uses the environment that is active instead
of one per session; so does ``.ci/run``.
"""

from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.sessions = ["lint", "types", "imports", "tests"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

REPEATS = 20
"""Trio shuffles the tasks of each batch; a test that depends on their order fails in some."""

SUPERVISORS_COVERAGE = 95
COVERAGE = 90
"""Per cent of branches.  What everything stands on must be better known than the rest."""

SPELLED = ("gateway", "supervisors", "bench", "docs", "noxfile.py", "README.md", "CONTRIBUTING.md")
"""Not the tests, which misspell on purpose to see what is suggested."""


@nox.session
def lint(session: nox.Session) -> None:
    """Style, likely bugs, format, spelling."""
    session.install("-e", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell", *SPELLED)


@nox.session
def types(session: nox.Session) -> None:
    """Strict types; which packages is said in pyproject.toml."""
    session.install("-e", ".[lint]")
    session.run("mypy", *session.posargs)


@nox.session
def imports(session: nox.Session) -> None:
    """Who may import whom: the layers in pyproject.toml."""
    session.install("-e", ".[lint]")
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, with what they reach."""
    session.install("-e", ".[test]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    supervisors = ("--include=supervisors/*", f"--fail-under={SUPERVISORS_COVERAGE}")
    session.run("coverage", "report", "--skip-covered", *supervisors)
    session.run("coverage", "report", "--skip-covered", f"--fail-under={COVERAGE}")


@nox.session
def repeat(session: nox.Session) -> None:
    """The quick tests many times, each time in a fresh process, until one fails."""
    session.install("-e", ".[test]")
    where = session.posargs or ["tests/supervisors", "tests/gateway"]
    for turn in range(1, REPEATS + 1):
        session.log(f"turn {turn} of {REPEATS}")
        session.run("pytest", "-q", "-x", "-m", "not slow", *where)


@nox.session
def acceptance(session: nox.Session) -> None:
    """The real process with real sockets, from outside."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/acceptance", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure; ``-- --compare REV`` measures another revision in between, for fairness."""
    session.install("-e", ".[test]")
    session.run("python", "bench/_run.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Write the generated pages anew and build the site; dead links are errors."""
    session.install("-e", ".[docs]")
    session.run("python", "-m", "gateway.config.reference")
    session.run("python", "-m", "gateway.reference")
    site = Path(session.create_tmp()) / "site"
    # The theme's makers advertise their next product at every build.
    session.run(
        "mkdocs", "build", "--strict", "--site-dir", str(site), env={"NO_MKDOCS_2_WARNING": "1"}
    )
