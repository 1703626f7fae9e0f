"""The help: every command and every option is there and says what it is for."""

from __future__ import annotations

import re
from importlib.metadata import version
from inspect import signature
from pathlib import Path

import pytest
import typer
import typer.rich_utils

from histodistill.cli.main import app
from histodistill.computing.device import DEVICE_HELP
from histodistill.deploy.predict import check_request, predict
from histodistill.extraction import ExtractionSettings
from histodistill.tiling import TilingSettings, TissueSettings
from histodistill.workflows.extraction import EncoderChoice, ExtractionComputing
from histodistill.workflows.new_slide_settings import NewSlideSettings
from histodistill.workflows.new_slides import predict_slides
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
    # Typer has read TERMINAL_WIDTH when it was imported.
    monkeypatch.setattr(typer.rich_utils, "MAX_WIDTH", columns)
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


def test_defaults_that_the_help_of_extract_names_are_those_of_the_settings():
    told = {
        option.name: float(found[1])
        for option in COMMANDS["extract"].params
        if (found := re.search(r"default: ([\d.]+)\.$", option.help)) and option.default is None
    }
    fields = TilingSettings.model_fields | TissueSettings.model_fields
    assert told == {name: fields[name].default for name in told}
    assert set(told) == {"overlap", "min_tissue", "min_area_um2"}


def test_switches_of_extract_default_to_the_settings():
    switches = {option.name: option.default for option in COMMANDS["extract"].params}
    fields = TilingSettings.model_fields | TissueSettings.model_fields
    for name in ("allow_upsampling", "fill_holes", "drop_pen"):
        assert switches[name] == fields[name].default
    assert switches["stain"] == ExtractionSettings.model_fields["stain"].default
    assert switches["precision"] == EncoderChoice("any").precision
    assert switches["device"] == ExtractionComputing().device == NewSlideSettings(Path()).device
    assert switches["workers"] == ExtractionComputing().workers


@pytest.mark.parametrize("function", [predict, check_request, predict_slides])
def test_defaults_of_predict_are_those_of_python(function):
    in_python = signature(function).parameters
    for option in COMMANDS["predict"].params:
        if option.name in in_python and not option.required and option.default is not None:
            assert option.default == in_python[option.name].default, option.name


def test_every_device_is_named_alike():
    told = {
        option.help
        for command in COMMANDS.values()
        for option in command.params
        if option.name == "device"
    }
    assert told == {DEVICE_HELP}
