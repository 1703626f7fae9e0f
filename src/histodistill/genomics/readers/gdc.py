"""A folder of the GDC's STAR gene counts, one file a sample, as its download tools leave it.

Each ``*.rna_seq.augmented_star_gene_counts.tsv``, in the folder or in its sub-folders, has a
comment line (``# gene-model: GENCODE v36``), a header, four rows of statistics (``N_unmapped``,
``N_multimapping``, ``N_noFeature``, ``N_ambiguous``) and one row a gene. Which sample a file is of
stands in the cart's sample sheet (``gdc_sample_sheet*.tsv``) or metadata (``metadata*.json``).
"""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histodistill.barcodes import find_barcode
from histodistill.errors import InputError, listed
from histodistill.gate.text import read_json
from histodistill.genomics.matrix import SampleMatrix
from histodistill.genomics.readers.delimited import read_columns
from histodistill.genomics.readers.header import Header, open_binary, read_header

SUFFIX = ".rna_seq.augmented_star_gene_counts.tsv"
_PSEUDOAUTOSOMAL = "_PAR_Y"


@dataclass(frozen=True)
class _Sample:
    """Whose sample a file is: its barcode, the case, and whether it is a primary tumour."""

    sample: str
    case: str | None = None
    primary: bool | None = None


def read_gdc(folder: Path, column: str) -> SampleMatrix:
    """Read every STAR-counts file of a folder and its sub-folders.

    Args:
        folder: Where the files and the sample sheet (or metadata) lie.
        column: The quantity to read, such as ``tpm_unstranded`` or ``unstranded``.

    Raises:
        InputError: No count files, no or an unusable sample sheet, files that it does not list,
            a missing column, files of different gene models, or malformed cells.
    """
    files = sorted([*folder.rglob(f"*{SUFFIX}"), *folder.rglob(f"*{SUFFIX}.gz")])
    if not files:
        raise InputError(f"{folder}: holds no *{SUFFIX} file.")
    identities = _identities(folder)
    unlisted = [file.name for file in files if file.name.removesuffix(".gz") not in identities]
    if unlisted:
        raise InputError(
            f"{folder}: the sample sheet does not list {len(unlisted)} of the {len(files)} files: "
            f"{listed(unlisted, 5)}; use the sheet of the same download."
        )
    samples = [identities[file.name.removesuffix(".gz")] for file in files]
    # Where a sample has a TCGA barcode, its sample type decides later.
    kept = [i for i, s in enumerate(samples) if s.primary is not False or find_barcode(s.sample)]
    if not kept:
        raise InputError(f"{folder}: no file is of a primary tumour.")
    genes, values, notes = _values([files[i] for i in kept], column)
    n_other = len(files) - len(kept)
    if n_other:
        notes.append(f"{n_other} files of samples that are not primary tumours were left out.")
    return SampleMatrix(
        [samples[i].sample for i in kept],
        genes,
        values,
        patients=_cases([samples[i] for i in kept]),
        notes=tuple(notes),
    )


def _cases(samples: list[_Sample]) -> list[str] | None:
    cases = [sample.case for sample in samples if sample.case]
    return cases if len(cases) == len(samples) else None


def _values(files: list[Path], column: str) -> tuple[list[str], NDArray[np.float32], list[str]]:
    """Symbols, values [n_files, n_genes] and notes; all files must have the same genes."""
    ids, symbols = _genes(files[0])

    def row(file: Path) -> NDArray[np.float32] | None:
        other_ids, values = _one_file(file, column)
        return values if other_ids == ids else None

    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(row, files))
    other = [file.name for file, values in zip(files, rows, strict=True) if values is None]
    if other:
        raise InputError(
            f"{files[0].parent}: {len(other)} files have other genes than {files[0].name}: "
            f"{listed(other, 5)}; download all files from one GDC release."
        )
    # The Y copies of pseudoautosomal genes share the X copies' symbols and are always zero.
    kept = [i for i, gene in enumerate(ids) if _is_gene(gene)]
    n_copies = sum(gene.endswith(_PSEUDOAUTOSOMAL) for gene in ids)
    notes = [f"{n_copies} Y copies of pseudoautosomal genes were left out."] if n_copies else []
    values = np.stack([values[kept] for values in rows if values is not None])
    return [symbols[i] for i in kept], values, notes


def _is_gene(identifier: str) -> bool:
    return not identifier.startswith("N_") and not identifier.endswith(_PSEUDOAUTOSOMAL)


def _genes(path: Path) -> tuple[list[str], list[str]]:
    """Ensembl ids and symbols of one file, read statistics included."""
    header = _checked_header(path, ("gene_id", "gene_name"))
    columns = [header.columns.index(name) for name in ("gene_id", "gene_name")]
    (ids, symbols), _ = read_columns(path, header, texts=columns, numbers=[])
    return ids, symbols


def _one_file(path: Path, column: str) -> tuple[list[str], NDArray[np.float32]]:
    """Ensembl ids and values [n_rows] of one file, read statistics included."""
    header = _checked_header(path, ("gene_id", column))
    (ids,), values = read_columns(
        path,
        header,
        texts=[header.columns.index("gene_id")],
        numbers=[header.columns.index(column)],
    )
    return ids, values[:, 0]


def _checked_header(path: Path, needed: tuple[str, ...]) -> Header:
    header = read_header(path)
    absent = [name for name in needed if name not in header.columns]
    if absent:
        raise InputError(
            f"{path}: has no column {listed(absent)}; its columns are {listed(header.columns)}."
        )
    return header


def _identities(folder: Path) -> dict[str, _Sample]:
    """The sample of each file name, from the sample sheet or else the metadata."""
    for pattern, read in (("gdc_sample_sheet*.tsv", _sample_sheet), ("metadata*.json", _metadata)):
        found = sorted(folder.rglob(pattern))
        if found:
            return {name: who for file in found for name, who in read(file).items()}
    raise InputError(
        f"{folder}: says nowhere whose samples the files are; put the cart's sample sheet "
        "(gdc_sample_sheet*.tsv) or metadata (metadata*.json) into it."
    )


def _sample_sheet(path: Path) -> dict[str, _Sample]:
    header = read_header(path)
    absent = [c for c in ("File Name", "Case ID", "Sample ID") if c not in header.columns]
    if absent:
        raise InputError(f"{path}: is no GDC sample sheet; it lacks the columns {listed(absent)}.")
    with open_binary(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig") as text:
        rows = list(csv.DictReader(text, delimiter="\t"))
    return {
        row["File Name"].removesuffix(".gz"): _Sample(
            row["Sample ID"], row["Case ID"], _primary(row)
        )
        for row in rows
    }


def _primary(row: dict[str, str]) -> bool | None:
    """Whether a sheet's row is of a primary tumour: sheets changed their columns over the years."""
    if row.get("Sample Type"):
        return row["Sample Type"].strip() == "Primary Tumor"
    if row.get("Tissue Type") and row.get("Tumor Descriptor"):
        return (row["Tissue Type"].strip(), row["Tumor Descriptor"].strip()) == ("Tumor", "Primary")
    return None


def _metadata(path: Path) -> dict[str, _Sample]:
    try:
        entries: list[dict[str, Any]] = read_json(path)
        return {
            entry["file_name"].removesuffix(".gz"): _Sample(
                entry["associated_entities"][0]["entity_submitter_id"]
            )
            for entry in entries
        }
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: is no GDC metadata file; it needs a list of entries with 'file_name' and "
            "'associated_entities'."
        ) from error
