"""Sets of genes in GMT files."""

from pathlib import Path

import pytest

from histodistill.errors import InputError
from histodistill.genomics.gene_sets import read_gene_sets


def written(folder: Path, text: str) -> Path:
    path = folder / "sets.gmt"
    path.write_text(text)
    return path


def test_a_line_is_a_set(tmp_path: Path) -> None:
    path = written(tmp_path, "LUMINAL\thttps://x\tESR1\tGATA3\tESR1\t\nHER2\t\tERBB2\tGRB7\n\n")
    assert read_gene_sets(path) == {"LUMINAL": ("ESR1", "GATA3"), "HER2": ("ERBB2", "GRB7")}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("A,x,ESR1\n", "line 1 is no set of genes"),
        ("A\tx\n", "line 1 is no set of genes"),
        ("A\tx\tESR1\nA\tx\tGATA3\n", "line 2: the set A is there already"),
        ("", "holds no set of genes"),
    ],
)
def test_what_is_no_gmt_file_is_told(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        read_gene_sets(written(tmp_path, text))
    assert sentence in " ".join(refused.value.problems)


def test_bytes_and_absent_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.gmt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_gene_sets(tmp_path / "a.gmt")
    with pytest.raises(InputError, match="cannot be read"):
        read_gene_sets(tmp_path / "b.gmt")
