"""Files of the Broad's Firehose and of TCGA's legacy archive: two lines of names above the values.

The first line names the samples (``Hybridization REF``), the second what is measured in each
(``gene_id``, ``normalized_count``, ...). Genes are called ``ESR1|2099``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from histodistill.errors import InputError, listed
from histodistill.genomics.readers.header import Header, read_header

_FIRST = "hybridization ref"


def is_firehose(header: Header) -> bool:
    """Whether the line of names is the first of Firehose's two."""
    return header.columns[0].lower() == _FIRST


def firehose_header(path: Path, header: Header) -> Header:
    """The header with both lines: samples of the first, genes as the second calls them.

    Raises:
        InputError: Samples have several quantities each.
    """
    second = read_header(path, above=header.n_lines)
    measured = list(dict.fromkeys(second.columns[1:]))
    if len(measured) > 1:
        raise InputError(
            f"{path}: holds several quantities of each sample ({listed(measured, 4)}); take the "
            "file of one, such as Firehose's RSEM_genes_normalized."
        )
    return replace(header, columns=["gene", *header.columns[1:]], n_lines=second.n_lines)
