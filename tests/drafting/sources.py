"""Small cohorts as the public sources and the tools write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tests.features.writers import clam, features, slide2vec, stamp_2_4, trident

PATIENTS = [f"TCGA-{site}-A{n:03d}" for n in range(8) for site in ("A1", "B2", "C3")]
STATUS = ["Positive", "Negative"] * (len(PATIENTS) // 2)
GENES = ["ESR1", "PGR", "ERBB2", "GATA3"] + [f"GENE{n}" for n in range(20)]
STAR = ".rna_seq.augmented_star_gene_counts.tsv"


def written(path: Path, lines: Sequence[Sequence[object]], sep: str = "\t", head: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "\n".join(sep.join(map(str, line)) for line in lines) + "\n")
    return path


# --- Clinical tables ----------------------------------------------------------------------------


def cbioportal_clinical(folder: Path) -> Path:
    names = ["PATIENT_ID", "OS_STATUS", "OS_MONTHS", "ER_STATUS_BY_IHC", "PR_STATUS_BY_IHC"]
    names += ["IHC_HER2", "HER2_FISH_STATUS", "AJCC_STAGE"]
    rows = [
        [
            patient,
            "1:DECEASED" if n % 3 else "0:LIVING",
            n + 1.5,
            status if n > 1 else "[Not Evaluated]",
            "Indeterminate" if n == 5 else status,
            "Equivocal" if n == 7 else status,
            "[Not Available]",
            f"Stage {'I' * (1 + n % 2)}",
        ]
        for n, (patient, status) in enumerate(zip(PATIENTS, STATUS, strict=True))
    ]
    head = "".join(f"#{chr(9).join([text] * len(names))}\n" for text in ("Name", "What", "STRING"))
    return written(folder / "data_clinical_patient.txt", [names, *rows], head=head + "#1\n")


def gdc_clinical(folder: Path) -> Path:
    """Two rows a case, of which the second knows nothing."""
    names = ["case_id", "case_submitter_id", "vital_status", "days_to_death"]
    names += ["days_to_last_follow_up", "breast_carcinoma_estrogen_receptor_status"]
    names += ["metastatic_breast_carcinoma_estrogen_receptor_status"]
    rows = []
    for n, (patient, status) in enumerate(zip(PATIENTS, STATUS, strict=True)):
        rows.append([f"c{n}", patient, "Alive", "'--", 100 + n, status, "'--"])
        rows.append([f"c{n}", patient, "'--", "'--", "'--", "'--", "'--"])
    return written(folder / "clinical.tsv", [names, *rows])


def xena_clinical(folder: Path) -> Path:
    """A row a sample; the normal tissue of a patient says nothing."""
    names = ["sampleID", "ER_Status_nature2012", "OS_Time_nature2012", "OS_event_nature2012"]
    rows: list[list[object]] = []
    for n, (patient, status) in enumerate(zip(PATIENTS, STATUS, strict=True)):
        rows.append([f"{patient}-01", status, 300 + 100 * n, n % 2])
        if n % 4 == 0:
            rows.append([f"{patient}-11", "", "", ""])
    return written(
        folder / "BRCA_clinicalMatrix", [[*names, "_PATIENT"], *([*r, ""] for r in rows)]
    )


def plain_clinical(folder: Path) -> Path:
    rows = [
        [patient, {"Positive": "1", "Negative": "0"}[status], f"H{n % 3}", ("low", "high")[n % 2]]
        for n, (patient, status) in enumerate(zip(PATIENTS, STATUS, strict=True))
    ]
    return written(
        folder / "clinical.csv", [["patient", "ER", "Hospital", "Grade"], *rows], sep=","
    )


# --- Patch features -----------------------------------------------------------------------------


def slide_names() -> list[str]:
    return [f"{patient}-01Z-00-DX1.{n:08X}" for n, patient in enumerate(PATIENTS)]


def trident_features(folder: Path) -> Path:
    return _each(folder / "features_uni_v1", lambda path, bag: trident(path, bag), ".h5")


def clam_features(folder: Path) -> Path:
    """The same slides in both of CLAM's folders."""
    _each(folder / "clam" / "h5_files", lambda path, bag: clam(path, bag), ".h5")
    _each(
        folder / "clam" / "pt_files", lambda path, bag: torch.save(torch.tensor(bag), path), ".pt"
    )
    return folder / "clam"


def stamp_features(folder: Path) -> Path:
    return _each(folder / "stamp", lambda path, bag: stamp_2_4(path, bag), ".h5")


def slide2vec_features(folder: Path) -> Path:
    for n, name in enumerate(slide_names()):
        slide2vec(folder / "run", name, torch.tensor(features(n=7, seed=n)))
    return folder / "run"


def _each(folder: Path, write, suffix: str) -> Path:
    folder.mkdir(parents=True)
    for n, name in enumerate(slide_names()):
        write(folder / f"{name}{suffix}", features(n=7, seed=n))
    return folder


# --- Expression ---------------------------------------------------------------------------------


def counts() -> np.ndarray:
    """Raw expression, genes x patients."""
    rng = np.random.default_rng(0)
    values: np.ndarray = np.exp(rng.normal(5, 2.5, (len(GENES), len(PATIENTS))))
    return values.round(2)


def zscores() -> np.ndarray:
    logs = np.log2(counts() + 1)
    scaled: np.ndarray = (logs - logs.mean(1, keepdims=True)) / logs.std(1, keepdims=True)
    return scaled.round(4)


def _by_gene(path: Path, first: list[str], values: np.ndarray, genes: list[str]) -> Path:
    blank = [""] * (len(first) - 1)
    samples = [f"{patient}-01" for patient in PATIENTS]
    rows = [[gene, *blank, *row] for gene, row in zip(genes, values, strict=True)]
    return written(path, [[*first, *samples], *rows])


def cbioportal_zscores(folder: Path) -> Path:
    path = folder / "data_mrna_seq_v2_rsem_zscores.txt"
    return _by_gene(path, ["Hugo_Symbol", "Entrez_Gene_Id"], zscores(), GENES)


def cbioportal_raw(folder: Path) -> Path:
    names = [f"{gene}|{n}" for n, gene in enumerate(GENES)]
    return _by_gene(folder / "data_mrna_seq_v2_rsem.txt", ["Hugo_Symbol"], counts(), names)


def xena_logs(folder: Path) -> Path:
    values = np.log2(counts() + 1).clip(0, 20).round(3)
    return _by_gene(folder / "HiSeqV2", ["sample"], values, GENES)


def gdc_counts(folder: Path) -> Path:
    sheet: list[list[object]] = [["File Name", "Case ID", "Sample ID", "Sample Type"]]
    for place, patient in enumerate(PATIENTS):
        rows: list[list[object]] = [["gene_id", "gene_name", "unstranded", "tpm_unstranded"]]
        rows += [[f"N_{what}", "", 1, ""] for what in ("unmapped", "noFeature")]
        rows += [
            [f"ENSG{n:011d}.1", gene, 1, value]
            for n, (gene, value) in enumerate(zip(GENES, counts()[:, place], strict=True))
        ]
        written(folder / "gdc" / f"u{place}" / f"{place}{STAR}", rows, head="# GENCODE v36\n")
        sheet.append([f"{place}{STAR}", patient, f"{patient}-01A", "Primary Tumor"])
    written(folder / "gdc" / "gdc_sample_sheet.2026-01-01.tsv", sheet)
    return folder / "gdc"


def plain_expression(folder: Path) -> Path:
    """Patients in rows, their column called as nobody expects."""
    rows = [[p, *row] for p, row in zip(PATIENTS, zscores().T, strict=True)]
    return written(folder / "expression.csv", [["subject", *GENES], *rows], sep=",")
