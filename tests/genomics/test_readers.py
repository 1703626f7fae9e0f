"""Every layout, written as its tool writes it."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from histodistill.errors import InputError
from histodistill.genomics import read_genomic_table

STAR_SUFFIX = ".rna_seq.augmented_star_gene_counts.tsv"
STAR_HEADER = (
    "gene_id\tgene_name\tgene_type\tunstranded\tstranded_first\tstranded_second\t"
    "tpm_unstranded\tfpkm_unstranded\tfpkm_uq_unstranded"
)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def read(path: Path, **options):
    return read_genomic_table(path, name="mRNA", **options)


def refused(path: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **options)
    return str(caught.value)


# --- cBioPortal ---------------------------------------------------------------------------------


def test_cbioportal_profile_becomes_patients_by_genes(tmp_path):
    path = write(
        tmp_path / "data_mrna.txt",
        "#a comment\n"
        "Hugo_Symbol\tEntrez_Gene_Id\tTCGA-A1-A0SB-01\tTCGA-A1-A0SD-01\n"
        "GATA3\t2625\t1.5\t-2\n"
        "ERBB2\t\t3e-1\tNA\n",
    )
    table = read(path)
    expected = pd.DataFrame(
        [[1.5, 0.3], [-2, np.nan]],
        index=pd.Index(["TCGA-A1-A0SB", "TCGA-A1-A0SD"], name="PATIENT"),
        columns=["GATA3", "ERBB2"],
        dtype=np.float32,
    )
    pd.testing.assert_frame_equal(table.values, expected)
    assert table.name == "mRNA"
    assert table.notes == ("1 values are missing (25.00%), in 1 genes and 1 patients.",)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_cbioportal_without_entrez_column_quoted_zipped_and_with_cytoband(tmp_path, ending):
    lines = [
        '"Hugo_Symbol"\t"Cytoband"\t"P1"\t"P2"',
        '"ESR1"\t"6q25"\t1\t2',
        '"PGR"\t"11q22"\t3\t4',
    ]
    table = read(write(tmp_path / "cna.txt.gz", ending.join(lines) + ending))
    assert table.values.to_dict() == {"ESR1": {"P1": 1, "P2": 2}, "PGR": {"P1": 3, "P2": 4}}


def test_cbioportal_without_symbols_is_named_by_entrez(tmp_path):
    table = read(write(tmp_path / "x.txt", "Entrez_Gene_Id\tP1\n2099\t1\n5241\t2\n"))
    assert list(table.values.columns) == ["2099", "5241"]
    assert "genes carry their Entrez ids" in table.notes[0]


def test_cbioportal_long_layout_and_no_samples_are_refused(tmp_path):
    long = "Hugo_Symbol\tEntrez_Gene_Id\tSample_Id\tValue\nACAP3\t1\tS\t2\n"
    assert "is cBioPortal's long layout" in refused(write(tmp_path / "l.txt", long))
    bare = write(tmp_path / "b.txt", "Hugo_Symbol\tEntrez_Gene_Id\nA\t1\n")
    assert "b.txt: has no sample column beside the gene columns." in refused(bare)
    other = write(tmp_path / "o.txt", "genes\tP1\nA\t1\n")
    message = "has neither a Hugo_Symbol nor an Entrez_Gene_Id column"
    assert message in refused(other, format="cbioportal")


# --- UCSC Xena ----------------------------------------------------------------------------------


def test_xena_tcga_hub(tmp_path):
    text = "sample\tTCGA-A1-A0SB-01\tTCGA-A1-A0SB-11\nARHGEF10L\t9.9\t8.8\nHIF3A\t4\t\n"
    table = read(write(tmp_path / "HiSeqV2.gz", text))
    assert table.values.to_dict("index") == {
        "TCGA-A1-A0SB": {"ARHGEF10L": np.float32(9.9), "HIF3A": 4}
    }
    assert table.notes == (
        "1 samples of other sample types than 01 were left out (by TCGA sample type "
        "11 (normal tissue): 1).",
    )


XENA_GDC = "Ensembl_ID\tTCGA-A1-A0SB-01A\nENSG00000091831.24\t3\nENSG00000002586.20_PAR_Y\t1\n"


def test_xena_gdc_hub_keeps_ensembl_ids_and_says_so(tmp_path):
    table = read(write(tmp_path / "TCGA-BRCA.star_tpm.tsv.gz", XENA_GDC))
    assert list(table.values.columns) == ["ENSG00000091831", "ENSG00000002586"]
    assert "no *.probemap lies beside the file" in table.notes[0]


def test_xena_gdc_hub_with_a_probe_map_has_symbols(tmp_path):
    probe_map = (
        "id\tgene\tchrom\tchromStart\tchromEnd\tstrand\nENSG00000091831.24\tESR1\tchr6\t1\t2\t+\n"
    )
    path = write(tmp_path / "tpm.tsv.gz", XENA_GDC)
    probes = write(tmp_path / "gencode.v36.annotation.gtf.gene.probemap", probe_map)
    table = read(path)
    assert list(table.values.columns) == ["ESR1"]
    assert "1 ids are not in it" in table.notes[0]
    assert "1 rows without a gene symbol were left out." in table.notes
    write(tmp_path / "other.probemap", probe_map)
    assert "several probe maps lie beside it" in refused(path)
    probes.unlink()
    write(tmp_path / "other.probemap", "a\tb\n")
    assert "is no probe map; it lacks the columns 'id' and 'gene'" in refused(path)


def test_xena_with_samples_in_rows_or_none_is_refused(tmp_path):
    rows = write(tmp_path / "r.tsv", "sample\tESR1\nTCGA-A1-A0SB-01\t3\n")
    assert "holds samples (TCGA-A1-A0SB-01, ...) where a Xena matrix has genes" in refused(rows)
    assert read(rows, patient_column="sample").values.loc["TCGA-A1-A0SB", "ESR1"] == 3
    assert "has no sample column after 'sample'" in refused(
        write(tmp_path / "n.tsv", "sample\nA\n")
    )


# --- GDC ----------------------------------------------------------------------------------------


def star_file(folder: Path, stem: str, tpm: dict[str, float], *, zipped: bool = False) -> str:
    """One count file in a folder of its own, as gdc-client leaves it; returns its name."""
    statistics = "\n".join(
        f"{row}\t\t\t10\t11\t12\t\t\t"
        for row in ("N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous")
    )
    genes = "\n".join(
        f"ENSG{i:011d}.{i}{'_PAR_Y' if symbol.endswith('*') else ''}\t{symbol.rstrip('*')}\t"
        f"protein_coding\t{int(100 * value)}\t1\t2\t{value}\t.1\t.2"
        for i, (symbol, value) in enumerate(tpm.items())
    )
    name = stem + STAR_SUFFIX
    text = f"# gene-model: GENCODE v36\n{STAR_HEADER}\n{statistics}\n{genes}\n"
    write(folder / f"uuid-{stem}" / (name + ".gz" * zipped), text)
    return name


def sheet(folder: Path, rows: list[tuple[str, str, str, str]]) -> None:
    head = (
        "File ID\tFile Name\tData Category\tData Type\tProject ID\tCase ID\tSample ID\t"
        "Sample Type\n"
    )
    kind = "Transcriptome Profiling\tGene Expression Quantification\tTCGA-BRCA"
    body = "".join(
        f"id\t{file}\t{kind}\t{case}\t{who}\t{type_}\n" for file, case, who, type_ in rows
    )
    write(folder / "gdc_sample_sheet.2024-05-01.tsv", head + body)


def test_gdc_folder_with_a_sample_sheet(tmp_path):
    tpm = {"ESR1": 2.5, "Y_RNA": 1, "PLCXD1": 4, "PLCXD1*": 0}
    files = [
        star_file(tmp_path, "a", tpm),
        star_file(tmp_path, "b", {**tpm, "ESR1": 7}, zipped=True),
        star_file(tmp_path, "c", tpm),
        star_file(tmp_path, "d", tpm),
        star_file(tmp_path, "e", tpm),
    ]
    sheet(
        tmp_path,
        [
            (files[0], "TCGA-A1-A0SB", "TCGA-A1-A0SB-01A", "Primary Tumor"),
            (files[1], "TCGA-A1-A0SD", "TCGA-A1-A0SD-01A", "Primary Tumor"),
            (files[2], "TCGA-A1-A0SD", "TCGA-A1-A0SD-11A", "Solid Tissue Normal"),
            (files[3], "C3L-00001", "C3L-00001-03", "Primary Tumor"),
            (files[4], "C3L-00001", "C3L-00001-06", "Solid Tissue Normal"),
        ],
    )
    table = read(tmp_path)
    assert list(table.values.index) == ["TCGA-A1-A0SB", "TCGA-A1-A0SD", "C3L-00001"]
    assert table.values.loc["TCGA-A1-A0SD"].to_dict() == {"ESR1": 7, "Y_RNA": 1, "PLCXD1": 4}
    assert "1 Y copies of pseudoautosomal genes were left out." in table.notes
    assert "1 files of samples that are not primary tumours were left out." in table.notes
    assert any("(by TCGA sample type 11 (normal tissue): 1)" in note for note in table.notes)
    counts = read(tmp_path, gdc_column="unstranded", transform="log2p1")
    assert counts.values.loc["TCGA-A1-A0SB", "ESR1"] == pytest.approx(np.log2(251))


def test_gdc_recent_sheets_tell_the_tissue_and_the_descriptor(tmp_path):
    files = [star_file(tmp_path, stem, {"ESR1": 1}) for stem in "ab"]
    head = "File ID\tFile Name\tCase ID\tSample ID\tTissue Type\tTumor Descriptor\n"
    rows = f"i\t{files[0]}\tC1\tS1\tTumor\tPrimary\ni\t{files[1]}\tC2\tS2\tTumor\tMetastatic\n"
    write(tmp_path / "gdc_sample_sheet.2025-01-01.tsv", head + rows)
    assert list(read(tmp_path).values.index) == ["C1"]


def test_gdc_sheets_without_a_type_leave_it_to_the_barcode(tmp_path):
    files = [star_file(tmp_path, stem, {"ESR1": 1}) for stem in "ab"]
    who = [("TCGA-A1-A0SB", "TCGA-A1-A0SB-01A"), ("TCGA-A1-A0SD", "TCGA-A1-A0SD-11A")]
    rows = "".join(f"{f}\t{case}\t{s}\n" for f, (case, s) in zip(files, who, strict=True))
    write(tmp_path / "gdc_sample_sheet.x.tsv", "File Name\tCase ID\tSample ID\n" + rows)
    assert list(read(tmp_path).values.index) == ["TCGA-A1-A0SB"]


def test_gdc_folder_with_metadata(tmp_path):
    name = star_file(tmp_path, "a", {"ESR1": 2.5})
    entity = {"entity_submitter_id": "TCGA-A1-A0SB-01A-11R-A144-07", "entity_type": "aliquot"}
    entry = {"file_name": name, "file_id": "uuid-a", "associated_entities": [entity]}
    write(tmp_path / "metadata.cart.2024-05-01.json", json.dumps([entry]))
    assert list(read(tmp_path).values.index) == ["TCGA-A1-A0SB"]
    write(tmp_path / "metadata.cart.2024-05-01.json", json.dumps([{"file_name": name}]))
    assert "is no GDC metadata file" in refused(tmp_path)


def test_gdc_refusals(tmp_path):
    assert f"holds no *{STAR_SUFFIX} file" in refused(tmp_path)
    name = star_file(tmp_path, "a", {"ESR1": 2.5})
    assert "says nowhere whose samples the files are" in refused(tmp_path)
    other = star_file(tmp_path, "b", {"PGR": 1, "ESR1": 2.5})
    primary = (name, "P1", "S1", "Primary Tumor")
    sheet(tmp_path, [primary])
    message = refused(tmp_path)
    assert f"does not list 1 of the 2 files: {other}" in message
    sheet(tmp_path, [primary, (other, "P2", "S2", "Primary Tumor")])
    assert f"1 files have other genes than {name}: {other}" in refused(tmp_path)
    assert "has no column tpm" in refused(tmp_path, gdc_column="tpm")
    sheet(tmp_path, [(name, "P1", "S1", "Metastatic"), (other, "P2", "S2", "Metastatic")])
    assert "no file is of a primary tumour" in refused(tmp_path)
    write(tmp_path / "gdc_sample_sheet.2024-05-01.tsv", "File Name\tx\n")
    assert "is no GDC sample sheet; it lacks the columns Case ID, Sample ID" in refused(tmp_path)
    single = next(tmp_path.rglob(f"*{STAR_SUFFIX}"))
    assert "is a single GDC count file; give the folder of all of them" in refused(single)
    assert "the format 'gdc' needs the folder" in refused(single, format="gdc")
    assert "is a folder, which only the format 'gdc' reads" in refused(tmp_path, format="plain")


# --- Plain tables -------------------------------------------------------------------------------

PLAIN = pd.DataFrame({"PATIENT": ["P1", "P2"], "ESR1": [1.5, np.nan], "PGR": [3, 4]})


def save(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".xlsx":
        frame.to_excel(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep={".csv": ",", ".tsv": "\t", ".txt": ";"}[path.suffix])
    return path


SUFFIXES = [".csv", ".tsv", ".txt", ".xlsx", ".parquet"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_plain_tables(tmp_path, suffix):
    table = read(save(PLAIN, tmp_path / f"x{suffix}"))
    expected = PLAIN.set_index("PATIENT").astype(np.float32)
    pd.testing.assert_frame_equal(table.values, expected)


def test_the_layout_is_told_by_content_not_by_name(tmp_path):
    path = save(PLAIN, tmp_path / "x.parquet").rename(tmp_path / "x.csv")
    assert read(path).values.shape == (2, 2)


def test_parquet_with_the_patients_in_its_index(tmp_path):
    path = tmp_path / "x.parquet"
    PLAIN.set_index("PATIENT").to_parquet(path)
    assert list(read(path).values.index) == ["P1", "P2"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_cell_that_is_no_number_is_named(tmp_path, suffix):
    frame = PLAIN.astype(object)
    frame.loc[0, "PGR"] = "high"
    frame.loc[1, "ESR1"] = "n.d."
    frame = frame.astype({"PGR": str, "ESR1": str})
    message = refused(save(frame, tmp_path / f"x{suffix}"))
    line = "line" if suffix in {".csv", ".tsv", ".txt"} else "row"
    first, second = (2, 3) if line == "line" else (1, 2)
    assert f"x{suffix}: {line} {first} (P1), column PGR: 'high' is not a number." in message
    assert f"x{suffix}: {line} {second} (P2), column ESR1: 'n.d.' is not a number." in message


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_many_bad_cells_are_counted(tmp_path, suffix):
    frame = pd.DataFrame({"PATIENT": [f"P{i}" for i in range(14)], "A": "x", "B": 1})
    message = refused(save(frame, tmp_path / f"x{suffix}"))
    assert message.count("is not a number") == 10
    assert "4 more such problems." in message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_plain_tables_lacking_columns_or_patients(tmp_path, suffix):
    path = save(PLAIN, tmp_path / f"x{suffix}")
    message = refused(path, format="plain", patient_column="CASE")
    assert "has no column 'CASE'; its columns are PATIENT, ESR1, PGR." in message
    bare = save(PLAIN[["PATIENT"]], tmp_path / f"b{suffix}")
    assert "has no gene column beside 'PATIENT'" in refused(bare)
    nameless = save(PLAIN.assign(PATIENT=["P1", ""]), tmp_path / f"n{suffix}")
    assert "no patient is named in row 2 of the values" in refused(nameless)


@pytest.mark.parametrize("suffix", [".xlsx", ".parquet"])
def test_truncated_binary_tables(tmp_path, suffix):
    path = save(PLAIN, tmp_path / f"x{suffix}")
    path.write_bytes(path.read_bytes()[:-200])
    kind = "Excel" if suffix == ".xlsx" else "Parquet"
    assert f"cannot be read as {kind}; it is truncated or damaged" in refused(path)


# --- AnnData ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
def test_h5ad(tmp_path, sparse):
    anndata = pytest.importorskip("anndata")
    x = np.array([[1, 0], [3, 4]], dtype=np.float32)
    data = anndata.AnnData(
        csr_matrix(x) if sparse else x,
        obs=pd.DataFrame(index=["TCGA-A1-A0SB-01A", "P2"]),
        var=pd.DataFrame(index=["ESR1", "PGR"]),
    )
    path = tmp_path / "x.h5ad"
    data.write_h5ad(path)
    table = read(path)
    assert table.values.to_dict("index") == {
        "TCGA-A1-A0SB": {"ESR1": 1, "PGR": 0},
        "P2": {"ESR1": 3, "PGR": 4},
    }
    path.write_bytes(path.read_bytes()[:100])
    assert "cannot be read as AnnData; it is truncated or damaged" in refused(path)


def test_an_h5ad_of_a_few_bytes_that_says_it_is_large_is_refused(tmp_path):
    anndata = pytest.importorskip("anndata")
    path = tmp_path / "x.h5ad"
    names = pd.DataFrame(index=[f"N{number}" for number in range(20_000)])
    one = np.zeros(1, dtype=np.int64)
    values = csr_matrix((np.ones(1, dtype=np.float32), (one, one)), shape=(20_000, 20_000))
    anndata.AnnData(values, names, names).write_h5ad(path)
    assert "more than the 200,000,000 cells of such a table" in refused(path)
    with h5py.File(path, "a") as file:
        del file["X"]
        file.create_dataset("X", (20_000, 20_000), np.float32, chunks=(10, 10))
    assert "X says that it has the shape [20000, 20000]" in refused(path)
    with h5py.File(path, "a") as file:
        del file["X"]
        file["X"] = h5py.ExternalLink("elsewhere.h5ad", "X")
    assert "X is only a link to elsewhere.h5ad" in refused(path)


def test_h5ad_without_a_matrix(tmp_path):
    anndata = pytest.importorskip("anndata")
    path = tmp_path / "x.h5ad"
    anndata.AnnData(obs=pd.DataFrame(index=["P1"]), var=pd.DataFrame(index=["A"])).write_h5ad(path)
    assert "has no matrix X" in refused(path)


def test_h5ad_without_the_package(tmp_path, monkeypatch):
    path = tmp_path / "x.h5ad"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "anndata", None)
    assert "pip install 'histodistill[anndata]'" in refused(path)


# --- Files that are none of these ---------------------------------------------------------------


def test_missing_empty_binary_and_unknown_files(tmp_path):
    assert "none.tsv: does not exist." in refused(tmp_path / "none.tsv")
    assert "is empty; it needs a header line" in refused(write(tmp_path / "e.tsv", "#only\n\n"))
    binary = tmp_path / "b.tsv"
    binary.write_bytes(b"sample\t\xff\xfe\x00\n")
    assert "is not a text table in UTF-8" in refused(binary)
    unknown = refused(write(tmp_path / "u.tsv", "what\tis\tthis\n1\t2\t3\n"))
    assert "u.tsv: the layout is not recognised. Its first columns are what, is, this" in unknown


@pytest.mark.parametrize("bad", [b"PGR\xff\t1\n", b"PGR\t\xff\n"])
def test_bytes_that_are_not_text_far_from_the_header(tmp_path, bad):
    path = tmp_path / "b.tsv"
    path.write_bytes(b"sample\tP1\n" + b"ESR1\t1\n" * 20_000 + bad)
    assert "b.tsv: is not a text table in UTF-8; save it as UTF-8" in refused(path)


@pytest.mark.parametrize("cut", [15, 20_000])
def test_truncated_gzip(tmp_path, cut):
    values = np.random.default_rng(0).normal(size=(400, 20)).astype(str)
    rows = "".join(f"G{i}\t" + "\t".join(row) + "\n" for i, row in enumerate(values))
    head = "sample\t" + "\t".join(f"P{i}" for i in range(20)) + "\n"
    path = write(tmp_path / "x.tsv.gz", head + rows)
    path.write_bytes(path.read_bytes()[:cut])
    assert "x.tsv.gz: the gzip file is truncated or damaged" in refused(path)


def test_damaged_gzip(tmp_path):
    path = write(tmp_path / "x.tsv.gz", "sample\tP1\n" + "A\t1\n" * 1000)
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(content)
    assert "the gzip file is truncated or damaged" in refused(path)


def test_lines_too_short_or_too_long_and_odd_numbers_are_named_together(tmp_path):
    text = "# c\nHugo_Symbol\tP1\tP2\nA\t1\t2\nB\t1\nC\t1\t2\t3\nD\tabc\t1_0\n"
    assert refused(write(tmp_path / "x.txt", text)).splitlines() == [
        f"{tmp_path}/x.txt: line 4 (B) has 2 cells where the header has 3.",
        f"{tmp_path}/x.txt: line 5 (C) has 4 cells where the header has 3.",
        f"{tmp_path}/x.txt: line 6 (D), column P1: 'abc' is not a number.",
        f"{tmp_path}/x.txt: line 6 (D), column P2: '1_0' is not a number.",
    ]


def test_unreadable_file(tmp_path, monkeypatch):
    path = write(tmp_path / "x.tsv", "sample\tP1\nA\t1\n")

    def deny(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    assert "x.tsv: cannot be read (Permission denied)." in refused(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("head", ["sample\tP1\tP2", "PATIENT\tA\tB", "Hugo_Symbol\tP1\tP2"])
def test_a_last_line_without_an_end_is_told(tmp_path, head, encoding):
    text = f"{head}\nESR1\t1.5\t2\nPGR\t0.25\t3"
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    path = tmp_path / "genes.tsv"
    path.write_bytes(mark + text.encode(encoding))
    told = [note for note in read(path).notes if "does not end as the others do" in note]
    assert told == [
        f"{path}: its last line, 'PGR\t0.25\t3', does not end as the others do; if the file was "
        "cut there, copy it again."
    ]
    path.write_bytes(mark + f"{text}\n".encode(encoding))
    assert not [note for note in read(path).notes if "does not end" in note]


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_line_that_is_no_text_and_has_no_cells_prints_nothing(tmp_path, capfd):
    path = tmp_path / "b.tsv"
    path.write_bytes(b"sample\tP1\n" + b"ESR1\t1\n" * 20_000 + b"PG\xffR\n")
    refused(path)
    assert capfd.readouterr() == ("", "")


def test_sheets_that_are_not_read_are_told(tmp_path):
    path = tmp_path / "genes.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"PATIENT": ["A", "B"], "ESR1": [1.5, 2]}).to_excel(
            book, sheet_name="mrna", index=False
        )
        pd.DataFrame({"x": [1]}).to_excel(book, sheet_name="cna", index=False)
    table = read(path)
    assert list(table.values.columns) == ["ESR1"]
    assert table.notes == (
        f"{path}: the first sheet, 'mrna', is read, and not 'cna'; save the sheet that you mean as "
        "a file of its own if it is another.",
    )
