"""The `histodistill doctor` command."""

from __future__ import annotations

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from histodistill.cli.console import answer, console
from histodistill.cli.options import Json


def command(_json: Json = False) -> None:
    """Show what is installed and at hand on this machine, and how to get what is not.

    Versions and extras, processor, memory and threads, GPU and compiled kernels, OpenSlide,
    encoders and their weights, folders and disks. Nothing is fetched.
    """
    from histodistill.diagnosis import diagnose

    found = diagnose()
    for title, rows in found.sections().items():
        console.print(_section(title, rows))
    answer(**found.values())


def _section(title: str, rows: list[tuple[str, str]]) -> Group:
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(no_wrap=True, min_width=15)
    shown.add_column(overflow="fold")
    for name, sentence in rows:
        shown.add_row(escape(name), escape(sentence))
    return Group(f"[bold]{escape(title)}[/bold]", shown, "")
