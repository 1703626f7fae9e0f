"""DTFD-MIL: pseudo-bags, both tiers, what is distilled and who learns from which loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from histodistill.model.students.dtfd import AFS, MAS, PSEUDO_BAGS, MaxMinS, MaxS
from tests.model.batches import bags, gradients
from tests.model.students.build import SIZES, student

DTFD = MaxS | MaxMinS | MAS | AFS
NAMES: tuple[str, ...] = ("dtfd-maxs", "dtfd-maxmins", "dtfd-mas", "dtfd-afs")
FIRST_TIER = ("patches.", "first_")


def build(name: str, n_classes: int = 2) -> DTFD:
    model = student(name, n_classes)
    assert isinstance(model, DTFD)
    return model


def positive(model: DTFD, hidden: Tensor, weights: Tensor) -> Tensor:
    """Probability of any class but the first for every patch, by Grad-CAM (eqs. 4 to 6).

    The pseudo-bag's feature is the mean of K a_k h_k; the gradient of each class's score with
    respect to these, averaged over the patches, weighs their features.
    """
    K = len(hidden)
    scaled = (K * weights[:, None] * hidden).detach().requires_grad_()
    logits = model.first_classifier(scaled.mean(dim=0))
    signals = []
    for score in logits:
        (gradient,) = torch.autograd.grad(score, scaled, retain_graph=True)
        signals.append(scaled @ gradient.mean(dim=0))
    probabilities = torch.softmax(torch.stack(signals, dim=1), dim=1)
    return 1 - probabilities[:, 0]


def distilled(model: DTFD, hidden: Tensor, weights: Tensor) -> list[Tensor]:
    score = positive(model, hidden, weights)
    if isinstance(model, MaxS):
        return [hidden[score.argmax()]]
    if isinstance(model, MaxMinS):
        return [hidden[score.argmax()], hidden[score.argmin()]]
    if isinstance(model, MAS):
        return [hidden[weights.argmax()]]
    return [weights @ hidden]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_both_tiers(name: str, n_classes: int) -> None:
    model = build(name, n_classes)
    labels = torch.tensor([1, -1, 0, n_classes - 1, -1])
    output = model(bags(SIZES), labels)
    losses = []
    for place, bag in enumerate(bags(SIZES).split()):
        vectors, first = [], []
        for g in range(min(PSEUDO_BAGS, len(bag))):
            hidden = model.patches(bag[g::PSEUDO_BAGS])
            weights = torch.softmax(model.first_attention(hidden), dim=0)
            first.append(model.first_classifier(weights @ hidden))
            vectors += distilled(model, hidden, weights)
        stacked = torch.stack(vectors)
        feature = torch.softmax(model.attention(stacked), dim=0) @ stacked
        torch.testing.assert_close(output.features[place], feature, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(
            output.logits[place], model.classifier(feature), rtol=1e-6, atol=1e-8
        )
        if labels[place] >= 0:
            losses.append(cross_entropy(torch.stack(first), labels[place].expand(len(first))))
    torch.testing.assert_close(output.auxiliary, torch.stack(losses).mean(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_each_tier_learns_from_its_own_loss(name: str) -> None:
    labels = torch.tensor([0, 1, 1, 0, 1])
    for of_second_tier in (True, False):
        model = build(name)
        output = model(bags(SIZES), labels)
        assert output.auxiliary is not None
        (output.logits.sum() if of_second_tier else output.auxiliary).backward()
        for key, gradient in gradients(model).items():
            if key.startswith(FIRST_TIER) == of_second_tier:
                assert not gradient.any(), key
            elif not key.endswith("score.bias"):
                assert gradient.any(), key


def test_pseudo_bags_are_random_in_training_alone() -> None:
    model = build("dtfd-afs")
    asked = bags({0: 3, 1: 21})
    still, _ = model._pseudo_bags(asked)
    assert still.equal(model._pseudo_bags(asked)[0])

    model.train()
    torch.manual_seed(5)
    order, sizes = model._pseudo_bags(asked)
    other, _ = model._pseudo_bags(asked)
    assert not order.equal(other)
    torch.manual_seed(5)
    assert order.equal(model._pseudo_bags(asked)[0])
    # Every patch once, none in another patient's pseudo-bag, all of about the same size.
    assert sizes == [[1, 1, 1], [3, 3, 3, 3, 3, 2, 2, 2]]
    assert sorted(order[:3].tolist()) == list(range(3))
    assert sorted(order[3:].tolist()) == list(range(3, 24))


def test_patches_of_a_large_bag_are_told_apart() -> None:
    """Their attention is so small that in float32 their probabilities are all one half."""
    model = build("dtfd-maxs").float()
    W = model.first_classifier.get_parameter("1.weight").detach()
    hidden = torch.stack([W[0], W[1], W[0]])
    weights = torch.full((3,), 1e-9)
    assert len(torch.softmax(weights[:, None] * (hidden @ W.T), dim=1).unique()) == 1
    assert model.distil(hidden, weights)[0].equal(W[1])
