"""Which slides: a folder, a pattern or a table."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from histodistill.errors import InputError, listed
from histodistill.extraction.dicom import group_by_series, of_one_glass, of_one_slide
from histodistill.files import name_fault
from histodistill.tables import (
    TABLE_SUFFIXES,
    Column,
    is_resolution,
    number,
    read_table,
    resolved_columns,
    with_decimal_points,
    without_missing_codes,
)

SLIDE_SUFFIXES = (
    *(".svs", ".tif", ".tiff", ".btf", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs"),
    *(".svslide", ".bif", ".czi", ".dcm", ".png", ".jpg", ".jpeg"),
)

# Slides of scanners and programs whose formats are not read here.
_UNREAD_SUFFIXES = frozenset(
    {".isyntax", ".i2syntax", ".vsi", ".ets", ".kfb", ".sdpc", ".tmap", ".zvi", ".qptiff", ".lif"}
    | {".mds", ".jp2", ".jpx", ".j2k", ".bmp", ".webp", ".zarr", ".oir", ".nd2", ".tron", ".dyqx"}
)

# Of a slide list, with the names that CLAM and others give them.
_COLUMNS = (
    Column(
        "slide",
        also=(
            *("slide_id", "filename", "file_name", "wsi", "path", "slide_path", "slide path"),
            *("wsi_path", "file_path", "filepath", "file", "image", "image_path", "slide_name"),
        ),
    ),
    Column("patient", also=("patient_id", "case_id", "patient id", "case", "case_submitter_id")),
    Column("mpp"),
)


@dataclass(frozen=True)
class SlideEntry:
    """A slide to extract.

    Attributes:
        path: The slide file.
        slide_id: Its name without the suffix; names the feature file.
        patient: Patient, where a table told.
        mpp: µm/px of level 0, where a table told; goes before what the slide records.
        mpp_if_unrecorded: µm/px of level 0 for a slide that records none.
        tissue: GeoJSON or mask that goes before the segmentation.
        tissue_classes: Classes of its annotations that are tissue; empty for the usual ones.
    """

    path: Path
    slide_id: str
    patient: str | None = None
    mpp: float | None = None
    mpp_if_unrecorded: float | None = None
    tissue: Path | None = None
    tissue_classes: tuple[str, ...] = ()


def list_slides(
    source: Path | str,
    *,
    mpp_if_unrecorded: float | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[SlideEntry]:
    """The slides of a folder, of a pattern (``slides/*.svs``) or of a CSV, ordered by name.

    A folder is searched with all folders inside it. A DICOM slide is many ``.dcm`` files of one
    series; it counts once. A CSV has a column ``slide`` (paths, relative to the CSV) and may have
    ``patient`` and ``mpp`` (µm/px).

    Args:
        source: Folder, pattern, CSV or one slide.
        mpp_if_unrecorded: µm/px of the slides that record none and have none in the CSV.
        tell: Told which columns of a CSV were taken by another name, and which are not used.

    Raises:
        InputError: Nothing is there, the table lacks what it needs, two slides share a name, or the
            name of one is no UTF-8 text.
    """
    path = Path(source)
    if path.is_dir():
        found = [each for each in path.rglob("*") if _visible(each, path)]
        entries = _entries(found)
        _tell_of_unread(path, found, tell)
    elif path.name.lower().endswith(TABLE_SUFFIXES):
        entries = _table(path, tell)
    elif path.is_file():
        entries = _entries([path])
    else:
        entries = _entries(map(Path, glob.glob(str(source), recursive=True)))  # noqa: PTH207
    if not entries:
        raise InputError(
            f"No slide found in {source}. Give a folder, a pattern in quotes such as "
            f"'slides/*.svs', or a CSV with a column 'slide'; known kinds: "
            f"{' '.join(SLIDE_SUFFIXES)}."
        )
    _require_written_names(entries)
    _require_distinct(entries)
    _tell_of_glass(entries, tell)
    named = sorted(entries, key=lambda entry: entry.slide_id)
    return [replace(entry, mpp_if_unrecorded=mpp_if_unrecorded) for entry in named]


def _visible(path: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _tell_of_unread(
    folder: Path, found: Iterable[Path], tell: Callable[[str], None] | None
) -> None:
    unread = [each.name for each in sorted(found) if each.suffix.lower() in _UNREAD_SUFFIXES]
    if unread and tell is not None:
        tell(
            f"{folder}: {len(unread)} slides of formats that are not read were passed over: "
            f"{listed(unread, 5)}; export them as OME-TIFF or DICOM."
        )


def _entries(paths: Iterable[Path]) -> list[SlideEntry]:
    # What is no file (a broken link, a pipe) is listed too, so that its fault is told.
    found = [each for each in sorted(paths) if each.suffix.lower() in SLIDE_SUFFIXES]
    slides = [path for path in found if not path.is_dir()]
    plain = [SlideEntry(path, path.stem) for path in slides if path.suffix.lower() != ".dcm"]
    dicom = group_by_series(path for path in slides if path.suffix.lower() == ".dcm")
    return [*plain, *(SlideEntry(files[0], name) for name, files in dicom.items())]


def _table(path: Path, tell: Callable[[str], None] | None) -> list[SlideEntry]:
    if not path.is_file():
        raise InputError(f"The slide table {path} does not exist.")
    notes: list[str] = []
    table = resolved_columns(read_table(path, notes), _COLUMNS, path, notes, [])
    if "slide" not in table.columns:
        raise InputError(
            f"{path} has no column 'slide' (it has {listed(list(table.columns))}); it may also "
            "have 'patient' and 'mpp'."
        )
    notes += _unused_columns(path, [str(name) for name in table.columns])
    problems: list[str] = []
    table = table.reindex(columns=[column.name for column in _COLUMNS])
    known = without_missing_codes(table["mpp"], path, notes)
    table["mpp"] = with_decimal_points(known, path, notes)
    if tell is not None:
        for note in notes:
            tell(note)
    rows = table.fillna("").to_dict("records")
    entries = [_row(path, {str(key): row[key] for key in row}, problems) for row in rows]
    if problems:
        raise InputError(*problems)
    return entries


def _unused_columns(path: Path, names: list[str]) -> list[str]:
    """A sentence for the columns that are not used.

    Raises:
        InputError: One of them looks like µm/px, so that a correction would be lost.
    """
    used = [column.name for column in _COLUMNS]
    unused = [name for name in names if name not in used]
    problems = [
        f"{path}: the column {name!r} would not be used; call it 'mpp' if it holds µm/px of level "
        "0, else take it out."
        for name in unused
        if is_resolution(name)
    ]
    if problems:
        raise InputError(*problems)
    return [f"{path}: not used: {listed(unused)} (used are {', '.join(used)})"] if unused else []


def _row(table: Path, row: dict[str, str], problems: list[str]) -> SlideEntry:
    slide = table.parent / row["slide"]
    mpp = row["mpp"]
    value = _positive(mpp)
    if not row["slide"]:
        problems.append(f"{table}: a row names no slide; fill the cell or delete the row.")
    if mpp and value is None:
        problems.append(f"{table}: the mpp of {slide.name} is {mpp!r}; give µm/px, such as 0.25.")
    return SlideEntry(slide, slide.stem, row["patient"] or None, value)


def _positive(text: str) -> float | None:
    value = number(text)
    return value if value is not None and value > 0 else None


def _require_written_names(entries: list[SlideEntry]) -> None:
    faults = ((entry.path, name_fault(entry.path)) for entry in entries)
    problems = [f"{path}: {fault}" for path, fault in faults if fault is not None]
    if problems:
        raise InputError(*problems)


def _require_distinct(entries: list[SlideEntry]) -> None:
    named: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        named[_without_ome(entry.slide_id)].append(str(entry.path))
    problems = [_not_distinct(paths) for paths in named.values() if len(paths) > 1]
    problems += [
        f"{listed([str(path) for path in files], 5)} are files of one DICOM slide, which would "
        "count several times; leave one of them."
        for files in of_one_slide(_dicom_files(entries))
    ]
    if problems:
        raise InputError(*problems)


def _dicom_files(entries: list[SlideEntry]) -> list[Path]:
    """A file of each DICOM slide; a file that a table names twice is told by its name."""
    files = (entry.path for entry in entries if entry.path.suffix.lower() == ".dcm")
    return list(dict.fromkeys(files))


def _tell_of_glass(entries: list[SlideEntry], tell: Callable[[str], None] | None) -> None:
    if tell is None:
        return
    for glass, files in of_one_glass(_dicom_files(entries)).items():
        tell(
            f"{listed([str(path) for path in files], 5)} are DICOM scans of one glass slide "
            f"({glass}), and each counts as a slide; take one out if they show the same."
        )


def _without_ome(slide_id: str) -> str:
    """The name of the slide that a pyramid was made of: ``x.ome.tif`` lies beside ``x.svs``."""
    return slide_id[:-4] if slide_id.lower().endswith(".ome") else slide_id


def _not_distinct(paths: list[str]) -> str:
    if len(set(paths)) == 1:
        return f"{paths[0]} is named in {len(paths)} rows; leave one of them."
    return (
        f"{listed(paths)} have the same name, less what tells the format: one slide twice, or two "
        "whose feature files would be mixed up. Take one out, or rename it."
    )
