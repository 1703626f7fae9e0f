"""The start: nothing that takes long is imported before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from histodistill.cli.main import COMMANDS
from histodistill.experiment import read_experiment
from histodistill.experiment.audit import audit
from tests.drafting import sources
from tests.experiment.small import experiment_file

# Each of them takes longer to import than everything that a help page needs.
SLOW = {"torch", "sklearn", "scipy", "matplotlib", "pandas", "numpy", "pydantic", "h5py", "joblib"}
PROGRAM = """\
import json, sys
try:
    {body}
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def imported(body: str, *words: str) -> set[str]:
    """The modules that a new process holds after running some Python."""
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body), *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return set(json.loads(told.stderr.splitlines()[-1]))


def imported_by_command(*words: str) -> set[str]:
    return imported("from histodistill.cli.main import main; main()", *words)


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        (),
        ("nonsense",),
        ("predict", "bundle", "--colour"),
        *((command, "--help") for command in COMMANDS),
    ],
    ids=" ".join,
)
def test_help_and_mistyped_words_wait_for_no_library(words):
    assert not imported_by_command(*words) & SLOW


@pytest.mark.parametrize("cache", [None, "cache"], ids=["files", "packed"])
def test_an_audit_needs_no_deep_learning(cohort, cache):
    experiment = experiment_file(cohort.parent)
    text = experiment.read_text()
    setting = "null" if cache is None else str(cohort.parent / cache)
    experiment.write_text(text.replace("features:\n", f"features:\n  cache: {setting}\n"))
    for _ in range(1 if cache is None else 2):  # packs, and then reads what is packed
        loaded = imported_by_command("audit", str(experiment))
        assert "histodistill.experiment.audit" in loaded
        assert not {"torch", "sklearn", "matplotlib"} & loaded
    if cache is not None:
        assert list((cohort.parent / cache).glob("*.bags"))
    counts = pd.read_csv(cohort.parent / "results" / "audit" / "counts.csv")
    found = audit(read_experiment(experiment))
    assert not found.problems
    assert found.counts is not None
    assert counts["patients"].sum() == found.counts["patients"].sum() > 0


def test_the_package_is_imported_at_once():
    assert not imported("import histodistill") & SLOW


def test_a_name_of_the_package_imports_its_room_alone():
    loaded = imported("from histodistill import InputError, read_predictions")
    assert "pandas" in loaded
    assert not {"torch", "histodistill.training", "histodistill.model"} & loaded


def test_drafting_from_tables_needs_no_torch(tmp_path):
    clinical, genes = sources.plain_clinical(tmp_path), sources.cbioportal_zscores(tmp_path)
    words = ("init", "--clinical", clinical, "--genomics", f"mrna={genes}", "--out")
    loaded = imported_by_command(*map(str, words), str(tmp_path / "experiment.yaml"))
    assert "histodistill.drafting" in loaded
    assert "torch" not in loaded
