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
from histodistill.inference import Member
from histodistill.model.pooling.parts import PooledParts
from histodistill.preparation import PreparedPatients
from histodistill.preparation.predicted_genes import PredictedGenes

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
            programmes in standard deviations of what slides predict of training patients.
        predicted: Each of them in the patient, [layers]: the mean over the patches, weighted as
            the student weights them where the map reads its hidden patches.
        slides: The slides, in the order of their patches.
    """

    patient: str
    layers: tuple[Predictable, ...]
    values: Floats
    predicted: Floats
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
        bundle: A trained model that reads patches as expression programmes, or whose training
            had a term that reads genes.
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
        values = np.zeros((bags.n_patches(patient), len(layers)))
        predicted = np.zeros(len(layers))
        for index, member in enumerate(bundle.members):
            read = _read(member, bags, patient)
            for column, layer in enumerate(layers):
                for match in layer.matches:
                    if match.member == index:
                        own = _one(read, layer, match) / len(layer.matches)
                        values[:, column] += own
                        predicted[column] += own @ read.weights
        yield ExpressionMap(patient, tuple(layers), values, predicted, bags.slides(patient))


@dataclass(frozen=True)
class _Read:
    """A bag as a member reads its expression.

    Attributes:
        genes: How its programmes make genes.
        programmes: Of each patch, [N, k].
        weights: Of the patches in what is predicted of the patient, [N]; they add up to 1.
    """

    genes: PredictedGenes
    programmes: torch.Tensor
    weights: Floats


@torch.no_grad()
def _read(member: Member, bags: BagStore, patient: str) -> _Read:
    transforms, n_patches = member.transforms, bags.n_patches(patient)
    if (read := transforms.programmes) is not None:
        chunks = torch.split(bags.bag(patient), _CHUNK)
        programmes = torch.cat([read.transform(chunk) for chunk in chunks])
        weights = np.full(n_patches, 1 / n_patches)
    else:
        read, parts = transforms.expression, _parts(member, bags, patient)
        assert read is not None
        programmes, weights = read.transform(parts.hidden), parts.weights[:, 0].numpy()
    assert read.genes is not None
    return _Read(read.genes, programmes, weights)


def _parts(member: Member, bags: BagStore, patient: str) -> PooledParts:
    """The bag as the member's student pools it."""
    size = member.networks.settings.token_size
    ready = PreparedPatients(bags, member.transforms.scaled({}), member.transforms, size)
    batch = ready.batch([patient], device=torch.device("cpu"))
    student = member.networks.student
    assert student is not None
    parts = student.parts(batch.bags)  # type: ignore[operator]
    assert isinstance(parts, PooledParts)
    return parts


def _one(read: _Read, layer: Predictable, match: Match) -> Floats:
    """A layer in each patch, [N]."""
    if layer.kind == "programme":
        unit = match.sign * float(read.genes.programme_sd[match.column])
        return np.asarray(read.programmes[:, match.column].double().numpy() / unit)
    return np.asarray(read.genes.of(read.programmes, [match.column])[:, 0].double().numpy())
