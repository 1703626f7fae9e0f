"""Slides whose features say nothing of them: every patch has the same."""

from __future__ import annotations

from collections.abc import Iterator

from histodistill.errors import listed
from histodistill.features.bags import BagStore


def flat_bags(bags: BagStore | None) -> Iterator[str]:
    """A sentence on the patients, and one on single slides, whose patches are all alike.

    Args:
        bags: The bags; None for none.
    """
    if bags is None:
        return
    patients, slides = [], []
    for name in bags.patients:
        flat = _flat_slides(bags, name)
        if len(flat) == len(bags.slides(name)):
            patients.append(name)
        else:
            slides += [f"{slide} ({name})" for slide in flat]
    for found, what in ((patients, "patients"), (slides, "slides")):
        if found:
            yield (
                f"{len(found)} {what} have the same features in every patch, which no tissue has: "
                f"{listed(found)}; extract their slides again"
            )


def _flat_slides(bags: BagStore, patient: str) -> list[str]:
    """Names of the files of a patient's flat slides."""
    flat, first = [], 0
    for slide in bags.slides(patient):
        if _is_flat(bags, patient, first, slide.n_patches):
            flat.append(slide.path.name)
        first += slide.n_patches
    return flat


def _is_flat(bags: BagStore, patient: str, first: int, n: int) -> bool:
    one = bags.content(patient, first, 1)
    if n == 1:
        return not any(one)
    # Most slides are told by their first two patches, without reading all of a large cohort.
    return bags.content(patient, first + 1, 1) == one and bags.content(patient, first, n) == one * n
