"""What a genomic file holds: its layout, whose samples, on which scale, which genes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from histodistill.drafting.naming import naming_of
from histodistill.errors import InputError, listed
from histodistill.genomics import GenomicTable, read_genomic_table
from histodistill.genomics.quantity import NAMES, quantity_of
from histodistill.genomics.readers.header import read_header

_USUAL_PATIENT_COLUMNS = ("patient", "patient_id", "patientid", "case_id", "sample", "sample_id")
_FEW_COLUMNS = 3


@dataclass(frozen=True, eq=False)
class Block:
    """A genomic block as a draft uses it.

    Attributes:
        name: The block's name.
        path: Its file or folder.
        reading: Settings that reading it needs, beside the file.
        patients: Known patients with values.
        genes: Names of its genes.
        remarks: What was found, in sentences.
        decide: What a person must decide, in sentences.
    """

    name: str
    path: Path
    reading: dict[str, Any] = field(default_factory=dict)
    patients: frozenset[str] = frozenset()
    genes: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()
    decide: tuple[str, ...] = ()


def look_at_block(name: str, path: Path, patients: Collection[str]) -> Block:
    """Read a genomic file in the way that makes its samples those of known patients.

    Args:
        name: The block's name.
        path: A file, or a folder of GDC counts.
        patients: The patients of the clinical table.
    """
    problems: tuple[str, ...] = ()
    for reading in _readings(path):
        try:
            table = read_genomic_table(path, name=name, **reading)
            samples = [str(sample) for sample in table.values.index]
            naming = naming_of(samples, patients, str)
            if naming.matched and naming.pattern is not None:
                reading |= {"sample_pattern": naming.pattern}
            if naming.matched:
                return _block(name, path, reading, patients)
            problems = problems or (_strangers(path, samples, patients),)
        except InputError as error:
            problems = problems or error.problems
    return Block(name, path, decide=problems)


def _readings(path: Path) -> Iterator[dict[str, Any]]:
    """Ways to read a file, the most usual first."""
    yield {}
    for column in _patient_columns(path):
        yield {"format": "plain", "patient_column": column}
    if path.is_file():
        yield {"format": "xena"}


def _patient_columns(path: Path) -> list[str]:
    """Columns of a text table that may name patients: those of usual names, then the first."""
    if path.is_dir():
        return []
    try:
        columns = read_header(path).columns
    except InputError:  # no text table
        return []
    usual = [name for name in columns if name.lower() in _USUAL_PATIENT_COLUMNS]
    return list(dict.fromkeys([*usual, *columns[:1]]))[:_FEW_COLUMNS]


def _block(name: str, path: Path, reading: dict[str, Any], patients: Collection[str]) -> Block:
    """The block, on a scale that can be learned from."""
    table = read_genomic_table(path, name=name, **reading)
    values = table.values
    quantity = quantity_of(values.to_numpy())
    first = listed([str(gene) for gene in values.columns[:2]])
    remarks = [
        f"{values.shape[0]} patients x {values.shape[1]} genes such as {first}; "
        f"{NAMES[quantity]} ({_span(values)})."
    ]
    if quantity == "raw":
        reading = {**reading, "transform": "log2p1"}
        remarks.append("Logarithms are taken: log2(x + 1).")
        table = read_genomic_table(path, name=name, **reading)
    known = frozenset(map(str, values.index)).intersection(patients)
    return Block(
        name,
        path,
        reading,
        known,
        frozenset(map(str, values.columns)),
        (*remarks, *_told(table), f"{len(known)} of its patients are in the clinical table."),
        table.scale_problems,
    )


def _span(values: pd.DataFrame) -> str:
    """Where the values lie; a few far ones show as such."""
    array = values.to_numpy()
    low, middle, high = np.nanquantile(array, [0.01, 0.5, 0.99])
    return (
        f"median {middle:.3g}, 98 % of them from {low:.3g} to {high:.3g}, all from "
        f"{np.nanmin(array):.3g} to {np.nanmax(array):.3g}"
    )


def _told(table: GenomicTable) -> Iterator[str]:
    for note in table.notes:
        yield note if note.endswith(".") else f"{note}."


def _strangers(path: Path, samples: list[str], patients: Collection[str]) -> str:
    return (
        f"no sample of {path} is recognised as one of a patient of the clinical table: samples are "
        f"named such as {listed(samples, 2)}, patients such as {listed(sorted(patients), 2)}. "
        "Write a `sample_pattern` whose ( ) holds the patient, below this block."
    )
