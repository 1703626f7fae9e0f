"""Slides whose features were not made like those of the others, though no file says so.

Files that record their encoder and patch size are compared when they are inspected. What others
were made of shows in their values: each encoder has a mean patch of its own, which all slides
share, and a scale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError, listed
from histodistill.features import BagStore, SlideFeatures
from histodistill.features.formats import read_coords
from histodistill.outliers import apart

# So many patches tell the mean patch of a slide well enough, and what a crash left at its end.
_PATCHES = 64
_FEWEST_FEATURES = 8
# Slides of one encoder have mean patches that correlate with .7 to .99; where features were
# standardised, with anything around 0, and no group stands apart. Tissue changes the scale little.
_LEAST_CORRELATION, _LEAST_SCALE = 0.4, 0.4
# 10x beside 20x; one slide scanned at 40x and one at 20x has half the step as well, so it is told.
_OTHER_STEP = 1.9


@dataclass(frozen=True)
class _Look:
    """What some patches of a slide show.

    Attributes:
        name: Of its file.
        mean: The mean of its first patches, [F].
        scale: Logarithm of the root mean square of their values.
        emptied: Whether some patches at its ends are all 0, and others are not.
    """

    name: str
    mean: NDArray[np.float64]
    scale: float
    emptied: bool


def unlike_slides(bags: BagStore | None) -> Iterator[str]:
    """What is unusual about slides beside the others, in sentences.

    Args:
        bags: The bags; None for none.
    """
    if bags is None:
        return
    yield from _other_dtypes(bags)
    looks = [_look(bags, *place) for place in _slides(bags)]
    if bags.width >= _FEWEST_FEATURES:
        yield from _other_values(looks)
    yield from _empty_patches(looks)


def _slides(bags: BagStore) -> Iterator[tuple[str, SlideFeatures, int]]:
    """Every patient's slides, and the row of the bag at which each begins."""
    for patient in bags.patients:
        first = 0
        for slide in bags.slides(patient):
            yield patient, slide, first
            first += slide.n_patches


def _other_dtypes(bags: BagStore) -> Iterator[str]:
    slides = [slide for _, slide, _ in _slides(bags)]
    counts = Counter(slide.dtype for slide in slides)
    if len(counts) > 1:
        (usual, n_usual), *others = counts.most_common()
        for dtype, n in others:
            names = listed([slide.path.name for slide in slides if slide.dtype == dtype], 5)
            yield (
                f"{n} feature files hold {dtype} values and {n_usual} {usual} ({names}): were they "
                "made by the same run of the same tool?"
            )


def _look(bags: BagStore, patient: str, slide: SlideFeatures, first: int) -> _Look:
    size = min(slide.n_patches, _PATCHES)
    begin = _patches(bags, patient, first, size)
    last = first + slide.n_patches - size
    ends = begin if last == first else np.concatenate([begin, _patches(bags, patient, last, size)])
    filled = ends.any(axis=1)
    scale = np.log(max(float(np.sqrt(np.square(begin).mean())), 1e-12))
    # Flat slides are told as such.
    emptied = bool(filled.any() and not filled.all())
    return _Look(slide.path.name, begin.mean(axis=0), float(scale), emptied)


def _other_values(looks: Sequence[_Look]) -> Iterator[str]:
    """Slides whose mean patch, or the size of whose values, stands apart."""
    names = [look.name for look in looks]
    size = np.array([look.scale for look in looks])
    far = apart(size, _LEAST_SCALE)
    if far.any():
        factor = np.exp(np.median(size[far]) - np.median(size[~far]))
        yield _told(names, far, f"values {factor:.2g} times as large as the others'")
        return
    agreement = _agreement(np.array([look.mean for look in looks]))
    far = apart(agreement, _LEAST_CORRELATION)
    if far.any() and np.median(agreement[far]) < np.median(agreement[~far]):
        yield _told(names, far, "another mean patch than the others, as with another encoder")


def _told(names: list[str], far: NDArray[np.bool_], what: str) -> str:
    who = [name for name, is_far in zip(names, far, strict=True) if is_far]
    return (
        f"{len(who)} of {len(names)} feature files ({listed(who, 5)}) have {what}: another "
        "encoder, its normalisation, or another magnification; extract all slides alike"
    )


def _agreement(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of each slide's mean patch with that of the most typical slide."""
    centred = means - means.mean(axis=1, keepdims=True)
    norms = np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    correlations = (centred / norms) @ (centred / norms).T
    # Typical is whose upper 40 % are high: those of the larger of two groups are within it.
    typical = int(np.argmax(np.quantile(correlations, 0.6, axis=1)))
    return np.asarray(correlations[typical])


def _patches(bags: BagStore, patient: str, first: int, size: int) -> NDArray[np.float64]:
    """Some patches of a bag, [n, F]."""
    content = bags.content(patient, first, size)
    if bags.dtype_name == "bfloat16":  # the upper half of a float32, which NumPy knows
        halves = np.frombuffer(content, np.uint16).astype(np.uint32) << 16
        values = halves.view(np.float32)
    else:
        values = np.frombuffer(content, bags.dtype_name)
    return values.reshape(-1, bags.width).astype(np.float64)


def _empty_patches(looks: Sequence[_Look]) -> Iterator[str]:
    """Slides that begin or end with patches whose features are all 0, as no encoder's are."""
    empty = [look.name for look in looks if look.emptied]
    if empty:
        yield (
            f"{len(empty)} slides have patches whose features are all 0 ({listed(empty, 5)}), as "
            "where a disk lost what was written; extract them again"
        )


def misplaced_patches(bags: BagStore | None) -> Iterator[str]:
    """Patches that lie in one place, and patients whose slides have patches at other distances.

    Args:
        bags: The bags; None for none.
    """
    if bags is None:
        return
    repeated: list[str] = []
    steps: dict[str, list[float]] = {}
    for patient, slide, _ in _slides(bags):
        coords = _coords(slide)
        if coords is None:
            continue
        n = len(coords) - len(np.unique(coords, axis=0))
        if n:
            repeated.append(f"{slide.path.name} ({n})")
        if slide.patch_um is None:
            steps.setdefault(patient, []).append(_step(coords))
    if repeated:
        yield (
            f"{len(repeated)} slides have several patches in one place: {listed(repeated, 5)}; "
            "they count several times: were two runs written into one file?"
        )
    mixed = [patient for patient, own in steps.items() if _differ([s for s in own if s > 0])]
    if mixed:
        yield (
            f"{len(mixed)} patients have slides whose patches lie at {_OTHER_STEP} times the "
            f"distance or more: {listed(mixed, 5)}; if they were extracted at two magnifications, "
            "extract all at one"
        )


def _coords(slide: SlideFeatures) -> NDArray[np.float64] | None:
    try:
        return read_coords(slide)
    except InputError:  # told where they are needed
        return None


def _step(coords: NDArray[np.float64]) -> float:
    """The least distance between columns, or rows, of patches; 0 where there is one of each."""
    steps = np.concatenate([np.diff(np.unique(axis)) for axis in coords.T])
    return float(np.median(steps)) if len(steps) else 0.0


def _differ(steps: list[float]) -> bool:
    return len(steps) > 1 and max(steps) >= _OTHER_STEP * min(steps)
