"""Barcodes as each source spells them lead to the same patients, in every file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from histodistill import load, read_experiment
from tests.cli.command_line import succeed
from tests.documentation import downloads

SPELLINGS: dict[str, Callable[[str], str]] = {
    "lower case": str.lower,
    "underscores": lambda name: name.replace("-", "_"),
    "as R writes names": lambda name: name.replace("-", "."),
    "aliquots": lambda name: f"{name[:12]}-01A-11R-A00Z-07",
}
GENES = "data_mrna_seq_v2_rsem_zscores_ref_all_samples.txt"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of cBioPortal and features named by barcodes."""
    folder = tmp_path_factory.mktemp("sources")
    downloads.cbioportal(folder / "study")
    downloads.uni2_h(folder / "features")
    return folder


def spelt(sources: Path, folder: Path, spell: Callable[[str], str]) -> Path:
    """The experiment on files in which every barcode is spelt so."""
    (folder / "features").mkdir()
    for path in (sources / "features").rglob("*.h5"):
        name = path.stem if "-01A-11R" in spell(path.stem) else spell(path.stem)
        (folder / "features" / f"{name}.h5").symlink_to(path)
    genes = pd.read_csv(sources / "study" / GENES, sep="\t")
    samples = {name: spell(name) for name in genes.columns if name.startswith("TCGA")}
    genes.rename(columns=samples).to_csv(folder / "genes.txt", sep="\t", index=False)
    clinical = pd.read_csv(sources / "study/data_clinical_patient.txt", sep="\t", comment="#")
    clinical["PATIENT_ID"] = clinical["PATIENT_ID"].map(spell)
    clinical.to_csv(folder / "clinical.csv", index=False)
    target = {
        "column": "ER_STATUS_BY_IHC",
        "classes": ["Negative", "Positive"],
        "positive": "Positive",
        "map": {"Indeterminate": None},
    }
    experiment = {
        "name": "Spellings",
        "cohort": {"clinical": "clinical.csv"},
        "features": {"directory": "features", "cache": None},
        "genomics": {"mrna": {"file": "genes.txt"}},
        "targets": {"ER": target},
        "methods": ["abmil"],
        "output": "results",
    }
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(experiment))
    return path


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_names_the_same_patients(sources: Path, tmp_path: Path, name: str) -> None:
    path = spelt(sources, tmp_path, SPELLINGS[name])
    assert "No problem found." in succeed("audit", path, "--out", tmp_path / "audit").stdout
    data = load(read_experiment(path))
    assert data.bags is not None
    assert set(data.genomics["mrna"].index) == set(downloads.PATIENTS)
    assert set(data.bags.patients) <= set(downloads.PATIENTS)
    assert len(data.bags.patients) > 40
