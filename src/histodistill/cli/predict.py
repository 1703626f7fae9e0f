"""The `histodistill predict` command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from histodistill.barcodes import PRIMARY_TUMOUR
from histodistill.cli.console import answer, counted, located, say, say_notes
from histodistill.cli.options import (
    AllowedCode,
    BundleFolder,
    Device,
    Json,
    Layout,
    LeaveOutMissing,
    On,
    SomeTargets,
    TaskThreads,
    named_files,
    require_elsewhere,
    require_used,
)
from histodistill.cli.policy import (
    CostsOption,
    MaxFalseAlarms,
    MaxMissed,
    MinPPV,
    stated_policy,
)
from histodistill.cli.predict_options import (
    AllowTorchscriptCode,
    CheckScale,
    EncoderWeights,
    FeaturesFolder,
    FeaturesOut,
    GenomicBlocks,
    MaxMissingGenes,
    OfSite,
    OneThreshold,
    PatientPattern,
    PredictionsFile,
    SampleTypes,
    SlideMpp,
    SlidesFolder,
    SlidesTable,
)
from histodistill.errors import Problems

if TYPE_CHECKING:
    import pandas as pd

    from histodistill.deploy import Predictions
    from histodistill.workflows.prediction import PredictionPlan, PredictionRequest

# Options, and those of which one gives them a meaning.
_NEEDS = {
    "slides_table": ["features"],
    "leave_out_missing": ["slides_table"],
    "layout": ["features"],
    "patient_pattern": ["features", "slides"],
    "features_out": ["slides"],
    "weights": ["slides"],
    "allow_torchscript_code": ["slides"],
    "slide_mpp": ["slides"],
    "max_missing_genes": ["genomics"],
    "check_scale": ["genomics"],
}


def command(
    context: typer.Context,
    bundle_folder: BundleFolder,
    out: PredictionsFile,
    slides: SlidesFolder = None,
    features: FeaturesFolder = None,
    slides_table: SlidesTable = None,
    leave_out_missing: LeaveOutMissing = False,
    layout: Layout = "auto",
    patient_pattern: PatientPattern = None,
    genomics: GenomicBlocks = None,
    target: SomeTargets = None,
    allow: AllowedCode = None,
    max_missing_genes: MaxMissingGenes = 0.2,
    check_scale: CheckScale = True,
    threshold: OneThreshold = None,
    site: OfSite = None,
    max_missed: MaxMissed = None,
    max_false_alarms: MaxFalseAlarms = None,
    min_ppv: MinPPV = None,
    costs: CostsOption = None,
    features_out: FeaturesOut = None,
    weights: EncoderWeights = None,
    allow_torchscript_code: AllowTorchscriptCode = False,
    slide_mpp: SlideMpp = None,
    sample_types: SampleTypes = None,
    device: Device = "auto",
    on: On = "local",
    threads: TaskThreads = None,
    _json: Json = False,
) -> None:
    """Predict patients from slides, from genomics, or from both.

    Every patient who has something that the bundle reads gets a row, of a bundle of several
    targets a row a target: the probability by
    student (slides), multimodal and genomic teacher, the call at the stored threshold, which
    network answered and why, and the calibrated probability. With a triage policy, stated here
    or when the model was trained, whom it would spare the test: positive, negative or send to
    IHC, with the reason. Research use only; not a medical device.
    """
    from histodistill.engines.choice import Place
    from histodistill.spreadsheets import write_csv
    from histodistill.workflows.new_features import NewFeatures
    from histodistill.workflows.new_slide_settings import NewSlideSettings
    from histodistill.workflows.prediction import PredictionRequest

    require_used(context, _NEEDS)
    require_elsewhere(context, on, "threads")
    wanted = sample_types or [PRIMARY_TUMOUR]
    place = Place.named(on)
    how = NewSlideSettings(
        folder=features_out or out.with_name(f"{out.stem}-features"),
        weights=weights,
        allow_code=allow_torchscript_code,
        slide_mpp=slide_mpp,
        patient_pattern=patient_pattern,
        sample_types=wanted,
        device=device,
        place=place,
        threads=threads,
    )
    request = PredictionRequest(
        slides=slides,
        how=how if slides else None,
        features=NewFeatures(
            features, slides_table, patient_pattern, layout, leave_out_missing, wanted
        )
        if features
        else None,
        genomics=named_files(genomics or []),
        sample_types=wanted,
        max_missing_genes=max_missing_genes,
        check_scale=check_scale,
        threshold=threshold,
        triage=stated_policy(max_missed, max_false_alarms, min_ppv, costs),
        site=site,
        device=device,
        place=place,
        threads=threads,
        scratch=out.with_name(f".{out.stem}-tasks"),
    )
    predicted = _predicted(bundle_folder, target or (), allow or (), request, out)
    write_csv(out, predicted.table)
    _tell(predicted, out)
    if predicted.failed:  # as `extract` ends
        raise typer.Exit(1)


def _predicted(
    folder: Path,
    targets: Sequence[str],
    allowed: Sequence[str],
    request: PredictionRequest,
    out: Path,
) -> Predictions:
    """The answers; all that can be checked is checked first."""
    from histodistill.deploy import Panel
    from histodistill.files import require_writable
    from histodistill.workflows.prediction import plan_prediction

    panel = Panel.load(folder, allowed, targets)
    say_notes(panel.notes)
    problems = Problems()
    problems.attempt(lambda: require_writable(out.absolute().parent))
    plan = problems.attempt(lambda: plan_prediction(panel, request))
    problems.raise_any()
    assert plan is not None
    say_notes(plan.notes)
    return _run(plan)


def _run(plan: PredictionPlan) -> Predictions:
    from histodistill.cli.progress import ExtractionProgress, counting

    if plan.slides:  # extraction takes nearly all of the time
        with ExtractionProgress(len(plan.slides.entries)) as progress:
            return plan.run(progress)
    with counting("Predicting") as told:
        return plan.run(on_answers=told)


def _tell(predicted: Predictions, out: Path) -> None:
    say_notes(predicted.notes)
    table = predicted.table
    by_target = {str(name): rows for name, rows in table.groupby("target", sort=False)}
    for target, rows in by_target.items():
        _tell_target(f"{target}: " if len(by_target) > 1 else "", rows, out)
    answer(
        predictions=out,
        patients=table["PATIENT"].nunique(),
        answered_by=_counts(table["answered_by"].replace("", "nobody")),
        failed_slides=predicted.failed,
    )
    if "triage" in table:
        answer(triage=_counts(table["triage"].dropna()))


def _tell_target(named: str, rows: pd.DataFrame, out: Path) -> None:
    by_network = _counts(rows["answered_by"].replace("", "nobody"))
    answered = ", ".join(f"{count} by {name}" for name, count in by_network.items())
    say(f"{named}{counted(len(rows), 'patient')} ({answered}): {located(out)}")
    if "triage" in rows and rows["triage"].notna().any():
        ends = _counts(rows["triage"])
        say(f"{named}Triage: {', '.join(f'{count} {name}' for name, count in ends.items())}")


def _counts(cells: pd.Series[str]) -> dict[str, int]:
    """How often each text stands in some cells, the most frequent first."""
    return {str(name): int(count) for name, count in cells.value_counts().items()}
