"""One patient under two names: found by slides, or genes, that hold the same values."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.cohort import ClinicalTable
from histodistill.errors import listed
from histodistill.features import BagStore

# So many different values are not the same twice; levels such as GISTIC's are five.
_FEWEST_VALUES = 12
# What is near is told against what is usual, which a few patients do not show.
_FEWEST_PATIENTS = 8
_MOST_GENES = 256
_NEAR = 0.003
_FEWEST_DOUBLED = 4
# Sentences that anybody reads.
_MOST_TOLD = 20
_MEANING = "one patient under several names, or data under the wrong name"


class _Slide(NamedTuple):
    """A slide of a patient, and which rows of the bag are its own."""

    patient: str
    path: Path
    kind: tuple[int, int, str]
    first_row: int


_Key = Callable[[_Slide], Hashable]


def same_patients(
    clinical: ClinicalTable, bags: BagStore | None, blocks: Mapping[str, pd.DataFrame]
) -> Iterator[str]:
    """A problem for each group of patients with a slide or all genes in common.

    Such a patient is on both sides of a fold sooner or later, whatever the files are called.

    Args:
        clinical: The patients.
        bags: Their slides; None for none.
        blocks: Genomic blocks by name, patients x genes; patients of no clinical record are
            passed over.
    """
    known = {name: table[table.index.isin(clinical.patients)] for name, table in blocks.items()}
    yield from _readable(
        f"{found}{_evidence(clinical, patients)}: {_MEANING}; keep one of them"
        for patients, found in same_data(bags, known)
    )


def same_new_patients(bags: BagStore | None, blocks: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """A note for each such group of new patients, of whom no more is known."""
    yield from _readable(f"{found}: {_MEANING}" for _, found in same_data(bags, blocks))


def repeated_slides(bags: BagStore | None) -> Iterator[str]:
    """A note where the bag of a patient holds the same slide several times."""
    if bags is None:
        return
    slides = list(_slides(bags))
    keys = (_owner, _size, _first_patch(bags), _content(bags))
    groups = list(_alike(slides, keys, lambda slide: slide.path))
    if groups:
        files = " = ".join(str(slide.path) for slide in groups[0])
        patients = list(dict.fromkeys(group[0].patient for group in groups))
        yield (
            f"{listed(patients, 5)}: the same slide is there more than once ({files}), so that it "
            "counts double; take one of the files out"
        )
    doubled = [slide.path.name for slide in slides if _is_doubled(bags, slide)]
    if doubled:
        yield (
            f"{len(doubled)} slides have all their patches twice ({listed(doubled, 5)}): were two "
            "runs written into one file?"
        )


def _is_doubled(bags: BagStore, slide: _Slide) -> bool:
    """Whether the second half of a slide's patches is the first once more."""
    half, rest = divmod(slide.kind[0], 2)
    first, second = slide.first_row, slide.first_row + half
    if rest or half < _FEWEST_DOUBLED:
        return False
    one, other = (bags.content(slide.patient, row, 1) for row in (first, second))
    if one != other or one == bags.content(slide.patient, first + 1, 1):  # flat slides are told
        return False
    return bags.content(slide.patient, first, half) == bags.content(slide.patient, second, half)


def _readable(sentences: Iterable[str]) -> Iterator[str]:
    """The first sentences, and how many more there are."""
    told = list(sentences)
    yield from told[:_MOST_TOLD]
    if len(told) > _MOST_TOLD:
        yield (
            f"{len(told) - _MOST_TOLD} more groups of patients have slides or genes in common, "
            "like those above"
        )


def same_data(
    bags: BagStore | None, blocks: Mapping[str, pd.DataFrame]
) -> Iterator[tuple[list[str], str]]:
    """Groups of patients with a slide or all genes in common, and the start of a sentence on each.

    Args:
        bags: Slides; None for none.
        blocks: Genomic blocks by name, patients x genes.
    """
    shared: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for patients, what in (*_same_slides(bags), *_same_genes(blocks), *_nearly_same_genes(blocks)):
        shared[patients].append(what)
    for patients, found in shared.items():
        named = list(patients)
        yield named, f"patients {listed(named)} have the same {' and the same '.join(found)}"


def _same_slides(bags: BagStore | None) -> Iterator[tuple[tuple[str, ...], str]]:
    """Patients who share slides, and which.

    Slides are compared by size, then by their first patch, and only those that agree in both by
    everything that they hold.
    """
    if bags is None:
        return
    keys = (_size, _first_patch(bags), _content(bags))
    alike = _alike(list(_slides(bags)), keys, _owner)
    shared: defaultdict[tuple[str, ...], list[list[_Slide]]] = defaultdict(list)
    for group in alike:
        shared[tuple(sorted({slide.patient for slide in group}))].append(group)
    for patients, groups in shared.items():
        files = " = ".join(str(slide.path) for slide in groups[0])
        more = f" (and {len(groups) - 1} more)" if len(groups) > 1 else ""
        yield patients, f"features in {files}{more}"


def _same_genes(blocks: Mapping[str, pd.DataFrame]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Patients who share every value of a block, and which block."""
    for name, table in blocks.items():
        groups: defaultdict[bytes, list[str]] = defaultdict(list)
        for patient, row in zip(table.index, table.to_numpy(), strict=True):
            if _tells_a_patient(row):
                # One NaN and one zero, however they came about.
                plain = np.where(np.isnan(row), np.float32(np.nan), row + np.float32(0))
                groups[hashlib.sha256(plain.tobytes()).digest()].append(str(patient))
        for patients in groups.values():
            if len(patients) > 1:
                yield tuple(sorted(patients)), f"values of all genes in block {name}"


def _nearly_same_genes(blocks: Mapping[str, pd.DataFrame]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Pairs of patients who differ in a block by rounding or a change of scale alone.

    Patients are points, the genes that vary most their axes; what two samples of one measurement
    are apart is next to nothing of what patients are apart.
    """
    for name, table in blocks.items():
        told = table[[_tells_a_patient(row) for row in table.to_numpy()]]
        values = told.to_numpy()
        for a, b in _near(_points(values)):
            if not np.array_equal(values[a], values[b], equal_nan=True):  # which is told already
                yield (
                    tuple(sorted((str(told.index[a]), str(told.index[b])))),
                    f"values of genes in block {name}, but for rounding or scale",
                )


def _near(points: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Pairs of points [n, K] that are far nearer to each other than points are."""
    if not len(points):
        return
    squares = np.square(points).sum(axis=1)
    apart = squares[:, None] + squares - 2 * points @ points.T
    near = np.triu(apart < _NEAR * np.median(apart), k=1)
    yield from ((int(a), int(b)) for a, b in np.argwhere(near))


def _points(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The standardised genes [n, at most 256] that vary most among those that all patients have."""
    if len(values) < _FEWEST_PATIENTS:
        return np.empty((0, 0), dtype=np.float32)
    whole = values[:, np.isfinite(values).all(axis=0)]
    spread = whole.std(axis=0)
    chosen = np.argsort(-spread, kind="stable")[:_MOST_GENES]
    chosen = chosen[spread[chosen] > 0]
    if len(chosen) < _FEWEST_VALUES:
        return np.empty((0, 0), dtype=np.float32)
    return np.asarray((whole[:, chosen] - whole[:, chosen].mean(axis=0)) / spread[chosen])


def _tells_a_patient(row: NDArray[np.float32]) -> bool:
    """Whether no two patients have this row by chance, as they have flat copy-number levels."""
    return len(np.unique(row[np.isfinite(row)])) >= _FEWEST_VALUES


def _slides(bags: BagStore) -> Iterator[_Slide]:
    for patient in bags.patients:
        first = 0
        for slide in bags.slides(patient):
            yield _Slide(patient, slide.path, (slide.n_patches, slide.width, slide.dtype), first)
            first += slide.n_patches


def _alike(
    slides: list[_Slide], keys: Iterable[_Key], counted: Callable[[_Slide], Hashable]
) -> list[list[_Slide]]:
    """Groups of slides that agree in all keys, one after the other, and not in what is counted."""
    groups = [slides]
    for key in keys:
        groups = [
            group
            for members in groups
            for group in _divided(members, key)
            if len(set(map(counted, group))) > 1
        ]
    return groups


def _divided(slides: Iterable[_Slide], key: _Key) -> list[list[_Slide]]:
    groups: defaultdict[Hashable, list[_Slide]] = defaultdict(list)
    for slide in slides:
        groups[key(slide)].append(slide)
    return list(groups.values())


def _owner(slide: _Slide) -> str:
    return slide.patient


def _size(slide: _Slide) -> Hashable:
    return slide.kind


def _first_patch(bags: BagStore) -> Callable[[_Slide], Hashable]:
    return lambda slide: bags.content(slide.patient, slide.first_row, 1)


def _content(bags: BagStore) -> Callable[[_Slide], Hashable]:
    def key(slide: _Slide) -> Hashable:
        content = bags.content(slide.patient, slide.first_row, slide.kind[0])
        return hashlib.sha256(content).digest()

    return key


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
