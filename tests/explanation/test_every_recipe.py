"""Maps of every recipe that adds up patches tell what `predict` says, on bags of any shape.

Networks in which patches talk to each other are held against their own logits in `test_networks`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from histodistill import explain, load, predict, read_experiment, train_final
from histodistill.deploy import Bundle
from histodistill.experiment import Experiment
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.recipes import Recipe, recipes
from histodistill.explanation.patients import PatientMap
from histodistill.features import BagStore, open_bags
from histodistill.model import NetworkSettings
from tests.experiment.small import NETWORK, SETTINGS, experiment_file
from tests.experiment.small import template as template
from tests.explanation.test_networks import ADDED_UP, EXACT

# Networks of two blocks of genes are those of one; the small cohort has one.
_TWO_BLOCKS = "gmkdn"
THREE_CLASSES = ("mkd", "clam-mb", "programmes")
OF_SLIDES = {"student", "multimodal"}


def networks() -> dict[str, Recipe]:
    """A recipe for each architecture that adds up patches: objectives change no map."""
    found = {
        json.dumps(own.network, sort_keys=True): name
        for name, own in reversed(list(recipes().items()))
        if name != _TWO_BLOCKS and _adds_up(NetworkSettings(**own.network))
    }
    return {name: recipes()[name] for name in sorted(found.values())}


def _adds_up(settings: NetworkSettings) -> bool:
    kinds = {"student": EXACT, "multimodal": ADDED_UP | {"experts", "linear"}}
    read = [name for name in settings.networks if name in OF_SLIDES]
    return bool(read) and all(getattr(settings, name) in kinds[name] for name in read)


@pytest.fixture(scope="module")
def study(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of all architectures, trained for a moment, for two classes and for three."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "cohort").symlink_to(template)
    clinical = pd.read_csv(template / "clinical.csv")
    clinical["GRADE"] = np.resize(["low", "middle", "high"], len(clinical))
    clinical.to_csv(folder / "clinical.csv", index=False)
    brief = {"max_epochs": 1, "members": 1}
    methods = {
        name: {"network": NETWORK if "width" not in own.network else {}, "training": dict(brief)}
        for name, own in networks().items()
    }
    methods["programmes"]["training"]["members"] = 2
    changes = {
        "cohort": {"clinical": "clinical.csv"},
        "features": {"standardise": True},
        "targets": {"GRADE": {"classes": ["low", "middle", "high"]}},
        "methods": {"abmil": None, "mkd": None} | methods,
        "baselines": [],
    }
    return experiment_file(folder, changes)


@pytest.fixture(scope="module")
def data(study: Path) -> tuple[Experiment, ExperimentData]:
    experiment = read_experiment(study)
    return experiment, load(experiment)


@pytest.fixture(scope="module")
def bags(
    data: tuple[Experiment, ExperimentData], tmp_path_factory: pytest.TempPathFactory
) -> BagStore:
    """A patient of one patch, one whose patches are alike, and one of two slides."""
    folder = tmp_path_factory.mktemp("bags")
    rng = np.random.default_rng(0)

    def slide(name: str, values: np.ndarray) -> Path:
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["features"] = values.astype(np.float32)
            file["coords"] = np.arange(2 * len(values)).reshape(-1, 2) * 64
            file["coords"].attrs.update({"patch_size": 64, "patch_size_level0": 64})
        return folder / f"{name}.h5"

    def drawn(count: int) -> np.ndarray:
        return rng.normal(0, 2, (count, SETTINGS.width))

    alike = np.tile(drawn(1), (5, 1))
    one, flat, two = list(data[1].genomics["mrna"].index[:3])
    return open_bags(
        {
            str(one): [slide("one", drawn(1))],
            str(flat): [slide("flat", alike)],
            str(two): [slide("two-1", drawn(4)), slide("two-2", drawn(7))],
        }
    )


CASES = [(n, "ER") for n in networks()] + [(n, "GRADE") for n in THREE_CLASSES]


@pytest.mark.parametrize(("name", "target"), CASES)
def test_shares_add_up_to_what_predict_says(
    name: str, target: str, data: tuple[Experiment, ExperimentData], bags: BagStore
) -> None:
    experiment, inputs = data
    trained = train_final(experiment, inputs, target, name, seed=0)
    genomics = inputs.genomics if trained.info.blocks else {}
    members = [replace(trained, members=(own,)) for own in trained.members]
    apart = [list(explain(own, bags, genomics)) for own in members]
    assert len(apart[0]) == len(bags.patients) * len(OF_SLIDES & set(trained.networks))
    for own, maps in zip(members, apart, strict=True):
        _add_up(own, maps, predict(own, bags=bags, genomics=genomics).table)
    together = list(explain(trained, bags, genomics))
    called = predict(trained, bags=bags, genomics=genomics).table.set_index("PATIENT")
    _add_up(trained, together, called.reset_index())
    for found, *parts in zip(together, *apart, strict=True):
        expected = np.mean([part.contributions.shares for part in parts], axis=0)
        np.testing.assert_allclose(found.contributions.shares, expected, atol=1e-9)
        assert len(found.contributions.shares) == bags.n_patches(found.patient)
        if called["answered_by"][found.patient] == found.network:
            told = called["call"][found.patient] or trained.info.classes[found.called]
            assert trained.info.classes[found.called] == told


def _add_up(bundle: Bundle, maps: list[PatientMap], table: pd.DataFrame) -> None:
    """The softmax of constant and shares is the probability, within what is promised."""
    answers = table.set_index("PATIENT")
    classes, positive = bundle.info.classes, bundle.info.positive
    for found in maps:
        shares = found.contributions
        odds = np.exp(shares.logits - shares.logits.max())
        probability = odds / odds.sum()
        moved = float(np.abs(shares.logits - shares.constant).max())
        # A probability moves by at most a quarter of what the log odds move.
        exact = shares.way != "integrated gradients"
        allowed = 1e-5 if exact else 1e-5 + 0.01 * 2 * moved / 4
        for index, label in enumerate(classes):
            if positive is None:
                expected = answers[f"{found.network}:{label}"][found.patient]
            else:
                told = answers[found.network][found.patient]
                expected = told if label == positive else 1 - told
            assert probability[index] == pytest.approx(expected, abs=allowed), found
