"""Genes that the user named: each must be somewhere, or is a problem that names it."""

from __future__ import annotations

from collections.abc import Iterator

from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment
from histodistill.genomics import absent_names


def gene_name_problems(experiment: Experiment, data: ExperimentData) -> Iterator[str]:
    """Genes to exclude that a block lacks, and genes to report that no block has."""
    for name, block in experiment.genomics.items():
        present = list(data.genomics[name].columns)
        for problem in absent_names(block.selection.exclude, present):
            yield f"genomics.{name}: `exclude` names a gene that is not excluded: {problem}"
    # The default names the receptors' genes, which a panel may lack.
    if "genes" in experiment.model_fields_set and data.genomics:
        present = sorted({gene for table in data.genomics.values() for gene in table.columns})
        for problem in absent_names(experiment.genes, present):
            yield f"genes: {problem}"
