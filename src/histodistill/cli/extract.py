"""``histodistill extract``: from slides to feature files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from histodistill.cli.console import answer, counted, located, say, say_notes
from histodistill.cli.extract_options import (
    AllowTorchscriptCode,
    AllowUpsampling,
    BatchSize,
    DropPen,
    Encoder,
    ExtractionDevice,
    FeaturesFolder,
    FillHoles,
    InputPx,
    Mean,
    MinAreaUm2,
    MinTissue,
    Mpp,
    Overlap,
    PatchPx,
    Precision,
    SlideMpp,
    SlidesArgument,
    StainNormalisation,
    Std,
    TissueClass,
    TissueDir,
    Weights,
    Workers,
)
from histodistill.cli.options import Json, On, require_used
from histodistill.errors import InputError, Problems
from histodistill.extraction.defaults import DEFAULT_WORKERS

if TYPE_CHECKING:
    from histodistill.encoders.encoder import Triple
    from histodistill.extraction import ExtractionSummary
    from histodistill.settings import Settings
    from histodistill.tiling import TilingSettings
    from histodistill.workflows.extraction import EncoderChoice

_S = TypeVar("_S", bound="Settings")

_SHOWN_FAULTS = 20
_STATUSES = ("done", "skipped", "failed", "elsewhere")


def command(
    context: typer.Context,
    slides: SlidesArgument,
    out: FeaturesFolder,
    encoder: Encoder,
    weights: Weights = None,
    allow_torchscript_code: AllowTorchscriptCode = False,
    input_px: InputPx = None,
    mean: Mean = None,
    std: Std = None,
    mpp: Mpp = None,
    patch_px: PatchPx = None,
    overlap: Overlap = None,
    min_tissue: MinTissue = None,
    allow_upsampling: AllowUpsampling = False,
    slide_mpp: SlideMpp = None,
    stain: StainNormalisation = "none",
    tissue_dir: TissueDir = None,
    tissue_class: TissueClass = None,
    fill_holes: FillHoles = False,
    drop_pen: DropPen = True,
    min_area_um2: MinAreaUm2 = None,
    device: ExtractionDevice = "auto",
    precision: Precision = "auto",
    batch_size: BatchSize = None,
    workers: Workers = DEFAULT_WORKERS,
    on: On = "local",
    _json: Json = False,
) -> None:
    """Turn slides into patch features: tissue, patches, encoder, one HDF5 file a slide."""
    from histodistill.cli.progress import ExtractionProgress
    from histodistill.engines.choice import Place
    from histodistill.tiling import TissueSettings
    from histodistill.workflows import extraction as work

    problems = Problems()
    problems.attempt(partial(require_used, context, {"tissue_class": ["tissue_dir"]}))
    problems.attempt(partial(_require_code, encoder, allow_torchscript_code))
    means = problems.attempt(partial(_triple, "--mean", mean))
    stds = problems.attempt(partial(_triple, "--std", std))
    choice = work.EncoderChoice(
        encoder, weights, input_px, means, stds, precision, allow_torchscript_code
    )
    cut = {"mpp": mpp, "patch_px": patch_px, "overlap": overlap, "min_tissue": min_tissue}
    tiling = _tiling(problems, choice, cut | {"allow_upsampling": allow_upsampling})
    shape = {"fill_holes": fill_holes, "drop_pen": drop_pen, "min_area_um2": min_area_um2}
    tissue = problems.attempt(lambda: _checked(TissueSettings, shape))
    problems.raise_any()
    files = None if tissue_dir is None else work.TissueFiles(tissue_dir, tuple(tissue_class or ()))
    computing = work.ExtractionComputing(device, batch_size, workers, Place.named(on))
    request = work.ExtractionRequest(
        slides, out, choice, tiling, tissue, stain, slide_mpp, files, computing
    )
    plan = work.plan_extraction(request)
    say_notes(plan.notes)
    say(
        f"{counted(len(plan.entries), 'slide')}; encoder {plan.encoder.title}, "
        f"{plan.encoder.licence}"
    )
    with ExtractionProgress(len(plan.entries)) as progress:
        summary = plan.run(progress)
    _tell(summary, out)
    say_notes(summary.notes)
    if summary.with_status("failed") or not _has_features(summary):
        raise typer.Exit(1)


def _tiling(
    problems: Problems, choice: EncoderChoice, given: Mapping[str, object]
) -> TilingSettings | None:
    """How slides are cut: as given, else as the encoder's authors recommend."""
    from histodistill.tiling import TilingSettings

    described = problems.attempt(choice.described)
    wanted = {} if described is None else {"mpp": described.mpp, "patch_px": described.patch_px}
    options = wanted | {k: value for k, value in given.items() if value is not None}
    return problems.attempt(lambda: _checked(TilingSettings, options))


def _has_features(summary: ExtractionSummary) -> bool:
    return any(summary.with_status(status) for status in ("done", "elsewhere"))


def _tell(summary: ExtractionSummary, out: Path) -> None:
    done = len(summary.with_status("done"))
    earlier = f" ({summary.resumed} of them before this run)" if summary.resumed else ""
    rate = summary.patches / max(summary.seconds, 1e-9)
    say(
        f"{counted(done, 'slide')} done{earlier}, {len(summary.with_status('skipped'))} skipped, "
        f"{len(summary.with_status('failed'))} failed; {counted(summary.patches, 'patch')} in "
        f"{summary.seconds:.0f} s ({rate:.0f} a second)"
    )
    elsewhere = summary.with_status("elsewhere")
    if elsewhere:
        say(f"{counted(len(elsewhere), 'slide')}: another process is at work on them")
    faults = [record for record in summary.records if record.reason]
    answer(
        **{status: len(summary.with_status(status)) for status in _STATUSES},
        earlier=summary.resumed,
        patches=summary.patches,
        seconds=summary.seconds,
        faults=[{"slide": r.slide, "status": r.status, "reason": r.reason} for r in faults],
        folder=out,
    )
    for record in faults[:_SHOWN_FAULTS]:
        say(f"  {record.status} {record.slide}: {record.reason}")
    if len(faults) > _SHOWN_FAULTS:
        say(f"  and {len(faults) - _SHOWN_FAULTS} more")
    say(
        f"All of them in {located(out / 'extraction.csv')}; outlines to look at in "
        f"{located(out / 'previews')}"
    )


def _require_code(encoder: str, allowed: bool) -> None:
    if allowed and encoder != "torchscript":
        raise InputError("--allow-torchscript-code has no effect without --encoder torchscript.")


def _triple(option: str, text: str | None) -> Triple | None:
    if text is None:
        return None
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"{option} takes three numbers, for R,G,B, such as 0.5,0.5,0.5; not {text!r}."
        ) from error
    return red, green, blue


def _checked(kind: type[_S], values: Mapping[str, object]) -> _S:
    """Settings of the options given, or the sentence that says which is out of range."""
    from pydantic import ValidationError

    try:
        return kind.model_validate({k: value for k, value in values.items() if value is not None})
    except ValidationError as error:
        raise InputError(
            *(
                f"--{str(each['loc'][0]).replace('_', '-')} {each['input']}: {each['msg']}."
                for each in error.errors()
            )
        ) from error
