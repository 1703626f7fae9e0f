"""The reference of the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from histodistill.cli.main import app


def command_page() -> str:
    """The whole reference, as Markdown."""
    lines = [
        "# Commands",
        "",
        "What `histodistill COMMAND --help` says, on one page.",
        "",
    ]
    for name, command in commands():
        lines += [f"## `histodistill {name}`", "", _help(command), "", *_options(command)]
    return "\n".join(lines)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by name, in the order of the help."""
    # Typer brings its own copy of Click, so that Click's own classes say nothing here.
    group: Any = typer.main.get_command(app)
    context = group.context_class(group, info_name="histodistill")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield name, command


def _help(command: Any) -> str:
    return (command.help or "").strip()


def _options(command: Any) -> Iterator[str]:
    """A definition list of arguments and options, as the help words them."""
    context = command.context_class(command)
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            names, text = record
            yield f"`{names}`"
            yield f": {' '.join(text.split())}"
            yield ""
