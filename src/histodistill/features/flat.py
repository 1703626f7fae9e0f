"""Bags that say nothing of their slides: every patch has the same features."""

from __future__ import annotations

from collections.abc import Iterator

from histodistill.errors import listed
from histodistill.features.bags import BagStore


def flat_bags(bags: BagStore | None) -> Iterator[str]:
    """A sentence on the patients whose patches are all alike, such as all zero.

    Args:
        bags: The bags; None for none.
    """
    flat = [] if bags is None else [name for name in bags.patients if _is_flat(bags, name)]
    if flat:
        yield (
            f"{len(flat)} patients have the same features in every patch, which no tissue has: "
            f"{listed(flat)}; extract their slides again"
        )


def _is_flat(bags: BagStore, patient: str) -> bool:
    n = bags.n_patches(patient)
    content = bags.content(patient, 0, n)
    if n == 1:
        return not any(content)
    return content == content[: len(content) // n] * n
