"""WiKG: the graph, the messages along it, and the readout, computed again edge by edge."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from histodistill.model.students import wikg
from histodistill.model.students.wikg import NEIGHBOURS, WiKG, neighbours
from tests.model.batches import bags
from tests.model.students.build import SIZES, student


def message(heads: Tensor, tails: Tensor, i: int) -> Tensor:
    """Eqs. 2 to 7 for one head."""
    likeness = [float(heads[i] @ tail) / math.sqrt(len(tail)) for tail in tails]
    near = sorted(range(len(tails)), key=lambda j: -likeness[j])[:NEIGHBOURS]
    shares = torch.softmax(torch.tensor([likeness[j] for j in near]).double(), dim=0)
    edges = [p * tails[j] + (1 - p) * heads[i] for p, j in zip(shares, near, strict=True)]
    knowledge = [tails[j] @ torch.tanh(heads[i] + r) for j, r in zip(near, edges, strict=True)]
    weights = torch.softmax(torch.stack(knowledge), dim=0)
    return torch.stack([w * tails[j] for w, j in zip(weights, near, strict=True)]).sum(0)


def test_messages_and_readout() -> None:
    model = student("wikg", 3)
    assert isinstance(model, WiKG)
    output = model(bags(SIZES))
    for place, bag in enumerate(bags(SIZES).split()):
        hidden = model.patches(bag)
        hidden = torch.stack([(h + hidden.mean(dim=0)) / 2 for h in hidden])
        heads, tails = model.head(hidden), model.tail(hidden)
        updated = []
        for i in range(len(bag)):
            learnt = message(heads, tails, i)
            both = leaky_relu(model.from_sum(heads[i] + learnt))
            updated.append(both + leaky_relu(model.from_product(heads[i] * learnt)))
        vectors = torch.stack(updated)
        pooled = torch.softmax(model.attention(vectors)[:, 0], dim=0) @ vectors
        feature = model.norm(pooled)
        torch.testing.assert_close(output.features[place], feature, rtol=1e-5, atol=1e-6)
        logits = model.classifier(feature)
        torch.testing.assert_close(output.logits[place], logits, rtol=1e-5, atol=1e-6)


def test_neighbours_are_of_the_same_bag_and_found_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = (3, 1, 40)
    generator = torch.Generator().manual_seed(0)
    head, tail = torch.randn(2, 44, 8, generator=generator)
    found = neighbours(head, tail, sizes)
    assert found.shape == (44, NEIGHBOURS)
    assert sorted(found[0].tolist()) == [-1, -1, -1, 0, 1, 2]
    assert found[3].tolist() == [3, -1, -1, -1, -1, -1]
    assert found[4:].min() >= 4
    monkeypatch.setattr(wikg, "_BLOCK", 7)
    assert neighbours(head, tail, sizes).equal(found)
