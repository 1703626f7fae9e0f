"""Write a cohort whose slides are made of real tiles to a folder, in the layouts of real data.

The tables are those of `histodistill.simulation.cohort`; beside them lie::

    features/*.h5                     features of real tiles, indexed; TRIDENT layout
    folds/splits_<k>.csv              whom fold k trains on, stops by and tests
    experiment.yaml                   an experiment on all of it
    slides/*.tif                      mosaics of some patients' tiles, where they are asked for
    truth.csv                         with the latents, the part and the patches of each patient
    truth_patches.csv                 SLIDE, X, Y, TISSUE, SIGNAL, TILE of every patch, in order

Every file is written whole, and the same settings and tiles give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from histodistill.evaluation import roc_auc
from histodistill.files import whole_file, write_text
from histodistill.simulation.cohort import (
    SimulatedCohort,
    cohort_paths,
    readme,
    refuse_other_slides,
    slides_table,
    write_bag,
    write_tables,
)
from histodistill.simulation.tiles.features import TileFeatures
from histodistill.simulation.tiles.library import TileLibrary
from histodistill.simulation.tiles.mosaic import draw_mosaic
from histodistill.simulation.tiles.parts import write_folds
from histodistill.simulation.tiles.settings import TileSettings
from histodistill.simulation.tiles.stain import hospital_stains
from histodistill.simulation.tiles.tissue import TileModel, TilePatches, draw_tile_model
from histodistill.simulation.truth import SimulatedSlide, best_aucs, draw_truth, slides_of

# 10x is 1 µm a pixel, as TRIDENT has it.
_UM_PER_PX_AT_1X = 10.0
_EXPERIMENT = {
    "name": "Simulated patients of real tiles",
    "simulated": True,
    "cohort": {"clinical": "clinical.csv", "slides": "slides.csv", "site_column": "SITE"},
    "features": {"directory": "features", "standardise": True},
    "genomics": {"mrna": {"file": "mrna_zscores.txt"}},
    "targets": {"ER": {"classes": ["negative", "positive"], "positive": "positive"}},
    "splits": {"scheme": "files", "directory": "folds"},
    "methods": ["proportions", "abmil"],
    "output": "results",
}


@dataclass(frozen=True)
class TileCohort(SimulatedCohort):
    """Where the parts of a cohort of real tiles lie.

    Attributes:
        folds: Folder of the folds.
        experiment: An experiment on the cohort.
        patch_truth: CSV of the tissue of every patch, for judging maps only.
        best: What can be reached, in sentences.
    """

    folds: Path
    experiment: Path
    patch_truth: Path
    best: str


def simulate_tile_cohort(
    folder: Path,
    settings: TileSettings,
    library: TileLibrary,
    features: TileFeatures,
    *,
    mosaics: int = 0,
) -> TileCohort:
    """Simulate a paired cohort whose slides are made of real tiles.

    Args:
        folder: Where the cohort goes; made if it is missing.
        settings: The cohort's settings.
        library: The tiles, from `read_tiles`.
        features: Of the tiles, from `encode_tiles` with the stains of the settings' hospitals.
        mosaics: Number of patients, the first ones, whose slides are written as images too.

    Returns:
        The paths of what was written.

    Raises:
        InputError: The folder already holds features or slides of another cohort; classes that
            the settings name and the tiles have not, or too few tiles; the TIFF writer is missing.
    """
    model = draw_tile_model(settings, library, features)
    truth = draw_truth(settings)
    slides = slides_of(truth)
    shown = [slide for slide in slides if slide.key[0] < mosaics]
    paths = cohort_paths(folder, settings)
    refuse_other_slides(paths.features, [paths.features / f"{s.name}.h5" for s in slides])
    refuse_other_slides(paths.slides, [paths.slides / f"{s.name}.tif" for s in shown])
    _write_mosaics(paths.slides, model, shown)
    patches = _write_bags(paths.features, model, slides)
    counts = _write_patch_truth(folder / "truth_patches.csv", library, patches)
    truth = truth.assign(**_of_patients(model, truth["PATIENT"], counts))
    best = f"{best_aucs(settings, truth)}\n{_counting(truth)}"
    write_folds(folder / "folds", truth, truth["PART"].to_numpy(), settings.n_folds)
    write_text(folder / "experiment.yaml", yaml.safe_dump(_EXPERIMENT, sort_keys=False))
    write_tables(paths, truth, slides_table(slides), _readme(settings, model, best))
    return TileCohort(
        **vars(paths),
        folds=folder / "folds",
        experiment=folder / "experiment.yaml",
        patch_truth=folder / "truth_patches.csv",
        best=best,
    )


def _write_mosaics(folder: Path, model: TileModel, slides: Sequence[SimulatedSlide]) -> None:
    settings = model.settings
    stains = hospital_stains(settings.n_sites, settings.stain_shift)
    for slide in slides:
        stain = stains[slide.site if len(stains) > 1 else 0]
        draw_mosaic(folder / f"{slide.name}.tif", model, model.draw_patches(slide), stain)


def _write_bags(
    folder: Path, model: TileModel, slides: Sequence[SimulatedSlide]
) -> Iterator[tuple[SimulatedSlide, TilePatches]]:
    """Write each slide's features, then hand on its patches."""
    side, magnification = model.library.side, _UM_PER_PX_AT_1X / model.settings.tile_mpp
    geometry = {
        "patch_size": side,
        "patch_size_level0": side,
        "level0_magnification": magnification,
        "target_magnification": magnification,
    }
    for slide in slides:
        patches = model.draw_patches(slide)
        path = folder / f"{slide.name}.h5"
        write_bag(path, patches.features, patches.cells * side, geometry, model.features.encoder)
        yield slide, patches


def _write_patch_truth(
    path: Path, library: TileLibrary, drawn: Iterable[tuple[SimulatedSlide, TilePatches]]
) -> pd.DataFrame:
    """Write what is true of every patch; how many of each class a patient has."""
    counts: dict[str, list[np.ndarray]] = {}
    classes, names = np.array(library.classes), np.array(library.names)
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        for number, (slide, patches) in enumerate(drawn):
            x, y = (patches.cells * library.side).T
            table = pd.DataFrame(
                {
                    "SLIDE": slide.name,
                    "X": x,
                    "Y": y,
                    "TISSUE": classes[patches.tissue],
                    "SIGNAL": np.where(patches.signal, "yes", "no"),
                    "TILE": names[patches.tile],
                }
            )
            table.to_csv(out, index=False, header=number == 0, lineterminator="\n")
            found = np.bincount(patches.tissue, minlength=len(classes))
            counts.setdefault(slide.patient, []).append(found)
    return pd.DataFrame({p: sum(each) for p, each in counts.items()}, index=library.classes).T


def _of_patients(
    model: TileModel, patients: pd.Series[str], counts: pd.DataFrame
) -> dict[str, np.ndarray | list[float]]:
    """The columns that a cohort of tiles adds to the truth."""
    latents = [model.latents[patient] for patient in patients]
    own = counts.loc[list(patients)]
    return {
        "COMMON": [each.common for each in latents],
        "RARE": [each.rare for each in latents],
        "PART": np.array([each.part for each in latents]),
        "PATCHES": own.sum(axis=1).to_numpy(),
        "COMMON_PATCHES": own[list(model.settings.common_classes)].sum(axis=1).to_numpy(),
        "RARE_PATCHES": own[list(model.settings.rare_classes)].sum(axis=1).to_numpy(),
    }


def _counting(truth: pd.DataFrame) -> str:
    """What somebody could reach who counts tissue without an error."""
    labelled = truth[truth["HAS_LABEL"]]
    positive = (labelled["ER"] == "positive").to_numpy()
    common, rare = (
        roc_auc(positive, (labelled[name] / labelled["PATCHES"]).to_numpy())
        for name in ("COMMON_PATCHES", "RARE_PATCHES")
    )
    return (
        f"AUC of counting patches of the common classes: {common:.3f}, of the rare classes: "
        f"{rare:.3f}."
    )


def _readme(settings: TileSettings, model: TileModel, best: str) -> str:
    library = model.library
    opening = (
        "SIMULATED PATIENTS OF REAL TILES. The tiles are those of a folder of tissue classes;\n"
        "patients, hospitals, slides, labels and genes are simulated.\n\n"
        f"{len(library.names)} tiles of {library.side} x {library.side} px in "
        f"{len(library.classes)} classes ({', '.join(library.classes)}),\n"
        f"encoded by {model.features.encoder}. Patients of different parts (PART in truth.csv; "
        f"{settings.n_folds}\nis that of patients without a label) have no tile in common; fold k "
        "tests part k.\n"
        "truth_patches.csv names the tissue of every patch, in the order of the features.\n\n"
    )
    return readme(opening, settings, best)
