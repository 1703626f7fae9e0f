"""Patients made ready for the networks: batches of bags and gene tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from histodistill.features import BagStore
from histodistill.model import Bags, Batch, Genes, NetworkName, to_tokens
from histodistill.preparation.programmes import ProgrammeBags
from histodistill.preparation.transforms import Transforms

UNKNOWN = -1


class PreparedPatients:
    """A cohort's bags and genes, transformed, and served in batches.

    Args:
        bags: Bags of the patients with slides; None where no slides are read.
        scaled: The blocks of ``transforms`` as :meth:`Transforms.scaled` gives them.
        transforms: Fitted transforms.
        token_size: Genes in one token.
        labels: Known class indices, by patient; everybody else counts as unknown. Of T targets
            that are learnt together a row of T, -1 where one is unknown.
        programme_bags: The bags as the programmes of ``transforms`` read them, where they are
            at hand already.

    Attributes:
        in_memory: Whether all bags are kept in memory, so that a batch is made in no time.
    """

    def __init__(
        self,
        bags: BagStore | None,
        scaled: Mapping[str, pd.DataFrame],
        transforms: Transforms,
        token_size: int,
        labels: Mapping[str, int] | Mapping[str, tuple[int, ...]] | None = None,
        programme_bags: ProgrammeBags | None = None,
    ) -> None:
        self.in_memory = bags is None or bags.in_memory
        self._features = bags
        self._bags: BagStore | ProgrammeBags | None = bags
        if bags is not None and transforms.programmes is not None:
            self._bags = programme_bags or ProgrammeBags(bags, transforms.programmes)
        self._with_slides = frozenset(bags.patients if bags else ())
        self._scaler = transforms.scaler
        self._labels: dict[str, int | tuple[int, ...]] = dict(labels or {})
        example = next(iter(self._labels.values()), UNKNOWN)
        self._unknown = UNKNOWN if isinstance(example, int) else (UNKNOWN,) * len(example)
        self._tokens: dict[str, Tensor] = {}
        self._rows: dict[str, dict[str, int]] = {}
        for name in transforms.blocks:
            self._tokens[name] = to_tokens(transforms.genes(name, scaled[name]), token_size)
            self._rows[name] = {patient: row for row, patient in enumerate(scaled[name].index)}
        self._with_genes = frozenset().union(*self._rows.values())

    @property
    def feature_width(self) -> int | None:
        """Size F of a patch feature; None where no slides are read."""
        return None if self._bags is None else self._bags.width

    @property
    def blocks(self) -> dict[str, int]:
        """Tokens of each block of genes."""
        return {name: block.shape[1] for name, block in self._tokens.items()}

    def has_slides(self, patient: str) -> bool:
        """Whether the patient has a bag."""
        return patient in self._with_slides

    def has_genes(self, patient: str) -> bool:
        """Whether the patient has at least one genomic block."""
        return patient in self._with_genes

    def has_inputs(self, patient: str, network: NetworkName) -> bool:
        """Whether the patient has all that a network answers from."""
        slides = network == "genomic" or self.has_slides(patient)
        genes = network == "student" or self.has_genes(patient)
        return slides and genes

    def n_patches(self, patient: str) -> int:
        """Patches of a patient, 0 without slides."""
        return self._bags.n_patches(patient) if self._bags and self.has_slides(patient) else 0

    def features(self, patient: str) -> Tensor:
        """Patch features [n, F] of a patient with slides, as they are stored."""
        assert self._features is not None
        return self._features.bag(patient)

    def labels(self, patients: Sequence[str]) -> Tensor:
        """Class indices, [n] int64, of T targets [n, T]; -1 where unknown."""
        known = [self._labels.get(patient, self._unknown) for patient in patients]
        return torch.tensor(known, dtype=torch.int64)

    def has_label(self, patient: str) -> bool:
        """Whether a class of the patient is known."""
        return patient in self._labels

    def batch(
        self,
        patients: Sequence[str],
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        patches: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """Bags, tokens and labels of some patients, in their order.

        Args:
            patients: Patients, each with slides, genes or both; repeats are allowed.
            device: Where the batch goes.
            dtype: Type of the patches.
            patches: Draw this many patches of each bag at random; None takes whole bags.
            generator: Random stream of the draw.
        """
        return Batch(
            bags=self._batch_bags(patients, device, dtype, patches, generator),
            genes=self.genes(patients, device),
            labels=self.labels(patients).to(device),
        )

    def _batch_bags(
        self,
        patients: Sequence[str],
        device: torch.device,
        dtype: torch.dtype,
        patches: int | None,
        generator: torch.Generator | None,
    ) -> Bags | None:
        rows = [row for row, patient in enumerate(patients) if self.has_slides(patient)]
        if self._bags is None or not rows:
            return None
        bags = []
        for row in rows:
            if patches is None or generator is None:
                bag = self._bags.bag(patients[row])
            else:
                bag = self._bags.sample(patients[row], patches, generator)
            bags.append(bag)
        sizes = tuple(len(bag) for bag in bags)
        # Features travel to the device in their stored, small type, and widen there. Those that
        # are there already are read where they lie; a file is read here, ahead of the training.
        there = self.in_memory and all(bag.device == device for bag in bags)
        parts = tuple(bags) if there else (torch.cat(bags).to(device),)
        return Bags(parts, sizes, torch.tensor(rows, device=device), self._scaler, dtype)

    def genes(self, patients: Sequence[str], device: torch.device) -> Genes | None:
        """Tokens of those of the patients who have genomics; None where nobody has."""
        rows = [row for row, patient in enumerate(patients) if self.has_genes(patient)]
        if not rows:
            return None
        tokens, present = {}, {}
        for name, known in self._rows.items():
            places = [known.get(patients[row], UNKNOWN) for row in rows]
            present[name] = torch.tensor([place != UNKNOWN for place in places], device=device)
            tokens[name] = _taken(self._tokens[name], places).to(device)
        return Genes(tokens, present, torch.tensor(rows, device=device))


def _taken(block: Tensor, places: Sequence[int]) -> Tensor:
    """Rows of a block, zeros for those that it lacks."""
    if UNKNOWN not in places:
        return block.index_select(0, torch.tensor(places))
    taken = block.new_zeros(len(places), *block.shape[1:])
    found = [row for row, place in enumerate(places) if place != UNKNOWN]
    if found:
        taken[found] = block[[places[row] for row in found]]
    return taken
