"""The `histodistill explain` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from histodistill.barcodes import PRIMARY_TUMOUR
from histodistill.cli.console import counted, located, say, say_notes
from histodistill.cli.explain_options import (
    ChosenPatients,
    DrawnGenes,
    FeaturesFolder,
    MapsFolder,
    PatchesShown,
    PatientsAtOnce,
    PatientThreads,
    PicturesMpp,
    SlidesToDrawOn,
)
from histodistill.cli.new_bags import extracted_bags
from histodistill.cli.options import (
    AllowedCode,
    BundleFolder,
    Device,
    GenomicBlocks,
    Layout,
    LeaveOutMissing,
    On,
    OneTarget,
    PatientPattern,
    SlideMpp,
    SlidesTable,
    named_files,
    require_not,
    require_used,
)
from histodistill.cli.predict_options import (
    OF_EXTRACTION,
    AllowTorchscriptCode,
    CheckScale,
    EncoderWeights,
    MaxMissingGenes,
    OfSite,
    OneThreshold,
    SampleTypes,
)
from histodistill.errors import InputError

if TYPE_CHECKING:
    from histodistill.slides import SlideImage
    from histodistill.workflows.explanation import Explained


# Options, and those of which one gives them a meaning.
_NEEDS = {
    "slides_table": ["features"],
    "leave_out_missing": ["slides_table"],
    "layout": ["features"],
    "slide_mpp": ["slides"],
    "weights": ["slides"],
    "allow_torchscript_code": ["slides"],
    "max_missing_genes": ["genomics"],
    "check_scale": ["genomics"],
}


def command(
    context: typer.Context,
    bundle_folder: BundleFolder,
    out: MapsFolder,
    features: FeaturesFolder = None,
    slides: SlidesToDrawOn = None,
    slides_table: SlidesTable = None,
    leave_out_missing: LeaveOutMissing = False,
    layout: Layout = "auto",
    patient_pattern: PatientPattern = None,
    genomics: GenomicBlocks = None,
    gene: DrawnGenes = None,
    patient: ChosenPatients = None,
    target: OneTarget = None,
    allow: AllowedCode = None,
    max_missing_genes: MaxMissingGenes = 0.2,
    check_scale: CheckScale = True,
    threshold: OneThreshold = None,
    site: OfSite = None,
    mpp: PicturesMpp = 8.0,
    weights: EncoderWeights = None,
    allow_torchscript_code: AllowTorchscriptCode = False,
    slide_mpp: SlideMpp = None,
    sample_types: SampleTypes = None,
    patches: PatchesShown = 8,
    device: Device = "auto",
    on: On = "local",
    jobs: PatientsAtOnce = None,
    threads: PatientThreads = None,
) -> None:
    """Show where a model looked: maps of what each patch brought, each with a certificate.

    A map is painted only where taking patches away in its order moves the model's answer beyond
    chance. Finished patients are not made again. Research use only; not a medical device.
    """
    from histodistill.cli.progress import counting
    from histodistill.deploy import Bundle
    from histodistill.deploy.panel import bundle_of
    from histodistill.engines.choice import Place
    from histodistill.explanation.predictability import require_shown
    from histodistill.workflows.answering import Answering
    from histodistill.workflows.explanation import ExplanationSettings, explain_patients
    from histodistill.workflows.new_features import NewFeatures
    from histodistill.workflows.new_slide_settings import NewSlideSettings
    from histodistill.workflows.prediction import read_blocks

    if features is None and slides is None:
        raise InputError("give --features DIR, --slides DIR, or both")
    require_used(context, _NEEDS)
    if features is not None:
        require_not(context, OF_EXTRACTION, "with --features")
    wanted, place = sample_types or [PRIMARY_TUMOUR], Place.named(on)
    bundle = Bundle.load(bundle_of(bundle_folder, target), allow or ())
    say_notes(bundle.notes)
    require_shown(bundle, gene or ())  # before slides are extracted
    blocks, told = read_blocks(bundle, named_files(genomics or []), wanted)
    say_notes(told)
    if features is None:
        assert slides is not None
        extraction = NewSlideSettings(
            out / "features",
            weights=weights,
            allow_code=allow_torchscript_code,
            slide_mpp=slide_mpp,
            patient_pattern=patient_pattern,
            sample_types=wanted,
            device=device,
            place=place,
            threads=threads,
            patients=patient or (),
        )
        files = extracted_bags(bundle, slides, extraction)
    else:
        found = NewFeatures(
            features, slides_table, patient_pattern, layout, leave_out_missing, wanted
        )
        files, told = found.open(bundle.info.patient_pattern)
        say_notes(told)
    how = ExplanationSettings(
        out,
        _images(slides, slide_mpp),
        mpp,
        tuple(gene or ()),
        n_shown=patches,
        jobs=jobs,
        threads=threads,
        place=place,
        answers=Answering(max_missing_genes, check_scale, threshold, site, device),
    )
    with counting("Patients") as progress:
        explained = explain_patients(
            bundle, files, blocks, how, patients=patient or (), progress=progress
        )
    _say_what_was_made(explained, out)


def _say_what_was_made(explained: Explained, out: Path) -> None:
    """How many maps there are, and where."""
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
