"""Genomic blocks against what the experiment asks of them: patients, scale, names, selection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from histodistill.cohort import ClinicalTable
from histodistill.cohort.patients import alike_in_other_spelling
from histodistill.errors import InputError, listed
from histodistill.experiment.inputs import BlockSettings
from histodistill.experiment.settings import Experiment
from histodistill.genomics import GenomicTable, absent_names, check_selection
from histodistill.genomics.gene_names import normalised

# By chance, no gene has one value in each class of so many patients.
_FEWEST_PATIENTS, _FEWEST_OF_A_CLASS = 20, 5


def genomic_problems(
    experiment: Experiment, tables: Mapping[str, GenomicTable], clinical: ClinicalTable | None
) -> Iterator[str]:
    """What keeps blocks from being used as the experiment says, in sentences.

    Args:
        experiment: The experiment.
        tables: Its blocks by name, those that could be read.
        clinical: The clinical table; None where it could not be read.
    """
    for name, table in tables.items():
        block = experiment.genomics[name]
        yield from _unused_settings(name, block, table)
        if block.check_scale:
            yield from table.scale_problems
        unknown = list(_unknown_genes(name, block, table))
        yield from unknown
        yield from _more_genes_than_there_are(name, block, table)
        if clinical is None:
            continue
        known = table.values.index.isin(clinical.patients)
        if not known.any():
            yield _strangers(experiment, name, table, clinical)
        elif not unknown:
            yield from _selection_problems(name, block, table.values[known], clinical)
            yield from _label_genes(name, block, table.values[known], clinical)
    if len(tables) == len(experiment.genomics):
        yield from _unknown_single_genes(experiment, tables)


def _unused_settings(name: str, block: BlockSettings, table: GenomicTable) -> Iterator[str]:
    """Settings that the user changed and that reading the file had no use for."""
    for setting, why in table.unused.items():
        if getattr(block, setting) != BlockSettings.model_fields[setting].default:
            yield f"genomics.{name}: `{setting}` is not used: {why}; leave it out"


def _unknown_genes(name: str, block: BlockSettings, table: GenomicTable) -> Iterator[str]:
    present = list(table.values.columns)
    for problem in absent_names(block.selection.exclude, present):
        yield f"genomics.{name}: `exclude` names a gene that is not excluded: {problem}"
    for problem in absent_names(block.selection.genes, present):
        yield f"genomics.{name}: `genes` names a gene that cannot be read: {problem}"


def _more_genes_than_there_are(
    name: str, block: BlockSettings, table: GenomicTable
) -> Iterator[str]:
    """A number of genes that the user set and that the table does not have."""
    wanted, n = block.selection.n_genes, table.values.shape[1]
    # Experiments that a program wrote hold the default as well.
    if wanted not in (None, type(block.selection)().n_genes) and wanted > n:
        yield (
            f"genomics.{name}: `n_genes: {wanted}`, and {block.file} has {n} genes; write a number "
            "up to that, `n_genes: null` for all, or give the whole table"
        )


def _unknown_single_genes(
    experiment: Experiment, tables: Mapping[str, GenomicTable]
) -> Iterator[str]:
    """Genes to report one by one that no block has."""
    # The default names the receptors' genes, which a panel may lack.
    if "genes" in experiment.model_fields_set and tables:
        present = sorted({gene for table in tables.values() for gene in table.values.columns})
        for problem in absent_names(experiment.genes, present):
            yield f"genes: {problem}"


def _strangers(
    experiment: Experiment, name: str, table: GenomicTable, clinical: ClinicalTable
) -> str:
    patients = [str(patient) for patient in table.values.index]
    turned = table.values.columns.intersection(list(clinical.patients))
    if len(turned):
        return (
            f"{experiment.genomics[name].file} (block {name}): the table is turned: its columns "
            f"are patients ({listed(list(map(str, turned)), 3)}), its rows {listed(patients, 3)}; "
            "transpose it, or call its first column `sample` (Xena's layout, genes x samples)"
        )
    return (
        f"{experiment.genomics[name].file} (block {name}): no sample belongs to a patient of "
        f"{experiment.cohort.clinical}; samples name patients such as "
        f"{listed(patients, 3)}{alike_in_other_spelling(patients, clinical.patients)}"
    )


def _selection_problems(
    name: str, block: BlockSettings, values: pd.DataFrame, clinical: ClinicalTable
) -> Iterator[str]:
    """Selections of genes that cannot work on this cohort."""
    chosen = block.selection
    try:
        check_selection(
            values,
            chosen.method,
            survival=clinical.survival,
            genes=chosen.genes,
            exclude=chosen.exclude,
        )
    except InputError as error:
        yield from (f"genomics.{name}: {problem}" for problem in error.problems)


def _label_genes(
    name: str, block: BlockSettings, values: pd.DataFrame, clinical: ClinicalTable
) -> Iterator[str]:
    """Columns with one value for each class of a target: no gene, but the label itself."""
    left_out = map(normalised, block.selection.exclude)
    values = values.drop(columns=list(left_out), errors="ignore")
    for target in clinical.labels:
        labels = clinical.labels[target].reindex(values.index).dropna()
        genes = _telling(values.loc[labels.index], labels)
        if genes:
            yield (
                f"genomics.{name}: {listed(genes, 5)} has one value for each class of {target}, "
                "and is no gene but the label itself; name it in `selection: exclude`, or take it "
                "out of the table"
            )


def _telling(values: pd.DataFrame, labels: pd.Series[int]) -> list[str]:
    """Columns that are constant within each class, and differ between all of them."""
    if len(labels) < _FEWEST_PATIENTS or labels.value_counts().min() < _FEWEST_OF_A_CLASS:
        return []
    groups = values.groupby(labels.to_numpy(int))
    lowest, highest = groups.min(), groups.max()
    pure = (lowest == highest).all() & (lowest.nunique() == labels.nunique())
    return [str(gene) for gene in pure.index[pure]]
