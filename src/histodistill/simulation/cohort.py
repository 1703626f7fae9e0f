"""Write a simulated paired cohort to a folder, in the layouts of real data.

What is written, all of it simulated and said to be so::

    features/SIM-S03-0042-simulated-1.h5   patch features of a slide, TRIDENT layout
    slides.csv                             PATIENT, FILENAME, SIMULATED
    clinical.csv                           PATIENT, ER, SITE, AGE, OS_MONTHS, OS_STATUS, SIMULATED
    mrna_zscores.txt                       cBioPortal layout: genes x patients
    truth.csv                              the latent variables: no method may read it
    truth_genes.csv                        the programme of each gene
    README.txt

`histodistill.simulation.slides` writes the same tables beside slide images, ``slides/*.tif``.

The label's signal has three known parts: one that slides and genes both show, one that only
genes show, and noise. See `histodistill.simulation.truth`, `.genes` and `.patches` for the
equations. Every file is written whole, and the same settings give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.errors import InputError, listed
from histodistill.files import whole_file, write_text
from histodistill.hdf5_files import whole_h5
from histodistill.simulation.genes import draw_expression, draw_programmes
from histodistill.simulation.patches import (
    PATCH_SIZE_LEVEL0,
    disc_coordinates,
    draw_patch_model,
)
from histodistill.simulation.settings import CohortSettings, SimulationSettings
from histodistill.simulation.truth import SimulatedSlide, best_aucs, draw_truth, slides_of

ENCODER = "simulated"
_DRAWN_PATCHES = {
    "patch_size": 256,
    "patch_size_level0": PATCH_SIZE_LEVEL0,
    "level0_magnification": 40,
    "target_magnification": 20,
}


@dataclass(frozen=True)
class SimulatedCohort:
    """Where the parts of a simulated cohort lie.

    Attributes:
        folder: The cohort's folder.
        features: Folder of patch features, one HDF5 file a slide.
        slides: Folder of slide images, one TIFF a slide; made by `simulate_slides` only.
        slides_table: CSV of the slides' patients.
        clinical_table: CSV of labels and clinical variables.
        expression: Expression z-scores, tab separated.
        truth: CSV of the latent variables, for judging results only.
        gene_truth: CSV of the genes' programmes, for judging results only.
        settings: The settings it was made with.
    """

    folder: Path
    features: Path
    slides: Path
    slides_table: Path
    clinical_table: Path
    expression: Path
    truth: Path
    gene_truth: Path
    settings: CohortSettings


def simulate_cohort(folder: Path, settings: SimulationSettings | None = None) -> SimulatedCohort:
    """Simulate a paired cohort of slide features, clinical data and expression.

    Args:
        folder: Where the cohort goes; made if it is missing.
        settings: The cohort's settings; the defaults if not given.

    Returns:
        The paths of what was written.

    Raises:
        InputError: The folder already holds features of slides of another cohort.
    """
    settings = settings or SimulationSettings()
    cohort = cohort_paths(folder, settings)
    truth = draw_truth(settings)
    slides = slides_of(truth)
    paths = [cohort.features / f"{slide.name}.h5" for slide in slides]
    refuse_other_slides(cohort.features, paths)
    model = draw_patch_model(settings)
    for path, slide in zip(paths, slides, strict=True):
        bag = model.draw_patches(slide).features
        write_bag(path, bag, disc_coordinates(len(bag)), _DRAWN_PATCHES, ENCODER)
    write_tables(cohort, truth, slides_table(slides), readme_of_drawn(settings, truth))
    return cohort


def cohort_paths(folder: Path, settings: CohortSettings) -> SimulatedCohort:
    """Where the parts of a cohort lie in a folder."""
    return SimulatedCohort(
        folder=folder,
        features=folder / "features",
        slides=folder / "slides",
        slides_table=folder / "slides.csv",
        clinical_table=folder / "clinical.csv",
        expression=folder / "mrna_zscores.txt",
        truth=folder / "truth.csv",
        gene_truth=folder / "truth_genes.csv",
        settings=settings,
    )


def slides_table(slides: Sequence[SimulatedSlide]) -> pd.DataFrame:
    """The slides table: PATIENT, FILENAME (of the slide's features), SIMULATED."""
    return pd.DataFrame(
        {
            "PATIENT": [slide.patient for slide in slides],
            "FILENAME": [f"{slide.name}.h5" for slide in slides],
            "SIMULATED": "yes",
        }
    )


def write_tables(
    cohort: SimulatedCohort, truth: pd.DataFrame, slides: pd.DataFrame, readme: str
) -> None:
    """Write every table of a cohort, and its README last.

    Args:
        cohort: Where the tables go, and the settings.
        truth: The patients, from `draw_truth`; further columns are written with it.
        slides: PATIENT and FILENAME of each slide.
        readme: What is true in the cohort.
    """
    programmes = draw_programmes(cohort.settings)
    expression = draw_expression(cohort.settings, truth, programmes)
    measured = expression.loc[:, truth["HAS_GENOMICS"].to_numpy()].reset_index(names="Hugo_Symbol")
    measured.insert(1, "Entrez_Gene_Id", "")
    write_table(cohort.slides_table, slides)
    write_table(cohort.clinical_table, _clinical(truth))
    write_table(cohort.expression, measured, separator="\t")
    write_table(cohort.truth, truth, decimals=6)
    write_table(cohort.gene_truth, programmes, decimals=6)
    write_text(cohort.folder / "README.txt", readme)


def _clinical(truth: pd.DataFrame) -> pd.DataFrame:
    """The clinical table: an unknown label is empty."""
    columns = ["PATIENT", "ER", "SITE", "AGE", "OS_MONTHS", "OS_STATUS"]
    label = truth["ER"].where(truth["HAS_LABEL"], "")
    return truth[columns].assign(ER=label, AGE=truth["AGE"].astype(int), SIMULATED="yes")


def write_table(path: Path, table: pd.DataFrame, separator: str = ",", decimals: int = 4) -> None:
    """Write a table whole, the same bytes on every system."""
    with whole_file(path) as temporary:
        table.to_csv(
            temporary,
            sep=separator,
            index=False,
            float_format=f"%.{decimals}f",
            lineterminator="\n",
        )


def refuse_other_slides(folder: Path, expected: Sequence[Path]) -> None:
    """Stop where a folder holds other slides: a reader of the folder would mix them in."""
    if not folder.is_dir():
        return
    known = {path.name for path in expected}
    other = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if other:
        raise InputError(
            f"The folder {folder} holds files of another cohort ({listed(other, 3)}); "
            "give the simulated cohort an empty folder."
        )


def write_bag(
    path: Path,
    bag: NDArray[np.float16],
    coordinates: NDArray[np.int64],
    patches: Mapping[str, float],
    encoder: str,
) -> None:
    """One slide's features in the TRIDENT layout.

    Args:
        path: Where they go (.h5).
        bag: [n, F].
        coordinates: [n, 2] x and y of each patch, level-0 pixels.
        patches: Their size and magnification, by the names of that layout.
        encoder: Who made the features.
    """
    with whole_h5(path) as file:
        features = file.create_dataset("features", data=bag)
        features.attrs["encoder"] = encoder
        features.attrs["name"] = path.stem
        coords = file.create_dataset("coords", data=coordinates)
        coords.attrs["name"] = path.stem
        coords.attrs.update(patches)
        coords.attrs["overlap"] = 0


def readme_of_drawn(settings: SimulationSettings, truth: pd.DataFrame) -> str:
    """What is true in a cohort whose slides are drawn."""
    return readme(
        "SIMULATED DATA. No patient, no hospital and no slide in this folder is real.\n\n",
        settings,
        str(best_aucs(settings, truth)),
    )


def readme(opening: str, settings: CohortSettings, best: str) -> str:
    """What is true in a cohort: its opening, where labels come from, what can be reached."""
    values = "\n".join(f"  {name} = {value}" for name, value in asdict(settings).items())
    return (
        f"{opening}"
        "Made by histodistill.simulation to show and test the software. The label ER has a\n"
        "known origin: a part that slides and genes both show (weight shared_signal), a part\n"
        "that only genes show (weight genomic_signal) and noise (label_noise).\n"
        "truth.csv and truth_genes.csv hold that truth; they are for judging a result, never\n"
        "for training.\n\n"
        f"{best}\n\n"
        f"Settings:\n{values}\n"
    )
