"""The `histodistill` command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from histodistill.cli.console import errors, say, say_problems
from histodistill.cli.signals import exit_status, interrupt_on_signals
from histodistill.errors import HistodistillError, InputError
from histodistill.faults import machine_fault

# In the order of the help. The function `command` in the module of that name is the command.
COMMANDS = (
    "extract",
    "pack",
    "audit",
    "crossval",
    "suite",
    "ablate",
    "evaluate",
    "compare",
    "train",
    "predict",
    "import-checkpoint",
    "simulate",
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
        try:
            return super().invoke(ctx)
        except InputError as error:
            say_problems(error.problems)
        except HistodistillError as error:
            say_problems([str(error)])
        except KeyboardInterrupt as interrupt:
            errors.print(
                "\nInterrupted; no half-written file is left. Run the same command again: "
                "crossval, suite, ablate, train and extract go on where they stopped.",
                soft_wrap=True,
            )
            raise typer.Exit(exit_status(interrupt)) from None
        except Exception as error:
            fault = machine_fault(error)
            if fault is None:  # a bug: where it lies is worth more than a sentence
                raise
            say_problems([fault])
        raise typer.Exit(1)


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


def main() -> None:
    """Run the command line."""
    interrupt_on_signals()
    app()
