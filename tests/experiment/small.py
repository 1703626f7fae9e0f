"""A simulated cohort and an experiment so small that everything runs in a moment."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from histodistill.experiment.recipes import merged
from histodistill.simulation import SimulationSettings, simulate_cohort

SETTINGS = SimulationSettings(
    n_patients=40,
    n_sites=4,
    n_genes=48,
    width=8,
    min_patches=3,
    max_patches=8,
    positive_share=0.6,
    share_without_genomics=0.1,
    share_without_label=0.1,
    share_with_two_slides=0.15,
)
NETWORK = {"width": 8, "attention_width": 4, "token_size": 16, "fusion_width": 4}


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """The cohort, made once."""
    return simulate_cohort(tmp_path_factory.mktemp("simulated") / "cohort", SETTINGS).folder


@pytest.fixture
def cohort(template: Path, tmp_path: Path) -> Path:
    """A copy of the cohort that a test may damage."""
    return Path(shutil.copytree(template, tmp_path / "cohort"))


def experiment_file(folder: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """An experiment on the cohort in ``folder / "cohort"``, with ``changes`` laid over it.

    A change to None takes the setting out.
    """
    raw: dict[str, Any] = {
        "name": "Small",
        "simulated": True,
        "cohort": {
            "clinical": "cohort/clinical.csv",
            "site_column": "SITE",
            "survival": {"time": "OS_MONTHS", "event": "OS_STATUS"},
            "slides": "cohort/slides.csv",
        },
        "features": {"directory": "cohort/features"},
        "genomics": {"mrna": {"file": "cohort/mrna_zscores.txt", "selection": {"n_genes": 20}}},
        "targets": {"ER": {"classes": ["negative", "positive"], "positive": "positive"}},
        "splits": {"folds": 2},
        "training": {"max_epochs": 2, "device": "cpu"},
        "methods": {"abmil": {"network": NETWORK}, "mkd": {"network": NETWORK}},
        "output": "results",
    }
    raw = merged(raw, changes or {})
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(_without_none(raw)))
    return path


def _without_none(raw: Any) -> Any:
    if not isinstance(raw, Mapping):
        return raw
    return {key: _without_none(value) for key, value in raw.items() if value is not None}


def change_table(path: Path, change: Any) -> None:
    """Read a CSV as text, let ``change`` edit it, and write it again."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    change(table).to_csv(path, index=False)
