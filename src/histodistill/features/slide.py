"""What a feature file says of itself, and what any feature file must be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from histodistill.errors import InputError, listed
from histodistill.features.layouts.registry import layout_facts
from histodistill.features.values import BagDtype, bag_dtype

CoordsUnit = Literal["level-0 px", "µm"]

FEATURE_DTYPES = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class SlideFeatures:
    """The patch features of one slide, as the header of their file describes them.

    Args:
        path: The feature file.
        n_patches: Rows, one a patch.
        width: Features a patch.
        dtype: Stored dtype: float16, bfloat16, float32 or float64.
        layout: Name of the layout that was recognised, ``trident`` for example.
        encoder: Name of the patch encoder, where it is recorded.
        patch_um: Edge of a patch on the tissue in µm, where it is recorded. For TRIDENT it follows
            from the nominal magnification (10 / magnification µm a pixel).
        patch_px: Edge of a patch in pixels at the resolution that the encoder saw, where recorded.
        coords_unit: Unit of the coordinates; None where there are none or the unit is unknown.
        coords_path: The file that holds the coordinates; None where there are none.
        tiling: Everything recorded about the tiling, under the tool's own names.
        extraction: The complete settings, as JSON, of a file that `histodistill extract` wrote;
            with them new slides can be extracted alike.
    """

    path: Path
    n_patches: int
    width: int
    dtype: str
    layout: str = ""
    encoder: str | None = None
    patch_um: float | None = None
    patch_px: int | None = None
    coords_unit: CoordsUnit | None = None
    coords_path: Path | None = None
    tiling: Mapping[str, str | int | float] = field(default_factory=dict, hash=False)
    extraction: str | None = None

    @property
    def bag_dtype(self) -> BagDtype:
        """The dtype of the slide's patches in memory: float64 becomes float32."""
        return bag_dtype(self.dtype)


def bag_shape(path: Path, shape: Sequence[int]) -> tuple[int, int]:
    """Return (patches, width) of stored features, which are [n, F] or [1, n, F].

    Raises:
        InputError: One vector for the whole slide, an empty bag, or any other shape.
    """
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 1:
        raise InputError(
            f"{path} holds one vector of length {shape[0]}, an embedding of the whole slide or "
            "patient; give the file with the features of its patches."
        )
    if len(shape) != 2:
        raise InputError(
            f"{path} holds features of shape {list(shape)}; expected [patches, features]."
        )
    if 0 in shape:
        raise InputError(
            f"{path} is an empty bag (shape {list(shape)}): leave the slide out, or extract its "
            "features again."
        )
    return shape[0], shape[1]


def feature_dtype(path: Path, name: str) -> str:
    """Return the dtype's name if it is one that features have.

    Raises:
        InputError: Integers, Python objects or another dtype that features don't have.
    """
    if name not in FEATURE_DTYPES:
        raise InputError(
            f"{path} holds {name} values, not features; expected {', '.join(FEATURE_DTYPES)}."
        )
    return name


def known_layouts() -> str:
    """All layouts, in a line."""
    return "; ".join(facts.text or facts.name for facts in layout_facts())


# What TRIDENT, CLAM and HEST write of patches before they are encoded.
_OF_PATCHES = {"coords", "img", "imgs"}


def unknown_layout(path: Path, found: Sequence[str]) -> InputError:
    """The error for a file that opens but is none of the known layouts."""
    inside = listed(list(found)) if found else "nothing"
    names = {name.partition(" ")[0] for name in found}
    if names & _OF_PATCHES and names <= _OF_PATCHES | {"barcode", "barcodes"}:
        return InputError(
            f"{path} holds where the patches are, or their pictures ({inside}), and no features; "
            "give the folder that the extraction of features wrote."
        )
    return InputError(
        f"{path} has no known feature layout. Found inside: {inside}. "
        f"Known layouts: {known_layouts()}."
    )


def damaged(path: Path, reason: object) -> InputError:
    """The error for a file that cannot be read although it looked like a feature file."""
    return InputError(
        f"{path} is truncated or damaged and cannot be read ({reason}). Copy or extract it again."
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a parser makes of a damaged file into an InputError that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # on damaged bytes, parsers fail in any way
        raise damaged(path, str(error).partition("\n")[0] or type(error).__name__) from error
