"""``histodistill extract``: from slides to feature files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from histodistill.cli.console import answer, counted, located, say, say_notes
from histodistill.cli.options import Json, require_used
from histodistill.computing.device import DEVICE_HELP
from histodistill.encoders import ENCODERS, PrecisionChoice
from histodistill.errors import InputError, Problems
from histodistill.extraction.defaults import CPU_BATCH, CUDA_BATCH, DEFAULT_WORKERS, Stain

if TYPE_CHECKING:
    from histodistill.encoders.encoder import Triple
    from histodistill.extraction import ExtractionSummary
    from histodistill.settings import Settings

_S = TypeVar("_S", bound="Settings")

_PATCHES = "Patches"
_TISSUE = "Tissue"
_ENCODER = "Encoder"
_RUNNING = "Running"
_SHOWN_FAULTS = 20
_STATUSES = ("done", "skipped", "failed", "elsewhere")


def command(
    context: typer.Context,
    slides: Annotated[
        str,
        typer.Argument(
            help="A folder (searched with its subfolders), a pattern in quotes ('slides/*.svs'), "
            "or a CSV with a column 'slide' and, if wanted, 'patient' and 'mpp' (µm/px).",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for <slide>.h5, extraction.csv, previews/ and tissue/. Start the same "
            "command again to continue an interrupted run, or at the same time on another "
            "machine to share the work.",
        ),
    ],
    encoder: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(ENCODERS)}; timm:NAME for any timm model; torchscript or onnx for a "
            "model file of your own, given with --weights. efficientnet-lite0 needs no download; "
            "it is a small ImageNet model, not a pathology model.",
            rich_help_panel=_ENCODER,
        ),
    ],
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Local weights file (.safetensors, .bin, .pth), or the model file of your own. "
            "Without it the weights come from the Hugging Face hub, with your token.",
            rich_help_panel=_ENCODER,
        ),
    ] = None,
    allow_torchscript_code: Annotated[
        bool,
        typer.Option(
            "--allow-torchscript-code",
            help="Let a TorchScript file run. It is a program: give this only for a file that you "
            "made or trust. One that would touch files or the network is refused even so.",
            rich_help_panel=_ENCODER,
        ),
    ] = False,
    input_px: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Image side that the encoder takes; default: as documented.",
            rich_help_panel=_ENCODER,
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            help="Mean of R,G,B with pixels in 0..1, such as 0.5,0.5,0.5; default: as documented.",
            rich_help_panel=_ENCODER,
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            help="Standard deviation of R,G,B; default: as documented.",
            rich_help_panel=_ENCODER,
        ),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(
            help="µm/px of the patches; default: what the encoder's authors recommend.",
            rich_help_panel=_PATCHES,
        ),
    ] = None,
    patch_px: Annotated[
        int | None,
        typer.Option(
            help="Patch side in pixels at --mpp; a patch covers mpp x patch-px µm. Default: what "
            "the encoder's authors recommend.",
            rich_help_panel=_PATCHES,
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            help="Overlap of neighbouring patches, as a fraction of their side; default: 0.",
            rich_help_panel=_PATCHES,
        ),
    ] = None,
    min_tissue: Annotated[
        float | None,
        typer.Option(
            help="Least fraction of a patch that must be tissue; default: 0.25.",
            rich_help_panel=_PATCHES,
        ),
    ] = None,
    allow_upsampling: Annotated[
        bool,
        typer.Option(
            help="Enlarge slides that are coarser than --mpp instead of skipping them.",
            rich_help_panel=_PATCHES,
        ),
    ] = False,
    slide_mpp: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="µm/px of the slides that record none. Slides without any are skipped.",
            rich_help_panel=_PATCHES,
        ),
    ] = None,
    stain: Annotated[
        Stain,
        typer.Option(
            help="Stain normalisation.",
            rich_help_panel=_PATCHES,
        ),
    ] = "none",
    tissue_dir: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder with <slide>.geojson (QuPath) or <slide>.png masks, used in place of the "
            "segmentation. A file that matches no slide is a problem.",
            rich_help_panel=_TISSUE,
        ),
    ] = None,
    tissue_class: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="With --tissue-dir: a class of annotations that is tissue; as often as needed. "
            "Default: Tissue, or all where none is of it and all consist of tissue.",
            rich_help_panel=_TISSUE,
        ),
    ] = None,
    fill_holes: Annotated[
        bool,
        typer.Option(help="Count large holes as tissue.", rich_help_panel=_TISSUE),
    ] = False,
    drop_pen: Annotated[
        bool,
        typer.Option("--drop-pen/--keep-pen", help="Cut out pen marks.", rich_help_panel=_TISSUE),
    ] = True,
    min_area_um2: Annotated[
        float | None,
        typer.Option(
            help="Drop pieces of tissue smaller than this; default: 16000.",
            rich_help_panel=_TISSUE,
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(metavar="NAME", help=DEVICE_HELP, rich_help_panel=_RUNNING),
    ] = "auto",
    precision: Annotated[
        PrecisionChoice,
        typer.Option(
            help="auto is float16 on CUDA and float32 elsewhere.",
            rich_help_panel=_RUNNING,
        ),
    ] = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Patches encoded together; default: {CPU_BATCH} on a CPU, {CUDA_BATCH} on a GPU.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Threads that read and decode patches while others are encoded. The features do "
            "not depend on it.",
            rich_help_panel=_RUNNING,
        ),
    ] = DEFAULT_WORKERS,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Run slides as tasks of a Ray cluster: its address (host:port, auto), or 'local'. "
            "--workers is then the CPU cores of a task.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    _json: Json = False,
) -> None:
    """Turn slides into patch features: tissue, patches, encoder, one HDF5 file a slide."""
    from histodistill.cli.progress import ExtractionProgress
    from histodistill.tiling import TilingSettings, TissueSettings
    from histodistill.workflows.extraction import (
        EncoderChoice,
        ExtractionComputing,
        ExtractionRequest,
        TissueFiles,
        plan_extraction,
    )

    problems = Problems()
    problems.attempt(partial(require_used, context, {"tissue_class": ["tissue_dir"]}))
    problems.attempt(partial(_require_code, encoder, allow_torchscript_code))
    choice = EncoderChoice(
        encoder,
        weights,
        input_px,
        problems.attempt(partial(_triple, "--mean", mean)),
        problems.attempt(partial(_triple, "--std", std)),
        precision,
        allow_torchscript_code,
    )
    described = problems.attempt(choice.described)
    tiling = problems.attempt(
        lambda: _checked(
            TilingSettings,
            mpp=mpp or (described and described.mpp),
            patch_px=patch_px or (described and described.patch_px),
            overlap=overlap,
            min_tissue=min_tissue,
            allow_upsampling=allow_upsampling,
        )
    )
    tissue = problems.attempt(
        lambda: _checked(
            TissueSettings, fill_holes=fill_holes, drop_pen=drop_pen, min_area_um2=min_area_um2
        )
    )
    problems.raise_any()
    request = ExtractionRequest(
        slides,
        out,
        choice,
        tiling,
        tissue,
        stain,
        slide_mpp,
        None if tissue_dir is None else TissueFiles(tissue_dir, tuple(tissue_class or ())),
        ExtractionComputing(device, batch_size, workers, ray),
    )
    plan = plan_extraction(request)
    say_notes(plan.notes)
    say(
        f"{counted(len(plan.entries), 'slide')}; encoder {plan.encoder.title}, "
        f"{plan.encoder.licence}"
    )
    with ExtractionProgress(len(plan.entries)) as progress:
        summary = plan.run(progress)
    _tell(summary, out)
    say_notes(summary.notes)
    if summary.with_status("failed") or not any(
        summary.with_status(status) for status in ("done", "elsewhere")
    ):
        raise typer.Exit(1)


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


def _checked(kind: type[_S], **values: Any) -> _S:
    """Settings of the options given, or the sentence that says which is out of range."""
    from pydantic import ValidationError

    try:
        return kind(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise InputError(
            *(
                f"--{str(each['loc'][0]).replace('_', '-')} {each['input']}: {each['msg']}."
                for each in error.errors()
            )
        ) from error
