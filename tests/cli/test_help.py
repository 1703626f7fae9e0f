"""The help: every command and every option is there and says what it is for."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest
import typer

from histodistill.cli.main import app
from tests.cli.command_line import run, succeed

GROUP = typer.main.get_command(app)
COMMANDS = GROUP.commands  # type: ignore[attr-defined]


def test_the_help_lists_every_command_with_a_sentence():
    told = succeed("--help").stdout
    assert "Research use only; not a medical device." in told
    for name, command in COMMANDS.items():
        assert name in told
        assert command.help.partition("\n")[0].split()[0] in told


def test_without_a_command_the_help_is_shown():
    assert "Usage: histodistill" in run().output


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "extract"])
def test_every_option_is_shown_whole_with_what_it_does(name, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERMINAL_WIDTH", str(columns))
    told = succeed(name, "--help").stdout
    assert "…" not in told
    assert all(len(line) <= columns for line in told.splitlines())
    # Words of a help text, whatever the width made of its lines.
    flat = re.sub(r"[\s│]+", " ", told)
    for option in COMMANDS[name].params:
        assert option.help, option.name
        assert option.help.endswith(".")
        for spelling in option.opts:
            if spelling.startswith("--"):
                assert spelling in told
        assert option.help.replace("`", "").split()[0] in flat


def test_the_version_is_told():
    assert succeed("--version").stdout == f"histodistill {version('histodistill')}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("audit",), "Missing argument"),
        (("nonsense",), "No such command"),
        (("audit", "x.yaml", "--colour"), "No such option"),
        (("crossval", "x.yaml", "--jobs", "0"), "--jobs"),
        (("predict", "x", "--out", "y", "--threshold", "2"), "--threshold"),
    ],
)
def test_wrong_words_end_with_usage_and_status_2(words, expected):
    result = run(*words)
    assert result.exit_code == 2
    assert expected in re.sub(r"[\s│]+", " ", result.output)


@pytest.mark.parametrize("command", ["audit", "crossval", "train"])
def test_an_absent_experiment_is_a_sentence(command, tmp_path):
    out = ("--out", tmp_path / "out") if command == "train" else ()
    result = run(command, tmp_path / "none.yaml", *out)
    assert result.exit_code == 1
    assert result.stderr == f"Problem: {tmp_path}/none.yaml: no such file\n"


def test_brackets_in_a_message_are_printed_as_they_are(tmp_path):
    folder = tmp_path / "[red]runs[/red]"
    result = run("audit", folder / "none.yaml")
    assert result.stderr == f"Problem: {folder}/none.yaml: no such file\n"
