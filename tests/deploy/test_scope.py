"""Slides unlike those of training are told, and never released."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histodistill.calibration.triage import TriagePolicy
from histodistill.deploy import Bundle, predict
from histodistill.deploy.checksums import write_checksums
from histodistill.deploy.scope import SCOPE, unknown_hospitals
from histodistill.errors import InputError
from histodistill.features import BagStore, open_bags
from histodistill.inference.scope import Region, Scope, limit_of
from tests.deploy.bundles import WIDTH, bundle
from tests.deploy.test_calibration import calibrated


def slides(folder: Path, n: int, seed: int = 0, **odd: float) -> BagStore:
    """Slides of n patients around a mean of their own; ``shift``, ``noise`` or ``constant``."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(WIDTH, WIDTH))
    folder.mkdir(parents=True)
    paths = {}
    for patient in range(n):
        own = rng.normal(0, 0.5, WIDTH)
        patches = own + rng.normal(size=(40, WIDTH)) @ mixing
        patches += odd.get("shift", 0) + odd.get("noise", 0) * rng.normal(size=patches.shape)
        if "constant" in odd:
            patches = np.full_like(patches, odd["constant"])
        paths[f"P{seed}-{patient}"] = [folder / f"{patient}.npy"]
        np.save(folder / f"{patient}.npy", patches.astype(np.float32))
    return open_bags(paths)


@pytest.fixture(scope="module")
def scope(tmp_path_factory: pytest.TempPathFactory) -> Scope:
    bags = slides(tmp_path_factory.mktemp("training") / "slides", 120)
    return Scope.fit(bags, bags.patients)


def withheld(scope: Scope, bags: BagStore) -> float:
    return float(np.mean([scope.reason(bags.bag(p).double().numpy()) != "" for p in bags.patients]))


def test_patients_like_those_of_training_are_in_scope(scope: Scope, tmp_path: Path) -> None:
    # 2 % may be out of scope: of 200, 12 or more would be once in a thousand times.
    assert withheld(scope, slides(tmp_path / "alike", 200, seed=1)) < 0.06


@pytest.mark.parametrize("odd", [{"shift": 8.0}, {"noise": 6.0}, {"constant": 9.0}])
def test_others_are_not(scope: Scope, tmp_path: Path, odd: dict[str, float]) -> None:
    assert withheld(scope, slides(tmp_path / "odd", 20, seed=2, **odd)) == 1


def test_the_distance_is_mahalanobis_where_all_directions_are_kept() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3)) + 5
    region = Region.fit(vectors)
    assert len(region.directions) == 2
    away = vectors - vectors.mean(axis=0)
    precision = np.linalg.inv(np.cov(vectors, rowvar=False))
    expected = np.einsum("ni,ij,nj->n", away, precision, away) / 3
    np.testing.assert_allclose(region.distances(vectors), expected, rtol=1e-2)


def test_more_features_than_patients() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 40))
    region = Region.fit(vectors)
    assert region.directions.shape == (4, 40)
    np.testing.assert_allclose(region.directions @ region.directions.T, np.eye(4), atol=1e-9)
    far = region.distances(vectors + 50)
    assert (far > 20 * region.distances(vectors).max()).all()


def test_the_limit_is_a_conformal_quantile() -> None:
    usual = np.arange(1.0, 200.0)
    assert limit_of(usual, 0.01) == 198
    assert limit_of(np.array([3.0, 1.0, 2.0]), 0.01) == 3


def test_too_few_patients_have_no_scope(tmp_path: Path) -> None:
    bags = slides(tmp_path / "few", 4)
    with pytest.raises(InputError, match="it takes 5 or more"):
        Scope.fit(bags, bags.patients)


def test_the_same_patients_have_the_same_scope(scope: Scope, tmp_path: Path) -> None:
    bags = slides(tmp_path / "again", 120)
    again = Scope.fit(bags, bags.patients[::-1])
    for name, values in scope.to_tensors().items():
        np.testing.assert_array_equal(again.to_tensors()[name], values)


def test_a_bundle_withholds_them(scope: Scope, tmp_path: Path) -> None:
    made = replace(calibrated(), scope=scope)
    made.save(tmp_path / "bundle")
    read = Bundle.load(tmp_path / "bundle")
    assert read.notes == ()
    policy = TriagePolicy(max_missed=0.3, max_false_alarms=0.3)
    alike = predict(read, bags=slides(tmp_path / "alike", 30, seed=1), triage=policy)
    assert (alike.table["scope"] == "in scope").mean() > 0.8
    assert set(alike.table["triage"]) - {"send to IHC"}
    odd = predict(read, bags=slides(tmp_path / "odd", 8, seed=2, shift=9.0), triage=policy)
    assert set(odd.table["scope"]) == {"out of scope"}
    assert set(odd.table["triage"]) == {"send to IHC"}
    assert odd.table["triage_why"].str.startswith("slides unlike those of training").all()
    assert any("8 patients are out of scope" in note for note in odd.notes)


@pytest.mark.parametrize("damage", ["truncated", "another width"])
def test_a_damaged_scope_is_refused(scope: Scope, tmp_path: Path, damage: str) -> None:
    replace(bundle(), scope=scope).save(tmp_path / "bundle")
    path = tmp_path / "bundle" / SCOPE
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        from safetensors.torch import save_file

        region = Region.fit(np.random.default_rng(0).normal(size=(20, WIDTH + 1)))
        save_file(Scope(region, region, 1.0, 1.0, 20).to_tensors(), path)
    (tmp_path / "bundle" / "SHA256SUMS").unlink()
    write_checksums(tmp_path / "bundle")
    with pytest.raises(InputError, match=SCOPE):
        Bundle.load(tmp_path / "bundle")


def hospitals(sites: dict[str, int], **given: Any) -> dict[str, str]:
    info = bundle().info.model_copy(update={"provenance": {"sites": sites}})
    asked: dict[str, Any] = {"site": None, "calibrated": []} | given
    return unknown_hospitals(info, ["TCGA-A1-0001", "TCGA-ZZ-0002"], **asked)


def test_a_hospital_that_training_never_saw() -> None:
    assert set(hospitals({"A1": 20, "B2": 5})) == {"TCGA-ZZ-0002"}
    assert hospitals({"A1": 20}, site="A1") == {}
    assert len(hospitals({"A1": 20}, site="Elsewhere")) == 2
    assert hospitals({"A1": 20}, site="Elsewhere", calibrated=["Elsewhere"]) == {}
    # Hospitals with names of their own are no codes in barcodes; none recorded, none known.
    assert hospitals({"North": 20}) == {}
    assert hospitals({}) == {}
    assert hospitals({"unknown": 20}) == {}
