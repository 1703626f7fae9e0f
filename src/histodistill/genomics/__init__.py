"""Genomic blocks: reading tables of any layout, choosing genes, imputing and scaling them.

A file becomes a :class:`GenomicTable` of patients x genes; in every fold a
:class:`GenomicPreprocessor`, fitted on the training patients alone, turns it into a model's input.
"""

from histodistill.genomics.cox import cox_p_values
from histodistill.genomics.gene_names import absent_names
from histodistill.genomics.preprocessing import GenomicPreprocessor, Imputation, Scaling
from histodistill.genomics.readers import Format
from histodistill.genomics.reference import Comparison, GeneReference, compare
from histodistill.genomics.selection import (
    SelectionMethod,
    SelectionSettings,
    check_selection,
    select_genes,
)
from histodistill.genomics.table import GenomicTable, Transform, read_genomic_table

__all__ = [
    "Comparison",
    "Format",
    "GeneReference",
    "GenomicPreprocessor",
    "GenomicTable",
    "Imputation",
    "Scaling",
    "SelectionMethod",
    "SelectionSettings",
    "Transform",
    "absent_names",
    "check_selection",
    "compare",
    "cox_p_values",
    "read_genomic_table",
    "select_genes",
]
