"""One patient under two names: found by slides that hold the same features."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from histodistill.cohort import ClinicalTable
from histodistill.errors import listed
from histodistill.features import BagStore


class _Slide(NamedTuple):
    """A slide of a patient, and which rows of the bag are its own."""

    patient: str
    path: Path
    kind: tuple[int, int, str]
    first_row: int


def same_patients(bags: BagStore, clinical: ClinicalTable) -> Iterator[str]:
    """A problem for each group of patients with a slide in common, whatever the files are called.

    Such a patient is on both sides of a fold sooner or later. Slides are compared by size, then
    by their first patch, and only those that agree in both by everything that they hold.
    """
    alike: list[list[_Slide]] = [list(_slides(bags))]
    for key in (_size, _first_patch(bags), _content(bags)):
        alike = [group for members in alike for group in _divided(members, key)]
    shared: defaultdict[tuple[str, ...], list[list[_Slide]]] = defaultdict(list)
    for group in alike:
        shared[tuple(dict.fromkeys(slide.patient for slide in group))].append(group)
    for patients, groups in shared.items():
        files = " = ".join(str(slide.path) for slide in groups[0])
        more = f" (and {len(groups) - 1} more)" if len(groups) > 1 else ""
        yield (
            f"patients {listed(list(patients))} have the same features in {files}{more}"
            f"{_evidence(clinical, list(patients))}: one patient under several names, or a file "
            "under the wrong name; keep one of them"
        )


def _slides(bags: BagStore) -> Iterator[_Slide]:
    for patient in bags.patients:
        first = 0
        for slide in bags.slides(patient):
            yield _Slide(patient, slide.path, (slide.n_patches, slide.width, slide.dtype), first)
            first += slide.n_patches


def _divided(slides: Iterable[_Slide], key: Callable[[_Slide], Hashable]) -> list[list[_Slide]]:
    """The groups of slides with the same key that more than one patient has."""
    groups: defaultdict[Hashable, list[_Slide]] = defaultdict(list)
    for slide in slides:
        groups[key(slide)].append(slide)
    return [group for group in groups.values() if len({slide.patient for slide in group}) > 1]


def _size(slide: _Slide) -> Hashable:
    return slide.kind


def _first_patch(bags: BagStore) -> Callable[[_Slide], Hashable]:
    return lambda slide: _bytes(bags.bag(slide.patient)[slide.first_row])


def _content(bags: BagStore) -> Callable[[_Slide], Hashable]:
    def key(slide: _Slide) -> Hashable:
        rows = slice(slide.first_row, slide.first_row + slide.kind[0])
        return hashlib.sha256(_bytes(bags.bag(slide.patient)[rows])).digest()

    return key


def _bytes(values: torch.Tensor) -> bytes:
    return values.contiguous().cpu().view(torch.uint8).numpy().tobytes()


def _evidence(clinical: ClinicalTable, patients: list[str]) -> str:
    """What else speaks for one patient: the same labels and follow-up, where known."""
    labels = clinical.labels.loc[patients].drop_duplicates()
    if len(labels) > 1:
        return ", though their labels differ"
    known = ["the same labels"] if not labels.isna().all(axis=None) else []
    survival = clinical.survival
    if survival is not None and set(patients) <= set(survival.index):
        if len(survival.loc[patients].drop_duplicates()) > 1:
            return ", though their follow-up differs"
        known.append("the same follow-up")
    return f", {' and '.join(known)}" if known else ""
