"""DICOM slides: many files of one series, of which OpenSlide opens any one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from histodistill.slides import slides_extra


def group_by_series(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """The files of each slide, by the name that the slide gets.

    OpenSlide joins the files of one folder that have the same series; so do we. A folder with one
    series gives the slide its name; with several, the series' number (UID) is added to it.

    Args:
        paths: ``.dcm`` files.

    Returns:
        Files by name, ordered. A file without a readable series stands for itself.
    """
    folders: dict[Path, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(paths):
        folders[path.parent][_series(path)].append(path)
    slides = {}
    for folder, series in sorted(folders.items()):
        name = folder.resolve().name
        for uid, files in series.items():
            slides[name if len(series) == 1 else f"{name}-{uid}"] = files
    return slides


def _series(path: Path) -> str:
    """The UID of a file's series; the file's own name where it cannot be read."""
    with slides_extra():
        import pydicom
    if not path.is_file():
        return path.stem
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
        return str(header.SeriesInstanceUID)
    except Exception:  # pydicom raises many kinds on damaged files; opening the slide tells why
        return path.stem
