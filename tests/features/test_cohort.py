"""The real cohort's features."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from histodistill.features import FeatureScaler, open_bags, read_coords


@pytest.mark.shared
def test_real_cohort(tcga: Path):
    table = pd.read_csv(tcga / "slides.csv")
    slides = {
        str(patient): [tcga / "features" / Path(name).with_suffix(".h5").name for name in names]
        for patient, names in table.groupby("PATIENT")["FILENAME"]
    }
    store = open_bags(slides)
    assert (store.width, store.dtype, store.encoder) == (640, torch.float16, "tilmap16+hif")
    inspected = [slide for patient in store.patients for slide in store.slides(patient)]
    assert (len(store.patients), len(inspected)) == (615, 668)
    assert {slide.layout for slide in inspected} == {"trident"}
    assert {slide.patch_um for slide in inspected} == {800.0}

    some = store.patients[::40]
    scaler = FeatureScaler.fit(store, some)
    for patient in some:
        bag = store.bag(patient)
        assert bag.shape == (store.n_patches(patient), 640)
        assert scaler.transform(bag).isfinite().all()
        # A patient's morphometrics are the same in every row.
        assert torch.equal(bag[:, 33:], bag[:1, 33:].expand(len(bag), -1))
        for slide in store.slides(patient):
            coords = read_coords(slide)
            assert coords is not None
            assert coords.shape == (slide.n_patches, 2)
            assert (coords % 3200 == 0).all()
