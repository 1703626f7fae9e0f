"""MoMKD's student: class memories guide the attention over the patches."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.attention import pool_bags
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent
from histodistill.model.students.momkd.class_memory import soft_angle_loss

MEMORY_SIZE = 16
ORTHOGONALITY_WEIGHT = 10.0
ALIGNMENT_WEIGHT = 0.2
MEMORY_WEIGHT = 0.1
FIRST_TEMPERATURE = 0.2
TEMPERATURE_RANGE = (0.01, 2.0)


@STUDENTS.declare(
    "momkd",
    text="MoMKD, attention led by class memories that genes shape in training",
    source="Guo 2026, CVPR",
    differs="no coordinates, so the graph attention over neighbouring patches becomes the same "
    "encoder with each patch its only neighbour; memories begin as random directions, not "
    "clusters; memories get the gradient of the vector quantisation too; dropout is the "
    "experiment's, not 0.5; beyond two classes, the largest affinity of the others "
    "against class 0",
    reads="slides; genes in training",
    objective={"cross_entropy": 0.5, "memory_alignment": 1},
)
class MomentumMemoryStudent(MILStudent):
    """Attends to patches by their angles with memories that both modalities shape.

    Source: Guo et al., "Momentum memory for knowledge distillation in computational
    pathology" (MoMKD), CVPR 2026, and the authors' released code. From there: K = 16 memory
    vectors a class in a space that slides and genomics share; attention
    ``softmax((max_k <p, m_1k> - max_k <p, m_0k>) / t)`` over the projections p of the
    patches, t learned from 0.2 within [0.01, 2], the memories out of reach of the
    classifier's gradients; the encoder's widths, norms and residuals; the loss of the
    memories (see ``_auxiliary``) and its weights. The memories are parameters that the
    optimiser's momentum moves, as in the released code. Genomics shape them through
    ``memory_alignment.MemoryAlignment``, in training alone.

    Our reading:
        - Bags have no coordinates, so the graph attention over neighbouring patches becomes
          the same encoder with every patch its own only neighbour.
        - Memories begin as random directions instead of clusters of patches.
        - The memories of the patches' own class get the gradient of the vector quantisation
          too, and not the patches alone.
        - Beyond two classes the largest affinity of classes 1, 2, ... is set against that of
          class 0, which is the source's rule for two.
        - Dropout is the experiment's, where the source has 0.5.

    Class 0 is the reference of the attention. The shared space is ``attention_width`` wide.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        width, shared = settings.width, settings.attention_width
        self.patches = PatchProjection(shape.feature_width, width, settings.dropout)
        self.patch_projection = nn.Linear(width, shared)
        self.slide_projection = nn.Linear(width, shared)
        self.memory = nn.Parameter(
            normalize(torch.randn(shape.n_classes, MEMORY_SIZE, shared), dim=-1)
        )
        self.log_temperature = nn.Parameter(torch.tensor(math.log(FIRST_TEMPERATURE)))
        self.classifier = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, shared),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(shared, shape.n_classes),
        )

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:
        """Features [n, d] and logits [n, C] of the n bags."""
        hidden = self.patches(bags.patches)
        directions = normalize(self.patch_projection(hidden), dim=-1)
        memory = normalize(self.memory, dim=-1)
        # Detached: a memory that serves the classifier would collapse.
        cosines = torch.einsum("ps,cks->pck", directions, memory.detach())
        nearest, places = cosines.max(dim=2)
        scores = nearest[:, 1:].amax(dim=1) - nearest[:, 0]
        temperature = self.log_temperature.exp().clamp(*TEMPERATURE_RANGE)
        features = pool_bags(scores / temperature, hidden, bags.sizes)
        logits = self.classifier(features)
        if labels is None:
            return Output(features, logits, bags.rows)
        errors = quantisation_errors(directions, memory, places, bags.sizes, labels)
        auxiliary = self._auxiliary(features, memory, errors, labels)
        return Output(features, logits, bags.rows, auxiliary, {"memory": memory})

    def _auxiliary(
        self, features: Tensor, memory: Tensor, errors: Tensor, labels: Tensor
    ) -> Tensor | None:
        """0.2 alignment of slides + 0.1 (quantisation + 10 orthogonality of the memories)."""
        known = labels >= 0
        if not known.any():
            return None
        slides = normalize(self.slide_projection(features[known]), dim=-1)
        own = labels[known]
        spread = overlap(memory)[own].mean()
        regularisation = errors[known].mean() + ORTHOGONALITY_WEIGHT * spread
        aligned = soft_angle_loss(slides, memory, own)
        return ALIGNMENT_WEIGHT * aligned + MEMORY_WEIGHT * regularisation


class PatchProjection(nn.Module):
    """Two residual layers; a patch keeps the larger of both answers.

    Args:
        feature_width: Size F of a patch feature.
        width: Size d of a hidden patch.
        dropout: Dropout probability.
    """

    def __init__(self, feature_width: int, width: int, dropout: float) -> None:
        super().__init__()
        self.shortcut = nn.Linear(feature_width, width)
        self.first = _layer(feature_width, width, dropout)
        self.second = _layer(width, width, dropout)

    def forward(self, patches: Tensor) -> Tensor:
        """Hidden patches [P, d] of patches [P, F]."""
        first = self.first(patches) + self.shortcut(patches)
        return torch.maximum(first, first + self.second(first))


def quantisation_errors(
    directions: Tensor, memory: Tensor, places: Tensor, sizes: tuple[int, ...], labels: Tensor
) -> Tensor:
    """Mean squared distance of a bag's patches to the nearest memories of its class, [n].

    Args:
        directions: Projected patches, unit vectors [P, s].
        memory: Unit vectors [C, K, s].
        places: Which memory of each class is nearest to each patch, [P, C].
        sizes: Patches in each of the n bags.
        labels: Class indices [n]; bags of unknown class (-1) count as class 0.
    """
    counts = torch.tensor(sizes, device=labels.device)
    own = labels.clamp(min=0).repeat_interleave(counts)
    codes = memory[own, places.gather(1, own[:, None]).squeeze(1)]
    distances = (directions - codes).square().mean(dim=1)
    return torch.stack([bag.mean() for bag in torch.split(distances, list(sizes))])


def overlap(memory: Tensor) -> Tensor:
    """How far the K unit vectors of each class are from orthogonal, [C].

    ``sum_jk <m_j, m_k>^2 / K^2 - 1 / K``, 0 where they are orthogonal.
    """
    cosines = memory @ memory.transpose(1, 2)
    return cosines.square().mean(dim=(1, 2)) - 1 / memory.shape[1]


def _layer(inputs: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.LayerNorm(width), nn.ELU(), nn.Dropout(dropout)
    )
