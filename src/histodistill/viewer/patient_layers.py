"""Layers of a slide, from what the networks saw in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from histodistill.deploy import Bundle
from histodistill.errors import InputError
from histodistill.explanation.expression import ExpressionMap, explain_expression
from histodistill.explanation.expression_pictures import CAUTION
from histodistill.explanation.palette import DIFFERENCE, EXPRESSION, LIMIT, PROGRAMME, density
from histodistill.explanation.patients import PatientMap
from histodistill.explanation.predictability import require_shown
from histodistill.explanation.slide_pictures import sentences
from histodistill.features import BagStore
from histodistill.features.slide import SlideFeatures
from histodistill.viewer.layers import Layer

# Attention is shown in multiples of its mean.
_MOST_ATTENTION = 4.0
_UNIT = "log odds"
_AGAINST_AVERAGE = (
    "The same answer, shared out by how a patch differs from the average patch of this patient; "
    "the certificate is with the map of evidence."
)
_NOT_A_MAP = "Attention says how much a patch counts, not for which class: no map of evidence."


def layers_of(
    found: Sequence[PatientMap], features: SlideFeatures, classes: Sequence[str]
) -> tuple[Layer, ...]:
    """The layers of one slide.

    Args:
        found: Maps of its patient, one a network.
        features: The slide.
        classes: Names of the classes, as they are shown.
    """
    contributions = [layer for each in found for layer in _contributions(each, features, classes)]
    relative = [layer for each in found for layer in _against_average(each, features, classes)]
    attention = [layer for each in found for layer in _attention(each, features)]
    return (*contributions, *_difference(found, features, classes), *relative, *attention)


@dataclass(frozen=True)
class Expression:
    """What slides predict of a patient's expression.

    Attributes:
        found: The programmes and genes that may be drawn; None where there is none.
        refused: Genes that were asked for and may not be drawn, and why.
    """

    found: ExpressionMap | None
    refused: tuple[tuple[str, str], ...]

    def layers(self, features: SlideFeatures) -> tuple[Layer, ...]:
        """Their layers on one slide."""
        nothing = np.full(features.n_patches, np.nan)
        limits = -EXPRESSION.limit, EXPRESSION.limit
        refused = tuple(
            Layer(gene, nothing, EXPRESSION.palette, limits, "SD", sentences=(why,), painted=False)
            for gene, why in self.refused
        )
        return (*_expression(self.found, features), *refused)


def expression_of(bundle: Bundle, bags: BagStore, genes: Sequence[str], patient: str) -> Expression:
    """The programmes that slides predict, and the genes that are asked for."""
    shown, refused = [], []
    for gene in genes:
        try:
            require_shown(bundle, [gene])
            shown.append(gene)
        except InputError as error:
            refused.append((gene, str(error)))
    found = next(explain_expression(bundle, bags, shown, patients=[patient]), None)
    return Expression(found, tuple(refused))


def _expression(found: ExpressionMap | None, features: SlideFeatures) -> Iterator[Layer]:
    if found is None:
        return
    values = found.of_slide(features)
    for each in found.layers:
        scale = EXPRESSION if each.kind == "gene" else PROGRAMME
        named = f": {each.named_genes}" if each.genes else ""
        yield Layer(
            f"{each.name}{named}",
            values[each.name],
            scale.palette,
            (-scale.limit, scale.limit),
            "SD",
            ("low", "high"),
            (f"Predicted from slides with {each.sentence}.", CAUTION),
        )


def answers_of_networks(found: Sequence[PatientMap], classes: Sequence[str]) -> dict[str, str]:
    """What each network says, with the certificate of its map."""
    return {
        each.network: f"calls {classes[each.called]}; map: {each.certificate.sentence}"
        for each in found
    }


def _contributions(
    found: PatientMap, features: SlideFeatures, classes: Sequence[str]
) -> Iterator[Layer]:
    """The shares of every class; of two classes one says it all."""
    shown = [found.target] if len(classes) == 2 else range(len(classes))
    for index in sorted(shown, key=lambda own: own != found.target):
        certified = index == found.target
        told = (
            tuple(sentences(found, classes))
            if certified
            else _certificate_elsewhere(found, classes)
        )
        others = "others" if len(classes) > 2 else classes[1 - index]
        yield Layer(
            f"{found.network}: evidence for {classes[index]}",
            density(found.contributions.support(index))[found.rows(features)],
            "RdBu_r",
            (-LIMIT, LIMIT),
            _UNIT,
            (others, classes[index]),
            told,
            found.certificate.regional,
            evidence=True,
        )


def _against_average(
    found: PatientMap, features: SlideFeatures, classes: Sequence[str]
) -> Iterator[Layer]:
    """What a patch brought more than the average patch with its weight would have."""
    relative = found.contributions.against_average()
    if relative is None:
        return
    others = "others" if len(classes) > 2 else classes[1 - found.target]
    yield Layer(
        f"{found.network}: evidence for {classes[found.target]}, against the average patch",
        density(relative.support(found.target))[found.rows(features)],
        "RdBu_r",
        (-LIMIT, LIMIT),
        _UNIT,
        (others, classes[found.target]),
        (_AGAINST_AVERAGE,),
        found.certificate.regional,
        evidence=True,
    )


def _certificate_elsewhere(found: PatientMap, classes: Sequence[str]) -> tuple[str, ...]:
    return (f"The certificate of this network's map is with {classes[found.target]}.",)


def _difference(
    found: Sequence[PatientMap], features: SlideFeatures, classes: Sequence[str]
) -> Iterator[Layer]:
    """Where the student and the teacher who knows the genes see different things."""
    if len(found) != 2 or len({each.target for each in found}) > 1:
        return
    student, teacher = (
        density(each.contributions.support(each.target))[each.rows(features)] for each in found
    )
    yield Layer(
        f"student − multimodal teacher: evidence for {classes[found[0].target]}",
        student - teacher,
        DIFFERENCE.palette,
        (-LIMIT, LIMIT),
        _UNIT,
        ("teacher sees more", "student sees more"),
        ("Where the student and the teacher who knows the genes see different things.",),
        all(each.certificate.regional for each in found),
        evidence=True,
    )


def _attention(found: PatientMap, features: SlideFeatures) -> Iterator[Layer]:
    if found.attention is None:
        return
    measured = found.certificate.attention
    told = () if measured is None else (f"As a map its SRG is {measured.srg:.3f}.",)
    yield Layer(
        f"{found.network}: attention",
        (found.attention * len(found.attention))[found.rows(features)],
        "cividis",
        (0.0, _MOST_ATTENTION),
        "× mean",
        sentences=(_NOT_A_MAP, *told),
    )
