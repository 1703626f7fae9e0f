"""Maps of patients: what a bundle's networks saw in each patch, with a certificate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from histodistill.deploy import Bundle
from histodistill.deploy.gene_blocks import completed
from histodistill.explanation.certificate import Certificate, certify
from histodistill.explanation.contributions import (
    Contributions,
    Floats,
    Indices,
    average,
    left_out_contributions,
    max_contributions,
    path_contributions,
    pooled_contributions,
    votes,
)
from histodistill.explanation.removal import AskedRemoval, Removal, removal_of
from histodistill.explanation.tissue_blocks import tissue_blocks
from histodistill.features import BagStore
from histodistill.features.formats import read_coords
from histodistill.features.slide import SlideFeatures
from histodistill.inference import Member
from histodistill.model import Bags, Batch, Genes, NetworkName
from histodistill.model.pooling.parts import MaxParts, PooledParts
from histodistill.preparation import PreparedPatients

# Networks that have to be asked again for every part of a bag are asked less often.
_ASKED_STEPS, _ASKED_BLOCKS = 20, 4
_STEPS, _BLOCKS = 200, 16
# Groups that are left out one by one, at most.
_LEFT_OUT = 512
# Parts that do not give the network's own answer are not the network's.
_SAME_ANSWER = 1e-3


@dataclass(frozen=True)
class PatientMap:
    """What one network saw in the slides of a patient.

    Attributes:
        patient: The patient.
        network: ``student`` or ``multimodal``.
        contributions: Shares of the patches in the logits, mean over the members.
        attention: Weight of each patch in the pooled bag, mean over members and branches, [N];
            None where the network has none.
        certificate: Whether the map is true of the model.
        target: Index of the class that the certificate is about: the positive one, or the class
            that is called.
        called: Index of the class that is called.
        slides: The slides, in the order of their patches.
    """

    patient: str
    network: NetworkName
    contributions: Contributions
    attention: Floats | None
    certificate: Certificate
    target: int
    called: int
    slides: tuple[SlideFeatures, ...]

    def rows(self, slide: SlideFeatures) -> slice:
        """Which patches of the bag belong to a slide."""
        first = sum(own.n_patches for own in self.slides[: self.slides.index(slide)])
        return slice(first, first + slide.n_patches)


def explain(
    bundle: Bundle,
    bags: BagStore,
    genomics: Mapping[str, pd.DataFrame] | None = None,
    *,
    patients: Sequence[str] | None = None,
    max_missing_genes: float = 0.2,
    thresholds: Mapping[NetworkName, float | None] | None = None,
    seed: int = 0,
) -> Iterator[PatientMap]:
    """Explain the student's answers, and the multimodal teacher's for patients with genes.

    Args:
        bundle: A trained model.
        bags: Bags of the patients.
        genomics: Blocks of genes by the bundle's names, patients x genes.
        patients: Who is explained; by default everybody with slides.
        max_missing_genes: As for :func:`histodistill.predict`: who lacks more of a block is
            explained without it.
        thresholds: Operating thresholds instead of the bundle's own, by network.
        seed: Of the random orders that the certificates compare with.
    """
    blocks, _ = completed(bundle, genomics or {}, max_missing_genes)
    bounds = {name: bundle.threshold(name) for name in bundle.networks} | dict(thresholds or {})
    ready = [
        PreparedPatients(
            bags, m.transforms.scaled(blocks), m.transforms, m.networks.settings.token_size
        )
        for m in bundle.members
    ]
    for patient in bags.patients if patients is None else patients:
        batches = [r.batch([patient], device=torch.device("cpu")) for r in ready]
        for name in ("student", "multimodal"):
            reads = name in bundle.networks and (name == "student" or batches[0].genes is not None)
            if reads:
                read = [
                    _read(member, name, batch)
                    for member, batch in zip(bundle.members, batches, strict=True)
                ]
                yield _map(bundle, bags, patient, name, read, bounds[name], seed)


@dataclass(frozen=True)
class _Read:
    """One member's reading of a bag."""

    contributions: Contributions
    removal: Removal
    attention: Floats | None
    answer: Floats


def _read(member: Member, name: NetworkName, batch: Batch) -> _Read:
    network = getattr(member.networks, name)
    bags, genes = batch.bags, batch.genes
    assert bags is not None
    with torch.no_grad():
        parts = _parts(network, name, bags, genes)
        if parts is not None and _own(network):
            return _read_parts(parts, parts.logits())
        logits = _answer(network, name, bags, genes)
    if parts is not None and torch.allclose(parts.logits(), logits, atol=_SAME_ANSWER):
        return _read_parts(parts, logits)
    # Networks that do not add up their patches, and subclasses that answer in another way.
    patches = bags.patches

    def answer(bag: Tensor) -> Tensor:
        return _answer(network, name, _one_bag(bag, bags), genes)

    def left(kept: Indices) -> Floats:
        with torch.no_grad():
            return np.asarray(answer(patches[torch.from_numpy(kept)]).numpy())

    removal = AskedRemoval(left, len(patches), len(logits))
    shares = path_contributions(answer, patches)
    if shares is None:
        shares = left_out_contributions(left, np.arange(len(patches)) % _LEFT_OUT)
    return _Read(shares, removal, None, logits.numpy())


def _own(network: nn.Module) -> bool:
    """Whether it is made of this package's networks alone, whose parts give their own answers."""
    packages = {type(module).__module__.partition(".")[0] for module in network.modules()}
    return packages <= {"histodistill", "torch"}


def _read_parts(parts: PooledParts | MaxParts, logits: Tensor) -> _Read:
    if isinstance(parts, PooledParts):
        found, attention = votes(parts), parts.weights.mean(dim=1).numpy()
        shares, removal = pooled_contributions(parts, found), removal_of(parts, found)
        return _Read(shares, removal, attention, logits.numpy())

    def left(kept: Indices) -> Floats:
        with torch.no_grad():
            return replace(parts, hidden=parts.hidden[torch.from_numpy(kept)]).logits().numpy()

    asked = AskedRemoval(left, len(parts.hidden), len(logits))
    return _Read(max_contributions(parts), asked, None, logits.numpy())


def _parts(
    network: nn.Module, name: NetworkName, bags: Bags, genes: Genes | None
) -> PooledParts | MaxParts | None:
    found: PooledParts | MaxParts | None
    found = network.parts(bags) if name == "student" else network.parts(bags, genes)  # type: ignore[operator]
    return found


def _answer(network: nn.Module, name: NetworkName, bags: Bags, genes: Genes | None) -> Tensor:
    """Logits [C] float64 of a batch of one patient."""
    output = network(bags) if name == "student" else network(bags, genes)
    logits: Tensor = output.logits[0].double()
    return logits


def _one_bag(patches: Tensor, like: Bags) -> Bags:
    """A bag of patches that are ready: standardised already, [N, F]."""
    return Bags((patches,), (len(patches),), like.rows, None, patches.dtype)


def _map(
    bundle: Bundle,
    bags: BagStore,
    patient: str,
    name: NetworkName,
    read: list[_Read],
    threshold: float | None,
    seed: int,
) -> PatientMap:
    probability = np.mean([_softmax(each.answer) for each in read], axis=0)
    contributions = average([each.contributions for each in read], probability)
    attention = _mean([each.attention for each in read])
    called, target, bound = _call(bundle, threshold, probability)
    slides = bags.slides(patient)
    asked = any(isinstance(each.removal, AskedRemoval) for each in read)
    block = patient_blocks(slides, _ASKED_BLOCKS if asked else _BLOCKS)
    certificate = certify(
        [each.removal for each in read],
        contributions.support(target),
        attention,
        called,
        target,
        bound,
        block,
        n_steps=_ASKED_STEPS if asked else _STEPS,
        seed=seed,
    )
    return PatientMap(patient, name, contributions, attention, certificate, target, called, slides)


def _call(
    bundle: Bundle, threshold: float | None, probability: Floats
) -> tuple[int, int, float | None]:
    """The class that is called, the class that the map is about, and the threshold of its call."""
    positive = bundle.info.positive_index
    if positive is None:
        best = int(probability.argmax())
        return best, best, None
    bound = 0.5 if threshold is None else threshold
    called = positive if probability[positive] >= bound else 1 - positive
    return called, positive, bound


def patient_blocks(slides: Sequence[SlideFeatures], n_blocks: int) -> Indices:
    """Blocks of tissue of all patches of a patient, [N]; slides are blocks apart.

    Patches without coordinates are taken in the order of their file, which follows the tissue.
    """
    blocks: list[Indices] = []
    first = 0
    for slide in slides:
        coords = read_coords(slide)
        if coords is None:
            coords = np.stack([np.arange(slide.n_patches), np.zeros(slide.n_patches)], axis=1)
        own = tissue_blocks(coords, n_blocks)
        blocks.append(own + first)
        first += int(own.max()) + 1
    return np.concatenate(blocks)


def _mean(values: Sequence[Floats | None]) -> Floats | None:
    known = [value for value in values if value is not None]
    return np.mean(known, axis=0) if len(known) == len(values) else None


def _softmax(logits: NDArray[np.float64]) -> Floats:
    shifted = np.exp(logits - logits.max())
    return np.asarray(shifted / shifted.sum())
