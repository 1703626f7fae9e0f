"""GCT files, versions 1.2 and 1.3: genes in rows, samples in columns, after two lines of sizes.

Layout (https://clue.io/connectopedia/gct_format): the version (``#1.2``); numbers of genes and of
samples (1.3: then of annotation columns and rows); the names of the columns. Version 1.2 has the
columns ``Name`` and ``Description`` before the samples; 1.3 has ``id`` and its annotation columns,
and its annotation rows come first.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from histodistill.errors import InputError
from histodistill.genomics.matrix import SampleMatrix
from histodistill.genomics.readers.delimited import read_columns
from histodistill.genomics.readers.header import Header, open_binary, read_header

_VERSIONS = {"#1.2": 2, "#1.3": 4}
_SYMBOL_COLUMNS = frozenset({"symbol", "genesymbol", "prgenesymbol", "gene", "genename"})


class _Sizes(NamedTuple):
    genes: int
    samples: int
    annotation_columns: int
    annotation_rows: int


def is_gct(start: bytes) -> bool:
    """Whether the first four bytes of a file are a version of GCT."""
    return start.decode("ascii", "replace") in _VERSIONS


def read_gct(path: Path) -> SampleMatrix:
    """Read a GCT file.

    Genes are named by the column of symbols where there is one (1.3), or by the description where
    the names are Ensembl ids (1.2); else by the first column.

    Raises:
        InputError: The sizes are no numbers or not those of the table, or malformed cells.
    """
    sizes = _sizes(path)
    header = read_header(path, above=2)
    header = replace(header, n_lines=header.n_lines + sizes.annotation_rows)
    samples = list(range(1 + sizes.annotation_columns, len(header.columns)))
    named_by = _symbol_column(header, sizes)
    (ids, symbols), values = read_columns(path, header, texts=[0, named_by], numbers=samples)
    if (len(ids), len(samples)) != (sizes.genes, sizes.samples):
        raise InputError(
            f"{path}: its second line tells {sizes.genes} genes and {sizes.samples} samples, and "
            f"it has {len(ids)} and {len(samples)}; was it cut? Download or write it again."
        )
    return SampleMatrix([header.columns[i] for i in samples], _genes(ids, symbols), values.T)


def _sizes(path: Path) -> _Sizes:
    with open_binary(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig") as text:
        lines = [text.readline(1000) for _ in range(2)]
    wanted = _VERSIONS.get(lines[0][:4], 0)
    numbers = [int(cell) for cell in lines[1].split() if cell.isdecimal()]
    if len(numbers) < wanted or not wanted:
        raise InputError(
            f"{path}: is no GCT file of version 1.2 or 1.3: its second line is to tell the numbers "
            f"of genes and samples, and is {lines[1].strip()[:60]!r}."
        )
    genes, samples, columns, rows = numbers[:4] if wanted == 4 else (*numbers[:2], 1, 0)
    return _Sizes(genes, samples, columns, rows)


def _symbol_column(header: Header, sizes: _Sizes) -> int:
    """The column that may hold symbols; the first where there is none."""
    if sizes.annotation_columns == 1 and header.columns[1].lower() == "description":
        return 1
    for place, name in enumerate(header.columns[1 : 1 + sizes.annotation_columns], start=1):
        if name.lower().replace("_", "").replace(" ", "") in _SYMBOL_COLUMNS:
            return place
    return 0


def _genes(ids: list[str], symbols: list[str]) -> list[str]:
    """Symbols in place of ids from databases; the ids where they are symbols themselves."""
    from_database = all(gene.startswith("ENS") or gene.isdecimal() for gene in ids)
    return symbols if from_database else ids
