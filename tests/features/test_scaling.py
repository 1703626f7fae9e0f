"""Standardisation of patches."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from histodistill.errors import InputError
from histodistill.features import BagStore, FeatureScaler, open_bags
from histodistill.features import scaling as scaling_module
from tests.features import writers


def _store(folder: Path, bags: dict[str, np.ndarray]) -> BagStore:
    return open_bags(
        {name: [writers.array(folder / f"{name}.npy", bag)] for name, bag in bags.items()}
    )


def _reference(bags: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation with each patient weighted equally, by the definition."""
    rows = np.concatenate(bags).astype(np.float64)
    weights = np.concatenate([np.full(len(bag), 1 / len(bag)) for bag in bags])
    mean = np.average(rows, axis=0, weights=weights)
    return mean, np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weights))


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(2, 30), min_size=1, max_size=4),
    shift=st.sampled_from([0.0, 1.0, 1000.0]),
    chunk=st.integers(1, 40),
)
def test_every_patient_weighs_the_same(sizes: list[int], shift: float, chunk: int):
    bags = {
        f"P{i}": writers.features(n, 3, seed=i) * (i + 1) + np.float32(shift * (i + 1))
        for i, n in enumerate(sizes)
    }
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaling_module, "_CHUNK", chunk)
        scaler = FeatureScaler.fit(_store(Path(folder), bags), bags)
    mean, deviation = _reference(list(bags.values()))
    np.testing.assert_allclose(scaler.mean, mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(scaler.scale, deviation, rtol=1e-5)


def test_only_the_training_patients_count(tmp_path: Path):
    bags = {"P1": writers.features(20), "P2": writers.features(30, seed=1)}
    alone = FeatureScaler.fit(_store(tmp_path, bags), ["P1", "P2"])
    extended = {**bags, "P3": 1e4 * writers.features(9)}
    with_test = FeatureScaler.fit(_store(tmp_path, extended), ["P1", "P2"])
    assert torch.equal(alone.mean, with_test.mean)
    assert torch.equal(alone.scale, with_test.scale)


def test_transformed_patches_are_standard(tmp_path: Path):
    store = _store(tmp_path, {"P1": 7 + 3 * writers.features(200, dtype="float16")})
    standard = FeatureScaler.fit(store, ["P1"]).transform(store.bag("P1"))
    assert standard.dtype == torch.float32
    torch.testing.assert_close(standard.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std(0, correction=0), torch.ones(5))


def test_transform_leaves_the_bag_as_it_is(tmp_path: Path):
    store = _store(tmp_path, {"P1": writers.features(20)})
    before = store.bag("P1").clone()
    FeatureScaler.fit(store, ["P1"]).transform(store.bag("P1"))
    assert torch.equal(store.bag("P1"), before)


def test_constant_features_become_zero(tmp_path: Path):
    values = writers.features(20)
    values[:, 1], values[:, 2] = 0.1, 0.0
    store = _store(tmp_path, {"P1": values, "P2": values[:7]})
    standard = FeatureScaler.fit(store, ["P1", "P2"]).transform(store.bag("P1"))
    torch.testing.assert_close(standard[:, 1:3], torch.zeros(20, 2), atol=1e-6, rtol=0)
    assert standard[:, 0].std() > 0.5


def test_large_mean_does_not_hide_a_small_deviation(tmp_path: Path):
    values = 1e3 + writers.features(50, dtype="float64")
    scaler = FeatureScaler.fit(_store(tmp_path, {"P1": values}), ["P1"])
    np.testing.assert_allclose(scaler.scale, values.std(0), rtol=1e-3)


def test_one_patch_is_enough(tmp_path: Path):
    store = _store(tmp_path, {"P1": writers.features(1)})
    assert torch.equal(FeatureScaler.fit(store, ["P1"]).scale, torch.ones(5))


def test_no_patients(tmp_path: Path):
    with pytest.raises(ValueError, match="at least one training patient"):
        FeatureScaler.fit(_store(tmp_path, {"P1": writers.features()}), [])


def test_stored_and_restored(tmp_path: Path):
    store = _store(tmp_path, {"P1": writers.features(20)})
    scaler = FeatureScaler.fit(store, ["P1"])
    restored = FeatureScaler.from_tensors(scaler.to_tensors())
    assert torch.equal(restored.transform(store.bag("P1")), scaler.transform(store.bag("P1")))


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"mean": torch.zeros(5)},
        {"mean": torch.zeros(5), "scale": torch.ones(4)},
        {"mean": torch.zeros(5, 1), "scale": torch.ones(5, 1)},
    ],
)
def test_damaged_scaling(tensors: dict[str, torch.Tensor]):
    with pytest.raises(InputError, match="scaling is damaged: it needs `mean` and `scale`"):
        FeatureScaler.from_tensors(tensors)
