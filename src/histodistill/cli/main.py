"""The `histodistill` command."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from histodistill.cli import (
    ablate,
    audit,
    compare,
    crossval,
    evaluate,
    extract,
    import_checkpoint,
    pack,
    predict,
    simulate,
    suite,
    train,
)
from histodistill.cli.console import errors, say, say_problems
from histodistill.cli.signals import exit_status, interrupt_on_signals
from histodistill.errors import HistodistillError, InputError
from histodistill.faults import machine_fault


class _Commands(TyperGroup):
    """Commands that end with a plain sentence where the user can mend what is wrong."""

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
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Predict breast cancer biomarkers from H&E slides with models distilled from genomics.\n\n"
    "Research use only; not a medical device.",
)
app.command("extract")(extract.extract)
app.command("pack")(pack.command)
app.command("audit")(audit.command)
app.command("crossval")(crossval.command)
app.command("suite")(suite.command)
app.command("ablate")(ablate.command)
app.command("evaluate")(evaluate.command)
app.command("compare")(compare.command)
app.command("train")(train.command)
app.command("predict")(predict.command)
app.command("import-checkpoint")(import_checkpoint.command)
app.command("simulate")(simulate.command)


def _show_version(asked: bool) -> None:
    if asked:
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
