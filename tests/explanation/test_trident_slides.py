"""Maps of slides whose features came from TRIDENT: right places at any resolution, with overlap."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histodistill.deploy import Bundle
from histodistill.explanation.frame import frame_of
from histodistill.explanation.overlay import Legend
from histodistill.explanation.palette import LIMIT
from histodistill.explanation.patients import explain
from histodistill.explanation.raster import places_of
from histodistill.explanation.slide_pictures import Answer, write_slide
from histodistill.features import BagStore, open_bags
from histodistill.slides import SlideImage, open_slide
from tests.deploy.bundles import WIDTH, bundle, member

# A slide of 0.25 µm/px, read at 20x: a patch of 64 px is 128 px of level 0.
MPP, PATCH, LEVEL0 = 0.25, 64, 128
SIZE = (1280, 1024)
LEGEND = Legend("slide", ["faithful"], "negative", "positive")


def trident(folder: Path, overlap: int) -> BagStore:
    """Features as TRIDENT writes them; overlap is px of the patch as it was read."""
    step = LEVEL0 - 2 * overlap
    xs, ys = np.meshgrid(
        np.arange(0, SIZE[0] - LEVEL0 + 1, step), np.arange(0, SIZE[1] - LEVEL0 + 1, step)
    )
    coords = np.stack([xs.ravel(), ys.ravel()], axis=1)
    features = np.random.default_rng(0).normal(size=(1, len(coords), WIDTH)).astype(np.float32)
    path = folder / "A.h5"
    with h5py.File(path, "w") as file:
        file["features"] = features
        file["features"].attrs["encoder"] = "conch_v1"
        file["coords"] = coords
        file["coords"].attrs.update(
            patch_size=PATCH,
            patch_size_level0=LEVEL0,
            level0_magnification=40,
            target_magnification=20,
            overlap=overlap,
            level0_width=SIZE[0],
            level0_height=SIZE[1],
        )
    return open_bags({"A": [path]})


def answer(model: Bundle) -> Answer:
    return Answer(model.info.target, model.info.classes, {})


@pytest.fixture
def image(tmp_path: Path) -> SlideImage:
    Image.new("RGB", SIZE, (200, 140, 180)).save(tmp_path / "A.png")
    return SlideImage(tmp_path / "A.png", mpp_if_unrecorded=MPP)


@pytest.mark.parametrize("overlap", [0, 16, 32])
@pytest.mark.parametrize("mpp", [0.25, 0.3, 0.32])
def test_the_planted_patch_is_coloured_where_it_lies(
    tmp_path: Path, image: SlideImage, overlap: int, mpp: float
) -> None:
    (features,) = trident(tmp_path, overlap).slides("A")
    with open_slide(image.path, mpp=MPP) as slide:
        places = places_of(features, slide.mpp)
        assert places is not None
        frame = frame_of(places, slide, features, mpp)
    assert places.side == LEVEL0
    planted = len(places.coords) // 2 + 3
    values = np.zeros(len(places.coords))
    values[planted] = 4 * LIMIT  # overlapping patches are averaged, four at the most
    pixels = np.asarray(frame.draw(places, values, LEGEND)).astype(int)
    x, y = (places.coords[planted] + LEVEL0 / 2) / frame.downsample
    inside = pixels[int(y), int(x)]
    assert inside[0] > inside[2] + 40  # red
    for dx, dy in ((0.55, 0), (-0.55, 0), (0, 0.55), (0, -0.55)):
        column = int(x + dx * LEVEL0 / frame.downsample)
        row = int(y + dy * LEVEL0 / frame.downsample)
        beside = pixels[row, column]
        assert np.ptp(beside) == 0  # grey
    assert frame.mpp == pytest.approx(MPP * frame.downsample)


@pytest.mark.parametrize("overlap", [0, 16])
@pytest.mark.parametrize("with_slide", [True, False])
def test_files_have_the_places_that_trident_recorded(
    tmp_path: Path, image: SlideImage, overlap: int, with_slide: bool
) -> None:
    bags = trident(tmp_path, overlap)
    model = bundle(member(networks=("student",)))
    (features,) = bags.slides("A")
    maps = list(explain(model, bags))
    (tmp_path / "out").mkdir()
    shown = image if with_slide else None
    write_slide(tmp_path / "out", features, maps, answer(model), shown, mpp=1.0, n_shown=2)
    read = json.loads((tmp_path / "out" / "student.geojson").read_text())["features"]
    step = LEVEL0 - 2 * overlap
    ring = read[1]["geometry"]["coordinates"][0]
    assert ring[0] == [step, 0]
    assert ring[2] == [step + LEVEL0, LEVEL0]
    assert len(read) == features.n_patches


def test_three_classes_are_mapped_and_measured(tmp_path: Path, image: SlideImage) -> None:
    bags = trident(tmp_path, 0)
    model = bundle(member(classes=3, networks=("student",)), classes=("low", "middle", "high"))
    (found,) = explain(model, bags)
    assert found.target == found.called == int(found.contributions.logits.argmax())
    (features,) = bags.slides("A")
    (tmp_path / "out").mkdir()
    write_slide(tmp_path / "out", features, [found], answer(model), image, mpp=1.0, n_shown=2)
    read = json.loads((tmp_path / "out" / "student.geojson").read_text())["features"]
    measured = pd.DataFrame([each["properties"]["measurements"] for each in read])
    own = ["student low", "student middle", "student high"]
    assert list(measured) == [n for name in own for n in (name, f"{name} against average")]
    shares = measured[own].to_numpy()
    np.testing.assert_allclose(shares, found.contributions.shares)
    relative = found.contributions.against_average()
    assert relative is not None
    against = measured[[f"{name} against average" for name in own]]
    np.testing.assert_allclose(against, relative.shares)
    np.testing.assert_allclose(
        found.contributions.constant + np.sum(shares, axis=0),
        found.contributions.logits,
        atol=1e-5,
    )
    support = found.contributions.support(found.target)
    others = np.delete(found.contributions.shares, found.target, axis=1).mean(axis=1)
    np.testing.assert_allclose(support, found.contributions.shares[:, found.target] - others)
    assert (tmp_path / "out" / "student.png").exists()
