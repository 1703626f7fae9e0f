"""DICOM slides: many files of one series, of which OpenSlide opens any one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

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
    found: dict[Path, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(paths):
        found[path.parent][_header(path).series].append(path)
    slides = {}
    for folder, series in sorted(found.items()):
        name = folder.resolve().name
        # A slide is called the same whether it is asked for alone or with its neighbours.
        alone = len(series) == 1 and series.keys() >= _other_series(folder, *series.values())
        for uid, files in series.items():
            slides[name if alone else f"{name}-{uid}"] = files
    return slides


def of_one_slide(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of files, each of one series, that would be the same slide several times."""
    by_series: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_series[_header(path).series].append(path)
    return [files for files in by_series.values() if len(files) > 1]


def of_one_glass(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Files of several series that show the same glass slide, by its identifier (0040,0512)."""
    by_glass: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_glass[_header(path).glass].append(path)
    return {glass: files for glass, files in by_glass.items() if glass and len(files) > 1}


class _Header(NamedTuple):
    series: str
    glass: str


def _other_series(folder: Path, *known: list[Path]) -> set[str]:
    """The series of the DICOM files of a folder, less files whose series is known."""
    seen = {path.name for files in known for path in files}
    files = (each for each in folder.iterdir() if each.suffix.lower() == ".dcm")
    return {_header(path).series for path in files if path.name not in seen}


def _header(path: Path) -> _Header:
    """What tells slides apart; the file's own name for a series that cannot be read."""
    if not path.is_file():
        return _Header(path.stem, "")
    return _read_header(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=100_000)
def _read_header(path: Path, _changed: int) -> _Header:
    """Read once as long as the file is the same: naming, doubles and glass all ask for it."""
    with slides_extra():
        import pydicom
    wanted = ["SeriesInstanceUID", "ContainerIdentifier"]
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted)
        series = str(header.SeriesInstanceUID)
    except Exception:  # pydicom raises many kinds on damaged files; opening the slide tells why
        return _Header(path.stem, "")
    return _Header(series, str(header.get("ContainerIdentifier", "")).strip())
