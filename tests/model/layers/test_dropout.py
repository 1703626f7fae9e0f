"""Dropout: PyTorch's own for a model alone, and the same for each model of a stack."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from histodistill.model.layers.dropout import AlphaDropout, Dropout, Streams, drawing_from

PAIRS = [(Dropout, nn.Dropout), (AlphaDropout, nn.AlphaDropout)]


@pytest.mark.parametrize(("own", "torch_own"), PAIRS)
def test_alone_it_is_that_of_pytorch(own: type[nn.Module], torch_own: type[nn.Module]) -> None:
    values = torch.randn(40, 30, generator=torch.Generator().manual_seed(0))
    answers = []
    for kind in (own, torch_own):
        torch.manual_seed(3)
        answers.append(kind(0.3)(values))
    assert torch.equal(*answers)
    assert own(0.3).eval()(values) is values
    assert own(0.0)(values) is values


@pytest.mark.parametrize("kind", [Dropout, AlphaDropout])
def test_each_model_of_a_stack_drops_what_it_drops_alone(kind: type[nn.Module]) -> None:
    rows = (5, 0, 3)
    values = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    streams = Streams([torch.Generator().manual_seed(model) for model in range(3)])
    streams.rows = rows
    layers = nn.Sequential(kind(0.5), kind(0.25))
    with drawing_from(streams):
        together = torch.vmap(layers)(values)
    for model, n_rows in enumerate(rows):
        torch.manual_seed(model)
        assert torch.equal(together[model, :n_rows], layers(values[model, :n_rows]))


def test_streams_are_for_stacks_alone() -> None:
    streams = Streams([torch.Generator()])
    with drawing_from(streams), pytest.raises(RuntimeError, match="only one model runs"):
        Dropout(0.5)(torch.ones(2, 2))
    assert Dropout(0.5)(torch.ones(2, 2)).shape == (2, 2)
