"""What every slide-only network does, whatever its architecture."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from histodistill.model import Bags, Output
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from tests.model.batches import SMALL, WIDTH, bags, gradients
from tests.model.students.build import NAMES, SIZES, student

LABELLED: tuple[str, ...] = (
    "clam-sb",
    "clam-mb",
    "dsmil",
    "dtfd-maxs",
    "dtfd-maxmins",
    "dtfd-mas",
    "dtfd-afs",
)
ORDERED: tuple[str, ...] = (
    "transmil",
    "rrt",
    "dtfd-maxs",
    "dtfd-maxmins",
    "dtfd-mas",
    "dtfd-afs",
)
# A softmax ignores what is added to all its scores.
BLIND = ("score.bias", "attention.2.bias", "branches.bias")


def loss(output: Output, labels: Tensor) -> Tensor:
    """Cross-entropy and whatever the student adds."""
    total = cross_entropy(output.logits, labels)
    return total if output.auxiliary is None else total + output.auxiliary


def part(all_bags: Bags, places: list[int]) -> Bags:
    """Some of the bags, in another batch."""
    split = all_bags.split()
    return Bags(
        tuple(split[place] for place in places),
        tuple(all_bags.sizes[place] for place in places),
        torch.arange(len(places)),
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_features_and_logits(name: str, n_classes: int) -> None:
    asked = bags({1: 5, 4: 1, 6: 70})
    output = student(name, n_classes)(asked)
    assert output.features.shape == (3, SMALL.width)
    assert output.logits.shape == (3, n_classes)
    assert output.rows.equal(asked.rows)
    assert output.features.isfinite().all()
    assert output.logits.isfinite().all()
    assert output.auxiliary is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_parameter_learns(name: str, n_classes: int) -> None:
    model = student(name, n_classes).train()
    labels = torch.tensor([0, 1, n_classes - 1, 0, 1])
    loss(model(bags(SIZES), labels), labels).backward()
    found = gradients(model)
    assert all(gradient.isfinite().all() for gradient in found.values())
    still = {key for key, gradient in found.items() if gradient.abs().max() < 1e-12}
    assert all(key.endswith(BLIND) for key in still)


@pytest.mark.parametrize("name", NAMES)
def test_a_bag_of_one_patch_trains(name: str) -> None:
    model = student(name).train()
    labels = torch.tensor([1])
    output = model(bags({0: 1}), labels)
    loss(output, labels).backward()
    assert output.logits.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())


@pytest.mark.parametrize("name", NAMES)
def test_a_bag_is_answered_alike_in_every_batch(name: str) -> None:
    model = student(name, 3)
    everybody = bags(SIZES)
    together = model(everybody)
    for place in range(len(SIZES)):
        alone = model(part(everybody, [place]))
        torch.testing.assert_close(alone.features[0], together.features[place], rtol=1e-6, atol=0)
        torch.testing.assert_close(alone.logits[0], together.logits[place], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_patches(name: str) -> None:
    model = student(name)
    asked = bags({0: 70})
    shuffled = asked.patches[torch.randperm(70, generator=torch.Generator().manual_seed(0))]
    before, after = model(asked), model(Bags((shuffled,), asked.sizes, asked.rows))
    difference = (before.logits - after.logits).abs().max()
    assert (difference > 1e-6) == (name in ORDERED)


@pytest.mark.parametrize("name", LABELLED)
def test_patients_without_a_label_add_no_loss(name: str) -> None:
    model = student(name, 3)
    everybody = bags(SIZES)
    some = model(everybody, torch.tensor([2, -1, 0, -1, -1])).auxiliary
    known = model(part(everybody, [0, 2]), torch.tensor([2, 0])).auxiliary
    torch.testing.assert_close(some, known)
    assert model(everybody, torch.full((5,), -1)).auxiliary is None
    assert model(everybody, None).auxiliary is None


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(LABELLED)))
def test_the_others_have_no_loss_of_their_own(name: str) -> None:
    assert student(name)(bags({0: 3}), torch.tensor([1])).auxiliary is None


@pytest.mark.parametrize("name", NAMES)
def test_dropout_acts_in_training_alone(name: str) -> None:
    torch.manual_seed(0)
    model = STUDENTS.load(name)(Shape(2, SMALL.model_copy(update={"dropout": 0.5}), WIDTH)).double()
    asked = bags({0: 1, 1: 20})
    assert not torch.equal(model(asked).logits, model(asked).logits)
    model.eval()
    assert torch.equal(model(asked).logits, model(asked).logits)


@pytest.mark.parametrize("name", NAMES)
def test_reduced_precision(name: str) -> None:
    """Under autocast the answers are those of float32 to the digits that bfloat16 has."""
    model = student(name).float()
    asked = bags(SIZES)
    patches = asked.patches.float()
    exact = model(Bags((patches,), asked.sizes, asked.rows))
    labels = torch.tensor([0, 1, 1, 0, 1])
    with torch.autocast("cpu", torch.bfloat16):
        output = model(Bags((patches,), asked.sizes, asked.rows), labels).float()
    # Selecting patches by a score may well select others; such students need only be finite.
    if not name.startswith(("dtfd", "dsmil")):
        torch.testing.assert_close(output.logits, exact.logits, rtol=0.1, atol=0.1)
    loss(output, labels).backward()
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())
