"""New patients' genes against what each member of a bundle was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from histodistill.deploy.bundle import Bundle
from histodistill.genomics import Comparison, GeneReference, compare


@dataclass(frozen=True)
class ScaleFindings:
    """What was found about the scale of the genes, in sentences.

    Attributes:
        problems: Blocks whose values cannot be what the bundle was trained on.
        notes: Blocks that drift from the training patients, or that could not be compared.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...]


def compare_scales(bundle: Bundle, genomics: Mapping[str, pd.DataFrame]) -> ScaleFindings:
    """Hold new patients against the training patients of every member.

    Args:
        bundle: A trained model.
        genomics: Blocks by name, patients x genes; those that no member reads are passed over.
    """
    problems, notes = [], []
    for name, table in genomics.items():
        found = list(_comparisons(bundle, name, table))
        problem = next((each.problem for each in found if each and each.problem), None)
        drift = next((each.drift for each in found if each and each.drift), None)
        if problem is not None:
            problems.append(f"block {name}: {problem}")
        elif drift is not None:
            notes.append(f"block {name}: {drift}")
        elif None in found:
            notes.append(
                f"block {name}: the bundle does not record what its training patients' values "
                "look like, so that another scale would not be noticed; compare it yourself"
            )
    return ScaleFindings(tuple(problems), tuple(notes))


def _comparisons(bundle: Bundle, name: str, table: pd.DataFrame) -> Iterator[Comparison | None]:
    """A comparison with each member that reads the block; None where it recorded nothing."""
    for member in bundle.members:
        block = member.transforms.blocks.get(name)
        if block is not None:
            reference: GeneReference | None = block.reference_
            yield None if reference is None else compare(reference, table)
