"""Other files than tables are told by what they are."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import sqlite3

import numpy as np
import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.gate.no_tables import require_table
from histodistill.genomics import read_genomic_table
from histodistill.tables import read_table

TABLE = pd.DataFrame({"PATIENT": ["A", "B"], "ER": [1.0, 2.0], "PR": [0.0, 3.0]})


def array():
    stream = io.BytesIO()
    np.save(stream, TABLE[["ER"]].to_numpy())
    return stream.getvalue()


KINDS = {
    "JSON": TABLE.to_json(orient="records").encode(),
    "JSON ": json.dumps(TABLE.to_dict("list"), indent=2).encode(),
    "JSON of lines": TABLE.to_json(orient="records", lines=True).encode(),
    "YAML": b"- ER: 1.0\n  PATIENT: A\n- ER: 2.0\n  PATIENT: B\n",
    "XML": b"<?xml version='1.0'?>\n<data><row/></data>",
    "Markdown": b"| PATIENT | ER |\n|---|---|\n| A | 1 |\n",
    "LaTeX": b"\\begin{tabular}{ll}\nPATIENT & ER \\\\\n",
    "PDF": b"%PDF-1.4\n1 0 obj\n",
    "R data": gzip.compress(b"X\n\x00\x00\x00\x03" + bytes(40)),
    "NumPy": array(),
    "pickle": pickle.dumps({"PATIENT": ["A"]}),
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "packed": b"BZh91AY&SY" + bytes(40),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_named(tmp_path, kind):
    path = tmp_path / "table.csv"
    path.write_bytes(KINDS[kind])
    for read in (read_table, lambda path: read_genomic_table(path, name="mrna")):
        with pytest.raises(InputError, match=kind.split()[0]) as caught:
            read(path)
        assert len(caught.value.problems) == 1
        assert "no table of cells" in str(caught.value)


def test_a_database_is_named(tmp_path):
    path = tmp_path / "table.csv"
    with sqlite3.connect(path) as database:
        TABLE.to_sql("patients", database)
    database.close()
    with pytest.raises(InputError, match="is a database of SQLite"):
        read_table(path)


@pytest.mark.parametrize(
    "text",
    [
        "PATIENT,ER\nA,1\n",
        '"PATIENT" "ER"\n"A" 1\n',
        "#1.2\n2\t2\n",
        "|PATIENT|ER|\n|A|1|\n",
        "[ID],ER\n",
    ],
)
def test_tables_are_not(tmp_path, text):
    require_table(tmp_path / "table.csv", text.encode())
