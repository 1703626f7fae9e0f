"""Which feature files belong to which patient."""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from histodistill.barcodes import (
    PRIMARY_TUMOUR,
    left_out_types,
    patient_of,
    unwanted_sample_type,
)
from histodistill.cohort.patients import column_of_patients, patient_names
from histodistill.errors import InputError, listed
from histodistill.files import name_fault
from histodistill.tables import Column, is_resolution, read_table, resolved_columns

FILENAME = "FILENAME"
# The column of CLAM, of the GDC's manifests, and plain English.
_ALSO = ("slide_id", "file_name", "filename", "slide", "file")
# Of slides, whose features a table may list under the slide's own name.
_SLIDE_SUFFIXES = frozenset(
    {".svs", ".tif", ".tiff", ".btf", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".svslide", ".bif"}
    | {".czi", ".dcm", ".png", ".jpg", ".jpeg"}
)


@dataclass(frozen=True)
class SlideIndex:
    """The feature files of every patient.

    Attributes:
        slides: Patient to feature files, one a slide; patients and files sorted.
        missing: (patient, file name) of each row of the slides table whose file is absent.
        unmatched: Feature files that belong to no patient: none is recognised in the name, or
            the slides table does not list them.
        notes: What was decided on the way, in sentences for the user.
    """

    slides: dict[str, tuple[Path, ...]]
    missing: tuple[tuple[str, str], ...] = ()
    unmatched: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def find_slides(
    directory: Path,
    *,
    suffixes: Sequence[str],
    companions: Sequence[str] = (),
    table: Path | None = None,
    patient_column: str = "PATIENT",
    filename_column: str = FILENAME,
    pattern: str | None = None,
    sample_types: Collection[str] = (PRIMARY_TUMOUR,),
    leave_out_missing: bool = False,
    by_options: bool = False,
) -> SlideIndex:
    """Find the feature files under a folder, and the patient of each.

    Where the same slide lies there in several formats (CLAM and TRIDENT write ``h5_files/`` and
    ``pt_files/`` side by side), the format that comes first in ``suffixes`` is taken and a note
    says so, unless the slides table names the other file. Slides whose name is a TCGA barcode of
    another sample type than those wanted (normal tissue, metastases) are left out, and a note says
    so.

    Args:
        directory: Searched with its subfolders; names that start with a point are passed over.
        suffixes: What feature files end in, the preferred ones first.
        companions: Patterns (``Path.match``, below the folder) of files that end so and hold no
            features.
        table: A slides table. ``filename_column`` holds the file's name or its path, below
            ``directory`` or on any machine, with or without the suffix, or the slide's name.
        patient_column: The table's column with the patient.
        filename_column: The table's column with the file.
        pattern: Without a table, a regular expression that is searched in the file name (less
            its suffix); its group ``patient``, else its first group, is the patient. Without a
            pattern the patient is a TCGA barcode.
        sample_types: TCGA sample types whose slides are wanted, as genomic samples are.
        leave_out_missing: Whether files of the table may be absent; each is a problem otherwise.
        by_options: Whether all this was asked by options of a command, which messages then name
            rather than settings.

    Returns:
        The files by patient, and what did not fit.

    Raises:
        InputError: The folder is absent or has no feature files; the pattern is invalid; the
            table lacks a column or a cell, gives one file to two patients or names a file that
            exists twice or not at all; a feature file cannot be read; nothing matches at all, or
            only slides of other sample types.
    """
    if table is not None and pattern is not None:
        raise InputError(
            f"The patients of the slides under {directory}: give a slides table or a pattern, "
            "not both."
        )
    files = _feature_files(directory, suffixes, companions)
    if table is None:
        index = _slides_by_name(directory, files, patient_reader(pattern), suffixes)
    else:
        notes: list[str] = []
        rows = _table_rows(table, patient_column, filename_column, notes, by_options)
        index = _slides_by_table(directory, files, table, rows, suffixes)
        if index.missing and not leave_out_missing:
            raise InputError(_absent_files(directory, table, index.missing, by_options))
        index = replace(index, notes=(*notes, *index.notes))
    return _of_sample_types(index, directory, sample_types, by_options)


def _of_sample_types(
    index: SlideIndex, directory: Path, wanted: Collection[str], by_options: bool
) -> SlideIndex:
    """The index without slides of other tissue than the tumour that is asked about."""
    slides: dict[str, tuple[Path, ...]] = {}
    left_out: dict[str, str] = {}
    for patient, files in index.slides.items():
        kinds = {path: unwanted_sample_type(path.stem, wanted) for path in files}
        left_out |= {path.name: kind for path, kind in kinds.items() if kind is not None}
        kept = tuple(path for path, kind in kinds.items() if kind is None)
        if kept:
            slides[patient] = kept
    if not left_out:
        return index
    told = (
        f"{directory}: {len(left_out)} slides of other sample types than {listed(sorted(wanted))} "
        f"were left out (by TCGA sample type {left_out_types(left_out.values())}): "
        f"{listed(sorted(left_out), 5)}."
    )
    if not slides:
        where = "`--sample-type`" if by_options else "`sample_types`"
        raise InputError(f"{told} No slide is left; name the types to keep in {where}.")
    return replace(index, slides=slides, notes=(*index.notes, told))


def _feature_files(
    directory: Path, suffixes: Sequence[str], companions: Sequence[str]
) -> list[Path]:
    """The feature files below a folder, sorted; what cannot be read is refused, not passed over."""
    if not directory.is_dir():
        raise InputError(f"{directory}: there is no such folder of patch features.")
    problems: list[str] = []
    files: list[Path] = []
    for path in sorted(_below(directory, problems)):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if any(path.relative_to(directory).match(each) for each in companions):
            continue
        reason = _unreadable(path)
        if reason is None:
            files.append(path)
        else:
            problems.append(f"{path}: {reason}")
    if problems:
        raise InputError(*problems)
    if not files:
        raise InputError(f"{directory}: holds no feature files ({', '.join(suffixes)}).")
    return files


def _below(directory: Path, problems: list[str]) -> Iterator[Path]:
    """Every file below a folder, and every empty folder, which may stand where a file should.

    Folders that cannot be opened go to ``problems``.
    """

    def refused(error: OSError) -> None:
        problems.append(f"{error.filename}: this folder cannot be opened ({error.strerror}).")

    seen: set[Path] = set()
    for folder, folders, names in os.walk(directory, onerror=refused, followlinks=True):
        real = Path(folder).resolve()
        if real in seen:  # a link led back here
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(folder, name) for name in names)
        if not names and not folders:
            yield Path(folder)


def _unreadable(path: Path) -> str | None:
    """Why a file cannot be read; None where it can."""
    if path.is_symlink() and not path.exists():
        return f"is a link to a file that is not there ({path.readlink()}); mend or delete it."
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"cannot be opened ({error.strerror})."
    if stat.S_ISDIR(mode):
        return "is an empty folder named like a feature file; take it out."
    if not stat.S_ISREG(mode):
        return "is no ordinary file; take it out of the folder."
    if not os.access(path, os.R_OK):
        return "cannot be opened (no right to read it)."
    return name_fault(path)


def patient_reader(pattern: str | None) -> Callable[[str], str | None]:
    """What reads the patient from a file name."""
    if pattern is None:
        return patient_of
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(f"The pattern '{pattern}' is not a regular expression: {error}.") from None
    if not expression.groups:
        raise InputError(
            f"The pattern '{pattern}' has no group: put the part that is the patient in "
            "parentheses, for example '(?P<patient>[^_]+)_'."
        )
    group = "patient" if "patient" in expression.groupindex else 1

    def read(name: str) -> str | None:
        found = expression.search(name)
        return (found[group] or "").strip() or None if found else None

    return read


def _slides_by_name(
    directory: Path,
    files: Sequence[Path],
    read_patient: Callable[[str], str | None],
    suffixes: Sequence[str],
) -> SlideIndex:
    by_stem: defaultdict[str, list[Path]] = defaultdict(list)
    for path in files:
        by_stem[path.stem].append(path)
    patients = {stem: patient for stem in by_stem if (patient := read_patient(stem)) is not None}
    if not patients:
        raise InputError(
            f"{directory}: no patient is recognised in any file name (for example "
            f"'{files[0].name}'); give a slides table (`slides` under "
            "`cohort`, or --slides-table), or a pattern that finds the patient (`patient_pattern`, "
            "or --patient-pattern)."
        )
    several: dict[str, list[Path]] = {}
    owners: dict[Path, str] = {}
    for stem, patient in patients.items():
        chosen = _preferred(by_stem[stem], suffixes)
        if len(chosen) > 1:
            several[stem] = chosen
        owners[chosen[0]] = patient
    if several:
        raise InputError(*_ambiguous(directory, several))
    return _index(directory, files, owners)


def _table_rows(
    path: Path, patient_column: str, filename_column: str, notes: list[str], by_options: bool
) -> list[tuple[str, str]]:
    """The table's (patient, file) pairs, each once."""
    problems: list[str] = []
    columns = [
        column_of_patients(patient_column, "" if by_options else "cohort: patient_column"),
        Column(
            filename_column,
            "" if by_options else "cohort: filename_column",
            _ALSO if filename_column == FILENAME else (),
        ),
    ]
    table = resolved_columns(read_table(path, notes), columns, path, notes, problems)
    if problems:
        raise InputError(*problems)
    notes += _unused_resolutions(path, [str(name) for name in table.columns])
    cells = table[[patient_column, filename_column]]
    gaps = cells.index[cells.isna().any(axis=1)]
    if len(gaps):
        rows = listed([str(row + 1) for row in gaps])
        raise InputError(
            f"{path}: '{patient_column}' or '{filename_column}' is empty in row {rows} below the "
            "header; fill the cell or delete the row."
        )
    patients = patient_names(cells[patient_column], path, notes).patients
    return list(dict.fromkeys(zip(patients, cells[filename_column], strict=True)))


def _unused_resolutions(path: Path, names: Sequence[str]) -> list[str]:
    """A sentence for columns of resolutions: the features are extracted already."""
    found = [f"'{name}'" for name in names if is_resolution(name)]
    if not found:
        return []
    return [
        f"{path}: column {listed(found)} is not used: µm/px matter where slides are extracted "
        "(`histodistill extract`), and these features are."
    ]


def _absent_files(
    directory: Path, table: Path, missing: Sequence[tuple[str, str]], by_options: bool
) -> str:
    remedy = (
        "give `--leave-out-missing`"
        if by_options
        else "write `missing_slides: leave out` below `cohort`"
    )
    names = listed([f"{name} ({patient})" for patient, name in missing])
    return (
        f"{table}: {len(missing)} of its files lie nowhere under {directory}: {names}. Extract "
        f"them or delete the rows, or {remedy}."
    )


def _slides_by_table(
    directory: Path,
    files: Sequence[Path],
    table: Path,
    rows: Sequence[tuple[str, str]],
    suffixes: Sequence[str],
) -> SlideIndex:
    by_path = _grouped((name, path) for path in files for name in _paths_below(path, directory))
    by_name = _grouped((name, path) for path in files for name in (path.name, path.stem))
    several: dict[str, list[Path]] = {}
    missing: list[tuple[str, str]] = []
    patients_of: defaultdict[Path, dict[str, None]] = defaultdict(dict)
    for patient, filename in rows:
        named = (by_path.get(n) or by_name.get(n) for n in _names_of(filename))
        chosen = _preferred(next(filter(None, named), []), suffixes)
        if len(chosen) > 1:
            several[filename] = chosen
        elif chosen:
            patients_of[chosen[0]][patient] = None
        else:
            missing.append((patient, filename))
    problems = _ambiguous(directory, several)
    problems += [
        f"{table}: '{path.relative_to(directory).as_posix()}' is listed for more than one patient: "
        f"{listed(list(patients))}; a slide belongs to one patient."
        for path, patients in patients_of.items()
        if len(patients) > 1
    ]
    if not problems and not patients_of:
        problems.append(
            f"{table}: none of its {len(rows)} files lies under {directory} (the table says "
            f"'{rows[0][1]}', the folder has '{files[0].name}')."
        )
    if problems:
        raise InputError(*problems)
    owners = {path: next(iter(patients)) for path, patients in patients_of.items()}
    return _index(directory, files, owners, missing)


def _names_of(filename: str) -> Iterator[str]:
    r"""What a table's cell may name, the most of its path first: ``C:\uni\a.svs`` says ``a``."""
    parts = [part for part in filename.replace("\\", "/").split("/") if part not in ("", ".")]
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    yield from tails
    for tail in tails:
        stem, point, suffix = tail.rpartition(".")
        if point and f".{suffix.lower()}" in _SLIDE_SUFFIXES:
            yield stem


def _paths_below(path: Path, directory: Path) -> tuple[str, str]:
    below = path.relative_to(directory)
    return below.as_posix(), below.with_suffix("").as_posix()


def _grouped(pairs: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    groups: defaultdict[str, list[Path]] = defaultdict(list)
    for name, path in pairs:
        groups[name].append(path)
    return groups


def _preferred(candidates: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """The candidates in the first of the formats that occurs among them."""
    ranks = [suffixes.index(path.suffix.lower()) for path in candidates]
    return [path for path, rank in zip(candidates, ranks, strict=True) if rank == min(ranks)]


def _ambiguous(directory: Path, several: Mapping[str, Sequence[Path]]) -> list[str]:
    """A problem for slides that lie in several files; one for all that share their folders."""
    alike: defaultdict[tuple[Path, ...], list[str]] = defaultdict(list)
    for name, files in several.items():
        alike[tuple(path.parent for path in files)].append(name)
    return [_told_several(directory, names, several[names[0]]) for names in alike.values()]


def _told_several(directory: Path, names: Sequence[str], files: Sequence[Path]) -> str:
    others = f" and {len(names) - 1} more slides lie" if len(names) > 1 else " lies"
    places = listed([path.relative_to(directory).as_posix() for path in files])
    return (
        f"{directory}: the slide '{names[0]}'{others} there more than once ({places}); point to "
        "the folder of one encoder, or give the path in a slides table."
    )


def _index(
    directory: Path,
    files: Sequence[Path],
    owners: dict[Path, str],
    missing: Sequence[tuple[str, str]] = (),
) -> SlideIndex:
    used_suffixes: defaultdict[str, set[str]] = defaultdict(set)
    by_patient: defaultdict[str, list[Path]] = defaultdict(list)
    for path, patient in sorted(owners.items()):
        used_suffixes[path.stem].add(path.suffix)
        by_patient[patient].append(path)
    left = [path for path in files if path not in owners]
    copies = [
        path
        for path in left
        if path.stem in used_suffixes and path.suffix not in used_suffixes[path.stem]
    ]
    unmatched = sorted(set(left).difference(copies))
    return SlideIndex(
        slides={patient: tuple(by_patient[patient]) for patient in sorted(by_patient)},
        missing=tuple(missing),
        unmatched=tuple(unmatched),
        notes=_copies_note(directory, copies, used_suffixes),
    )


def _copies_note(
    directory: Path, copies: Sequence[Path], used_suffixes: dict[str, set[str]]
) -> tuple[str, ...]:
    if not copies:
        return ()
    first = copies[0]
    taken = ", ".join(sorted(used_suffixes[first.stem]))
    return (
        f"{directory}: {len({path.stem for path in copies})} slides lie there in several formats; "
        f"one is used for each (for example the {taken} of '{first.stem}', not "
        f"'{first.relative_to(directory).as_posix()}').",
    )
