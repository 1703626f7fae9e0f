"""Simulated patients of real tiles: a cohort in which images are real and the truth is known.

Tiles of known tissue are encoded once for each hospital's stain; a patient's bag is a draw of
them. How much of which tissue a patient has follows from the latents that label and genes follow
from, see `histodistill.simulation.tiles.tissue`.
"""

from histodistill.simulation.tiles.cohort import TileCohort, simulate_tile_cohort
from histodistill.simulation.tiles.features import TileFeatures, encode_tiles
from histodistill.simulation.tiles.library import TileLibrary, read_tiles
from histodistill.simulation.tiles.settings import REGIMES, TileSettings
from histodistill.simulation.tiles.stain import hospital_stains
from histodistill.simulation.tiles.tissue import TileModel, check_classes, draw_tile_model

__all__ = [
    "REGIMES",
    "TileCohort",
    "TileFeatures",
    "TileLibrary",
    "TileModel",
    "TileSettings",
    "check_classes",
    "draw_tile_model",
    "encode_tiles",
    "hospital_stains",
    "read_tiles",
    "simulate_tile_cohort",
]
