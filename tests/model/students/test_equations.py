"""The equations of pooling, CLAM and DSMIL, computed again patch by patch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from histodistill.errors import InputError
from histodistill.model.layers.experts import LowRankExperts
from histodistill.model.shape import Shape
from histodistill.model.students.abmil_experts import ExpertsABMIL
from histodistill.model.students.abmil_plain import PlainABMIL
from histodistill.model.students.clam import ClamMB, ClamSB
from histodistill.model.students.dsmil import DSMIL
from tests.model.batches import SMALL, WIDTH, bags
from tests.model.students.build import SIZES, student

LABELS = torch.tensor([2, 0, 1, -1, 0])


def close(found: Tensor, expected: Tensor) -> None:
    """Alike to the digits of the softmax, which is taken in float32."""
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def weighted(scores: Tensor, vectors: Tensor) -> Tensor:
    """The softmax-weighted mean, one vector at a time."""
    powers = [math.exp(score) for score in scores.tolist()]
    total = torch.zeros_like(vectors[0])
    for power, vector in zip(powers, vectors, strict=True):
        total = total + power / sum(powers) * vector
    return total


def smooth_svm(score: float, target: int) -> float:
    """Berrada et al., eq. 12, with scores (0, score): log-sum-exp of margins and scores."""
    scores = (0.0, score)
    margins = [math.exp(s + (j != target)) for j, s in enumerate(scores)]
    return math.log(sum(margins)) - scores[target]


@pytest.mark.parametrize("name", ["mean", "max"])
def test_pooling(name: str) -> None:
    model = student(name)
    output = model(bags(SIZES))
    for place, bag in enumerate(bags(SIZES).split()):
        hidden = [model.get_submodule("patches")(patch) for patch in bag]
        for d in range(len(hidden[0])):
            column = [h[d].item() for h in hidden]
            expected = max(column) if name == "max" else sum(column) / len(column)
            assert output.features[place, d].item() == pytest.approx(expected, abs=1e-12)
        logits = model.get_submodule("classifier")(output.features[place])
        torch.testing.assert_close(output.logits[place], logits)


def test_plain_attention() -> None:
    model = student("abmil-plain")
    assert isinstance(model, PlainABMIL)
    output = model(bags(SIZES))
    w, c = model.attention.score.weight[0], model.attention.score.bias
    V, b = model.attention.content.weight, model.attention.content.bias
    for place, bag in enumerate(bags(SIZES).split()):
        hidden = model.patches(bag)
        scores = torch.stack([w @ torch.tanh(V @ h + b) + c[0] for h in hidden])
        close(output.features[place], weighted(scores, hidden))


def test_experts() -> None:
    model = student("abmil-experts")
    assert isinstance(model, ExpertsABMIL)
    mixture = model.get_submodule("patches.0")
    assert isinstance(mixture, LowRankExperts)
    assert sum(p.numel() for p in (mixture.down.weight, mixture.up.weight)) <= 1.5 * WIDTH * 16
    B = mixture.up.weight.split(mixture.rank, dim=1)
    A = mixture.down.weight.split(mixture.rank)
    (bag, *_) = bags(SIZES).split()
    for patch in bag:
        powers = torch.exp(mixture.router.weight @ patch + mixture.router.bias)
        read = sum(
            p / powers.sum() * (b @ (a @ patch)) for p, a, b in zip(powers, A, B, strict=True)
        )
        torch.testing.assert_close(mixture(patch), read + mixture.up.bias)


def test_a_number_of_experts_is_asked_for() -> None:
    shape = Shape(2, SMALL, WIDTH)
    mixture = ExpertsABMIL(shape, experts=3).get_submodule("patches.0")
    assert isinstance(mixture, LowRankExperts)
    assert mixture.router.out_features == 3
    for wrong in (0, 2.5, True, "many"):
        with pytest.raises(InputError, match="experts is"):
            ExpertsABMIL(shape, experts=wrong)  # type: ignore[arg-type]


def gated(model: ClamSB | ClamMB, hidden: Tensor) -> Tensor:
    """Attention of every patch in every branch, [N, branches]."""
    if isinstance(model, ClamSB):
        gate, score = model.attention.gate, model.attention.score
    else:
        gate, score = model.gate, model.branches
    V, U = gate.weight.chunk(2)
    v, u = gate.bias.chunk(2)
    rows = [torch.tanh(V @ h + v) * torch.sigmoid(U @ h + u) for h in hidden]
    return torch.stack([score.weight @ row + score.bias for row in rows])


def clustering(model: ClamSB | ClamMB, hidden: Tensor, scores: Tensor, label: int) -> float:
    """The clustering loss of one bag: sorted patches, one classifier after the other."""
    k = min(8, len(hidden) // 2)
    evidence = model.clustering.evidence(hidden).tolist()
    total = 0.0
    for c in range(scores.shape[1]):
        ranked = sorted(range(len(hidden)), key=scores[:, c].tolist().__getitem__)
        low, high = ranked[:k], ranked[-k:]
        if c == label:
            losses = [smooth_svm(evidence[i][c], 1) for i in high]
            losses += [smooth_svm(evidence[i][c], 0) for i in low]
        else:
            losses = [smooth_svm(evidence[i][c], 0) for i in high]
        total += sum(losses) / len(losses)
    return total / scores.shape[1]


@pytest.mark.parametrize("name", ["clam-sb", "clam-mb"])
def test_clam(name: str) -> None:
    model = student(name, 3)
    assert isinstance(model, ClamSB | ClamMB)
    output = model(bags(SIZES), LABELS)
    losses = []
    for place, bag in enumerate(bags(SIZES).split()):
        hidden = model.patches(bag)
        scores = gated(model, hidden)
        pooled = torch.stack([weighted(column, hidden) for column in scores.T])
        close(output.features[place], pooled.mean(dim=0))
        if isinstance(model, ClamMB):
            W, b = model.classifiers.weight, model.classifiers.bias
            logits = torch.stack([W[c] @ pooled[c] + b[c] for c in range(3)])
        else:
            logits = model.classifier(pooled[0])
        close(output.logits[place], logits)
        label = int(LABELS[place])
        if label >= 0 and len(bag) > 1:
            losses.append(clustering(model, hidden, scores.expand(-1, 3), label))
    # .7 of the cross-entropy and .3 of the clustering, divided by .7.
    assert output.auxiliary is not None
    assert output.auxiliary.item() == pytest.approx(0.3 / 0.7 * sum(losses) / 3)
    assert len(losses) == 3


@pytest.mark.parametrize("name", ["clam-sb", "clam-mb"])
def test_clam_leaves_bags_of_one_patch_unclustered(name: str) -> None:
    assert student(name)(bags({0: 1, 1: 1}), torch.tensor([0, 1])).auxiliary is None


def test_dsmil() -> None:
    model = student("dsmil", 3)
    assert isinstance(model, DSMIL)
    output = model(bags(SIZES), LABELS)
    losses = []
    for place, bag in enumerate(bags(SIZES).split()):
        hidden = model.patches(bag)
        best, by_class = [], []
        for c in range(3):
            scores = [float(model.instances(h)[c]) for h in hidden]
            critical = max(range(len(hidden)), key=scores.__getitem__)
            best.append(scores[critical])
            query = model.query(hidden[critical])
            likeness = torch.stack([model.query(h) @ query / math.sqrt(4) for h in hidden])
            by_class.append(weighted(likeness, model.value(hidden)))
        close(output.features[place], torch.stack(by_class).mean(dim=0))
        close(output.logits[place], model.classifier(torch.cat(by_class)))
        label = int(LABELS[place])
        if label >= 0:
            losses.append(math.log(sum(map(math.exp, best))) - best[label])
    assert output.auxiliary is not None
    assert output.auxiliary.item() == pytest.approx(sum(losses) / 4)
