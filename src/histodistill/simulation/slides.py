"""Write a simulated cohort's slides as images: pyramidal, tiled TIFF with its µm per pixel.

The tables, genes and labels are those of `simulate_cohort`; the shared latent is visible in the
drawn morphology instead of in feature vectors. Any reader of generic tiled TIFF opens the
slides, OpenSlide among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histodistill.engines.choice import Place, opened
from histodistill.engines.scheduling import run_tasks
from histodistill.simulation.cohort import (
    SimulatedCohort,
    cohort_paths,
    readme_of_drawn,
    refuse_other_slides,
    slides_table,
    write_tables,
)
from histodistill.simulation.histology import draw_field
from histodistill.simulation.morphology import Morphology, morphology_of
from histodistill.simulation.pyramid import write_pyramid
from histodistill.simulation.settings import SimulationSettings
from histodistill.simulation.stain import Stain, draw_stain
from histodistill.simulation.truth import SimulatedSlide, Stream, draw_truth, generator, slides_of


def simulate_slides(
    folder: Path,
    settings: SimulationSettings | None = None,
    *,
    width_px: int = 1500,
    height_px: int = 1500,
    mpp: float = 0.5,
    jobs: int = 1,
) -> SimulatedCohort:
    """Simulate a paired cohort of slide images, clinical data and expression.

    Args:
        folder: Where the cohort goes; made if it is missing.
        settings: The cohort's settings; the defaults if not given.
        width_px: Width of every slide, level-0 pixels.
        height_px: Height of every slide, level-0 pixels.
        mpp: µm per level-0 pixel.
        jobs: Slides drawn at a time; the bytes do not depend on it.

    Returns:
        The paths of what was written: ``slides``, and every table. ``features`` is where
        the slides table expects the features once they are extracted.

    Raises:
        InputError: The folder holds slides of another cohort, or the TIFF writer is missing.
    """
    settings = settings or SimulationSettings()
    cohort = cohort_paths(folder, settings)
    truth = draw_truth(settings)
    slides = slides_of(truth)
    paths = [cohort.slides / f"{slide.name}.tif" for slide in slides]
    refuse_other_slides(cohort.slides, paths)
    stains = [
        draw_stain(generator(settings, Stream.STAIN, site)) for site in range(settings.n_sites)
    ]
    drawing = _Drawing(settings, paths, slides, stains, width_px, height_px, mpp)
    with opened(Place(), folder, jobs=jobs) as engine:
        for _ in run_tasks(engine, drawing, [(number,) for number in range(len(slides))]):
            pass
    write_tables(cohort, truth, slides_table(slides), readme_of_drawn(settings, truth))
    return cohort


@dataclass(frozen=True)
class _Drawing:
    """Draws slides of a cohort by their numbers, in whichever process."""

    settings: SimulationSettings
    paths: Sequence[Path]
    slides: Sequence[SimulatedSlide]
    stains: Sequence[Stain]
    width_px: int
    height_px: int
    mpp: float

    def __call__(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            slide = self.slides[number]
            simulate_slide(
                self.paths[number],
                morphology_of(slide, self.settings),
                (self.settings.seed, int(Stream.PIXELS), *slide.key),
                stain=self.stains[slide.site],
                width_px=self.width_px,
                height_px=self.height_px,
                mpp=self.mpp,
            )


def simulate_slide(
    path: Path,
    morphology: Morphology,
    seed: int | tuple[int, ...],
    *,
    stain: Stain | None = None,
    width_px: int = 1500,
    height_px: int = 1500,
    mpp: float = 0.5,
) -> None:
    """Draw one slide and write it as a pyramidal TIFF.

    Args:
        path: Where the slide goes (.tif).
        morphology: What the tissue looks like.
        seed: Everything random follows from it.
        stain: The laboratory's stain; drawn from the seed if not given.
        width_px: Width, level-0 pixels.
        height_px: Height, level-0 pixels.
        mpp: µm per level-0 pixel.

    Raises:
        InputError: The TIFF writer is missing.
    """
    rng = np.random.default_rng(seed)
    image = draw_field(rng, morphology, stain or draw_stain(rng), (height_px, width_px), mpp)
    write_pyramid(path, image, mpp)
