"""Models of a stack: each gets the terms, dropout and gradients that it would have got alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from histodistill.model import (
    Batch,
    NetworkSettings,
    ObjectiveSettings,
    objective,
)
from histodistill.model.stacking import networks as stacked_networks
from histodistill.model.stacking.batch import StackedBatch
from histodistill.model.stacking.networks import StackedNetworks, can_be_stacked
from histodistill.model.training_terms import total
from tests.model.batches import SMALL, bags, genes, networks

ALL = ("student", "multimodal", "genomic")
OF_ANY_WIDTH = ObjectiveSettings(orthogonality=0, alignment=0)
# Networks, their architectures, and the loss.
CASES: dict[str, tuple[dict[str, Any], ObjectiveSettings]] = {
    "mkd": ({"networks": ALL}, ObjectiveSettings()),
    "mkd with concatenation": ({"networks": ALL, "fusion": "concat"}, ObjectiveSettings()),
    "mkd with a network of its own for genes": (
        {"networks": ALL, "genomic": "snn"},
        ObjectiveSettings(),
    ),
    "student": ({"networks": ("student",)}, OF_ANY_WIDTH),
    "linear student": ({"networks": ("student",), "student": "linear"}, OF_ANY_WIDTH),
    "shrunken linear student": (
        {"networks": ("student",), "student": "linear", "shrinkage": 0.3},
        OF_ANY_WIDTH,
    ),
    "genomic": ({"networks": ("genomic",)}, OF_ANY_WIDTH),
    "linear genomic": ({"networks": ("genomic",), "genomic": "linear"}, OF_ANY_WIDTH),
    "multimodal": ({"networks": ("multimodal",)}, OF_ANY_WIDTH),
    "two linear networks": (
        {"networks": ("student", "genomic"), "student": "linear", "genomic": "linear"},
        OF_ANY_WIDTH,
    ),
}
# For each model who has how many patches, who has genes, and how many patients there are.
Patients = tuple[Mapping[int, int], Sequence[int], int]
COMPLETE: list[Patients] = [
    (dict.fromkeys(range(6), 9), range(6), 6),
    (dict.fromkeys(range(6), 9), range(6), 6),
]
LACKING: list[Patients] = [
    ({0: 5, 1: 1500, 3: 2, 4: 7}, (0, 2, 3, 4), 5),  # several blocks of patches
    ({0: 3, 1: 3, 2: 3}, (0, 1, 2), 3),
    ({1: 4}, (0, 1), 2),  # a single pair: no term between networks
    ({0: 6, 1: 2}, (2, 3), 4),  # nobody has both
]
LAST: list[Patients] = [({0: 4}, (0,), 1), ({0: 2}, (0,), 1)]  # one patient is left of an epoch


def batch(patients: Patients, seed: int) -> Batch:
    sizes, with_genes, size = patients
    return Batch(bags(sizes, seed), genes(with_genes, seed=seed), torch.arange(size) % 2)


def alone(
    settings: NetworkSettings, loss: ObjectiveSettings, own: Batch, seed: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Terms and gradients of one model that is trained alone."""
    model = networks(settings=settings, seed=seed).train()
    torch.manual_seed(100 + seed)
    terms = objective(model(own), own.labels, loss)
    total(terms).backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return terms, gradients


@pytest.mark.parametrize(
    "patients", [COMPLETE, LACKING, LAST], ids=["complete", "lacking", "one patient"]
)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_a_stack_gives_each_model_what_it_gets_alone(
    case: str, patients: list[Patients], dropout: float
) -> None:
    changes, loss = CASES[case]
    settings = SMALL.model_copy(update={**changes, "dropout": dropout})
    assert can_be_stacked(settings, loss)
    batches = [batch(own, seed) for seed, own in enumerate(patients)]
    models = [dict(networks(settings=settings, seed=s).named_parameters()) for s in range(4)]
    weights = {
        name: torch.stack([m[name].detach() for m in models[: len(batches)]]).requires_grad_()
        for name in models[0]
    }
    streams = [torch.Generator().manual_seed(100 + seed) for seed in range(len(batches))]
    code = networks(settings=settings).train()
    stacked = StackedBatch.of(batches, pairs_only=settings.networks == ("multimodal",))
    terms = StackedNetworks(code, loss, streams).terms(weights, stacked)
    total(terms).sum().backward()

    for seed, own in enumerate(batches):
        expected: dict[str, Tensor] = {}
        gradients: dict[str, Tensor] = {}
        if settings.networks != ("multimodal",) or len(own.paired_rows):
            expected, gradients = alone(settings, loss, own, seed)
        for name, values in terms.items():
            torch.testing.assert_close(
                values[seed], expected.get(name, torch.zeros_like(values[seed]))
            )
        for name, stack in weights.items():
            assert stack.grad is not None
            own_gradient = gradients.get(name, torch.zeros_like(stack.grad[seed]))
            torch.testing.assert_close(stack.grad[seed], own_gradient, rtol=1e-6, atol=1e-9)


def test_the_objective_is_computed_without_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watched(outputs: Any, *rest: Any) -> dict[str, Tensor]:
        seen.append(torch.is_autocast_enabled("cpu"))
        return objective(outputs, *rest)

    monkeypatch.setattr(stacked_networks, "objective", watched)
    settings = SMALL.model_copy(update={"networks": ALL})
    code = networks(settings=settings).train()
    weights = {n: p.detach()[None].requires_grad_() for n, p in code.named_parameters()}
    streams = [torch.Generator().manual_seed(0)]
    with torch.autocast("cpu", torch.bfloat16):
        model = StackedNetworks(code, ObjectiveSettings(), streams)
        model.terms(weights, StackedBatch.of([batch(COMPLETE[0], 0)]))
    assert seen == [False]


def test_counts_are_without_padding() -> None:
    stacked = StackedBatch.of([batch(own, seed) for seed, own in enumerate(LACKING)])
    assert stacked.n_patches == (1514, 9, 4, 8)
    assert stacked.n_bags == (4, 3, 1, 2)
    assert stacked.n_genes == (4, 3, 2, 2)
    assert stacked.n_pairs == (3, 3, 1, 0)
    assert stacked.inputs.labels.tolist()[2] == [0, 1, -1, -1, -1]


def test_patients_without_slides_or_genes_of_all_models() -> None:
    only_genes = Batch(None, genes((0, 1)), torch.tensor([0, 1]))
    only_bags = Batch(bags({0: 2, 1: 3}), None, torch.tensor([0, 1]))
    assert StackedBatch.of([only_genes]).inputs.bags is None
    assert StackedBatch.of([only_bags]).inputs.genes is None
    both = StackedBatch.of([only_genes, only_bags])
    assert both.inputs.pairs is None
    assert both.n_bags == (0, 2)
    assert both.n_genes == (2, 0)


@pytest.mark.parametrize(
    ("network", "loss"),
    [
        ({"student": "transmil"}, ObjectiveSettings()),
        ({"multimodal": "mcat"}, ObjectiveSettings()),
        ({"genomic": "branches"}, ObjectiveSettings()),
        ({"networks": ("multimodal", "genomic")}, ObjectiveSettings()),
        ({"networks": ALL, "student": "linear"}, OF_ANY_WIDTH),
        ({}, ObjectiveSettings(distillation={"kd": 1.0})),
        ({}, ObjectiveSettings(from_genes={"reconstruction": 1.0})),
    ],
)
def test_what_cannot_be_stacked(network: dict[str, Any], loss: ObjectiveSettings) -> None:
    assert not can_be_stacked(SMALL.model_copy(update=network), loss)
