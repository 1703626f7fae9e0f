"""The whole objective: cross-entropy, MKD, SKD and CLOD."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from histodistill.model.batch import Output, common
from histodistill.model.heads import (
    ONE_TARGET,
    Head,
    Heads,
    answers_of_heads,
    label_columns,
    shares,
)
from histodistill.model.losses.objectives.alignment import alignment
from histodistill.model.losses.objectives.collaboration import collaboration
from histodistill.model.losses.objectives.counting import count, mean_over_patients
from histodistill.model.losses.objectives.ordered import ordered_cross_entropy
from histodistill.model.losses.objectives.orthogonality import orthogonality
from histodistill.model.losses.objectives.similarity import similarity
from histodistill.model.settings import NetworkName, ObjectiveSettings

Outputs = Mapping[NetworkName, Output]
Pair = tuple[NetworkName, NetworkName]
# Of two networks' outputs for the same patients, and of who of them counts.
_Term = Callable[[Output, Output, Tensor | None], Tensor]

DECOMPOSED_PAIRS: tuple[Pair, ...] = (
    ("multimodal", "student"),
    ("genomic", "student"),
    ("genomic", "multimodal"),
)

# A covariance, or a similarity between patients, needs two patients.
MIN_PATIENTS = 2


def objective(
    outputs: Outputs,
    labels: Tensor,
    settings: ObjectiveSettings,
    heads: Heads = ONE_TARGET,
) -> dict[str, Tensor]:
    """Every term of the loss, already weighted, that has a weight and networks to apply to.

    Source: MKD (MICCAI 2025). A term between two networks counts the patients that both
    can answer; cross-entropy counts the patients whose label is known. Of several targets,
    cross-entropy and collaboration are weighted means over the targets; a label that is not known
    moves nothing.

    Args:
        outputs: Outputs of the networks for one batch.
        labels: Class indices, [b] int64, of T targets [b, T]; -1 where unknown.
        settings: Weights and temperature.
        heads: Which logits answer which target.

    Returns:
        Scalars by name: ``ce_<network>``, ``auxiliary_<network>``,
        ``orthogonality``, ``alignment``, ``similarity`` and ``collaboration``. The loss is
        their sum.
    """
    terms: dict[str, Tensor] = {}
    taught: tuple[Pair, ...] = tuple(("student", teacher) for teacher in settings.teachers)
    if settings.cross_entropy:
        for network, output in outputs.items():
            entropy = _cross_entropy(output, labels, heads)
            if entropy is not None:
                terms[f"ce_{network}"] = settings.cross_entropy * entropy
    for network, output in outputs.items():
        if output.auxiliary is not None:
            terms[f"auxiliary_{network}"] = output.auxiliary
    between: dict[str, tuple[float, tuple[Pair, ...], _Term]] = {
        "orthogonality": (
            settings.orthogonality / 6,
            DECOMPOSED_PAIRS,
            lambda a, b, w: orthogonality(a.features, b.features, w),
        ),
        "alignment": (
            settings.alignment,
            DECOMPOSED_PAIRS,
            lambda a, b, w: alignment(a.features, b.features, w),
        ),
        "similarity": (
            settings.similarity,
            taught,
            lambda a, b, w: count(a.rows, w) * similarity(a.features, b.features, w),
        ),
        "collaboration": (
            settings.collaboration,
            taught,
            lambda a, b, w: _collaboration(a, b, settings.temperature, w, heads),
        ),
    }
    for name, (weight, pairs, term) in between.items():
        values = _values(term, outputs, pairs) if weight else []
        if values:
            terms[name] = weight * torch.stack(values).sum()
    return terms


def _cross_entropy(output: Output, labels: Tensor, heads: Heads) -> Tensor | None:
    """Mean over targets of that of each; None where nobody has a label."""
    parts = zip(
        shares(heads), heads, answers_of_heads(output, heads), label_columns(labels), strict=True
    )
    known = [(share, _of_target(own, column, head)) for share, head, own, column in parts]
    terms = [share * entropy for share, entropy in known if entropy is not None]
    return torch.stack(terms).sum() if terms else None


def _of_target(output: Output, labels: Tensor, head: Head) -> Tensor | None:
    """Mean cross-entropy of the patients whose label is known; None where there are none."""
    of_patients = ordered_cross_entropy if head.ordered else _entropy_of_patients
    if output.weight is not None:
        entropy = of_patients(output.logits, labels[output.rows].clamp(min=0))
        return mean_over_patients(entropy, output.weight * (labels[output.rows] >= 0))
    logits, known = output.labelled(labels)
    if not len(known):
        return None
    return of_patients(logits, known).mean() if head.ordered else cross_entropy(logits, known)


def _entropy_of_patients(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, reduction="none")


def _collaboration(
    a: Output, b: Output, temperature: float, weight: Tensor | None, heads: Heads
) -> Tensor:
    """Mean over targets of what two networks teach each other."""
    parts = zip(shares(heads), answers_of_heads(a, heads), answers_of_heads(b, heads), strict=True)
    terms = [
        share * collaboration(one.logits, other.logits, temperature, weight)
        for share, one, other in parts
    ]
    return torch.stack(terms).sum()


def _values(term: _Term, outputs: Outputs, pairs: tuple[Pair, ...]) -> list[Tensor]:
    """A term of the pairs of networks that are trained and share enough patients of the batch."""
    values = []
    for first, second in pairs:
        if first in outputs and second in outputs:
            a, b = common(outputs[first], outputs[second])
            if len(a.rows) < MIN_PATIENTS:
                continue
            if a.weight is not None and b.weight is not None:
                values.append(_if_enough(term, a, b, a.weight * b.weight))
            else:
                values.append(term(a, b, None))
    return values


def _if_enough(term: _Term, a: Output, b: Output, weight: Tensor) -> Tensor:
    """A term of weighted patients; 0 where too few count, for whom it is computed all the same.

    Whether they are enough is decided without asking how many: models of a stack, of which
    each has its own batch, take the same steps.
    """
    enough = weight.sum() >= MIN_PATIENTS
    value = term(a, b, torch.where(enough, weight, torch.ones_like(weight)))
    return torch.where(enough, value, torch.zeros_like(value))
