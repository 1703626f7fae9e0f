"""Every tutorial, command by command, on small simulated files where the page downloads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.cli.command_line import succeed
from tests.documentation import downloads
from tests.documentation.pages import DOCS, blocks
from tests.experiment.small import NETWORK

# Networks so small, and trainings so short, that what is tested is the page and not the method.
_SMALL = {"network": NETWORK, "training": {"max_epochs": 2, "device": "cpu"}}
_LINEAR = {"programmes", "proportions", "linear"}
_FEW = {"training": {"max_epochs": 2, "device": "cpu", "members": 2}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the reader works."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def follow(name: str, words: Mapping[str, str] | None = None) -> dict[str, str]:
    """Write the files of a tutorial and run its commands, in order.

    The audit reads the file as the page has it; what trains reads a shortened one.

    Args:
        name: The tutorial's.
        words: Words of commands, and what stands in their place.

    Returns:
        What each command printed, by its name.
    """
    told: dict[str, str] = {}
    file, whole = Path(), {}
    for block in blocks(DOCS / "tutorials" / f"{name}.md"):
        if block.file:
            file, whole = Path(block.file), yaml.safe_load(block.text)
        for command in block.commands():
            if str(file) in command:
                written = whole if command[0] == "audit" else shortened(whole)
                file.write_text(yaml.safe_dump(written, sort_keys=False))
            told[command[0]] = succeed(*((words or {}).get(word, word) for word in command)).stdout
    return told


def shortened(whole: Mapping[str, Any]) -> dict[str, Any]:
    """The experiment for its last target, with two folds and small networks."""
    target = list(whole["targets"])[-1]
    return {
        **whole,
        "targets": {target: whole["targets"][target]},
        "splits": {**whole.get("splits", {}), "folds": 2},
        "methods": {name: _FEW if name in _LINEAR else _SMALL for name in whole["methods"]},
    }


def test_every_tutorial_is_followed_here() -> None:
    written = {page.stem for page in (DOCS / "tutorials").glob("*.md")} - {"index"}
    assert written == {"simulated", "tcga-brca", "gdc-xena", "slides-alone"}


def test_a_simulated_cohort(folder: Path) -> None:
    told = follow("simulated", {"400": "60"})
    assert "No problem found." in told["audit"]
    assert (folder / "results/report/report.html").is_file()
    assert "programmes student" in told["compare"]
    answers = pd.read_csv("answers.csv")
    assert len(answers) == len(pd.read_csv("cohort/clinical.csv")) == 60
    assert answers["student"].notna().all()


def test_tcga_brca(folder: Path) -> None:
    downloads.cbioportal(folder / "brca_tcga")
    downloads.uni2_h(folder / "features")
    told = follow("tcga-brca")
    assert "No problem found." in told["audit"]
    predictions = pd.read_csv("results/predictions.csv")
    assert set(predictions["target"]) == {"HER2"}
    assert {"proportions", "abmil", "mkd", "logistic-mrna", "logistic-cna"} <= set(
        predictions["method"]
    )
    assert (folder / "results/report/report.html").is_file()
    assert (folder / "her2-model/MODEL_CARD.md").is_file()


def test_gdc_and_xena(folder: Path) -> None:
    downloads.gdc(folder / "counts")
    downloads.xena(folder / "BRCA_clinicalMatrix")
    downloads.trident(folder / "trident/20x_256px_0px_overlap/features_uni_v2")
    told = follow("gdc-xena")
    assert "No problem found." in told["audit"]
    subtypes = pd.read_csv("subtypes.csv")
    assert set(subtypes["call"]) <= {"LumA", "LumB", "Her2", "Basal"}
    assert (folder / "results/report/report.html").is_file()


def test_a_hospital_with_slides_alone(folder: Path) -> None:
    pytest.importorskip("openslide")
    told = follow("slides-alone", {"1024": "512", "60": "40"})
    assert "No problem found." in told["audit"]
    answers = pd.read_csv("hospital/predictions.csv")
    assert len(answers) == 20
    assert set(answers["answered_by"]) == {"student"}
    assert (folder / "hospital/evaluation/report.html").is_file()
