"""Every tutorial, command by command, on small simulated files where the page downloads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from histodistill.experiment.recipes import merged
from tests.cli.command_line import succeed
from tests.documentation import downloads
from tests.documentation.pages import DOCS, blocks

# The page's experiment on little data, and not trained to the end.
SHORT = {"splits": {"folds": 2}, "training": {"max_epochs": 2, "device": "cpu"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the reader works."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def follow(name: str, words: Mapping[str, str] | None = None) -> dict[str, str]:
    """Write the files of a tutorial and run its commands, in order.

    Args:
        name: The tutorial's.
        words: Words of commands, and what stands in their place.

    Returns:
        What each command printed, by its name; the last one's where it was run again.
    """
    told = {}
    for block in blocks(DOCS / "tutorials" / f"{name}.md"):
        if block.file:
            experiment: Any = merged(yaml.safe_load(block.text), SHORT)
            Path(block.file).write_text(yaml.safe_dump(experiment, sort_keys=False))
        for command in block.commands():
            short = [(words or {}).get(word, word) for word in command]
            told[command[0]] = succeed(*short).stdout
    return told


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
    assert set(predictions["target"]) == {"ER", "PR", "HER2"}
    assert {"programmes", "abmil", "mkd", "logistic-mrna", "logistic-cna"} <= set(
        predictions["method"]
    )
    assert (folder / "results/report/report.html").is_file()
    assert (folder / "er-model/MODEL_CARD.md").is_file()


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
