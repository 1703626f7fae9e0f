"""What every layout of feature files offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histodistill.features.slide import SlideFeatures

if TYPE_CHECKING:
    from torch import Tensor


class FeatureLayout(ABC):
    """Recognises, describes and reads the feature files of one tool.

    It is made anew for every file and keeps nothing; files are opened, read and closed in each
    call. Whatever else a method raises is told as a damaged file.
    """

    @abstractmethod
    def inspect(self, path: Path) -> SlideFeatures | None:
        """Describe a file without reading its patches; None where it is of another layout.

        Args:
            path: A file that begins as the layout declares.

        Raises:
            InputError: The file is of this layout, and cannot be used.
        """

    @abstractmethod
    def read_patches(self, path: Path, rows: NDArray[np.int64] | None) -> NDArray[Any] | Tensor:
        """Read the patches [n, F] or [1, n, F], or those of the given increasing rows.

        Args:
            path: A file that was recognised.
            rows: Increasing row numbers; None for all.

        Returns:
            Values as they are stored. A tensor of PyTorch, which knows bfloat16, is its own copy.
        """

    def read_coords(self, slide: SlideFeatures) -> NDArray[np.generic] | None:  # noqa: ARG002
        """Read the coordinates [n, 2] (x, y) in ``slide.coords_unit``; None for none."""
        return None

    def companions(self, path: Path) -> Iterable[Path]:  # noqa: ARG002
        """Where files that describe a feature file may lie; their changes count as its own."""
        return ()
