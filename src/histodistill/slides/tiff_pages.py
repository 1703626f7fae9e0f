"""What lies in a TIFF file, page by page, to tell why it cannot be read as one picture."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histodistill.slides.extra import slides_extra

# A file with more pages is a stack; what is looked for shows in the first ones.
_MOST_PAGES = 64
_CONVERT = (
    "convert it to a tiled pyramidal TIFF, for instance with "
    "'vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg'"
)
# The compressions that slides come in and that OpenSlide does not read in an ordinary TIFF.
_UNREAD = {
    **dict.fromkeys((34712, 33004), "JPEG 2000"),
    **dict.fromkeys((34927, 50001), "WebP"),
    **dict.fromkeys((50002, 52546), "JPEG XL"),
    22610: "JPEG XR",
    34934: "JPEG XR",
    34887: "LERC",
}


@dataclass(frozen=True)
class Page:
    """A page of a TIFF file.

    Attributes:
        width: px.
        height: px.
        channels: Colour channels.
        compression: The TIFF number of its compression.
    """

    width: int
    height: int
    channels: int
    compression: int


def tiff_pages(path: Path) -> list[Page]:
    """The first pages of a TIFF file; empty where its directories cannot be read."""
    with slides_extra():
        import tifffile
    # It writes what it thinks of damaged files to the terminal; what is wrong is told here.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    pages = []
    try:
        with tifffile.TiffFile(path) as file:
            for number in range(_MOST_PAGES):
                page: Any = file.pages[number]
                size = page.imagewidth, page.imagelength
                pages.append(Page(*size, page.samplesperpixel, int(page.compression)))
    except IndexError:
        return pages
    except Exception:  # tifffile raises many kinds on damaged files; what was read counts
        return pages
    return pages


def misread(path: Path, pages: list[Page], shown: tuple[int, int]) -> str | None:
    """Why the picture that a reader shows is not the slide; None where it is.

    Args:
        path: A TIFF file that belongs to no scanner's format.
        pages: Its pages.
        shown: Width and height of what the reader takes for level 0, px.
    """
    if not pages:
        return None
    largest = max(pages, key=lambda page: page.width * page.height)
    if largest.width * largest.height > shown[0] * shown[1]:
        number = pages.index(largest) + 1
        return (
            f"{path.name}: its first page is a thumbnail ({shown[0]} x {shown[1]} px); the slide "
            f"is on page {number} ({largest.width} x {largest.height} px). Save it alone, for "
            f"instance with 'vips tiffsave {path.name}[page={number - 1}] OUT.tif --tile --pyramid'"
        )
    planes = [page for page in pages if (page.width, page.height) == shown and page.channels == 1]
    if len(planes) == 3 and len(pages) == 3:
        return (
            f"{path.name}: it has three grey pages of one size, red, green and blue by the look of "
            "it; join them to one page of RGB, for instance with 'vips bandjoin'"
        )
    return None


def unread_compression(path: Path) -> str | None:
    """The sentence for a compression that is sound but not read here; None for any other."""
    kinds = {_UNREAD[page.compression] for page in tiff_pages(path) if page.compression in _UNREAD}
    if not kinds:
        return None
    return (
        f"{path.name}: compressed by {' and '.join(sorted(kinds))}, which is not read in a plain "
        f"TIFF (the file is sound); {_CONVERT}"
    )
