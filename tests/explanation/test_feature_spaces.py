"""Features compared and probed: estimates against formulas, and what chance gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.explanation.feature_plot import feature_figure, patient_figure
from histodistill.explanation.feature_spaces import (
    features_of,
    linear_cka,
    map_of_patients,
    probe_classes,
    probe_values,
)
from tests.deploy.bundles import bags_of, expression, member

RNG = np.random.default_rng(0)


def test_a_rotation_is_the_same_and_noise_is_nothing() -> None:
    one = RNG.normal(size=(60, 20))
    rotation, _ = np.linalg.qr(RNG.normal(size=(20, 20)))
    assert linear_cka(one, 3 * one @ rotation + 7) == pytest.approx(1)
    by_chance = [
        linear_cka(RNG.normal(size=(60, 200)), RNG.normal(size=(60, 200))) for _ in range(20)
    ]
    assert abs(np.mean(by_chance)) < 0.02  # the plain estimate would be about .8


def test_the_estimate_is_the_mean_over_quadruples() -> None:
    """Unbiased HSIC is a U-statistic: its definition, for six patients."""
    from itertools import permutations

    from histodistill.explanation.feature_spaces import _dependence

    one, other = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))
    k, m = one @ one.T, other @ other.T
    terms = [
        k[i, j] * m[i, j] + k[i, j] * m[q, r] - 2 * k[i, j] * m[i, q]
        for i, j, q, r in permutations(range(6), 4)
    ]
    assert _dependence(k, m) == pytest.approx(np.mean(terms))


def test_probes_read_what_is_there_and_nothing_else() -> None:
    features = RNG.normal(size=(120, 10))
    classes = np.where(features[:, 3] > 0, "positive", "negative").tolist()
    assert probe_classes(features, classes) > 0.9
    assert probe_values(features, features @ RNG.normal(size=10)) > 0.95


def test_where_there_is_nothing_to_read_probes_are_as_good_as_chance() -> None:
    rng = np.random.default_rng(7)
    classes = np.where(rng.normal(size=60) > 0, "a", "b").tolist()
    noise = rng.normal(size=(25, 60, 5))
    assert np.mean([probe_classes(own, classes) for own in noise]) == pytest.approx(0.5, abs=0.05)
    values = rng.normal(size=60)
    assert np.mean([probe_values(own, values) for own in noise]) == pytest.approx(0, abs=0.1)


def test_rare_classes_and_unknown_values_are_left_out() -> None:
    features = RNG.normal(size=(40, 3))
    sites = ["A"] * 18 + ["B"] * 18 + ["C"] * 2 + [np.nan] * 2
    assert 0 <= probe_classes(features, sites) <= 1
    assert np.isnan(probe_classes(features, ["A"] * 38 + ["B"] * 2))
    values = features[:, 0].copy()
    values[:5] = np.nan
    assert probe_values(features, values) > 0.9
    assert np.isnan(probe_values(features, np.full(40, np.nan)))
    assert np.isnan(probe_values(features, np.ones(40)))


def test_the_map_has_the_first_two_components() -> None:
    features = RNG.normal(size=(30, 5)) * [9, 1, 1, 1, 1]
    place = map_of_patients(features)
    assert place.shape == (30, 2)
    assert place[:, 0].std() >= place[:, 1].std()


def test_features_are_those_before_the_classifier(tmp_path: Path) -> None:
    patients = [f"P{number}" for number in range(20)]
    own, bags = member(), bags_of(tmp_path, patients)
    found = features_of(own, bags, {"mrna": expression(patients)}, patients)
    assert {name: values.shape for name, values in found.items()} == {
        "student": (20, 8),
        "multimodal": (20, 8),
        "genomic": (20, 8),
    }
    one = features_of(own, bags, {"mrna": expression(patients)}, patients[17:18])
    np.testing.assert_allclose(found["multimodal"][17], one["multimodal"][0], atol=1e-5)


def test_pictures_hold_every_network_question_and_patient() -> None:
    similarity = pd.DataFrame({"one": ["student"], "other": ["genomic"], "cka": [0.4], "sd": [0.1]})
    probes = pd.DataFrame(
        {
            "features": ["student", "genomic"] * 2,
            "what": ["label", "label", "mrna:G1", "mrna:G1"],
            "measure": ["auc", "auc", "r", "r"],
            "score": [0.8, 0.9, 0.2, 0.7],
            "sd": [0.1, 0.1, 0.1, np.nan],
        }
    )
    left, right = feature_figure(similarity, probes).axes
    assert [text.get_text() for text in left.texts].count("0.40") == 2
    assert [text.get_text() for text in right.get_yticklabels()] == ["student", "genomic"]
    sites = [f"S{number}" for number in range(10)]
    places = pd.DataFrame(
        {
            "network": "student",
            "PATIENT": sites,
            "x": range(10),
            "y": 0,
            "label": "a",
            "site": sites,
        }
    )
    by_label, by_site = patient_figure(places).axes
    drawn = [len(np.asarray(group.get_offsets())) for group in by_site.collections]
    assert sum(drawn) == 10
    assert len(by_label.collections) == 1
