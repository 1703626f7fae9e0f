"""What a cohort of real tiles looks like: its patients, their tissue, its hospitals."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from histodistill.errors import listed
from histodistill.simulation.settings import CohortSettings

REGIMES = MappingProxyType({"common": {"rare_part": 0.0}, "rare": {"rare_part": 1.0}})
"""Where the label's signal lies: in the share of common tissue, or in few patches of a rare one."""


@dataclass(frozen=True)
class TileSettings(CohortSettings):
    """Settings of a cohort whose slides are made of real tiles.

    The equations stand in `histodistill.simulation.tiles.tissue`; those of the label and of the
    genes where `CohortSettings` says.

    Attributes:
        n_folds: Parts of the labelled patients, each with tiles of its own.
        n_patches: Patches of a slide.
        tile_mpp: µm per pixel of the tiles.
        tiles_per_class: Most tiles that are used of a class; None uses all.
        common_classes: Tissue classes whose common share shows the common latent.
        rare_classes: Tissue classes whose share shows the rare latent.
        rare_part: Part ρ, from 0 to 1, of the shared latent that the rare classes show; the rest
            is shown by the common ones.
        common_share: Median share of the common classes among the patches that are not rare.
        common_strength: Change of that share's log-odds with one standard deviation of the
            common latent.
        rare_share: Median share of the rare classes.
        rare_strength: Change of that share's log-odds with one standard deviation of the rare
            latent.
        distractor_strength: Change of the other classes' log-weights, up in half of them and
            down in the rest, with one standard deviation of the distractor.
        tissue_noise: Standard deviation of a slide's own deviation of each log-odds and log-weight.
        stain_shift: Standard deviation, between hospitals, of the logarithm of how strongly each
            stain absorbs; its colours vary half as much. 0 leaves all tiles as they are.

    Raises:
        InputError: A setting is out of range; every one that is, at once.
    """

    _LEAST: ClassVar[dict[str, int]] = {**CohortSettings._LEAST, "n_folds": 3, "n_patches": 1}
    _INNER_SHARES = (*CohortSettings._INNER_SHARES, "common_share", "rare_share")

    n_patients: int = 300
    n_sites: int = 3
    n_genes: int = 500
    genomic_signal: float = 0.4
    label_noise: float = 0.5
    share_with_two_slides: float = 0.0
    n_folds: int = 5
    n_patches: int = 200
    tile_mpp: float = 0.25
    tiles_per_class: int | None = None
    common_classes: tuple[str, ...] = ("immune", "tumour")
    rare_classes: tuple[str, ...] = ("giant-cell",)
    rare_part: float = 0.0
    common_share: float = 0.4
    common_strength: float = 1.0
    rare_share: float = 0.005
    rare_strength: float = 1.0
    distractor_strength: float = 1.0
    tissue_noise: float = 0.3
    stain_shift: float = 0.1

    @property
    def signal_classes(self) -> frozenset[str]:
        """The classes that show something of the shared latent."""
        common = self.common_classes if self.rare_part < 1 else ()
        return frozenset(common) | frozenset(self.rare_classes if self.rare_part > 0 else ())

    def _own_problems(self) -> list[str]:
        problems = []
        if not 0 <= self.rare_part <= 1:
            problems.append(
                f"The simulation setting rare_part is {self.rare_part}; give a number from 0 to 1."
            )
        problems += [
            f"The simulation setting {name} is empty; name a class of tiles."
            for name in ("common_classes", "rare_classes")
            if not getattr(self, name)
        ]
        both = sorted(set(self.common_classes) & set(self.rare_classes))
        if both:
            problems.append(
                f"{listed(both)}: among common_classes and rare_classes; a class is one or the "
                "other."
            )
        if self.tile_mpp <= 0:
            problems.append(
                f"The simulation setting tile_mpp is {self.tile_mpp}; give the µm per pixel of "
                "the tiles, a number above 0."
            )
        if self.tiles_per_class is not None and self.tiles_per_class < 1:
            problems.append(
                f"The simulation setting tiles_per_class is {self.tiles_per_class}; give at least "
                "1, or leave it out to use all tiles."
            )
        return problems
