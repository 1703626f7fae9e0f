"""The `histodistill view` command."""

from __future__ import annotations

import getpass
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from histodistill.barcodes import PRIMARY_TUMOUR
from histodistill.cli.console import counted, located, say, say_notes
from histodistill.cli.options import (
    AllowedCode,
    Device,
    GenomicBlocks,
    Layout,
    LeaveOutMissing,
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
from histodistill.cli.view_options import (
    Address,
    ExportedPatients,
    ExportFolder,
    FeaturesFolder,
    LabelColumn,
    LabelFile,
    MethodOfRun,
    PatientColumn,
    Port,
    Reviewer,
    ReviewsFile,
    RunOrBundle,
    ShownGenes,
    SiteColumn,
    SlidesFolder,
    TargetOfRun,
)
from histodistill.errors import listed

if TYPE_CHECKING:
    from histodistill.slides import SlideImage
    from histodistill.viewer.cohort import Cohort, Request
    from histodistill.viewer.worker import Worker
    from histodistill.workflows.new_features import KnownFeatures

_NEEDS = {
    "slides_table": ["features"],
    "leave_out_missing": ["slides_table"],
    "layout": ["features"],
    "column": ["clinical"],
    "patient_column": ["clinical"],
    "site_column": ["clinical"],
    "patient": ["export"],
    "max_missing_genes": ["genomics"],
    "check_scale": ["genomics"],
}
# A run knows its patients, and their features.
_OF_NEW_FEATURES = ("patient_pattern", "sample_types", *OF_EXTRACTION)
# A run has answered already.
_OF_ANSWERS = ("max_missing_genes", "check_scale", "threshold", "site", "device")


def command(
    context: typer.Context,
    place: RunOrBundle,
    slides: SlidesFolder,
    features: FeaturesFolder = None,
    slides_table: SlidesTable = None,
    leave_out_missing: LeaveOutMissing = False,
    layout: Layout = "auto",
    patient_pattern: PatientPattern = None,
    genomics: GenomicBlocks = None,
    gene: ShownGenes = None,
    clinical: LabelFile = None,
    column: LabelColumn = None,
    patient_column: PatientColumn = "PATIENT",
    site_column: SiteColumn = None,
    target: TargetOfRun = None,
    method: MethodOfRun = None,
    max_missing_genes: MaxMissingGenes = 0.2,
    check_scale: CheckScale = True,
    threshold: OneThreshold = None,
    site: OfSite = None,
    weights: EncoderWeights = None,
    allow_torchscript_code: AllowTorchscriptCode = False,
    slide_mpp: SlideMpp = None,
    sample_types: SampleTypes = None,
    reviews: ReviewsFile = None,
    reviewer: Reviewer = None,
    export: ExportFolder = None,
    patient: ExportedPatients = None,
    allow: AllowedCode = None,
    device: Device = "auto",
    host: Address = "127.0.0.1",
    port: Port = 8765,
) -> None:
    """See in the browser where a model looked, and say what you think of it.

    Serves a table of patients and their slides under maps to this machine alone, at an address
    with a token; from another one, forward the port: ssh -L 8765:127.0.0.1:8765. Verdicts are
    saved at once. Research use only; not a medical device.
    """
    from histodistill.cli.new_bags import extract_apart
    from histodistill.experiment.recorded import is_run
    from histodistill.viewer.cohort import Labels, Request
    from histodistill.viewer.extra import require_view_extra
    from histodistill.workflows.answering import Answering
    from histodistill.workflows.new_features import NewFeatures
    from histodistill.workflows.new_slide_settings import NewSlideSettings

    require_view_extra()
    require_used(context, _NEEDS)
    wanted = sample_types or [PRIMARY_TUMOUR]
    found: NewFeatures | KnownFeatures | None = None
    if is_run(place):
        require_not(context, _OF_ANSWERS, "on a run")
    if features is not None:
        require_not(context, OF_EXTRACTION, "with --features")
        found = NewFeatures(
            features, slides_table, patient_pattern, layout, leave_out_missing, wanted
        )
    elif is_run(place):
        require_not(context, _OF_NEW_FEATURES, "on a run without --features")
    else:
        how = NewSlideSettings(
            Path(),
            weights=weights,
            allow_code=allow_torchscript_code,
            slide_mpp=slide_mpp,
            patient_pattern=patient_pattern,
            sample_types=wanted,
            device=device,
            patients=patient or (),
        )
        found = extract_apart(place, target, slides, how, allow or ())
    request = Request(
        place,
        _images(slides, slide_mpp),
        found,
        named_files(genomics or []),
        None if clinical is None else Labels(clinical, column, patient_column, site_column),
        target,
        method,
        tuple(allow or ()),
        tuple(gene or ()),
        Answering(max_missing_genes, check_scale, threshold, site, device),
        tuple(wanted),
    )
    if export is not None:
        _export(request, export, patient or [])
    else:
        _serve(request, reviews, reviewer or getpass.getuser(), host, port)


def _serve(request: Request, reviews: Path | None, reviewer: str, host: str, port: int) -> None:
    from histodistill.viewer.reviews import Reviews
    from histodistill.viewer.security import new_token
    from histodistill.viewer.server import listening, serve
    from histodistill.viewer.session import Session
    from histodistill.viewer.slide_tiles import SlideTiles
    from histodistill.viewer.worker import Worker

    verdicts = Reviews(reviews or _review_file(request.place))
    opened = listening(host, port)
    worker = Worker(request)
    try:
        cohort = _opened(worker, request)
        token, key = new_token(), new_token()[:12]
        session = Session(cohort, worker, SlideTiles(request.images), verdicts, reviewer, key)
        say(f"Verdicts go to {located(verdicts.path)}, as {reviewer}.")
        name, number = opened.getsockname()[:2]
        if name in ("127.0.0.1", "::1"):
            say(f"Only this machine can open it; from another one: ssh -L {number}:{name}:{number}")
        shown = f"[{name}]" if ":" in name else name
        say(f"Open http://{shown}:{number}/?token={token} (Ctrl-C ends it)")
        with suppress(KeyboardInterrupt):  # the way to end it
            serve(session, token, opened)
        say(f"Ended; the verdicts are in {located(verdicts.path)}.")
    finally:
        worker.close()
        opened.close()


def _opened(worker: Worker, request: Request) -> Cohort:
    say(f"Reading {located(request.place)} and its patients …")
    cohort = worker.open()
    say_notes(cohort.notes)
    absent = {s for own in cohort.slides.values() for s in own} - set(request.images)
    say(
        f"{cohort.name}: {counted(len(cohort.patients), 'patient')}, "
        f"{counted(len(cohort.slides), 'patient')} with slides"
    )
    if absent:
        some = listed(sorted(absent), 5)
        say_notes([f"{counted(len(absent), 'slide')} not at hand, drawn bare: {some}"])
    return cohort


def _review_file(place: Path) -> Path:
    """Beside a run's results; a bundle is not written into, for its files are hashed."""
    from histodistill.experiment.recorded import is_run

    return place / "reviews.csv" if is_run(place) else Path("reviews.csv")


def _images(slides: Path, slide_mpp: float | None) -> dict[str, SlideImage]:
    """The slides by name."""
    from histodistill.extraction import list_slides
    from histodistill.slides import SlideImage

    return {
        entry.slide_id: SlideImage(entry.path, entry.mpp, slide_mpp)
        for entry in list_slides(str(slides))
    }


def _export(request: Request, folder: Path, patients: list[str]) -> None:
    from histodistill.cli.progress import counting
    from histodistill.viewer.export.pages import write_pages
    from histodistill.viewer.slide_tiles import SlideTiles
    from histodistill.viewer.worker import Worker

    worker = Worker(request)
    try:
        cohort = _opened(worker, request)
        with counting("Patients") as progress:
            tiles = SlideTiles(request.images)
            pages = write_pages(folder, cohort, patients, worker.maps_now, tiles, progress)
    finally:
        worker.close()
    say(f"{counted(pages, 'page')}: open {located(folder / 'index.html')}")
