"""A folder of tiles of known tissue to a cohort of simulated patients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from histodistill.encoders import load_encoder
from histodistill.errors import InputError
from histodistill.simulation.tiles import (
    TileCohort,
    TileSettings,
    check_classes,
    encode_tiles,
    hospital_stains,
    read_tiles,
    simulate_tile_cohort,
)
from histodistill.workflows.extraction import EncoderChoice


@dataclass(frozen=True)
class TileCohortRequest:
    """Tiles, and the cohort that shall be made of them.

    Attributes:
        tiles: A folder that holds a folder of tiles for each tissue class.
        folder: Where the cohort goes.
        settings: The cohort's settings.
        encoder: The patch encoder.
        components: Principal components that features are reduced to; None keeps them as they are.
        mosaics: Number of patients whose slides are written as images too.
        device: Where the encoder runs: ``auto``, ``cpu``, ``cuda``, ``cuda:<n>`` or ``mps``.
    """

    tiles: Path
    folder: Path
    settings: TileSettings
    encoder: EncoderChoice
    components: int | None = None
    mosaics: int = 0
    device: str = "auto"


def simulate_from_tiles(
    request: TileCohortRequest, progress: Callable[[int, int], None] | None = None
) -> TileCohort:
    """Encode the tiles of a folder and make a cohort of them.

    Args:
        request: What is wanted.
        progress: Called with (tiles encoded, tiles in all).

    Returns:
        The paths of what was written.

    Raises:
        InputError: Tiles, settings or encoder cannot be used; all that is wrong with the tiles is
            told before the first is encoded.
    """
    settings, choice = request.settings, request.encoder
    if request.mosaics > settings.n_patients:
        raise InputError(
            f"{request.mosaics} mosaics of {settings.n_patients} patients: give at most as many "
            "as there are patients."
        )
    library = read_tiles(request.tiles, settings.tiles_per_class)
    check_classes(settings, library)
    encoder = load_encoder(
        choice.described(),
        weights=choice.weights,
        device=request.device,
        precision=choice.precision,
        allow_code=choice.allow_code,
    )
    stains = hospital_stains(settings.n_sites, settings.stain_shift)
    features = encode_tiles(library, encoder, stains, progress=progress)
    if request.components is not None:
        features = features.reduced(request.components)
    return simulate_tile_cohort(
        request.folder, settings, library, features, mosaics=request.mosaics
    )
