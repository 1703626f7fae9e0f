"""`histodistill pack`, and that every command uses what it packed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.cli.command_line import fail, succeed
from tests.experiment.small import experiment_file

SLIDES_ALONE: dict[str, Any] = {"methods": {"mkd": None}, "genomics": None, "baselines": []}


@pytest.fixture
def experiment(cohort: Path) -> Path:
    return experiment_file(cohort.parent, {"features": {"cache": "packed"}, **SLIDES_ALONE})


def with_features(experiment: Path, **settings: object) -> Path:
    """The experiment with other settings of its features."""
    raw = yaml.safe_load(experiment.read_text())
    raw["features"] |= settings
    experiment.write_text(yaml.safe_dump(raw))
    return experiment


def packed_files(folder: Path) -> dict[str, int]:
    """Data files and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.bags")}


def test_a_cohort_is_packed_once(experiment: Path):
    told = succeed("pack", experiment).stdout
    slides = list((experiment.parent / "cohort" / "features").glob("*.h5"))
    expected = rf"40 patients, {len(slides)} slides, \d+ patches of 8 x float16, 0\.0 MB: "
    assert re.match(expected, told)
    packed = packed_files(experiment.parent / "packed")
    assert len(packed) == 1
    assert f"{experiment.parent}/packed/{next(iter(packed))}\n" in told
    assert succeed("pack", experiment).stdout == told
    assert succeed("pack", experiment, "--check").stdout == told
    assert packed_files(experiment.parent / "packed") == packed


def test_training_uses_what_was_packed_and_results_are_the_same(experiment: Path):
    succeed("pack", experiment)
    packed = packed_files(experiment.parent / "packed")
    folder = experiment.parent
    succeed("crossval", experiment, "--no-report")
    assert packed_files(folder / "packed") == packed
    with_packs = pd.read_csv(folder / "results" / "predictions.csv")
    (folder / "results").rename(folder / "before")
    succeed("crossval", with_features(experiment, cache=None), "--no-report")
    pd.testing.assert_frame_equal(pd.read_csv(folder / "results" / "predictions.csv"), with_packs)
    # No result depends on the cache: a run goes on without it, and with it.
    succeed("crossval", with_features(experiment, cache="elsewhere"), "--no-report")


def test_damage_is_found_and_mended(experiment: Path):
    succeed("pack", experiment)
    (path,) = (experiment.parent / "packed").glob("*.bags")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    told = succeed("pack", experiment).stdout
    assert told.startswith(f"Note: the bags were packed again, because {path} has ")
    assert path.read_bytes() == whole


def test_a_dtype_and_a_folder_of_choice(experiment: Path, tmp_path: Path):
    there = tmp_path / "there"
    told = succeed("pack", experiment, "--dtype", "bfloat16", "--cache", there).stdout
    assert "patches of 8 x bfloat16" in told
    assert len(packed_files(there)) == 1
    assert told.endswith(
        f"Note: to train with these bags, write `dtype: bfloat16`, `cache: {there}` under "
        f"`features` in {experiment}\n"
    )
    told = succeed("pack", with_features(experiment, dtype="bfloat16", cache="there")).stdout
    assert "bfloat16" in told
    assert "Note" not in told
    assert len(packed_files(there)) == 1


def test_what_cannot_be_packed_is_told(experiment: Path):
    with_features(experiment, cache=None)
    assert fail("pack", experiment) == [
        "Small: `features.cache` is null, so bags are never packed; take that setting out, or "
        "give --cache DIR"
    ]
    (experiment.parent / "file").touch()
    (problem,) = fail("pack", with_features(experiment, cache="file"))
    where = f"{experiment.parent}/file"
    assert problem.startswith(f"{where}: bags cannot be packed there (File exists)")
    slides = sorted((experiment.parent / "cohort" / "features").glob("*.h5"))[:2]
    for slide in slides:
        slide.write_bytes(b"")
    problems = fail("pack", with_features(experiment, cache="packed"))
    assert all(slide.name in problem for slide, problem in zip(slides, problems, strict=True))


def test_a_cohort_without_slides(cohort: Path):
    genomic = {"genomic": {"network": {"width": 8}}}
    path = experiment_file(
        cohort.parent,
        {
            "features": None,
            "cohort": {"slides": None},
            "methods": {"mkd": None, "abmil": None, **genomic},
        },
    )
    assert fail("pack", path) == ["Small: the experiment has no `features` to pack"]
