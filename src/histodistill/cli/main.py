"""The `histodistill` command."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from histodistill.cli.console import answering, errors, say, say_problems, warnings_as_notes
from histodistill.cli.signals import exit_status, interrupt_on_signals
from histodistill.errors import AnswersSealedError, HistodistillError, InputError
from histodistill.faults import machine_fault

# In the order of the help. The function `command` in the module of that name is the command.
COMMANDS = (
    "init",
    "extract",
    "pack",
    "audit",
    "crossval",
    "suite",
    "unseal",
    "ablate",
    "evaluate",
    "compare",
    "triage",
    "report",
    "train",
    "predict",
    "calibrate",
    "explain",
    "explain-genes",
    "explain-features",
    "view",
    "import-checkpoint",
    "simulate",
    "doctor",
)
_LOOK: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": "markdown",
    "pretty_exceptions_enable": False,
}


@cache
def _command(name: str) -> Any:
    module = import_module(f"histodistill.cli.{name.replace('-', '_')}")
    alone = typer.Typer(**_LOOK)
    alone.command(name)(module.command)
    return typer.main.get_command(alone)


class _OnDemand(Mapping[str, Any]):
    """The commands, each imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Commands(TyperGroup):
    """Commands that end with a plain sentence where the user can mend what is wrong."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _OnDemand()  # type: ignore[assignment]

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)
        if option is not None:
            # Typer imports pydantic to make a bool of None, which every call would wait for.
            option.default = False
        return option

    def invoke(self, ctx: Any) -> Any:
        # As written: a word that cannot be read is told in JSON as well.
        in_json = "--json" in ctx.args
        with answering(in_json), warnings_as_notes():
            try:
                return super().invoke(ctx)
            except (typer.Exit, typer.Abort):
                raise
            except Exception as error:
                status = _tell(error, in_json=in_json)
            except KeyboardInterrupt as interrupt:
                status = _tell_interrupt(interrupt, in_json=in_json)
            raise typer.Exit(status)


def _tell(error: Exception, *, in_json: bool) -> int:
    """Say in plain sentences what the user can mend; the exit status.

    Raises:
        Exception: The error itself, where it is a bug, or where Typer says it better.
    """
    if isinstance(error, AnswersSealedError):
        say(str(error))
        return 0
    if isinstance(error, InputError):
        say_problems(error.problems)
        return 1
    if isinstance(error, HistodistillError):
        say_problems([str(error)])
        return 1
    usage = getattr(error, "format_message", None)  # of Typer: a word that it cannot read
    if usage is not None:
        if not in_json:
            raise error
        say_problems([usage()])
        return int(getattr(error, "exit_code", 1))
    fault = machine_fault(error)
    if fault is None:  # a bug: where it lies is worth more than a sentence
        if in_json:
            say_problems([f"{type(error).__name__}: {error}"])
        raise error
    say_problems([fault])
    return 1


def _tell_interrupt(interrupt: KeyboardInterrupt, *, in_json: bool) -> int:
    """Say that nothing is lost; the exit status."""
    told = (
        "Interrupted; no half-written file is left. Run the same command again: "
        "crossval, suite, ablate, train and extract go on where they stopped."
    )
    if in_json:
        say_problems([told])
    else:
        errors.print(f"\n{told}", soft_wrap=True)
    return exit_status(interrupt)


app = typer.Typer(
    name="histodistill",
    cls=_Commands,
    no_args_is_help=True,
    help="Predict breast cancer biomarkers from H&E slides with models distilled from genomics.\n\n"
    "Research use only; not a medical device.",
    **_LOOK,
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(f"histodistill {version('histodistill')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def _print_any_name() -> None:
    """Show what an output cannot hold, such as names in another encoding, by its numbers."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run the command line."""
    _print_any_name()
    interrupt_on_signals()
    app()
