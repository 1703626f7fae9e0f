"""Small multimodal networks in float64, and the patients that they are asked about."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from histodistill.model import Bags, Genes, Output
from histodistill.model.building import build_multimodal_teacher
from histodistill.model.registries import MULTIMODAL_TEACHERS
from histodistill.model.shape import Shape
from tests.model.batches import SMALL, WIDTH, bags, genes

NAMES: tuple[str, ...] = MULTIMODAL_TEACHERS.names()
BLOCKS = {"mrna": 3, "cna": 2}
#: One patch, a square of patches, and others.
SIZES = {0: 5, 1: 1, 2: 9, 3: 2}
#: Patient 1 lacks copy number, patient 2 expression.
ABSENT = {"cna": (1,), "mrna": (2,)}


def teacher(name: str, n_classes: int = 2, **changes: object) -> nn.Module:
    """A network in evaluation mode, without dropout unless ``changes`` ask for it."""
    torch.manual_seed(0)
    settings = SMALL.model_copy(update={"multimodal": name, **changes})
    network = build_multimodal_teacher(Shape(n_classes, settings, WIDTH, BLOCKS)).double().eval()
    if name == "linear":  # its weights start from 0, where nothing can be told apart
        for parameter in network.parameters():
            nn.init.normal_(parameter)
    return network


def patients() -> tuple[Bags, Genes]:
    """Four patients with slides and genes, of whom two lack a block."""
    return bags(SIZES), genes(tuple(SIZES), BLOCKS, ABSENT)


def one_by_one(all_bags: Bags, all_genes: Genes) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each patient the patches [N, F] and the tokens [all T, size], missing ones zero."""
    tokens = torch.cat(list(all_genes.tokens.values()), dim=1) * all_genes.mask()[..., None]
    yield from zip(all_bags.split(), tokens, strict=True)


def answer(network: nn.Module, all_bags: Bags, all_genes: Genes) -> Output:
    """What the network says."""
    output: Output = network(all_bags, all_genes)
    return output
