"""From slides to predictions: new slides are extracted as the bundle's training slides were."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import pandas as pd
import pytest
import torch

import histodistill
from histodistill.workflows import new_slides
from tests.cli.command_line import fail, run, succeed
from tests.engines.clusters import submitit_for_slurm

pytest.importorskip("openslide")
pytest.importorskip("tifffile")

EXPERIMENT = """\
name: slides
cohort: {clinical: cohort/clinical.csv, slides: cohort/slides.csv}
features: {directory: features}
targets: {ER: {classes: [negative, positive], positive: positive}}
splits: {folds: 3, validation: 0.34}
methods:
  abmil:
    network: {width: 8, attention_width: 4}
    training: {max_epochs: 2}
output: results
"""
CODE = "--allow-torchscript-code"
PATTERN = ("--patient-pattern", "^(SIM-S[0-9]+-[0-9]+)")


class MeanColours(torch.nn.Module):
    """A patch encoder of three features, quick and easy to check."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


@pytest.fixture(scope="module")
def hospital(tmp_path_factory) -> Path:
    """Simulated slides, their features, and a bundle that was trained on them."""
    folder: Path = tmp_path_factory.mktemp("hospital")
    torch.jit.script(MeanColours()).save(folder / "encoder.pt")
    succeed("simulate", folder / "cohort", "--slides", "--patients", "30", "--slide-px", "512")
    extract(folder, folder / "cohort" / "slides", folder / "features")
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    succeed("train", folder / "experiment.yaml", "--out", folder / "bundle")
    return folder


def extract(folder: Path, slides: Path, out: Path, *options: str) -> None:
    encoder = (
        "--encoder",
        "torchscript",
        "--weights",
        folder / "encoder.pt",
        "--input-px",
        "64",
        CODE,
    )
    plain = ("--mean", "0,0,0", "--std", "1,1,1", "--mpp", "1", "--patch-px", "64")
    succeed("extract", slides, *encoder, *plain, "--out", out, *options)


def test_slides_predict_as_their_features_do(hospital, tmp_path, monkeypatch):
    from_slides = tmp_path / "from-slides.csv"
    succeed(
        *("predict", hospital / "bundle", "--slides", hospital / "cohort" / "slides"),
        *("--weights", hospital / "encoder.pt", CODE, "--out", from_slides, *PATTERN),
    )
    from_features = tmp_path / "from-features.csv"
    succeed(
        *("predict", hospital / "bundle", "--features", hospital / "features"),
        *("--slides-table", hospital / "cohort" / "slides.csv", "--out", from_features),
    )
    assert from_slides.read_text() == from_features.read_text()
    submitit_for_slurm(monkeypatch, "debug")
    elsewhere = tmp_path / "elsewhere.csv"
    succeed(
        *("predict", hospital / "bundle", "--slides", hospital / "cohort" / "slides"),
        *("--weights", hospital / "encoder.pt", CODE, "--out", elsewhere, *PATTERN),
        *("--on", "slurm", "--device", "cpu"),
    )
    assert elsewhere.read_text() == from_features.read_text()
    table = pd.read_csv(from_slides)
    assert len(table) == 30
    assert (table["answered_by"] == "student").all()
    assert table["probability"].std() > 0


def test_slides_are_explained_and_shown_with_the_weights_that_predict_takes(
    hospital, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "slides").mkdir()
    for slide in sorted((hospital / "cohort" / "slides").glob("*.tif"))[:2]:
        shutil.copy(slide, tmp_path / "slides")
    words = ("--slides", tmp_path / "slides", "--weights", hospital / "encoder.pt", CODE, *PATTERN)
    succeed("predict", hospital / "bundle", "--out", tmp_path / "p.csv", *words)
    predicted = pd.read_csv(tmp_path / "p.csv").set_index("PATIENT")["student"]
    succeed("explain", hospital / "bundle", "--out", tmp_path / "maps", *words)
    maps = pd.read_csv(tmp_path / "maps" / "maps.csv").set_index("PATIENT")
    assert maps["probability"].to_dict() == predicted.to_dict()
    pytest.importorskip("nicegui")
    succeed("view", hospital / "bundle", "--export", tmp_path / "pages", *words)
    pages = "".join(page.read_text() for page in (tmp_path / "pages").glob("0*.html"))
    assert all(f"student {probability:.3f}" in pages for probability in predicted)


def test_a_slide_that_cannot_be_read_is_told_and_the_command_fails_as_extract_does(
    hospital, tmp_path
):
    slides = tmp_path / "slides"
    slides.mkdir()
    good, *_ = sorted((hospital / "cohort" / "slides").glob("*.tif"))
    shutil.copy(good, slides)
    (slides / "SIM-S09-0001-broken.svs").write_bytes(b"not a slide")
    out = tmp_path / "predictions.csv"
    result = run(
        *("predict", hospital / "bundle", "--slides", slides, "--out", out),
        *(CODE, "--weights", hospital / "encoder.pt", *PATTERN),
    )
    assert result.exit_code == 1
    assert "SIM-S09-0001-broken: failed" in result.stdout
    assert len(pd.read_csv(out)) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--patient-pattern", "^(TCGA-[0-9]+)"), "no patient is recognised"),
        (("--patient-pattern", "^(SIM"), "is not a regular expression"),
        (("--genomics", "mrna=absent.csv", *PATTERN), "the bundle's blocks: none"),
        (("--out", "/proc/none/p.csv", *PATTERN), "/proc/none: nothing can be written there"),
        (("--features-out", "/proc/none", *PATTERN), "/proc/none: nothing can be written there"),
        (("--weights", "absent.pt", *PATTERN), "absent.pt"),
    ],
)
def test_what_can_be_checked_is_checked_before_any_slide_is_read(
    hospital, tmp_path, monkeypatch, options, told
):
    def unexpected(*_args, **_kwargs):
        raise AssertionError("a slide was read")

    monkeypatch.setattr(new_slides, "extract_slides", unexpected)
    problems = fail(
        *("predict", hospital / "bundle", "--slides", hospital / "cohort" / "slides"),
        *("--weights", hospital / "encoder.pt", "--out", tmp_path / "p.csv", CODE, *options),
    )
    assert told in " ".join(problems)


def test_all_that_is_wrong_is_told_at_once(hospital, tmp_path):
    problems = fail(
        *("predict", hospital / "bundle", "--slides", hospital / "cohort" / "slides"),
        *("--patient-pattern", "^(TCGA-[0-9]+)", "--weights", tmp_path / "absent.pt"),
        *("--genomics", f"mrna={tmp_path / 'absent.csv'}", "--threshold", "0.5"),
        *("--out", "/proc/none/p.csv", "--device", "gpu"),
    )
    expected = (
        "/proc/none: nothing can be written there",
        "the bundle reads no block mrna",
        "no patient is recognised in the names of",
        "/proc/none/p-features: nothing can be written there",
        "absent.pt",
    )
    assert len(problems) == len(expected)
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


def test_features_of_another_extraction_are_not_mixed_with_new_ones(hospital, tmp_path):
    features = tmp_path / "features"
    slides = hospital / "cohort" / "slides"
    extract(hospital, slides, features, "--min-tissue", "0.5")
    (told,) = fail(
        *(
            "predict",
            hospital / "bundle",
            "--slides",
            slides,
            *PATTERN,
            "--out",
            tmp_path / "p.csv",
        ),
        *("--features-out", features, "--weights", hospital / "encoder.pt", CODE),
    )
    assert f"{features} holds features made with other settings" in told


def test_a_resolution_that_no_slide_needs_is_told(hospital, tmp_path):
    told = succeed(
        *("predict", hospital / "bundle", "--slides", hospital / "cohort" / "slides", *PATTERN),
        *("--weights", hospital / "encoder.pt", CODE, "--out", tmp_path / "p.csv"),
        *("--slide-mpp", "7"),
    ).stdout
    assert "Note: --slide-mpp 7 was not used" in told


def test_slides_of_normal_tissue_are_left_out_before_any_is_read(hospital, tmp_path):
    slides = tmp_path / "slides"
    slides.mkdir()
    (slides / "TCGA_A2_A0EO_11A.svs").write_bytes(b"never opened")
    asked = ("predict", hospital / "bundle", "--slides", slides, "--out", tmp_path / "p.csv")
    (told,) = fail(*asked, CODE, "--weights", hospital / "encoder.pt")
    assert "11 (normal tissue): 1" in told
    assert "name the types with --sample-type" in told


def test_python_predicts_slides_as_the_command_does(hospital, tmp_path):
    out = tmp_path / "command.csv"
    features = ("--features-out", tmp_path / "features")
    succeed(
        *("predict", hospital / "bundle", "--slides", hospital / "cohort" / "slides", *features),
        *(CODE, "--weights", hospital / "encoder.pt", "--out", out, *PATTERN),
    )
    predicted = histodistill.predict_slides(
        histodistill.Bundle.load(hospital / "bundle"),
        hospital / "cohort" / "slides",
        histodistill.NewSlideSettings(
            folder=tmp_path / "features",
            weights=hospital / "encoder.pt",
            allow_code=True,
            patient_pattern=PATTERN[1],
        ),
    )
    predicted.table.to_csv(tmp_path / "python.csv", index=False)
    assert (tmp_path / "python.csv").read_text() == out.read_text()


def test_only_the_slides_of_the_patients_asked_for_are_extracted(hospital, tmp_path):
    def plan(*patients: str) -> new_slides.SlidePlan:
        how = histodistill.NewSlideSettings(
            folder=tmp_path / "features",
            weights=hospital / "encoder.pt",
            allow_code=True,
            patient_pattern=PATTERN[1],
            patients=patients,
        )
        info = histodistill.Bundle.load(hospital / "bundle").info
        return new_slides.plan_slides(info, hospital / "cohort" / "slides", how)

    slides = pd.read_csv(hospital / "cohort" / "slides.csv").set_index("FILENAME")["PATIENT"]
    assert len(plan().entries) == len(slides)
    wanted = slides.iloc[3]
    found = plan(wanted)
    names = {f"{entry.slide_id}.h5" for entry in found.entries}
    assert names == set(slides.index[slides == wanted])
    assert set(found.extract().files) == {wanted}
    with pytest.raises(histodistill.InputError, match="nobody of this name has slides: nobody"):
        plan(wanted, "nobody")


def test_other_weights_are_refused(hospital, tmp_path):
    class Other(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.amax(dim=(2, 3))

    torch.jit.script(Other()).save(tmp_path / "other.pt")
    told, *_ = fail(
        *("predict", hospital / "bundle", "--slides", hospital / "cohort" / "slides"),
        *("--weights", tmp_path / "other.pt", "--out", tmp_path / "p.csv", *PATTERN),
    )
    assert "are not those that the features were made with" in told


def test_a_bundle_of_another_tools_features_says_what_to_do(hospital, tmp_path):
    folder = tmp_path / "elsewhere"
    shutil.copytree(hospital / "features", folder / "features")
    for file in (folder / "features").glob("*.h5"):
        with h5py.File(file, "a") as h5:
            del h5.attrs["extraction"]
    (folder / "cohort").symlink_to(hospital / "cohort")
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    succeed("train", folder / "experiment.yaml", "--out", folder / "bundle")
    told, *_ = fail(
        *("predict", folder / "bundle", "--slides", hospital / "cohort" / "slides"),
        *("--out", tmp_path / "p.csv"),
    )
    assert "extract these slides with the tool that made them" in told


def test_features_of_two_extractions_are_not_mixed(hospital, tmp_path):
    folder = tmp_path / "mixed"
    shutil.copytree(hospital / "features", folder / "features")
    (folder / "cohort").symlink_to(hospital / "cohort")
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    one = tmp_path / "one"
    one.mkdir()
    slide = sorted((hospital / "cohort" / "slides").glob("*.tif"))[0]
    shutil.copy(slide, one)
    extract(hospital, one, tmp_path / "other", "--min-tissue", "0.5")
    shutil.copy(tmp_path / "other" / f"{slide.stem}.h5", folder / "features")
    told = " ".join(fail("audit", folder / "experiment.yaml"))
    assert "extraction setting tiling.min_tissue 0.5 while" in told
    assert slide.stem in told
