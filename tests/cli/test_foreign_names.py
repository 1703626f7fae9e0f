"""Names of files in another encoding than UTF-8, as old archives have them, are told at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from histodistill.cohort.slides import find_slides
from histodistill.errors import InputError
from histodistill.extraction.slide_list import list_slides

LATIN = os.fsdecode(b"M\xfcller")


def test_slides_and_features_of_such_names_are_refused(tmp_path):
    (tmp_path / f"{LATIN}.svs").write_bytes(b"slide")
    with pytest.raises(InputError, match=r"\.svs: its name is no UTF-8 text"):
        list_slides(tmp_path)
    (tmp_path / f"{LATIN}.h5").write_bytes(b"features")
    with pytest.raises(InputError, match=r"\.h5: its name is no UTF-8 text"):
        find_slides(tmp_path, suffixes=(".h5",), pattern="(.*)")


def test_such_a_name_is_printed_by_its_numbers():
    main = [sys.executable, "-c", "from histodistill.cli.main import main; main()"]
    ended = subprocess.run([*main, "report", f"/nowhere/{LATIN}"], capture_output=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(rb"Problem: /nowhere/M\udcfcller")
    assert b"Traceback" not in ended.stderr
