"""Slides to feature files; all that can be wrong is found before the first slide is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from histodistill.computing.device import require_device_name, resolve_device
from histodistill.encoders import (
    Encoder,
    PatchEncoder,
    PrecisionChoice,
    describe_encoder,
    find_weights,
    load_encoder,
    resolve_precision,
)
from histodistill.encoders.encoder import Triple
from histodistill.engines.choice import Place
from histodistill.errors import Problems
from histodistill.extraction import (
    ExtractionSettings,
    ExtractionSummary,
    OutputFolder,
    Progress,
    SlideEntry,
    extract_slides,
    list_slides,
    with_tissue_files,
)
from histodistill.extraction.defaults import DEFAULT_WORKERS, Stain
from histodistill.extraction.elsewhere import SlidesThere, extract_elsewhere
from histodistill.files import require_writable, sha256
from histodistill.tiling import TilingSettings, TissueSettings


@dataclass(frozen=True)
class EncoderChoice:
    """A patch encoder, and what differs from what its authors document.

    Attributes:
        name: See :func:`histodistill.encoders.describe_encoder`.
        weights: Local weights file; without one they come from the installed package or the hub.
        input_px: Side of the image that it sees.
        mean: Mean of R, G, B that is subtracted, pixels in 0..1.
        std: Standard deviation of R, G, B that is divided by.
        precision: ``auto`` is float16 on CUDA and float32 elsewhere.
        allow_code: Whether a TorchScript file, which is a program, may run.
    """

    name: str
    weights: Path | None = None
    input_px: int | None = None
    mean: Triple | None = None
    std: Triple | None = None
    precision: PrecisionChoice = "auto"
    allow_code: bool = False

    def described(self) -> Encoder:
        """Everything that is known of it without its weights.

        Raises:
            InputError: The name is unknown.
        """
        return describe_encoder(self.name, input_px=self.input_px, mean=self.mean, std=self.std)


@dataclass(frozen=True)
class TissueFiles:
    """Outlines and masks that go before the segmentation.

    Attributes:
        folder: ``<slide>.geojson`` of QuPath, or masks ``<slide>.png``.
        classes: Classes of annotations that are tissue; empty for the usual ones.
    """

    folder: Path
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExtractionComputing:
    """What computes; the features do not depend on it but for the precision of a GPU.

    Attributes:
        device: ``auto`` (an NVIDIA GPU where there is one, else the CPU), ``cpu``, ``cuda``,
            ``cuda:<n>`` or ``mps``. Elsewhere ``auto`` is looked up on this machine.
        batch_size: Patches encoded together; by default 16 on a CPU, 128 on a GPU.
        workers: Threads that read and decode patches; elsewhere the CPU cores of a task.
        place: Where the slides are extracted.
    """

    device: str = "auto"
    batch_size: int | None = None
    workers: int = DEFAULT_WORKERS
    place: Place = field(default_factory=Place)


@dataclass(frozen=True)
class ExtractionRequest:
    """Slides, and what their features shall be.

    Attributes:
        slides: A folder, a pattern (``slides/*.svs``) or a table of slides.
        folder: Where the features go; those that it holds already are not made again.
        encoder: The patch encoder.
        tiling: The patch grid; by default what the encoder's authors recommend.
        tissue: How tissue is found.
        stain: Stain normalisation.
        slide_mpp: µm/px of level 0 of the slides that record none.
        tissue_files: Outlines and masks that go before the segmentation.
        computing: What computes.
    """

    slides: Path | str
    folder: Path
    encoder: EncoderChoice
    tiling: TilingSettings | None = None
    tissue: TissueSettings | None = None
    stain: Stain = "none"
    slide_mpp: float | None = None
    tissue_files: TissueFiles | None = None
    computing: ExtractionComputing = field(default_factory=ExtractionComputing)


@dataclass(frozen=True)
class ExtractionPlan:
    """Slides that can be extracted.

    Attributes:
        request: What was asked for.
        entries: The slides.
        encoder: The encoder's description.
        settings: Everything that decides what is in a feature file.
        loaded: The encoder itself; None elsewhere, whose tasks load it.
        notes: What to know of the list of slides, in sentences.
    """

    request: ExtractionRequest
    entries: tuple[SlideEntry, ...]
    encoder: Encoder
    settings: ExtractionSettings
    loaded: PatchEncoder | None
    notes: tuple[str, ...]

    def run(self, progress: Progress | None = None) -> ExtractionSummary:
        """Extract the slides; one that cannot be used costs that slide.

        Args:
            progress: Told how the run goes.

        Raises:
            InputError: The disk is full, or no cluster answers.
        """
        summary = self._extracted(progress)
        return replace(summary, notes=unused_mpp(self.request.slide_mpp, summary))

    def _extracted(self, progress: Progress | None) -> ExtractionSummary:
        computing, encoder = self.request.computing, self.request.encoder
        if self.loaded is not None:
            return extract_slides(
                self.entries,
                self.loaded,
                self.request.folder,
                self.settings,
                batch_size=computing.batch_size,
                workers=computing.workers,
                progress=progress,
            )
        work = SlidesThere(
            self.settings,
            self.request.folder.resolve(),
            encoder.weights,
            device_of_tasks(computing.device),
            computing.batch_size,
            computing.workers,
            encoder.allow_code,
        )
        return extract_elsewhere(self.entries, work, computing.place, progress)


def plan_extraction(request: ExtractionRequest) -> ExtractionPlan:
    """Find slides and everything that their extraction needs; no slide is read yet.

    Raises:
        InputError: All problems at once: of the slides and the files that outline their tissue,
            of the encoder, its weights and the device, and of the output folder. Weights that
            have to be downloaded are looked at when all the rest is right.
    """
    problems = Problems()
    notes: list[str] = []
    entries = problems.attempt(partial(_entries, request, notes.append))
    encoder = problems.attempt(request.encoder.described)
    made = None
    problems.attempt(partial(require_writable, request.folder))
    if request.encoder.weights is None:
        # Nothing is downloaded for a run that cannot start.
        problems.raise_any()
    if encoder is not None:
        chosen = encoder
        made = problems.attempt(lambda: _settings(request, chosen))
    if made is not None:
        problems.attempt(partial(OutputFolder(request.folder).require_alike, made[0]))
    problems.raise_any()
    assert entries is not None
    assert encoder is not None
    assert made is not None
    return ExtractionPlan(request, tuple(entries), encoder, *made, tuple(notes))


def extract(request: ExtractionRequest, progress: Progress | None = None) -> ExtractionSummary:
    """Extract the patch features of slides into a folder: what ``histodistill extract`` does.

    Slides that the folder already holds, made with the same settings, are not done again. A
    slide's fault costs that slide, and is told in its record and in ``extraction.csv``.

    Args:
        request: The slides, and what their features shall be.
        progress: Told how the run goes.

    Returns:
        One record a slide, and notes.

    Raises:
        InputError: As :func:`plan_extraction`; the disk is full.
    """
    plan = plan_extraction(request)
    summary = plan.run(progress)
    return replace(summary, notes=(*plan.notes, *summary.notes))


def unused_mpp(slide_mpp: float | None, summary: ExtractionSummary) -> tuple[str, ...]:
    """A sentence where µm/px were given for slides that record none, and no slide is one."""
    if slide_mpp is None or any(record.mpp == slide_mpp for record in summary.records):
        return ()
    return (
        f"--slide-mpp {slide_mpp:g} was not used: it is for slides that record no µm/px. To "
        "correct what slides record, give a CSV with a column 'mpp'.",
    )


def _entries(request: ExtractionRequest, tell: Callable[[str], None]) -> list[SlideEntry]:
    entries = list_slides(request.slides, mpp_if_unrecorded=request.slide_mpp, tell=tell)
    outlines = request.tissue_files
    return (
        entries
        if outlines is None
        else with_tissue_files(entries, outlines.folder, outlines.classes)
    )


def _settings(
    request: ExtractionRequest, encoder: Encoder
) -> tuple[ExtractionSettings, PatchEncoder | None]:
    """What decides the features, and the encoder; on a cluster its tasks load it."""
    choice, computing = request.encoder, request.computing
    wanted = (request.tiling, request.tissue, request.stain)
    if computing.place.engine == "local":
        loaded = load_encoder(
            encoder,
            weights=choice.weights,
            device=computing.device,
            precision=choice.precision,
            allow_code=choice.allow_code,
        )
        return ExtractionSettings.of(loaded, *wanted), loaded
    weights = sha256(find_weights(encoder, choice.weights))
    precision = resolve_precision(choice.precision, device_of_tasks(computing.device))
    return ExtractionSettings.planned(encoder, weights, precision, *wanted), None


def device_of_tasks(name: str) -> str:
    """The device that a cluster's tasks look for where they run; ``auto`` is looked up here."""
    if name == "auto":
        return resolve_device(name).type
    require_device_name(name)
    return name
