"""A genomic block as the rest of the library sees it: patients x genes, with notes on the way."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.barcodes import PRIMARY_TUMOUR
from histodistill.errors import InputError, listed
from histodistill.genomics.derived import derived_notes, derived_problems
from histodistill.genomics.gene_names import (
    date_notes,
    dates_among,
    normalised,
    number_problem,
    shortened_notes,
)
from histodistill.genomics.matrix import SampleMatrix
from histodistill.genomics.mixture import mixed_problems
from histodistill.genomics.quantity import quantity_of, transform_problem
from histodistill.genomics.readers import LAYOUTS, Format, read_matrix
from histodistill.genomics.samples import ResolvedSamples, resolve_samples
from histodistill.tables.cells import numeric_code

Transform = Literal["none", "log2p1"]
# Of fewer genes all may have one value by chance.
_FEWEST_GENES = 30
# Two transcripts of a gene, or two probes of it, go together over so many patients.
_FEWEST_PATIENTS, _LEAST_AGREEMENT = 20, 0.3


@dataclass(frozen=True)
class GenomicTable:
    """One named block of genomic values (mRNA, copy number, ...).

    Attributes:
        name: The block's name.
        values: Patients x genes, float32, NaN for missing; the index is called ``PATIENT`` and the
            columns are gene symbols, both without repeats.
        notes: What was left out, resolved or found missing on the way, one sentence each.
        scale_problems: Why the values cannot be learned from as they are, one sentence each: a
            transform that does not fit them, or patients on different scales.
        unused: Settings that this file gave no use for, each with the reason.
    """

    name: str
    values: pd.DataFrame
    notes: tuple[str, ...]
    scale_problems: tuple[str, ...] = ()
    unused: Mapping[str, str] = field(default_factory=dict)


def read_genomic_table(
    path: Path,
    *,
    name: str,
    format: Format = "auto",  # noqa: A002 (the word that users know from their configuration)
    transform: Transform = "none",
    gdc_column: str = "tpm_unstranded",
    patient_column: str = "PATIENT",
    sample_pattern: str | None = None,
    sample_types: Collection[str] = (PRIMARY_TUMOUR,),
) -> GenomicTable:
    r"""Read a genomic block of any supported layout, one row a patient.

    Samples become patients by the rules of :func:`histodistill.genomics.samples.resolve_samples`.
    Genes that share a symbol are averaged within each patient, before the transform: a rule that
    looks at no other patient, so that it is the same in every fold and for new patients. Rows
    without a symbol, and genes and patients without any value, are left out. All of it is told in
    ``notes``.

    Args:
        path: A file, or a folder of GDC STAR counts.
        name: The block's name, used in messages.
        format: The layout, or ``auto`` to recognise it by content.
        transform: ``log2p1`` takes log2(x + 1) of every value.
        gdc_column: The quantity to read from GDC files.
        patient_column: The column that names patients in a plain table.
        sample_pattern: Regular expression whose first group (or whole match) is the patient, for
            sample identifiers that are not TCGA barcodes.
        sample_types: TCGA sample types that are wanted; other samples are left out.

    Raises:
        InputError: The file cannot be read, or holds no patient, no gene, values that are not
            numbers, infinite values, or negative ones under ``log2p1``.

    Examples:
        >>> _ = Path("mrna.csv").write_text("PATIENT,ESR1,PGR\nP1,1.5,0.2\nP2,-0.3,NA\n")
        >>> block = read_genomic_table(Path("mrna.csv"), name="mrna")
        >>> block.values.shape
        (2, 2)
        >>> print(*block.notes)
        1 values are missing (25.00%), in 1 genes and 1 patients.
    """
    source = f"{path} (block {name})"
    matrix = read_matrix(path, format, gdc_column=gdc_column, patient_column=patient_column)
    if not matrix.samples or not matrix.genes:
        lacking = "sample" if not matrix.samples else "gene"
        raise InputError(f"{source}: holds no {lacking}.")
    resolved = resolve_samples(
        matrix.samples,
        patients=matrix.patients,
        pattern=sample_pattern,
        sample_types=sample_types,
        source=str(path),
    )
    frame, gene_notes = _by_symbol(matrix, resolved, source)
    _check_values(frame, source, transform)
    frame, patient_notes = _without_empty_patients(frame)
    frame, missing_notes = _without_empty_genes(frame)
    if frame.empty:
        raise InputError(f"{source}: holds no gene with a symbol and a value.")
    scale_problems = tuple(_scale_problems(frame, source, transform))
    derived = derived_notes(frame.to_numpy(), [str(gene) for gene in frame.columns])
    told = (*derived, *_constant_notes(frame))
    if transform == "log2p1":
        frame = frame.apply(lambda gene: np.log2(gene + np.float32(1)))
    notes = (*matrix.notes, *resolved.notes, *gene_notes, *patient_notes, *missing_notes, *told)
    unused = _unused(matrix, resolved.by_pattern, path)
    return GenomicTable(name, frame, notes, scale_problems, unused)


def _by_symbol(
    matrix: SampleMatrix, resolved: ResolvedSamples, source: str
) -> tuple[pd.DataFrame, list[str]]:
    """Patients x gene symbols, each symbol once, and notes on what was done for that."""
    numbered = number_problem(matrix.genes)
    if numbered is not None:
        raise InputError(f"{source}: {numbered}.")
    dates = dates_among(matrix.genes)
    names = ["" if gene in dates else normalised(gene) for gene in matrix.genes]
    genes, values, notes = _unique_genes(names, matrix.array[resolved.rows])
    notes.extend((*shortened_notes(matrix.genes, names), *date_notes(matrix.genes)))
    index = pd.Index(resolved.patients, name="PATIENT", dtype=object)
    return pd.DataFrame(values, index=index, columns=genes), notes


def _unused(matrix: SampleMatrix, by_pattern: bool, path: Path) -> dict[str, str]:
    """Settings that the file gave no use for, and why."""
    unused = {
        setting: f"{path} has {LAYOUTS[matrix.layout]}"
        for setting, layout in (("gdc_column", "gdc"), ("patient_column", "plain"))
        if matrix.layout != layout
    }
    if not by_pattern:
        unused["sample_pattern"] = f"every sample of {path} is named by a TCGA barcode"
    return unused


def _scale_problems(frame: pd.DataFrame, source: str, transform: Transform) -> Iterator[str]:
    values = frame.to_numpy()
    coded = numeric_code(values)
    if coded is not None:
        code, n = coded
        yield (
            f"{source}: {n} values are {code}, far from all others: a code for what was not "
            "measured; leave these cells empty."
        )
        return
    problems = list(mixed_problems(values, [str(patient) for patient in frame.index]))
    unfit = transform_problem(quantity_of(values), transform)
    if unfit is not None and not problems:
        problems = [unfit]
    problems = problems or list(derived_problems(values, transform))
    yield from (f"{source}: {problem}." for problem in problems)


def _unique_genes(
    genes: list[str], values: NDArray[np.float32]
) -> tuple[list[str], NDArray[np.float32], list[str]]:
    """Average the columns that share a symbol; drop those that have none."""
    places: dict[str, list[int]] = {}
    for column, gene in enumerate(genes):
        places.setdefault(gene, []).append(column)
    n_nameless = len(places.pop("", []))
    repeated = {gene: columns for gene, columns in places.items() if len(columns) > 1}
    unique = values[:, [columns[0] for columns in places.values()]]
    position = {gene: i for i, gene in enumerate(places)}
    for gene, columns in repeated.items():
        unique[:, position[gene]] = _mean_of_present(values[:, columns])
    notes = []
    if n_nameless:
        notes.append(f"{n_nameless} rows without a gene symbol were left out.")
    if repeated:
        notes.append(
            f"{len(repeated)} gene symbols occur more than once; their values were averaged: "
            f"{listed(list(repeated), 5)}."
        )
    apart = [gene for gene, columns in repeated.items() if _disagree(values[:, columns])]
    if apart:
        notes.append(
            f"{listed(apart, 5)}: rows of one symbol that tell different things (correlation below "
            f"{_LEAST_AGREEMENT}), and whose mean tells neither; keep the right row of each."
        )
    return list(places), unique, notes


def _disagree(columns: NDArray[np.float32]) -> bool:
    """Whether any of the columns [n, k] hardly goes with the first."""
    whole = columns[~np.isnan(columns).any(axis=1)].astype(np.float64)
    varied = whole[:, whole.std(axis=0) > 0] if len(whole) else whole
    if len(whole) < _FEWEST_PATIENTS or varied.shape[1] < 2:
        return False
    return bool(np.asarray(np.corrcoef(varied.T))[0].min() < _LEAST_AGREEMENT)


def _mean_of_present(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row means over the values that are there; NaN where none is."""
    present = ~np.isnan(columns)
    total = np.where(present, columns, 0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / present.sum(axis=1), dtype=np.float32)


def _check_values(frame: pd.DataFrame, source: str, transform: Transform) -> None:
    problems = []
    infinite = np.isinf(frame.to_numpy())
    if infinite.any():
        problems.append(
            f"{source}: {infinite.sum()} values are infinite: {_examples(frame, infinite)}; "
            "mend them or leave them empty."
        )
    negative = frame.to_numpy() < 0
    if transform == "log2p1" and negative.any():
        problems.append(
            f"{source}: log2(x + 1) needs values of 0 or more, and {negative.sum()} are negative: "
            f"{_examples(frame, negative)}. Values that are z-scores or logarithms already take "
            "the transform 'none'."
        )
    if problems:
        raise InputError(*problems)


def _examples(frame: pd.DataFrame, where: NDArray[np.bool_]) -> str:
    cells = np.argwhere(where)
    shown = [f"{frame.columns[g]} of {frame.index[p]}" for p, g in cells[:3]]
    return ", ".join(shown) + (", ..." if len(cells) > len(shown) else "")


def _without_empty_patients(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out patients who have a row and no value: they were not measured."""
    empty = np.isnan(frame.to_numpy()).all(axis=1)
    if not empty.any():
        return frame, []
    names = listed(list(frame.index[empty]), 5)
    return frame[~empty], [f"{empty.sum()} patients without any value were left out: {names}."]


def _constant_notes(frame: pd.DataFrame) -> list[str]:
    """Patients who have one value for all genes, which no expression does."""
    values = frame.to_numpy()
    if values.shape[1] < _FEWEST_GENES or quantity_of(values) == "levels":
        return []
    alike = np.nanmin(values, axis=1) == np.nanmax(values, axis=1)
    if not alike.any():
        return []
    names = listed([str(patient) for patient in frame.index[alike]], 5)
    return [
        f"{alike.sum()} patients have the same value for every gene: {names}; were they measured?"
    ]


def _without_empty_genes(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    missing = np.isnan(frame.to_numpy())
    empty = np.asarray(missing.all(axis=0))
    notes = []
    if empty.any():
        names = listed(list(frame.columns[np.flatnonzero(empty)]), 5)
        notes.append(f"{empty.sum()} genes without any value were left out: {names}.")
    partly = missing[:, ~empty]
    if partly.any():
        notes.append(
            f"{partly.sum()} values are missing ({partly.mean():.2%}), "
            f"in {partly.any(axis=0).sum()} genes and {partly.any(axis=1).sum()} patients."
        )
    return frame.iloc[:, np.flatnonzero(~empty)] if empty.any() else frame, notes
