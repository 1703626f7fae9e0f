"""Every network's maps: complete, exact where they claim it, and never those of another network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients

from histodistill.explanation.contributions import path_contributions, pooled_contributions
from histodistill.explanation.patients import explain
from histodistill.features import BagStore
from histodistill.inference import Member
from histodistill.model import Bags, NetworkName, Networks, NetworkSettings
from histodistill.model.pooling.parts import PooledParts
from histodistill.model.registries import MULTIMODAL_TEACHERS, STUDENTS
from histodistill.model.students.abmil import ABMIL
from histodistill.preparation import PreparedPatients
from tests.deploy.bundles import TOKENS, WIDTH, bags_of, bundle, expression, member

EXACT = {"abmil", "abmil-plain", "abmil-experts", "mean", "max", "linear", "clam-sb", "clam-mb"}
ADDED_UP = {"mkd", "late", "porpoise", "pathomic"}


def made(classes: int = 2, **settings: Any) -> Member:
    """A member with random weights of a network."""
    torch.manual_seed(3)
    chosen = NetworkSettings(
        networks=("student", "multimodal"),
        **settings,
        width=8,
        attention_width=4,
        token_size=16,
        fusion_width=4,
    )
    networks = Networks(WIDTH, {"mrna": TOKENS}, classes, chosen)
    with torch.no_grad():
        for weights in networks.parameters():
            weights.normal_(0, 0.4)
    return Member(networks.eval(), member().transforms, {"student": 0.4, "multimodal": 0.4})


def logits(made_of: Member, bags: BagStore, network: NetworkName) -> np.ndarray:
    scaled = made_of.transforms.scaled({"mrna": expression(["A"])})
    prepared = PreparedPatients(bags, scaled, made_of.transforms, 16)
    with torch.no_grad():
        outputs = made_of.networks(prepared.batch(["A"], device=torch.device("cpu")))
    values: np.ndarray = outputs[network].logits[0].double().numpy()
    return values


def check(found, expected: np.ndarray) -> None:
    shares = found.contributions
    moved = max(np.abs(expected - shares.constant).max(), 1e-2)
    tolerance = 0.01 * moved if shares.way == "integrated gradients" else 1e-5
    np.testing.assert_allclose(shares.logits, expected, atol=tolerance)


@pytest.mark.parametrize("name", STUDENTS.names())
def test_every_student_is_explained_completely(name: str, tmp_path: Path) -> None:
    bags = bags_of(tmp_path, ["A"])
    own = made(student=name)
    (found,) = explain(bundle(own), bags)
    check(found, logits(own, bags, "student"))
    assert (found.contributions.way == "exact") == (name in EXACT)
    assert len(found.contributions.shares) == bags.n_patches("A")


@pytest.mark.parametrize("name", MULTIMODAL_TEACHERS.names())
def test_every_multimodal_teacher_is_explained_completely(name: str, tmp_path: Path) -> None:
    bags = bags_of(tmp_path, ["A"])
    own = made(multimodal=name)
    _, found = explain(bundle(own), bags, {"mrna": expression(["A"])})
    assert found.network == "multimodal"
    check(found, logits(own, bags, "multimodal"))
    assert (found.attention is not None) == (name in ADDED_UP | {"experts", "linear"})


@pytest.mark.parametrize("name", sorted(EXACT - {"max"}))
def test_shares_against_the_average_patch_add_up_and_leave_it_nothing(
    name: str, tmp_path: Path
) -> None:
    bags = bags_of(tmp_path, ["A"])
    own = made(student=name)
    (found,) = explain(bundle(own, made(student=name)), bags)
    relative = found.contributions.against_average()
    assert relative is not None
    np.testing.assert_allclose(relative.logits, found.contributions.logits, atol=1e-9)
    assert np.abs(relative.shares - found.contributions.shares).max() > 1e-3
    again = relative.against_average()
    assert again is not None
    np.testing.assert_array_equal(again.shares, relative.shares)


def test_a_patch_like_the_average_has_no_share_however_much_attention_it_has() -> None:
    hidden = torch.tensor([[1.0], [3.0], [2.0]])
    scores = torch.tensor([[0.0], [0.0], [5.0]])
    parts = PooledParts(scores, hidden, lambda pooled: pooled.flatten(1), linear=True)
    own = pooled_contributions(parts)
    relative = own.against_average()
    assert relative is not None
    assert own.shares[2, 0] > 1.9
    np.testing.assert_allclose(relative.shares[2], 0, atol=1e-12)
    np.testing.assert_allclose(relative.constant, 2)
    weight = parts.weights[0, 0].item()
    np.testing.assert_allclose(relative.shares[:2, 0], [-weight, weight])


def test_networks_that_do_not_add_up_patches_have_no_average(tmp_path: Path) -> None:
    (found,) = explain(bundle(made(student="max")), bags_of(tmp_path, ["A"]))
    assert found.contributions.against_average() is None


def test_members_are_averaged_and_classes_may_be_three(tmp_path: Path) -> None:
    bags = bags_of(tmp_path, ["A"])
    members = [made(3, student="clam-mb"), made(3, student="clam-mb")]
    (found,) = explain(bundle(*members, classes=("a", "b", "c")), bags)
    expected = np.mean([logits(own, bags, "student") for own in members], axis=0)
    check(found, expected)
    assert found.target == found.called == expected.argmax()


def test_scaled_features_are_explained_as_they_are_read(tmp_path: Path) -> None:
    bags = bags_of(tmp_path, ["A"])
    own = made(student="abmil")
    scaled = Member(own.networks, member(scaled=True).transforms, own.thresholds)
    (found,) = explain(bundle(scaled), bags)
    check(found, logits(scaled, bags, "student"))


class Doubled(ABMIL):
    """A subclass that answers in another way than what it inherits would explain."""

    def forward(self, bags, labels=None):
        output = super().forward(bags, labels)
        return type(output)(output.features, output.logits.square(), output.rows)


def test_a_subclass_is_not_explained_by_what_it_inherits(tmp_path: Path) -> None:
    bags = bags_of(tmp_path, ["A"])
    own = made(student=f"{Doubled.__module__}:Doubled")
    (found,) = explain(bundle(own), bags)
    check(found, logits(own, bags, "student"))
    assert found.contributions.way == "integrated gradients"


@pytest.mark.parametrize("name", ["abmil-plain", "transmil", "mean"])
def test_integrated_gradients_are_those_of_captum(name: str) -> None:
    network = made(student=name).networks.student
    assert network is not None
    bag = torch.randn(12, WIDTH)

    def answer(patches: torch.Tensor) -> torch.Tensor:
        bags = Bags((patches,), (len(patches),), torch.tensor([0]), None, patches.dtype)
        answered: torch.Tensor = network(bags).logits[0]
        return answered

    found = path_contributions(answer, bag)
    assert found is not None
    ours = found.shares[:, 1]
    steps = IntegratedGradients(
        lambda stacked: torch.stack([answer(patches)[1] for patches in stacked])
    ).attribute(bag[None], n_steps=1000, method="gausslegendre")
    theirs = steps[0].sum(dim=1).numpy()
    np.testing.assert_allclose(ours, theirs, atol=0.02 * np.abs(theirs).max())
