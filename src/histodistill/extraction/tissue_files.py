"""Which file of a folder outlines which slide; nothing in the folder is passed over in silence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from histodistill.errors import InputError, listed
from histodistill.extraction.slide_list import SlideEntry
from histodistill.tiling import unused_classes

OUTLINE_SUFFIXES = (".geojson", ".json")
MASK_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")


def with_tissue_files(
    slides: Sequence[SlideEntry], folder: Path, classes: Iterable[str] = ()
) -> list[SlideEntry]:
    """The slides with the files that outline their tissue.

    A file is named after its slide, with or without the slide's suffix: ``case1.geojson`` or
    ``case1.svs.geojson``. Slides without a file are left to the segmentation.

    Args:
        slides: The slides.
        folder: GeoJSON outlines and mask images.
        classes: Classes of annotations that are tissue, see
            :func:`histodistill.tiling.read_tissue_geojson`.

    Raises:
        InputError: A file matches no slide or is of no known kind, several match one slide,
            there is none, or a class is named that no annotation is of.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    unused = []
    names = _names(slides)
    for path in sorted(each for each in folder.iterdir() if not each.name.startswith(".")):
        slide_id = names.get(path.stem)
        known = path.suffix.lower() in (*OUTLINE_SUFFIXES, *MASK_SUFFIXES)
        if slide_id is None or not known or not path.is_file():
            unused.append(path.name)
        else:
            found[slide_id].append(path)
    problems = [
        f"{folder}: {listed([path.name for path in paths])} outline the same slide; keep one."
        for paths in found.values()
        if len(paths) > 1
    ]
    if unused:
        problems.append(_told_unused(folder, unused, slides[0]))
    if not found and not unused:
        problems.append(f"{folder}: no outline or mask in it; leave --tissue-dir out, or fill it.")
    chosen = tuple(classes)
    drawn = (path for paths in found.values() for path in paths)
    outlines = [path for path in drawn if path.suffix.lower() in OUTLINE_SUFFIXES]
    problems += [
        f"{folder}: no annotation of any file is of the class {name!r}, which --tissue-class names"
        for name in unused_classes(outlines, chosen)
    ]
    if problems:
        raise InputError(*problems)
    return [
        replace(each, tissue=found[each.slide_id][0], tissue_classes=chosen)
        if each.slide_id in found
        else each
        for each in slides
    ]


def _names(slides: Sequence[SlideEntry]) -> dict[str, str]:
    """What a file may be called, without its own suffix, and the slide that it means."""
    whole = {each.path.name: each.slide_id for each in slides}
    return whole | {each.slide_id: each.slide_id for each in slides}


def _told_unused(folder: Path, unused: list[str], example: SlideEntry) -> str:
    return (
        f"{folder}: {listed(unused)} would not be used. A file is named after its slide "
        f"({example.slide_id}.geojson, or .png for a mask, for {example.path.name}); rename it, or "
        "move away what belongs to other slides."
    )
