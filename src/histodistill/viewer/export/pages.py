"""A folder of pages: one a slide, and a list of the patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from histodistill.errors import InputError, listed
from histodistill.files import whole_folder, write_text
from histodistill.viewer.cohort import Cohort
from histodistill.viewer.export.leaflet import leaflet
from histodistill.viewer.export.slide_page import page_content
from histodistill.viewer.layers import PatientMaps
from histodistill.viewer.slide_tiles import SlideTiles


def write_pages(
    folder: Path,
    cohort: Cohort,
    patients: Sequence[str],
    maps: Callable[[str], PatientMaps],
    tiles: SlideTiles,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write pages that need no server and load nothing; the folder appears whole or not at all.

    Args:
        folder: Where; must not exist yet.
        cohort: The patients.
        patients: Whose pages are written; empty for everybody with slides.
        maps: Finds the maps of a patient.
        tiles: The slides.
        progress: Called with (patients done, patients in all).

    Returns:
        The number of pages of slides.

    Raises:
        InputError: The folder exists, a patient is unknown or has no slides, or a slide cannot be
            read.
    """
    wanted = list(dict.fromkeys(patients)) or [p for p in cohort.patients if p in cohort.slides]
    unknown = [patient for patient in wanted if patient not in cohort.slides]
    if unknown:
        raise InputError(f"nobody of this name has slides: {listed(unknown)}")
    if folder.exists():
        raise InputError(f"{folder}: exists already; remove it or choose another folder")
    templates = Environment(
        loader=PackageLoader("histodistill.viewer.export"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    script, style = leaflet()
    listing: list[dict[str, Any]] = []
    with whole_folder(folder) as draft:
        for done, patient in enumerate(wanted, start=1):
            found = maps(patient)
            for number, slide in enumerate(found.slides, start=1):
                name = f"{len(listing) + 1:03d}.html"
                about = _about(cohort, patient) | {"number": number, "count": len(found.slides)}
                page = templates.get_template("slide.html.jinja").render(
                    about=about, content=page_content(slide, tiles), leaflet=script, style=style
                )
                write_text(draft / name, page)
                listing.append(about | {"page": name, "slide": slide.slide})
            if progress is not None:
                progress(done, len(wanted))
        index = templates.get_template("index.html.jinja").render(cohort=cohort, listing=listing)
        write_text(draft / "index.html", index)
    return len(listing)


def _about(cohort: Cohort, patient: str) -> dict[str, Any]:
    row = cohort.table.iloc[cohort.patients.index(patient)]
    networks = {n: f"{row[n]:.3f}" for n in cohort.networks if row[n] == row[n]}
    return {
        "cohort": cohort.name,
        "patient": patient,
        "truth": row["truth"],
        "call": row["call"],
        "answered_by": row["answered_by"],
        "networks": networks,
    }
