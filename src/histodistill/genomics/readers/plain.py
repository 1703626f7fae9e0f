"""A plain table of patients x genes: CSV, TSV, Parquet or Excel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.barcodes import find_barcode
from histodistill.errors import InputError, listed
from histodistill.gate.archives import require_plausible_parquet, require_plausible_zip
from histodistill.genomics.matrix import MOST_CELLS, SampleMatrix
from histodistill.genomics.readers.cbioportal import SYMBOL
from histodistill.genomics.readers.delimited import MISSING, read_columns
from histodistill.genomics.readers.header import Header
from histodistill.genomics.readers.xena import annotation_columns, names_genes
from histodistill.tables.typed import first_sheet, unread_sheets

_LISTED_PROBLEMS = 10


def is_plain(header: Header, patient_column: str) -> bool:
    """Whether the header has the patient column, or R wrote patients as the names of rows."""
    if header.has_names_of_rows and any(map(find_barcode, header.first_cells)):
        return True
    return patient_column in header.columns


def read_plain_text(path: Path, header: Header, patient_column: str) -> SampleMatrix:
    """Read a delimited table of patients x genes.

    Raises:
        InputError: No patient column, no gene column, or malformed cells.
    """
    if header.has_names_of_rows and patient_column not in header.columns:
        patient_column = header.columns[0]
    _check_columns(path, header.columns, patient_column)
    patient = header.columns.index(patient_column)
    genes = [i for i in range(len(header.columns)) if i != patient]
    (samples,), values = read_columns(path, header, texts=[patient], numbers=genes)
    return _matrix(path, samples, [header.columns[i] for i in genes], values)


def read_plain_frame(path: Path, frame: pd.DataFrame, patient_column: str) -> SampleMatrix:
    """Turn a loaded Excel sheet or Parquet table of patients x genes into a matrix.

    Raises:
        InputError: No patient column, no gene column, or cells that are not numbers.
    """
    if frame.index.name == patient_column and patient_column not in frame.columns:
        frame = frame.reset_index()
    frame.columns = frame.columns.astype(str).str.strip()
    if is_of_gene_rows(frame, patient_column):
        frame = _turned(frame, patient_column)
    _check_columns(path, list(frame.columns), patient_column)
    samples = ["" if pd.isna(cell) else str(cell).strip() for cell in frame[patient_column]]
    genes = frame.drop(columns=patient_column)
    numbers = genes.apply(pd.to_numeric, errors="coerce")
    problems = _not_numbers(path, samples, genes, numbers)
    if problems:
        raise InputError(*problems)
    return _matrix(
        path, samples, list(genes.columns), numbers.to_numpy(np.float32, na_value=np.nan)
    )


def is_of_gene_rows(frame: pd.DataFrame, patient_column: str) -> bool:
    """Whether the first column of a loaded table names genes, and the others samples."""
    columns = list(map(str, frame.columns))
    first = columns[0].strip()
    return patient_column not in columns and (first == SYMBOL or names_genes(first))


def _turned(frame: pd.DataFrame, patient_column: str) -> pd.DataFrame:
    """Genes x samples as patients x genes, without columns that tell of genes."""
    kept = frame.drop(columns=frame.columns[annotation_columns(list(frame.columns))])
    genes = kept.iloc[:, 0].map(lambda cell: "" if pd.isna(cell) else str(cell).strip())
    turned = kept.iloc[:, 1:].T
    turned.columns = pd.Index(genes, dtype=object)
    turned.insert(0, patient_column, turned.index)
    return turned


def read_frame(path: Path, notes: list[str], *, excel: bool) -> pd.DataFrame:
    """Load the first sheet of an Excel file, or a Parquet file.

    Args:
        path: The file.
        notes: Takes which sheets with cells are left unread.
        excel: Whether it is Excel.

    Raises:
        InputError: The file is damaged.
    """
    try:
        if excel:
            require_plausible_zip(path)
            with pd.ExcelFile(path) as book:
                notes += unread_sheets(path, book)
                return pd.read_excel(book, first_sheet(book))
        require_plausible_parquet(path, cells=MOST_CELLS)
        return pd.read_parquet(path)
    except InputError:
        raise
    except Exception as error:  # the engines raise many kinds, none of them documented
        kind = "Excel" if excel else "Parquet"
        raise InputError(
            f"{path}: cannot be read as {kind}; it is truncated or damaged."
        ) from error


def _check_columns(path: Path, columns: list[str], patient_column: str) -> None:
    if patient_column not in columns:
        raise InputError(
            f"{path}: has no column {patient_column!r}; its columns are {listed(columns, 5)}. "
            "Name the patient column, or the file's format."
        )
    if len(columns) == 1:
        raise InputError(f"{path}: has no gene column beside {patient_column!r}.")


def _matrix(
    path: Path,
    samples: list[str],
    genes: list[str],
    values: NDArray[np.float32],
) -> SampleMatrix:
    nameless = [row + 1 for row, sample in enumerate(samples) if not sample]
    if nameless and np.isnan(values[[row - 1 for row in nameless]]).all():  # blank rows
        named = [row for row, sample in enumerate(samples) if sample]
        samples, values, nameless = [samples[row] for row in named], values[named], []
    if nameless:
        rows = listed([str(row) for row in nameless])
        raise InputError(f"{path}: no patient is named in row {rows} of the values.")
    return SampleMatrix(samples, genes, values)


def _not_numbers(
    path: Path, samples: list[str], genes: pd.DataFrame, numbers: pd.DataFrame
) -> list[str]:
    lost = (genes.notna() & numbers.isna() & ~genes.isin(MISSING)).to_numpy()
    places = np.argwhere(lost)
    problems = [
        f"{path}: row {row + 1} ({samples[row]}), column {genes.columns[column]}: "
        f"{str(genes.iloc[row, column])!r} is not a number."
        for row, column in places[:_LISTED_PROBLEMS]
    ]
    n_more = len(places) - len(problems)
    return [*problems, f"{path}: {n_more} more such problems."] if n_more else problems
