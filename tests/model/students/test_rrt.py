"""RRT-MIL: regions, both attentions and the pooling, computed again place by place."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from histodistill.model.students.rrt import (
    HEADS,
    REPRESENTATIVES,
    RRT,
    CrossRegionAttention,
    RegionAttention,
    Regions,
)
from tests.model.batches import bags
from tests.model.students.build import student

CPU = torch.device("cpu")


def heads_of(projected: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Queries, keys and values [S, w] of each head."""
    query, key, value = projected.chunk(3, dim=1)
    width = query.shape[1] // HEADS
    parts = [slice(h * width, (h + 1) * width) for h in range(HEADS)]
    return [(query[:, part], key[:, part], value[:, part]) for part in parts]


def within(attention: RegionAttention, places: Tensor) -> Tensor:
    """R-MSA with EPEG for one region."""
    size, half = len(places), attention.positions.kernel_size[0] // 2
    merged = []
    for h, (query, key, value) in enumerate(heads_of(attention.projections(places))):
        kernel = attention.positions.weight[h, 0, :, 0]
        scores = query @ key.T / math.sqrt(query.shape[1])
        rows = []
        for t in range(size):
            located = scores[t]
            for s in range(max(0, t - half), min(size, t + half + 1)):
                located = located + kernel[s - t + half] * scores[s]
            rows.append(torch.softmax(located, dim=0) @ value)
        merged.append(torch.stack(rows))
    answers: Tensor = attention.output(torch.cat(merged, dim=1))
    return answers


def across(attention: CrossRegionAttention, regions: list[Tensor]) -> list[Tensor]:
    """CR-MSA."""
    K = REPRESENTATIVES
    scores = [attention.representatives(patches) for patches in regions]
    updated = []
    for k in range(K):
        tokens = torch.stack(
            [torch.softmax(s[:, k], dim=0) @ p for s, p in zip(scores, regions, strict=True)]
        )
        merged = [
            torch.softmax(query @ key.T / math.sqrt(query.shape[1]), dim=1) @ value
            for query, key, value in heads_of(attention.projections(tokens))
        ]
        updated.append(attention.output(torch.cat(merged, dim=1)))
    answers = []
    for r, score in enumerate(scores):
        answer = torch.zeros_like(regions[r])
        for p in range(len(regions[r])):
            share = torch.softmax(score[p], dim=0)
            for k in range(K):
                low, high = score[:, k].min(), score[:, k].max()
                scaled = (score[p, k] - low) / (high - low + 1e-8)
                answer[p] = answer[p] + share[k] * scaled * updated[k][r]
        answers.append(answer)
    return answers


@pytest.mark.parametrize("size", [1, 5, 70, 81])
def test_re_embedding(size: int) -> None:
    model = student("rrt", 3)
    assert isinstance(model, RRT)
    output = model(bags({0: size}))
    hidden = model.patches(bags({0: size}).patches)
    places = Regions.of(size, CPU).patches.tolist()

    def divided(rows: Tensor) -> list[Tensor]:
        """Each region with its patches, and with zeros where there is none."""
        return [torch.stack([rows[p] if p < size else 0 * rows[0] for p in r]) for r in places]

    after = hidden.clone()
    for region, rows in zip(places, divided(model.norms[0](hidden)), strict=True):
        for p, vector in zip(region, within(model.within, rows), strict=True):
            if p < size:
                after[p] = after[p] + vector

    last = after.clone()
    answers = across(model.across, divided(model.norms[1](after)))
    for region, answer in zip(places, answers, strict=True):
        for p, vector in zip(region, answer, strict=True):
            if p < size:
                last[p] = last[p] + vector

    embedded = model.norms[2](last)
    feature = torch.softmax(model.attention(embedded), dim=0) @ embedded
    torch.testing.assert_close(output.features[0], feature, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(output.logits[0], model.classifier(feature), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("size", [1, 2, 16, 17, 64, 70, 400, 1024, 1025, 3000])
def test_regions_are_the_64_squares_of_a_square(size: int) -> None:
    regions = Regions.of(size, CPU)
    assert sorted(regions.patches[regions.taken].tolist()) == list(range(size))
    edge = math.isqrt(regions.patches.shape[1])
    assert regions.patches.shape == (64, edge**2)
    assert 8 * (edge - 1) < math.ceil(math.sqrt(size)) <= 8 * edge
    for region in regions.patches:
        rows, columns = region // (8 * edge), region % (8 * edge)
        assert (rows // edge).unique().numel() == 1
        assert (columns // edge).unique().numel() == 1


def test_dividing_and_joining() -> None:
    bag = torch.randn(70, 3)
    regions = Regions.of(70, CPU)
    divided = regions.divide(bag)
    assert not divided[~regions.taken].any()
    assert regions.join(divided).equal(bag)
