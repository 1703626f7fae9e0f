"""The whole objective: cross-entropy, MKD, SKD and CLOD."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from histodistill.model.batch import Output, common
from histodistill.model.objectives.alignment import alignment
from histodistill.model.objectives.collaboration import collaboration
from histodistill.model.objectives.orthogonality import orthogonality
from histodistill.model.objectives.similarity import similarity
from histodistill.model.settings import NetworkName, ObjectiveSettings

Outputs = Mapping[NetworkName, Output]
Pair = tuple[NetworkName, NetworkName]

DECOMPOSED_PAIRS: tuple[Pair, ...] = (
    ("multimodal", "student"),
    ("genomic", "student"),
    ("genomic", "multimodal"),
)

# A covariance, or a similarity between patients, needs two patients.
MIN_PATIENTS = 2


def objective(outputs: Outputs, labels: Tensor, settings: ObjectiveSettings) -> dict[str, Tensor]:
    """Every term of the loss, already weighted, that has a weight and networks to apply to.

    Source: MKD (MICCAI 2025). A term between two networks counts the patients that both
    can answer; cross-entropy counts the patients whose label is known.

    Args:
        outputs: Outputs of the networks for one batch.
        labels: Class indices, [b] int64; -1 where unknown.
        settings: Weights and temperature.

    Returns:
        Scalars by name: ``ce_<network>``, ``auxiliary_<network>``,
        ``orthogonality``, ``alignment``, ``similarity`` and ``collaboration``. The loss is
        their sum.
    """
    terms: dict[str, Tensor] = {}
    taught: tuple[Pair, ...] = tuple(("student", teacher) for teacher in settings.teachers)
    if settings.cross_entropy:
        for network, output in outputs.items():
            logits, known = output.labelled(labels)
            if len(known):
                terms[f"ce_{network}"] = settings.cross_entropy * cross_entropy(logits, known)
    for network, output in outputs.items():
        if output.auxiliary is not None:
            terms[f"auxiliary_{network}"] = output.auxiliary
    between: dict[str, tuple[float, tuple[Pair, ...], Callable[[Output, Output], Tensor]]] = {
        "orthogonality": (
            settings.orthogonality / 6,
            DECOMPOSED_PAIRS,
            lambda a, b: orthogonality(a.features, b.features),
        ),
        "alignment": (
            settings.alignment,
            DECOMPOSED_PAIRS,
            lambda a, b: alignment(a.features, b.features),
        ),
        "similarity": (
            settings.similarity,
            taught,
            lambda a, b: len(a.rows) * similarity(a.features, b.features),
        ),
        "collaboration": (
            settings.collaboration,
            taught,
            lambda a, b: collaboration(a.logits, b.logits, settings.temperature),
        ),
    }
    for name, (weight, pairs, term) in between.items():
        values = [term(*both) for both in _answered(outputs, pairs)] if weight else []
        if values:
            terms[name] = weight * torch.stack(values).sum()
    return terms


def _answered(outputs: Outputs, pairs: tuple[Pair, ...]) -> list[tuple[Output, Output]]:
    """The pairs of networks that are trained and share enough patients of this batch."""
    both = [common(outputs[a], outputs[b]) for a, b in pairs if a in outputs and b in outputs]
    return [(a, b) for a, b in both if len(a.rows) >= MIN_PATIENTS]
