"""TransMIL: attention, landmarks, positions and squaring, computed again token by token."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from histodistill.model.layers.nystrom import HEADS, NystromAttention, nystrom, pseudo_inverse
from histodistill.model.students.transmil import PyramidPositions, TransMIL, squared
from tests.model.batches import bags
from tests.model.students.build import student


def attended(layer: NystromAttention, sequence: Tensor) -> Tensor:
    """Exact attention, head by head, and the convolution of the values, token by token."""
    query, key, value = layer.projections(sequence).chunk(3, dim=1)
    width = query.shape[1] // HEADS
    half = layer.skip.kernel_size[0] // 2
    outputs = []
    for t in range(len(sequence)):
        heads = []
        for h in range(HEADS):
            mine = slice(h * width, (h + 1) * width)
            scores = torch.stack([query[t, mine] @ k[mine] for k in key]) / math.sqrt(width)
            total = torch.softmax(scores, dim=0) @ value[:, mine]
            for s in range(max(0, t - half), min(len(sequence), t + half + 1)):
                total = total + layer.skip.weight[h, 0, s - t + half, 0] * value[s, mine]
            heads.append(total)
        outputs.append(torch.cat(heads))
    answers: Tensor = layer.output(torch.stack(outputs))
    return answers


def located(positions: PyramidPositions, patches: Tensor) -> Tensor:
    """Each place and its surroundings, weighed by the three kernels."""
    side = math.isqrt(len(patches))
    outputs = []
    for row in range(side):
        for column in range(side):
            total = patches[row * side + column]
            for convolution in positions.convolutions:
                weight = convolution.get_parameter("weight")[:, 0]
                half = weight.shape[-1] // 2
                total = total + convolution.get_parameter("bias")
                for i in range(max(0, row - half), min(side, row + half + 1)):
                    for j in range(max(0, column - half), min(side, column + half + 1)):
                        kernel = weight[:, i - row + half, j - column + half]
                        total = total + kernel * patches[i * side + j]
            outputs.append(total)
    return torch.stack(outputs)


@pytest.mark.parametrize("size", [1, 2, 7, 9])
def test_the_class_token(size: int) -> None:
    model = student("transmil", 3)
    assert isinstance(model, TransMIL)
    output = model(bags({0: size}))
    side = math.ceil(math.sqrt(size))
    patches = list(model.patches(bags({0: size}).patches))
    patches = [patches[place % size] for place in range(side * side)]
    sequence = torch.stack([model.token[0], *patches])
    for number, layer in enumerate(model.layers):
        attention = layer.get_submodule("1")
        assert isinstance(attention, NystromAttention)
        sequence = sequence + attended(attention, layer.get_submodule("0")(sequence))
        if number == 0:
            sequence = torch.cat([sequence[:1], located(model.positions, sequence[1:])])
    feature = model.norm(sequence[0])
    torch.testing.assert_close(output.features[0], feature)
    torch.testing.assert_close(output.logits[0], model.classifier(feature))


def test_squaring_repeats_the_first_patches() -> None:
    for size in range(1, 30):
        patches = squared(torch.arange(size)[:, None])[:, 0].tolist()
        side = math.ceil(math.sqrt(size))
        assert patches == [place % size for place in range(side * side)]


def test_landmarks_are_the_means_of_segments() -> None:
    torch.manual_seed(0)
    query, key, value = 2 * torch.randn(3, 2, 36, 5, dtype=torch.float64)
    m = 4
    expected = []
    for q, k, v in zip(query / math.sqrt(5), key, value, strict=True):
        q_means = torch.stack([q[s : s + 9].mean(dim=0) for s in range(0, 36, 9)])
        k_means = torch.stack([k[s : s + 9].mean(dim=0) for s in range(0, 36, 9)])
        to, among, of = q @ k_means.T, q_means @ k_means.T, q_means @ k.T
        inverse = pseudo_inverse(among.softmax(1))
        expected.append(to.softmax(1) @ inverse @ of.softmax(1) @ v)
    torch.testing.assert_close(nystrom(query, key, value, m), torch.stack(expected))


def test_landmarks_are_exact_where_segments_are_alike() -> None:
    torch.manual_seed(0)
    distinct = 3 * torch.randn(2, 2, 4, 5, dtype=torch.float64)
    query, key = distinct.repeat_interleave(9, dim=2)
    value = torch.randn(2, 36, 5, dtype=torch.float64)
    exact = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(5), dim=2) @ value
    # Six steps leave the pseudo-inverse this far from exact.
    torch.testing.assert_close(nystrom(query, key, value, 4), exact, rtol=0, atol=1e-2)


def test_short_sequences_are_attended_exactly() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 32, 5, dtype=torch.float64)
    exact = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(5), dim=2) @ value
    torch.testing.assert_close(nystrom(query, key, value, 4), exact)


def test_pseudo_inverse() -> None:
    torch.manual_seed(0)
    matrices = torch.softmax(torch.randn(3, 6, 6, dtype=torch.float64), dim=2)
    found = pseudo_inverse(matrices, steps=40)
    torch.testing.assert_close(found, torch.linalg.pinv(matrices))
    # A matrix is inverted alike whatever the others are.
    scales = torch.tensor([1, 5, 9])[:, None, None]
    alone = pseudo_inverse(matrices[:1])
    torch.testing.assert_close(pseudo_inverse(matrices * scales)[:1], alone)
