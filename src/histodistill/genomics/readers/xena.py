"""UCSC Xena matrices: genes in rows, samples in columns, tab separated and usually gzipped.

The TCGA hub heads its first column ``sample`` and names genes by symbol. The GDC hub heads it
``Ensembl_ID``, names genes by versioned Ensembl ids (``ENSG00000091831.24``) and offers a probe map
(columns ``id``, ``gene``, ``chrom``, ...) that gives the symbols.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from histodistill.barcodes import find_barcode
from histodistill.errors import InputError, listed
from histodistill.genomics.matrix import SampleMatrix
from histodistill.genomics.readers.cbioportal import SYMBOL
from histodistill.genomics.readers.delimited import read_columns
from histodistill.genomics.readers.header import Header, open_binary, read_header

_FIRST_COLUMNS = frozenset(
    {"sample", "xena_sample", "ensembl_id", "gene", "gene_id", "gene_name", "gene_symbol", "symbol"}
    | {"hugo_symbol", "gene symbol", "gene name", "gene id", "geneid", "hgnc_symbol"}
)
_SYMBOLS = ("gene_name", "gene_symbol", "symbol", "hgnc_symbol", "external_gene_name", "gene name")
# What quantifiers and annotations of genes put between the names and the samples.
_ANNOTATIONS = frozenset(
    {*_SYMBOLS, "description", "chr", "chrom", "chromosome", "seqnames", "start", "end", "strand"}
    | {"length", "width", "gene_type", "gene_biotype", "biotype", "cytoband", "locusid"}
    | {"entrez", "entrezgene", "entrez_id", "entrez_gene_id", "ensembl", "ensembl_id"}
    | {"transcript_id(s)", "transcript_ids", "transcript_id"}
)


def is_xena(header: Header) -> bool:
    """Whether the first column is one that Xena gives the genes, or R gives rows of genes."""
    if header.has_names_of_rows:
        return any(map(find_barcode, header.columns[1:]))
    return names_genes(header.columns[0]) and header.columns[0] != SYMBOL


def names_genes(column: str) -> bool:
    """Whether a first column of this name holds genes."""
    return column.lower() in _FIRST_COLUMNS


def annotation_columns(columns: Sequence[str]) -> list[int]:
    """Places of the columns, behind the first, that tell of genes and hold no sample."""
    return [i for i, name in enumerate(columns) if i and name.strip().lower() in _ANNOTATIONS]


def _symbol_column(columns: Sequence[str], annotations: Sequence[int]) -> int | None:
    """The place of the genes' symbols, where they stand beside other names of them."""
    named = {columns[i].strip().lower(): i for i in reversed(annotations)}
    return next((named[name] for name in _SYMBOLS if name in named), None)


def read_xena(path: Path, header: Header) -> SampleMatrix:
    """Read a Xena matrix; Ensembl ids become symbols where a probe map lies beside the file.

    Raises:
        InputError: No sample column, samples in rows, several probe maps, or malformed cells.
    """
    annotations = annotation_columns(header.columns)
    samples = [i for i in range(1, len(header.columns)) if i not in annotations]
    if not samples:
        raise InputError(f"{path}: has no sample column after {header.columns[0]!r}.")
    symbol = _symbol_column(header.columns, annotations)
    texts = [0] if symbol is None else [0, symbol]
    (genes, *named), values = read_columns(path, header, texts=texts, numbers=samples)
    if genes and find_barcode(genes[0]):
        raise InputError(
            f"{path}: column {header.columns[0]!r} holds samples ({genes[0]}, ...) where a Xena "
            "matrix has genes; name the format 'plain' and this column as the patient column."
        )
    symbols, notes = (named[0], ()) if named else _symbols(path, genes)
    told = _of_annotations(header.columns, annotations, symbol)
    names = [header.columns[i] for i in samples]
    return SampleMatrix(names, symbols, values.T, notes=(*told, *notes))


def _of_annotations(
    columns: Sequence[str], annotations: Sequence[int], symbol: int | None
) -> Iterator[str]:
    if symbol is not None:
        yield f"Genes are named by the column {columns[symbol]!r}."
    others = [columns[i] for i in annotations if i != symbol]
    if others:
        yield f"Columns that tell of genes were not read: {listed(others)}."


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
