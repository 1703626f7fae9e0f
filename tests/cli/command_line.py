"""The command line as a user meets it, in this process."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from histodistill.cli.main import app


def run(*words: object) -> Result:
    """Run ``histodistill`` with these words."""
    return CliRunner().invoke(app, [str(word) for word in words])


def succeed(*words: object) -> Result:
    """Run a command that must succeed."""
    result = run(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def fail(*words: object) -> list[str]:
    """Run a command that must end with exit status 1 and problems alone; the problems."""
    result = run(*words)
    assert result.exit_code == 1, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    problems = result.stderr.splitlines()
    assert problems
    assert all(problem.startswith("Problem: ") for problem in problems), problems
    return [problem.removeprefix("Problem: ") for problem in problems]
