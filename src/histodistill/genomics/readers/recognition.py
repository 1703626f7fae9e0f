"""Which layout a file has: judged by its content, never by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from histodistill.errors import InputError, listed
from histodistill.genomics.matrix import Layout, SampleMatrix
from histodistill.genomics.readers.cbioportal import is_cbioportal, read_cbioportal
from histodistill.genomics.readers.firehose import firehose_header, is_firehose
from histodistill.genomics.readers.gct import is_gct, read_gct
from histodistill.genomics.readers.gdc import read_gdc
from histodistill.genomics.readers.h5ad import read_h5ad
from histodistill.genomics.readers.header import (
    Header,
    last_line_notes,
    open_binary,
    read_header,
)
from histodistill.genomics.readers.plain import (
    is_of_gene_rows,
    is_plain,
    read_frame,
    read_plain_frame,
    read_plain_text,
)
from histodistill.genomics.readers.xena import is_xena, read_xena

Format = Literal["auto", "cbioportal", "xena", "gdc", "gct", "plain", "h5ad"]

LAYOUTS: dict[Layout, str] = {
    "cbioportal": "cBioPortal's layout (genes x samples)",
    "xena": "Xena's layout (genes x samples)",
    "gdc": "the layout of GDC count files",
    "gct": "the layout GCT (genes x samples)",
    "plain": "the layout patients x genes",
    "h5ad": "AnnData's layout",
}
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
    layout, header = _layout(path, format_, patient_column)
    if format_ not in ("auto", layout):
        raise InputError(
            f"{path}: has {LAYOUTS[layout]}, and the format {format_!r} was given; leave `format` "
            "out, or give the file that it speaks of."
        )
    if layout == "gdc":
        matrix = read_gdc(path, gdc_column)
    elif layout == "h5ad":
        matrix = read_h5ad(path)
    elif layout == "gct":
        matrix = _with_notes(read_gct(path), last_line_notes(path))
    elif header is None:
        excel = _start(path) == _ZIP_MAGIC
        told: list[str] = []
        frame = read_frame(path, told, excel=excel)
        layout = "xena" if is_of_gene_rows(frame, patient_column) else layout
        matrix = read_plain_frame(path, frame, patient_column)
        matrix = _with_notes(matrix, tuple(told))
    else:
        matrix = _read_text(path, layout, header, patient_column)
    return replace(matrix, layout=layout)


def _start(path: Path) -> bytes:
    with open_binary(path) as stream:
        return stream.read(4)


def _layout(path: Path, format_: Format, patient_column: str) -> tuple[Layout, Header | None]:
    """The layout of a file or folder, and the header of a text table."""
    if not path.exists():
        raise InputError(f"{path}: does not exist.")
    if path.is_dir():
        if format_ not in ("auto", "gdc"):
            raise InputError(f"{path}: is a folder, which only the format 'gdc' reads.")
        return "gdc", None
    start = _start(path)
    if start == _HDF5_MAGIC:
        return "h5ad", None
    if start in (_PARQUET_MAGIC, _ZIP_MAGIC):
        return "plain", None
    if is_gct(start):
        return "gct", None
    if format_ in ("gdc", "h5ad", "gct"):
        needs = {"gdc": "the folder of the count files", "h5ad": "an AnnData file"}
        raise InputError(
            f"{path}: the format {format_!r} needs {needs.get(format_, 'a GCT file')}."
        )
    header = read_header(path)
    if is_firehose(header):
        header = firehose_header(path, header)
    return _text_layout(path, header, format_, patient_column), header


def _read_text(path: Path, layout: Layout, header: Header, patient_column: str) -> SampleMatrix:
    if layout == "plain":
        matrix = read_plain_text(path, header, patient_column)
    elif layout == "cbioportal":
        matrix = read_cbioportal(path, header)
    else:
        matrix = read_xena(path, header)
    return _with_notes(matrix, (*last_line_notes(path), *header.notes))


def _with_notes(matrix: SampleMatrix, notes: tuple[str, ...]) -> SampleMatrix:
    return replace(matrix, notes=(*notes, *matrix.notes))


def _text_layout(path: Path, header: Header, format_: Format, patient_column: str) -> Layout:
    """The layout of a text table; the one given, unless another is beyond doubt."""
    recognised: list[Layout] = []
    if is_plain(header, patient_column):
        recognised.append("plain")
    if is_cbioportal(header):
        recognised.append("cbioportal")
    if is_xena(header):
        recognised.append("xena")
    if "gene_id" in header.columns and "tpm_unstranded" in header.columns:
        raise InputError(f"{path}: is a single GDC count file; give the folder of all of them.")
    for layout in ("plain", "cbioportal", "xena"):
        if format_ == layout and (layout in recognised or not recognised):
            return layout
    if recognised:
        return recognised[0]
    if header.has_names_of_rows:
        raise InputError(
            f"{path}: its first column has no name, as R writes names of rows; say what they are: "
            "`format: xena` for genes, `format: plain` for patients."
        )
    raise InputError(
        f"{path}: the layout is not recognised. Its first columns are {listed(header.columns, 5)}; "
        "expected Hugo_Symbol or Entrez_Gene_Id (cBioPortal), sample or Ensembl_ID (Xena), or "
        f"the patient column {patient_column!r} (patients x genes)."
    )
