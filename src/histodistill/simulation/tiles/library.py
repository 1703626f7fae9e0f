"""A folder of class folders with tiles: what is in it, and what cannot be used."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histodistill.errors import InputError, listed
from histodistill.gate.plain import content

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
_MODES = frozenset({"RGB", "RGBA", "P", "L"})
_MOST_BYTES = 64 * 1024**2
_SMALLEST_PX = 16


@dataclass(frozen=True)
class TileLibrary:
    """Real tiles of known tissue, all of one size.

    Attributes:
        folder: Where they lie.
        classes: Tissue classes, the names of their folders, sorted.
        names: ``class/file`` of each tile, sorted.
        tissue: [T] number of each tile's class.
        side: Width and height of every tile, px.
        hashes: SHA-256 of each tile's file.
    """

    folder: Path
    classes: tuple[str, ...]
    names: tuple[str, ...]
    tissue: NDArray[np.int64]
    side: int
    hashes: tuple[str, ...]

    def pixels(self, tile: int) -> NDArray[np.uint8]:
        """A tile, [side, side, 3] RGB."""
        return _decoded(content(self.folder / self.names[tile], most=_MOST_BYTES))


def read_tiles(folder: Path, per_class: int | None = None) -> TileLibrary:
    """Read a folder of class folders; every tile is opened once.

    Args:
        folder: Holds a folder for each tissue class, with the class's tiles as images.
        per_class: Most tiles of a class: every so many-th of its sorted names. None reads all.

    Returns:
        The tiles.

    Raises:
        InputError: There is no such folder, or it has no class folders or only one; tiles that
            lie elsewhere, cannot be read, are not square or differ in size: every one.
    """
    files = {name: _thinned(own, per_class) for name, own in _class_folders(folder).items()}
    paths = [path for own in files.values() for path in own]
    sizes, hashes, problems = [], [], []
    for path in paths:
        try:
            held = content(path, most=_MOST_BYTES)
            sizes.append(_decoded(held).shape[1::-1])
            hashes.append(hashlib.sha256(held).hexdigest())
        except (OSError, ValueError, InputError, Image.DecompressionBombError) as error:
            problems.append(f"{path}: cannot be read as an image: {error}")
    problems = problems or list(_size_problems(sizes, paths))
    if problems:
        raise InputError(*problems)
    return TileLibrary(
        folder=folder,
        classes=tuple(files),
        names=tuple(path.relative_to(folder).as_posix() for path in paths),
        tissue=np.repeat(np.arange(len(files)), [len(own) for own in files.values()]),
        side=sizes[0][0],
        hashes=tuple(hashes),
    )


def _class_folders(folder: Path) -> dict[str, list[Path]]:
    """The images of each class folder."""
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give one that holds a folder of tiles a class.")
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    classes = {path.name: _images(path) for path in entries if path.is_dir()}
    problems = list(_folder_problems(folder, classes))
    if _images(folder):
        problems.append(
            f"{folder}: images lie beside the class folders ({listed(_names(_images(folder)), 3)})"
            "; move each into the folder of its class."
        )
    for path in entries:
        inner = [each for each in path.iterdir() if each.is_dir()] if path.is_dir() else []
        if inner:
            problems.append(
                f"{path}: holds folders ({listed(_names(inner), 3)}); tiles lie in the folder of "
                "their class itself."
            )
    if problems:
        raise InputError(*problems)
    return classes


def _folder_problems(folder: Path, classes: dict[str, list[Path]]) -> Iterator[str]:
    if len(classes) < 2:
        found = f"only one, {next(iter(classes))}" if classes else "none"
        yield (
            f"{folder}: a cohort needs folders of several tissue classes, each named after its "
            f"class; this folder has {found}."
        )
    empty = [name for name, own in classes.items() if not own]
    if empty:
        yield (
            f"{folder}: no image in the class folders {listed(empty)}; put tiles there "
            f"({', '.join(sorted(_SUFFIXES))}), or take the folders out."
        )


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _names(paths: Sequence[Path]) -> list[str]:
    return [path.name for path in paths]


def _thinned(paths: Sequence[Path], most: int | None) -> Sequence[Path]:
    if most is None or len(paths) <= most:
        return paths
    return [paths[index * len(paths) // most] for index in range(most)]


def _decoded(held: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(held), formats=_FORMATS) as image:
        if image.mode not in _MODES:
            raise ValueError(f"its pixels are of the mode {image.mode}; give 8-bit RGB")
        return np.asarray(image.convert("RGB"))


def _size_problems(sizes: Sequence[tuple[int, int]], paths: Sequence[Path]) -> Iterator[str]:
    """Tiles that are not square, or not as large as most."""
    (width, height), _ = Counter(sizes).most_common(1)[0]
    if width != height or width < _SMALLEST_PX:
        yield (
            f"{paths[sizes.index((width, height))]} and others: {width} x {height} px; tiles must "
            f"be square, of {_SMALLEST_PX} px or more. Cut them so."
        )
    others = [
        f"{path} ({own[0]} x {own[1]})"
        for path, own in zip(paths, sizes, strict=True)
        if own != (width, height)
    ]
    if others:
        yield (
            f"Tiles of several sizes: most are {width} x {height} px, {len(others)} are not: "
            f"{listed(others, 5)}. Bring all to one size, or take these out."
        )
