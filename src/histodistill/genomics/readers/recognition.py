"""Which layout a file has: judged by its content, never by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from histodistill.errors import InputError, listed
from histodistill.genomics.matrix import SampleMatrix
from histodistill.genomics.readers.cbioportal import is_cbioportal, read_cbioportal
from histodistill.genomics.readers.delimited import Header, open_binary, read_header
from histodistill.genomics.readers.gdc import read_gdc
from histodistill.genomics.readers.h5ad import read_h5ad
from histodistill.genomics.readers.plain import (
    is_plain,
    read_frame,
    read_plain_frame,
    read_plain_text,
)
from histodistill.genomics.readers.xena import is_xena, read_xena

Format = Literal["auto", "cbioportal", "xena", "gdc", "plain", "h5ad"]

_HDF5_MAGIC = b"\x89HDF"
_PARQUET_MAGIC = b"PAR1"
_ZIP_MAGIC = b"PK\x03\x04"


def read_matrix(
    path: Path, format_: Format, *, gdc_column: str, patient_column: str
) -> SampleMatrix:
    """Read a genomic file or folder of any supported layout.

    Args:
        path: A file, or a folder of GDC files.
        format_: The layout, or ``auto`` to recognise it.
        gdc_column: The quantity to read from GDC files.
        patient_column: The column that names patients in a plain table.

    Raises:
        InputError: The path does not exist, its layout is not recognised or not the one named, or
            its reader refuses it.
    """
    if not path.exists():
        raise InputError(f"{path}: does not exist.")
    if path.is_dir():
        if format_ not in ("auto", "gdc"):
            raise InputError(f"{path}: is a folder, which only the format 'gdc' reads.")
        return read_gdc(path, gdc_column)
    if format_ == "gdc":
        raise InputError(f"{path}: the format 'gdc' needs the folder of the count files.")
    with open_binary(path) as stream:
        magic = stream.read(4)
    if magic == _HDF5_MAGIC or format_ == "h5ad":
        return read_h5ad(path)
    if magic in (_PARQUET_MAGIC, _ZIP_MAGIC):
        return read_plain_frame(path, read_frame(path, excel=magic == _ZIP_MAGIC), patient_column)
    return _read_text(path, format_, patient_column)


def _read_text(path: Path, format_: Format, patient_column: str) -> SampleMatrix:
    header = read_header(path)
    layout = format_ if format_ != "auto" else _text_layout(path, header, patient_column)
    if layout == "plain":
        return read_plain_text(path, header, patient_column)
    if layout == "cbioportal":
        return read_cbioportal(path, header)
    return read_xena(path, header)


def _text_layout(path: Path, header: Header, patient_column: str) -> Format:
    if is_plain(header, patient_column):
        return "plain"
    if is_cbioportal(header):
        return "cbioportal"
    if "gene_id" in header.columns and "tpm_unstranded" in header.columns:
        raise InputError(f"{path}: is a single GDC count file; give the folder of all of them.")
    if is_xena(header):
        return "xena"
    raise InputError(
        f"{path}: the layout is not recognised. Its first columns are {listed(header.columns, 5)}; "
        "expected Hugo_Symbol or Entrez_Gene_Id (cBioPortal), sample or Ensembl_ID (Xena), or "
        f"the patient column {patient_column!r} (patients x genes)."
    )
