"""Programmes and genes in the tissue: expression that slides predict, patch by patch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from histodistill.deploy import Bundle
from histodistill.explanation.contributions import Floats
from histodistill.explanation.predictability import (
    Match,
    Predictable,
    predictable_programmes,
    require_shown,
)
from histodistill.features import BagStore
from histodistill.features.slide import SlideFeatures
from histodistill.preparation import ExpressionProgrammes

# Patches whose squashed features are in memory at a time.
_CHUNK = 8192


@dataclass(frozen=True)
class ExpressionMap:
    """Expression that a bundle predicts in the slides of a patient.

    Attributes:
        patient: The patient.
        layers: What is predicted: programmes, then the genes that were asked for.
        values: Each of them in each patch, mean over the members, [N, layers]: genes in standard
            deviations of the gene among training patients, from their mean;
            programmes in standard deviations of what slides predict of training patients. The
            mean over the patches is what is predicted of the patient.
        slides: The slides, in the order of their patches.
    """

    patient: str
    layers: tuple[Predictable, ...]
    values: Floats
    slides: tuple[SlideFeatures, ...]

    def rows(self, slide: SlideFeatures) -> slice:
        """Which patches of the bag belong to a slide."""
        first = sum(own.n_patches for own in self.slides[: self.slides.index(slide)])
        return slice(first, first + slide.n_patches)

    def of_slide(self, slide: SlideFeatures) -> dict[str, Floats]:
        """Each layer in the patches of a slide, by name, [n] each."""
        own = self.values[self.rows(slide)]
        return {layer.name: own[:, column] for column, layer in enumerate(self.layers)}


def explain_expression(
    bundle: Bundle,
    bags: BagStore,
    genes: Sequence[str] = (),
    *,
    patients: Sequence[str] | None = None,
) -> Iterator[ExpressionMap]:
    """Maps of the programmes that slides predict, and of genes that are asked for.

    Programmes that are not predicted above chance, or that are not the same for the members of
    an ensemble, are left out.

    Args:
        bundle: A trained model that reads patches as expression programmes.
        bags: Bags of the patients.
        genes: ``block:gene``, or the gene alone where one block has it.
        patients: Who is explained; by default everybody with slides.

    Yields:
        A map a patient; none where nothing may be drawn.

    Raises:
        InputError: The bundle predicts no expression, or not that of a gene that is asked for.
    """
    chosen = require_shown(bundle, genes)
    layers = [*(each for each in predictable_programmes(bundle) if each.shown), *chosen]
    if not layers:
        return
    for patient in bags.patients if patients is None else patients:
        bag = bags.bag(patient)
        parts = [_values(bundle, part, layers) for part in torch.split(bag, _CHUNK)]
        yield ExpressionMap(patient, tuple(layers), np.concatenate(parts), bags.slides(patient))


def _values(bundle: Bundle, patches: torch.Tensor, layers: Sequence[Predictable]) -> Floats:
    """Every layer in some patches, [n, layers]."""
    total = np.zeros((len(patches), len(layers)))
    for index, member in enumerate(bundle.members):
        read = member.transforms.programmes
        assert read is not None
        programmes = read.transform(patches)
        for column, layer in enumerate(layers):
            for match in layer.matches:
                if match.member == index:
                    own = _one(read, programmes, layer, match)
                    total[:, column] += own / len(layer.matches)
    return total


def _one(
    read: ExpressionProgrammes, programmes: torch.Tensor, layer: Predictable, match: Match
) -> Floats:
    assert read.genes is not None
    if layer.kind == "programme":
        unit = match.sign * float(read.genes.programme_sd[match.column])
        return np.asarray(programmes[:, match.column].double().numpy() / unit)
    return np.asarray(read.genes.of(programmes, [match.column])[:, 0].double().numpy())
