"""Small simulated files in the names and layouts that the tutorials' downloads have.

All sources are of the same simulated patients: a latent value moves their receptors, their patches
and a part of their genes. Nothing in them comes from a patient.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

N_PATIENTS, N_GENES, WIDTH = 64, 36, 16
GENES = ("ESR1", "PGR", "ERBB2", *(f"GENE{i}" for i in range(N_GENES - 3)))
# As many as the members of a model, which are divided by hospitals, need in each fold.
_SITES = ("A1", "A2", "A7", "A8", "AC", "AN", "AO", "AR", "B6", "BH", "D8", "E2")
_SUBTYPES = ("LumA", "LumB", "Her2", "Basal")

_rng = np.random.default_rng(12)
PATIENTS = tuple(f"TCGA-{_SITES[i % len(_SITES)]}-A{i:03d}" for i in range(N_PATIENTS))
_latent = _rng.normal(size=N_PATIENTS)
_receptors = {
    name: _latent + _rng.normal(scale=0.5, size=N_PATIENTS) > 0 for name in ("ER", "PR", "HER2")
}
_expression = _rng.normal(size=(N_PATIENTS, N_GENES)) + np.outer(
    _latent, np.linspace(1, 0, N_GENES)
)


def _status(name: str, unknown: str) -> list[str]:
    """A receptor as the sources write it; the last patients are not known, in two ways."""
    cells = ["Positive" if positive else "Negative" for positive in _receptors[name]]
    cells[-2:] = [unknown, "Indeterminate"]
    return cells


def cbioportal(folder: Path) -> None:
    """The study ``brca_tcga``."""
    folder.mkdir()
    her2 = _status("HER2", "[Not Available]")
    her2[-3] = "Equivocal"
    clinical = pd.DataFrame(
        {
            "PATIENT_ID": PATIENTS,
            "ER_STATUS_BY_IHC": _status("ER", "[Not Available]"),
            "PR_STATUS_BY_IHC": _status("PR", "[Not Evaluated]"),
            "IHC_HER2": her2,
            "OS_MONTHS": np.round(_rng.exponential(40, N_PATIENTS), 2),
            "OS_STATUS": ["1:DECEASED" if i % 5 == 0 else "0:LIVING" for i in range(N_PATIENTS)],
        }
    )
    names = "\t".join(clinical.columns)
    with (folder / "data_clinical_patient.txt").open("w") as file:
        file.write(f"#{names}\n#{names}\n#STRING\n#1\n")
        clinical.to_csv(file, sep="\t", index=False)
    _profile(folder / "data_mrna_seq_v2_rsem_zscores_ref_all_samples.txt", _zscores())
    _profile(folder / "data_cna.txt", np.clip(_expression.round(), -2, 2).astype(int))


def _zscores() -> np.ndarray:
    scaled = (_expression - _expression.mean(axis=0)) / _expression.std(axis=0)
    rounded: np.ndarray = np.asarray(scaled.round(4))
    return rounded


def _profile(path: Path, values: np.ndarray) -> None:
    table = pd.DataFrame(values.T, columns=[f"{patient}-01" for patient in PATIENTS])
    table.insert(0, "Hugo_Symbol", GENES)
    table.insert(1, "Entrez_Gene_Id", range(1, N_GENES + 1))
    table.to_csv(path, sep="\t", index=False)


def readme(folder: Path) -> None:
    """The files of the README's first experiment."""
    clinical = pd.DataFrame(
        {
            "PATIENT": PATIENTS,
            "ER": [status.lower() for status in _status("ER", "")],
            "OS_MONTHS": np.round(_rng.exponential(40, N_PATIENTS), 2),
            "OS_STATUS": [int(i % 5 == 0) for i in range(N_PATIENTS)],
            "GRADE": [1 + i % 3 for i in range(N_PATIENTS)],
        }
    )
    clinical["ER"] = clinical["ER"].replace("indeterminate", "")
    clinical.to_csv(folder / "clinical.csv", index=False)
    _profile(folder / "data_mrna_seq_v2_rsem_zscores.txt", _zscores())
    uni2_h(folder / "features")
    uni2_h(folder / "new-hospital")


def uni2_h(folder: Path) -> None:
    """Unpacked archives of the Hugging Face hub: arrays ``[1, n, F]`` without attributes."""
    for place, patient in enumerate(PATIENTS):
        histology = "TCGA-BRCA_IDC" if place % 3 else "TCGA-BRCA_OTHERS"
        with _slide(folder / histology, patient) as file:
            patches = _patches(place)
            file["features"] = patches[None]
            file["coords"] = _corners(len(patches))[None]


def trident(folder: Path) -> None:
    """TRIDENT's folder of features."""
    for place, patient in enumerate(PATIENTS):
        with _slide(folder, patient) as file:
            patches = _patches(place)
            features = file.create_dataset("features", data=patches)
            features.attrs["encoder"] = "uni_v2"
            coords = file.create_dataset("coords", data=_corners(len(patches)))
            coords.attrs["patch_size"] = 256
            coords.attrs["patch_size_level0"] = 512
            coords.attrs["level0_magnification"] = 40
            coords.attrs["target_magnification"] = 20
            coords.attrs["overlap"] = 0


def _slide(folder: Path, patient: str) -> h5py.File:
    folder.mkdir(parents=True, exist_ok=True)
    return h5py.File(folder / f"{patient}-01Z-00-DX1.{_uuid(patient).upper()}.h5", "w")


def _patches(place: int) -> np.ndarray:
    """Patches [n, F] of a patient: half of them show the latent value."""
    patches = _rng.normal(size=(_rng.integers(6, 12), WIDTH))
    patches[::2, :4] += _latent[place]
    return patches.astype(np.float32)


def _corners(n: int) -> np.ndarray:
    return np.stack([np.arange(n) * 512, np.zeros(n, int)], axis=1)


def gdc(folder: Path) -> None:
    """STAR counts as ``gdc-client`` leaves them, with the sample sheet; one sample is normal."""
    folder.mkdir()
    samples = [(patient, "01A", "Primary Tumor") for patient in PATIENTS]
    samples.append((PATIENTS[0], "11A", "Solid Tissue Normal"))
    rows = []
    for patient, code, kind in samples:
        name = _uuid(f"{patient}-{code}")
        file = folder / name / f"{name}.rna_seq.augmented_star_gene_counts.tsv"
        file.parent.mkdir()
        _star_counts(file, np.exp(_expression[PATIENTS.index(patient)] + 3))
        rows.append((name, file.name, "TCGA-BRCA", patient, f"{patient}-{code}", kind))
    columns = ["File ID", "File Name", "Project ID", "Case ID", "Sample ID", "Sample Type"]
    sheet = pd.DataFrame(rows, columns=columns)
    sheet.to_csv(folder / "gdc_sample_sheet.2026-01-01.tsv", sep="\t", index=False)


def _star_counts(path: Path, tpm: np.ndarray) -> None:
    statistics = ("N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous")
    with path.open("w") as file:
        file.write("# gene-model: GENCODE v36\ngene_id\tgene_name\tunstranded\ttpm_unstranded\n")
        file.writelines(f"{name}\t\t100\t\n" for name in statistics)
        file.writelines(
            f"ENSG{i:011d}.1\t{gene}\t{round(value * 20)}\t{value:.4f}\n"
            for i, (gene, value) in enumerate(zip(GENES, tpm, strict=True))
        )


def xena(path: Path) -> None:
    """The clinical matrix: a row a sample, rows of normal tissue without receptors."""
    subtypes = [_SUBTYPES[i % 4] for i in range(N_PATIENTS)]
    subtypes[-2:] = ["Normal", ""]
    tumours = pd.DataFrame(
        {
            "sampleID": [f"{patient}-01" for patient in PATIENTS],
            "PAM50Call_RNAseq": subtypes,
            "breast_carcinoma_estrogen_receptor_status": _status("ER", ""),
            "sample_type": "Primary Tumor",
        }
    )
    normal = pd.DataFrame(
        {
            "sampleID": [f"{patient}-11" for patient in PATIENTS[:3]],
            "PAM50Call_RNAseq": "Normal",
            "sample_type": "Solid Tissue Normal",
        }
    )
    pd.concat([tumours, normal]).to_csv(path, sep="\t", index=False)


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
