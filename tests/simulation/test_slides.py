"""Simulated slides on disk: pyramids that readers open, the same bytes every time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.simulation import (
    Morphology,
    SimulatedCohort,
    SimulationSettings,
    simulate_cohort,
    simulate_slide,
    simulate_slides,
)
from tests.engines.worker_processes import workers

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

SMALL = SimulationSettings(
    seed=5, n_patients=6, n_sites=2, n_genes=20, share_with_two_slides=0.2, share_with_pen=0.5
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> SimulatedCohort:
    folder = tmp_path_factory.mktemp("pixels")
    return simulate_slides(folder, SMALL, width_px=300, height_px=260)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_two_workers_write_the_same_bytes_as_one(cohort: SimulatedCohort, tmp_path: Path) -> None:
    again = simulate_slides(tmp_path, SMALL, width_px=300, height_px=260, jobs=2)
    assert contents(again.folder) == contents(cohort.folder)
    assert not workers()


def test_tables_are_those_of_the_feature_cohort(cohort: SimulatedCohort, tmp_path: Path) -> None:
    features = simulate_cohort(tmp_path, SMALL)
    for name in ("slides.csv", "clinical.csv", "mrna_zscores.txt", "truth.csv", "README.txt"):
        assert (features.folder / name).read_bytes() == (cohort.folder / name).read_bytes()


def test_every_slide_of_the_table_is_drawn(cohort: SimulatedCohort) -> None:
    table = pd.read_csv(cohort.slides_table)
    drawn = {path.with_suffix(".h5").name for path in cohort.slides.iterdir()}
    assert drawn == set(table["FILENAME"])
    assert len(drawn) == 7


def test_slides_of_a_cohort_differ(cohort: SimulatedCohort) -> None:
    assert len({path.read_bytes() for path in cohort.slides.iterdir()}) == 7


def test_slides_of_another_cohort_are_refused(cohort: SimulatedCohort) -> None:
    with pytest.raises(InputError, match=r"slides holds files of another cohort .*SIM-S0"):
        simulate_slides(cohort.folder, replace(SMALL, seed=6), width_px=300, height_px=260)


def test_pyramid_halves_to_the_smallest_level_with_its_resolution(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    simulate_slide(path, Morphology(), 1, width_px=2050, height_px=1100, mpp=0.25)
    with tifffile.TiffFile(path) as tiff:
        assert [page.shape for page in tiff.pages] == [(1100, 2050, 3), (550, 1025, 3)]
        assert all(page.is_tiled for page in tiff.pages)
        assert tiff.pages[1].is_reduced
        assert "SIMULATED" in tiff.pages[0].description
        pixels_per_cm = [page.tags["XResolution"].value for page in tiff.pages]
    assert [top / bottom for top, bottom in pixels_per_cm] == [40_000, 20_000]


def test_coarser_level_is_the_mean_of_the_finer(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    simulate_slide(path, Morphology(), 2, width_px=1100, height_px=1100)
    fine, coarse = tifffile.imread(path, key=0), tifffile.imread(path, key=1)
    mean = fine.astype(float).reshape(550, 2, 550, 2, 3).mean(axis=(1, 3))
    # Both levels went through JPEG.
    assert np.abs(mean - coarse).mean() < 4


def test_openslide_reads_pixels_and_resolution(cohort: SimulatedCohort) -> None:
    openslide = pytest.importorskip("openslide")
    path = sorted(cohort.slides.iterdir())[0]
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == (300, 260)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.5)
        corner = np.asarray(slide.read_region((0, 0), 0, (300, 260)).convert("RGB"))
    np.testing.assert_allclose(corner.astype(int), tifffile.imread(path, key=0), atol=6)


def test_a_missing_tiff_writer_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(InputError, match=r"packages tifffile and imagecodecs.*histodistill\[sl"):
        simulate_slide(tmp_path / "slide.tif", Morphology(), 0, width_px=300, height_px=260)
    assert not list(tmp_path.iterdir())
