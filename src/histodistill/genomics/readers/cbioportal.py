"""cBioPortal's wide profiles: genes in rows, samples in columns.

Layout (https://docs.cbioportal.org/file-formats/): tab separated; ``Hugo_Symbol``,
``Entrez_Gene_Id`` or both, perhaps ``Cytoband``; then one column a sample. Lines that start with
``#`` before the header are comments.
"""

from __future__ import annotations

from pathlib import Path

from histodistill.errors import InputError
from histodistill.genomics.matrix import SampleMatrix
from histodistill.genomics.readers.delimited import read_columns
from histodistill.genomics.readers.header import Header

SYMBOL, ENTREZ = "Hugo_Symbol", "Entrez_Gene_Id"
_ANNOTATIONS = (SYMBOL, ENTREZ, "Cytoband", "Composite.Element.REF")


def is_cbioportal(header: Header) -> bool:
    """Whether the header has one of the two gene columns."""
    return SYMBOL in header.columns or ENTREZ in header.columns


def read_cbioportal(path: Path, header: Header) -> SampleMatrix:
    """Read a cBioPortal profile.

    Genes are named by their Hugo symbol, or by their Entrez id where the file has no symbol column.

    Raises:
        InputError: No gene column, no sample column, the long layout, or malformed cells.
    """
    if not is_cbioportal(header):
        raise InputError(f"{path}: has neither a {SYMBOL} nor an {ENTREZ} column.")
    if {"Sample_Id", "Value"} <= set(header.columns):
        raise InputError(
            f"{path}: is cBioPortal's long layout (a line for each gene and sample); "
            "only the wide one, with a column for each sample, can be read."
        )
    samples = [i for i, name in enumerate(header.columns) if name not in _ANNOTATIONS]
    if not samples:
        raise InputError(f"{path}: has no sample column beside the gene columns.")
    named_by = SYMBOL if SYMBOL in header.columns else ENTREZ
    (genes,), values = read_columns(
        path, header, texts=[header.columns.index(named_by)], numbers=samples
    )
    notes = () if named_by == SYMBOL else (f"No {SYMBOL} column: genes carry their Entrez ids.",)
    return SampleMatrix([header.columns[i] for i in samples], genes, values.T, notes=notes)
