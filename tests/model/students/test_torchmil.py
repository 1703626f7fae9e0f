"""The parts of torchmil that are the papers', as references."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from histodistill.model.layers.nystrom import nystrom
from histodistill.model.students.abmil_plain import Attention
from histodistill.model.students.dsmil import DSMIL
from histodistill.model.students.transmil import PyramidPositions
from tests.model.batches import bags
from tests.model.students.build import student

pytestmark = pytest.mark.slow
models = pytest.importorskip("torchmil.models", reason="the reference is not installed")
attention = pytest.importorskip("torchmil.nn.attention")

WIDTH = 8


def copy(source: nn.Module, target: nn.Module) -> None:
    """Copy the parameters of a layer that both have."""
    target.load_state_dict({key: source.state_dict()[key] for key in target.state_dict()})


def patches(size: int) -> Tensor:
    return torch.randn(size, WIDTH, generator=torch.Generator().manual_seed(0)).double()


def test_plain_attention() -> None:
    ours = Attention(WIDTH, 4).double()
    theirs = attention.AttentionPool(WIDTH, 4, act="tanh").double()
    copy(ours.content, theirs.fc1.module)
    copy(ours.score, theirs.fc2)
    _, scores = theirs(patches(9)[None], return_att=True)
    # Theirs has no bias, which the softmax would not see.
    torch.testing.assert_close(ours(patches(9)) - ours.score.bias, scores[0])


def test_two_streams() -> None:
    model = student("dsmil", 3)
    assert isinstance(model, DSMIL)
    output = model(bags({0: 20}))
    hidden = model.patches(bags({0: 20}).patches)
    total = torch.zeros(3).double()
    for c in range(3):
        theirs = models.DSMIL((WIDTH,), att_dim=4).double()
        copy(model.query, theirs.q_nn)
        theirs.v_nn = model.value
        with torch.no_grad():
            theirs.inst_classifier.weight.copy_(model.instances.weight[c : c + 1])
            theirs.inst_classifier.bias.copy_(model.instances.bias[c : c + 1])
        last = model.classifier.get_parameter("1.weight")[:, WIDTH * c : WIDTH * (c + 1)]
        theirs.bag_classifier = nn.Linear(WIDTH, 3, bias=False).double()
        with torch.no_grad():
            theirs.bag_classifier.weight.copy_(last)
        total = total + theirs(hidden[None])[0, 0]
    total = total + model.classifier.get_parameter("1.bias")
    torch.testing.assert_close(output.logits[0], total, rtol=1e-6, atol=1e-8)


def test_landmarks() -> None:
    # One head: with more, theirs starts the pseudo-inverse from the norms over all of them.
    theirs = attention.NystromAttention(
        WIDTH, att_dim=WIDTH, n_heads=1, n_landmarks=4, learn_weights=False
    ).double()
    tokens = patches(36)
    found = nystrom(tokens[None], tokens[None], tokens[None], 4)[0]
    torch.testing.assert_close(found, theirs(tokens[None])[0], rtol=1e-5, atol=1e-7)


def test_positions() -> None:
    ours, theirs = PyramidPositions(WIDTH).double(), models.transmil.PPEG(WIDTH).double()
    for convolution, name in zip(ours.convolutions, ("proj", "proj1", "proj2"), strict=True):
        copy(convolution, theirs.get_submodule(name))
    square = patches(26)
    torch.testing.assert_close(ours(square[1:]), theirs(square[None], 5, 5)[0, 1:])
