"""UCSC Xena matrices: genes in rows, samples in columns, tab separated and usually gzipped.

The TCGA hub heads its first column ``sample`` and names genes by symbol. The GDC hub heads it
``Ensembl_ID``, names genes by versioned Ensembl ids (``ENSG00000091831.24``) and offers a probe map
(columns ``id``, ``gene``, ``chrom``, ...) that gives the symbols.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from histodistill.barcodes import find_barcode
from histodistill.errors import InputError, listed
from histodistill.genomics.matrix import SampleMatrix
from histodistill.genomics.readers.delimited import read_columns
from histodistill.genomics.readers.header import Header, open_binary, read_header

_FIRST_COLUMNS = frozenset(
    {"sample", "xena_sample", "ensembl_id", "gene", "gene_id", "gene_name", "gene_symbol", "symbol"}
)


def is_xena(header: Header) -> bool:
    """Whether the first column is one that Xena gives the genes, or R gives rows of genes."""
    if not header.columns[0]:
        return any(map(find_barcode, header.columns[1:]))
    return header.columns[0].lower() in _FIRST_COLUMNS


def read_xena(path: Path, header: Header) -> SampleMatrix:
    """Read a Xena matrix; Ensembl ids become symbols where a probe map lies beside the file.

    Raises:
        InputError: No sample column, samples in rows, several probe maps, or malformed cells.
    """
    samples = list(range(1, len(header.columns)))
    if not samples:
        raise InputError(f"{path}: has no sample column after {header.columns[0]!r}.")
    (genes,), values = read_columns(path, header, texts=[0], numbers=samples)
    if genes and find_barcode(genes[0]):
        raise InputError(
            f"{path}: column {header.columns[0]!r} holds samples ({genes[0]}, ...) where a Xena "
            "matrix has genes; name the format 'plain' and this column as the patient column."
        )
    symbols, notes = _symbols(path, genes)
    return SampleMatrix(header.columns[1:], symbols, values.T, notes=notes)


def _symbols(path: Path, genes: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Symbols for Ensembl ids; names of any other kind are returned as they are."""
    if not genes or not genes[0].startswith("ENSG"):
        return genes, ()
    maps = sorted(path.parent.glob("*.probemap")) + sorted(path.parent.glob("*.probeMap"))
    if len(maps) > 1:
        names = listed([file.name for file in maps])
        raise InputError(f"{path}: several probe maps lie beside it ({names}); leave one.")
    if not maps:
        note = (
            "Genes carry Ensembl ids, since no *.probemap lies beside the file: "
            "gene lists and panels must use these ids too."
        )
        return [gene.split(".")[0] for gene in genes], (note,)
    symbols = _probe_map(maps[0])
    unknown = sum(gene not in symbols for gene in genes)
    note = f"Ensembl ids became symbols through {maps[0].name}; {unknown} ids are not in it."
    return [symbols.get(gene, "") for gene in genes], (note,)


def _probe_map(path: Path) -> dict[str, str]:
    header = read_header(path)
    if not {"id", "gene"} <= set(header.columns):
        raise InputError(f"{path}: is no probe map; it lacks the columns 'id' and 'gene'.")
    with open_binary(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig") as text:
        return {row["id"]: row["gene"] for row in csv.DictReader(text, delimiter=header.delimiter)}
