"""The bags of a cohort's patients: one seam between feature files and everything that uses them."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import torch

from histodistill.errors import InputError, listed
from histodistill.features import formats
from histodistill.features.slide import SlideFeatures

MEMORY_LIMIT_BYTES = 4 * 2**30
_THREADS = 8


class BagStore:
    """The bags of a cohort's patients, read when they are asked for.

    A patient's bag is the rows of all their slides, one slide after the other in the given order.
    When all bags together fit into ``memory_limit_bytes``, each is read once and kept; otherwise
    each is read from disk at every call. Pickling leaves the kept bags behind, so that a worker
    process receives paths only and reads what it needs; a forked process shares the kept ones.

    Args:
        slides: The slides of each patient, inspected, in order.
        memory_limit_bytes: Largest total size of all bags that is kept in memory.
        dtype: Dtype of the bags; by default the narrowest one that holds every slide's values.

    Raises:
        InputError: Patients without slides, or slides that were not made alike
            (:func:`histodistill.features.formats.check_slides`).
    """

    def __init__(
        self,
        slides: Mapping[str, Sequence[SlideFeatures]],
        *,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._slides = {patient: tuple(own) for patient, own in slides.items()}
        without = [patient for patient, own in self._slides.items() if not own]
        if without or not self._slides:
            raise InputError(f"No slides for: {listed(without) or 'any patient'}.")
        every = [slide for own in self._slides.values() for slide in own]
        formats.check_slides(every)
        self.width: int = every[0].width
        self.dtype: torch.dtype = dtype or functools.reduce(
            torch.promote_types, (slide.bag_dtype for slide in every)
        )
        n_values = sum(slide.n_patches for slide in every) * self.width
        self.n_bytes: int = n_values * self.dtype.itemsize
        self.in_memory: bool = self.n_bytes <= memory_limit_bytes
        self._kept: dict[str, torch.Tensor] = {}

    @property
    def patients(self) -> list[str]:
        """The patients, in the order given."""
        return list(self._slides)

    @property
    def encoder(self) -> str | None:
        """The patch encoder, where the slides record one."""
        recorded = (slide.encoder for own in self._slides.values() for slide in own)
        return next((encoder for encoder in recorded if encoder is not None), None)

    def slides(self, patient: str) -> tuple[SlideFeatures, ...]:
        """A patient's slides, in the order of their rows in the bag."""
        return self._slides[patient]

    def n_patches(self, patient: str) -> int:
        """Number of rows of a patient's bag."""
        return sum(slide.n_patches for slide in self._slides[patient])

    def bag(self, patient: str) -> torch.Tensor:
        """A patient's whole bag.

        Returns:
            Tensor [n, F]. It may be the store's own: don't change it in place.

        Raises:
            InputError: A file is damaged, changed, or holds NaN or infinite values.
        """
        if patient in self._kept:
            return self._kept[patient]
        bag = torch.cat([self._read(slide) for slide in self._slides[patient]])
        if self.in_memory:
            self._kept[patient] = bag
        return bag

    def sample(self, patient: str, size: int, generator: torch.Generator) -> torch.Tensor:
        """A random part of a patient's bag, drawn without replacement, in the bag's order.

        Args:
            patient: Whose bag.
            size: Rows to draw; a smaller bag comes whole.
            generator: Source of randomness, on the CPU.

        Returns:
            Tensor [min(n, size), F].

        Raises:
            InputError: As for :meth:`bag`.
        """
        n_patches = self.n_patches(patient)
        if n_patches <= size:
            return self.bag(patient)
        rows = torch.randperm(n_patches, generator=generator)[:size].sort().values
        return self.bag(patient)[rows] if self.in_memory else self._rows(patient, rows.numpy())

    def _rows(self, patient: str, rows: np.ndarray) -> torch.Tensor:
        """Read increasing rows of a bag, from the slides that hold them."""
        parts, first = [], 0
        for slide in self._slides[patient]:
            within = rows[(rows >= first) & (rows < first + slide.n_patches)] - first
            if within.size:
                parts.append(self._read(slide, within))
            first += slide.n_patches
        return torch.cat(parts)

    def _read(self, slide: SlideFeatures, rows: np.ndarray | None = None) -> torch.Tensor:
        stored = formats.read_patches(slide, rows)
        patches = stored.to(self.dtype)
        if patches is not stored:  # a narrower dtype can overflow
            formats.require_finite(slide.path, patches)
        return patches

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": {}}


def open_bags(
    slide_paths: Mapping[str, Sequence[Path]],
    *,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
    dtype: torch.dtype | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BagStore:
    """Inspect the feature files of a cohort and open their bags.

    Args:
        slide_paths: Feature files of each patient, in order.
        memory_limit_bytes: Largest total size of all bags that is kept in memory.
        dtype: Dtype of the bags; by default the narrowest one that holds every slide's values.
        progress: Called with (files inspected, files in all) after each file.

    Returns:
        The store of bags.

    Raises:
        InputError: All problems of all files at once: unreadable files, files of two patients,
            slides that were not made alike, patients without slides.
    """
    owners = defaultdict(list)
    for patient, paths in slide_paths.items():
        for path in paths:
            owners[Path(path)].append(patient)
    problems = [
        f"{path} is listed {len(listing)} times (patients: {listed(listing)}); each slide belongs "
        "to one patient, once."
        for path, listing in owners.items()
        if len(listing) > 1
    ]
    inspected, unreadable = _inspect_all(list(owners), progress)
    problems += unreadable
    try:
        formats.check_slides(list(inspected.values()))
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(*problems)
    slides = {
        patient: [inspected[Path(path)] for path in paths] for patient, paths in slide_paths.items()
    }
    return BagStore(slides, memory_limit_bytes=memory_limit_bytes, dtype=dtype)


def _inspect_all(
    paths: Sequence[Path], progress: Callable[[int, int], None] | None
) -> tuple[dict[Path, SlideFeatures], list[str]]:
    """Inspect files in threads; return the readable ones and all problems, in the files' order."""
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting = {path: pool.submit(formats.inspect, path) for path in paths}
        for done, _ in enumerate(as_completed(waiting.values()), start=1):
            if progress is not None:
                progress(done, len(paths))
    inspected: dict[Path, SlideFeatures] = {}
    problems: list[str] = []
    for path, result in waiting.items():
        error = result.exception()
        if isinstance(error, InputError):
            problems += error.problems
        else:
            inspected[path] = result.result()
    return inspected, problems
