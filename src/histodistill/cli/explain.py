"""The `histodistill explain` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histodistill.cli.console import counted, located, say, say_notes
from histodistill.cli.new_bags import extracted_bags
from histodistill.cli.options import Layout, LeaveOutMissing, named_files, require_used
from histodistill.errors import InputError

if TYPE_CHECKING:
    from histodistill.slides import SlideImage


# Options, and those of which one gives them a meaning.
_NEEDS = {
    "slides_table": ["features"],
    "leave_out_missing": ["slides_table"],
    "layout": ["features"],
    "slide_mpp": ["slides"],
}


def command(
    context: typer.Context,
    bundle_folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The model bundle.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the maps, a folder a patient.")
    ],
    features: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of patch features; nothing is encoded again."),
    ] = None,
    slides: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Slides to draw the maps on; alone, their features are extracted first, as in "
            "training. Without slides, maps are drawn on the grid of patches.",
        ),
    ] = None,
    slides_table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table PATIENT, FILENAME; else the file names tell."),
    ] = None,
    leave_out_missing: LeaveOutMissing = False,
    layout: Layout = "auto",
    patient_pattern: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Regular expression of the patient in a file name."),
    ] = None,
    genomics: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="A genomic block; as often as there are blocks."),
    ] = None,
    gene: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GENE",
            help="Draw the expression of this gene that slides predict, where they do so above "
            "chance; as often as wanted.",
        ),
    ] = None,
    patient: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Explain this patient; as often as wanted."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PACKAGE.MODULE:CLASS",
            help="A network of another package that the bundle is made of, if you trust it.",
        ),
    ] = None,
    mpp: Annotated[
        float, typer.Option(min=0.1, metavar="MPP", help="µm in a pixel of the pictures.")
    ] = 8.0,
    slide_mpp: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="MPP", help="µm/px of slides that record none."),
    ] = None,
    patches: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Most and least supportive patches on a sheet."),
    ] = 8,
    jobs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Patients at the same time, each in a process.")
    ] = 1,
) -> None:
    """Show where a model looked: maps of what each patch brought, each with a certificate.

    A map is painted only where taking patches away in its order moves the model's answer beyond
    chance. Finished patients are not made again. Research use only; not a medical device.
    """
    from histodistill.cli.progress import counting
    from histodistill.deploy import Bundle
    from histodistill.explanation.predictability import require_shown
    from histodistill.workflows.explanation import ExplanationSettings, explain_patients
    from histodistill.workflows.new_features import NewFeatures
    from histodistill.workflows.prediction import read_blocks

    if features is None and slides is None:
        raise InputError("give --features DIR, --slides DIR, or both")
    require_used(context, _NEEDS)
    bundle = Bundle.load(bundle_folder, allow or ())
    say_notes(bundle.notes)
    require_shown(bundle, gene or ())  # before slides are extracted
    blocks, told = read_blocks(bundle, named_files(genomics or []))
    say_notes(told)
    images = _images(slides, slide_mpp)
    if features is None:
        assert slides is not None
        files = extracted_bags(bundle, slides, out / "features", slide_mpp, patient_pattern)
    else:
        found = NewFeatures(features, slides_table, patient_pattern, layout, leave_out_missing)
        files, told = found.open(bundle.info.patient_pattern)
        say_notes(told)
    genes = tuple(gene or ())
    how = ExplanationSettings(out, images, mpp, genes, n_shown=patches, jobs=jobs)
    with counting("Patients") as progress:
        explained = explain_patients(
            bundle, files, blocks, how, patients=patient or (), progress=progress
        )
    say_notes(explained.notes)
    maps = explained.maps
    say(
        f"{counted(maps['PATIENT'].nunique(), 'patient')}, {counted(len(maps), 'map')}, "
        f"{int(maps['regional'].sum())} with regional evidence: {located(out / 'maps.csv')}"
    )


def _images(slides: Path | None, slide_mpp: float | None) -> dict[str, SlideImage]:
    """The slides by name."""
    from histodistill.extraction import list_slides
    from histodistill.slides import SlideImage

    if slides is None:
        return {}
    return {
        entry.slide_id: SlideImage(entry.path, entry.mpp, slide_mpp)
        for entry in list_slides(str(slides))
    }
