"""The ablation of the paper, as an experiment of its own on the same cohort."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histodistill.errors import InputError
from histodistill.experiment.reading import read_experiment
from histodistill.experiment.recipes import merged, recipe
from histodistill.experiment.settings import Experiment
from histodistill.model.registries import GENE_TERMS

REFERENCE = "mkd"
ABLATION = (
    REFERENCE,
    "mkd-no-decomposition",
    "mkd-no-orthogonality",
    "mkd-no-alignment",
    "mkd-no-similarity",
    "mkd-no-collaboration",
    "mkd-concat",
    "mkd-labels-only",
    "abmil",
)
WITHOUT_DISTILLATION = ("mkd-labels-only", "abmil")
# What may teach the student beside the components of the method.
TAUGHT_BY = ("distillation", "from_genes", *GENE_TERMS.names())
# Column of the ablation table, and the weight that it stands for.
COMPONENTS = {
    "MKD-L_OR": "orthogonality",
    "MKD-L_CORAL": "alignment",
    "SKD": "similarity",
    "CLOD": "collaboration",
}


def read_ablation(path: Path) -> Experiment:
    """An experiment's cohort, folds, targets and seeds, with the rows of the ablation as methods.

    What the experiment changes in its method ``mkd`` is changed in every row, below what makes
    the row; other ways to distil not in the rows without distillation, and a monitored teacher not
    in the slide-only row. Its output is the folder ``ablation`` in the experiment's.

    Raises:
        InputError: Not an experiment, or one without slides or genes.
    """
    experiment = read_experiment(path, _ablation)
    return experiment.model_copy(update={"output": experiment.output / "ablation"})


def components(experiment: Experiment) -> dict[str, dict[str, bool]]:
    """Which of the method's components each row of the ablation has."""
    return {
        name: {
            column: len(method.network.networks) > 1 and getattr(method.objective, weight) > 0
            for column, weight in COMPONENTS.items()
        }
        for name, method in experiment.methods.items()
    }


def _ablation(raw: dict[str, Any]) -> dict[str, Any]:
    methods = raw.get("methods")
    changes = methods.get(REFERENCE) if isinstance(methods, Mapping) else None
    if not isinstance(changes, Mapping):
        changes = {}
    if changes.get("recipe", REFERENCE) != REFERENCE:
        raise InputError(f"the method `{REFERENCE}` has another recipe; give it another name")
    rows = {name: _row(name, changes) for name in ABLATION}
    return raw | {"methods": rows, "baselines": []}


def _row(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A row: its recipe over the changes of ``mkd``."""
    own = recipe(name).changes
    row = merged(changes, own) | {"recipe": name}
    if name in WITHOUT_DISTILLATION:
        row["objective"] = {k: v for k, v in row["objective"].items() if k not in TAUGHT_BY}
    training = row.get("training")
    networks = own["network"].get("networks")
    if networks and isinstance(training, Mapping):
        monitored = str(training.get("monitor", "loss")).rpartition("_")[0]
        if monitored and monitored not in networks:
            row["training"] = {k: v for k, v in training.items() if k != "monitor"}
    return row
