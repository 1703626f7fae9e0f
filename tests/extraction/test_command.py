"""``histodistill extract`` as it is typed."""

import json

import pytest
import typer
from typer.testing import CliRunner

from histodistill.cli.console import answering
from histodistill.cli.extract import command as extract
from histodistill.errors import InputError

from .conftest import tissue_picture, write_slide


@pytest.fixture
def run(weights):
    app = typer.Typer()
    app.command()(extract)

    def run(slides, out, *options):
        own = ["--encoder", "torchscript", "--weights", str(weights), "--input-px", "64"]
        own.append("--allow-torchscript-code")
        tiling = ["--mpp", "1", "--patch-px", "64"]
        command = [str(slides), "--out", str(out), *own, *tiling, *options]
        result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
        if isinstance(result.exception, InputError):
            raise result.exception
        return result

    return run


@pytest.fixture
def slides(tmp_path):
    folder = tmp_path / "slides"
    write_slide(folder / "sound.tiff", tissue_picture())
    write_slide(folder / "unscaled.tiff", tissue_picture(seed=1), mpp=None)
    return folder


def test_a_folder_becomes_features_and_a_summary(run, slides, tmp_path):
    result = run(slides, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "1 slide done, 1 skipped, 0 failed" in result.output
    assert "skipped unscaled: unscaled.tiff: no µm/px recorded" in result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "sound.h5",
        "extraction.csv",
        "extraction.json",
        "previews",
        "tissue",
    }


def test_a_script_reads_the_summary(run, slides, tmp_path, capsys):
    with answering(in_json=True):
        told = run(slides, tmp_path / "out")
    found = json.loads(capsys.readouterr().out)
    assert (found["done"], found["skipped"], found["failed"], found["elsewhere"]) == (1, 1, 0, 0)
    assert [fault["slide"] for fault in found["faults"]] == ["unscaled"]
    assert found["folder"] == str(tmp_path / "out")
    assert found["patches"] > 0
    assert told.stdout == ""


def test_the_same_command_continues(run, slides, tmp_path):
    run(slides, tmp_path / "out")
    result = run(slides, tmp_path / "out", "--slide-mpp", "1")
    assert "2 slides done (1 of them before this run), 0 skipped" in result.output


def test_a_failed_slide_makes_the_command_fail(run, slides, tmp_path):
    (slides / "broken.svs").write_bytes(b"II*\0broken")
    result = run(slides, tmp_path / "out")
    assert result.exit_code == 1
    assert "failed broken: broken.svs" in result.output


def test_options_out_of_range_are_told_together(run, slides, tmp_path):
    with pytest.raises(InputError) as raised:
        run(slides, tmp_path / "out", "--overlap", "2", "--min-tissue", "-1")
    assert [problem.split(":")[0] for problem in raised.value.problems] == [
        "--overlap 2.0",
        "--min-tissue -1.0",
    ]


def test_colours_that_are_no_three_numbers_are_told(run, slides, tmp_path):
    with pytest.raises(InputError, match=r"--mean takes three numbers.*not '0.5,0.5'"):
        run(slides, tmp_path / "out", "--mean", "0.5,0.5")
