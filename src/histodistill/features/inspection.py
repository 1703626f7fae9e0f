"""Inspecting all feature files of a cohort."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from histodistill.errors import InputError, listed
from histodistill.features import formats
from histodistill.features.layouts.registry import AUTO
from histodistill.features.slide import SlideFeatures

_THREADS = 8
_TOLD_ONE_BY_ONE = 3


def inspect_slides(
    slide_paths: Mapping[str, Sequence[Path]],
    progress: Callable[[int, int], None] | None = None,
    layout: str = AUTO,
) -> dict[str, list[SlideFeatures]]:
    """Inspect the feature files of a cohort; reads their headers only.

    Args:
        slide_paths: Feature files of each patient, in order.
        progress: Called with (files inspected, files in all) after each file.
        layout: The layout of all of them; by default that which recognises each.

    Returns:
        The slides of each patient, in order.

    Raises:
        InputError: All problems of all files at once: unreadable files, files of two patients,
            slides that were not made alike, patients without slides.
    """
    owners = defaultdict(list)
    for patient, paths in slide_paths.items():
        for path in paths:
            owners[Path(path)].append(patient)
    problems = [
        f"{path} is listed {len(listing)} times (patients: {listed(listing)}); each slide belongs "
        "to one patient, once."
        for path, listing in owners.items()
        if len(listing) > 1
    ]
    without = [patient for patient, paths in slide_paths.items() if not paths]
    if without or not owners:
        problems.append(f"No slides for: {listed(without) or 'any patient'}.")
    inspected, unreadable = _inspect_all(list(owners), progress, layout)
    problems += unreadable
    try:
        formats.check_slides(list(inspected.values()))
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(*problems)
    return {
        patient: [inspected[Path(path)] for path in paths] for patient, paths in slide_paths.items()
    }


def _inspect_all(
    paths: Sequence[Path], progress: Callable[[int, int], None] | None, layout: str
) -> tuple[dict[Path, SlideFeatures], list[str]]:
    """Inspect files in threads; return the readable ones and all problems, in the files' order."""
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting = {path: pool.submit(formats.inspect, path, layout) for path in paths}
        for done, _ in enumerate(as_completed(waiting.values()), start=1):
            if progress is not None:
                progress(done, len(paths))
    inspected: dict[Path, SlideFeatures] = {}
    found: list[tuple[Path, str]] = []
    for path, result in waiting.items():
        error = result.exception()
        if isinstance(error, InputError):
            found += [(path, problem) for problem in error.problems]
        else:
            inspected[path] = result.result()
    return inspected, _counted(found)


def _counted(found: Sequence[tuple[Path, str]]) -> list[str]:
    """The problems of files; what is wrong with many files alike is one sentence with a count."""
    alike: defaultdict[str, list[tuple[Path, str]]] = defaultdict(list)
    for path, problem in found:
        alike[problem.replace(str(path), "")].append((path, problem))
    told: list[str] = []
    for rest, problems in alike.items():
        if len(problems) <= _TOLD_ONE_BY_ONE:
            told += [problem for _, problem in problems]
        else:
            names = listed([path.name for path, _ in problems], 5)
            folder = problems[0][0].parent
            told.append(f"{folder}: each of {len(problems)} files ({names}) {rest.strip()}")
    return told
