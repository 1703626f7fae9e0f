"""Files of other kinds that are given as text tables, told by how they begin."""

from __future__ import annotations

import re
from pathlib import Path

from histodistill.errors import InputError

HEAD_BYTES = 512
# How a file of each kind begins, what it is, and how a table comes out of it.
_KINDS = (
    (rb"\s*[\[{]\s*([\[{\"]|$)", "is JSON", "in Python: pandas.read_json(FILE).to_csv(NEW)"),
    (rb"\s*(---\s+)?(- )?\"?\w+\"?: .*\n\s+(- )?\"?\w+\"?: ", "is YAML", "write its values as CSV"),
    (rb"\s*<\?xml|\s*<[A-Za-z]\w*[ >]", "is XML", "export the table as CSV where it came from"),
    (rb"\s*\|.*\|\s*\n\s*\|[-:| ]+\|\s*\n", "is a table of Markdown", "write it as CSV"),
    (rb"\s*\\(begin|documentclass|toprule)", "is LaTeX", "export the table as CSV"),
    (rb"%PDF-", "is a PDF", "ask for the table that it was printed from"),
    (rb"\{\\rtf", "is a document of a word processor", "save its table as CSV"),
    (rb"SQLite format 3\0", "is a database of SQLite", "export the table: sqlite3 -csv -header"),
    (rb"(RDX|RDA)[23]\n|[XAB]\n\0\0\0", "is an R data file", "in R: write.csv(readRDS(FILE), NEW)"),
    (rb"\x93NUMPY", "is an array of NumPy", "write it with its names: pandas.DataFrame.to_csv"),
    (rb"ARROW1|FEA1", "is a Feather file", "in Python: pandas.read_feather(FILE).to_parquet(NEW)"),
    (rb"\x89HDF", "is an HDF5 file", "export its table as CSV or Parquet"),
    (rb"<stata_dta>|[\x6c-\x77][\x01\x02]\x01\x00", "is a file of Stata", "export it as CSV"),
    (rb"\$FL[23]@\(#\)", "is a file of SPSS", "save it as CSV"),
    (rb"\0{12}\xc2\xea\x81\x60", "is a file of SAS", "export it as CSV"),
    (rb"\x80[\x02-\x05]", "is a pickle, which could run any code", "write it as CSV or Parquet"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|II\*\0|MM\0\*", "is a picture", "give the table itself"),
    (
        rb"BZh|\xfd7zXZ|7z\xbc\xaf|\x28\xb5\x2f\xfd|Rar!",
        "is packed",
        "unpack it, or pack it by gzip",
    ),
)


def require_table(path: Path, head: bytes) -> None:
    """Refuse what is no text table, with what it is and how a table comes out of it.

    Args:
        path: The file.
        head: Its first bytes, unpacked.

    Raises:
        InputError: It begins as no table does.
    """
    start = head[:HEAD_BYTES].removeprefix(b"\xef\xbb\xbf")
    for begins, what, remedy in _KINDS:
        if re.match(begins, start):
            raise InputError(f"{path}: {what}, and no table of cells; {remedy}")
