"""The bags of a cohort's patients: one seam between feature files and everything that uses them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError, listed
from histodistill.features import formats
from histodistill.features.inspection import inspect_slides
from histodistill.features.layouts.registry import AUTO
from histodistill.features.packing import PackedBags, cached_pack
from histodistill.features.slide import SlideFeatures
from histodistill.features.values import (
    ITEM_BYTES,
    BagDtype,
    as_bytes,
    as_tensor,
    joined,
    narrowest,
)

if TYPE_CHECKING:
    import torch

    from histodistill.features.values import Values

MEMORY_LIMIT_BYTES = 4 * 2**30


class BagStore:
    """The bags of a cohort's patients, read when they are asked for.

    A patient's bag is the rows of all their slides, one slide after the other in the given order.
    Packed bags are parts of one mapped file, which the system keeps in memory as far as there is
    room. Without a pack, each bag is read once and kept when all of them together fit into
    ``memory_limit_bytes``; otherwise each is read from its files at every call. Pickling leaves
    the bags behind, so that a worker process receives paths only and reads or maps what it needs;
    a forked process shares them.

    Args:
        slides: The slides of each patient, in order, as
            :func:`histodistill.features.inspection.inspect_slides` checked them.
        memory_limit_bytes: Largest total size of all bags that is kept in memory.
        dtype: Dtype of the bags; by default the narrowest one that holds every slide's values.
        packed: The same bags, packed; their dtype is the store's.
        notes: What the user should know of how the bags are read, in sentences.

    Raises:
        InputError: Patients without slides.
    """

    def __init__(
        self,
        slides: Mapping[str, Sequence[SlideFeatures]],
        *,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
        dtype: BagDtype | None = None,
        packed: PackedBags | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self._slides = {patient: tuple(own) for patient, own in slides.items()}
        without = [patient for patient, own in self._slides.items() if not own]
        if without or not self._slides:
            raise InputError(f"No slides for: {listed(without) or 'any patient'}.")
        every = [slide for own in self._slides.values() for slide in own]
        self.packed = packed
        self.notes = tuple(notes)
        self.width: int = every[0].width
        chosen = packed.dtype if packed else dtype
        self.dtype_name: BagDtype = chosen or narrowest(slide.dtype for slide in every)
        n_values = sum(slide.n_patches for slide in every) * self.width
        self.n_bytes: int = n_values * ITEM_BYTES[self.dtype_name]
        self.in_memory: bool = self.n_bytes <= memory_limit_bytes
        self._kept: dict[str, Values] = {}
        self._means: dict[str, NDArray[np.float64]] = {}
        self._moved: dict[torch.device, BagStore] = {}

    @property
    def patients(self) -> list[str]:
        """The patients, in the order given."""
        return list(self._slides)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the bags."""
        import torch

        dtype: torch.dtype = getattr(torch, self.dtype_name)
        return dtype

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

    def to(self, device: torch.device) -> BagStore:
        """A store that keeps all bags on a GPU, or this one where they cannot be kept there.

        They are moved at the first call and stay there as long as this store lives.

        Args:
            device: Where packed bags go if half of its free memory holds them; the other half is
                left to the computation.
        """
        if self.packed is None or device.type != "cuda":
            return self
        if device not in self._moved:
            import torch

            free, _ = torch.cuda.mem_get_info(device)
            if self.n_bytes > free // 2:
                return self
            moved = copy.copy(self)
            moved.packed = self.packed.to(device)
            moved.in_memory = True
            moved._means = {}
            self._moved[device] = moved
        return self._moved[device]

    def bag(self, patient: str) -> torch.Tensor:
        """A patient's whole bag.

        Returns:
            Tensor [n, F]. It may be the store's own: don't change it in place.

        Raises:
            InputError: A file is damaged, changed, or holds NaN or infinite values.
        """
        if self.packed is not None:
            return self.packed.bag(patient)
        bag = as_tensor(self._values(patient))
        if patient in self._kept:
            self._kept[patient] = bag
        return bag

    def read(self, patient: str) -> None:
        """Read a patient's whole bag, which is kept where there is room; packed bags are whole.

        Raises:
            InputError: As for :meth:`bag`.
        """
        if self.packed is None:
            self._values(patient)

    def content(self, patient: str, first: int, size: int) -> bytes:
        """The bytes of some rows of a bag, which two slides alike have in common.

        Args:
            patient: Whose bag.
            first: The first row, within the bag.
            size: How many.

        Raises:
            InputError: As for :meth:`bag`.
        """
        if self.packed is not None:
            return self.packed.content(patient, first, size)
        return as_bytes(self._values(patient)[first : first + size]).tobytes()

    def _values(self, patient: str) -> Values:
        """A patient's whole bag, read from its files or kept."""
        if patient in self._kept:
            return self._kept[patient]
        slides = self._slides[patient]
        values = joined([formats.read_values(slide, dtype=self.dtype_name) for slide in slides])
        if self.in_memory:
            self._kept[patient] = values
        return values

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
        rows = self.sampled_rows(patient, size, generator)
        if rows is None:
            return self.bag(patient)
        if self.packed is None and not self.in_memory:
            return self._rows(patient, rows.numpy())
        bag = self.bag(patient)
        return bag.index_select(0, rows.to(bag.device))

    def sampled_rows(
        self, patient: str, size: int, generator: torch.Generator
    ) -> torch.Tensor | None:
        """The rows that :meth:`sample` draws, increasing, [size] int64; None for the whole bag."""
        import torch

        n_patches = self.n_patches(patient)
        if n_patches <= size:
            return None
        return torch.randperm(n_patches, generator=generator)[:size].sort().values

    def mean_patches(self, patients: Sequence[str]) -> NDArray[np.float64]:
        """The mean patch of some patients, [n, F]; a bag is read once as long as the store lives.

        Every member of every fold asks for the means, and reading all bags again takes minutes.

        Raises:
            InputError: As for :meth:`bag`.
        """
        for patient in patients:
            if patient not in self._means:
                mean = self.bag(patient).double().mean(dim=0)
                self._means[patient] = mean.cpu().numpy()
        means = [self._means[patient] for patient in patients]
        return np.array(means).reshape(len(patients), self.width)

    def _rows(self, patient: str, rows: np.ndarray) -> torch.Tensor:
        """Read increasing rows of a bag, from the slides that hold them."""
        parts: list[Values] = []
        first = 0
        for slide in self._slides[patient]:
            within = rows[(rows >= first) & (rows < first + slide.n_patches)] - first
            if within.size:
                parts.append(formats.read_values(slide, within, self.dtype_name))
            first += slide.n_patches
        return as_tensor(joined(parts))

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": {}, "_means": {}, "_moved": {}}


def open_bags(
    slide_paths: Mapping[str, Sequence[Path]],
    *,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
    dtype: BagDtype | None = None,
    layout: str = AUTO,
    cache: Path | None = None,
    check: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> BagStore:
    """Open the bags of a cohort: from the cache, where they are packed on first use, or as files.

    Args:
        slide_paths: Feature files of each patient, in order.
        memory_limit_bytes: Largest total size of all bags that is kept in memory.
        dtype: Dtype of the bags; by default the narrowest one that holds every slide's values.
        layout: The layout of all files, a name of :data:`.layouts.registry.LAYOUTS` or an import
            path, which is code that runs; by default that which recognises each.
        cache: Folder of packed bags, such as :func:`histodistill.features.user_cache`. Where it
            cannot be written, the feature files are read, and the store's notes say so.
        check: Whether to compare the content hashes of all files with the pack's, not only sizes
            and dates.
        progress: Called with (files done, files in all) after each file that is packed, or
            inspected where there is no cache.

    Returns:
        The store of bags.

    Raises:
        InputError: All problems of all files at once: unreadable files, files of two patients,
            slides that were not made alike, patients without slides; NaN and infinite values when
            the bags are packed.

    Examples:
        A patient's bag is the patches of all their slides.

        >>> import numpy as np
        >>> np.save("slide-1.npy", np.zeros((5, 3), np.float32))
        >>> np.save("slide-2.npy", np.ones((2, 3), np.float32))
        >>> bags = open_bags({"P1": [Path("slide-1.npy"), Path("slide-2.npy")]})
        >>> bags.patients, bags.bag("P1").shape
        (['P1'], torch.Size([7, 3]))
    """
    notes: list[str] = []
    if cache is not None:
        try:
            packed, manifest, notes = cached_pack(
                cache, slide_paths, dtype=dtype, layout=layout, check=check, progress=progress
            )
            return BagStore(
                manifest.slides, memory_limit_bytes=memory_limit_bytes, packed=packed, notes=notes
            )
        except OSError as error:
            notes.append(
                f"{cache}: bags cannot be packed there ({error.strerror or error}), so the feature "
                "files are read, which is slower; set `features.cache` to a folder with room, or "
                "to null"
            )
    slides = inspect_slides(slide_paths, progress, layout)
    return BagStore(slides, memory_limit_bytes=memory_limit_bytes, dtype=dtype, notes=notes)
