"""Features of every tile as every hospital stains it, encoded once.

What is encoded is kept in the user's cache folder, a file for each stain: another cohort of the
same tiles and encoder finds it there, and an interrupted run goes on with the next stain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.files import user_cache, whole_file
from histodistill.simulation.tiles.library import TileLibrary
from histodistill.simulation.tiles.stain import Stain, restain

if TYPE_CHECKING:
    from histodistill.encoders import PatchEncoder

_BATCH = 16
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TileFeatures:
    """What an encoder says of tiles.

    Attributes:
        values: [stains, T, F] float16.
        encoder: The encoder's name, with the number of components where there are fewer.
    """

    values: NDArray[np.float16]
    encoder: str

    def reduced(self, components: int) -> TileFeatures:
        """Principal components of all tiles in all stains; labels play no part in them.

        Args:
            components: Their number.

        Raises:
            InputError: There are not so many.
        """
        stains, tiles, width = self.values.shape
        most = min(stains * tiles, width)
        if not 1 <= components <= most:
            raise InputError(
                f"{components} components cannot be made of {stains * tiles} tiles with {width} "
                f"features; give 1 to {most}."
            )
        from sklearn.decomposition import PCA

        flat = self.values.reshape(-1, width).astype(np.float32)
        scores = PCA(components, svd_solver="covariance_eigh").fit_transform(flat)
        values = scores.reshape(stains, tiles, components).astype(np.float16)
        return TileFeatures(values, f"{self.encoder} (PCA {components})")


def encode_tiles(
    library: TileLibrary,
    encoder: PatchEncoder,
    stains: Sequence[Stain | None],
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> TileFeatures:
    """Encode every tile in every stain.

    Args:
        library: The tiles.
        encoder: A patch encoder with its weights.
        stains: From `hospital_stains`.
        cache: Folder of what was encoded before; by default in the user's cache folder.
        progress: Called with (tiles encoded, tiles in all).

    Returns:
        Their features.
    """
    folder = user_cache() / "tiles" if cache is None else cache
    values = []
    for number, stain in enumerate(stains):
        path = folder / f"{_key(library, encoder, stain)}.npy"
        if not path.exists():
            encoded = _encoded(library, encoder, stain, number, len(stains), progress)
            with whole_file(path) as temporary:
                np.save(temporary, encoded, allow_pickle=False)
        values.append(np.load(path, allow_pickle=False))
    return TileFeatures(np.stack(values), encoder.encoder.name)


def _encoded(
    library: TileLibrary,
    encoder: PatchEncoder,
    stain: Stain | None,
    number: int,
    n_stains: int,
    progress: Progress | None,
) -> NDArray[np.float16]:
    """The features of all tiles in one stain, [T, F]."""
    import torch

    total, rows = len(library.names), []
    for first in range(0, total, _BATCH):
        batch = range(first, min(first + _BATCH, total))
        pixels = restain(np.stack([library.pixels(tile) for tile in batch]), stain)
        rows.append(encoder.encode(torch.from_numpy(pixels)).numpy().astype(np.float16))
        if progress is not None:
            progress(number * total + batch.stop, n_stains * total)
    return np.concatenate(rows)


def _key(library: TileLibrary, encoder: PatchEncoder, stain: Stain | None) -> str:
    """What the features of tiles in a stain hang on."""
    described = encoder.encoder
    facts = [
        library.hashes,
        None if stain is None else np.round(stain, 9).tolist(),
        encoder.weights_hash,
        encoder.precision,
        [described.name, described.input_px, described.mean, described.std],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
