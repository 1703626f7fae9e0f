"""How tissue is found and cut into patches, in µm wherever a length is meant."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from histodistill.settings import Settings


class TissueSettings(Settings):
    """How tissue is told from glass, dust and pen.

    Attributes:
        mpp: µm/px at which tissue is looked for, whatever levels the slide has. A slide that is
            coarser is taken as it is.
        min_colour: Least colour of tissue: the difference between the highest and the lowest
            optical density of red, green and blue. Glass, dust and hairs are grey (under 0.01),
            pale stroma has 0.05, tumour 0.1 and more.
        close_um: Gaps up to about twice this wide are closed.
        min_area_um2: Smaller pieces are specks and dropped (a patch of 128 µm has 16,384).
        min_hole_um2: Smaller holes (vessels, ducts, fat cells) belong to the tissue.
        fill_holes: Whether larger holes belong to it too.
        drop_pen: Whether blue, green, black and red pen marks are cut out.
    """

    mpp: PositiveFloat = 8.0
    min_colour: PositiveFloat = 0.03
    close_um: NonNegativeFloat = 24.0
    min_area_um2: NonNegativeFloat = 16_000.0
    min_hole_um2: NonNegativeFloat = 10_000.0
    fill_holes: bool = False
    drop_pen: bool = True


class TilingSettings(Settings):
    """The patch grid.

    Attributes:
        mpp: µm/px of a patch.
        patch_px: Width and height of a patch, px at ``mpp``.
        overlap: Overlap of neighbouring patches, as a fraction of their width (at most 0.75).
        min_tissue: Least fraction of a patch that must be tissue.
        allow_upsampling: Whether a slide that is coarser than ``mpp`` is enlarged.
    """

    mpp: PositiveFloat = 0.5
    patch_px: PositiveInt = 256
    overlap: float = Field(default=0.0, ge=0, le=0.75)
    min_tissue: float = Field(default=0.25, ge=0, le=1)
    allow_upsampling: bool = False

    @property
    def patch_um(self) -> float:
        """Width and height of a patch, µm."""
        return self.mpp * self.patch_px
